"""Counting against budgets: with what it counts, reserved before, settled after, released once, whatever happens."""

import random
from collections import Counter as Tally
from dataclasses import replace
from typing import Any

import pytest
from store_stage import BOOT, CHAT, LEASE_MS, OTHER_ORG, SEAL, Scene, cancelled, claim, failed, refused

from gateway.governance_settings import BudgetSettings
from gateway.rules.budget import Budgets
from gateway.rules.run_states import TRANSITIONS, RunEvent
from protocol.canonical import canonical, digest
from protocol.errors import ErrorKind
from protocol.records import Usage
from storage.budget_values import HeldUp, OverBudget, PlaceFreed
from storage.channel_values import Telling
from storage.engine import Reader, Transaction
from storage.run_values import NewStep, StepEnd
from storage.values import DEFAULT_ORG, ClaimedRun


def allow(scene: Scene, *budgets: dict[str, Any]) -> None:
    """From now on these are the budgets."""
    settings = [BudgetSettings.model_validate({"name": f"b{n}", **one}) for n, one in enumerate(budgets)]
    scene.store.engine.budgets = Budgets(tuple(settings))


def call(key: str, **takes: int) -> NewStep:
    return NewStep(key, "model", "m", canonical({}), digest({}), is_repeatable=True, takes=takes)


async def counters(scene: Scene) -> dict[str, tuple[int, int]]:
    """Settled and reserved, by whose it is."""
    states = await scene.store.budgets.states(DEFAULT_ORG, scene.now_ms, 100)
    return {one.counted: (one.settled, one.reserved) for one in states}


async def audited(scene: Scene, action: str) -> int:
    entries, _ = await scene.store.audit.page(DEFAULT_ORG, 0, action, 100)
    return len(entries)


# --- messages -----------------------------------------------------------------------------------------


async def test_messages_are_counted_where_they_are_accepted(scene: Scene) -> None:
    allow(scene, {"of": "messages", "limit": 3, "each": "person"})
    for _ in range(3):
        await scene.say()
    fault = await refused(scene.say(), ErrorKind.BUDGET_EXCEEDED)
    assert (fault.data["budget"], fault.data["limit"], fault.data["used"]) == ("b0", 3, 3)
    assert fault.data["resets_at"].endswith("T00:00:00.000Z") and fault.data["hint"]
    assert await counters(scene) == {"prn_ada": (3, 0)}
    assert len(await scene.rows("SELECT * FROM messages")) == 3, "what was refused left nothing"


async def test_a_message_sent_again_with_its_key_is_counted_once(scene: Scene) -> None:
    allow(scene, {"of": "messages", "limit": 3})
    message = scene.message("hello")
    for _ in range(3):
        await scene.store.threads.accept(scene.act(claim=claim("key")), message)
    assert await counters(scene) == {DEFAULT_ORG: (1, 0)}


async def test_people_are_warned_once_and_told_once_that_it_is_used_up(scene: Scene) -> None:
    allow(scene, {"of": "messages", "limit": 5})
    thread_id = (await scene.say(origin=CHAT)).thread_id
    for _ in range(4):
        await scene.say(thread_id=thread_id)
    for _ in range(3):
        await refused(scene.say(thread_id=thread_id), ErrorKind.BUDGET_EXCEEDED)
    events = [event for event in await scene.log(thread_id) if event.kind.startswith("budget.")]
    assert [(event.kind, event.data["used"], event.data["limit"]) for event in events] == [
        ("budget.warned", 4, 5),
        ("budget.exceeded", 5, 5),
    ]
    assert [await audited(scene, kind) for kind in ("budget.warned", "budget.exceeded")] == [1, 1]
    assert len(await scene.store.budgets.notices(10)) == 2


async def test_a_refusal_of_a_first_message_is_recorded_without_a_thread(scene: Scene) -> None:
    allow(scene, {"of": "messages", "limit": 0})
    for _ in range(2):
        await refused(scene.say(), ErrorKind.BUDGET_EXCEEDED)
    assert await audited(scene, "budget.exceeded") == 1
    assert not await scene.rows("SELECT * FROM threads")


async def test_another_span_begins_at_nothing(scene: Scene) -> None:
    allow(scene, {"of": "messages", "limit": 1, "per": "hour"})
    await scene.say()
    await refused(scene.say(), ErrorKind.BUDGET_EXCEEDED)
    scene.now_ms += 3_600_000
    await scene.say()
    assert await counters(scene) == {DEFAULT_ORG: (1, 0)}


