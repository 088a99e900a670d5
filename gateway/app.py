"""One gateway: its subjects joined, the order in which they start and stop, and its housekeeping.

What they are made of is in `composition/`; its life as a process (signals, files, the first token) in `daemon.py`.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

import structlog

from gateway import crash_points
from gateway.clock import Clock
from gateway.composition.front import edge_context, intakes
from gateway.composition.governance import governance as make_governance
from gateway.composition.rooms import rooms as make_rooms
from gateway.composition.runs import runs as make_runs
from gateway.edge import access
from gateway.edge.server import Server
from gateway.edge.websocket import EdgeContext
from gateway.hub.hub import Hub
from gateway.metrics import Metrics, Sample
from gateway.services.redactors import Redactors
from gateway.services.reloading import Reloading
from gateway.settings import Settings
from protocol import limits
from storage.errors import StoreUnavailable
from storage.store import Store
from storage.values import DEFAULT_ORG, GATEWAY, Act, CommittedEvent

log = structlog.get_logger()

HOUSEKEEPING_S: Final = 60.0
"""How often old answers of idempotency keys are dropped."""
FORGET_ROUNDS: Final = 200
"""Transactions spent on it at most, each a few milliseconds; what is left waits for the next time."""
LAG_PROBE_S: Final = 0.5
"""How often the loop's lag is measured."""


def _crash_on_events(signals: Sequence[object]) -> None:
    """What happens in threads is what crash tests are about, not the records of a start."""
    if any(isinstance(signal, CommittedEvent) for signal in signals):
        crash_points.reached("store.committed")


