"""The Discord adapter: the port's methods on discord.py's REST layer, and the life of one bot.

Receiving is in `gateway`, `receiver` and `catch_up`; conversions are in `inbound`, `interactions`, `outbound`
and `render`; how calls fail is in `rest`.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

import discord

from channels.capabilities import Capabilities
from channels.discord.backoff import Backoff
from channels.discord.capabilities import (
    CLOCK_SLACK_MS,
    FILE_MAX_BYTES,
    HISTORY_PAGE,
    NONCE_TRUSTED_MS,
    RECONCILE_PAGES_MAX,
    REQUEST_TIMEOUT_S,
    SENT_REMEMBERED,
    room_capabilities,
)
from channels.discord.download import Downloads
from channels.discord.interactions import Interaction
from channels.discord.outbound import (
    card_message,
    edit_body,
    file_body,
    file_form,
    find_own,
    marks_to_change,
    message_body,
    thread_body,
)
from channels.discord.places import PlaceKind, Places
from channels.discord.render import render_markdown
from channels.discord.rest import (
    INTERACTION_ANSWERED,
    THREAD_ARCHIVED,
    THREAD_EXISTS,
    UNKNOWN_CHANNEL,
    UNKNOWN_EMOJI,
    UNKNOWN_INTERACTION,
    UNKNOWN_MESSAGE,
    Refused,
    Rest,
    Vanished,
)
from channels.discord.session import Session
from channels.discord.settings import DiscordSettings
from channels.discord.snowflakes import first_id_at
from channels.errors import AuthLost, ChannelError, Gone, Permanent, StreamEnded, TooLarge, Unreachable
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

log = logging.getLogger(__name__)

PLACEHOLDER = "…"


class DiscordAdapter:
    """One bot. Implements channels.port.Adapter."""

    kind = "discord"

    def __init__(
        self,
        settings: DiscordSettings,
        token: str,
        backoff: Backoff | None = None,
        request_timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        self._settings = settings
        self._token = token
        self._backoff = backoff or Backoff()
        self._request_timeout_s = request_timeout_s
        self._rest: Rest | None = None
        self._downloads = Downloads(settings.api_base_url)
        self._places = Places()
        # Threads that are known to exist, beside those the gateway told of.
        self._threads: set[str] = set()
        # Messages sent by this process and the operation of each: nobody else's when one is looked for.
        self._sent: OrderedDict[str, str] = OrderedDict()
        self._session: Session | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_stopped = False
        self._auth_lost: str | None = None

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._settings.account

    # --- life ---------------------------------------------------------------------------------

    async def start(self, sink: InboxSink) -> None:
        """Begin to receive. Raises RuntimeError when it runs already."""
        if self._task is not None:
            raise RuntimeError(f"discord account {self.account} is started already")
        if self._is_stopped:
            await self._close_calls()
            self._is_stopped = False
        self._session = Session(
            self._settings, self._token, self._calls(), self._places, self, sink, self._backoff
        )
        self._task = asyncio.create_task(self._session.run(), name=f"discord:{self.account}")

    async def stop(self) -> None:
        """Stop receiving, at once but for a commit in progress, and close connections. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        # Calls stay possible until then: people who pressed something are still answered.
        self._is_stopped = True
        await self._close_calls()

    async def _close_calls(self) -> None:
        rest, self._rest = self._rest, None
        if rest is not None:
            await rest.close()
        await self._downloads.close()

    def health(self) -> Health:
        """Whether messages flow right now."""
        if self._session is None:
            return Health(HealthState.STARTING, "not started")
        health = self._session.health()
        if self._is_stopped and health.state is not HealthState.STOPPED:
            return Health(HealthState.STOPPED, "stopped", health.last_event_at_ms)
        if self._auth_lost is not None and health.state is HealthState.CONNECTED:
            return Health(
                HealthState.DEGRADED, self._auth_lost, health.last_event_at_ms, health.lag_ms, health.missing
            )
        return health

    async def probe(self) -> None:
        """Ask who the token belongs to. Raises ChannelError."""
        await self._call("GET", "/users/@me")

    async def receive(self, request: HttpRequest) -> HttpResponse:
        """Nothing is served: interactions come through the gateway."""
        return HttpResponse(404)

    # --- what a room takes --------------------------------------------------------------------

    def capabilities(self, room: RoomRef) -> Capabilities:
        """The limits of this room."""
        return room_capabilities(room)

    def render(self, markdown: str, room: RoomRef) -> list[Rendered]:
        """The same in every room. Pure."""
        return render_markdown(markdown)

    def placeholder(self, room: RoomRef) -> Rendered:
        """What stands for an answer that is still being written. Pure."""
        return Rendered(PLACEHOLDER)

    def card(self, card: Card, room: RoomRef) -> Rendered:
        """The card as text with rows of buttons; without any when it is settled. Pure."""
        return card_message(card)

    # --- calls --------------------------------------------------------------------------------

    async def send(self, operation: Operation, room: RoomRef, content: Rendered) -> Receipt:
        """Post a new message, opening the room's thread when there is none. Raises ChannelError.

        The nonce makes a repetition within a few minutes the same message, whatever that said then: it is told
        as deduplicated unless it shows `content`. One that was deleted meanwhile raises Gone.
        """
        body = message_body(content, operation.id)
        message = await self._post(operation, room, json=body)
        ref = str(message["id"])
        shows_it = find_own([message], str(message["author"]["id"]), [content]) is not None
        return Receipt(ref) if shows_it else Receipt(ref, "deduplicated")

    async def upload(
        self, operation: Operation, room: RoomRef, content: Rendered, file: OutboundFile
    ) -> Receipt:
        """Post a file with `content` as its caption, marked like `send`. Raises ChannelError."""
        if len(file.data) > FILE_MAX_BYTES:
            raise TooLarge(f"{len(file.data)} bytes, Discord takes {FILE_MAX_BYTES}")
        # The library's own cleaning of the name, so that both parts of the request agree.
        attached = discord.File(BytesIO(file.data), file.name)
        form = file_form(file_body(content, operation.id, attached.filename), attached, file.media_type)
        message = await self._post(operation, room, file=attached, form=form)
        return Receipt(str(message["id"]))

    async def edit(self, operation: Operation, room: RoomRef, ref: str, content: Rendered) -> Receipt:
        """Make message `ref` show `content`. Raises ChannelError."""
        channel_id = self._channel_of(room, ref)
        path = "/channels/{channel_id}/messages/{message_id}"
        body = edit_body(content)
        try:
            await self._call("PATCH", path, json=body, channel_id=channel_id, message_id=ref)
        except Refused as error:
            if error.code != THREAD_ARCHIVED:
                raise
            # Writing brings a hidden thread back by itself, editing does not.
            await self._call(
                "PATCH", "/channels/{channel_id}", json={"archived": False}, channel_id=channel_id
            )
            await self._call("PATCH", path, json=body, channel_id=channel_id, message_id=ref)
        return Receipt(ref)

    async def reconcile(self, operation: Operation, room: RoomRef, content: Rendered) -> Reconciled:
        """Absent while the nonce is good: sending again gives the first message, if there is one. After that the
        bot's own messages since the attempt are read back. Raises ChannelError.
        """
        if time.time_ns() // 1_000_000 - operation.attempted_at_ms < NONCE_TRUSTED_MS:
            return Reconciled(Finding.ABSENT)
        after = first_id_at(operation.attempted_at_ms - CLOCK_SLACK_MS)
        try:
            # The message may have been put up as a placeholder, before its content was known.
            shows = (content, self.placeholder(room))
            return await self._find(operation, room.topic or room.room, after, shows)
        except Vanished as error:
            # A thread that was not opened, or a room that is gone, which sending again will find out.
            is_absent = error.code in (UNKNOWN_CHANNEL, UNKNOWN_MESSAGE)
            return Reconciled(Finding.ABSENT if is_absent else Finding.UNKNOWABLE)
        except Refused:
            return Reconciled(Finding.UNKNOWABLE)

    async def _find(
        self, operation: Operation, channel_id: str, after: int, shows: Sequence[Rendered]
    ) -> Reconciled:
        bot_id = str((await self._calls().identify())["id"])
        others = {ref for ref, owner in self._sent.items() if owner != operation.id}
        for page in range(RECONCILE_PAGES_MAX):
            messages = await self.messages_after(channel_id, after)
            ref = find_own(messages, bot_id, shows, others)
            if ref is not None:
                return Reconciled(Finding.FOUND, Receipt(ref, "deduplicated"))
            if not messages and page == 0 and await self._hides_something(channel_id, after):
                return Reconciled(Finding.UNKNOWABLE)
            if len(messages) < HISTORY_PAGE:
                return Reconciled(Finding.ABSENT)
            after = int(messages[-1]["id"])
        return Reconciled(Finding.UNKNOWABLE)

    async def _hides_something(self, channel_id: str, after: int) -> bool:
        """Whether something was written that cannot be read: without the right, history is simply empty."""
        channel = await self.channel(channel_id)
        return int(channel.get("last_message_id") or 0) > after

    async def react(self, room: RoomRef, ref: str, mark: Mark | None) -> None:
        """Show `mark` as the bot's only reaction to message `ref`. Raises ChannelError."""
        places = {"channel_id": self._channel_of(room, ref), "message_id": ref}
        message = await self._call("GET", "/channels/{channel_id}/messages/{message_id}", **places)
        stale, wanted = marks_to_change(message, mark)
        path = "/channels/{channel_id}/messages/{message_id}/reactions/{emoji}/@me"
        for emoji in stale:
            try:
                await self._call("DELETE", path, emoji=emoji, **places)
            except Refused as error:
                if error.code != UNKNOWN_EMOJI:
                    raise
        if wanted is not None:
            await self._call("PUT", path, emoji=wanted, **places)

    async def show_typing(self, room: RoomRef) -> None:
        """Show that an answer is coming. Best effort; raises ChannelError."""
        await self._into(
            room,
            lambda channel_id: self._call("POST", "/channels/{channel_id}/typing", channel_id=channel_id),
        )

    async def open_stream(self, operation: Operation, room: RoomRef) -> Receipt:
        """Discord has no messages that grow."""
        raise Permanent("Discord has no native streams")

    async def append(self, room: RoomRef, ref: str, markdown: str) -> None:
        """Discord has no messages that grow."""
        raise StreamEnded("Discord has no native streams")

    async def close_stream(self, room: RoomRef, ref: str) -> None:
        """Nothing to end."""

    async def draft(self, operation: Operation, room: RoomRef, content: Rendered) -> None:
        """Discord has no previews that vanish."""
        raise Permanent("Discord has no drafts")

    async def download(self, attachment: Attachment, limit_bytes: int) -> AsyncIterator[bytes]:
        """The bytes of a file somebody sent. Raises ChannelError; TooLarge beyond `limit_bytes`."""
        url = attachment.key["url"]
        if self._downloads.is_expired(url):
            url = await self._fresh_url(attachment)
        async for chunk in self._downloads.read(url, limit_bytes):
            yield chunk

    async def _fresh_url(self, attachment: Attachment) -> str:
        """The address as the message has it now: it is signed anew whenever the message is read."""
        message = await self._call(
            "GET",
            "/channels/{channel_id}/messages/{message_id}",
            channel_id=attachment.key["channel"],
            message_id=attachment.key["message"],
        )
        found = [one["url"] for one in message["attachments"] if one["id"] == attachment.key["id"]]
        if not found:
            raise Gone("the file is no longer attached")
        return str(found[0])

    # --- for receiving ------------------------------------------------------------------------

    async def messages_after(self, channel_id: str, after: int) -> Sequence[Mapping[str, Any]]:
        """Up to HISTORY_PAGE messages that follow this id, oldest first. Raises ChannelError."""
        messages = await self._call(
            "GET",
            "/channels/{channel_id}/messages",
            query={"after": after, "limit": HISTORY_PAGE},
            channel_id=channel_id,
        )
        return sorted(messages, key=lambda message: int(message["id"]))

    async def channel(self, channel_id: str) -> Mapping[str, Any]:
        """A channel object. Raises ChannelError."""
        found: Mapping[str, Any] = await self._call("GET", "/channels/{channel_id}", channel_id=channel_id)
        return found

    async def respond(self, interaction: Interaction, body: Mapping[str, Any]) -> None:
        """Answer an interaction. Failures are logged: its three seconds may be over, or it was answered before."""
        try:
            await self._call(
                "POST",
                "/interactions/{webhook_id}/{webhook_token}/callback",
                json=body,
                webhook_id=interaction.id,
                webhook_token=interaction.token,
            )
        except ChannelError as error:
            is_late = isinstance(error, Refused) and error.code in (UNKNOWN_INTERACTION, INTERACTION_ANSWERED)
            log.log(
                logging.INFO if is_late else logging.WARNING,
                "discord interaction not answered: %s",
                str(error).replace(interaction.token, "<token>"),
                extra={"action": "discord.not_answered", "account": self.account},
            )

    # --- one call -----------------------------------------------------------------------------

    def _calls(self) -> Rest:
        """Made with the first call, because it needs the running loop. Raises Unreachable after `stop`."""
        if self._is_stopped:
            raise Unreachable("the adapter is stopped")
        if self._rest is None:
            self._rest = Rest(
                self._token, self._settings.api_base_url, self._settings.gateway_url, self._request_timeout_s
            )
        return self._rest

    async def _call(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            answer = await self._calls().call(method, path, **arguments)
        except AuthLost as error:
            self._auth_lost = str(error)
            raise
        self._auth_lost = None
        return answer

    async def _post(self, operation: Operation, room: RoomRef, **arguments: Any) -> Mapping[str, Any]:
        path = "/channels/{channel_id}/messages"
        message: Mapping[str, Any] = await self._into(
            room, lambda channel_id: self._call("POST", path, channel_id=channel_id, **arguments)
        )
        ref = str(message["id"])
        self._sent[ref] = operation.id
        if len(self._sent) > SENT_REMEMBERED:
            self._sent.popitem(last=False)
        return message

    def _channel_of(self, room: RoomRef, ref: str) -> str:
        """Where a message stands. A thread's starter stands in the channel, but for posts of a forum."""
        if room.topic is None or (ref == room.topic and not self._is_forum(room.room)):
            return room.room
        return room.topic

    def _is_forum(self, channel_id: str) -> bool:
        place = self._places.find(channel_id)
        return place is not None and place.kind is PlaceKind.FORUM

    async def _into(self, room: RoomRef, write: Callable[[str], Awaitable[Any]]) -> Any:
        """Write into the room, or into its thread, which is opened when it may not exist."""
        if room.topic is None:
            return await write(room.room)
        if room.topic not in self._threads and self._places.find(room.topic) is None:
            await self._open_thread(room.room, room.topic)
        answer = await write(room.topic)
        self._threads.add(room.topic)
        return answer

    async def _open_thread(self, channel_id: str, starter_id: str) -> None:
        """A message has at most one thread, with its own id, so opening it twice is opening it once."""
        places = {"channel_id": channel_id, "message_id": starter_id}
        try:
            starter = await self._call("GET", "/channels/{channel_id}/messages/{message_id}", **places)
            if "thread" in starter:
                return
            bot_id = str((await self._calls().identify())["id"])
            await self._call(
                "POST",
                "/channels/{channel_id}/messages/{message_id}/threads",
                json=thread_body(starter, bot_id),
                **places,
            )
        except Vanished as error:
            # A thread outlives its starter, and some never had one; writing into it decides.
            if error.code != UNKNOWN_MESSAGE:
                raise
        except Refused as error:
            if error.code != THREAD_EXISTS:
                raise
