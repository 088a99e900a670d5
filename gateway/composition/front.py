"""What clients and chat networks reach: the table of handlers, what connections share, and intakes."""

from importlib.metadata import version
from typing import Final

from channels.port import Adapter
from channels.registry import ChannelSettings
from gateway.clock import Clock
from gateway.composition.governance import Governance
from gateway.composition.rooms import Rooms
from gateway.composition.runs import Runs
from gateway.edge import handlers
from gateway.edge.dispatch import Dispatcher
from gateway.edge.handlers.approvals import Deciding
from gateway.edge.handlers.audits import Auditing
from gateway.edge.handlers.conversations import Conversational
from gateway.edge.handlers.deliveries import Delivering
from gateway.edge.handlers.devices import DeviceHandlers
from gateway.edge.handlers.operations import Operational
from gateway.edge.handlers.pairings import Pairing
from gateway.edge.handlers.privacy import Privacy
from gateway.edge.handlers.runs import Examining
from gateway.edge.handlers.subscriptions import Subscriptions
from gateway.edge.handlers.usage import Budgeting
from gateway.edge.handlers.users import Administering
from gateway.edge.hooks import Hooks
from gateway.edge.presence import Presence
from gateway.edge.websocket import EdgeContext, connection_limits
from gateway.hub.hub import Hub
from gateway.metrics import Metrics
from gateway.rules.admission import Policy
from gateway.rules.pace import Pace
from gateway.services.agents import AgentsView
from gateway.services.approvals import RoomDecisions
from gateway.services.blobs import Uploads
from gateway.services.budgets import Obstacles
from gateway.services.conversations import Conversations
from gateway.services.handovers import Handovers
from gateway.services.intake import Intake
from gateway.services.pairings import Pairings
from gateway.services.stopping import Stops
from gateway.services.tokens import Tokens
from gateway.services.usage import UsageView
from gateway.services.usage_export import UsageExports
from gateway.services.users import Users
from gateway.settings import Settings
from protocol import limits
from protocol.events import ServerIdentity
from protocol.instants import to_instant
from protocol.requests import ServerInfoResult
from storage.store import Store

VERSION: Final = version("threadgate")


def edge_context(
    settings: Settings,
    store: Store,
    clock: Clock,
    metrics: Metrics,
    hub: Hub,
    rooms: Rooms,
    governs: Governance,
    answers: Runs,
) -> EdgeContext:
    """What connections share."""
    identity = ServerIdentity(name="threadgate", version=VERSION)
    presence = Presence()
    usage = UsageView(store.usage, store.budgets, settings.budgets, answers.cost_tags, clock)
    info = ServerInfoResult(
        server=identity,
        epoch=store.identity.epoch,
        minors=list(limits.MINORS),
        limits=connection_limits(settings.limits),
        default_agent_id=answers.agents.default_id,
        started_at=to_instant(clock.now_ms()),
    )
    table = handlers.table(
        _conversational(settings, store, clock, hub, rooms, answers),
        Deciding(store.approvals, governs.approvals),
        _operational(info, store, clock, rooms, governs, answers),
        Delivering(store.deliveries),
        Subscriptions(hub, store.position),
        Pairing(Pairings(store.pairings, rooms.channels, clock, governs.admissions)),
        Examining(store.journal, answers.doctor, answers.replays),
        Administering(Users(store.users, store.links, clock), governs.authenticator),
        DeviceHandlers(governs.devices, governs.invocations, presence),
        Budgeting(usage, answers.switches),
        Privacy(governs.retention, governs.erasures),
        Auditing(governs.checkpoints),
    )
    return EdgeContext(
        clock=clock,
        authenticator=governs.authenticator,
        dispatcher=Dispatcher(table, governs.denials, clock, settings.limits, metrics),
        hooks=Hooks(rooms.channels, clock),
        hub=hub,
        metrics=metrics,
        limits=settings.limits,
        audit_exports=governs.audit_exports,
        uploads=Uploads(store.blobs, clock, limit_bytes=settings.limits.blob_bytes),
        identity=identity,
        compression=settings.compression,
        devices=governs.devices,
        device_connections=governs.device_connections,
        presence=presence,
        usage_exports=UsageExports(usage, store.audit, governs.redactors),
        workers=answers.workers,
    )


def intakes(
    store: Store, clock: Clock, hub: Hub, rooms: Rooms, governs: Governance, answers: Runs
) -> list[tuple[Adapter, Intake]]:
    """Who judges what each account delivers."""
    return [
        (adapter, _intake(of, adapter, store, clock, hub, governs, answers)) for of, adapter in rooms.adapters
    ]


def _intake(
    of: ChannelSettings,
    adapter: Adapter,
    store: Store,
    clock: Clock,
    hub: Hub,
    governs: Governance,
    answers: Runs,
) -> Intake:
    return Intake(
        adapter,
        store.inbox,
        answers.composer,
        clock,
        Policy(
            dm_policy=of.dm_policy,
            allow=frozenset(of.allow),
            allow_external=of.allow_external,
            rooms=frozenset(of.rooms),
            mention_required=of.mention_required,
        ),
        Pace(of.messages_per_minute),
        RoomDecisions(governs.approvals, of.org, adapter, frozenset(of.approvers)),
        Stops(store.inbox, store.threads, hub, answers.composer),
        of.org,
        Obstacles(governs.budgets.refusals, answers.switches.refusals),
    )


def _conversational(
    settings: Settings, store: Store, clock: Clock, hub: Hub, rooms: Rooms, answers: Runs
) -> Conversational:
    agents, composer = answers.agents, answers.composer
    handovers = Handovers(store.handovers, store.threads, agents, rooms.channels, hub, composer, clock)
    conversations = Conversations(
        store.threads,
        store.runs,
        agents,
        answers.routing,
        handovers,
        hub,
        composer,
        clock,
        store.blobs,
        settings.limits.attachments,
    )
    return Conversational(store.threads, store.runs, conversations, handovers, agents)


def _operational(
    info: ServerInfoResult, store: Store, clock: Clock, rooms: Rooms, governs: Governance, answers: Runs
) -> Operational:
    agents = AgentsView(
        answers.agents,
        answers.scheduler.running,
        answers.breakers.state,
        answers.workers.count,
        answers.switches.of,
        governs.releases.state_of,
    )
    return Operational(
        info,
        agents,
        answers.routing,
        answers.reloading,
        rooms.health,
        Tokens(store.identities, store.users, clock),
        store.identities,
        store.audit,
    )
