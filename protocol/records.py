"""The things that cross the wire as objects: threads, messages, runs, agents, channels, tokens, audit.

Shapes only. Events and other notifications are in `events.py`, the params and results of methods in
`methods.py`. Unknown fields are ignored on both sides (PROTOCOL.md §2), so every model may grow.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from protocol import limits


class Record(BaseModel):
    """Base of every wire object: immutable, strict about types, indifferent to unknown fields."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


Instant = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
        description="RFC 3339, UTC, exactly three decimals: instants compare as strings.",
        examples=["2026-11-21T09:30:00.000Z"],
    ),
]


def _exact(value: int) -> int:
    if abs(value) > limits.INTEGER_MAX:
        raise ValueError(f"should be at most {limits.INTEGER_MAX}")
    return value


Exact = AfterValidator(_exact)
"""For integers without a smaller bound: one that JSON does not keep, or the store cannot take, is refused."""
Count = Annotated[int, Field(ge=0), Exact]
Seq = Annotated[
    int, Field(ge=0, le=2**53 - 1, description="Place in a thread's event log; the first event is 1.")
]
Offset = Annotated[int, Field(ge=0, le=2**53 - 1, description="Place in the log of the whole store.")]
Id = Annotated[str, Field(min_length=1, max_length=64)]
LAX = Field(strict=False)
"""For enum fields: strict validation would refuse the strings that JSON brings."""
Text = Annotated[str, Field(max_length=limits.TEXT_CHARS)]
Title = Annotated[str, Field(max_length=limits.TITLE_CHARS)]


class ActorKind(StrEnum):
    """Who can act. `person` is somebody in a chat network who is not (yet) linked to a user."""

    USER = "user"
    PERSON = "person"
    DEVICE = "device"
    AGENT = "agent"
    SERVICE = "service"
    SYSTEM = "system"


class Actor(Record):
    """Who did something, as shown to people. `id` is immutable; `name` is decoration and never identity."""

    id: str
    kind: Annotated[ActorKind, LAX]
    name: str


class TextPart(Record):
    """Text in CommonMark."""

    type: Literal["text"] = "text"
    text: Text


class BlobPart(Record):
    """A file, by the id its upload returned."""

    type: Literal["blob"] = "blob"
    blob_id: Id
    name: Annotated[
        str | SkipJsonSchema[None], Field(description="How the file is called. Written by the gateway.")
    ] = None
    """Not null in the schema of what clients send either: one record serves both ways."""


Part = Annotated[TextPart | BlobPart, Field(discriminator="type")]
Content = Annotated[list[Part], Field(min_length=1, max_length=limits.PARTS)]


class BlobState(StrEnum):
    """Under way from a chat network, here, or never to come."""

    PENDING = "pending"
    STORED = "stored"
    FAILED = "failed"


class Blob(Record):
    """A file. `name` was made safe by the gateway, `media_type` is what its bytes are."""

    id: Id
    name: Annotated[str, Field(max_length=limits.NAME_CHARS)]
    media_type: str
    size_bytes: int | None = None
    sha256: Annotated[str, Field(description="Of the bytes, in lower-case hexadecimal.")] | None = None
    state: Annotated[BlobState, LAX]
    created_at: Instant


class ThreadStatus(StrEnum):
    """A deleted thread keeps its id, so that nothing else can ever take it; its content is gone."""

    ACTIVE = "active"
    ARCHIVED = "archived"
    DELETED = "deleted"


class Origin(Record):
    """Where a thread began: a client of this protocol, or a room of a chat network."""

    kind: Literal["client", "channel"]
    channel: str | None = None
    account: str | None = None
    room: str | None = None
    topic: str | None = None


class Thread(Record):
    """A conversation. `title` is empty until somebody names the thread or its first message does.

    `assignee` is the person who has taken it over: until they give it back, its agent does not answer.
    """

    id: Id
    title: Title
    status: Annotated[ThreadStatus, LAX]
    agent_id: str
    assignee: Actor | None = None
    head_seq: Seq
    created_at: Instant
    updated_at: Instant
    origin: Origin


