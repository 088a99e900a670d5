"""The Bot API through python-telegram-bot's Bot: one method for each call we make, each made once.

Owns the HTTP clients and knows the SDK's errors; what goes out is put together in `outbound`. The SDK's Updater
and Application are not used: they confirm updates before anyone has stored them, and drop what is queued when
they stop.
"""

import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import httpx
from telegram import Bot, Message, Update
from telegram.error import BadRequest, ChatMigrated, InvalidToken, TelegramError
from telegram.request import HTTPXRequest

from channels.errors import (
    AuthLost,
    ChannelError,
    Gone,
    Permanent,
    RateLimited,
    StreamEnded,
    TooLarge,
    UnknownOutcome,
    Unreachable,
)
from channels.telegram.capabilities import (
    CONNECT_TIMEOUT_S,
    DOWNLOAD_PIECE_BYTES,
    POLL_BATCH_MAX,
    POOL_CONNECTIONS,
    POOL_TIMEOUT_S,
    READ_TIMEOUT_S,
    WEBHOOK_CONNECTIONS,
    WRITE_TIMEOUT_S,
)
from channels.telegram.failures import to_channel_error
from channels.telegram.inbound import BotIdentity
from channels.telegram.outbound import answer_arguments
from channels.telegram.redaction import keep_tokens_out_of_logs
from channels.telegram.webhook import WebhookState

# The SDK's only switch between seconds as int, which it warns about inside RetryAfter's own constructor, and
# timedelta. Goes when python-telegram-bot has dropped the int (deprecated in 22.2).
os.environ.setdefault("PTB_TIMEDELTA", "true")

# Said explicitly, because the server remembers what the last program asked for. Reactions are not asked for: they
# would be stored for nothing.
ALLOWED_UPDATES = ("message", "edited_message", "callback_query", "my_chat_member")
_NOT_MODIFIED = "message is not modified"
_QUERY_TOO_OLD = "query is too old"
_NO_DRAFTS = "textdraft_peer_invalid"
_NOT_FOUND = "not found"
# What the SDK raises when an answer does not look as it expects; the request was carried out by then.
_UNREADABLE = (AttributeError, KeyError, TypeError, ValueError)
# A description is a sentence; what is longer is the page of some proxy.
_DESCRIPTION_MAX = 200
# The field of the SDK's Update in which an update travels as it came.
_RAW = "raw_update"

_Result = TypeVar("_Result")


