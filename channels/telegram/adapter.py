"""The Telegram adapter: the port's methods on python-telegram-bot's Bot.

The only file that calls the SDK and knows its errors. Receiving is in `poller`, conversions are in `inbound`,
`outbound` and `render`. The SDK's Updater and Application are not used: they confirm updates before anyone
has stored them, and drop what is queued when they stop.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import httpx
from telegram import Bot, Message, Update
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
)
from telegram.request import HTTPXRequest

from channels.capabilities import Capabilities
from channels.errors import (
    AuthLost,
    ChannelError,
    Gone,
    Permanent,
    RateLimited,
    StreamEnded,
    UnknownOutcome,
    Unreachable,
)
from channels.messages import (
    Attachment,
    Card,
    Finding,
    Health,
    HealthState,
    HttpRequest,
    HttpResponse,
    Mark,
    Operation,
    OutboundFile,
    Receipt,
    Reconciled,
    Rendered,
    RoomRef,
)
from channels.port import InboxSink
from channels.telegram.capabilities import (
    CONNECT_TIMEOUT_S,
    POLL_BATCH_MAX,
    POOL_TIMEOUT_S,
    READ_TIMEOUT_S,
    WRITE_TIMEOUT_S,
    room_capabilities,
)
from channels.telegram.inbound import BotIdentity
from channels.telegram.outbound import edit_arguments, send_arguments, typing_arguments
from channels.telegram.poller import AnotherPoller, Backoff, Poller
from channels.telegram.redaction import keep_tokens_out_of_logs
from channels.telegram.render import render_markdown
from channels.telegram.settings import TelegramSettings

# The SDK's only switch between seconds as int, which it warns about inside RetryAfter's own constructor, and
# timedelta. Goes when python-telegram-bot has dropped the int (deprecated in 22.2).
os.environ.setdefault("PTB_TIMEDELTA", "true")

PLACEHOLDER = "…"
# Said explicitly, because the server remembers what the last program asked for.
_ALLOWED_UPDATES = ("message",)
_NOT_MODIFIED = "message is not modified"
# Descriptions of 400s that mean "there is nothing to write to any more", in lower case (Bot API 10.0 server).
_GONE = (
    "chat not found",
    "message to edit not found",
    "message thread not found",
    "topic_deleted",
    "message_id_invalid",
)
# Certain failures: httpx raises these before a byte of the request has left.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
# What the SDK raises when an answer does not look as it expects; the request was carried out by then.
_UNREADABLE = (AttributeError, KeyError, TypeError, ValueError)
# A description is a sentence; what is longer is the page of some proxy.
_DESCRIPTION_MAX = 200

_Result = TypeVar("_Result")


class TelegramAdapter:
    """One bot. Implements channels.port.Adapter."""

    kind = "telegram"

    def __init__(self, settings: TelegramSettings, token: str, backoff: Backoff | None = None) -> None:
        keep_tokens_out_of_logs()
        self._settings = settings
        self._token = token
        self._backoff = backoff or Backoff()
        # Two, so that long polls and sends never wait for one another's connections.
        self._requests = (_http_client(), _http_client())
        self._bot = Bot(
            token,
            base_url=f"{settings.api_base_url}/bot",
            base_file_url=f"{settings.api_base_url}/file/bot",
            get_updates_request=self._requests[0],
            request=self._requests[1],
        )
        self._poller: Poller | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._settings.account

    async def start(self, sink: InboxSink) -> None:
        """Begin to receive. Raises RuntimeError when it runs already."""
        if self._task is not None:
            raise RuntimeError(f"telegram account {self.account} is started already")
        for request in self._requests:
            await request.initialize()
        self._is_closed = False
        self._poller = Poller(self.account, self, sink, self._settings.poll_timeout_s, self._backoff)
        self._task = asyncio.create_task(self._poller.run(), name=f"telegram:{self.account}")

    async def stop(self) -> None:
        """Stop receiving, at once but for a commit in progress, and close connections. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        self._is_closed = True
        for request in self._requests:
            await request.shutdown()

    def health(self) -> Health:
        """Whether messages flow right now."""
        if self._poller is None:
            return Health(HealthState.STARTING, "not started")
        health = self._poller.health
        if self._task is None and health.state is not HealthState.STOPPED:
            return Health(HealthState.STOPPED, "stopped", health.last_event_at_ms)
        return health

    def capabilities(self, room: RoomRef) -> Capabilities:
        """The limits of this room."""
        return room_capabilities(room)

    def render(self, markdown: str, room: RoomRef) -> list[Rendered]:
        """The same in every room. Pure."""
        return render_markdown(markdown)

    def placeholder(self, room: RoomRef) -> Rendered:
        """What stands for an answer that is still being written. Pure."""
        return Rendered(PLACEHOLDER, {"entities": []})

    async def send(self, operation: Operation, room: RoomRef, content: Rendered) -> Receipt:
        """Post a new message. Raises ChannelError; only UnknownOutcome leaves open whether it exists."""
        arguments = send_arguments(room, content)
        message = await self._call(lambda: self._bot.send_message(**arguments))
        return Receipt(str(message.message_id))

    async def edit(self, operation: Operation, room: RoomRef, ref: str, content: Rendered) -> Receipt:
        """Make message `ref` show `content`; that it shows it already is success. Raises ChannelError."""
        arguments = edit_arguments(room, ref, content)
        await self._call(lambda: self._edit(arguments))
        return Receipt(ref)

    async def _edit(self, arguments: dict[str, Any]) -> Message | bool:
        try:
            return await self._bot.edit_message_text(**arguments)
        except BadRequest as error:
            if _NOT_MODIFIED in error.message.lower():
                return True
            raise

    async def reconcile(self, operation: Operation, room: RoomRef, content: Rendered) -> Reconciled:
        """Always unknowable: the Bot API cannot read the bot's own messages back, nor mark them when sending.

        So only a placeholder is ever posted, and answers are edits of it, which may be repeated.
        """
        return Reconciled(Finding.UNKNOWABLE)

    async def upload(
        self, operation: Operation, room: RoomRef, content: Rendered, file: OutboundFile
    ) -> Receipt:
        """Not yet: rooms say that they take no files."""
        raise Permanent("this adapter uploads no files")

    async def react(self, room: RoomRef, ref: str, mark: Mark | None) -> None:
        """Not yet: rooms say that they show no reactions."""

    async def open_stream(self, operation: Operation, room: RoomRef) -> Receipt:
        """Telegram has no messages that grow."""
        raise Permanent("Telegram has no native streams")

    async def append(self, room: RoomRef, ref: str, markdown: str) -> None:
        """Telegram has no messages that grow."""
        raise StreamEnded("Telegram has no native streams")

    async def close_stream(self, room: RoomRef, ref: str) -> None:
        """Nothing to end."""

    async def draft(self, operation: Operation, room: RoomRef, content: Rendered) -> None:
        """Not yet: rooms say that they stream by edits."""
        raise Permanent("this adapter shows no drafts")

    async def download(self, attachment: Attachment, limit_bytes: int) -> AsyncIterator[bytes]:
        """Not yet: messages with files are ignored."""
        raise Permanent("this adapter fetches no files")
        yield b""

    async def receive(self, request: HttpRequest) -> HttpResponse:
        """Not yet: updates are polled."""
        return HttpResponse(404)

    async def probe(self) -> None:
        """Ask who the token belongs to. Raises ChannelError."""
        await self.identify()

    def card(self, card: Card, room: RoomRef) -> Rendered:
        """The card as text, without buttons yet. Pure."""
        text = f"**{card.title}**\n\n{card.body}\n\n{card.outcome or ''}"
        return render_markdown(text)[0]

    async def show_typing(self, room: RoomRef) -> None:
        """Show that an answer is coming. Best effort; raises ChannelError."""
        arguments = typing_arguments(room)
        await self._call(lambda: self._bot.send_chat_action(**arguments))

    async def identify(self) -> BotIdentity:
        """Who the token belongs to (for the poller)."""
        user = await self._call(self._bot.get_me)
        return BotIdentity(user.id, user.username or "")

    async def fetch(self, offset: int | None, timeout_s: int) -> Sequence[Mapping[str, Any]]:
        """The updates from `offset` on (for the poller).

        An update that the SDK cannot read raises what it raises: to call it a network failure would hide it.
        """
        try:
            updates: tuple[Update, ...] = await self._bot.get_updates(
                offset=offset, timeout=timeout_s, limit=POLL_BATCH_MAX, allowed_updates=_ALLOWED_UPDATES
            )
        except TelegramError as error:
            raise self._to_channel_error(error) from None
        return [update.to_dict() for update in updates]

    async def _call(self, call: Callable[[], Coroutine[Any, Any, _Result]]) -> _Result:
        """One call, once. Raises ChannelError without a cause: the SDK's errors may quote the token."""
        if self._is_closed:
            raise Unreachable("the adapter is stopped")
        try:
            return await call()
        except TelegramError as error:
            raise self._to_channel_error(error) from None
        except _UNREADABLE as error:
            raise UnknownOutcome(f"unreadable answer ({type(error).__name__})") from None

    def _to_channel_error(self, error: TelegramError) -> ChannelError:
        return to_channel_error(error, error.message.replace(self._token, "<token>")[:_DESCRIPTION_MAX])


