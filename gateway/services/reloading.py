"""Reading the configuration again: agents, routes and policies change while the gateway runs, all of them or none.

The file is looked at every two seconds; SIGHUP and the method `agent.reload` ask at once. Everything is validated
first. What is not valid is logged once and changes nothing; other settings that differ are named, and wait for a
restart.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import structlog
from pydantic import BaseModel

from gateway.agent_settings import RouteSettings, Section
from gateway.agents.registry import Agents, Changes
from gateway.clock import Clock
from gateway.metrics import Sample
from gateway.rules.policy import Policies, compiled
from gateway.services.releases import Held, Releases
from gateway.settings import Settings, SettingsError, Source
from protocol.errors import ErrorKind, Fault
from protocol.records import AgentChanges
from storage.audit_ports import AuditStore
from storage.errors import StoreUnavailable
from storage.values import DEFAULT_ORG, GATEWAY, Act

log = structlog.get_logger()

WATCH_S: Final = 2.0
"""How often the file is looked at: soon enough for somebody who has just saved it, and costs one stat."""
ACTION: Final = "agent.reload"
"""Of the audit entry; the method has the same name."""
HOT: Final = frozenset({"agents", "routes", "default_agent", "policies"})
"""Settings that change without a restart."""

Stamp: TypeAlias = tuple[int, int, int] | None
"""What changes when a file is written or replaced: its time, size and inode; None without a file."""
ReplaceRoutes: TypeAlias = Callable[[Sequence[RouteSettings], str], None]
"""From now on these routes decide, and this agent where none fits. Cannot fail: they are validated."""

ReplacePolicies: TypeAlias = Callable[[Policies], None]
"""From now on these policies are in force. Cannot fail."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """A file as it was read: which content, and the settings or what is wrong with it."""

    content: str
    found: Settings | SettingsError


class Reloading:
    """Applies changes of the configuration. Owns the task that watches the file.

    `forget` is told the ids of agents that are others now, or gone: their failures say nothing any more.
    """

    def __init__(
        self,
        settings: Settings,
        agents: Agents,
        replace_routes: ReplaceRoutes,
        replace_policies: ReplacePolicies,
        releases: Releases,
        forget: Callable[[Iterable[str]], None],
        audit: AuditStore,
        clock: Clock,
    ) -> None:
        self._started_with = settings
        self._now = settings
        self._agents = agents
        self._replace_routes = replace_routes
        self._replace_policies = replace_policies
        self._releases = releases
        self._forget = forget
        self._audit = audit
        self._clock = clock
        self._is_valid = True
        self._refused: str | None = None
        """The content that was last found not to be valid."""
        self._asked = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch the file, if the configuration came from one."""
        if self._started_with.source is not None:
            watching = self._watch(self._started_with.source)
            self._watcher = asyncio.create_task(watching, name="watch the configuration")
            self._watcher.add_done_callback(_report)

    async def stop(self) -> None:
        """Watch no more."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)

    def ask(self) -> None:
        """Read the file soon, whether it has changed or not (SIGHUP)."""
        self._asked.set()

    async def reload(self, act: Act) -> AgentChanges:
        """Read the file now. Raises Fault invalid_state with everything that is wrong; then nothing has changed."""
        source = self._started_with.source
        if source is None:
            raise Fault(
                ErrorKind.INVALID_STATE,
                "This gateway was started without a configuration file",
                hint="Start it with --config FILE",
            )
        try:
            return await self._read_and_apply(source, act)
        except SettingsError as error:
            raise Fault(
                ErrorKind.INVALID_STATE,
                str(error),
                hint="Nothing has changed: mend the configuration and reload again",
                problems=list(error.problems),
            ) from None

    def samples(self) -> Iterable[Sample]:
        """For /metrics."""
        what = "Whether the configuration file is valid; the last valid one is in force"
        yield "threadgate_config_valid", what, float(self._is_valid), {}

    # --- parts --------------------------------------------------------------------------------

    async def _watch(self, source: Source) -> None:
        """Apply what changes, when it has been the same twice: somebody may just be writing it."""
        before = await asyncio.to_thread(_stamp, source.path)
        known: Stamp = None  # it may have changed since the start read it: look once more
        while True:
            is_asked = await self._wait()
            now = await asyncio.to_thread(_stamp, source.path)
            is_settled, before = now == before, now
            if not is_asked and (now == known or not is_settled):
                continue
            known = now
            act = Act(DEFAULT_ORG, GATEWAY, "SIGHUP" if is_asked else "file watch", self._clock.now_ms())
            try:
                await self._read_and_apply(source, act)
            except SettingsError:
                continue  # it was logged
            except StoreUnavailable as error:
                log.warning("a reload was not recorded", action="reload_unrecorded", error=str(error))

    async def _wait(self) -> bool:
        """Until it is time to look; whether somebody asked."""
        try:
            async with asyncio.timeout(WATCH_S):
                await self._asked.wait()
        except TimeoutError:
            return False
        self._asked.clear()
        return True

    async def _read_and_apply(self, source: Source, act: Act) -> AgentChanges:
        """Raises SettingsError, which was logged."""
        async with self._one_at_a_time:
            reading = await asyncio.to_thread(_read, source)
            try:
                if isinstance(reading.found, SettingsError):
                    raise reading.found
                policies = compiled(reading.found.policies)
                held = await self._releases.judge(reading.found.agents, policies)
                changes = await self._agents.reload(reading.found.agents, reading.found.default_agent_id)
            except SettingsError as error:
                self._refuse(reading.content, error)
                raise
            self._is_valid, self._refused = True, None
            return await self._apply(reading.found, policies, held, changes, act)

    async def _apply(
        self, wanted: Settings, policies: Policies, held: Held, changes: Changes, act: Act
    ) -> AgentChanges:
        """The agents are replaced; without a pause the routes, the policies and what is released are, too."""
        self._replace_policies(policies)
        held_before = self._releases.replace(held)
        self._replace_routes(wanted.routes, wanted.default_agent_id)
        self._forget((*changes.changed, *changes.removed))
        before, self._now = self._now, wanted
        await self._releases.ask(held_before, wanted.agents, act)
        restart_needed = [key for key in _differences(self._started_with, wanted) if key not in HOT]
        result = AgentChanges(
            added=list(changes.added),
            changed=list(changes.changed),
            removed=list(changes.removed),
            restart_needed=restart_needed,
        )
        detail = {**result.model_dump(), "settings": sorted(HOT & set(_differences(before, wanted)))}
        if "policies" in detail["settings"]:
            detail["policy"] = policies.version
        if any(detail.values()):
            log.info("the configuration was read again", action="config_reloaded", **detail)
            await self._audit.record(act, ACTION, {"id": "configuration"}, "success", detail)
        return result

    def _refuse(self, content: str, error: SettingsError) -> None:
        self._is_valid = False
        if content != self._refused:
            log.error(
                "the configuration is not valid; the one before stays in force",
                action="config_invalid",
                problems=list(error.problems),
            )
        self._refused = content


def _report(watcher: "asyncio.Task[None]") -> None:
    if not watcher.cancelled() and watcher.exception() is not None:
        log.error(
            "the configuration is not watched any more",
            action="config_watch_broke",
            exc_info=watcher.exception(),
        )


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(source: Source) -> _Reading:
    """Blocks."""
    try:
        content = hashlib.sha256(source.path.read_bytes()).hexdigest()
    except OSError as error:
        problem = f"{source.path} cannot be read: {error.strerror}"
        return _Reading(problem, SettingsError(problem))
    try:
        return _Reading(content, source.read())
    except SettingsError as error:
        return _Reading(content, error)


def _differences(one: BaseModel, other: BaseModel, prefix: str = "") -> Iterator[str]:
    """The keys of settings that differ; those of a section one by one."""
    for key in type(one).model_fields:
        before: Any = getattr(one, key)
        after: Any = getattr(other, key)
        if isinstance(before, Section) and isinstance(after, Section):
            yield from _differences(before, after, f"{prefix}{key}.")
        elif before != after:
            yield f"{prefix}{key}"
