"""The loop: kill, examine, begin again; and the table at the end. `run` is what tests call, `main` the command.

Half of the kills happen at named crash points, in turn, the others at random moments, some of them while the
gateway still starts. The emulated networks and everybody who talks live in this process and survive all of it.
"""

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from threadgate_client import Client
from threadgate_client import limits as client_limits

from channels.emulators.faults import FaultKind
from gateway.crash_points import POINTS, VARIABLE
from storage.store import verify_audit
from tests.contract.discord_network import DiscordNetwork
from tests.contract.networks import Act, Network
from tests.contract.slack_network import SlackNetwork
from tests.contract.telegram_network import TelegramNetwork

from .autopsy import Autopsy, Place, Verdict, is_quiet, judge, unheard
from .gateways import Gateways
from .ledger import Ledger
from .observer import Observer
from .people import Person, Sender, cast_of

NETWORKS: dict[str, Callable[[], Network]] = {
    "slack": SlackNetwork,
    "telegram": TelegramNetwork,
    "discord": DiscordNetwork,
}
_UNMET = ("approval.", "run.resumed", "run.before_end", "run.after_end", "step.", "file.")
MET: tuple[str, ...] = tuple(name for name in POINTS if not name.startswith(_UNMET))
"""Points that what is said here leads to: nobody asks for leave or uses a tool, nothing fails, nobody sends a file. The
others are those of the run matrix."""
FAULTS = ("ack-before-commit", "library-retries", "blind-resend")
"""The negative controls, as the nursery knows them: the loop must fail with each."""
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
DISTURB_S = (0.2, 1.0)
"""Between two answers that get lost on the way, while gateways live."""
QUIET_S = 90.0
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
    networks: dict[str, Network]
    ledger: Ledger
    autopsy: Autopsy
    life_s: tuple[float, float] = LIFE_S
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
            self.autopsy.examine()
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
            await asyncio.sleep(self.rng.uniform(*self.life_s))
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
            self._order = self.rng.sample(MET, len(MET))
        return self._order.pop()


@dataclass(slots=True)
class Cast:
    """Everybody who talks and watches, as tasks."""

    observer: Observer
    people: list[Person]
    senders: list[Sender]
    watching: asyncio.Task[None]
    typing: list[asyncio.Task[None]]
    sending: list[asyncio.Task[None]]

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """All of them."""
        return [self.watching, *self.typing, *self.sending]


async def run(
    kills: int,
    seed: int,
    place: Path,
    *,
    kinds: Sequence[str] = ("telegram",),
    fault: str = "",
    life_s: tuple[float, float] = LIFE_S,
    quiet_s: float = QUIET_S,
) -> Report:
    """One whole loop in a directory of its own, over these networks.

    `fault` is the name of a negative control, `life_s` how long gateways live that die at random, `quiet_s` what it
    may take to do all that is owed in the end.
    """
    rng = random.Random(seed)
    ledger = Ledger(random.Random(rng.random()))
    networks = {kind: NETWORKS[kind]() for kind in kinds}
    gateways = Gateways(place, *([f"--{fault}"] if fault else []))
    loop = CrashLoop(
        kills, rng, gateways, networks, ledger, Autopsy(gateways.data_dir, ledger, networks), life_s
    )
    async with AsyncExitStack() as stack:
        stack.enter_context(hasty_clients())
        for network in networks.values():
            await network.open()
            stack.push_async_callback(network.close)
        stack.push_async_callback(gateways.close)
        cast = await _assemble(loop, stack)
        gateways.send(signal.SIGKILL)
        await gateways.death()
        loop.autopsy.examine()  # somebody may have been answered just then
        began = time.monotonic()
        await loop.kill_all()
        loop_s = time.monotonic() - began
        exit_code = await _finish(loop, cast, quiet_s)
    verdict = judge(
        gateways.data_dir, ledger, loop.autopsy, networks, _rooms(cast.people), cast.observer.views
    )
    return Report(loop.kills, verdict, loop.verifications, loop_s, cast.observer.text_updates, exit_code)


def _rooms(people: Sequence[Person]) -> dict[Place, list[str]]:
    """What the bot's messages show, by conversation, in the order they were posted."""
    shown: dict[Place, list[str]] = defaultdict(list)
    for person in people:
        network = person.network
        for one in network.from_bot(person.spot):
            shown[network.kind, network.room_id(one.spot), one.spot.thread].append(one.text)
    return shown