class Message(Record):
    """What was said."""

    id: Id
    role: Literal["user", "assistant", "system"]
    content: list[Part]
    author: Actor
    run_id: str | None = None


class RunState(StrEnum):
    """The states of a run; the transitions are in `gateway/rules/run_states.py`."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class RunError(Record):
    """Why a run did not complete. `kind` is stable, `message` is safe to show."""

    kind: str
    message: str


class Usage(Record):
    """What a run consumed. Money is in millionths of a US dollar."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_microusd: int = 0

    def plus(self, other: "Usage") -> "Usage":
        """Both together."""
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost_microusd=self.cost_microusd + other.cost_microusd,
        )


class Run(Record):
    """One execution of an agent.

    `waiting_for` is present while the state is waiting. `facts` say how it was answered: the context packs a model
    was given and those that were missing, the worker that did it. `journal_hash` seals what a completed run did:
    `run.replay` makes it again.
    """

    id: Id
    thread_id: Id
    agent_id: str
    state: Annotated[RunState, LAX]
    attempt: int
    queued_at: Instant
    started_at: Instant | None = None
    ended_at: Instant | None = None
    error: RunError | None = None
    usage: Usage = Usage()
    retry_of: str | None = None
    agent_version: str | None = None
    waiting_for: Literal["approval", "input", "device"] | None = None
    facts: dict[str, Any] | None = None
    journal_hash: str | None = None


class RunStep(Record):
    """One step of a run's journal, recorded before its effect and closed after.

    `request` is what was asked of the model or the tool, and `result` what came of it, None while `outcome` is: the
    step is open. Either is cut to `{"sha256": …, "bytes": …}` when it is large. `repeatable`: doing it twice does
    no harm. unknown: it was cut off · skipped: it was cut off, and a person decided not to do it again.
    """

    step: int
    key: str
    kind: Literal["reply", "model", "tool", "prompt", "steer", "note"]
    name: str
    attempt: int
    repeatable: bool
    request: Any
    outcome: Literal["ok", "error", "unknown", "skipped"] | None = None
    result: Any = None
    usage: Usage = Usage()
    opened_at: Instant
    closed_at: Instant | None = None


class RunFinding(Record):
    """Why an unfinished run is where it is. `is_stuck`: nothing that is under way will ever move it."""

    run_id: Id
    thread_id: Id
    agent_id: str
    state: Annotated[RunState, LAX]
    is_stuck: bool
    reason: str
    hint: str | None = None
    since: Instant


class Replay(Record):
    """A recorded run that was executed again with the answers of its journal, touching nothing outside.

    `verified`: it said and did the same, so the two hashes are equal. `differences` say where it did not.
    """

    run_id: Id
    verified: bool
    hash: str
    recorded_hash: str
    steps: int
    differences: list[str]


class Route(Record):
    """Which agent answers, and why. `rule` counts the `[[routes]]` from 1; None: no rule fits, the default answers."""

    agent_id: str
    rule: int | None = None
    text: str
    reasons: list[str]


class SwitchedOff(Record):
    """An agent that an operator has switched off, by whom and why; `agent_id` is `*` where all were."""

    agent_id: str
    by: str
    at: Instant
    reason: str


class Agent(Record):
    """Somebody who answers.

    draft: clients can talk to it, chat networks cannot · released: everybody can · suspended: nobody can. `breaker`
    is open while its runs end at once, or go to `fallback`, because it failed too often in a row. `workers` are the
    connected processes of an agent of kind remote. `problem` says why it cannot answer at all.
    """

    id: str
    name: str
    kind: str
    state: Literal["draft", "released", "suspended"]
    description: str
    version: str = "1"
    tools: list[str] = []
    scopes: list[str] = []
    fallback: str | None = None
    breaker: Literal["closed", "open", "half_open"] = "closed"
    running: int = 0
    concurrent: int | None = None
    workers: int | None = None
    problem: str | None = None
    switched_off: SwitchedOff | None = None


class AgentChanges(Record):
    """What a new reading of the configuration changed: ids of agents. `restart_needed` names other settings that
    differ and wait for a restart."""

    added: list[str]
    changed: list[str]
    removed: list[str]
    restart_needed: list[str]