class Gateway:
    """One running gateway over an open store."""

    def __init__(self, settings: Settings, store: Store, clock: Clock, local_secret: str) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self.metrics = Metrics()
        self._hub = Hub(store.threads, store.identity.epoch)
        self.rooms = make_rooms(settings, store, clock)
        self.governance = make_governance(
            settings, store, clock, self.metrics, self.rooms.channels, local_secret
        )
        self.runs = make_runs(settings, store, clock, self._hub, self.rooms, self.governance)
        subjects = (self._hub, self.rooms, self.governance, self.runs)
        self._intakes = intakes(store, clock, *subjects)
        context = edge_context(settings, store, clock, self.metrics, *subjects)
        self._server = Server(context, settings, self._missing, self.governance.outlets.degraded)
        self._chores: list[asyncio.Task[None]] = []
        self._hear_commits(context)
        self.metrics.read_from(self._samples)

    @property
    def redactors(self) -> Redactors:
        """What masks personal data in what leaves."""
        return self.governance.redactors

    @property
    def reloading(self) -> Reloading:
        """How the configuration is read again."""
        return self.runs.reloading

    def _hear_commits(self, context: EdgeContext) -> None:
        """Who is told of commits, in which order."""
        engine = self._store.engine
        if crash_points.is_armed("store.committed"):
            engine.add_hook(_crash_on_events)
        for hook in (
            self._hub.on_commit,
            self.runs.waits.on_commit,
            self.runs.steering.on_commit,
            self.governance.budgets.on_commit,
            self.runs.scheduler.on_commit,
            self.rooms.deliveries.on_commit,
            self.rooms.receipts.on_commit,
            self.governance.approval_cards.on_commit,
            self.governance.releases.on_commit,
            self.governance.approval_times.on_commit,
            self.rooms.attachments.on_commit,
            self.governance.checkpoints.on_commit,
            self.governance.outlets.on_commit,
            lambda signals: access.on_commit(context, signals),
        ):
            engine.add_hook(hook)

    @property
    def url(self) -> str:
        """Where it listens."""
        host = self._settings.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self._server.port}"

    async def start(self, on_listening: Callable[[], None] = lambda: None) -> None:
        """Recover what an earlier process left, then serve. Raises OSError when the port is taken.

        `on_listening` is called before the first request can be answered: what it publishes is there when
        somebody who waited for the port connects.
        """
        await self.governance.outlets.start()
        await self.governance.checkpoints.start()
        act = Act(DEFAULT_ORG, GATEWAY, "start", self._clock.now_ms())
        await self.governance.releases.start(self._settings.agents, act)
        await self.runs.agents.start()
        await self.runs.switches.start()
        await self.governance.budgets.start()
        await self.rooms.deliveries.start()
        await self.runs.scheduler.start()
        await self.rooms.attachments.start()
        await self.governance.approval_cards.start()
        await self.governance.approval_times.start()
        await self._server.start()
        on_listening()
        for adapter, intake in self._intakes:
            await adapter.start(intake)
        await self.rooms.health.start()
        await self.runs.doctor.start()
        await self.runs.reloading.start()
        self._chores = [
            asyncio.create_task(self._keep_house(), name="housekeeping"),
            asyncio.create_task(self._measure_lag(), name="loop lag"),
            asyncio.create_task(self.governance.retention.keep(), name="retention"),
            asyncio.create_task(self.governance.erasures.go_on(), name="erasures"),
        ]

    async def stop(self) -> None:
        """The ordered end: clients told, turns finished or parked, deliveries, adapters, hub, port.

        Adapters go after what they send: a call cut off in the middle would be one nobody knows about. What they
        still receive is stored, and runs at the next start.
        """
        await self._server.drain()
        await self.runs.reloading.stop()
        await self.runs.doctor.stop()
        await self.rooms.health.stop()
        await self.rooms.attachments.stop()
        await self.governance.budgets.stop()
        await self.runs.scheduler.stop(self._settings.runs.shutdown_s)
        await self.runs.agents.stop()
        await self.governance.approval_times.stop()
        await self.governance.approval_cards.stop()
        await self.governance.releases.stop()
        await self.governance.invocations.close()
        await self.rooms.finish()
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        await self._hub.close()
        await self._server.stop()
        with suppress(StoreUnavailable):
            await self._note_access()
        await self.governance.devices.close()
        await self.governance.checkpoints.stop()
        await self.governance.outlets.stop()

    # --- state --------------------------------------------------------------------------------

    async def _missing(self) -> list[str]:
        """What keeps the gateway from being ready."""
        missing = []
        if not self._store.engine.writable:
            try:
                await self._store.runs.renew_leases("readiness probe", 0)  # a write that changes nothing
            except StoreUnavailable as error:
                missing.append(str(error))
        return [*missing, *self.rooms.missing()]

    def _samples(self) -> Iterable[Sample]:
        stats = self._store.engine.stats
        yield "threadgate_store_writes", "Writes committed", stats.writes, {}
        yield "threadgate_store_groups", "Group commits", stats.groups, {}
        yield "threadgate_store_reads", "Reads", stats.reads, {}
        yield (
            "threadgate_store_failed_commits",
            "Group commits the disk did not take",
            stats.failed_commits,
            {},
        )
        yield "threadgate_store_naps", "Times the busy loop let the store's threads run", stats.naps, {}
        yield "threadgate_turns_active", "Threads whose run is being driven", self.runs.scheduler.active, {}
        yield "threadgate_devices_connected", "Devices here", len(self.governance.device_connections), {}
        yield "threadgate_hub_deliveries", "Events and deltas handed to followers", self._hub.deliveries, {}
        yield (
            "threadgate_audit_unsealed",
            "Audit entries under no checkpoint yet",
            self.governance.checkpoints.unsealed,
            {},
        )
        yield from self.governance.outlets.samples()
        yield from self.rooms.health.samples()
        yield from self.governance.reading.samples()
        yield from self.governance.retention.samples()
        yield from self.runs.doctor.samples()
        yield from self.runs.reloading.samples()

    async def _note_access(self) -> None:
        """Write what is known of credentials: when they were used, and how often others were refused."""
        await self.governance.authenticator.note_used()
        await self.governance.denials.settle()

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            before_ms = self._clock.now_ms() - limits.IDEMPOTENCY_TTL_S * 1000
            try:
                await self._note_access()
                await self._store.links.forget_codes(self._clock.now_ms())
                await self.runs.waits.expire()
                await self.governance.invocations.expire()
                await self.rooms.attachments.collect()
                await self.governance.budgets.keep_house()
                for _ in range(FORGET_ROUNDS):
                    if not await self._store.identities.forget_answers(before_ms):
                        break
            except StoreUnavailable as error:
                log.warning(
                    "housekeeping waits for the store", action="housekeeping_failed", error=str(error)
                )

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_PROBE_S
            await asyncio.sleep(LAG_PROBE_S)
            self.metrics.loop_lag.observe(max(0.0, loop.time() - due))
