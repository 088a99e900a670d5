"""A run as an agent's handler sees it: what to answer, what was said before, and everything one can do about it.

How runs come and go is in `executions.py`, the connection in `agent.py`.
"""

import asyncio
import hashlib
import inspect
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from threadgate_client import limits
from threadgate_client.errors import RequestRefused, StepFailed, TooLarge
from threadgate_client.fields import Fields

Json = Any
"""Anything that JSON can say."""


@dataclass(frozen=True, slots=True)
class PastMessage:
    """A message of the thread, before the one to answer. `role` is user, assistant or system."""

    role: str
    text: str

    @classmethod
    def from_json(cls, value: object) -> "PastMessage":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "message")
        return cls(wire.text("role"), wire.text("text"))


@dataclass(frozen=True, slots=True)
class PastFile:
    """A file that came with the message; `error` says why it did not arrive."""

    name: str
    media_type: str
    size_bytes: int | None
    error: str | None

    @classmethod
    def from_json(cls, value: object) -> "PastFile":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "file")
        return cls(
            wire.text("name"),
            wire.text("media_type"),
            wire.maybe_number("size_bytes"),
            wire.maybe_text("error"),
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """How people decided. True when it was approved.

    With `edited` it was approved in another form: do that, and nothing else. `wants_changes`: it was not, and `reason`
    says what should be different.
    """

    approved: bool
    reason: str
    by: str
    edited: Json = None
    wants_changes: bool = False

    def __bool__(self) -> bool:
        return self.approved


class Parked(BaseException):
    """The run waits for a person: this execution ends here. Not an Exception, so that no handler catches it."""


class Outlet(Protocol):
    """Where what a run says goes."""

    def put(self, type_: str, **fields: Json) -> None:
        """Say it, in order. Raises TypeError or ValueError for what is not JSON."""
        ...

    async def room(self) -> None:
        """Return when not too much of what was said waits."""
        ...

    async def journal(self, **params: Json) -> Mapping[str, Any]:
        """Ask for a step to be recorded. Raises RequestRefused."""
        ...


class AgentRun:
    """One run to answer.

    The handler may be run again for the same run, from its beginning: after a crash, or when a person has decided.
    What it says then takes the place of what it said before; what it did in `step` is not done again.
    """

    def __init__(self, params: Mapping[str, Any], outlet: Outlet) -> None:
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(params, "run.execute")
        self.id = wire.text("run_id")
        self.thread_id = wire.text("thread_id")
        self.agent_id = wire.text("agent_id", "")
        self.attempt = wire.number("attempt", 1)
        """Counts from 1; another attempt answers the same message again."""
        self.title = wire.text("thread_title", "")
        self.origin = wire.text("origin", "")
        """Where the message came from: a chat network, or a client."""
        self.requested_by = wire.text("requested_by", "")
        """The id of whoever wrote the message."""
        self.text = wire.text("text")
        """What to answer."""
        self.history = wire.many("history", PastMessage.from_json)
        """The messages before, oldest first."""
        self.files = wire.many("files", PastFile.from_json)
        self._decisions = wire.many("decisions", lambda value: Fields(value, "decision"))
        self._answers = wire.many("answers", lambda value: Fields(value, "answer"))
        self._outlet = outlet
        self._counts: Counter[str] = Counter()

    # --- saying

    async def say(self, text: str) -> None:
        """The next piece of the answer, of any length. Waits while the gateway reads more slowly than that."""
        for begin in range(0, len(text), limits.PIECE_CHARS):
            self._outlet.put("text", text=text[begin : begin + limits.PIECE_CHARS])
            await self._outlet.room()

    async def rewind(self, chars: int = 0) -> None:
        """Take back the answer but for its first characters; what is said next takes its place."""
        self._outlet.put("rewind", chars=chars)

    async def usage(self, *, input_tokens: int = 0, output_tokens: int = 0, cost_microusd: int = 0) -> None:
        """What the answer has cost since the last time. Money is in millionths of a US dollar."""
        self._outlet.put("usage", usage=_usage(input_tokens, output_tokens, cost_microusd))

    async def note(self, **facts: Json) -> None:
        """Add facts to the run's record: which documents were read, which model answered."""
        self._outlet.put("facts", facts=facts)

    # --- doing

    async def step(
        self,
        name: str,
        func: Callable[..., Any],
        *args: Json,
        key: str | None = None,
        request: Json = None,
        repeatable: bool = False,
    ) -> Json:
        """Do something with an effect once in the life of the run, and return its result.

        It is recorded before `func(*args)` is called, and its result after; when it was done before, that result is
        returned and nothing is called. `func` is a coroutine function, or a function that is called in a thread.
        Arguments and result are JSON; `request` is recorded in the place of arguments that are not. `key` tells
        steps of one run apart: unless given it counts those of the same name, so an agent that does them in another
        order the next time gives keys. A step that was cut off is done again only if it is `repeatable`; otherwise a
        person is asked first.

        Raises StepFailed when `func` raised, now or before, or when a person decided not to do it again; TypeError or
        ValueError for what is not JSON.
        """
        key = key or self._key(name)
        asked = request if request is not None else {"args": list(args)}
        begun = await self._outlet.journal(
            phase="begin", key=key, name=name, request=asked, repeatable=repeatable
        )
        if begun.get("is_recorded"):
            return _recorded(begun)
        try:
            result = await _call(func, args)
            json.dumps(result, allow_nan=False)
            ended = await self._outlet.journal(phase="end", key=key, outcome="ok", result=result)
        except RequestRefused as refusal:
            if not isinstance(refusal, TooLarge):
                raise
            raise await self._failed(key, refusal) from refusal
        except Exception as error:
            raise await self._failed(key, error) from error
        return _recorded(ended)

    async def _failed(self, key: str, error: Exception) -> StepFailed:
        """Record that a step failed; how to tell it."""
        text = f"{type(error).__name__}: {error}"[: limits.ERROR_CHARS]
        await self._outlet.journal(phase="end", key=key, outcome="error", result={"error": text})
        return StepFailed(text)

    # --- asking people

    async def ask(self, title: str, body: str, subject: Json = None, *, key: str | None = None) -> Decision:
        """Ask a person to approve something; returns the decision.

        While there is none, this execution ends here, and the handler is run again once somebody decided. `subject` is
        the exact action: a decision counts for this title, body and subject, and nothing else. `key` is as in `step`.
        """
        key = key or self._key("ask")
        subject_hash = _digest([title, body, subject])
        for known in reversed(self._decisions):
            if known.text("key") == key and known.text("subject_hash") == subject_hash:
                return Decision(
                    known.flag("approved"),
                    known.text("reason", ""),
                    known.text("by", ""),
                    dict(known.mapping("edited")) or None,
                    known.flag("wants_changes"),
                )
        self._outlet.put("ask", key=key, title=title, body=body, subject=subject)
        raise Parked

    async def question(self, prompt: str, *, key: str | None = None) -> str | None:
        """Ask whoever wrote the message; returns what they said, None when nobody answered in time.

        While there is no answer, this execution ends here, and the handler is run again afterwards.
        """
        key = key or self._key("question")
        for known in reversed(self._answers):
            if known.text("key") == key:
                return known.maybe_text("text")
        self._outlet.put("question", key=key, text=prompt)
        raise Parked

    def _key(self, name: str) -> str:
        self._counts[name] += 1
        return f"{name}/{self._counts[name]}"


async def _call(func: Callable[..., Any], args: tuple[Json, ...]) -> Json:
    if inspect.iscoroutinefunction(func):
        return await func(*args)
    result = await asyncio.to_thread(func, *args)
    return await result if inspect.isawaitable(result) else result


def _recorded(answer: Mapping[str, Any]) -> Json:
    """The result of a recorded step. Raises StepFailed."""
    outcome, result = answer.get("outcome"), answer.get("result")
    if outcome == "ok":
        return result
    if outcome == "error":
        text = result.get("error") if isinstance(result, dict) else None
        raise StepFailed(str(text or "the step failed"))
    if outcome == "skipped":
        raise StepFailed("the step was cut off, and a person decided not to do it again", "skipped")
    raise StepFailed("the step was cut off, and nobody knows what came of it", "unknown")


def _usage(input_tokens: int, output_tokens: int, cost_microusd: int) -> dict[str, int]:
    return {"input_tokens": input_tokens, "output_tokens": output_tokens, "cost_microusd": cost_microusd}


def _digest(value: Json) -> str:
    """What a decision is bound to: SHA-256 of the canonical JSON (protocol §13)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
