"""The composition root: the only place that names concrete classes and puts them together.

`Gateway` is everything one process runs. Its life (signals, files, the first token) is in `daemon.py`.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.metadata import version
from typing import Final

import structlog
from cryptography.fernet import MultiFernet
from pydantic import SecretStr

from channels.messages import HealthState
from channels.port import Adapter
from channels.registry import ChannelSettings, create_adapter
from channels.secrets import SecretUnavailable, resolve_secret
from gateway import crash_points
from gateway.agents.parts import AgentParts
from gateway.agents.port import AgentFailure
from gateway.agents.registry import Agents
from gateway.agents.workers import WorkerPool
from gateway.clock import Clock
from gateway.edge import access, handlers
from gateway.edge.authentication import Authenticator
from gateway.edge.dispatch import Dispatcher
from gateway.edge.handlers.approvals import Deciding
from gateway.edge.handlers.conversations import Conversational
from gateway.edge.handlers.deliveries import Delivering
from gateway.edge.handlers.operations import Operational
from gateway.edge.handlers.pairings import Pairing
from gateway.edge.handlers.runs import Examining
from gateway.edge.handlers.subscriptions import Subscriptions
from gateway.edge.handlers.users import Administering
from gateway.edge.hooks import Hooks
from gateway.edge.server import Server
from gateway.edge.websocket import EdgeContext, connection_limits
from gateway.hub.hub import Hub
from gateway.metrics import Metrics, Sample
from gateway.rules.admission import Policy
from gateway.rules.pace import Pace
from gateway.services.agents import AgentsView
from gateway.services.answer_files import AnswerFiles
from gateway.services.answering import Answering
from gateway.services.approvals import Approvals, Buttons
from gateway.services.attachments import Attachments
from gateway.services.blobs import BlobReader, Uploads
from gateway.services.breakers import AgentBreakers
from gateway.services.channels import AccountPolicy, Channels
from gateway.services.composing import Composer
from gateway.services.conversations import Conversations
from gateway.services.delivery import Deliveries
from gateway.services.denials import Denials
from gateway.services.endings import Endings
from gateway.services.handovers import Handovers
from gateway.services.health import ChannelHealth
from gateway.services.intake import Intake
from gateway.services.leases import Leases
from gateway.services.live import LiveMessages
from gateway.services.pairings import Pairings
from gateway.services.reading import Reading
from gateway.services.receipts import Receipts
from gateway.services.redactors import Redactors
from gateway.services.reloading import Reloading
from gateway.services.replay import Replays
from gateway.services.routing import Routing
from gateway.services.run_doctor import RunDoctor
from gateway.services.scheduler import Capacity, Scheduler
from gateway.services.steering import Steering
from gateway.services.stopping import Stops
from gateway.services.tokens import Tokens
from gateway.services.turn import Turns
from gateway.services.users import Users
from gateway.services.vault import AccountVault, VaultCipher
from gateway.services.waits import Waits
from gateway.settings import Settings, channel_settings, organizations_of
from gateway.vault_key import cipher_from, vault_cipher
from protocol import limits
from protocol.events import ServerIdentity
from protocol.ids import IdPrefix
from protocol.instants import to_instant
from protocol.requests import ServerInfoResult
from storage.errors import StoreUnavailable
from storage.store import Store

log = structlog.get_logger()

VERSION: Final = version("threadgate")
ADAPTER_STOP_S: Final = 5.0
"""Time an adapter gets to finish a commit and close its connections."""
DELIVERY_STOP_S: Final = 5.0
"""Time a delivery in flight gets to be recorded; one that is cut off is reconciled at the next start."""
RECEIPT_STOP_S: Final = 1.0
"""Time a reaction gets to be shown."""
HOUSEKEEPING_S: Final = 60.0
"""How often old answers of idempotency keys are dropped."""
FORGET_ROUNDS: Final = 200
"""Transactions spent on it at most, each a few milliseconds; what is left waits for the next time."""
LAG_PROBE_S: Final = 0.5
"""How often the loop's lag is measured."""


