"""What the gateway and agent processes say to each other: `run.execute`, `run.cancel`, `run.output` (PROTOCOL.md §4).

An agent process says `hello` with role `agent` and a token of role agent. The gateway asks it to execute runs; it
tells what comes of them by notifications, and journals steps with the method `run.step`. Shapes only.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from protocol import limits
from protocol.records import Count, Id, Record, RunError

WORKER_RUNS_MAX: Final = 1000
"""Runs one worker may offer to execute at the same time."""
RETRY_AFTER_MAX_S: Final = 3600.0
"""The longest pause an agent process may ask for before its run is tried again: an hour."""


class WorkerOffer(Record):
    """What an agent process can take, in its hello: so many runs at the same time."""

    concurrent: Annotated[int, Field(ge=1, le=WORKER_RUNS_MAX)] = 1


class Spent(Record):
    """What something has cost. Money is in millionths of a US dollar."""

    input_tokens: Count = 0
    output_tokens: Count = 0
    cost_microusd: Count = 0


class PastMessage(Record):
    """A message of the thread, before the one to answer."""

    role: Literal["user", "assistant", "system"]
    text: str


class PastDecision(Record):
    """How something was decided that an earlier attempt of the run asked for.

    `subject_hash` says what exactly: SHA-256, in hex, of the canonical JSON of `[title, body, subject]` (keys sorted,
    no white space, UTF-8 without needless escapes). `edited` is the subject as whoever approved it changed it: do that
    and nothing else. `wants_changes`: not approved, and `reason` says what should be different.
    """

    key: str
    subject_hash: str
    approved: bool
    reason: str
    by: str
    edited: Any = None
    wants_changes: bool = False


class PastAnswer(Record):
    """What was said to a question of an earlier attempt; no `text` when nobody answered in time."""

    key: str
    text: str | None = None
    by: str


class PastFile(Record):
    """A file that came with the message; `error` says why it did not arrive."""

    name: str
    media_type: str
    size_bytes: int | None = None
    error: str | None = None


class RunExecuteParams(Record):
    """Answer this, from the beginning. `fence` goes into every `run.output` and `run.step` of it.

    The answer comes as outputs; the result of this request only says that the worker took it. At least every `beat_s`
    seconds there is an output, be it a `beat`. `timeout_s` is how long the whole may take, where that is configured.
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
    files: Annotated[list[PastFile], Field(default_factory=list)]
    history: list[PastMessage]
    decisions: Annotated[list[PastDecision], Field(default_factory=list)]
    answers: Annotated[list[PastAnswer], Field(default_factory=list)]
    beat_s: float
    timeout_s: float | None = None


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
    (`subject` is the exact action) · question: a person must answer (`text` asks) · beat: at work · facts · done: that
    was the whole answer · failed: there will be none; `passes` says whether trying again may help. The last of them is
    `done`, `failed`, or the asks and questions the run now waits for, followed by `done`.
    """

    run_id: Id
    fence: int
    index: Annotated[int, Field(ge=0)]
    type: Literal["text", "rewind", "usage", "ask", "question", "beat", "facts", "done", "failed"]
    text: Annotated[str, Field(max_length=limits.TEXT_CHARS)] | None = None
    chars: Annotated[int, Field(ge=0)] | None = None
    usage: Spent | None = None
    key: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    title: Annotated[str, Field(max_length=limits.TITLE_CHARS)] | None = None
    body: Annotated[str, Field(max_length=limits.TEXT_CHARS)] | None = None
    subject: Any = None
    facts: dict[str, Any] | None = None
    error: RunError | None = None
    passes: bool = False
    retry_after_s: Annotated[float, Field(ge=0, le=RETRY_AFTER_MAX_S)] | None = None


WORKER_REQUESTS: Final[Mapping[str, tuple[type[Record], type[Record]]]] = MappingProxyType(
    {"run.execute": (RunExecuteParams, RunExecuteResult)}
)
"""What the gateway asks of agent processes: name → params and result."""
WORKER_NOTICES: Final[Mapping[str, type[Record]]] = MappingProxyType({"run.cancel": RunCancelNotice})
"""What the gateway tells agent processes beside what it tells everybody."""
WORKER_OUTPUTS: Final[Mapping[str, type[Record]]] = MappingProxyType({"run.output": RunOutput})
"""What agent processes tell the gateway."""
