"""From the configuration to agents at work: kind → factory in one table, starting, replacing, letting go.

A kind's module is imported when an agent of that kind is configured, and not before: what nobody uses costs
nothing. What a reload compares and when it happens is in `gateway/services/reloading.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, TypeAlias

import structlog

from gateway.agent_settings import AgentSettings
from gateway.agents.parts import AgentParts
from gateway.agents.port import AgentAdapter, AgentFailure, AgentOutput, Recovery, RunContext
from gateway.settings import SettingsError
from protocol.errors import ErrorKind, Fault

log = structlog.get_logger()

KINDS: Final[Mapping[str, str]] = {
    "demo": "gateway.agents.demo:create",
    "script": "gateway.agents.script.agent:create",
    "model": "gateway.agents.model.agent:create",
    "acp": "gateway.agents.acp.agent:create",
    "remote": "gateway.agents.remote:create",
    "http": "gateway.agents.http:create",
}
"""Where each kind's `create(settings, parts) -> AgentAdapter` is. It only makes: files are read by `start`."""
START_S: Final = 15.0
"""Time one agent gets to be ready. It waits for nothing outside the process, so this is a bound and no budget."""
STOP_S: Final = 10.0
"""Time one agent gets to let go of everything: longer than a program gets to end before it is killed."""

