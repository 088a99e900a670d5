"""What methods and the handshake answer with: pages, results, the gateway's own account of the connection.

Values like `records.py`, and read in the same way; these are about one request or connection, those about
things that last.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from threadgate_client import limits
from threadgate_client.access import Token
from threadgate_client.fields import Fields
from threadgate_client.records import Event, Principal

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list; `next_cursor` is None on the last."""

    items: tuple[T, ...]
    next_cursor: str | None

    @classmethod
    def from_json(cls, value: object, key: str, read: Callable[[object], T]) -> "Page[T]":
        """Read a list result whose entries are under `key`. Raises ProtocolViolation."""
        wire = Fields(value, key)
        return cls(items=wire.many(key, read), next_cursor=wire.maybe_text("next_cursor"))


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Events in `seq` order; `more` says whether the asked direction goes on."""

    events: tuple[Event, ...]
    first_seq: int
    head_seq: int
    more: bool

    @classmethod
    def from_json(cls, value: object) -> "HistoryPage":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "history")
        return cls(
            events=wire.many("events", Event.from_json),
            first_seq=wire.number("first_seq"),
            head_seq=wire.number("head_seq"),
            more=wire.flag("more"),
        )


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What reading the configuration again changed: ids of agents. `restart_needed` names settings that wait."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    restart_needed: tuple[str, ...]

    @classmethod
    def from_json(cls, value: object) -> "Reloaded":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "reload")
        return cls(*(wire.many(key, str) for key in ("added", "changed", "removed", "restart_needed")))


@dataclass(frozen=True, slots=True)
class Route:
    """Which agent answers, with which text, and why. `rule` counts from 1; None: none fits, the default answers."""

    agent_id: str
    rule: int | None
    text: str
    reasons: tuple[str, ...]

    @classmethod
    def from_json(cls, value: object) -> "Route":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "route")
        return cls(
            agent_id=wire.text("agent_id"),
            rule=wire.maybe_number("rule"),
            text=wire.text("text"),
            reasons=wire.many("reasons", str),
        )


@dataclass(frozen=True, slots=True)
class SearchMatch:
    """One message that matches, with the words marked by `**`."""

    thread_id: str
    title: str | None
    message_id: str
    seq: int
    at: datetime
    snippet: str

    @classmethod
    def from_json(cls, value: object) -> "SearchMatch":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "match")
        return cls(
            thread_id=wire.text("thread_id"),
            title=wire.maybe_text("title"),
            message_id=wire.text("message_id"),
            seq=wire.number("seq"),
            at=wire.instant("at"),
            snippet=wire.text("snippet"),
        )


@dataclass(frozen=True, slots=True)
class SendResult:
    """A message and its run are durable. Progress comes as events after `seq`.

    `epoch` is not on the wire: the client notes the store the answer came from, so that a reply can be
    followed from exactly here.
    """

    thread_id: str
    message_id: str
    seq: int
    run_id: str
    run_state: str
    queue_position: int
    epoch: str = ""

    @classmethod
    def from_json(cls, value: object, epoch: str = "") -> "SendResult":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "send result")
        return cls(
            thread_id=wire.text("thread_id"),
            message_id=wire.text("message_id"),
            seq=wire.number("seq"),
            run_id=wire.text("run_id"),
            run_state=wire.text("run_state", ""),
            queue_position=wire.number("queue_position", 0),
            epoch=epoch,
        )


@dataclass(frozen=True, slots=True)
class CreatedToken:
    """A new token. `secret` is shown this once; None when the answer is a repeated one."""

    token: Token
    secret: str | None = field(repr=False)

    @classmethod
    def from_json(cls, value: object) -> "CreatedToken":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "created token")
        return cls(token=wire.one("token", Token.from_json), secret=wire.maybe_text("secret"))


@dataclass(frozen=True, slots=True)
class Head:
    """The newest event of a thread, for lists. `kind` is `thread.deleted` when the thread is gone."""

    thread_id: str
    seq: int
    kind: str
    at: datetime
    preview: str
    offset: int

    @classmethod
    def from_json(cls, value: object) -> "Head":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "head")
        return cls(
            thread_id=wire.text("thread_id"),
            seq=wire.number("seq"),
            kind=wire.text("kind"),
            at=wire.instant("at"),
            preview=wire.text("preview", ""),
            offset=wire.number("offset"),
        )


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection may use."""

    frame_bytes: int = limits.FRAME_BYTES
    subscriptions: int = limits.RESUMED_SUBSCRIPTIONS
    inflight: int = limits.INFLIGHT_REQUESTS
    queue_bytes: int = limits.MIB

    @classmethod
    def from_json(cls, value: object) -> "ConnectionLimits":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "limits")
        return cls(
            frame_bytes=wire.number("frame_bytes", limits.FRAME_BYTES),
            subscriptions=wire.number("subscriptions", limits.RESUMED_SUBSCRIPTIONS),
            inflight=wire.number("inflight", limits.INFLIGHT_REQUESTS),
            queue_bytes=wire.number("queue_bytes", limits.MIB),
        )


