"""The Slack adapter: the port's methods, each one call of the Web API or a few that belong together.

Receiving is in `session` and below it, conversions are in `inbound`, `outbound`, `cards` and `render`. Nothing here
repeats a call; what must survive a restart is in the core, what is remembered only saves calls.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow

from channels.capabilities import Capabilities
from channels.errors import Gone, Permanent, StreamEnded
from channels.messages import (
    Attachment,
    Card,
    Health,
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
from channels.slack import hooks
from channels.slack.agent import AgentView
from channels.slack.calls import SlackCalls
from channels.slack.capabilities import APPEND_MAX_CHARACTERS, OUTAGE_S, room_capabilities
from channels.slack.cards import card_blocks
from channels.slack.downloads import download
from channels.slack.installs import (
    REDIRECT_PATH,
    InstalledWorkspaces,
    VaultInstallationStore,
    authorize_url,
    make_flow,
)
from channels.slack.limits import FALLBACK_MAX_CHARACTERS
from channels.slack.manifest import wanted_scopes
from channels.slack.mrkdwn import escaped
from channels.slack.outbound import (
    MARKS,
    PLACEHOLDER,
    marker,
    post_arguments,
    stream_arguments,
    streamed,
    update_arguments,
)
from channels.slack.places import Place, place_of
from channels.slack.pulse import Pulse
from channels.slack.reactions import Reactions
from channels.slack.reconciling import Reconciler
from channels.slack.remembered import Remembered
from channels.slack.render import fallback_text, render_markdown
from channels.slack.session import Session
from channels.slack.settings import SlackSettings
from channels.slack.sockets import Backoff
from channels.slack.uploads import upload
from channels.slack.workspaces import Identities, OneWorkspace, Workspaces

# What a rate limit of calls that write into a room holds back; other methods have a limit of the whole workspace.
_ROOM = "room"
# chat.update on a message that still grows: the stream has to end first.
_STILL_STREAMING = "streaming_state_conflict"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The secrets themselves, already resolved; empty where the settings name none."""

    bot_token: str = ""
    app_token: str = ""
    signing_secret: str = ""
    client_secret: str = ""


