"""One attempt of a run: what its journal says, then one prompt, from the words given to the end of the answer.

The prompt is the step `prompt/1`. Before it stands `session/1`, which records that a program was ready: only behind it
can the prompt have begun, so that a program that does not start leaves nothing behind whose outcome is unknown.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final

from acp.schema import (
    AgentMessageChunk,
    AgentPlanUpdate,
    PromptResponse,
    ToolCallProgress,
    ToolCallStart,
    UsageUpdate,
)
from pydantic import BaseModel

from gateway.agents.acp import permission
from gateway.agents.acp.hearing import Hearing
from gateway.agents.acp.inside import PREFIX, RISKS, Inside
from gateway.agents.acp.prompt import describe
from gateway.agents.acp.session import Opened, Permission, Session
from gateway.agents.leave import asked_under
from gateway.agents.port import (
    AgentAsk,
    AgentBeat,
    AgentFailure,
    AgentOutput,
    AgentText,
    Recorded,
    RunContext,
    Step,
)
from gateway.rules.names import Fits
from gateway.rules.policy import Verdict
from storage.values import Decided

PROMPT: Final = "prompt/1"
SESSION: Final = "session/1"


@dataclass(frozen=True, slots=True)
class Try:
    """A prompt that is to be given, for the `number`-th time; then `before` is the session that was cut off."""

    number: int = 1
    before: str | None = None

    @property
    def key(self) -> str:
        """The step that records its session."""
        return SESSION if self.number == 1 else f"{PREFIX}/{self.number}/session"


async def look(context: RunContext, *, repeatable: bool) -> Try | Recorded:
    """What is to be done: a prompt, or nothing any more because its end is recorded.

    `repeatable`: a prompt that was cut off may simply be given again.
    """
    journal = context.journal
    first = await journal.begin(_session_step(SESSION))
    if first is None:
        return Try()
    known = await journal.begin(_prompt_step(context, first.result["session"], repeatable=repeatable))
    if known is not None:
        return known
    next_try, last = Try(2), first
    while (again := await journal.begin(_session_step(next_try.key))) is not None:
        next_try, last = Try(next_try.number + 1), again
    return Try(next_try.number, last.result["id"])


def tell_again(recorded: Recorded) -> AgentOutput:
    """The answer of a prompt that was given in an earlier attempt. Raises AgentFailure as that attempt did."""
    result = recorded.result
    if recorded.outcome in ("skipped", "unknown"):
        why = result.get("error", "") if isinstance(result, dict) else ""
        raise AgentFailure(
            "agent_error", f"It was cut off, and it was decided not to ask it again. {why}".strip()
        )
    if recorded.outcome == "error":
        raise AgentFailure(result["kind"], result["error"])
    _check_stop(result["stop_reason"])
    return AgentText(result["text"])


class Attempt:
    """The prompt of one try, in a session that is open."""

    def __init__(
        self, context: RunContext, session: Session, opened: Opened, this: Try, *, name: str, knows: Fits
    ) -> None:
        self.hearing = Hearing()
        self._context = context
        self._session = session
        self._opened = opened
        self._try = this
        self._name = name
        self._knows = knows
        self._inside = Inside(context.journal, this.number, self._judge)
        self._is_asking = False

    async def begin(self, *, repeatable: bool) -> None:
        """Record that a program is ready and that the prompt is about to be given."""
        mode = "load" if self._opened.is_loaded else "new"
        made = {"session": mode, "id": self._opened.session_id, "agent": self._opened.agent}
        await self._context.journal.finish(self._try.key, made)
        if self._try.number == 1:
            known = await self._context.journal.begin(
                _prompt_step(self._context, mode, repeatable=repeatable)
            )
            assert known is None, "it can only have begun behind its session"

    async def hear(self, cost_before_usd: float | None) -> AsyncGenerator[AgentOutput, None]:
        """The answer, and the end of the prompt's step. Raises AgentFailure.

        The step stays open when nobody knows what the program did: it died, or we were told to stop.
        """
        try:
            while not isinstance(happening := await self._session.next(), PromptResponse):
                if isinstance(happening, Permission):
                    await self._decide(happening)
                    yield AgentBeat()
                else:
                    yield await self._take(happening.update)
        except AgentFailure as failure:
            if not failure.passes and not self._is_asking:
                result = {"kind": failure.kind, "error": str(failure)}
                await self._context.journal.finish(PROMPT, result, outcome="error")
            raise
        await self._inside.close()
        if (more := self.hearing.stop(happening.stop_reason)) is not None:
            yield more
        result = {"text": self.hearing.text, "stop_reason": happening.stop_reason}
        usage = self.hearing.usage(happening.usage, cost_before_usd)
        await self._context.journal.finish(PROMPT, result, usage=usage)
        _check_stop(happening.stop_reason)

    async def _take(self, update: BaseModel) -> AgentOutput:
        """What one update is for the run; thoughts and all else that is not shown are signs of life."""
        match update:
            case AgentMessageChunk():
                return self.hearing.chunk(update)
            case ToolCallStart() | ToolCallProgress():
                if await self._inside.call(_json(update)):
                    self.hearing.pause()
            case AgentPlanUpdate():
                await self._inside.plan(_json(update)["entries"])
            case UsageUpdate():
                self.hearing.priced(update)
        return AgentBeat()

    async def _decide(self, asked: Permission) -> None:
        """Let a person decide while the program waits. What it says meanwhile is heard afterwards."""
        allow, reject = permission.find_options(asked.request.options)
        call, number, verdict = await self._inside.asked(_json(asked.request.tool_call))
        options = [_json(option) for option in asked.request.options]
        about = permission.make_ask(self._name, call, options, number)
        while verdict.effect == "require_approval":
            ask = asked_under(about, verdict)
            self._is_asking = True
            decided = await self._ask(ask)
            self._is_asking = False
            if not decided.approved:
                return asked.decide(permission.outcome_of(reject, decided.reason))
            verdict = self._judge(about.name, True)  # it may be another one by now
            if verdict.effect == "require_approval" and asked_under(about, verdict).key == ask.key:
                return asked.decide(permission.outcome_of(allow))
        return asked.decide(permission.outcome_of(allow if verdict.effect == "allow" else reject))

    def _judge(self, kind: str, asks: bool) -> Verdict:
        return self._context.guard("tool", kind, RISKS.get(kind, "medium"), self._knows(kind), asks)

    async def _ask(self, ask: AgentAsk) -> Decided:
        """The decision; a program that ends meanwhile makes the question moot. Raises AgentFailure."""
        deciding = asyncio.ensure_future(self._context.ask(ask))
        over = asyncio.ensure_future(self._session.over())
        try:
            await asyncio.wait({deciding, over}, return_when=asyncio.FIRST_COMPLETED)
            if deciding.done():
                return deciding.result()
        finally:
            over.cancel()
            deciding.cancel()
            await asyncio.wait({deciding, over})
        try:
            await self._session.outcome()
        except AgentFailure as failure:
            raise AgentFailure(failure.kind, f"{failure} It had asked for a permission.") from failure
        raise AgentFailure("bad_output", "It ended its turn while it waited for a permission.")


def _session_step(key: str) -> Step:
    return Step(key, "note", "session", {}, repeatable=True)


def _prompt_step(context: RunContext, mode: str, *, repeatable: bool) -> Step:
    request = {"text": context.text, "files": [describe(file) for file in context.files], "session": mode}
    return Step(PROMPT, "prompt", "prompt", request, repeatable)


def _check_stop(reason: str) -> None:
    if reason == "refusal":
        raise AgentFailure("content_refused", "It refuses to go on with this conversation.")
    if reason == "cancelled":
        raise AgentFailure("agent_error", "It says that its turn was cancelled, which nobody did.")


def _json(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True, exclude_unset=True)
