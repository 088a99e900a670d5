"""The kind "acp": a run is one prompt to a program that speaks the Agent Client Protocol, started for it alone.

Here is what outlives a run: the program's settings and secrets, and which session belongs to which thread. A program
that can load sessions finds those again while the gateway lives; to all others the conversation is told as text.
"""

import asyncio
import os
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from gateway.agent_settings import AcpSettings
from gateway.agents.acp import prompt
from gateway.agents.acp.attempt import Attempt, Try, look, tell_again
from gateway.agents.acp.process import AgentProcess, Program, find_program, make_env, secrets_of
from gateway.agents.acp.session import Session
from gateway.agents.parts import AgentParts
from gateway.agents.port import (
    AgentAdapter,
    AgentFacts,
    AgentFailure,
    AgentOutput,
    Recorded,
    Recovery,
    RunContext,
)
from gateway.rules.names import fits_any
from protocol import limits

SESSIONS_MAX: Final = 1000
"""Threads whose sessions are remembered; the ones used longest ago are forgotten."""
LEAVE_S: Final = 0.5
"""How long a program that has answered gets to end when its input is closed."""
LINES_PER_RUN: Final = 4
"""One line may have that part of what a run may send."""


def create(settings: AcpSettings, parts: AgentParts) -> AgentAdapter:
    """An agent of this kind."""
    return AcpAgent(settings, parts)


@dataclass(frozen=True, slots=True)
class Remembered:
    """A session of a thread, up to which message it knows the thread, and what it had cost by then."""

    session_id: str
    seq: int
    cost_usd: float | None = None


class AcpAgent:
    """`gateway.agents.port.AgentAdapter` for kind="acp"."""

    recovery: Recovery = "resume"
    is_steerable = False

    def __init__(self, settings: AcpSettings, parts: AgentParts) -> None:
        self.settings = settings
        self._parts = parts
        self._knows = fits_any(settings.own_tools)
        self._program: Program | None = None
        self._sessions: OrderedDict[str, Remembered] = OrderedDict()
        self._endings: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Resolve secrets, look for the directory and the program. Raises AgentFailure."""
        self._program = await asyncio.to_thread(self._prepare)

    async def stop(self) -> None:
        """Wait for the programs that are being ended."""
        if self._endings:
            await asyncio.wait(self._endings)

    async def answer(self, context: RunContext) -> AsyncIterator[AgentOutput]:
        """Answer. Raises AgentFailure."""
        repeatable = self.settings.idempotent
        this = await look(context, repeatable=repeatable)
        if isinstance(this, Recorded):
            yield tell_again(this)
            return
        said = await context.said(prompt.HISTORY_MESSAGES)
        seq = said[-1].seq if said else 0
        known = self._known(context.thread_id, this, seq)
        async with self._running(context.run_id) as session:
            opened = await session.open(known.session_id if known else None, self.settings.start_timeout_s)
            if known is None or not opened.is_loaded:
                known = Remembered(opened.session_id, -1, 0.0)
            yield AgentFacts({"acp_session": opened.session_id, "acp_agent": opened.agent})
            name = self.settings.name or self.settings.id
            attempt = Attempt(context, session, opened, this, name=name, knows=self._knows)
            await attempt.begin(repeatable=repeatable)
            past = prompt.unknown_since(said, known.seq) if opened.is_loaded else said[:-1]
            session.prompt(await prompt.compose(context, past, opened.takes, is_repeated=this.number > 1))
            try:
                async with aclosing(attempt.hear(known.cost_usd)) as outputs:
                    async for output in outputs:
                        yield output
            finally:
                if opened.can_load:
                    cost = known.cost_usd if attempt.hearing.cost_usd is None else attempt.hearing.cost_usd
                    self._remember(context.thread_id, Remembered(opened.session_id, seq, cost))

    def _known(self, thread_id: str, this: Try, seq: int) -> Remembered | None:
        """The session to load. It is forgotten until it has been loaded: what fails once would fail always."""
        remembered = self._sessions.pop(thread_id, None)
        return Remembered(this.before, seq) if this.before is not None else remembered

    def _remember(self, thread_id: str, session: Remembered) -> None:
        self._sessions[thread_id] = session
        self._sessions.move_to_end(thread_id)
        if len(self._sessions) > SESSIONS_MAX:
            self._sessions.popitem(last=False)

    @asynccontextmanager
    async def _running(self, run_id: str) -> AsyncIterator[Session]:
        """A program for one run; it is ended also when whoever waits for that is cancelled."""
        assert self._program is not None, "an agent is started before its first run"
        process = await AgentProcess.start(self._program, run_id)
        session = Session(process, self.settings.output_bytes)
        patience_s = 0.0
        try:
            yield session
            patience_s = LEAVE_S
        finally:
            ending = asyncio.create_task(_end(session, process, patience_s), name=f"end of agent {run_id}")
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)
            await asyncio.shield(ending)

    def _prepare(self) -> Program:
        """Everything that is known before a run. Raises AgentFailure."""
        settings, parts = self.settings, self._parts
        cwd = parts.path(settings.cwd)
        if not cwd.is_dir():
            raise AgentFailure("bad_configuration", f"Its directory {cwd} is not there.")
        given = {name: parts.secret(value) for name, value in settings.env.items()}
        if any(not name or "=" in name for name in given) or "\0" in "".join(
            (*given, *given.values(), *settings.command)
        ):
            raise AgentFailure(
                "bad_configuration",
                "A name in its `env` has no letters or a `=`, or something has a zero byte.",
            )
        env = make_env(given, os.environ)
        limits_of_it = {
            "files": settings.files_max,
            "cpu_s": settings.cpu_s,
            "memory_bytes": settings.memory_mb * limits.MIB if settings.memory_mb is not None else None,
        }
        return Program(
            agent_id=settings.id,
            command=(find_program(settings.command[0], parts.directory, env), *settings.command[1:]),
            cwd=cwd.absolute(),
            env=env,
            limits={name: value for name, value in limits_of_it.items() if value is not None},
            line_bytes=settings.output_bytes // LINES_PER_RUN,
            secrets=secrets_of(tuple(given.values())),
        )


async def _end(session: Session, process: AgentProcess, patience_s: float) -> None:
    try:
        await session.close()
    finally:
        await process.end(patience_s)