async def test_organizations_count_apart(scene: Scene) -> None:
    allow(scene, {"of": "messages", "limit": 1})
    await scene.say()
    await scene.say(org_id=OTHER_ORG)
    await refused(scene.say(org_id=OTHER_ORG), ErrorKind.BUDGET_EXCEEDED)


async def test_a_chat_person_is_told_and_nothing_of_theirs_is_stored(scene: Scene) -> None:
    allow(scene, {"of": "messages", "limit": 1})
    await scene.receive(scene.delivery("one"))
    for _ in range(2):
        told = {"b0": Telling(notice=scene.notice())}
        again = replace(scene.delivery("two"), over_budget=told, notice_interval_ms=600_000)
        await scene.receive(again)
    owed = await scene.rows("SELECT * FROM outbox")
    assert len(owed) == 1, "one notice in the interval"
    assert len(await scene.rows("SELECT * FROM messages")) == 1
    assert await audited(scene, "budget.exceeded") == 1


async def test_without_budgets_nothing_is_read_or_written(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    for owner, name in ((Reader, "one"), (Reader, "all"), (Transaction, "run")):
        statement = getattr(owner, name)

        def watched(self: Any, sql: str, _statement: Any = statement, **values: Any) -> Any:
            seen.append(sql)
            return _statement(self, sql, **values)

        monkeypatch.setattr(owner, name, watched)
    run = await scene.started()
    await scene.store.journal.open(run, call("model/1", tokens=5), scene.now_ms)
    await scene.store.journal.close(run, StepEnd("model/1", "ok", "{}", Usage(input_tokens=5)), scene.now_ms)
    await scene.answer(run)
    assert seen and not [sql for sql in seen if "budget_" in sql]


# --- runs and steps -----------------------------------------------------------------------------------


async def test_runs_are_counted_when_they_begin(scene: Scene) -> None:
    sent = [await scene.say() for _ in range(3)]
    allow(scene, {"of": "runs", "limit": 2})
    runs = [await scene.claim(one.thread_id) for one in sent]
    assert [run.refusal is None for run in runs] == [True, True, False]
    refusal = runs[2].refusal
    assert refusal is not None and refusal.kind == "budget_exceeded" and "“b0”" in refusal.reason
    await refused(scene.say(), ErrorKind.BUDGET_EXCEEDED)
    taken = await scene.store.runs.take_over(runs[2].id, "boot-2", scene.now_ms, scene.now_ms + 1, "restart")
    assert taken is not None and taken.refusal == refusal, "a crash does not forget it"


async def test_a_step_reserves_and_settles_what_it_cost(scene: Scene) -> None:
    allow(scene, {"of": "tokens", "limit": 100}, {"of": "microusd", "limit": 1000, "each": "agent"})
    run = await scene.started()
    await scene.store.journal.open(run, call("model/1", tokens=60, microusd=500), scene.now_ms)
    assert await counters(scene) == {DEFAULT_ORG: (0, 60), "demo": (0, 500)}
    usage = Usage(input_tokens=20, output_tokens=5, cost_microusd=90)
    await scene.store.journal.close(run, StepEnd("model/1", "ok", "{}", usage), scene.now_ms)
    assert await counters(scene) == {DEFAULT_ORG: (25, 0), "demo": (90, 0)}


async def test_a_step_that_does_not_fit_is_not_opened(scene: Scene) -> None:
    allow(scene, {"of": "tokens", "limit": 100}, {"of": "microusd", "limit": 1000, "each": "agent"})
    run = await scene.started()
    over = await scene.store.journal.open(run, call("model/1", tokens=60, microusd=1001), scene.now_ms)
    assert isinstance(over, OverBudget) and (over.counter.budget, over.asked) == ("b1", 1001)
    assert not await scene.store.journal.steps(run.id)
    assert not any(reserved for _, reserved in (await counters(scene)).values()), (
        "of every counter or of none"
    )
    assert "budget.exceeded" in [event.kind for event in await scene.log(run.thread_id)]


async def test_a_step_that_is_begun_again_reserves_once(scene: Scene) -> None:
    allow(scene, {"of": "tokens", "limit": 100})
    run = await scene.started()
    await scene.store.journal.open(run, call("model/1", tokens=60), scene.now_ms)
    again = await scene.store.runs.take_over(run.id, "boot-2", scene.now_ms, scene.now_ms + 1, "restart")
    assert again is not None
    opened = await scene.store.journal.open(again, call("model/1", tokens=60), scene.now_ms)
    assert not isinstance(opened, OverBudget)
    assert await counters(scene) == {DEFAULT_ORG: (0, 60)}


async def test_a_run_that_ends_releases_what_it_held(scene: Scene) -> None:
    allow(scene, {"of": "tokens", "limit": 100})
    run = await scene.started()
    await scene.store.journal.open(run, call("model/1", tokens=60), scene.now_ms)
    await scene.store.runs.cancel(scene.act(), run.id, cancelled())
    assert await counters(scene) == {DEFAULT_ORG: (0, 0)}
    assert not await scene.rows("SELECT * FROM budget_reservations")


# --- at the same time ---------------------------------------------------------------------------------


async def claimed(scene: Scene, thread_id: str) -> ClaimedRun | HeldUp:
    now = scene.now_ms
    found = await scene.store.runs.claim(thread_id, BOOT, now, now + LEASE_MS, scene.new_id("msg"))
    assert isinstance(found, ClaimedRun | HeldUp)
    return found


async def test_runs_at_the_same_time_wait_for_a_place(scene: Scene) -> None:
    allow(scene, {"of": "concurrent", "limit": 1, "each": "person"})
    first, second = await scene.say(), await scene.say()
    run = await scene.claim(first.thread_id)
    held = await claimed(scene, second.thread_id)
    assert isinstance(held, HeldUp)
    await scene.answer(run)
    assert PlaceFreed(held.place) in scene.signals
    assert isinstance(await claimed(scene, second.thread_id), ClaimedRun)


async def test_a_run_that_waits_for_a_person_leaves_its_place(scene: Scene) -> None:
    allow(scene, {"of": "concurrent", "limit": 1})
    run = await scene.started()
    asked = await scene.ask(run)
    other = await scene.started()
    assert other.refusal is None
    await scene.store.approvals.decide(scene.act(), scene.decide(asked, "approve", ""))
    assert await scene.resume(run) is not None, "who goes on is not sent back"
    assert await counters(scene) == {DEFAULT_ORG: (0, 2)}


# --- after a crash ------------------------------------------------------------------------------------


async def test_what_ended_runs_still_hold_is_released_at_start_and_only_once(scene: Scene) -> None:
    allow(scene, {"of": "tokens", "limit": 1000})
    living, dead = await scene.started(), await scene.started()
    for run in (living, dead):
        await scene.store.journal.open(run, call("model/1", tokens=60), scene.now_ms)
    budgets, scene.store.engine.budgets = scene.store.engine.budgets, None
    await scene.end(dead, failed())  # by a gateway that had no budgets
    scene.store.engine.budgets = budgets
    assert [await scene.store.budgets.recover() for _ in range(3)] == [1, 0, 0]
    assert await counters(scene) == {DEFAULT_ORG: (0, 60)}


@pytest.mark.parametrize("seed", range(12))
async def test_counters_are_the_sum_over_runs_whatever_happens(scene: Scene, seed: int) -> None:
    """Random interleavings of steps, costs, crashes, take-overs, waits and ends over two people and several runs."""
    chance = random.Random(seed)
    allow(
        scene,
        {"of": "tokens", "limit": 2_000, "each": "person"},
        {"of": "runs", "limit": 30},
        {"of": "concurrent", "limit": 3, "each": "agent"},
    )
    life = Life(scene, chance)
    for _ in range(150):
        scene.now_ms += 1
        await life.something()
        await life.check()
    await life.finish()
    await life.check()
    assert not await scene.rows("SELECT * FROM budget_reservations"), "nothing leaks"


class Life:
    """A gateway's life at random, and what the counters must say about it."""

    def __init__(self, scene: Scene, chance: random.Random) -> None:
        self.scene = scene
        self.chance = chance
        self.runs: dict[str, ClaimedRun] = {}
        self.open: dict[str, dict[str, int]] = {}
        self.used: Tally[str] = Tally()
        self.begun = 0
        self.boot = 1

    async def something(self) -> None:
        acts = [self.begin, self.step, self.step, self.close, self.close, self.end, self.crash, self.recover]
        await self.chance.choice(acts)()

    async def begin(self) -> None:
        scene, who = self.scene, self.chance.choice(["ada", "bob"])
        act = scene.act(who)
        try:
            await scene.store.threads.accept(act, scene.message("hello"))
        except Exception as refusal:  # noqa: BLE001
            assert getattr(refusal, "kind", None) is ErrorKind.BUDGET_EXCEEDED
            return
        (queued,) = await scene.store.runs.waiting_threads(10)
        found = await claimed(scene, queued)
        if isinstance(found, HeldUp):
            run = (await scene.rows("SELECT id FROM runs WHERE state = 'queued'"))[0]
            await scene.store.runs.cancel(scene.act(), run[0], cancelled())
            return
        if found.refusal is not None:
            await scene.end(found, failed())
            return
        self.begun += 1
        self.runs[found.id] = found
        self.open[found.id] = {}

    async def step(self) -> None:
        if not self.runs:
            return
        run = self.runs[self.chance.choice(sorted(self.runs))]
        key, amount = f"model/{self.chance.randint(1, 4)}", self.chance.randint(1, 400)
        opened = await self.scene.store.journal.open(run, call(key, tokens=amount), self.scene.now_ms)
        if not isinstance(opened, OverBudget) and opened.outcome is None:
            self.open[run.id].setdefault(key, amount)

    async def close(self) -> None:
        mine = [run_id for run_id in sorted(self.runs) if self.open[run_id]]
        if not mine:
            return
        run = self.runs[self.chance.choice(mine)]
        key = self.chance.choice(sorted(self.open[run.id]))
        usage = self.chance.choice([None, Usage(output_tokens=self.chance.randint(1, 600))])
        outcome = "ok" if usage is not None else "error"
        await self.scene.store.journal.close(run, StepEnd(key, outcome, "{}", usage), self.scene.now_ms)
        del self.open[run.id][key]
        self.used[run.requested_by] += usage.output_tokens if usage is not None else 0

    async def end(self) -> None:
        if not self.runs:
            return
        run = self.runs.pop(self.chance.choice(sorted(self.runs)))
        del self.open[run.id]
        if self.chance.random() < 0.5:
            usage = Usage(input_tokens=self.chance.randint(0, 50))
            self.used[run.requested_by] += usage.input_tokens
            move = TRANSITIONS[RunEvent.COMPLETE]
            await self.scene.store.runs.complete(run, move, self.scene.now_ms, "done", usage, (), SEAL)
        else:
            await self.scene.end(run, failed())

    async def crash(self) -> None:
        """The process dies; the next one takes over what is running."""
        self.boot += 1
        for run_id in list(self.runs):
            now = self.scene.now_ms
            run = await self.scene.store.runs.take_over(run_id, f"boot-{self.boot}", now, now + LEASE_MS, "x")
            assert run is not None
            self.runs[run_id] = run

    async def recover(self) -> None:
        assert await self.scene.store.budgets.recover() == 0

    async def finish(self) -> None:
        while self.runs:
            await self.end()

    async def check(self) -> None:
        states = await self.scene.store.budgets.states(DEFAULT_ORG, self.scene.now_ms, 100)
        for one in states:
            if one.budget == "b0":
                owners = [run for run in self.runs.values() if run.requested_by == one.counted]
                held = sum(sum(self.open[run.id].values()) for run in owners)
                assert (one.settled, one.reserved) == (self.used[one.counted], held)
            elif one.budget == "b1":
                assert one.settled == self.begun <= 30
            else:
                assert (one.settled, one.reserved) == (0, len(self.runs)) and one.reserved <= 3


# --- the switch ---------------------------------------------------------------------------------------


async def test_a_run_that_waits_ends_with_the_switch_and_what_it_asked_too(scene: Scene) -> None:
    run = await scene.started()
    asked = await scene.ask(run)
    await scene.store.switches.off(scene.act(), "*", "maintenance", cancelled("off"), {})
    assert (await scene.store.runs.get(DEFAULT_ORG, run.id)).state == "cancelled"
    assert (await scene.store.approvals.get(DEFAULT_ORG, asked)).state == "cancelled"
    assert await scene.resume(run) is None


async def test_a_run_that_is_queued_behind_the_switch_is_refused_when_it_is_claimed(scene: Scene) -> None:
    run = await scene.started()
    await scene.end(run, failed())
    await scene.store.switches.off(scene.act(), "demo", "it errs", cancelled(), {})
    await scene.store.runs.retry(scene.act(), run.id, "run_again", 10)
    again = await scene.claim(run.thread_id)
    assert again.refusal is not None and again.refusal.kind == "agent_suspended"
    assert again.refusal.reason == "The agent demo is switched off by ada: it errs"


async def test_the_switch_of_one_organization_is_not_anothers(scene: Scene) -> None:
    await scene.store.switches.off(scene.act(org_id=OTHER_ORG), "*", "theirs", cancelled(), {})
    assert (await scene.started()).refusal is None
    await refused(scene.say(org_id=OTHER_ORG), ErrorKind.INVALID_STATE)
