"""The loop: kill, examine, begin again; and the table at the end. `run` is what tests call, `main` the command.

Half of the kills happen at named crash points, in turn, the others at random moments, some of them while the
gateway still starts. The emulator and everybody who talks live in this process and survive all of it.
"""

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from threadgate_client import Client
from threadgate_client import limits as client_limits

from channels.emulators.telegram import NO_FLOOD_LIMITS, TelegramEmulator
from gateway.crash_points import POINTS, VARIABLE
from storage.store import verify_audit

from .autopsy import Autopsy, Verdict, is_quiet, judge
from .gateways import BOT, Gateways
from .ledger import Ledger
from .observer import Observer
from .people import PRIVATE_ROOMS, ROOMS, Person, Sender, said_by_bot

RANDOM, STARTING, NOT_MET = "random moment", "while starting", "point not met in time"
LIFE_S = (0.0, 0.9)
"""How long a gateway is left alone before a random kill: also beyond one checkpoint (0.5 s)."""
START_S = (0.0, 0.04)
"""A start takes about 0.03 s from its birth: open the store, recover, listen."""
ONCE = ("delivery.doubted", "run.taken_over")
"""Points on the way of a start, which are not met again and again."""
POINT_PATIENCE_S = 3.0
"""A named point that was not reached by then is not waited for."""
VERIFY_EVERY = 25
"""Kills between two verifications of the audit chain."""
BACKOFF_LAST_S = 0.3
"""The clients' longest pause between two attempts to connect: here the gateway is away for milliseconds."""
QUIET_S = 60.0
"""Time for everything that is owed to be done in the end."""
SHOWN_MAX = 20
"""Findings of one kind that the report spells out."""
THREADS_MAX = 24
"""Threads the clients begin; one connection follows at most 128."""


@dataclass(slots=True)
class Report:
    """What a loop did and what came of it."""

    kills: Counter[str]
    verdict: Verdict
    verifications: int
    loop_s: float
    text_updates: int
    exit_code: int

    @property
    def total(self) -> int:
        """All kills."""
        return self.kills.total()


@dataclass(slots=True)
class CrashLoop:
    """Everything one loop consists of."""

    kills_wanted: int
    rng: random.Random
    gateways: Gateways
    emulator: TelegramEmulator
    ledger: Ledger
    autopsy: Autopsy
    kills: Counter[str] = field(default_factory=Counter)
    verifications: int = 0
    _order: list[str] = field(default_factory=list)

    async def kill_all(self) -> None:
        """As many deaths as wanted, each examined."""
        while self.kills.total() < self.kills_wanted:
            point = self._next_point() if self.rng.random() < 0.5 else None
            if point is None:
                met = await self._kill_at_random()
            else:
                met = await self._kill_at(point)
            self.kills[met] += 1
            self.autopsy.examine(self.emulator.confirmed_offset())
            if self.kills.total() % VERIFY_EVERY == 0:
                self.verify()

    def verify(self) -> None:
        """Follow the audit chain."""
        self.verifications += 1
        place, found = verify_audit(self.gateways.data_dir)
        if found is not None:
            self.ledger.faults.append(f"the audit chain breaks after {place.seq}: {found.reason}")

    async def _kill_at_random(self) -> str:
        await self.gateways.birth()
        if self.rng.random() < 0.2:
            await asyncio.sleep(self.rng.uniform(*START_S))
            kind = STARTING
        else:
            await self.gateways.ready()
            await asyncio.sleep(self.rng.uniform(*LIFE_S))
            kind = RANDOM
        self.gateways.send(signal.SIGKILL)
        await self._death()
        return kind

    async def _kill_at(self, point: str) -> str:
        await self.gateways.birth({VARIABLE: f"{point}:{1 if point in ONCE else self.rng.randint(1, 3)}"})
        try:
            async with asyncio.timeout(POINT_PATIENCE_S):
                await self._death()
                return point
        except TimeoutError:
            self.gateways.send(signal.SIGKILL)
            await self._death()
            return NOT_MET

    async def _death(self) -> None:
        code = await self.gateways.death()
        if code != -signal.SIGKILL:
            self.ledger.faults.append(f"a gateway ended by itself with {code}; see {self.gateways.log_path}")

    def _next_point(self) -> str:
        if not self._order:
            self._order = self.rng.sample(POINTS, len(POINTS))
        return self._order.pop()


