"""Releases: an agent that the configuration calls released is a draft until the policies, or people, let it be.

What is released is one version with its settings: whatever of them changes is another release (`version_of`). The
policies are asked whenever the configuration is read; where they want people to decide, an approval is asked once, and
the agent is released at the moment in which it is approved, and stays so through restarts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import structlog

from gateway.agent_settings import AgentSettings
from gateway.agents.leave import fenced
from gateway.policy_settings import ApprovalTerms
from gateway.rules.policy import Policies, Proposed, Verdict
from gateway.services.approvals import Approvals
from gateway.services.guard import Guard
from gateway.services.watcher import Watcher
from protocol import limits
from protocol.approvals import ApprovalKind
from protocol.canonical import digest
from storage.approval_ports import ApprovalStore
from storage.approval_values import ApprovalChanged
from storage.values import DEFAULT_ORG, Act

log = structlog.get_logger()

State: TypeAlias = Literal["draft", "released", "suspended"]
LIFE_S: Final = 7 * 86_400.0
"""How long a release waits for people unless its policy says so: a week has everybody's working days in it."""
DIGEST_CHARS: Final = 16
"""Of the digest of settings, in the name of a version: 64 bits."""


@dataclass(frozen=True, slots=True)
class Held:
    """Versions that are not released yet, by agent, with the verdict that holds each."""

    versions: Mapping[str, tuple[str, Verdict]] = field(default_factory=lambda: MappingProxyType({}))

    def holds(self, settings: AgentSettings) -> bool:
        """Whether this very version is held."""
        version, _ = self.versions.get(settings.id, ("", None))
        return version != "" and version == version_of(settings)


class Releases:
    """Which agents are held back. `start` before the agents are used; every reload goes by `judge` and `hold`."""

    def __init__(self, guard: Guard, approvals: Approvals, store: ApprovalStore) -> None:
        self._guard = guard
        self._approvals = approvals
        self._store = store
        self._held = Held()
        self._watcher = Watcher("releases", self._release_approved)

    def state_of(self, settings: AgentSettings) -> State:
        """What the agent is: as its settings say, but a draft while its release is held."""
        is_held = settings.state == "released" and self._held.holds(settings)
        return "draft" if is_held else settings.state

    async def start(self, agents: Sequence[AgentSettings], act: Act) -> None:
        """Judge the agents of the configuration, and ask about those that need it."""
        held = await self.judge(agents, self._guard.policies)
        await self.hold(held, agents, act)
        self._watcher.start()

    async def stop(self) -> None:
        """Watch no more. Idempotent."""
        await self._watcher.stop()

    def on_commit(self, signals: Sequence[object]) -> None:
        """The store's commit hook: a release may have been decided."""
        if self._held.versions and any(isinstance(signal, ApprovalChanged) for signal in signals):
            self._watcher.wake()

    async def judge(self, agents: Iterable[AgentSettings], policies: Policies) -> Held:
        """Which of these would be held under these policies. Changes nothing."""
        held = {}
        for settings in agents:
            if settings.state != "released":
                continue
            version = version_of(settings)
            verdict = self._guard.judge(
                Proposed("release", settings.version, self._guard.now(), agent=settings.id), under=policies
            )
            is_asked = verdict.effect == "require_approval"
            if is_asked and await self._store.is_released(DEFAULT_ORG, settings.id, version):
                continue
            if is_asked or verdict.effect == "deny":
                held[settings.id] = version, verdict
        return Held(MappingProxyType(held))

    def replace(self, held: Held) -> Held:
        """From now on these are held. Returns what was held before. Cannot fail."""
        before, self._held = self._held, held
        return before

    async def ask(self, before: Held, agents: Iterable[AgentSettings], act: Act) -> None:
        """Ask about what is held and was not before."""
        for settings in agents:
            if not self._held.holds(settings) or before.holds(settings):
                continue
            version, verdict = self._held.versions[settings.id]
            log.info(
                "a release is held",
                action="release_held",
                agent_id=settings.id,
                effect=verdict.effect,
                rule=verdict.rule,
            )
            if verdict.effect == "require_approval":
                await self._ask(settings, version, verdict, act)

    async def hold(self, held: Held, agents: Sequence[AgentSettings], act: Act) -> None:
        """`replace`, then `ask`."""
        await self.ask(self.replace(held), agents, act)

    async def _ask(self, settings: AgentSettings, version: str, verdict: Verdict, act: Act) -> None:
        shown = fenced(_shown(settings))
        await self._approvals.ask(
            act,
            ApprovalKind.RELEASE,
            key=f"release/{settings.id}/{version}",
            name=settings.version,
            subject={"agent_id": settings.id, "version": version},
            title=f"Release the agent {settings.id}, version {settings.version}"[: limits.TITLE_CHARS],
            body=f"Chat networks will talk to the agent `{settings.id}` as it is configured now:\n\n{shown}",
            terms=verdict.terms or ApprovalTerms(),
            life_s=LIFE_S,
            rule=verdict.rule,
            policy_version=verdict.version,
        )

    async def _release_approved(self) -> None:
        """Those whose approval came; what else changes is judged when the configuration is read."""
        looked_at = self._held
        left = {}
        for agent_id, (version, verdict) in looked_at.versions.items():
            is_asked = verdict.effect == "require_approval"
            if is_asked and await self._store.is_released(DEFAULT_ORG, agent_id, version):
                log.info("an agent is released", action="agent_released", agent_id=agent_id)
                continue
            left[agent_id] = version, verdict
        if self._held is looked_at:  # else the configuration was read meanwhile, and judged anew
            self._held = Held(MappingProxyType(left))


def version_of(settings: AgentSettings) -> str:
    """What is released: the version as it is called, and the digest of the settings. Secrets are not part of it."""
    return f"{settings.version}+{digest(_shown(settings))[:DIGEST_CHARS]}"


def _shown(settings: AgentSettings) -> dict[str, object]:
    """The settings without their state; secrets are masked."""
    return settings.model_dump(mode="json", exclude={"state"}, exclude_defaults=True) | {
        "kind": settings.kind
    }
