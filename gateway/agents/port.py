"""The agent port: what a turn gives an agent, and what an agent may give back.

An agent is a pure-looking coroutine over a context: it knows nothing of the store, the hub or channels. It may
be cancelled at any await and must then end at once.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from protocol.records import Agent, Usage
from storage.values import Decided, Said


@dataclass(frozen=True, slots=True)
class AgentText:
    """The next piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class AgentUsage:
    """What the answer has cost since the last time; added up by the turn."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class AgentAsk:
    """Something the agent wants to do and a person decides: the last output of an attempt.

    The run waits as data. When it is decided, the agent answers again, with one more entry in `decisions`.
    """

    title: str
    body: str


@dataclass(frozen=True, slots=True)
class AgentFile:
    """A file that belongs to the answer. `name` and `media_type` are claims, looked at like anybody's.

    Given again in a later attempt it is the same file; what earlier attempts gave stays part of the answer.
    """

    name: str
    media_type: str
    data: bytes


AgentOutput = AgentText | AgentFile | AgentUsage | AgentAsk


@dataclass(frozen=True, slots=True)
class GivenFile:
    """A file that came with the message. `error` says why there are no bytes, None when there are.

    `read` returns them; it raises FileUnreadable when there are none.
    """

    name: str
    media_type: str
    size_bytes: int | None
    read: Callable[[], Awaitable[bytes]]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class RunContext:
    """What one attempt of a run works with.

    `partial` is what earlier attempts said already; an agent with `can_continue` goes on behind it, and its
    pieces are appended to it. `decisions` is how everything the run asked for was decided, in the order it
    asked. `files` came with the message, in its order. `said` reads the last messages of the thread, up to the
    one to answer.
    """

    run_id: str
    thread_id: str
    thread_title: str
    attempt: int
    text: str
    partial: str
    origin: str
    said: Callable[[int], Awaitable[list[Said]]]
    decisions: tuple[Decided, ...] = ()
    files: tuple[GivenFile, ...] = ()


class AgentFailure(Exception):
    """The agent cannot answer. `kind` is stable, the text is shown to people."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class FileUnreadable(Exception):
    """A file has no bytes; the text says why."""


class AgentAdapter(Protocol):
    """One agent of the configuration."""

    @property
    def record(self) -> Agent:
        """How it is listed."""
        ...

    @property
    def can_continue(self) -> bool:
        """Whether it can go on behind the partial text of an earlier attempt."""
        ...

    @property
    def retries_interrupted(self) -> bool:
        """Whether a run of it that was interrupted by a restart is queued again."""
        ...

    def answer(self, context: RunContext) -> AsyncIterator[AgentOutput]:
        """Answer. Raises AgentFailure; anything else that escapes is an internal failure of the run."""
        ...
