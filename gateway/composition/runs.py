"""Who answers: agents, the routes to them, and everything that drives their runs."""

from dataclasses import dataclass

from pydantic import SecretStr

from channels.secrets import SecretUnavailable, resolve_secret
from gateway.agents.parts import AgentParts
from gateway.agents.port import AgentFailure
from gateway.agents.registry import Agents
from gateway.agents.workers import WorkerPool
from gateway.clock import Clock
from gateway.composition.governance import Governance
from gateway.composition.rooms import Rooms
from gateway.hub.hub import Hub
from gateway.services.answer_files import AnswerFiles
from gateway.services.answering import Answering
from gateway.services.breakers import AgentBreakers
from gateway.services.channels import Channels
from gateway.services.composing import Composer
from gateway.services.endings import Endings
from gateway.services.leases import Leases
from gateway.services.outgoing import Outgoing
from gateway.services.reloading import Reloading
from gateway.services.replay import Replays
from gateway.services.routing import Routing
from gateway.services.run_doctor import RunDoctor
from gateway.services.scheduler import Capacity, Scheduler
from gateway.services.steering import Steering
from gateway.services.switches import AgentSwitches
from gateway.services.turn import Turns
from gateway.services.waits import Waits
from gateway.settings import Settings
from protocol.ids import IdPrefix
from storage.store import Store


@dataclass(frozen=True, slots=True)
class Runs:
    """What this subject is made of."""

    workers: WorkerPool
    agents: Agents
    routing: Routing
    composer: Composer
    switches: AgentSwitches
    waits: Waits
    breakers: AgentBreakers
    steering: Steering
    replays: Replays
    scheduler: Scheduler
    doctor: RunDoctor
    reloading: Reloading

    def cost_tags(self) -> dict[str, dict[str, str]]:
        """Of each agent, for what is used."""
        return {agent.settings.id: agent.settings.cost_tags for agent in self.agents.all()}


def runs(settings: Settings, store: Store, clock: Clock, hub: Hub, rooms: Rooms, governs: Governance) -> Runs:
    """Make it."""
    workers = WorkerPool()
    parts = AgentParts(settings.directory, _secret, workers, governs.invocations)
    agents = Agents(settings.agents, settings.default_agent_id, parts)
    routing = Routing(settings.routes, settings.default_agent_id, agents, governs.releases.state_of)
    composer = _composer(settings, clock, rooms.channels, routing, agents)
    leases = Leases(clock.new_id(IdPrefix.EPOCH), clock)
    waits = Waits(store.runs, governs.approvals, rooms.channels, leases, clock)
    breakers, steering = AgentBreakers(clock), Steering()
    sizes = settings.limits
    files = AnswerFiles(store.blobs, clock, limit_bytes=sizes.blob_bytes, files_max=sizes.attachments)
    answering = Answering(
        store.runs,
        store.threads,
        files,
        waits,
        governs.guard,
        clock,
        governs.reading,
        timeout_s=settings.runs.turn_timeout_s,
    )
    turns = Turns(
        store.journal,
        agents,
        answering,
        Endings(store.runs, rooms.channels, composer, clock),
        waits,
        breakers,
        hub,
        rooms.live,
        rooms.receipts,
        steering,
        Outgoing(governs.guard),
        governs.releases.state_of,
        clock,
        attempts_max=settings.runs.attempts_max,
        has_budgets=bool(settings.budgets),
    )
    scheduler = Scheduler(store.runs, turns.drive, clock, leases, _capacity(settings, agents, waits))
    return Runs(
        workers,
        agents,
        routing,
        composer,
        AgentSwitches(store.switches, store.threads, agents, hub, composer),
        waits,
        breakers,
        steering,
        Replays(store.runs, store.journal, store.threads, agents, files, governs.reading),
        scheduler,
        RunDoctor(
            store.runs,
            agents,
            scheduler,
            answering.silent_s,
            breakers.state,
            leases.owner,
            clock,
            store.users.organizations,
        ),
        Reloading(
            settings,
            agents,
            routing.replace,
            governs.guard.replace,
            governs.releases,
            breakers.forget,
            store.audit,
            clock,
        ),
    )


def _composer(
    settings: Settings, clock: Clock, channels: Channels, routing: Routing, agents: Agents
) -> Composer:
    return Composer(
        clock,
        channels,
        routing,
        settings.runs.queue_max,
        settings.limits.attachments,
        messages_max=settings.runs.messages_max,
        steerable=lambda: frozenset(agent.settings.id for agent in agents.all() if agent.is_steerable),
    )


def _capacity(settings: Settings, agents: Agents, waits: Waits) -> Capacity:
    def limits_of() -> dict[str, int]:
        wanted = {agent.settings.id: agent.settings.concurrent for agent in agents.all()}
        return {agent_id: limit for agent_id, limit in wanted.items() if limit}

    def versions() -> dict[str, str]:
        return {agent.settings.id: agent.settings.version for agent in agents.all()}

    return Capacity(settings.runs.concurrent, limits_of, versions, lambda: waits.held)


def _secret(reference: SecretStr) -> str:
    try:
        return resolve_secret(reference)
    except SecretUnavailable as error:
        raise AgentFailure("missing_secret", str(error)) from error
