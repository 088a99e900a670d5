"""Which worker gets which run: least loaded, sticky threads, in order, nobody beyond what they offered."""

from math import inf

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.agents import worker_choice
from gateway.agents.worker_choice import Roster

NOBODY: frozenset[str] = frozenset()


def roster(sticky_s: float = 60.0, **workers: int) -> Roster:
    """A roster with these workers and what they take at once."""
    made = Roster(sticky_s)
    for name, concurrent in workers.items():
        made.join(name, concurrent)
    return made


def given(made: Roster, *threads: str, now: float = 0.0) -> list[str | None]:
    """Which worker each of these runs gets, asked one after the other."""
    found: list[str | None] = []
    for thread in threads:
        ticket = 1000 + made.waiting + len(found)
        made.wait(ticket, thread)
        found.append(dict(made.assign(now)).get(ticket))
    return found


def test_the_least_loaded_worker_with_room_gets_the_run() -> None:
    assert given(roster(a=2, b=4), "t1", "t2", "t3") == ["a", "b", "b"]


def test_load_is_what_is_used_of_what_was_offered() -> None:
    made = roster(small=1, large=10)
    assert given(made, *(f"t{n}" for n in range(11))).count("large") == 10


def test_a_thread_stays_with_its_worker_for_a_while() -> None:
    made = roster(sticky_s=60.0, a=4, b=4)
    assert given(made, "t") == ["a"]
    made.release("a", "t", 10.0)
    assert given(made, "other", now=10.0) == ["a"]
    assert given(made, "t", now=69.0) == ["a"], "though b has less to do"
    made.release("a", "t", 70.0)
    assert given(made, "t", now=131.0) == ["b"], "that was a while ago"


def test_a_sticky_thread_does_not_wait_for_its_worker() -> None:
    made = roster(a=1, b=1)
    assert given(made, "t", "t") == ["a", "b"], "a is busy"
    made.leave("b")
    made.release("a", "t", 0.0)
    assert given(made, "t") == ["a"], "b, which had it last, is gone"


def test_runs_get_workers_in_the_order_they_came() -> None:
    made = roster()
    for ticket in (1, 2, 3):
        made.wait(ticket, f"t{ticket}")
    made.join("a", 2)
    assert made.assign(0.0) == [(1, "a"), (2, "a")]
    made.release("a", "t1", 0.0)
    assert made.assign(0.0) == [(3, "a")]


def test_a_run_that_was_refused_keeps_its_place_and_goes_to_somebody_else() -> None:
    made = roster(a=1)
    made.wait(1, "t1")
    made.assign(0.0)
    made.wait(2, "t2")
    made.release("a", "t1", 0.0)
    made.wait(1, "t1", frozenset({"a"}))
    made.join("b", 1)
    assert made.assign(0.0) == [(1, "b"), (2, "a")]


def test_a_worker_that_rests_gets_nothing_until_it_is_over() -> None:
    made = roster(a=1)
    made.rest("a", 30.0)
    made.wait(1, "t")
    assert (made.assign(29.0), made.next_change(29.0)) == ([], 30.0)
    assert made.assign(30.0) == [(1, "a")]


def test_a_worker_that_takes_no_more_is_no_hope() -> None:
    made = roster(a=1, b=1)
    made.rest("a", inf)
    assert made.has_hope(NOBODY)
    assert not made.has_hope(frozenset({"b"}))
    made.wait(1, "t", frozenset({"b"}))
    assert (made.assign(1e9), made.next_change(0.0)) == ([], None)


def test_only_so_many_threads_are_remembered() -> None:
    made = roster(a=1, b=1)
    given(made, "old")
    made.release("a", "old", 0.0)
    for number in range(worker_choice.THREADS_MAX):
        made.release("b", f"t{number}", 0.0)
    assert len(made._threads) == worker_choice.THREADS_MAX
    assert "old" not in made._threads


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order, nobody gets more than they offered and nobody waits beside free room."""

    def __init__(self) -> None:
        super().__init__()
        self.roster = Roster(10.0)
        self.now = 0.0
        self.tickets = 0
        self.offers: dict[str, int] = {}
        self.rests: dict[str, float] = {}
        self.waiting: dict[int, frozenset[str]] = {}
        self.running: dict[int, str] = {}
        self.threads: dict[int, str] = {}

    def room(self, worker: str) -> bool:
        busy = sum(1 for name in self.running.values() if name == worker)
        return busy < self.offers[worker] and self.now >= self.rests.get(worker, -inf)

    @rule(concurrent=st.integers(1, 3))
    def join(self, concurrent: int) -> None:
        name = f"w{self.tickets}-{len(self.offers)}"
        self.offers[name] = concurrent
        self.roster.join(name, concurrent)

    @precondition(lambda self: self.offers)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.offers)))
        del self.offers[name]
        self.roster.leave(name)
        for ticket in [one for one, worker in self.running.items() if worker == name]:
            del self.running[ticket]
            self.roster.release(name, self.threads[ticket], self.now)

    @rule(thread=st.integers(0, 3))
    def come(self, thread: int) -> None:
        self.tickets += 1
        self.threads[self.tickets] = f"t{thread}"
        self.waiting[self.tickets] = NOBODY
        self.roster.wait(self.tickets, f"t{thread}")

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.waiting)))
        del self.waiting[ticket]
        self.roster.withdraw(ticket)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), is_refused=st.booleans(), rest_s=st.sampled_from([0.0, 3.0, inf]))
    def end(self, data: st.DataObject, is_refused: bool, rest_s: float) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.running)))
        worker = self.running.pop(ticket)
        self.roster.release(worker, self.threads[ticket], self.now)
        if is_refused:
            self.rests[worker] = max(self.rests.get(worker, -inf), self.now + rest_s)
            self.roster.rest(worker, self.now + rest_s)
            self.waiting[ticket] = frozenset({worker})
            self.roster.wait(ticket, self.threads[ticket], self.waiting[ticket])

    @rule(seconds=st.floats(0.0, 20.0))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def assign(self) -> None:
        for ticket, worker in self.roster.assign(self.now):
            assert worker not in self.waiting[ticket], "it refused this run"
            assert self.room(worker), "it offered no more"
            earlier = [one for one in self.waiting if one < ticket and worker not in self.waiting[one]]
            assert not earlier, "somebody who came before could have had it"
            del self.waiting[ticket]
            self.running[ticket] = worker
        for ticket, refused in self.waiting.items():
            free = [name for name in self.offers if name not in refused and self.room(name)]
            assert not free, f"{ticket} waits beside free workers"

    @invariant()
    def it_counts_right(self) -> None:
        assert (self.roster.workers, self.roster.waiting) == (len(self.offers), len(self.waiting))


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