@dataclass(frozen=True, slots=True)
class Resumed:
    """What became of one subscription named in `hello`: `replaying`, or `reset` and why."""

    thread_id: str
    state: str
    reason: str | None

    @classmethod
    def from_json(cls, value: object) -> "Resumed":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "resumed")
        return cls(wire.text("thread_id"), wire.text("state"), wire.maybe_text("reason"))


@dataclass(frozen=True, slots=True)
class PairingAsked:
    """What a device asked for and how it is approved: `code` is for whoever does it."""

    pairing_id: str
    code: str
    expires_at: datetime

    @classmethod
    def from_json(cls, value: object) -> "PairingAsked":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "pairing")
        return cls(wire.text("pairing_id"), wire.text("code"), wire.instant("expires_at"))


@dataclass(frozen=True, slots=True)
class Hello:
    """The connection as the gateway sees it."""

    connection_id: str
    principal: Principal
    scopes: tuple[str, ...]
    minor: int
    capabilities: tuple[str, ...]
    epoch: str
    heartbeat_s: int
    limits: ConnectionLimits
    auth_expires_at: datetime | None
    resumed: tuple[Resumed, ...]
    pairing: PairingAsked | None = None
    """How a device gets the scopes that it asked for and does not have."""

    @classmethod
    def from_json(cls, value: object) -> "Hello":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "hello")
        return cls(
            connection_id=wire.text("connection_id"),
            principal=wire.one("principal", Principal.from_json),
            scopes=wire.many("scopes", str),
            minor=wire.number("minor"),
            capabilities=wire.many("capabilities", str),
            epoch=wire.text("epoch"),
            heartbeat_s=wire.number("heartbeat_s", int(limits.HEARTBEAT_S)),
            limits=wire.maybe("limits", ConnectionLimits.from_json) or ConnectionLimits(),
            auth_expires_at=wire.maybe_instant("auth_expires_at"),
            resumed=wire.many("resumed", Resumed.from_json),
            pairing=wire.maybe("pairing", PairingAsked.from_json),
        )


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Who answers, with which limits."""

    name: str
    version: str
    epoch: str
    minors: tuple[int, ...]
    limits: ConnectionLimits
    default_agent_id: str
    started_at: datetime

    @classmethod
    def from_json(cls, value: object) -> "ServerInfo":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "server info")
        server = Fields(wire.mapping("server"), "server")
        return cls(
            name=server.text("name", ""),
            version=server.text("version", ""),
            epoch=wire.text("epoch"),
            minors=wire.many("minors", lambda minor: minor if isinstance(minor, int) else -1),
            limits=wire.maybe("limits", ConnectionLimits.from_json) or ConnectionLimits(),
            default_agent_id=wire.text("default_agent_id", ""),
            started_at=wire.instant("started_at"),
        )
