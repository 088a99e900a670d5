"""Releases: an agent that the configuration says is released stays a draft until people approved that version, where
the policies want that.

One task looks at the agents when it starts, when an approval changed, and every minute, since the configuration is read
again. Turns ask what it found, by the policies of now, and do not wait for it.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from gateway.agent_settings import AgentSettings
from gateway.agents.registry import Agents
from gateway.clock import Clock
from gateway.policy_settings import ApprovalTerms
from gateway.rules.policy import Proposed, Verdict
from gateway.services.approvals import Approvals
from gateway.services.guard import Guard
from protocol.approvals import ApprovalKind
from storage.approval_ports import ApprovalStore
from storage.approval_values import ApprovalChanged
from storage.errors import StoreUnavailable
from storage.values import DEFAULT_ORG, GATEWAY, Act

log = structlog.get_logger()

LOOK_AGAIN_S: Final = 60.0
"""It is looked at least this often."""
LIFE_S: Final = 7 * 24 * 3600.0
"""A release waits for a week, unless the policy says how long; then it is asked anew."""


class Releases:
    """Which agents are held back. Start with `start`, end with `stop`."""

    def __init__(
        self, store: ApprovalStore, approvals: Approvals, agents: Agents, guard: Guard, clock: Clock
    ) -> None:
        self._store = store
        self._approvals = approvals
        self._agents = agents
        self._guard = guard
        self._clock = clock
        self._released: set[tuple[str, str]] = set()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look once, before anything runs, and go on looking. Raises StoreUnavailable."""
        await self.look()
        self._task = asyncio.create_task(self._run(), name="releases")

    async def stop(self) -> None:
        """End. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def on_commit(self, signals: Sequence[object]) -> None:
        """The store's commit hook."""
        if any(isinstance(signal, ApprovalChanged) for signal in signals):
            self._changed.set()

    def held_back(self, settings: AgentSettings) -> str | None:
        """Why this version of an agent is no more than a draft, for people; None when it is what it says.

        By the policies of now; a version whose release is not known yet is held back.
        """
        verdict = self._judge(settings)
        if verdict.effect == "deny":
            return verdict.reason or "the policies do not allow this version"
        if verdict.effect != "require_approval" or (settings.id, settings.version) in self._released:
            return None
        self._changed.set()
        return "its release waits for approval"

    async def look(self) -> None:
        """Find out what is released, and ask about what is not. Raises StoreUnavailable."""
        for agent in self._agents.all():
            settings = agent.settings
            verdict = self._judge(settings)
            if settings.state != "released" or verdict.effect != "require_approval":
                continue
            if await self._store.is_released(DEFAULT_ORG, settings.id, settings.version):
                self._released.add((settings.id, settings.version))
            else:
                await self._ask(settings, verdict)

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            try:
                await self.look()
            except StoreUnavailable as error:
                log.warning("releases wait for the store", action="releases_wait", error=str(error))

    def _judge(self, settings: AgentSettings) -> Verdict:
        return self._guard.judge(
            Proposed(kind="release", name=settings.version, at=self._guard.now(), agent=settings.id)
        )

    async def _ask(self, settings: AgentSettings, verdict: Verdict) -> None:
        """Ask for the release of a version, unless that waits already."""
        await self._approvals.ask(
            Act(DEFAULT_ORG, GATEWAY, "release", self._clock.now_ms()),
            ApprovalKind.RELEASE,
            f"{settings.id}/{settings.version}",
            settings.version,
            {"agent_id": settings.id, "version": settings.version},
            f"Release {settings.name or settings.id}, version {settings.version}",
            f"The configuration releases the agent `{settings.id}` in version `{settings.version}`. Until this is "
            "approved it is a draft: clients of the protocol can talk to it, chat networks cannot.",
            verdict.terms or ApprovalTerms(),
            LIFE_S,
            rule=verdict.rule,
        )
