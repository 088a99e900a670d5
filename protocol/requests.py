"""The params and results of every method, and of the handshake.

Shapes only; `methods.py` has the table that names them.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from protocol import limits
from protocol.devices import COMMANDS_MAX, AskedScopes, DeviceCommand, DeviceProof, PairingAsked
from protocol.events import Event, ServerIdentity
from protocol.records import (
    LAX,
    Actor,
    Agent,
    AgentChanges,
    AuditEntry,
    Blob,
    Channel,
    Content,
    Count,
    Delivery,
    DeliveryState,
    Exact,
    Id,
    Instant,
    Offset,
    Principal,
    Record,
    Replay,
    Role,
    Route,
    Run,
    RunFinding,
    RunState,
    RunStep,
    Seq,
    Thread,
    Title,
    Token,
)
from protocol.workers import Spent, WorkerOffer

Key = Annotated[
    str,
    Field(
        min_length=1,
        max_length=limits.IDEMPOTENCY_KEY_CHARS,
        description="The same key with the same params returns the stored result for at least 24 h.",
    ),
]
Limit = Annotated[int, Field(ge=1, le=limits.PAGE_MAX)]
Cursor = Annotated[str, Field(max_length=limits.CURSOR_CHARS, description="Opaque; from `next_cursor`.")]


class Mutation(Record):
    """Params of every method that changes something."""

    idempotency_key: Key | None = None


class Page(Record):
    """Params of every list."""

    limit: Limit = limits.PAGE_DEFAULT
    cursor: Cursor | None = None


# --- handshake ---------------------------------------------------------------------------


class ClientIdentity(Record):
    """What connects; shown to operators, never trusted."""

    name: Annotated[str, Field(max_length=limits.NAME_CHARS)]
    version: Annotated[str, Field(max_length=limits.NAME_CHARS)] = ""
    platform: Annotated[str, Field(max_length=limits.NAME_CHARS)] = ""


class Credentials(Record):
    """One of: a token, a device's proof, or nothing (only with a console session)."""

    token: Annotated[str, Field(max_length=512)] | None = None
    device: DeviceProof | None = None


class ResumePoint(Record):
    """A subscription to restore: the cursor and what the subscription asked for."""

    thread_id: Id
    epoch: str
    after_seq: Seq
    deltas: bool = True
    kinds: list[str] | None = None


class HelloParams(Record):
    """What a client says first. `worker` belongs to the role agent, `commands` and `scopes` to devices.

    `scopes` are what a device wants to have besides what every device may; it gets what whoever approves it chooses.
    """

    minor: int
    client: ClientIdentity
    role: Literal["client", "device", "agent"] = "client"
    auth: Credentials
    capabilities: Annotated[list[str], Field(max_length=64, default_factory=list)]
    resume: Annotated[list[ResumePoint], Field(max_length=limits.SUBSCRIPTIONS, default_factory=list)]
    last_close_code: int | None = None
    worker: WorkerOffer | None = None
    commands: Annotated[list[DeviceCommand], Field(max_length=COMMANDS_MAX, default_factory=list)]
    scopes: AskedScopes


class ConnectionLimits(Record):
    """What this connection may use."""

    frame_bytes: int
    subscriptions: int
    inflight: int
    queue_bytes: int


class Resumed(Record):
    """What became of one resume point."""

    thread_id: Id
    state: Literal["replaying", "reset"]
    reason: str | None = None


class HelloResult(Record):
    """The connection as the server sees it. Scopes come from the server's records alone.

    `pairing` tells a device that asks for more scopes than it has how these can be approved.
    """

    connection_id: str
    principal: Principal
    scopes: list[str]
    minor: int
    capabilities: list[str]
    epoch: str
    heartbeat_s: int
    limits: ConnectionLimits
    auth_expires_at: Instant | None = None
    resumed: list[Resumed]
    pairing: PairingAsked | None = None


# --- server, agents, channels ------------------------------------------------------------


class NoParams(Record):
    """The method takes nothing."""


class ServerInfoResult(Record):
    """Who answers and how."""

    server: ServerIdentity
    epoch: str
    minors: list[int]
    limits: ConnectionLimits
    default_agent_id: str
    started_at: Instant


class AgentParams(Record):
    """Which agent."""

    agent_id: str


class AgentResult(Record):
    """One agent."""

    agent: Agent


class AgentListResult(Record):
    """All agents."""

    agents: list[Agent]


class ChannelParams(Record):
    """Which channel account."""

    channel_id: str


class ChannelResult(Record):
    """One channel account."""

    channel: Channel


class ChannelListResult(Record):
    """All channel accounts."""

    channels: list[Channel]


# --- threads -----------------------------------------------------------------------------


class ThreadCreateParams(Mutation):
    """A new, empty thread; without `agent_id` the default agent answers in it."""

    title: Title | None = None
    agent_id: str | None = None


class ThreadParams(Record):
    """Which thread."""

    thread_id: Id


class ThreadChangeParams(Mutation):
    """Which thread to change."""

    thread_id: Id


