"""kind="model": killed at every place of the journal and run again, it says the same and does nothing twice."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from agents_stage import Killed, MemoryJournal, attempt, decided, make_context
from model_stage import KEY, Counter, over, running

from channels.emulators.openai import OpenAiEmulator
from gateway.agents.port import AgentAsk, AgentFailure, Recorded, RunContext, Step
from protocol.canonical import canonical
from storage.run_values import StepOutcome

TEXT = 'use count {"by": 1} then use asked {"by": 2} then use count {"by": 3} then say done'
"""What the stand-in does of it depends on the conversation alone, as an endpoint does that knows nothing of crashes."""
PLACES = [
    f"{when}:{key}"
    for key in (
        "model/1",
        "tool/call_1_0",
        "model/2",
        "tool/call_1_1",
        "model/3",
        "tool/call_1_2",
        "model/4",
    )
    for when in ("begin", "finish")
]


class StrictJournal(MemoryJournal):
    """A journal to which the same step must ask the same in every attempt; otherwise nobody could replay the run."""

    async def begin(self, step: Step) -> Recorded | None:
        if step.key in self.ended:
            assert canonical(self.begun[step.key].request) == canonical(step.request), step.key
        return await super().begin(step)


@dataclass
class World:
    """What outlives the agent's process: the endpoint, the effects, the journal, the decisions."""

    emulator: OpenAiEmulator
    journal: MemoryJournal = field(default_factory=StrictJournal)
    count: Counter = field(default_factory=Counter)
    asked: Counter = field(default_factory=lambda: Counter(name="asked", requires_approval=True))
    asks: list[AgentAsk] = field(default_factory=list)
    deaths: int = 0

    async def answer(self) -> str:
        """Attempts until the run is done, with a new agent after every death, as the turn makes them."""
        for number in range(1, 10):
            agent = over(self.emulator, self.count, self.asked)
            async with running(agent):
                try:
                    given = await attempt(agent, self._context(number))
                except Killed:
                    self.deaths += 1
                    self._settle()
                    continue
            if not (asks := given.of(AgentAsk)):
                return given.text
            self.asks += asks
        raise AssertionError("the run came to no end")

    def _context(self, number: int) -> RunContext:
        decisions = tuple(decided(ask) for ask in self.asks)
        return make_context(self.journal, text=TEXT, attempt=number, decisions=decisions)

    def _settle(self) -> None:
        """What the turn does with steps that nobody may repeat: here a person says that it was not done."""
        for key, step in list(self.journal.begun.items()):
            if key not in self.journal.ended and not step.repeatable:
                del self.journal.begun[key]


@pytest.fixture
async def emulator() -> AsyncIterator[OpenAiEmulator]:
    async with OpenAiEmulator(key=KEY) as made:
        yield made


async def test_without_a_crash_every_place_is_passed(emulator: OpenAiEmulator) -> None:
    world = World(emulator)
    assert await world.answer() == "done"
    assert world.journal.log == PLACES
    assert len(emulator.requests) == 4


@pytest.mark.parametrize("place", PLACES)
async def test_killed_before_a_step_begins_or_before_it_is_closed(
    emulator: OpenAiEmulator, place: str
) -> None:
    world = World(emulator)
    world.journal.dies_at = place
    assert await world.answer() == "done"
    assert world.deaths == 1
    repeated = place.startswith("finish:model/")
    assert len(emulator.requests) == 4 + repeated, "only a call whose answer was lost is made again"
    doubled = place in ("finish:tool/call_1_0", "finish:tool/call_1_2")
    # The stage's person says “not done” about an effect nobody recorded; nothing else is done twice.
    assert len(world.count.effects) == 2 + doubled
    assert len(world.asked.effects) == 1 + (place == "finish:tool/call_1_1")
    assert len(world.asks) == 1, "a person is asked once"
    assert sorted(world.journal.ended) == sorted({place.partition(":")[2] for place in PLACES})


async def test_killed_again_and_again(emulator: OpenAiEmulator) -> None:
    calm = World(emulator)
    text = await calm.answer()
    world = World(emulator)
    for place in PLACES:
        world.journal.dies_at = place
        agent = over(emulator, world.count, world.asked)
        async with running(agent):
            try:
                world.asks += (await attempt(agent, world._context(1))).of(AgentAsk)
            except Killed:
                world._settle()
    assert await world.answer() == text
    assert sorted(world.journal.ended) == sorted(calm.journal.ended)


async def test_a_replay_needs_no_endpoint(emulator: OpenAiEmulator) -> None:
    world = World(emulator)
    text = await world.answer()
    await emulator.stop()
    assert await world.answer() == text
    assert (len(world.count.effects), len(world.asked.effects)) == (2, 1)


@pytest.mark.parametrize(("result", "outcome"), [({"nonsense": 1}, "ok"), (None, "ok"), ({}, "unknown")])
async def test_a_record_that_is_none_of_ours(
    emulator: OpenAiEmulator, result: object, outcome: StepOutcome
) -> None:
    world = World(emulator)
    await world.answer()
    journal = MemoryJournal(begun=dict(world.journal.begun))
    await journal.finish("model/1", result, outcome=outcome)
    async with running(over(emulator)) as agent:
        with pytest.raises(AgentFailure) as failed:
            await attempt(agent, make_context(journal))
    assert failed.value.kind == "journal_mismatch"