class ChannelState(StrEnum):
    """The health light of a channel account."""

    STARTING = "starting"
    CONNECTED = "connected"
    DEGRADED = "degraded"
    STOPPED = "stopped"


class ChannelGap(Record):
    """Between these instants messages of people may have been lost for ever."""

    since: Instant
    until: Instant
    reason: str


class Channel(Record):
    """One account of a chat network and how it fares.

    `connected` means that messages flow: the platform answered the last probe. `missing` names scopes, intents or
    rights the account lacks. `breaker` is open while nothing is sent because the platform does not answer, and
    half_open while that is tried again.
    """

    id: str
    kind: str
    account: str
    state: Annotated[ChannelState, LAX]
    detail: str | None = None
    last_event_at: Instant | None = None
    deliveries_waiting: int = 0
    deliveries_uncertain: int = 0
    deliveries_held: int = 0
    deliveries_failed: int = 0
    lag_ms: int | None = None
    missing: list[str] = []
    probed_at: Instant | None = None
    breaker: Literal["closed", "open", "half_open"] = "closed"
    last_gap: ChannelGap | None = None


class DeliveryState(StrEnum):
    """The phases of a delivery; the transitions are in `gateway/rules/delivery_states.py`.

    idle: it waits for its turn · sending · unknown: it may have arrived, the platform is asked · held: nobody can
    know, an operator decides · sent · failed: it will not be sent unless somebody wants it.
    """

    IDLE = "idle"
    SENDING = "sending"
    UNKNOWN = "unknown"
    HELD = "held"
    SENT = "sent"
    FAILED = "failed"


class Delivery(Record):
    """One platform message that is or was owed to a room.

    `attempts` counts sends since it was made, or since an operator last wanted it sent again; `uncertain` those of
    which nobody could find out whether they arrived. `preview` is one line of what it says.
    """

    id: Id
    channel_id: str
    room: str
    topic: str | None = None
    thread_id: str | None = None
    run_id: str | None = None
    part: int
    state: Annotated[DeliveryState, LAX]
    preview: str
    ref: str | None = None
    attempts: int
    uncertain: int
    error: str | None = None
    next_attempt_at: Instant | None = None
    created_at: Instant
    updated_at: Instant


class Role(StrEnum):
    """Named sets of scopes; `gateway/rules/scopes.py` says which."""

    OWNER = "owner"
    ADMIN = "admin"
    DEVELOPER = "developer"
    OPERATOR = "operator"
    APPROVER = "approver"
    VIEWER = "viewer"
    AUDITOR = "auditor"
    DEVICE = "device"
    AGENT = "agent"


class Principal(Record):
    """Who is connected."""

    id: str
    kind: Annotated[ActorKind, LAX]
    name: str


class Token(Record):
    """A credential without its secret, which is shown once and stored only as a hash.

    It speaks for `principal_id` and may what both its role and the principal's may. `networks` are where it may come
    from (CIDR; anywhere when empty), `requests_per_s` its own rate, `rotated_from` the token whose place it took.
    """

    id: Id
    name: str
    role: Annotated[Role, LAX]
    principal_id: str | None = None
    agent_id: str | None = None
    networks: list[str] = []
    requests_per_s: float | None = None
    rotated_from: str | None = None
    created_at: Instant
    expires_at: Instant | None = None
    revoked_at: Instant | None = None
    last_used_at: Annotated[Instant, Field(description="To about a minute.")] | None = None


class PairingState(StrEnum):
    """Where a pairing stands. Only a pending one expires."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


class AuditEntry(Record):
    """One entry of the audit log.

    `body` is the canonical text that was sealed: `hash` is SHA-256 of a zero byte and its UTF-8 bytes
    (an RFC 6962 leaf), and the body names its predecessor's hash as `prev`. The other fields repeat what
    the body says, for reading; `content` and `address` are what it commits to, when they were asked for and are
    still there.
    """

    seq: int
    at: Instant
    actor: Actor
    action: str
    outcome: Literal["success", "failure"]
    reason: str | None = None
    subject: dict[str, str]
    detail: dict[str, Any]
    hash: str
    body: str
    content: Any = None
    address: str | None = None