@contextmanager
def hasty_clients() -> Iterator[None]:
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
    await gateways.open([network.table() for network in loop.networks.values()])
    await gateways.birth()
    secret = await gateways.secret()
    clients = [
        await stack.enter_async_context(Client(gateways.url, token=secret, name=f"chaos {n}"))
        for n in range(5)
    ]
    await gateways.ready()
    people = [
        person
        for network in loop.networks.values()
        for person in cast_of(network, ledger, rng, haste=len(loop.networks))
    ]
    async with asyncio.timeout(QUIET_S):
        await _flowing(clients[1])
        for person in people:
            person.say()
        for person in people:
            await person.is_answered()
    own = [(await clients[1].threads.create(title=f"chaos {n}")).id for n in range(2)]
    room = await _thread_of(clients[1], people[0])
    senders = _senders(clients[1:], ledger, rng, own, room)
    observer = Observer(clients[0], ledger)
    cast = Cast(
        observer,
        people,
        senders,
        asyncio.create_task(observer.watch()),
        [
            *(asyncio.create_task(person.talk()) for person in people),
            asyncio.create_task(_disturb(loop)),
        ],
        [asyncio.create_task(sender.talk()) for sender in senders],
    )
    stack.push_async_callback(_end, cast.tasks)
    return cast


async def _finish(loop: CrashLoop, cast: Cast, quiet_s: float) -> int:
    """One gateway more that nobody kills: everything owed is done. Returns its exit code."""
    await loop.gateways.birth()
    for sender in cast.senders:
        sender.stop()
    for task in cast.tasks:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            loop.ledger.faults.append(f"the harness broke: {error!r}")
    await _end(cast.typing)
    await _quiet(loop, cast.sending, quiet_s)
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

    def many() -> str | None:
        begun = {said.thread_id for said in ledger.said if said.there is None} - {None, room, *own}
        return None if len(begun) < THREADS_MAX else rng.choice(sorted(map(str, begun)))

    def sender(client: Client, thread: Callable[[], str | None], hurry: bool = False) -> Sender:
        return Sender(client, ledger, random.Random(rng.random()), thread, is_impatient=hurry)

    return [
        sender(clients[0], lambda: own[0]),
        sender(clients[1], lambda: own[1], hurry=True),
        sender(clients[2], many),
        sender(clients[3], lambda: room),
    ]


async def _flowing(client: Client) -> None:
    """Return when every network is connected: before that nobody can be heard for the first time."""
    while any(channel.state != "connected" for channel in await client.channels.list()):  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def _thread_of(client: Client, person: Person) -> str:
    """The thread of somebody's conversation."""
    while True:
        for thread in (await client.threads.list()).items:
            if thread.origin.room == person.network.room_id(person.spot):
                return thread.id
        await asyncio.sleep(0.05)


async def _disturb(loop: CrashLoop) -> None:
    """Let answers to sends get lost where a network recognises repeats: there nothing may come of it."""
    networks = [network for network in loop.networks.values() if network.facts.recognises_repeats]
    while networks:
        await asyncio.sleep(loop.rng.uniform(*DISTURB_S))
        loop.rng.choice(networks).disturb(Act.SEND, FaultKind.COMMIT_THEN_DROP)


async def _quiet(loop: CrashLoop, sending: Sequence[asyncio.Task[None]], quiet_s: float) -> None:
    """Wait until everything owed is done, and a moment longer for the observer, and for what should not come."""
    data_dir, networks = loop.gateways.data_dir, loop.networks.values()
    try:
        async with asyncio.timeout(quiet_s):
            await asyncio.gather(*sending)
            while (  # noqa: ASYNC110 - neither the store nor the networks tell this process
                any(network.undelivered() for network in networks)
                or unheard(data_dir, loop.ledger)
                or not is_quiet(data_dir)
            ):
                await asyncio.sleep(0.1)
            await asyncio.sleep(1.0)
    except TimeoutError:
        loop.ledger.faults.append(f"not everything was done {quiet_s:g} s after the last kill")


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def table(report: Report) -> str:
    """The report as people read it."""
    verdict = report.verdict
    lines = ["kills per moment"]
    lines += [f"  {report.kills[name]:6}  {name}" for name in (*MET, RANDOM, STARTING, NOT_MET)]
    lines += [
        f"  {report.total:6}  in all, {report.loop_s / max(1, report.total):.2f} s each",
        f"{verdict.accepted} messages accepted, {verdict.answered} answers",
        *(
            f"  {kind}: {tally.said} said by people, {tally.shown} messages shown, "
            f"{tally.uncertain} uncertain (counted), {tally.orphans} placeholders left over"
            for kind, tally in verdict.networks.items()
        ),
        f"{verdict.events} events and {report.text_updates} text updates followed",
        f"lost = {len(verdict.lost)}   duplicated = {len(verdict.duplicated)}   wrong = {len(verdict.wrong)}",
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
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=["telegram"])
    parser.add_argument(
        "--fault", choices=FAULTS, default="", help="a negative control: gateways with this fault"
    )
    parser.add_argument("--keep", type=Path, default=None, help="an empty directory for data and log")
    arguments = parser.parse_args()
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="threadgate-chaos-") as scratch:
        place = arguments.keep or Path(scratch)
        report = asyncio.run(
            run(arguments.kills, seed, place, kinds=arguments.networks, fault=arguments.fault)
        )
    print(table(report))
    return 0 if report.verdict.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
