"""A stage: one data directory, the gateways that live on it one after the other, an agent, and who is there.

Cells are played one after the other. What a cell says goes into threads that are used again and again, so that
sessions and histories go on as they would.
"""

import asyncio
import secrets
import signal
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final, Self

from threadgate_client import Client, Event, MethodNotFound, SendResult

from gateway import runtime_file
from gateway.crash_points import VARIABLE
from storage.store import verify_audit

from ..autopsy import Verdict, is_quiet, judge_views, snapshot
from ..gateways import Gateways
from ..ledger import Ledger
from ..observer import Observer
from .cells import Cell, Kill
from .judgement import Finding, Spoken, judge
from .kinds import Kind, Line
from .person import Person

QUIET_S: Final = 20.0
"""All that a cell said must have ended by then; what has not, is stuck."""
SIGN_S: Final = 5.0
"""A run that was cut off must have gone on, ended, or asked a person so soon after its gateway served again."""
DYING_S: Final = 0.3
"""All may be over in the store a moment before the gateway dies of it."""
POLL_S: Final = 0.01
THREADS: Final = 6
"""Cells after which a line's thread is used again."""
REPLAYED: Final = "run.replay"


@dataclass(slots=True)
class Outcome:
    """What came of a cell. `met`: somebody was killed everywhere it says.

    `sign_s` and `end_s` are counted from when the last gateway served.
    """

    cell: Cell
    met: bool
    kills: int = 0
    states: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    asked: int = 0
    replayed: int = 0
    sign_s: float = 0.0
    end_s: float = 0.0


@dataclass(slots=True)
class Death:
    """What was unfinished when a gateway died, and what happened afterwards."""

    owed: list[str]
    head: int
    ready_at: float | None = None