Create: TypeAlias = Callable[[Any, AgentParts], AgentAdapter]
"""A kind's factory, called with the settings of that kind. Raises AgentFailure."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reload did, as ids in the order of the configuration."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class BrokenAgent:
    """Stands in for an agent that could not be made or started: its runs fail with the reason."""

    recovery: Recovery = "resume"
    is_steerable = False

    def __init__(self, settings: AgentSettings, failure: AgentFailure) -> None:
        self.settings = settings
        self.failure = failure

    async def start(self) -> None:
        """Nothing to get ready."""

    async def stop(self) -> None:
        """Nothing to let go of."""

    async def answer(self, context: RunContext) -> AsyncIterator[AgentOutput]:
        raise AgentFailure(self.failure.kind, str(self.failure))
        yield  # never reached: it makes this a generator, like every other agent


class _Slot:
    """An agent at work and how many runs use it. A retired one is stopped when the last of them has ended."""

    def __init__(self, agent: AgentAdapter) -> None:
        self.agent = agent
        self.users = 0
        self.is_retired = False


class Agents:
    """The agents of the configuration, by id. One owner of their life: `start`, `reload`, `stop`."""

    def __init__(self, settings: Iterable[AgentSettings], default_id: str, parts: AgentParts) -> None:
        """Raises SettingsError for a kind that cannot be loaded."""
        self.default_id = default_id
        self._parts = parts
        wanted = tuple(settings)
        factories = _load(wanted)
        self._slots = {one.id: _Slot(_made_or_broken(factories, one, parts)) for one in wanted}
        self._changing = asyncio.Lock()
        self._stopping: set[asyncio.Task[None]] = set()

    def get(self, agent_id: str) -> AgentAdapter:
        """One agent. Raises Fault not_found."""
        return self._slot(agent_id).agent

    def all(self) -> list[AgentAdapter]:
        """All of them, in the order of the configuration."""
        return [slot.agent for slot in self._slots.values()]

    @contextmanager
    def use(self, agent_id: str) -> Iterator[AgentAdapter]:
        """One agent for the length of a run: a reload meanwhile does not stop it. Raises Fault not_found."""
        slot = self._slot(agent_id)
        slot.users += 1
        try:
            yield slot.agent
        finally:
            slot.users -= 1
            self._stop_unused(slot)

    async def start(self) -> None:
        """Get all of them ready. One that cannot be is listed with its problem; the others work."""
        for slot in self._slots.values():
            try:
                await _start(slot.agent)
            except AgentFailure as failure:
                await _stop_all([slot.agent])
                slot.agent = BrokenAgent(slot.agent.settings, failure)
            if isinstance(slot.agent, BrokenAgent):
                broken = slot.agent
                log.error(
                    "an agent cannot answer",
                    action="agent_broken",
                    agent_id=broken.settings.id,
                    kind=broken.failure.kind,
                    error=str(broken.failure),
                )

    async def stop(self) -> None:
        """Stop every agent, also those still in use: whoever calls this has ended or parked the runs."""
        async with self._changing:
            slots, self._slots = self._slots, {}
            await _stop_all(slot.agent for slot in slots.values())
            await asyncio.gather(*self._stopping)

    async def reload(self, settings: Iterable[AgentSettings], default_id: str) -> Changes:
        """Replace the agents whose settings differ, and those that were broken; all or none.

        New ones are made and started before any old one goes; an old one is stopped when its last run has ended.
        Raises SettingsError that names every agent that cannot answer; then nothing has changed.
        """
        async with self._changing:
            wanted = tuple(settings)
            fresh = [one for one in wanted if self._differs(one)]
            made = await self._make(fresh)
            old = self._slots
            self._slots = {one.id: _Slot(made[one.id]) if one.id in made else old[one.id] for one in wanted}
            self.default_id = default_id
            for agent_id, slot in old.items():
                if self._slots.get(agent_id) is not slot:
                    slot.is_retired = True
                    self._stop_unused(slot)
        return Changes(
            added=tuple(one.id for one in fresh if one.id not in old),
            changed=tuple(one.id for one in fresh if one.id in old),
            removed=tuple(agent_id for agent_id in old if agent_id not in self._slots),
        )

    def _slot(self, agent_id: str) -> _Slot:
        slot = self._slots.get(agent_id)
        if slot is None:
            raise Fault(
                ErrorKind.NOT_FOUND, f"There is no agent {agent_id!r}", hint="agent.list shows what there is"
            )
        return slot

    def _differs(self, wanted: AgentSettings) -> bool:
        slot = self._slots.get(wanted.id)
        return slot is None or isinstance(slot.agent, BrokenAgent) or slot.agent.settings != wanted

    async def _make(self, wanted: Sequence[AgentSettings]) -> dict[str, AgentAdapter]:
        """Agents that are ready, by id. Raises SettingsError; then none of them is left behind."""
        factories = await asyncio.to_thread(_load, wanted)  # importing a kind may take a second
        made: dict[str, AgentAdapter] = {}
        problems: list[str] = []
        try:
            for one in wanted:
                try:
                    made[one.id] = _made(factories, one, self._parts)
                    await _start(made[one.id])
                except AgentFailure as failure:
                    problems.append(f"agents: {one.id!r} cannot answer: {failure}")
            if problems:
                raise SettingsError(*problems)
        except BaseException:  # cancelled, too: nobody else knows of them
            await _stop_all(made.values())
            raise
        return made

    def _stop_unused(self, slot: _Slot) -> None:
        if slot.is_retired and not slot.users:
            task = asyncio.create_task(_stop_all([slot.agent]), name=f"stop agent {slot.agent.settings.id}")
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)


def problem_of(agent: AgentAdapter) -> str | None:
    """Why an agent cannot answer at all; None when it can."""
    return str(agent.failure) if isinstance(agent, BrokenAgent) else None


def _load(settings: Iterable[AgentSettings]) -> dict[str, Create]:
    """The factories of the kinds in use. Raises SettingsError that names a kind and why it cannot be loaded."""
    found: dict[str, Create] = {}
    for kind in dict.fromkeys(one.kind for one in settings):
        module, _, name = KINDS[kind].partition(":")
        try:
            found[kind] = getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise SettingsError(f"agents: the kind {kind!r} cannot be loaded: {error}") from error
    return found


def _made_or_broken(
    factories: Mapping[str, Create], settings: AgentSettings, parts: AgentParts
) -> AgentAdapter:
    try:
        return _made(factories, settings, parts)
    except AgentFailure as failure:
        return BrokenAgent(settings, failure)


def _made(factories: Mapping[str, Create], settings: AgentSettings, parts: AgentParts) -> AgentAdapter:
    """Raises AgentFailure."""
    with _failing_alone(settings):
        return factories[settings.kind](settings, parts)


async def _start(agent: AgentAdapter) -> None:
    """Raises AgentFailure."""
    try:
        async with asyncio.timeout(START_S):
            with _failing_alone(agent.settings):
                await agent.start()
    except TimeoutError:
        raise AgentFailure("agent_unavailable", f"it was not ready within {START_S:g} s") from None


@contextmanager
def _failing_alone(settings: AgentSettings) -> Iterator[None]:
    """Whatever breaks in one agent's own code is its failure, and neither the gateway's nor that of the others."""
    try:
        yield
    except AgentFailure:
        raise
    except Exception as error:
        log.exception("an agent broke", action="agent_broke", agent_id=settings.id)
        raise AgentFailure("internal", f"an internal error ({type(error).__name__})") from error


async def _stop_all(agents: Iterable[AgentAdapter]) -> None:
    """Stop these beside one another; one that breaks or hangs holds up nobody."""
    stopped = list(agents)
    outcomes = await asyncio.gather(*(_stop(agent) for agent in stopped), return_exceptions=True)
    for agent, outcome in zip(stopped, outcomes, strict=True):
        if isinstance(outcome, Exception):
            log.error(
                "an agent broke while it stopped",
                action="agent_stop_broke",
                agent_id=agent.settings.id,
                exc_info=outcome,
            )


async def _stop(agent: AgentAdapter) -> None:
    try:
        async with asyncio.timeout(STOP_S):
            await agent.stop()
    except TimeoutError:
        log.warning("an agent did not stop in time", action="agent_stop_timeout", agent_id=agent.settings.id)
