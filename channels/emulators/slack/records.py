"""The things of the emulated network: apps, workspaces, people, channels, messages, files and views.

Plain records without rules; the rules live in `world.py` and the modules of methods, the wire form in `wire.py`.
All times are seconds since 1970 on the injected clock; a `ts` is Slack's own text of seconds and microseconds.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
ChannelKind = Literal["channel", "group", "im", "mpim"]
Messaging = Literal["agent", "assistant", "none"]

# What an app of this product asks for (https://docs.slack.dev/reference/scopes).
DEFAULT_SCOPES = frozenset(
    (
        *("app_mentions:read", "chat:write", "commands", "assistant:write", "team:read", "users:read"),
        *("channels:history", "groups:history", "im:history", "mpim:history"),
        *("channels:read", "groups:read", "im:read", "mpim:read", "im:write", "mpim:write"),
        *("reactions:read", "reactions:write", "files:read", "files:write"),
    )
)
# Subscriptions to bot events, by the names the app manifest uses.
DEFAULT_EVENTS = frozenset(
    (
        *("message.channels", "message.groups", "message.im", "message.mpim", "app_mention"),
        *("app_home_opened", "app_context_changed", "assistant_thread_started", "agent_session_stopped"),
        *("reaction_added", "reaction_removed", "member_joined_channel", "file_shared"),
        *("tokens_revoked", "app_uninstalled"),
    )
)


@dataclass(frozen=True, slots=True)
class AppAccount:
    """One app with its credentials. With a `request_url` it gets HTTP requests, without one it uses sockets.

    `messaging` is which of Slack's two experiences for agents the app has, if any.
    """

    id: str = "A0000000001"
    name: str = "Threadgate"
    app_token: str = "xapp-1-A0000000001-emulated"
    signing_secret: str = "emulated-signing-secret"
    client_id: str = "1000000000.2000000001"
    client_secret: str = "emulated-client-secret"
    verification_token: str = "emulated-verification"
    scopes: frozenset[str] = DEFAULT_SCOPES
    events: frozenset[str] = DEFAULT_EVENTS
    messaging: Messaging = "agent"
    request_url: str = ""


@dataclass(frozen=True, slots=True)
class Workspace:
    """One workspace (a "team" on the wire)."""

    id: str = "T0000000001"
    name: str = "Acme"
    domain: str = "acme"


@dataclass(frozen=True, slots=True)
class Installed:
    """An app that is in a workspace from the start. `scopes` None takes all that the app asks for."""

    app_id: str = "A0000000001"
    team_id: str = "T0000000001"
    token: str = "xoxb-emulated-1"
    scopes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """A member of a workspace. `id` is the identity, the names are decoration."""

    id: str
    name: str
    real_name: str = ""


@dataclass(slots=True)
class Bot:
    """An app's installation in one workspace: its bot user and its token."""

    app: AppAccount
    team: Workspace
    token: str
    user_id: str
    bot_id: str
    scopes: set[str]
    refusal: str = ""
    """The error every call gets (`token_revoked`, `account_inactive`), or nothing."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One version of a message that was replaced at `at`."""

    at: float
    text: str
    blocks: list[Json]


@dataclass(slots=True)
class Stream:
    """A message that is being streamed. It ends by itself at `expires_at`."""

    expires_at: float
    display_mode: str
    recipient: str
    chunks: list[Json] = field(default_factory=list)
    is_open: bool = True
    ended_by: str = ""


@dataclass(slots=True)
class StoredFile:
    """An uploaded file. `content` is None until its bytes were posted."""

    id: str
    name: str
    owner: str
    team_id: str
    at: float
    length: int
    title: str = ""
    mimetype: str = "application/octet-stream"
    content: bytes | None = None
    is_complete: bool = False
    is_deleted: bool = False
    shares: list[tuple[str, str, str | None]] = field(default_factory=list)
    """(channel, ts, thread_ts) of the messages that show it."""


@dataclass(slots=True)
class Message:
    """One message with everything that happened to it. `mentions` is who a client would notify."""

    ts: str
    at: float
    user: str
    text: str
    blocks: list[Json]
    bot: Bot | None = None
    username: str = ""
    thread_ts: str | None = None
    subtype: str | None = None
    client_msg_id: str | None = None
    metadata: Json | None = None
    attachments: list[Json] = field(default_factory=list)
    files: list[StoredFile] = field(default_factory=list)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    mentions: tuple[str, ...] = ()
    edited: Json | None = None
    edits: list[Edit] = field(default_factory=list)
    deleted_at: float | None = None
    ephemeral_to: str | None = None
    stream: Stream | None = None


@dataclass(slots=True)
class AgentThread:
    """What an app shows on a thread, or on a whole direct conversation (`thread_ts` empty)."""

    thread_ts: str
    status: str = ""
    status_at: float = 0.0
    loading_messages: list[str] = field(default_factory=list)
    title: str = ""
    session_status: str = ""
    prompts_title: str = ""
    prompts: list[Json] = field(default_factory=list)


@dataclass(slots=True)
class Channel:
    """A place to talk. `members` holds people and bot users; a direct conversation belongs to one bot."""

    id: str
    kind: ChannelKind
    name: str
    team: Workspace
    at: float
    members: set[str] = field(default_factory=set)
    bot: Bot | None = None
    messages: dict[str, Message] = field(default_factory=dict)
    replies: dict[str, list[str]] = field(default_factory=dict)
    """The ts of the replies, by the ts of their root, oldest first."""
    ephemerals: dict[str, Message] = field(default_factory=dict)
    agent_threads: dict[str, AgentThread] = field(default_factory=dict)


@dataclass(slots=True)
class View:
    """A modal or an App Home. `errors` is what the last answer to a submission showed beside the inputs."""

    id: str
    bot: Bot
    user: str
    content: Json
    hash: str
    root_id: str
    previous_id: str | None = None
    is_open: bool = True
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Trigger:
    """The right to open one modal, given with an interaction."""

    id: str
    bot: Bot
    user: str
    expires_at: float
    is_used: bool = False


@dataclass(slots=True)
class ResponseUrl:
    """Where an app may answer an interaction a few times without a token."""

    key: str
    bot: Bot
    channel: Channel
    user: str
    expires_at: float
    message_ts: str | None = None
    thread_ts: str | None = None
    uses_left: int = 5


@dataclass(frozen=True, slots=True)
class Change:
    """Something visible happened; what pages are told."""

    kind: str
    team_id: str
    channel_id: str
    detail: Callable[[], Json]

    def to_wire(self) -> Json:
        """As pages are told."""
        return {
            "type": self.kind,
            "team_id": self.team_id,
            "channel": self.channel_id,
            "detail": self.detail(),
        }
