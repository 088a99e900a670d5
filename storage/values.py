"""The plain values that go into the store and come out of it: acts, commands, rows, and signals to commit hooks.

No behaviour. What may be asked with them is in `ports.py`.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from protocol.approvals import ApprovalKind
from protocol.frames import RawJson
from protocol.records import Actor, ActorKind, Origin, Role, RunState
from storage.approval_values import Terms
from storage.file_values import ArrivingFile, BlobRow
from storage.run_values import Answered

DEFAULT_ORG: Final = "org_default"
"""The organization that every store begins with; others come from the configuration."""
GATEWAY: Final = Actor(id="gateway", kind=ActorKind.SYSTEM, name="Threadgate")
"""The actor of what the gateway does on its own."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An idempotency key as one principal used it for one method; `params_hash` tells equal requests apart."""

    principal_id: str
    method: str
    key: str
    params_hash: str


@dataclass(frozen=True, slots=True)
class Act:
    """Who does something, from where, when. Becomes the actor of events and of the audit entry.

    `token_id` is the token that was used, None for none: what is asked for with it is on its account, too.
    """

    org_id: str
    actor: Actor
    via: str
    at_ms: int
    claim: Claim | None = None
    address: str | None = None
    """Where the request came from; personal data, so entries only commit to it."""
    token_id: str | None = None


# --- signals: what commit hooks are told, in commit order ------------------------------------------


@dataclass(frozen=True, slots=True)
class CommittedEvent:
    """A durable event, ready to be sent: `params` are the bytes of its notification's params."""

    org_id: str
    thread_id: str
    seq: int
    offset: int
    kind: str
    at_ms: int
    run_id: str | None
    preview: str
    params: RawJson


@dataclass(frozen=True, slots=True)
class ThreadDeleted:
    """A thread's content is gone."""

    org_id: str
    thread_id: str
    seq: int
    offset: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class OutboxChanged:
    """A room has something to deliver."""

    channel: str
    account: str
    room: str


@dataclass(frozen=True, slots=True)
class FilesArriving:
    """A message came with files that have to be fetched."""


@dataclass(frozen=True, slots=True)
class FilesSettled:
    """No file of a message is under way any more: its run may begin."""

    thread_id: str


@dataclass(frozen=True, slots=True)
class FilesDropped:
    """Rows of these files are gone: bytes that nobody refers to any more can be deleted."""

    hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TokenRevoked:
    """Connections that authenticated with this token must end."""

    token_id: str


# --- threads and messages ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewThread:
    """A thread to make."""

    id: str
    agent_id: str
    title: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Notice:
    """What to show in a room when a run ends without an answer: one frozen platform message."""

    delivery_id: str
    content: str


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to accept, with the ids to use for what it makes.

    Exactly one of `thread_id` and `new_thread` is given, but for channels, which give both: there the
    conversation's thread, once it is found, takes the place of a new one. `text` is the searchable text,
    `title` names an untitled thread. `files` are recorded with it and fetched later; other blob parts of
    `content` name files that are stored already and belong to no message yet. `interrupt` is how
    on_busy="interrupt" ends the runs that are ahead; its notice is shown once. `steerable` are the agents whose
    running runs take what on_busy="steer" says; `messages_max` is how many messages a thread may have. `held` is how
    the run of a message ends at once whose thread a person has taken over; their name is put before its reason.
    `from_outside`: its author is not of the organization.
    """

    message_id: str
    run_id: str
    thread_id: str | None
    new_thread: NewThread | None
    agent_id: str | None
    content: list[dict[str, Any]]
    text: str
    title: str
    queue_max: int
    on_busy: Literal["queue", "reject", "interrupt", "steer"] = "queue"
    interrupt: "Ending | None" = None
    restore_archived: bool = False
    files: "tuple[ArrivingFile, ...]" = ()
    steerable: frozenset[str] = frozenset()
    messages_max: int = 10_000_000
    held: "Ending | None" = None
    from_outside: bool = False


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event of the log as replay needs it."""

    seq: int
    kind: str
    params: RawJson


@dataclass(frozen=True, slots=True)
class LogPage:
    """Events of a thread in order, and its log's bounds in the same snapshot. `more` in the asked direction."""

    events: list[StoredEvent]
    first_seq: int
    head_seq: int
    more: bool


@dataclass(frozen=True, slots=True)
class Said:
    """A message as agents read it."""

    seq: int
    role: str
    text: str


@dataclass(frozen=True, slots=True)
class ThreadHead:
    """The newest change of a thread, for the inbox."""

    thread_id: str
    seq: int
    offset: int
    kind: str
    at_ms: int
    preview: str