@dataclass(slots=True)
class Cast:
    """Everybody who talks and watches, as tasks."""

    observer: Observer
    senders: list[Sender]
    watching: asyncio.Task[None]
    typing: list[asyncio.Task[None]]
    sending: list[asyncio.Task[None]]

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """All of them."""
        return [self.watching, *self.typing, *self.sending]


async def run(kills: int, seed: int, place: Path, *, acks_before_commit: bool = False) -> Report:
    """One whole loop in a directory of its own."""
    rng = random.Random(seed)
    ledger = Ledger(random.Random(rng.random()))
    emulator = TelegramEmulator([BOT], flood_limits=NO_FLOOD_LIMITS, slows_repeated_polls=False)
    gateways = Gateways(place, acks_before_commit=acks_before_commit)
    loop = CrashLoop(kills, rng, gateways, emulator, ledger, Autopsy(gateways.data_dir, ledger))
    async with AsyncExitStack() as stack:
        stack.enter_context(_hasty_clients())
        await stack.enter_async_context(emulator)
        stack.push_async_callback(gateways.close)
        cast = await _assemble(loop, stack)
        gateways.send(signal.SIGKILL)
        await gateways.death()
        loop.autopsy.examine(emulator.confirmed_offset())  # somebody may have been answered just then
        began = time.monotonic()
        await loop.kill_all()
        loop_s = time.monotonic() - began
        exit_code = await _finish(loop, cast)
    rooms = {room.chat_id: said_by_bot(emulator, room.chat_id) for room in ROOMS}
    views, offset = cast.observer.views, emulator.confirmed_offset()
    verdict = judge(gateways.data_dir, ledger, loop.autopsy, rooms, views, offset)
    return Report(loop.kills, verdict, loop.verifications, loop_s, cast.observer.text_updates, exit_code)


@contextmanager
def _hasty_clients() -> Iterator[None]:
    """The clients' backoff is made for gateways that are away for longer than milliseconds."""
    usual = client_limits.BACKOFF_LAST_S
    client_limits.BACKOFF_LAST_S = BACKOFF_LAST_S  # type: ignore[misc]
    try:
        yield
    finally:
        client_limits.BACKOFF_LAST_S = usual  # type: ignore[misc]


async def _assemble(loop: CrashLoop, stack: AsyncExitStack) -> Cast:
    """The first gateway, clients, and everybody at work."""
    gateways, ledger, rng = loop.gateways, loop.ledger, loop.rng
    await gateways.open(loop.emulator.url)
    await gateways.birth()
    secret = await gateways.secret()
    clients = [
        await stack.enter_async_context(Client(gateways.url, token=secret, name=f"chaos {n}"))
        for n in range(5)
    ]
    people = [Person(room, loop.emulator, ledger, random.Random(rng.random())) for room in ROOMS]
    for person in people:
        person.say()
    own = [(await clients[1].threads.create(title=f"chaos {n}")).id for n in range(2)]
    room = await _thread_of(clients[1], PRIVATE_ROOMS[0].chat_id)
    senders = _senders(clients[1:], ledger, rng, own, room)
    observer = Observer(clients[0], ledger)
    cast = Cast(
        observer,
        senders,
        asyncio.create_task(observer.watch()),
        [asyncio.create_task(person.talk()) for person in people],
        [asyncio.create_task(sender.talk()) for sender in senders],
    )
    stack.push_async_callback(_end, cast.tasks)
    return cast


