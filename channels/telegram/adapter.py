"""The Telegram adapter: the port's methods, put together from the parts beside it.

Calls are in `bot_api`, receiving is in `poller` or `webhook`, conversions are in `inbound`, `outbound`, `cards` and
`render`.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator

from channels.capabilities import Capabilities
from channels.errors import Gone, Permanent, StreamEnded, TooLarge
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
from channels.port import InboxSink, Vault
from channels.telegram.attachments import FILE_ID
from channels.telegram.bot_api import BotApi
from channels.telegram.capabilities import (
    DOWNLOAD_MAX_BYTES,
    UPLOAD_MAX_BYTES,
    is_group,
    room_capabilities,
)
from channels.telegram.cards import render_card
from channels.telegram.outbound import (
    draft_arguments,
    edit_arguments,
    message_ref,
    reaction_arguments,
    send_arguments,
    typing_arguments,
    upload_arguments,
    upload_kind,
)
from channels.telegram.poller import Backoff, Poller
from channels.telegram.receiving import Receiver
from channels.telegram.render import render_markdown
from channels.telegram.settings import TelegramSettings
from channels.telegram.webhook import PATH, Webhook

PLACEHOLDER = "…"


class TelegramAdapter:
    """One bot. Implements channels.port.Adapter."""

    kind = "telegram"

    def __init__(
        self, settings: TelegramSettings, token: str, vault: Vault, backoff: Backoff | None = None
    ) -> None:
        self._settings = settings
        self._vault = vault
        self._backoff = backoff or Backoff()
        self._jitter = random.Random()
        self._api = BotApi(token, settings.api_base_url)
        self._receiver: Receiver | None = None
        self._webhook: Webhook | None = None
        self._task: asyncio.Task[None] | None = None
        self._has_drafts = True
        """Until the server says that it has none, or that this bot may not show them."""

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._settings.account

    # --- life ---------------------------------------------------------------------------------

    async def start(self, sink: InboxSink) -> None:
        """Begin to receive. Raises RuntimeError when it runs already."""
        if self._task is not None:
            raise RuntimeError(f"telegram account {self.account} is started already")
        await self._api.open()
        self._receiver = Receiver(
            self.account,
            self._api,
            sink,
            wants_everything=not self._settings.mention_required,
            pause_s=lambda failures: self._backoff.delay_s(failures, self._jitter),
            now_ms=now_ms,
        )
        self._webhook = self._own_webhook(self._receiver)
        if self._webhook is not None:
            run = self._webhook.run()
        else:
            run = Poller(self._api, self._receiver, self._vault, self._settings.poll_timeout_s).run()
        self._task = asyncio.create_task(run, name=f"telegram:{self.account}")

    def _own_webhook(self, receiver: Receiver) -> Webhook | None:
        if self._settings.mode != "webhook":
            return None
        url = f"{self._settings.webhook_url}/hooks/{self.kind}/{self.account}/{PATH}"
        return Webhook(self._api, self._vault, receiver, url)

    async def stop(self) -> None:
        """Stop receiving, at once but for a commit in progress, and close connections. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        if self._receiver is not None:
            await self._receiver.close()
        await self._api.close()

    def health(self) -> Health:
        """Whether messages flow right now."""
        if self._receiver is None:
            return Health(HealthState.STARTING, "not started")
        health = self._receiver.health
        if self._task is None and health.state is not HealthState.STOPPED:
            return Health(HealthState.STOPPED, "stopped", health.last_event_at_ms)
        return health

    async def probe(self) -> None:
        """Ask who the token belongs to, and with a webhook how posts fare. Raises ChannelError."""
        identity = await self._api.identify()
        if self._receiver is not None:
            self._receiver.learned(identity)
        if self._webhook is not None:
            await self._webhook.look()

    async def receive(self, request: HttpRequest) -> HttpResponse:
        """Take an update that Telegram posts; 404 where the account is polled. Raises what the store raises."""
        if self._webhook is None or self._task is None or request.path != PATH:
            return HttpResponse(404)
        return await self._webhook.receive(request)

    # --- what a room takes --------------------------------------------------------------------

    def capabilities(self, room: RoomRef) -> Capabilities:
        """The limits of this room."""
        return room_capabilities(room, has_drafts=self._has_drafts)

    def render(self, markdown: str, room: RoomRef) -> list[Rendered]:
        """The same in every room. Pure."""
        return render_markdown(markdown)

    def placeholder(self, room: RoomRef) -> Rendered:
        """What stands for an answer that is still being written. Pure."""
        return Rendered(PLACEHOLDER, {"entities": []})

    def card(self, card: Card, room: RoomRef) -> Rendered:
        """A text with an inline keyboard; without one when it is settled. Pure."""
        return render_card(card)

    # --- calls --------------------------------------------------------------------------------

    async def send(self, operation: Operation, room: RoomRef, content: Rendered) -> Receipt:
        """Post a new message. Raises ChannelError; only UnknownOutcome leaves open whether it exists.

        A group that has become another chat for ever is answered there; the reference then names that chat.
        """
        message = await self._api.send(send_arguments(room, content))
        return Receipt(message_ref(room, message.chat_id, message.message_id))

    async def edit(self, operation: Operation, room: RoomRef, ref: str, content: Rendered) -> Receipt:
        """Make message `ref` show `content`; that it shows it already is success. Raises ChannelError."""
        await self._api.edit(edit_arguments(room, ref, content))
        return Receipt(ref)

    async def upload(
        self, operation: Operation, room: RoomRef, content: Rendered, file: OutboundFile
    ) -> Receipt:
        """Post a file: pictures, sound and films as such, everything else as a document. Raises ChannelError.

        What the server does not take as a picture it is sent as a document: the refusal says nothing was posted.
        """
        if len(file.data) > UPLOAD_MAX_BYTES:
            raise TooLarge(f"the file has {len(file.data)} bytes, more than {UPLOAD_MAX_BYTES}")
        kind = upload_kind(file)
        try:
            message = await self._api.upload(kind, upload_arguments(room, content, file, kind))
        except Gone:
            raise
        except Permanent:
            if kind != "photo":
                raise
            as_document = upload_arguments(room, content, file, "document")
            message = await self._api.upload("document", as_document)
        return Receipt(message_ref(room, message.chat_id, message.message_id))

    async def reconcile(self, operation: Operation, room: RoomRef, content: Rendered) -> Reconciled:
        """Always unknowable: the Bot API cannot read the bot's own messages back, nor mark them when sending.

        So only a placeholder is ever posted, and answers are edits of it, which may be repeated.
        """
        return Reconciled(Finding.UNKNOWABLE)

    async def react(self, room: RoomRef, ref: str, mark: Mark | None) -> None:
        """Show `mark` as the bot's only reaction. Raises ChannelError."""
        await self._api.react(reaction_arguments(room, ref, mark))

    async def show_typing(self, room: RoomRef) -> None:
        """Show that an answer is coming. Best effort; raises ChannelError."""
        await self._api.show_typing(typing_arguments(room))

    async def open_stream(self, operation: Operation, room: RoomRef) -> Receipt:
        """Telegram has no messages that grow."""
        raise Permanent("Telegram has no native streams")

    async def append(self, room: RoomRef, ref: str, markdown: str) -> None:
        """Telegram has no messages that grow."""
        raise StreamEnded("Telegram has no native streams")

    async def close_stream(self, room: RoomRef, ref: str) -> None:
        """Nothing to end."""

    async def draft(self, operation: Operation, room: RoomRef, content: Rendered) -> None:
        """Show a draft in a private chat. Raises ChannelError; StreamEnded where there are none: then, and from
        now on, `capabilities` says that the account streams by edits."""
        if is_group(room):
            raise StreamEnded("groups have no drafts")
        try:
            await self._api.draft(draft_arguments(operation, room, content))
        except StreamEnded:
            self._has_drafts = False
            raise

    async def download(self, attachment: Attachment, limit_bytes: int) -> AsyncIterator[bytes]:
        """The bytes of a file. Raises ChannelError; TooLarge beyond `limit_bytes` or what bots may fetch."""
        most = min(limit_bytes, DOWNLOAD_MAX_BYTES)
        if attachment.size_bytes is not None and attachment.size_bytes > most:
            raise TooLarge(f"the file has {attachment.size_bytes} bytes, more than {most}")
        async for piece in self._api.download(attachment.key[FILE_ID], most):
            yield piece


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