class ThreadUpdateParams(Mutation):
    """Only the fields that are present change."""

    thread_id: Id
    title: Title | None = None
    agent_id: str | None = None


class ThreadResult(Record):
    """One thread."""

    thread: Thread


class ThreadListParams(Page):
    """Newest change first."""

    status: Literal["active", "archived", "all"] = "active"


class ThreadListResult(Record):
    """A page of threads."""

    threads: list[Thread]
    next_cursor: str | None = None


class ThreadHistoryParams(Record):
    """A page of events after or before a place; without either, the newest page."""

    thread_id: Id
    after_seq: Seq | None = None
    before_seq: Seq | None = None
    limit: Limit = limits.PAGE_DEFAULT
    kinds: Annotated[list[str], Field(max_length=64)] | None = None


class ThreadHistoryResult(Record):
    """Events in `seq` order. `more` says whether the asked direction goes on."""

    events: list[Event]
    first_seq: Seq
    head_seq: Seq
    more: bool


class ThreadSearchParams(Page):
    """Full text of messages, newest first; every word must occur, the last one may be a beginning."""

    query: Annotated[str, Field(min_length=1, max_length=200)]
    thread_id: Id | None = None


class SearchMatch(Record):
    """One message that matches, with the words marked by `**`."""

    thread_id: Id
    title: str
    message_id: Id
    seq: Seq
    at: Instant
    snippet: str


class ThreadSearchResult(Record):
    """A page of matches."""

    matches: list[SearchMatch]
    next_cursor: str | None = None


class CursorPosition(Record):
    """A place in a thread's log as a client remembers it."""

    epoch: str
    after_seq: Seq


class ThreadSubscribeParams(Record):
    """Every event after a place, then live ones."""

    thread_id: Id
    from_: Annotated[Literal["tail", "start"] | CursorPosition, Field(alias="from")] = "tail"
    deltas: bool = True
    kinds: Annotated[list[str], Field(max_length=64)] | None = None


class ThreadSubscribeResult(Record):
    """The log as it stands; the events follow as notifications."""

    epoch: str
    first_seq: Seq
    head_seq: Seq


class EmptyResult(Record):
    """Done."""


class InboxSubscribeParams(Record):
    """Heads of all threads that changed after `after_offset`, then live; without it only live ones."""

    after_offset: Offset | None = None


class InboxSubscribeResult(Record):
    """Where the store stood when the subscription opened."""

    epoch: str
    offset: Offset


# --- messages and runs -------------------------------------------------------------------


class MessageSendParams(Mutation):
    """Say something. Without `thread_id` a thread is made for it."""

    thread_id: Id | None = None
    agent_id: str | None = None
    content: Content
    on_busy: Literal["queue", "reject", "interrupt", "steer"] = "queue"


class MessageSendResult(Record):
    """Durably accepted; progress comes as events. `queue_position` counts runs ahead of this one.

    `steered`: it went to the run that is running (`run_id`), which takes it at its next step; should that run end
    before, a run of its own is queued for it (`run.queued` with `was_steered`). A message that answers the question
    of a waiting run has that run's id, too.
    """

    thread_id: Id
    message_id: Id
    seq: Seq
    run_id: Id
    run_state: Annotated[RunState, LAX]
    queue_position: int
    steered: bool = False


class BlobResult(Record):
    """One file, as its upload over HTTP is answered."""

    blob: Blob


class RunParams(Record):
    """Which run."""

    run_id: Id


class RunCancelParams(Mutation):
    """Stop a run, whatever it is doing."""

    run_id: Id
    reason: Annotated[str, Field(max_length=200)] = ""


class RunRetryParams(Mutation):
    """A new run with the same input."""

    run_id: Id


class RunResult(Record):
    """One run."""

    run: Run


class RunListParams(Page):
    """Newest first."""

    thread_id: Id | None = None
    state: Annotated[RunState, LAX] | None = None


class RunListResult(Record):
    """A page of runs."""

    runs: list[Run]
    next_cursor: str | None = None


class RunStepsResult(Record):
    """The journal of a run, in order."""

    steps: list[RunStep]


class RunReplayResult(Record):
    """What came of executing a recorded run again."""

    replay: Replay


class RunDiagnoseParams(Record):
    """One run, or all that have not ended."""

    run_id: Id | None = None


class RunDiagnoseResult(Record):
    """Why unfinished runs are where they are; those that are stuck first. `more`: there are others."""

    findings: list[RunFinding]
    more: bool = False


class RunStepParams(Record):
    """A step of a run, told by the agent process that executes it.

    `phase` begin asks for leave: the answer is what was recorded, or nothing, and then the step is to be done. `phase`
    end says what came of it. `fence` is that of the `run.execute` it belongs to.
    """

    run_id: Id
    fence: Annotated[int, Exact]
    key: Annotated[str, Field(min_length=1, max_length=200)]
    phase: Literal["begin", "end"]
    kind: Literal["model", "tool", "note"] = "tool"
    name: Annotated[str, Field(max_length=limits.NAME_CHARS)] = ""
    request: Any = None
    repeatable: bool = False
    outcome: Literal["ok", "error"] = "ok"
    result: Any = None
    usage: Spent | None = None


