"""An event of Slack's Events API -> what the core takes, or why it is ignored. Pure; raises for no event.

Bodies are dictionaries in Slack's own spelling (https://docs.slack.dev/reference/events). Whether a person is
allowed in is not decided here.

**Names of deliveries.** A mention in a channel comes twice: as `message` and as `app_mention`, with different event
ids, in any order; either may be missing, by subscription or because Slack gave up on it. Both say the same about one
message, so both convert to the same Inbound under the message's own name, `msg:<team>:<channel>:<ts>`: the first one
stored counts, the other is a redelivery. Reading history names messages in the same way, so what was missed and what
comes late are one. Everything that is about no message is named by its event id.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from channels.messages import Addressed, Attachment, Deleted, Edited, Ignored, Inbound, Sender
from channels.slack.outbound import MARKER
from channels.slack.places import Place, is_direct, milliseconds, order_of, room_name, room_of, thread_key
from channels.slack.received import Began, BotIdentity, Echoed, Left, Opened, Profile, Received
from channels.slack.settings import Experience
from channels.slack.texts import mentions_user, readable, storable
from channels.text import well_formed

# What people write; every other subtype is a notice of Slack's (docs.slack.dev/reference/events/message).
_SPOKEN = frozenset({None, "", "file_share", "thread_broadcast", "me_message"})
_TITLE_SOURCE_MAX = 500
_TS = r"^\d{1,12}\.\d{1,6}$"


class _File(BaseModel):
    id: str
    name: str | None = None
    title: str | None = None
    mimetype: str | None = None
    size: int | None = None
    url_private: str | None = None
    mode: str | None = None


class _Edit(BaseModel):
    ts: str = Field(pattern=_TS)


class _Message(BaseModel):
    """A message as events and history show it; `team` is the workspace of its author."""

    ts: str = Field(pattern=_TS)
    user: str | None = None
    text: str | None = None
    subtype: str | None = None
    thread_ts: str | None = Field(default=None, pattern=_TS)
    bot_id: str | None = None
    team: str | None = None
    user_team: str | None = None
    source_team: str | None = None
    files: list[_File] = Field(default_factory=list)
    edited: _Edit | None = None
    hidden: bool = False
    metadata: dict[str, Any] | None = None
    client_msg_id: str | None = None

    @property
    def home(self) -> str | None:
        return self.user_team or self.source_team or self.team


class _MessageEvent(_Message):
    channel: str
    event_ts: str | None = None
    deleted_ts: str | None = None
    message: _Message | None = None
    previous_message: _Message | None = None


def bot_in(body: Mapping[str, Any]) -> BotIdentity | None:
    """Who we are, when the event says for whom it was sent."""
    authorizations = body.get("authorizations")
    for one in authorizations if isinstance(authorizations, list) else ():
        if isinstance(one, Mapping) and one.get("is_bot") and one.get("user_id") and body.get("team_id"):
            return BotIdentity(str(body["team_id"]), str(one["user_id"]))
    return None


def author_of(body: Mapping[str, Any]) -> tuple[str, str] | None:
    """Workspace and id of the person whose profile the conversion needs; None when it needs none."""
    event = body.get("event")
    if not isinstance(event, Mapping) or event.get("type") not in ("message", "app_mention"):
        return None
    said = event.get("message") if event.get("subtype") == "message_changed" else event
    if not isinstance(said, Mapping) or said.get("bot_id") or not _is_spoken(said.get("subtype")):
        return None
    team, user = body.get("team_id"), said.get("user")
    return (team, user) if isinstance(team, str) and isinstance(user, str) else None


def _is_spoken(subtype: object) -> bool:
    return subtype is None or (isinstance(subtype, str) and subtype in _SPOKEN)


def line_of(body: Mapping[str, Any]) -> tuple[str, tuple[int, int]] | None:
    """What must be stored in order: the room of an event, and its place there; None for what needs no order."""
    event = body.get("event")
    if not isinstance(event, Mapping) or not isinstance(event.get("channel"), str):
        return None
    try:
        order = order_of(str(event.get("event_ts") or event.get("ts")))
    except ValueError:
        return None
    return f"{body.get('team_id')}/{event['channel']}", order


def ignored(body: Mapping[str, Any], reason: str) -> Ignored:
    """A delivery that says nothing, by its event id; by its content when it has none."""
    if name := body.get("event_id"):
        return Ignored(f"ev:{name}", reason)
    digest = hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).hexdigest()
    return Ignored(f"sum:{digest[:32]}", reason)


def to_received(
    body: Mapping[str, Any], bot: BotIdentity, author: Profile | None, experience: Experience
) -> Received:
    """One `event_callback`. `author` is the profile of `author_of`, None when it could not be looked up."""
    body = storable(body)
    event = body.get("event")
    if not isinstance(event, Mapping) or not isinstance(body.get("team_id"), str):
        return Received(ignored(body, "no event of a workspace"))
    try:
        match event.get("type"):
            case "message" | "app_mention":
                return _Reading(body, bot, author, experience).message(_MessageEvent.model_validate(event))
            case "app_home_opened" if event.get("tab") == "messages" and not event.get("view"):
                place = Place(str(body.get("team_id")), str(event.get("channel")))
                return Received(ignored(body, "app_home_opened"), after=Opened(place))
            case "assistant_thread_started":
                return Received(
                    ignored(body, "assistant_thread_started"),
                    after=Opened(_assistant_place(body, event["assistant_thread"])),
                )
            case "app_uninstalled" | "tokens_revoked" as kind:
                left = Left(str(body.get("team_id")), kind == "app_uninstalled")
                has_bot = kind == "app_uninstalled" or (event.get("tokens") or {}).get("bot")
                return Received(ignored(body, kind), after=left if has_bot else None)
            case kind:
                return Received(ignored(body, f"event {well_formed(str(kind))[:60]}"))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place_in_body = ".".join(str(step) for step in first["loc"])
        return Received(ignored(body, f"unreadable event: {place_in_body}: {first['type']}"))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        return Received(ignored(body, f"unreadable event: {type(error).__name__}"))


def _assistant_place(body: Mapping[str, Any], thread: Mapping[str, Any]) -> Place:
    return Place(str(body.get("team_id")), str(thread["channel_id"]), str(thread["thread_ts"]))


class _Reading:
    """The conversion of one message event, with what it needs to know."""

    def __init__(
        self, body: Mapping[str, Any], bot: BotIdentity, author: Profile | None, experience: Experience
    ) -> None:
        self.body = body
        self.team = str(body.get("team_id") or bot.team)
        self.bot = bot
        self.author = author
        self.experience = experience

    def message(self, event: _MessageEvent) -> Received:
        match event.subtype:
            case "message_changed" if event.message is not None:
                return self._changed(event, event.message)
            case "message_deleted" if event.deleted_ts is not None:
                return self._deleted(event, event.deleted_ts, event.previous_message)
        return self._said(event)

    def _said(self, event: _MessageEvent) -> Received:
        """A new message: a person's, ours coming back, or a notice."""
        cursor = (room_name(self.team, event.channel), event.ts)
        sent_at_ms = milliseconds(event.ts)
        reason = self._reason_to_ignore(event)
        if reason is not None:
            echo = _echo(event) if self._is_ours(event) else None
            return Received(self._not_said(event, reason), cursor, sent_at_ms, echo)
        inbound = self._inbound(event)
        return Received(inbound, cursor, sent_at_ms, self._beginning(event, inbound))

    def _not_said(self, event: _MessageEvent, reason: str) -> Ignored:
        return replace(ignored(self.body, reason), delivery_id=self._name(event.channel, event.ts))

    def _inbound(self, event: _MessageEvent) -> Inbound:
        text = event.text or ""
        direct = is_direct(event.channel)
        place = self._place(event.channel, event)
        room = room_of(place)
        if direct:
            addressed = Addressed.DIRECT
        elif mentions_user(text, self.bot.user_id):
            addressed = Addressed.MENTION
        else:
            # Whether a reply stands in a thread of ours, only the core knows: by its key.
            addressed = Addressed.AMBIENT
        is_reply = event.thread_ts is not None and event.thread_ts != event.ts
        return Inbound(
            delivery_id=self._name(event.channel, event.ts),
            room=room,
            message_ref=event.ts,
            sender=self._sender(event),
            text=readable(text, "" if direct else self.bot.user_id),
            addressed=addressed,
            is_direct=direct,
            occurred_at_ms=milliseconds(event.ts),
            thread_key=thread_key(room) or (room.room if direct else None),
            reply_to=event.thread_ts if is_reply else None,
            attachments=tuple(self._attachments(event.files)),
        )

    def _changed(self, event: _MessageEvent, now: _Message) -> Received:
        """An edit, a file that was added, a link that unfolded, or a root that was deleted under its replies."""
        if now.subtype == "tombstone":
            return self._deleted(event, now.ts, event.previous_message)
        before = event.previous_message
        if now.bot_id or now.user is None or now.user == self.bot.user_id:
            return Received(ignored(self.body, "edit of a bot's message"))
        if now.subtype not in _SPOKEN:
            return Received(ignored(self.body, f"change of {now.subtype}"))
        if now.edited is None or (before is not None and before.text == now.text):
            return Received(ignored(self.body, "nothing that was said changed"))
        return Received(self._edited(event.channel, now, now.edited.ts))

    def _edited(self, channel: str, now: _Message, edited_ts: str) -> Edited:
        return Edited(
            delivery_id=f"edit:{self.team}:{channel}:{now.ts}:{edited_ts}",
            room=room_of(self._place(channel, now)),
            message_ref=now.ts,
            sender=self._sender(now),
            text=readable(now.text or "", "" if is_direct(channel) else self.bot.user_id),
            occurred_at_ms=milliseconds(edited_ts),
        )

    def _deleted(self, event: _MessageEvent, ts: str, before: _Message | None) -> Received:
        if before is not None and (before.bot_id or before.user == self.bot.user_id):
            return Received(ignored(self.body, "deletion of a bot's message"))
        place = self._place(event.channel, before or _Message(ts=ts, thread_ts=event.thread_ts))
        deleted = Deleted(
            delivery_id=f"del:{self.team}:{event.channel}:{ts}",
            room=room_of(place),
            message_ref=ts,
            occurred_at_ms=milliseconds(event.event_ts or event.ts),
        )
        return Received(deleted)

    def history(self, channel: str, message: _Message) -> list[Received]:
        """The deliveries of a message that was read back: itself, and its last edit."""
        event = _MessageEvent(channel=channel, **message.model_dump(exclude={"edited"}))
        said = self._said(event)
        if message.edited is None or not isinstance(said.delivery, Inbound):
            return [said]
        return [said, Received(self._edited(channel, message, message.edited.ts))]

    def _reason_to_ignore(self, event: _MessageEvent) -> str | None:
        if self._is_ours(event):
            return "our own message"
        if event.bot_id or event.subtype == "bot_message" or event.user == "USLACKBOT":
            return "sent by a bot"
        if event.subtype not in _SPOKEN:
            return f"message {well_formed(str(event.subtype))[:60]}"
        if event.user is None:
            return "no sender"
        if not event.text and not event.files:
            return "no text and no file"
        return None

    def _is_ours(self, message: _Message) -> bool:
        return message.user == self.bot.user_id or (
            bool(self.bot.bot_id) and message.bot_id == self.bot.bot_id
        )

    def _place(self, channel: str, message: _Message) -> Place:
        """In a thread, or at the message that may open one. Without threads a direct conversation is one."""
        if message.thread_ts is None and is_direct(channel) and self.experience == "none":
            return Place(self.team, channel)
        return Place(self.team, channel, message.thread_ts or message.ts)

    def _sender(self, message: _Message) -> Sender:
        """Somebody of another workspace, or a guest of this one, is external."""
        profile = self.author
        is_external = message.home not in (None, self.team) or (
            profile is not None and (profile.is_guest or profile.is_foreign)
        )
        user = message.user or ""
        return Sender(user, profile.name if profile else user, is_external=is_external)

    def _beginning(self, event: _MessageEvent, inbound: Inbound) -> Began | None:
        if (
            not inbound.is_direct
            or inbound.reply_to is not None
            or self.experience == "none"
            or not inbound.text
        ):
            return None
        place = Place(self.team, event.channel, event.ts)
        return Began(place, inbound.sender.id, inbound.text[:_TITLE_SOURCE_MAX])

    def _attachments(self, files: Sequence[_File]) -> list[Attachment]:
        return [
            Attachment(
                key={"team": self.team, "id": file.id, "url": file.url_private or ""},
                name=well_formed(file.name or file.title or file.id),
                media_type=file.mimetype or None,
                size_bytes=file.size,
            )
            for file in files
            if file.mode != "tombstone"
        ]

    def _name(self, channel: str, ts: str) -> str:
        return f"msg:{self.team}:{channel}:{ts}"


def read_back(
    place: Place, message: Mapping[str, Any], bot: BotIdentity, author: Profile | None, experience: Experience
) -> list[Received]:
    """A message of conversations.history or .replies, as the deliveries it would have been; none if unreadable."""
    try:
        parsed = _Message.model_validate(message)
    except ValidationError:
        return []
    return _Reading({"team_id": place.team}, bot, author, experience).history(place.channel, parsed)


def _echo(message: _Message) -> Echoed | None:
    """The operation that our own message carries."""
    metadata = message.metadata or {}
    payload = metadata.get("event_payload")
    if metadata.get("event_type") != MARKER or not isinstance(payload, Mapping):
        return None
    return Echoed(str(payload.get("op")), message.ts)
