"""The client: what a user of this package holds. Thin: it names things and hands them to the engine.

The typed methods are in `methods.py`, the streams in `streams.py` and `replies.py`.
"""

import ssl
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from threadgate_client import limits
from threadgate_client.answers import Hello, SendResult, ServerInfo
from threadgate_client.approval_methods import Approvals
from threadgate_client.blobs import Blobs
from threadgate_client.data_methods import Data
from threadgate_client.device_methods import Devices
from threadgate_client.engine import Engine, TokenSource
from threadgate_client.groups import given
from threadgate_client.items import Cursor
from threadgate_client.methods import (
    Agents,
    Audit,
    Channels,
    Deliveries,
    Pairings,
    Routes,
    Runs,
    Threads,
    Tokens,
    Usages,
)
from threadgate_client.records import Part, TextPart, part_to_json
from threadgate_client.replies import ReplyStream
from threadgate_client.streams import Events, Inbox, Subscription
from threadgate_client.users import Access, Users

From = Literal["tail", "start"] | Cursor
OnBusy = Literal["queue", "reject", "interrupt", "steer"]
OnReset = Literal["stop", "restart"]


class Client:
    """A connection to one gateway that outlives its sockets.

    `url` is the gateway's address, http(s) or ws(s). `token` is a token, or a function that returns the
    present one and is called for every connection. `name` is shown to operators. `ssl_context` and `proxy`
    are those of `websockets`; no proxy is used unless given. All limits are in seconds.

    Use it with `async with`, or `connect` and `close`. It belongs to one event loop.
    """

    def __init__(
        self,
        url: str,
        *,
        token: TokenSource = None,
        name: str = "threadgate-client",
        request_timeout_s: float = limits.REQUEST_TIMEOUT_S,
        connect_timeout_s: float = limits.CONNECT_TIMEOUT_S,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | Literal[True] | None = None,
    ) -> None:
        self._engine = Engine(
            url, token, name, request_timeout_s=request_timeout_s, ssl_context=ssl_context, proxy=proxy
        )
        self._connect_timeout_s = connect_timeout_s
        self.threads = Threads(self._engine)
        self.runs = Runs(self._engine)
        self.agents = Agents(self._engine)
        self.usage = Usages(self._engine)
        self.approvals = Approvals(self._engine)
        self.blobs = Blobs(self._engine, ssl_context)
        self.routes = Routes(self._engine)
        self.channels = Channels(self._engine)
        self.deliveries = Deliveries(self._engine)
        self.tokens = Tokens(self._engine)
        self.users = Users(self._engine)
        self.pairings = Pairings(self._engine)
        self.devices = Devices(self._engine)
        self.audit = Audit(self._engine)
        self.data = Data(self._engine)

    def __repr__(self) -> str:
        return f"<Client of {self._engine.url}, {'connected' if self.is_connected else 'not connected'}>"

    # --- life

    async def connect(self) -> Hello:
        """Connect; afterwards the client reconnects by itself until it is closed or sent away for good.

        Raises at once when another try would not help: ConnectionRefused (HTTP 400 or 403, a wrong address),
        Unauthorized and other refusals of `hello`, ConnectionClosed with a 40xx code, ProtocolViolation.
        Otherwise it keeps trying, and raises DeadlineExceeded after `connect_timeout_s`. A client that failed
        to connect is closed.
        """
        is_connected = False
        try:
            hello = await self._engine.start(self._connect_timeout_s)
            is_connected = True
            return hello
        finally:
            if not is_connected:
                await self._engine.close()

    async def close(self) -> None:
        """Close: whatever still waits raises ClientClosed. Prompt, idempotent."""
        await self._engine.close()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def is_connected(self) -> bool:
        """Whether requests flow right now; when not, they wait."""
        return self._engine.is_connected

    @property
    def hello(self) -> Hello | None:
        """What the gateway said at the last handshake: principal, scopes, limits, epoch."""
        return self._engine.session.hello

    # --- requests

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, *, timeout_s: float | None = None
    ) -> Mapping[str, Any]:
        """Call any method; returns the result as it came.

        Survives reconnects: an unanswered request is sent again with the same idempotency key, which
        everything but a read gets. Raises RequestRefused in one of its kinds, DeadlineExceeded after
        `timeout_s` (default: the client's), or why the client ended.
        """
        return await self._engine.request(method, params or {}, timeout_s)

    async def server_info(self) -> ServerInfo:
        """Who answers, with which limits."""
        return ServerInfo.from_json(await self.request("server.info"))

    async def refresh(self, token: str | None = None) -> Access:
        """Give the open connection a newer credential of the same principal, before the old one expires.

        `token` is used from now on, for later connections too; without it, what the client's token source returns.
        Raises Forbidden when it is somebody else's; the connection stays as it was then.
        """
        secret = token if token is not None else self._engine.token
        access = Access.from_json(await self.request("auth.refresh", {"auth": {"token": secret}}))
        if token is not None:
            self._engine.use_token(token)
        return access

    async def send(
        self,
        content: str | Sequence[Part],
        thread_id: str | None = None,
        *,
        agent_id: str | None = None,
        on_busy: OnBusy = "queue",
        idempotency_key: str | None = None,
    ) -> SendResult:
        """Say something; returns once message and run are durable. Without `thread_id` a thread is made."""
        parts = [TextPart(content)] if isinstance(content, str) else content
        params = {
            "thread_id": thread_id,
            "agent_id": agent_id,
            "content": [part_to_json(part) for part in parts],
            "on_busy": on_busy,
            "idempotency_key": idempotency_key,
        }
        result = await self.request("message.send", given(params))
        return SendResult.from_json(result, self.hello.epoch if self.hello else "")

    # --- streams

    def subscribe(
        self,
        thread_id: str,
        from_: From = "tail",
        *,
        deltas: bool = True,
        kinds: Iterable[str] | None = None,
        on_reset: OnReset = "stop",
    ) -> Subscription:
        """Follow a thread: events, growing text, and news about the stream. Opened at once, read later.

        `from_` is "tail" (what comes after now), "start", or the cursor of an earlier subscription. With
        `kinds`, other events are left out. `on_reset` says whether to start again when the cursor cannot be
        honoured. Use it with `async with` to be sure of its place before anything else happens.
        """
        wanted = None if kinds is None else frozenset(kinds)
        if wanted is not None and not wanted:
            raise ValueError("kinds must name at least one kind; leave it out for all")
        return Subscription(
            self._engine, thread_id, from_, deltas=deltas, kinds=wanted, restarts=on_reset == "restart"
        )

    def events(
        self,
        thread_id: str,
        from_: From = "tail",
        *,
        kinds: Iterable[str] | None = None,
        on_reset: OnReset = "stop",
    ) -> Events:
        """Follow only the durable events. A reset raises SubscriptionReset, unless it restarts."""
        subscription = self.subscribe(thread_id, from_, deltas=False, kinds=kinds, on_reset=on_reset)
        return Events(subscription, restarts=on_reset == "restart")

    def inbox(self, after_offset: int | None = None) -> Inbox:
        """Follow the newest event of every visible thread; without an offset, from now on."""
        return Inbox(self._engine, after_offset)

    def stream_reply(self, sent: SendResult, *, timeout_s: float = limits.REPLY_TIMEOUT_S) -> ReplyStream:
        """The text of the answer to a message that was sent, as it is written."""

        async def already_sent() -> SendResult:
            return sent

        return ReplyStream(self._engine, already_sent, timeout_s)

    def ask(
        self,
        content: str | Sequence[Part],
        thread_id: str | None = None,
        *,
        agent_id: str | None = None,
        on_busy: OnBusy = "queue",
        idempotency_key: str | None = None,
        timeout_s: float = limits.REPLY_TIMEOUT_S,
    ) -> ReplyStream:
        """Send, and stream the answer. Nothing is sent before the first chunk is asked for."""

        async def send() -> SendResult:
            return await self.send(
                content, thread_id, agent_id=agent_id, on_busy=on_busy, idempotency_key=idempotency_key
            )

        return ReplyStream(self._engine, send, timeout_s)
