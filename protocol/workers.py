"""What the gateway and agent processes say to each other: `run.execute`, `run.cancel`, `run.output` (PROTOCOL.md §4).

An agent process says `hello` with role `agent` and a token of role agent. The gateway asks it to execute runs; it
tells what comes of them by notifications, and journals steps with the method `run.step`. Shapes only.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from protocol import limits
from protocol.records import Id, Record, RunError, Usage

WORKER_RUNS_MAX = 1000
"""Runs one worker may offer to execute at the same time."""


class WorkerOffer(Record):
    """What an agent process can take, in its hello: so many runs at the same time."""

    concurrent: Annotated[int, Field(ge=1, le=WORKER_RUNS_MAX)] = 1


class PastMessage(Record):
    """A message of the thread, before the one to answer."""

    role: Literal["user", "assistant", "system"]
    text: str


class PastDecision(Record):
    """How something was decided that an earlier attempt of the run asked for."""

    key: str
    subject_hash: str
    approved: bool
    reason: str
    by: str


class PastAnswer(Record):
    """What was said to a question of an earlier attempt; no `text` when nobody answered in time."""

    key: str
    text: str | None = None
    by: str


class RunExecuteParams(Record):
    """Answer this, from the beginning. `fence` goes into every `run.output` and `run.step` of it.

    The answer comes as outputs; the result of this request only says that the worker took it.
    """

    run_id: Id
    thread_id: Id
    agent_id: str
    attempt: int
    fence: int
    thread_title: str
    origin: str
    requested_by: str
    text: str
    history: list[PastMessage]
    decisions: list[PastDecision] = []
    answers: list[PastAnswer] = []
    timeout_s: float


class RunExecuteResult(Record):
    """Taken; what comes of it follows as `run.output`."""


class RunCancelNotice(Record):
    """Stop executing this run; nothing more is wanted of it."""

    run_id: Id
    fence: int
    reason: str


class RunOutput(Record):
    """The next thing an agent process has to say about a run. `index` counts from 0 per `run.execute`, without gaps.

    text: a piece of the answer · rewind: only `chars` characters of it stand · usage · ask: a person must decide
    (`subject` is the exact action) · question: a person must answer · beat: at work · facts · done: that was the whole
    answer · failed: there will be none; `passes` says whether trying again may help. The last of them is `done`,
    `failed`, or the asks and questions the run now waits for, followed by `done`.
    """

    run_id: Id
    fence: int
    index: int
    type: Literal["text", "rewind", "usage", "ask", "question", "beat", "facts", "done", "failed"]
    text: Annotated[str, Field(max_length=limits.TEXT_CHARS)] | None = None
    chars: int | None = None
    usage: Usage | None = None
    key: Annotated[str, Field(max_length=200)] | None = None
    title: Annotated[str, Field(max_length=limits.TITLE_CHARS)] | None = None
    body: Annotated[str, Field(max_length=limits.TEXT_CHARS)] | None = None
    subject: Any = None
    facts: dict[str, Any] | None = None
    error: RunError | None = None
    passes: bool = False
    retry_after_s: float | None = None