def to_channel_error(error: TelegramError, description: str) -> ChannelError:
    """What an error of the SDK lets the caller do next. `description` is its text, safe to log."""
    match error:
        case RetryAfter():
            return RateLimited(_seconds(error.retry_after), scope="room")
        case InvalidToken():
            # 404 is what the server says to a malformed token, and a wrong server to any.
            return AuthLost(
                f"the token was refused ({description}): set a valid token, or check api_base_url"
            )
        case Conflict():
            return AnotherPoller(
                f"someone else receives this bot's messages, another poller or a webhook ({description}): "
                "stop it, or use another token"
            )
        case Forbidden() | ChatMigrated():
            return Gone(description)
        case BadRequest():
            is_gone = any(phrase in description.lower() for phrase in _GONE)
            return Gone(description) if is_gone else Permanent(description)
        case NetworkError() if isinstance(error.__cause__, _NEVER_SENT):
            return Unreachable(description)
        case _:
            return UnknownOutcome(description)


def _seconds(period: Any) -> float:
    """The SDK says timedelta, or int where an operator set PTB_TIMEDELTA otherwise."""
    return float(period) if isinstance(period, int | float) else float(period.total_seconds())


def _http_client() -> HTTPXRequest:
    return HTTPXRequest(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        write_timeout=WRITE_TIMEOUT_S,
        pool_timeout=POOL_TIMEOUT_S,
    )
