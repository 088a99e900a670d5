"""The engine: the one task behind a client. It dials, reads, writes and keeps one timer for the session.

All decisions are the session's. What the user waits for are futures and feeds, kept here; how they look to
the user is in `client.py` and `streams.py`. Everything runs on one event loop, and `close` ends it all.
"""

import asyncio
import logging
import random
import secrets
import ssl
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal
from weakref import WeakValueDictionary

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed as SocketClosed

from threadgate_client import limits
from threadgate_client.answers import Head, Hello
from threadgate_client.closing import ABNORMAL
from threadgate_client.dial import DialFailed, dial, socket_url
from threadgate_client.errors import ClientClosed, DeadlineExceeded, ProtocolViolation, ThreadgateError
from threadgate_client.feeds import Feed
from threadgate_client.items import TextUpdate
from threadgate_client.outputs import (
    Answered,
    Asked,
    Broken,
    Delivered,
    HeadDelivered,
    Lost,
    Output,
    Ready,
    Refused,
    Served,
    Stopped,
    Told,
    ViewEnded,
)
from threadgate_client.session import Greeting, Session
from threadgate_client.version import VERSION
from threadgate_client.views import Position

TokenSource = str | Callable[[], str] | None
logger: Final = logging.getLogger("threadgate_client")