class SlackAdapter:
    """One app. Implements channels.port.Adapter."""

    kind = "slack"

    def __init__(
        self,
        settings: SlackSettings,
        credentials: Credentials,
        vault: Vault | None,
        backoff: Backoff | None = None,
        outage_s: float = OUTAGE_S,
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        self._backoff = backoff or Backoff()
        self._outage_s = outage_s
        self._pulse = Pulse(needs_sockets=settings.mode == "socket")
        self._store: VaultInstallationStore | None = None
        self._workspaces = self._make_workspaces(vault)
        self._calls = SlackCalls(settings.api_base_url, self._workspaces)
        self._calls.auth_lost = self._auth_lost
        self._calls.scope_missed = self._pulse.missing.add
        self._identities = Identities(self._calls)
        self._identities.known = self._identified
        self._reconciler = Reconciler(self._calls, self._identities)
        self._agent = AgentView(self._calls, settings.experience, settings.prompts)
        self._reactions = Reactions(self._calls)
        self._streams: Remembered[tuple[str, str], str] = Remembered()
        self._session: Session | None = None
        self._oauth: AsyncOAuthFlow | None = None

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._settings.account

    # --- life ---------------------------------------------------------------------------------

    async def start(self, sink: InboxSink) -> None:
        """Begin to receive. Raises RuntimeError when it runs already."""
        if self._session is not None:
            raise RuntimeError(f"slack account {self.account} is started already")
        self._calls.open()
        self._pulse.is_started, self._pulse.is_stopped = True, False
        self._pulse.auth_lost = None
        self._session = Session(
            self._settings,
            sink,
            self._calls,
            self._workspaces,
            self._identities,
            self._reconciler,
            self._agent,
            self._pulse,
            app_token=self._credentials.app_token,
            signing_secret=self._credentials.signing_secret,
            backoff=self._backoff,
            outage_s=self._outage_s,
        )
        self._session.start()

    async def stop(self) -> None:
        """Stop receiving; what is being stored is stored and acknowledged. Idempotent."""
        session, self._session = self._session, None
        if session is not None:
            await session.stop()
        self._pulse.is_stopped = self._pulse.is_started
        await self._calls.close()
        self._oauth = None  # it held a client of the closed connections

    def health(self) -> Health:
        """Whether messages flow right now."""
        return self._pulse.health

    async def probe(self) -> None:
        """Ask Slack who we are, in every workspace. Raises ChannelError."""
        for team in await self._workspaces.teams():
            await self._identities.ask(team)
        self._pulse.is_probed = True

    async def receive(self, request: HttpRequest) -> HttpResponse:
        """Events over HTTP, and installations. Raises what the store raises."""
        return await hooks.answer(request, self._session, self._flow(), self._settings.mode)

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
        """The card with its buttons, or settled with its outcome. Pure."""
        body = render_markdown(card.body)[0] if card.body.strip() else Rendered("")
        outcome = render_markdown(card.outcome)[0] if card.outcome else Rendered("")
        blocks = card_blocks(card, body.payload.get("blocks", ()), outcome.payload.get("blocks", ()))
        text = "\n".join(part for part in (escaped(card.title), body.text, outcome.text) if part)
        return Rendered(
            text if len(text) <= FALLBACK_MAX_CHARACTERS else fallback_text(card.title), {"blocks": blocks}
        )

    # --- calls --------------------------------------------------------------------------------

    async def send(self, operation: Operation, room: RoomRef, content: Rendered) -> Receipt:
        """Post a new message, marked with its operation. Raises ChannelError."""
        place = place_of(room)
        arguments = post_arguments(operation, place, content)
        fields = await self._calls.call(
            place.team, "chat.postMessage", lambda client: client.chat_postMessage(**arguments), _ROOM
        )
        return self._made(operation, str(fields["ts"]))

    async def edit(self, operation: Operation, room: RoomRef, ref: str, content: Rendered) -> Receipt:
        """Make message `ref` show `content`; a stream that still grows ends first. Raises ChannelError."""
        place = _place_of_message(room, ref)
        try:
            await self._update(operation, place, ref, content)
        except Permanent as error:
            if _STILL_STREAMING not in str(error):
                raise
            await self.close_stream(room, ref)
            await self._update(operation, place, ref, content)
        return self._made(operation, ref)

    async def upload(
        self, operation: Operation, room: RoomRef, content: Rendered, file: OutboundFile
    ) -> Receipt:
        """Post a file with `content` as its caption. Raises ChannelError."""
        return self._made(operation, await upload(self._calls, place_of(room), content, file))

    async def reconcile(self, operation: Operation, room: RoomRef, content: Rendered) -> Reconciled:
        """Look for the message; RateLimited says when to ask again before it counts as absent."""
        return await self._reconciler.reconcile(operation, room, content)

    async def react(self, room: RoomRef, ref: str, mark: Mark | None) -> None:
        """Show `mark` as the bot's only reaction of its three. Raises ChannelError."""
        await self._reactions.show(
            _place_of_message(room, ref), ref, MARKS[mark] if mark is not None else None
        )

    async def show_typing(self, room: RoomRef) -> None:
        """Show that an answer is coming, where there is a thread to show it in. Raises ChannelError."""
        await self._agent.working(place_of(room))

    async def open_stream(self, operation: Operation, room: RoomRef) -> Receipt:
        """Post a message that grows. Raises ChannelError; Permanent where there can be none."""
        place = place_of(room)
        if place.thread_ts is None:
            raise Permanent("chat.startStream: a stream needs a thread")
        if not place.is_direct and operation.recipient is None:
            raise Permanent("chat.startStream: in a channel a stream needs somebody it is for")
        arguments = stream_arguments(operation, place)
        fields = await self._calls.call(
            place.team, "chat.startStream", lambda client: client.chat_startStream(**arguments), _ROOM
        )
        receipt = self._made(operation, str(fields["ts"]))
        self._streams.put((room.room, receipt.ref), operation.id)
        return receipt

    async def append(self, room: RoomRef, ref: str, markdown: str) -> None:
        """Let a stream's message grow. Raises ChannelError; StreamEnded when it cannot any more."""
        place, piece = place_of(room), streamed(markdown)
        if len(piece) > APPEND_MAX_CHARACTERS:
            raise StreamEnded(f"chat.appendStream: {len(piece)} characters at once are too many")
        try:
            await self._calls.call(
                place.team,
                "chat.appendStream",
                lambda client: client.chat_appendStream(channel=place.channel, ts=ref, markdown_text=piece),
                _ROOM,
            )
        except Gone:
            raise
        except Permanent as error:
            # Too long, or not to be had in this workspace: the message stands and takes edits.
            raise StreamEnded(str(error)) from None

    async def close_stream(self, room: RoomRef, ref: str) -> None:
        """End a stream; ending one that has ended is success. Raises ChannelError."""
        place = place_of(room)
        op = self._streams.get((room.room, ref))
        metadata = marker(op) if op is not None else None
        with suppress(StreamEnded):
            await self._calls.call(
                place.team,
                "chat.stopStream",
                lambda client: client.chat_stopStream(channel=place.channel, ts=ref, metadata=metadata),
                _ROOM,
            )
        await self._agent.rested(place)

    async def draft(self, operation: Operation, room: RoomRef, content: Rendered) -> None:
        """Slack has no drafts."""
        raise Permanent("Slack has no drafts")

    async def download(self, attachment: Attachment, limit_bytes: int) -> AsyncIterator[bytes]:
        """The bytes of a file somebody sent. Raises ChannelError; TooLarge beyond `limit_bytes`."""
        async for piece in download(self._calls, attachment, limit_bytes):
            yield piece

    # --- parts --------------------------------------------------------------------------------

    async def _update(self, operation: Operation, place: Place, ref: str, content: Rendered) -> None:
        arguments = update_arguments(operation, place, ref, content)
        await self._calls.call(
            place.team, "chat.update", lambda client: client.chat_update(**arguments), _ROOM
        )

    def _made(self, operation: Operation, ref: str) -> Receipt:
        self._reconciler.own.put(ref, operation.id)
        return Receipt(ref)

    def _make_workspaces(self, vault: Vault | None) -> Workspaces:
        settings = self._settings
        if settings.client_id is None:
            return OneWorkspace(self._credentials.bot_token)
        if vault is None:
            raise ValueError("several workspaces need a vault for their tokens")
        self._store = VaultInstallationStore(vault)
        return InstalledWorkspaces(
            self._store,
            settings.client_id,
            self._credentials.client_secret,
            lambda: self._calls.client(None),
        )

    def _flow(self) -> AsyncOAuthFlow | None:
        """The installation of the app in one more workspace, where the settings allow it."""
        settings, store = self._settings, self._store
        if store is None or settings.client_id is None or self._session is None:
            return None
        if self._oauth is None:
            self._oauth = make_flow(
                store,
                self._calls.client(None),
                client_id=settings.client_id,
                client_secret=self._credentials.client_secret,
                redirect_uri=f"{settings.public_url}/hooks/slack/{self.account}/{REDIRECT_PATH}",
                authorize_url=authorize_url(settings.api_base_url),
            )
        return self._oauth

    def _identified(self, team: str) -> None:
        """Slack answered for a token: whatever was wrong with it is over."""
        self._pulse.troubles.pop(f"workspace {team}", None)
        if self._settings.client_id is None:
            self._pulse.auth_lost = None
        self._pulse.scopes(self._identities.scopes, wanted_scopes(self._settings.experience))

    def _auth_lost(self, team: str, text: str) -> None:
        """A workspace's token no longer works; with one workspace that is the account."""
        if self._settings.client_id is None:
            self._pulse.auth_lost = f"bot_token: {text}"
        else:
            self._pulse.troubles[f"workspace {team}"] = f"workspace {team}: {text}"


def _place_of_message(room: RoomRef, ref: str) -> Place:
    """The place of a message that Slack named. Raises Gone for a file whose message it did not name."""
    if ref.startswith("file:"):
        raise Gone("the message of this file is not known")
    return place_of(room)