class BotApi:
    """One bot's calls. All raise ChannelError, without a cause: the SDK's errors may quote the token."""

    def __init__(self, token: str, api_base_url: str) -> None:
        keep_tokens_out_of_logs()
        self._token = token
        # Long polls, calls and downloads never wait for one another's connections.
        self._requests = (_http_client(_UpdatesRequest), _http_client(HTTPXRequest))
        self._files: httpx.AsyncClient | None = None
        self._bot = Bot(
            token,
            base_url=f"{api_base_url}/bot",
            base_file_url=f"{api_base_url}/file/bot",
            get_updates_request=self._requests[0],
            request=self._requests[1],
        )
        self._is_closed = False

    async def open(self) -> None:
        """Make calls possible again after `close`."""
        for request in self._requests:
            await request.initialize()
        self._is_closed = False

    async def close(self) -> None:
        """Close connections; calls are Unreachable from now on. Idempotent."""
        self._is_closed = True
        for request in self._requests:
            await request.shutdown()
        files, self._files = self._files, None
        if files is not None:
            await files.aclose()

    # --- receiving ----------------------------------------------------------------------------

    async def identify(self) -> BotIdentity:
        """Who the token belongs to."""
        user = await self._call(self._bot.get_me)
        return BotIdentity(user.id, user.username or "", bool(user.can_read_all_group_messages))

    async def fetch(self, offset: int | None, timeout_s: int) -> Sequence[Mapping[str, Any]]:
        """The updates from `offset` on as they came, confirming those before it."""
        updates: tuple[Update, ...] = await self._call(
            lambda: self._bot.get_updates(
                offset=offset, timeout=timeout_s, limit=POLL_BATCH_MAX, allowed_updates=ALLOWED_UPDATES
            )
        )
        return [update.api_kwargs[_RAW] for update in updates]

    async def set_webhook(self, url: str, secret: str) -> None:
        """Have updates posted to `url`. What waits is kept."""
        await self._call(
            lambda: self._bot.set_webhook(
                url,
                secret_token=secret,
                allowed_updates=ALLOWED_UPDATES,
                max_connections=WEBHOOK_CONNECTIONS,
                drop_pending_updates=False,
            )
        )

    async def delete_webhook(self) -> None:
        """Have updates wait for a poller. What waits is kept."""
        await self._call(lambda: self._bot.delete_webhook(drop_pending_updates=False))

    async def webhook_state(self) -> WebhookState:
        """Where updates are posted to, and how that goes."""
        info = await self._call(self._bot.get_webhook_info)
        failed_at = info.last_error_date.timestamp() if info.last_error_date is not None else None
        return WebhookState(info.url, info.pending_update_count, failed_at, info.last_error_message or "")

    async def answer(self, query_id: str, says: str | None) -> None:
        """Answer a pressed button. That it is too late is no failure: nobody waits any more."""
        arguments = answer_arguments(query_id, says)
        await self._call(lambda: _unless(_QUERY_TOO_OLD, self._bot.answer_callback_query(**arguments)))

    # --- writing ------------------------------------------------------------------------------

    async def send(self, arguments: Mapping[str, Any]) -> Message:
        """Post a text."""
        return await self._call(lambda: _following(self._bot.send_message, arguments))

    async def edit(self, arguments: Mapping[str, Any]) -> None:
        """Change a text; that it says so already is success."""
        await self._call(lambda: _unless(_NOT_MODIFIED, self._bot.edit_message_text(**arguments)))

    async def upload(self, kind: str, arguments: Mapping[str, Any]) -> Message:
        """Post a file as `photo`, `voice`, `audio`, `video` or `document`."""
        send = getattr(self._bot, f"send_{kind}")
        message: Message = await self._call(lambda: _following(send, arguments))
        return message

    async def react(self, arguments: Mapping[str, Any]) -> None:
        """Set the bot's reaction."""
        await self._call(lambda: self._bot.set_message_reaction(**arguments))

    async def show_typing(self, arguments: Mapping[str, Any]) -> None:
        """Show that something is coming."""
        await self._call(lambda: _following(self._bot.send_chat_action, arguments))

    async def draft(self, arguments: Mapping[str, Any]) -> None:
        """Show a draft. Raises StreamEnded where the server, or this chat, has none."""
        await self._call(lambda: self._draft(arguments))

    async def _draft(self, arguments: Mapping[str, Any]) -> None:
        try:
            await self._bot.send_message_draft(**arguments)
        except BadRequest as error:
            if _NO_DRAFTS in error.message.lower():
                raise StreamEnded("this bot may not show drafts here") from None
            raise
        except InvalidToken as error:
            # To a token it knows an older server says 404 for a method that it does not know.
            if _NOT_FOUND in error.message.lower():
                raise StreamEnded("the Bot API server knows no drafts") from None
            raise

    # --- files --------------------------------------------------------------------------------

    async def download(self, file_id: str, limit_bytes: int) -> AsyncIterator[bytes]:
        """The bytes of a file. Raises TooLarge as soon as there are more than `limit_bytes`."""
        try:
            file = await self._call(lambda: self._bot.get_file(file_id))
        except UnknownOutcome as error:
            # Nothing changes by a download: whatever broke, it can be begun again.
            raise Unreachable(str(error)) from None
        if file.file_size is not None and file.file_size > limit_bytes:
            raise TooLarge(f"the file has {file.file_size} bytes, more than {limit_bytes}")
        if not file.file_path or not file.file_path.startswith(("http://", "https://")):
            raise Permanent("the Bot API server keeps its files to itself (it runs with --local)")
        received = 0
        try:
            # The address holds the token: it is never shown, and leads nowhere else.
            async with self._file_client().stream("GET", file.file_path, follow_redirects=False) as answer:
                _check_download(answer)
                async for piece in answer.aiter_bytes(DOWNLOAD_PIECE_BYTES):
                    received += len(piece)
                    if received > limit_bytes:
                        raise TooLarge(f"the file has more than {limit_bytes} bytes")
                    yield piece
        except httpx.HTTPError as error:
            raise Unreachable(f"the download broke off ({type(error).__name__})") from None

    def _file_client(self) -> httpx.AsyncClient:
        if self._files is None:
            timeout = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S, pool=POOL_TIMEOUT_S)
            self._files = httpx.AsyncClient(timeout=timeout)
        return self._files

    # --- parts --------------------------------------------------------------------------------

    async def _call(self, call: Callable[[], Coroutine[Any, Any, _Result]]) -> _Result:
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


class _UpdatesRequest(HTTPXRequest):
    """Lets updates pass the SDK unread: one that it cannot read must not hold up all the others."""

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        answer = HTTPXRequest.parse_json_payload(payload)
        result = answer.get("result")
        if isinstance(result, list):
            # What it does not know it keeps as it is (`api_kwargs`).
            answer["result"] = [{"update_id": 0, _RAW: update} for update in result]
        return answer


async def _unless(phrase: str, call: Coroutine[Any, Any, object]) -> None:
    """A call for which the refusal with `phrase` is as good as success."""
    try:
        await call
    except BadRequest as error:
        if phrase not in error.message.lower():
            raise


async def _following(
    post: Callable[..., Coroutine[Any, Any, _Result]], arguments: Mapping[str, Any]
) -> _Result:
    """Post, and where the group has moved for ever, post there: the refusal says that nothing was done."""
    try:
        return await post(**arguments)
    except ChatMigrated as moved:
        return await post(**{**arguments, "chat_id": moved.new_chat_id})


def _check_download(answer: httpx.Response) -> None:
    match answer.status_code:
        case 200:
            return
        case 401:
            raise AuthLost("the token was refused when a file was fetched: set a valid token")
        case 404:
            raise Gone("the file is not there any more")
        case 429:
            raise RateLimited(float(answer.headers.get("Retry-After", 1)))
        case status:
            raise Unreachable(f"the file server answered {status}")


def _http_client(made_by: type[HTTPXRequest]) -> HTTPXRequest:
    return made_by(
        connection_pool_size=POOL_CONNECTIONS,
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        write_timeout=WRITE_TIMEOUT_S,
        pool_timeout=POOL_TIMEOUT_S,
    )