class Stage:
    """Open it with `async with`; it ends every process it started.

    `fault` is the name of a negative control, `quiet_s` how long is waited for a cell to end.
    """

    def __init__(self, kind: Kind, place: Path, fault: str = "", quiet_s: float = QUIET_S) -> None:
        self.kind = kind
        self.quiet_s = quiet_s
        self.ledger = Ledger(Random(0))
        self.gateways = Gateways(place, *([f"--{fault}"] if fault else []))
        self._place = place
        self._stack = AsyncExitStack()
        self._number = 0
        self._threads: dict[tuple[int, int], str] = {}
        self._seen: dict[str, int] = {}
        self._news = asyncio.Event()
        self._replays = True

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._stack.aclose()

    async def _open(self) -> None:
        agents = await self.kind.open(self._place, self._stack)
        self._stack.push_async_callback(self.gateways.close)
        await self.gateways.open([], agents)
        await self.gateways.birth()
        secret = await self.gateways.secret()
        clients = [
            await self._stack.enter_async_context(Client(self.gateways.url, token=secret, name=f"matrix {n}"))
            for n in range(2)
        ]
        self.client = clients[1]
        self.person = Person(self.client, self.ledger)
        self._stack.push_async_callback(self.person.end)
        await self.gateways.ready()
        await self.kind.join(self.client, self.gateways.url, self._stack)
        self.observer = Observer(clients[0], self.ledger, self._hear)
        watching = asyncio.create_task(self.observer.watch())
        self._stack.push_async_callback(_end, watching)

    async def play(self, cell: Cell) -> Outcome:
        """One cell, from what is said to what came of it."""
        self._number += 1
        self.person.manner, self.person.asked = cell, 0
        outcome = Outcome(cell, met=True)
        lines = self.kind.lines(f"t{self._number:05d}")
        deaths: list[Death] = []
        self._seen.clear()
        await self._rebirth(deaths, _arms(cell.kills[0]))
        saying = asyncio.create_task(self._say(lines))
        for number, kill in enumerate(cell.kills):
            if number and (kill.is_armed or self.gateways.pid is None):
                await self._rebirth(deaths, _arms(kill))
            is_carried_out = await self._carry_out(kill, saying)
            self.person.go_on()
            if not is_carried_out:
                outcome.met = False
                break
            outcome.kills += 1
            if kill.victim == "gateway":
                deaths.append(self._examine())
        if self.gateways.pid is None:
            await self._rebirth(deaths, {})
        await self._conclude(outcome, lines, saying, deaths)
        return outcome

    async def close(self) -> list[Finding]:
        """The last gateway ends in order; what can only be seen over all cells."""
        await self._caught_up()
        self.gateways.send(signal.SIGTERM)
        if (code := await self.gateways.death()) != 0:
            self.ledger.faults.append(f"the last gateway ended with {code}; see {self.gateways.log_path}")
        self.verify()
        verdict = Verdict()
        with snapshot(self.gateways.data_dir) as store:
            judge_views(store, self.observer.views, verdict)
        found = [Finding("wrong", text) for text in (*verdict.wrong, *self.ledger.faults)]
        self.ledger.faults.clear()
        return found

    async def _caught_up(self) -> None:
        """Return when the observer has seen as many events as there are, or when it takes too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SIGN_S):
                while True:
                    with snapshot(self.gateways.data_dir) as store:
                        (events,) = store.execute("SELECT count(*) FROM events").fetchone()
                    if events <= sum(map(len, self.observer.views.values())):
                        return
                    await asyncio.sleep(POLL_S)

    def verify(self) -> None:
        """Follow the audit chain."""
        place, broken = verify_audit(self.gateways.data_dir)
        if broken is not None:
            self.ledger.faults.append(f"the audit chain breaks after {place.seq}: {broken.reason}")

    # --- lives and deaths ---------------------------------------------------------------------

    async def _rebirth(self, deaths: list[Death], env: dict[str, str]) -> None:
        """A new gateway, armed or not; one that lives on from the cell before is killed first."""
        if self.gateways.pid is not None:
            self.gateways.send(signal.SIGKILL)
            await self._death()
        await self.gateways.birth(env)
        if env and deaths:
            return  # it may die before it serves
        await self.gateways.ready()
        if deaths:
            deaths[-1].ready_at = (self.gateways.data_dir / runtime_file.NAME).stat().st_mtime

    async def _carry_out(self, kill: Kill, saying: "asyncio.Task[list[SendResult]]") -> bool:
        """Wait until somebody is dead; False when all was over before."""
        if kill.is_armed:
            return await self._dies_by_itself(saying)
        if kill.after_s or not kill.where.startswith("run."):
            await asyncio.sleep(kill.after_s)
        elif not await self._see(kill, saying):
            return False
        if kill.victim == "agent":
            return await self._kill_agent(saying)
        self.gateways.send(signal.SIGKILL)
        await self._death()
        return True

    async def _kill_agent(self, saying: "asyncio.Task[list[SendResult]]") -> bool:
        """As soon as it has a process; False when all was over before."""
        over = asyncio.create_task(self._over(saying))
        try:
            while not (is_killed := self.kind.kill()) and not over.done():  # noqa: ASYNC110
                await asyncio.sleep(POLL_S)
            return is_killed
        finally:
            await _end(over)

    async def _dies_by_itself(self, saying: "asyncio.Task[list[SendResult]]") -> bool:
        dying = asyncio.create_task(self.gateways.death())
        over = asyncio.create_task(self._over(saying))
        await asyncio.wait({dying, over}, timeout=self.quiet_s, return_when=asyncio.FIRST_COMPLETED)
        await _end(over)
        await asyncio.wait({dying}, timeout=DYING_S)
        met = dying.done()
        if not met:
            self.gateways.send(signal.SIGKILL)
        if (code := await dying) != -signal.SIGKILL:
            self.ledger.faults.append(f"a gateway ended by itself with {code}; see {self.gateways.log_path}")
        return met

    async def _see(self, kill: Kill, saying: "asyncio.Task[list[SendResult]]") -> bool:
        """Wait for an event; one that waits for the person keeps waiting."""
        if kill.where == "run.waiting":
            self.person.hold()
        over = asyncio.create_task(self._over(saying))
        try:
            while self._seen.get(kill.where, 0) < kill.count and not over.done():
                self._news.clear()
                news = asyncio.create_task(self._news.wait())
                await asyncio.wait({news, over}, return_when=asyncio.FIRST_COMPLETED)
                await _end(news)
            return self._seen.get(kill.where, 0) >= kill.count
        finally:
            await _end(over)

    async def _death(self) -> None:
        if (code := await self.gateways.death()) != -signal.SIGKILL:
            self.ledger.faults.append(f"a gateway ended by itself with {code}; see {self.gateways.log_path}")

    def _examine(self) -> Death:
        """Which runs the dead gateway owes a sign of life."""
        if self._number % 10 == 0:
            self.verify()
        with snapshot(self.gateways.data_dir) as store:
            owed = [row["id"] for row in store.execute(_OWED)]
            (head,) = store.execute("SELECT coalesce(max(log_offset), 0) FROM events").fetchone()
        return Death(owed, head)

    # --- what is said and what comes of it ------------------------------------------------------

    async def _say(self, lines: list[Line]) -> list[SendResult]:
        return list(await asyncio.gather(*(self._say_one(n, line) for n, line in enumerate(lines))))

    async def _say_one(self, number: int, line: Line) -> SendResult:
        place = number, self._number % THREADS
        key = secrets.token_hex(16)
        sent = await self.client.send(
            line.text, self._threads.get(place), agent_id=line.agent or self.kind.name, idempotency_key=key
        )
        self._threads[place] = sent.thread_id
        return sent

    async def _over(self, saying: "asyncio.Task[list[SendResult]]") -> None:
        """Return when all was said and has ended, as far as the store knows. Never returns when it is stuck."""
        await asyncio.shield(saying)
        while not is_quiet(self.gateways.data_dir):  # noqa: ASYNC110 - the store tells nobody in this process
            await asyncio.sleep(POLL_S)

    async def _conclude(
        self,
        outcome: Outcome,
        lines: list[Line],
        saying: "asyncio.Task[list[SendResult]]",
        deaths: list[Death],
    ) -> None:
        try:
            async with asyncio.timeout(self.quiet_s):
                await self._over(saying)
        except TimeoutError:
            if not saying.done():
                saying.cancel()
                outcome.findings.append(Finding("lost", "the gateway does not take what is said"))
                return
        ended_at = time.time()
        spoken = [
            Spoken(line, sent.message_id, sent.thread_id)
            for line, sent in zip(lines, saying.result(), strict=True)
        ]
        with snapshot(self.gateways.data_dir) as store:
            judged = judge(store, spoken, self.kind.effects(), self.kind.steps)
            self._time_signs(store, outcome, deaths)
        outcome.states, outcome.asked = judged.states, self.person.asked
        outcome.findings += judged.findings
        outcome.findings += [Finding("wrong", fault) for fault in self.ledger.faults]
        self.ledger.faults.clear()
        if deaths and deaths[-1].ready_at is not None and deaths[-1].owed:
            outcome.end_s = max(0.0, ended_at - deaths[-1].ready_at)
        await asyncio.gather(*(self._replay(run_id, outcome) for run_id in judged.completed))

    def _time_signs(self, store: Any, outcome: Outcome, deaths: list[Death]) -> None:
        """How soon what was cut off went on; only after deaths that a gateway lived on to serve."""
        for death in deaths:
            if death.ready_at is None:
                continue
            for run_id in death.owed:
                (at_ms,) = store.execute(_SIGN, (run_id, death.head)).fetchone()
                late_s = (at_ms if at_ms is not None else time.time() * 1000) / 1000 - death.ready_at
                outcome.sign_s = max(outcome.sign_s, late_s)
                if late_s > SIGN_S:
                    outcome.findings.append(Finding("stuck", f"{run_id}: no sign for {late_s:.1f} s"))

    async def _replay(self, run_id: str, outcome: Outcome) -> None:
        """A completed run can be executed again over its journal, and comes to the same."""
        if not self._replays:
            return
        try:
            replay = (await self.client.request(REPLAYED, {"run_id": run_id}))["replay"]
        except MethodNotFound:
            self._replays = False
            return
        outcome.replayed += 1
        if not replay["verified"]:
            outcome.findings.append(
                Finding("wrong", f"{run_id} is replayed otherwise: {replay['differences']}")
            )

    def _hear(self, event: Event) -> None:
        self._seen[event.kind] = self._seen.get(event.kind, 0) + 1
        self._news.set()
        self.person.hear(event)


def _arms(kill: Kill) -> dict[str, str]:
    """The environment of a gateway that is to kill itself, or not."""
    return {VARIABLE: f"{kill.where}:{kill.count}"} if kill.is_armed else {}


_OWED: Final = """
SELECT id FROM runs WHERE state IN ('queued', 'running') OR state = 'waiting'
AND NOT EXISTS (SELECT 1 FROM approvals a WHERE a.run_id = runs.id AND a.state = 'pending')
AND NOT EXISTS (SELECT 1 FROM questions q WHERE q.run_id = runs.id AND q.state = 'open')
"""
_SIGN: Final = "SELECT min(at) FROM events WHERE run_id = ? AND log_offset > ?"


async def _end(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