async def _finish(loop: CrashLoop, cast: Cast) -> int:
    """One gateway more that nobody kills: everything owed is done. Returns its exit code."""
    await loop.gateways.birth()
    for sender in cast.senders:
        sender.stop()
    for task in cast.tasks:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            loop.ledger.faults.append(f"the harness broke: {error!r}")
    await _end(cast.typing)
    await _quiet(loop, cast.sending)
    loop.gateways.send(signal.SIGTERM)
    exit_code = await loop.gateways.death()
    if exit_code != 0:
        loop.ledger.faults.append(f"the last gateway ended with {exit_code}")
    loop.verify()
    return exit_code


def _senders(
    clients: Sequence[Client], ledger: Ledger, rng: random.Random, own: list[str], room: str
) -> list[Sender]:
    """An orderly one, an impatient one, one that begins many threads, and one that writes into a room."""

    def many() -> tuple[str | None, int | None]:
        begun = {said.thread_id for said in ledger.said if said.update_id is None} - {None, room, *own}
        return (None if len(begun) < THREADS_MAX else rng.choice(sorted(map(str, begun)))), None

    def sender(
        client: Client, thread: Callable[[], tuple[str | None, int | None]], hurry: bool = False
    ) -> Sender:
        return Sender(client, ledger, random.Random(rng.random()), thread, is_impatient=hurry)

    return [
        sender(clients[0], lambda: (own[0], None)),
        sender(clients[1], lambda: (own[1], None), hurry=True),
        sender(clients[2], many),
        sender(clients[3], lambda: (room, PRIVATE_ROOMS[0].chat_id)),
    ]


async def _thread_of(client: Client, room: int) -> str:
    """The thread of a room in which something was said."""
    while True:
        for thread in (await client.threads.list()).items:
            if thread.origin.room == str(room):
                return thread.id
        await asyncio.sleep(0.05)


async def _quiet(loop: CrashLoop, sending: Sequence[asyncio.Task[None]]) -> None:
    """Wait until everything owed is done, and a moment longer for the observer, and for what should not come."""
    try:
        async with asyncio.timeout(QUIET_S):
            await asyncio.gather(*sending)
            while loop.emulator.pending_updates() or not is_quiet(loop.gateways.data_dir):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            await asyncio.sleep(1.0)
    except TimeoutError:
        loop.ledger.faults.append(f"not everything was done {QUIET_S:g} s after the last kill")


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def table(report: Report) -> str:
    """The report as people read it."""
    verdict = report.verdict
    lines = ["kills per moment"]
    lines += [f"  {report.kills[name]:6}  {name}" for name in (*POINTS, RANDOM, STARTING, NOT_MET)]
    lines += [
        f"  {report.total:6}  in all, {report.loop_s / max(1, report.total):.2f} s each",
        f"{verdict.accepted} messages accepted, {verdict.answered} answers, {verdict.shown} messages shown in rooms",
        f"{verdict.events} events and {report.text_updates} text updates followed",
        f"lost = {len(verdict.lost)}   duplicated = {len(verdict.duplicated)}   wrong = {len(verdict.wrong)}",
        f"uncertain = {verdict.uncertain} (counted), placeholders left over = {verdict.orphans}, "
        f"visible endings without an answer = {verdict.visible_endings}",
        f"audit chain verified {report.verifications} times",
    ]
    for kind, findings in (
        ("lost", verdict.lost),
        ("duplicated", verdict.duplicated),
        ("wrong", verdict.wrong),
    ):
        lines += [f"  {kind}: {finding}" for finding in findings[:SHOWN_MAX]]
        if len(findings) > SHOWN_MAX:
            lines.append(f"  … and {len(findings) - SHOWN_MAX} more {kind}")
    return "\n".join(lines)


def main() -> int:
    """The command; exit code 0 when every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.crash_loop", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=None, help="default: a new one, printed")
    parser.add_argument(
        "--negative-control", action="store_true", help="the loop must fail: acks before commits"
    )
    parser.add_argument("--keep", type=Path, default=None, help="an empty directory for data and log")
    arguments = parser.parse_args()
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="threadgate-chaos-") as scratch:
        place = arguments.keep or Path(scratch)
        report = asyncio.run(run(arguments.kills, seed, place, acks_before_commit=arguments.negative_control))
    print(table(report))
    return 0 if report.verdict.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