def _secret(reference: SecretStr) -> str:
    try:
        return resolve_secret(reference)
    except SecretUnavailable as error:
        raise AgentFailure("missing_secret", str(error)) from error


class Gateway:
    """One running gateway over an open store."""

    def __init__(self, settings: Settings, store: Store, clock: Clock, local_secret: str) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self.metrics = Metrics()
        identity = ServerIdentity(name="threadgate", version=VERSION)
        vaults = VaultCipher(self._vault_cipher())
        adapters = [
            (channel, create_adapter(channel, self._vault(channel, vaults)))
            for channel in channel_settings(settings)
        ]
        policies: dict[tuple[str, str], AccountPolicy] = {
            (of.kind, of.account): AccountPolicy(of.on_unknown, of.receipts, of.org) for of, _ in adapters
        }
        self._channels = Channels([adapter for _, adapter in adapters], policies)
        self._workers = WorkerPool()
        parts = AgentParts(settings.directory, _secret, self._workers)
        self._agents = Agents(settings.agents, settings.default_agent_id, parts)
        self._routing = Routing(settings.routes, settings.default_agent_id, self._agents)
        composer = self._composer()
        self._hub = Hub(store.threads, store.identity.epoch)
        self._deliveries = Deliveries(store.outbox, self._channels, clock, read_blob=BlobReader(store.blobs))
        self._attachments = Attachments(
            store.blobs, store.threads, self._channels, clock, limit_bytes=settings.limits.blob_bytes
        )
        self._live = LiveMessages(store.outbox, self._channels, self._deliveries, clock)
        self._approvals = Approvals(store.approvals, store.threads, self._channels, clock)
        self._receipts = Receipts(self._channels, self._deliveries.traffic, clock)
        self._health = ChannelHealth(self._channels, store.outbox, self._deliveries.traffic, clock)
        leases = Leases(clock.new_id(IdPrefix.EPOCH), clock)
        self.redactors = Redactors(settings.privacy, settings.data_dir)
        self._reading = Reading(self.redactors.of if settings.privacy.models else None)
        self._waits = Waits(store.runs, self._approvals, self._channels, leases, clock)
        self._breakers = AgentBreakers(clock)
        self._steering = Steering()
        self._scheduler = self._make_scheduler(leases, composer)
        self._run_doctor = RunDoctor(
            store.runs,
            self._agents,
            self._scheduler,
            self._answering.silent_s,
            self._breakers.state,
            leases.owner,
            clock,
            store.users.organizations,
        )
        self.reloading = Reloading(
            settings, self._agents, self._routing.replace, self._breakers.forget, store.audit, clock
        )
        self._intakes = [(adapter, self._intake(channel, adapter, composer)) for channel, adapter in adapters]
        self._denials = Denials(store.audit, clock)
        self._authenticator = Authenticator(
            store.identities, self._denials, clock, local_secret, organizations_of(settings)
        )
        context = self._edge(identity, composer)
        self._server = Server(context, settings, self._missing)
        self._chores: list[asyncio.Task[None]] = []
        self._hear_commits(context)
        self.metrics.read_from(self._samples)

    def _composer(self) -> Composer:
        settings = self._settings
        return Composer(
            self._clock,
            self._channels,
            self._routing,
            settings.runs.queue_max,
            settings.limits.attachments,
            messages_max=settings.runs.messages_max,
            steerable=self._steerable,
        )

    def _hear_commits(self, context: EdgeContext) -> None:
        """Who is told of commits, in which order."""
        engine = self._store.engine
        if crash_points.is_armed("store.committed"):
            engine.add_hook(lambda signals: crash_points.reached("store.committed"))
        for hook in (
            self._hub.on_commit,
            self._waits.on_commit,
            self._steering.on_commit,
            self._scheduler.on_commit,
            self._deliveries.on_commit,
            self._receipts.on_commit,
            self._attachments.on_commit,
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
        await self._agents.start()
        await self._deliveries.start()
        await self._scheduler.start()
        await self._attachments.start()
        await self._server.start()
        on_listening()
        for adapter, intake in self._intakes:
            await adapter.start(intake)
        await self._health.start()
        await self._run_doctor.start()
        await self.reloading.start()
        self._chores = [
            asyncio.create_task(self._keep_house(), name="housekeeping"),
            asyncio.create_task(self._measure_lag(), name="loop lag"),
        ]

    async def stop(self) -> None:
        """The ordered end: clients told, turns finished or parked, deliveries, adapters, hub, port.

        Adapters go after what they send: a call cut off in the middle would be one nobody knows about. What they
        still receive is stored, and runs at the next start.
        """
        await self._server.drain()
        await self.reloading.stop()
        await self._run_doctor.stop()
        await self._health.stop()
        await self._attachments.stop()
        await self._scheduler.stop(self._settings.runs.shutdown_s)
        await self._agents.stop()
        await self._live.close(DELIVERY_STOP_S)
        await self._receipts.close(RECEIPT_STOP_S)
        await self._deliveries.stop(DELIVERY_STOP_S)
        await asyncio.gather(*(self._stop_adapter(adapter) for adapter, _ in self._intakes))
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        await self._hub.close()
        await self._server.stop()
        with suppress(StoreUnavailable):
            await self._note_access()

    # --- parts --------------------------------------------------------------------------------

    def _vault_cipher(self) -> Callable[[], MultiFernet]:
        """How the vault's cipher is made. Raises SecretUnavailable at once for a configured key that is none."""
        settings = self._settings
        if settings.vault_key is not None:
            cipher_from(settings.vault_key)
        return lambda: vault_cipher(settings.vault_key, settings.data_dir)

    def _vault(self, channel: ChannelSettings, cipher: VaultCipher) -> AccountVault:
        return AccountVault(
            self._store.vault, cipher, self._clock, channel.org, channel.kind, channel.account
        )

    def _intake(self, channel: ChannelSettings, adapter: Adapter, composer: Composer) -> Intake:
        policy = Policy(
            dm_policy=channel.dm_policy,
            allow=frozenset(channel.allow),
            allow_external=channel.allow_external,
            rooms=frozenset(channel.rooms),
            mention_required=channel.mention_required,
        )
        pace = Pace(channel.messages_per_minute)
        buttons = Buttons(self._approvals, channel.org, adapter, frozenset(channel.approvers))
        stops = Stops(self._store.inbox, self._store.threads, self._hub, composer)
        return Intake(
            adapter, self._store.inbox, composer, self._clock, policy, pace, buttons, stops, channel.org
        )

    def _make_scheduler(self, leases: Leases, composer: Composer) -> Scheduler:
        store, clock, settings = self._store, self._clock, self._settings
        sizes = settings.limits
        files = AnswerFiles(store.blobs, clock, limit_bytes=sizes.blob_bytes, files_max=sizes.attachments)
        self._answering = Answering(
            store.runs,
            store.threads,
            files,
            self._waits,
            clock,
            self._reading,
            timeout_s=settings.runs.turn_timeout_s,
        )
        self._replays = Replays(store.runs, store.journal, store.threads, self._agents, files, self._reading)
        turns = Turns(
            store.journal,
            self._agents,
            self._answering,
            Endings(store.runs, self._channels, composer, clock),
            self._waits,
            self._breakers,
            self._hub,
            self._live,
            self._receipts,
            self._steering,
            clock,
            attempts_max=settings.runs.attempts_max,
        )
        capacity = Capacity(
            settings.runs.concurrent, self._agent_limits, self._agent_versions, lambda: self._waits.held
        )
        return Scheduler(store.runs, turns.drive, clock, leases, capacity)

    def _steerable(self) -> frozenset[str]:
        return frozenset(agent.settings.id for agent in self._agents.all() if agent.is_steerable)

    def _agent_limits(self) -> dict[str, int]:
        wanted = {agent.settings.id: agent.settings.concurrent for agent in self._agents.all()}
        return {agent_id: limit for agent_id, limit in wanted.items() if limit}

    def _agent_versions(self) -> dict[str, str]:
        return {agent.settings.id: agent.settings.version for agent in self._agents.all()}

    def _edge(self, identity: ServerIdentity, composer: Composer) -> EdgeContext:
        store, clock, settings, agents = self._store, self._clock, self._settings, self._agents
        info = ServerInfoResult(
            server=identity,
            epoch=store.identity.epoch,
            minors=list(limits.MINORS),
            limits=connection_limits(settings.limits),
            default_agent_id=agents.default_id,
            started_at=to_instant(clock.now_ms()),
        )
        handovers = Handovers(
            store.handovers, store.threads, agents, self._channels, self._hub, composer, clock
        )
        conversations = Conversations(
            store.threads,
            store.runs,
            agents,
            self._routing,
            handovers,
            self._hub,
            composer,
            clock,
            store.blobs,
            settings.limits.attachments,
        )
        tokens = Tokens(store.identities, store.users, clock)
        table = handlers.table(
            Conversational(store.threads, store.runs, conversations, handovers, agents),
            Deciding(store.approvals, self._approvals),
            Operational(
                info,
                AgentsView(agents, self._scheduler.running, self._breakers.state, self._workers.count),
                self._routing,
                self.reloading,
                self._health,
                tokens,
                store.identities,
                store.audit,
            ),
            Delivering(store.deliveries),
            Subscriptions(self._hub, store.position),
            Pairing(Pairings(store.pairings, self._channels, clock)),
            Examining(store.journal, self._run_doctor, self._replays),
            Administering(Users(store.users, store.links, clock), self._authenticator),
        )
        return EdgeContext(
            clock=clock,
            authenticator=self._authenticator,
            dispatcher=Dispatcher(table, self._denials, clock, settings.limits, self.metrics),
            hooks=Hooks(self._channels, clock),
            hub=self._hub,
            metrics=self.metrics,
            limits=settings.limits,
            uploads=Uploads(store.blobs, clock, limit_bytes=settings.limits.blob_bytes),
            identity=identity,
            compression=settings.compression,
            workers=self._workers,
        )

    async def _stop_adapter(self, adapter: Adapter) -> None:
        try:
            async with asyncio.timeout(ADAPTER_STOP_S):
                await adapter.stop()
        except TimeoutError:
            log.warning(
                "an adapter did not stop in time", action="adapter_stop_timeout", channel=adapter.kind
            )

    # --- state --------------------------------------------------------------------------------

    async def _missing(self) -> list[str]:
        """What keeps the gateway from being ready."""
        missing = []
        if not self._store.engine.writable:
            try:
                await self._store.runs.renew_leases("readiness probe", 0)  # a write that changes nothing
            except StoreUnavailable as error:
                missing.append(str(error))
        for adapter in self._channels.all():
            if adapter.health().state is HealthState.STARTING:
                missing.append(f"the channel {adapter.kind}:{adapter.account} is starting")
        return missing

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
        yield "threadgate_turns_active", "Threads whose run is being driven", self._scheduler.active, {}
        yield "threadgate_hub_deliveries", "Events and deltas handed to followers", self._hub.deliveries, {}
        yield from self._health.samples()
        yield from self._reading.samples()
        yield from self._run_doctor.samples()
        yield from self.reloading.samples()

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            before_ms = self._clock.now_ms() - limits.IDEMPOTENCY_TTL_S * 1000
            try:
                await self._note_access()
                await self._store.links.forget_codes(self._clock.now_ms())
                await self._approvals.expire()
                await self._waits.expire()
                await self._attachments.collect()
                for _ in range(FORGET_ROUNDS):
                    if not await self._store.identities.forget_answers(before_ms):
                        break
            except StoreUnavailable as error:
                log.warning(
                    "housekeeping waits for the store", action="housekeeping_failed", error=str(error)
                )

    async def _note_access(self) -> None:
        """Write what is known of credentials: when they were used, and how often others were refused."""
        await self._authenticator.note_used()
        await self._denials.settle()

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_PROBE_S
            await asyncio.sleep(LAG_PROBE_S)
            self.metrics.loop_lag.observe(max(0.0, loop.time() - due))