class RunStepResult(Record):
    """`is_recorded`: it was done before, with this outcome and result; otherwise go on."""

    is_recorded: bool
    outcome: Literal["ok", "error", "unknown", "skipped"] | None = None
    result: Any = None


class AgentReloadResult(Record):
    """What reading the configuration again changed. One that is not valid changes nothing and is an error."""

    changes: AgentChanges


class RouteExplainParams(Record):
    """A message that somebody might send: where and what."""

    channel: Annotated[str, Field(max_length=limits.NAME_CHARS)] = "client"
    account: Annotated[str, Field(max_length=limits.NAME_CHARS)] | None = None
    room: Annotated[str, Field(max_length=limits.NAME_CHARS)] | None = None
    mention: bool = False
    text: Annotated[str, Field(max_length=limits.TEXT_CHARS)] = ""


class RouteExplainResult(Record):
    """Who would answer, and why."""

    route: Route


class ThreadAssignParams(Mutation):
    """Hand a thread over. To another agent, to a person, or back to its agent.

    `take`: the caller takes it over · `assign`: the person `person` does · `give_back`: the agent answers again, and
    with `agent_id` another one than before.
    """

    thread_id: Id
    action: Literal["take", "assign", "give_back"]
    person: Actor | None = None
    agent_id: str | None = None
    note: Annotated[str, Field(max_length=limits.REASON_CHARS)] = ""


# --- deliveries --------------------------------------------------------------------------


class DeliveryListParams(Page):
    """Newest first; without a filter all of them."""

    state: Annotated[DeliveryState, LAX] | None = None
    channel_id: Annotated[str, Field(max_length=limits.NAME_CHARS)] | None = None
    thread_id: Id | None = None


class DeliveryListResult(Record):
    """A page of deliveries."""

    deliveries: list[Delivery]
    next_cursor: str | None = None


class DeliveryParams(Mutation):
    """Which delivery."""

    delivery_id: Id


class DeliveryResult(Record):
    """One delivery."""

    delivery: Delivery


# --- tokens, pairings and audit --------------------------------------------------------------------


def _never_null(schema: dict[str, Any]) -> None:
    """What may be left out but not be null: it could not be left out once, and a type of v1 stays."""
    (kept,) = (one for one in schema.pop("anyOf") if one.get("type") != "null")
    schema.pop("default", None)
    schema.update(kept)


class TokenCreateParams(Mutation):
    """A new token; without `ttl_s` it does not expire. One of role agent names the agent it answers for.

    It speaks for the principal `user_id`, or for a service account that is made with it. With `rotates` it takes the
    place of that token, for the same principal: what is not given is as it was there, and the old one is valid for
    `overlap_s` more. `role` is needed without `rotates`.
    """

    role: Annotated[Annotated[Role, LAX] | None, Field(json_schema_extra=_never_null)] = None
    name: Annotated[str, Field(max_length=limits.NAME_CHARS)] = ""
    agent_id: Annotated[str, Field(max_length=32)] | None = None
    ttl_s: Annotated[int, Field(ge=1, le=limits.TOKEN_TTL_MAX_S)] | None = None
    user_id: Id | None = None
    networks: Annotated[
        list[Annotated[str, Field(max_length=64)]] | None,
        Field(
            max_length=limits.TOKEN_NETWORKS, description="CIDR ranges it may come from; anywhere when empty."
        ),
    ] = None
    requests_per_s: Annotated[float, Field(gt=0, le=limits.TOKEN_REQUESTS_PER_S_MAX)] | None = None
    rotates: Annotated[Id, Field(description="The token whose place it takes.")] | None = None
    overlap_s: Annotated[int, Field(ge=0, le=limits.TOKEN_OVERLAP_MAX_S)] = limits.TOKEN_OVERLAP_S


class TokenCreateResult(Record):
    """`secret` is shown this once: the answer to a repeated request with the same key has none."""

    token: Token
    secret: str | None = None


class TokenParams(Mutation):
    """Which token."""

    token_id: Id


class TokenResult(Record):
    """One token."""

    token: Token


class TokenListResult(Record):
    """A page of tokens, newest first."""

    tokens: list[Token]
    next_cursor: str | None = None


class AuditListParams(Page):
    """Entries in order after `after_seq`, those that fit every filter given.

    `action` is whole, or its beginning up to a dot: `approval.*`. `actor` and `entity` are ids as entries have them; an
    actor may be `NETWORK:ID`, an entity `KIND:ID` (`run_id:run_…`). `since` counts, `until` does not. `content`
    also asks for what entries commit to, which leaves an entry of its own.
    """

    after_seq: Count = 0
    action: Annotated[str, Field(max_length=64)] | None = None
    actor: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    entity: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    outcome: Literal["success", "failure"] | None = None
    via: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    since: Instant | None = None
    until: Instant | None = None
    content: bool = False


class AuditListResult(Record):
    """A page of audit entries."""

    entries: list[AuditEntry]
    next_cursor: str | None = None