class Engine:
    """Owns the connection's task, the session and everything that waits."""

    def __init__(
        self,
        url: str,
        token: TokenSource,
        name: str,
        *,
        request_timeout_s: float,
        ssl_context: ssl.SSLContext | None,
        proxy: str | Literal[True] | None,
        offer: Mapping[str, Any] | None = None,
        on_served: Callable[[Served], None] = lambda output: None,
        greeting: Greeting | None = None,
        platform: str | None = None,
    ) -> None:
        """`offer` is for agent processes: what they can take; `greeting` for devices: what hello says besides.

        `on_served` is told what either is asked.
        """
        self.url = socket_url(url)
        self.request_timeout_s = request_timeout_s
        self.session = Session(
            name=name,
            version=VERSION,
            platform=platform or f"python/{sys.version.split()[0]}",
            offer=offer,
            greeting=greeting,
        )
        self._on_served = on_served
        self._backlog_chars = 0
        self._is_written = asyncio.Event()
        self._token = token
        self._ssl_context, self._proxy = ssl_context, proxy
        self._task: asyncio.Task[None] | None = None
        self._socket: ClientConnection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._end: ThreadgateError | None = None
        self._failure: Exception | None = None
        self._answers: dict[int, asyncio.Future[Mapping[str, Any]]] = {}
        self._feeds: WeakValueDictionary[int, Feed[Delivered]] = WeakValueDictionary()
        self._inboxes: WeakValueDictionary[int, Feed[Head]] = WeakValueDictionary()

    # --- life

    async def start(self, timeout_s: float | None) -> Hello:
        """Connect for the first time, within `timeout_s` (None: however long it takes).

        Raises what made it impossible: ConnectionRefused, ConnectionClosed, RequestRefused (a bad token is
        Unauthorized), ProtocolViolation, a TLS error; or DeadlineExceeded when nobody answered.
        """
        if self._task is None:
            self._task = asyncio.create_task(self._supervise(), name="threadgate-client")
        try:
            async with asyncio.timeout(timeout_s):
                await self._settled.wait()
        except TimeoutError:
            last = f", last: {self._failure}" if self._failure else ""
            error = DeadlineExceeded(f"connecting to {self.url}{last}", timeout_s or 0.0)
            raise error from self._failure
        self.check_open()
        if self.session.hello is None:
            raise ClientClosed("the client was closed while it connected")
        return self.session.hello

    async def close(self) -> None:
        """End everything: waiting requests and streams raise ClientClosed. Idempotent."""
        self._finish(ClientClosed("the client was closed"))
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})

    async def ended(self) -> None:
        """Wait until there will be no connection any more. Raises why."""
        if self._task is not None:
            await asyncio.wait({self._task})
        self.check_open()

    def check_open(self) -> None:
        """Raise why the client is not open, if it is not."""
        if self._end is not None:
            raise self._end
        if self._task is None:
            raise ClientClosed("the client is not connected yet: use `async with`, or await connect()")

    def use_token(self, token: str) -> None:
        """Connect with this token from now on."""
        self._token = token

    @property
    def token(self) -> str | None:
        """The token of the moment."""
        return self._token() if callable(self._token) else self._token

    @property
    def is_connected(self) -> bool:
        """Whether requests flow right now."""
        return self._end is None and self.session.is_ready

    # --- what the user wants

    async def request(
        self, method: str, params: Mapping[str, Any], timeout_s: float | None = None
    ) -> Mapping[str, Any]:
        """Ask and wait for the result, across reconnects.

        Raises RequestRefused, DeadlineExceeded (whose key repeats the request safely), or why the client
        ended; ValueError or TypeError when the params are not JSON.
        """
        self.check_open()
        timeout_s = self.request_timeout_s if timeout_s is None else timeout_s
        key = str(params.get("idempotency_key") or secrets.token_hex(limits.IDEMPOTENCY_KEY_BYTES))
        request_id = self.session.request(method, params, key)
        future: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[request_id] = future
        self._settle()
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            raise DeadlineExceeded(method, timeout_s, key) from None
        finally:
            self._answers.pop(request_id, None)
            self.session.forget(request_id)
            self._settle()

    def open_view(
        self,
        thread_id: str,
        position: Position,
        *,
        deltas: bool,
        kinds: frozenset[str] | None,
        restarts: bool,
    ) -> tuple[int, Feed[Delivered]]:
        """Follow a thread. The feed lives as long as its reader holds it. Raises why the client ended."""
        self.check_open()
        view_id = self.session.open_view(
            thread_id, position, self._now(), deltas=deltas, kinds=kinds, restarts=restarts
        )
        feed: Feed[Delivered] = Feed(
            pause=lambda: self._pause(view_id), resume=lambda: self._resume(view_id), merge=_merge
        )
        self._feeds[view_id] = feed
        self._settle()
        return view_id, feed

    def open_inbox(self, after_offset: int | None) -> tuple[int, Feed[Head]]:
        """Follow the heads of all threads. Raises why the client ended."""
        self.check_open()
        view_id = self.session.open_inbox(after_offset, self._now())
        feed: Feed[Head] = Feed(pause=lambda: self._pause(view_id), resume=lambda: self._resume(view_id))
        self._inboxes[view_id] = feed
        self._settle()
        return view_id, feed

    def close_view(self, view_id: int) -> None:
        """Stop following. Idempotent."""
        self._feeds.pop(view_id, None)
        self._inboxes.pop(view_id, None)
        self.session.close_view(view_id, self._now())
        self._settle()

    def _pause(self, view_id: int) -> None:
        self.session.pause_view(view_id, self._now())
        self._settle()

    def _resume(self, view_id: int) -> None:
        self.session.resume_view(view_id, self._now())
        self._settle()

    # --- what an agent process says

    def answer(self, request_id: int | str, result: Mapping[str, Any]) -> None:
        """Answer what the gateway asked."""
        self.session.answer(request_id, result)
        self._settle()

    def refuse(self, request_id: int | str, kind: str, message: str) -> None:
        """Refuse what the gateway asked."""
        self.session.refuse(request_id, kind, message)
        self._settle()

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Tell the gateway something over the present connection. Raises ValueError, TypeError and TooLarge."""
        self._backlog_chars += self.session.notify(method, params)
        self._is_written.clear()
        self._settle()

    async def written(self, but_chars: int = 0) -> None:
        """Return when no more than that of what was told waits to be written; at once without a connection."""
        if self._backlog_chars > but_chars and self._socket is not None:
            await self._is_written.wait()

    def _all_written(self) -> None:
        self._backlog_chars = 0
        self._is_written.set()

    # --- the task

    async def _supervise(self) -> None:
        try:
            await self._run()
        except Exception as error:  # the edge of the one task: whoever waits must hear of a bug
            logger.exception("the client failed", extra={"action": "client.failed"})
            self._finish(ClientClosed(f"the client failed: {error!r}"))

    async def _run(self) -> None:
        while (retry_at := self.session.retry_at) is not None and self._end is None:
            await asyncio.sleep(max(retry_at - self._now(), 0.0))
            try:
                socket = await dial(self.url, ssl_context=self._ssl_context, proxy=self._proxy)
            except DialFailed as failed:
                self._failure = failed.error
                if failed.is_final or (failed.is_final_at_first and self.session.hello is None):
                    self._finish(failed.error)
                    return
                self.session.dial_failed(self._now(), random.random(), failed.retry_after_s)
                logger.info("no connection: %s", failed.error, extra={"action": "client.dial_failed"})
                continue
            await self._converse(socket)

    async def _converse(self, socket: ClientConnection) -> None:
        """Be connected until that ends; then tell the session."""
        self._socket = socket
        try:
            host = socket.request.headers.get("Host", "") if socket.request is not None else ""
            self.session.connection_opened(self._now(), self.token, host)
            self._settle()
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(self._write(socket), name="threadgate-client-writer")
                await self._read(socket)
                writer.cancel()
        finally:
            self._socket = None
            self._all_written()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            await socket.close()
        code, reason = socket.close_code or ABNORMAL, socket.close_reason or ""
        logger.info("connection lost: %s %s", code, reason, extra={"action": "client.connection_lost"})
        self._tell(self.session.connection_lost(self._now(), code, reason, random.random()))

    async def _read(self, socket: ClientConnection) -> None:
        while True:
            try:
                frame = await socket.recv()
            except SocketClosed:
                return
            self._tell(self.session.receive(frame, self._now()), len(frame))
            self._settle()

    async def _write(self, socket: ClientConnection) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            for frame in self.session.frames_to_send(self._now()):
                try:
                    async with asyncio.timeout(limits.SEND_TIMEOUT_S):
                        await socket.send(frame)
                except (TimeoutError, SocketClosed):
                    # The reader notices, and whatever was not answered is sent again on the next connection.
                    socket.transport.abort()
                    return
            if not self.session.has_frames_to_send():
                self._all_written()

    def _settle(self) -> None:
        """After anything touched the session: let the writer write, and keep the timer early enough."""
        if self._socket is None:
            return
        if self.session.has_frames_to_send():
            self._wake.set()
        deadline = self.session.next_deadline()
        if deadline is None or (self._timer is not None and self._timer.when() <= deadline):
            return  # a timer that is too early does no harm: it finds nothing due and is armed again
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._tell(self.session.handle_timeout(self._now()))
        self._settle()

    # --- what the session says

    def _tell(self, outputs: list[Output], size_bytes: int = 0) -> None:
        for output in outputs:
            match output:
                case Delivered(view_id):
                    self._deliver(self._feeds.get(view_id), view_id, output, size_bytes)
                case HeadDelivered(view_id, head):
                    self._deliver(self._inboxes.get(view_id), view_id, head, size_bytes)
                case ViewEnded(view_id, error):
                    self._end_feed(self._feeds.get(view_id), error)
                    self._end_feed(self._inboxes.get(view_id), error)
                case Answered(request_id, result):
                    if (future := self._answers.get(request_id)) and not future.done():
                        future.set_result(result)
                case Refused(request_id, refusal):
                    if (future := self._answers.get(request_id)) and not future.done():
                        future.set_exception(refusal)
                case Asked() | Told() | Lost():
                    self._on_served(output)
                case Ready() | Broken() | Stopped():
                    self._tell_connection(output)

    def _tell_connection(self, output: Ready | Broken | Stopped) -> None:
        match output:
            case Ready(hello):
                logger.info("connected as %s", hello.connection_id, extra={"action": "client.ready"})
                self._settled.set()
            case Broken(reason):
                logger.warning("connection dropped: %s", reason, extra={"action": "client.broken"})
                self._failure = ProtocolViolation(reason)
                if self._socket is not None:
                    self._socket.transport.abort()
            case Stopped(error):
                self._finish(error)

    @staticmethod
    def _end_feed(feed: Feed[Any] | None, error: ThreadgateError | None) -> None:
        if feed is not None:
            feed.end(error)

    def _deliver(self, feed: Feed[Any] | None, view_id: int, value: object, size_bytes: int) -> None:
        if feed is None:
            # The iterator is gone without a word, as after `break` in a loop.
            self.session.close_view(view_id, self._now())
        else:
            feed.put(value, size_bytes)

    def _finish(self, error: Exception) -> None:
        """Nothing more will happen: tell everybody who waits. The first error counts."""
        if self._end is not None:
            return
        end = error if isinstance(error, ThreadgateError) else ClientClosed(str(error))
        if end is not error:
            end.__cause__ = error
        self._end = end
        self._settled.set()
        for future in self._answers.values():
            if not future.done():
                future.set_exception(end)
        for feed in list(self._feeds.values()):
            feed.end(end)
        for inbox in list(self._inboxes.values()):
            inbox.end(end)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _merge(before: Delivered, after: Delivered) -> Delivered | None:
    """Join what need not be read one by one: moves of the cursor, and growth of one text."""
    if after.item is None:
        return Delivered(after.view_id, before.item, after.cursor) if before.item is None else None
    old, new = before.item, after.item
    if not isinstance(old, TextUpdate) or not isinstance(new, TextUpdate) or old.message_id != new.message_id:
        return None
    if new.is_replaced:
        return after
    joined = TextUpdate(
        new.thread_id,
        new.run_id,
        new.message_id,
        old.text_appended + new.text_appended,
        new.text_so_far,
        old.is_replaced,
    )
    return Delivered(after.view_id, joined, after.cursor)
