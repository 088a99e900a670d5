"""Receipts: a person sees that a message was taken up and how it ended, also over a restart; no answer waits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from gateway_stage import until
from network_stage import READBACK, ROOM, Crash, Network, Office

from channels.capabilities import Capabilities
from channels.errors import Permanent, RateLimited, Unreachable
from channels.messages import Mark
from gateway.rules import retry
from gateway.rules.run_states import TRANSITIONS, RunEvent
from gateway.services.channels import AccountPolicy
from gateway.services.receipts import Receipts
from storage.run_values import Repetition
from storage.values import ClaimedRun, Ending

REACTING = replace(READBACK, reactions=True)


class Desk:
    """An office that shows receipts."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.network = office.network
        self.receipts: Receipts
        self.start()

    def start(self) -> None:
        self.receipts = Receipts(self.office.channels, self.office.deliveries.traffic, self.office.clock)
        self.office.hear(self.receipts.on_commit)

    async def begin(self) -> ClaimedRun:
        """A run that answers the person's message `p1`."""
        run = replace(await self.office.run(), message_ref="p1")
        self.receipts.begin(run)
        return run

    async def end(self, run: ClaimedRun, event: RunEvent, retry_id: str | None = None) -> None:
        ending = Ending(TRANSITIONS[event], "because", error_kind="x", will_retry=retry_id is not None)
        again = Repetition(retry_id) if retry_id is not None else None
        await self.office.store.runs.end(run, ending, self.office.clock.now_ms(), again)

    async def shown(self, *marks: Mark) -> None:
        await until(lambda: tuple(self.network.marks["p1"]) == marks)


@pytest.fixture
async def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., object]]:
    monkeypatch.setattr(retry, "FIRST_S", 0.002)
    desks: list[Desk] = []

    async def make(capabilities: Capabilities = REACTING, policy: AccountPolicy | None = None) -> Desk:
        office = Office(Network(capabilities), policy)
        await office.open(tmp_path / "data")
        desks.append(Desk(office))
        return desks[-1]

    yield make
    for desk in desks:
        await desk.receipts.close(0)
        await desk.office.close()


async def test_a_message_is_seen_and_then_done(made) -> None:
    desk = await made()
    run = await desk.begin()
    await desk.shown(Mark.SEEN)
    await desk.office.complete(run, "the answer")
    await desk.shown(Mark.SEEN, Mark.DONE)


@pytest.mark.parametrize("event", [RunEvent.FAIL, RunEvent.CANCEL, RunEvent.INTERRUPT])
async def test_a_run_that_ends_otherwise_has_failed(made, event: RunEvent) -> None:
    desk = await made()
    run = await desk.begin()
    await desk.shown(Mark.SEEN)
    await desk.end(run, event)
    await desk.shown(Mark.SEEN, Mark.FAILED)


async def test_a_run_that_is_tried_again_has_not_failed(made) -> None:
    desk = await made()
    run = await desk.begin()
    await desk.shown(Mark.SEEN)
    await desk.end(run, RunEvent.INTERRUPT, "run_again")
    await asyncio.sleep(0.03)
    await desk.shown(Mark.SEEN)


async def test_after_a_restart_in_the_middle_of_a_run_it_is_done(made) -> None:
    desk = await made()
    await desk.begin()
    await desk.shown(Mark.SEEN)
    await desk.office.kill()
    await desk.office.start()
    desk.start()
    taken = await desk.office.store.runs.take_over(
        (await running(desk)),
        "boot-2",
        desk.office.clock.now_ms(),
        desk.office.clock.now_ms() + 1000,
        "restart",
    )
    assert taken is not None
    again = replace(taken, message_ref="p1")
    desk.receipts.begin(again)
    await desk.office.complete(again, "the answer")
    await until(lambda: desk.network.marks["p1"][-1] is Mark.DONE)


async def running(desk: Desk) -> str:
    (run,) = await desk.office.store.runs.running("boot", 10)
    return run.id


async def test_only_the_newest_mark_is_shown_late(made) -> None:
    desk = await made()
    desk.network.fates("react", RateLimited(0.05, "room"))
    run = await desk.begin()
    await desk.office.complete(run, "the answer")
    await desk.shown(Mark.DONE)


async def test_no_answer_waits_for_a_receipt(made) -> None:
    desk = await made()
    desk.network.fates("react", Crash())
    run = await desk.begin()
    await desk.office.complete(run, "the answer")
    await desk.office.settled()
    assert desk.network.texts() == ["the answer"]
    assert desk.network.marks["p1"] == []


async def test_what_cannot_be_reached_is_tried_again_and_what_is_refused_is_not(made) -> None:
    desk = await made()
    desk.network.fates("react", Unreachable("down"), Permanent("no reactions here"))
    run = await desk.begin()
    await until(lambda: desk.network.called("react") == 2)
    await asyncio.sleep(0.05)
    assert desk.network.called("react") == 2
    await desk.office.complete(run, "the answer")
    await desk.shown(Mark.DONE)


@pytest.mark.parametrize(
    ("capabilities", "policy", "ref"),
    [
        (READBACK, AccountPolicy(), "p1"),
        (REACTING, AccountPolicy(receipts=False), "p1"),
        (REACTING, AccountPolicy(), None),
    ],
)
async def test_no_receipts_where_nobody_wants_them_or_can_show_them(
    made, capabilities: Capabilities, policy: AccountPolicy, ref: str | None
) -> None:
    desk = await made(capabilities, policy)
    run = replace(await desk.office.run(ROOM), message_ref=ref)
    desk.receipts.begin(run)
    await desk.office.complete(run, "the answer")
    await desk.office.settled()
    assert desk.network.called("react") == 0