# --- runs ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Move:
    """A transition of the run table: from any of `sources` to `target`."""

    sources: frozenset[RunState]
    target: RunState


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run that is the caller's until its fence is raised, with what a turn needs to know.

    `reply_id` is the id of the answer's message, the same in every attempt; `partial` is what the journal
    holds of it. `files` came with the message, `answer_files` were given by earlier attempts. `is_taken_back`: the
    message was deleted meanwhile, so there is nothing to begin with again. `message_ref` is the platform's id of
    the message it answers, None when that did not come from the room where the thread lives. With a `refusal` it ends
    at once.
    """

    id: str
    org_id: str
    thread_id: str
    agent_id: str
    attempt: int
    fence: int
    message_text: str
    message_seq: int
    reply_id: str
    partial: str
    thread_title: str
    origin: Origin
    recovered: bool
    requested_by: str = ""
    decisions: "tuple[Decided, ...]" = ()
    answers: "tuple[Answered, ...]" = ()
    is_taken_back: bool = False
    message_ref: str | None = None
    files: "tuple[BlobRow, ...]" = ()
    answer_files: "tuple[BlobRow, ...]" = ()
    is_tainted: bool = False
    refusal: "Refusal | None" = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a claimed run may not be answered: a budget is used up, its agent is off. `kind` is that of its error."""

    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Outbound:
    """One platform message to deliver; `content` is the frozen rendering as JSON text."""

    id: str
    part: int
    content: str


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends without an answer."""

    move: Move
    reason: str
    error_kind: str | None = None
    will_retry: bool = False
    notice: Notice | None = None


# --- approvals and deliveries ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PostedElsewhere:
    """A message for a room that has nothing to do with the thread; `content` is its frozen rendering."""

    delivery_id: str
    channel: str
    account: str
    room: str
    content: str


@dataclass(frozen=True, slots=True)
class NewApproval:
    """Something to ask. `card` shows it in the thread's room, None when the thread has none; `elsewhere` are cards for
    other rooms.

    `subject` is the exact action and `schema` the JSON Schema of its `arguments`, None when nobody may edit them. `key`
    is what the run calls it; for what no run asked, what it is about: while one waits, another one is not asked. `told`
    is what a person is told whom it lets in. `rule` and `policy_version` are of the policies that wanted it asked.
    """

    id: str
    key: str
    title: str
    body: str
    subject_hash: str
    expires_at_ms: int
    kind: ApprovalKind = ApprovalKind.TOOL
    name: str = ""
    agent_id: str | None = None
    subject: Any = None
    schema: Any = None
    risk: Literal["low", "medium", "high"] = "medium"
    rule: str = ""
    policy_version: str = ""
    terms: Terms = field(default_factory=Terms)
    remind_at_ms: int | None = None
    escalate_at_ms: int | None = None
    card: Outbound | None = None
    elsewhere: tuple[PostedElsewhere, ...] = ()
    told: Notice | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """How something the agent asked for was decided, as the agent is told. Expiry is a denial.

    `edited` is the subject as whoever approved changed it, canonical JSON; None when it stands as asked.
    `wants_changes`: it is neither allowed nor forbidden; `reason` says what should be different.
    """

    approval_id: str
    approved: bool
    reason: str
    by: str
    key: str = ""
    subject_hash: str = ""
    edited: str | None = None
    wants_changes: bool = False


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One delivery as the dispatcher sees it. `content` None: the answer is still being written."""

    id: str
    org_id: str
    channel: str
    account: str
    room: str
    topic: str | None
    thread_id: str | None
    run_id: str | None
    part: int
    phase: str
    content: str | None
    ref: str | None
    attempt: int
    next_attempt_at_ms: int
    recipient: str | None = None
    approval_id: str | None = None
    sending_since_ms: int = 0


@dataclass(frozen=True, slots=True)
class DeliveryStep:
    """A transition of the delivery table, from any of `sources` to `target`, and what it records.

    `ref` None keeps the one that is known; `drop_ref` forgets it (the message is gone on the platform).
    `starts_over` forgets how often it was tried: an operator wants it tried again.
    """

    sources: frozenset[str]
    target: str
    ref: str | None = None
    drop_ref: bool = False
    starts_over: bool = False
    uncertain: bool = False
    next_attempt_at_ms: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryCounts:
    """Deliveries of one account by what they wait for, and sends whose outcome nobody could find out."""

    waiting: int = 0
    uncertain: int = 0
    held: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries to list; None means any. `channel` and `account` are given together."""

    phase: str | None = None
    channel: str | None = None
    account: str | None = None
    thread_id: str | None = None


# --- identities and audit --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a valid token speaks for.

    It may what both `role`, the token's, and `principal_role` allow; None where there is no principal to ask.
    `networks` are the CIDR ranges it may come from, anywhere when empty; `requests_per_s` is its own rate.
    """

    token_id: str
    org_id: str
    actor: Actor
    role: Role
    expires_at_ms: int | None
    agent_id: str | None = None
    principal_role: Role | None = None
    networks: tuple[str, ...] = ()
    requests_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token to make; the secret stays with the caller.

    Its principal is made with it, as `principal_kind`, or is there already when that is None. `rotates` is the token
    whose place it takes, and which expires at `overlap_until_ms` at the latest.
    """

    id: str
    principal_id: str
    name: str
    role: Role
    secret_hash: str
    expires_at_ms: int | None
    agent_id: str | None = None
    principal_kind: ActorKind | None = ActorKind.SERVICE
    networks: tuple[str, ...] = ()
    requests_per_s: float | None = None
    rotates: str | None = None
    overlap_until_ms: int = 0
