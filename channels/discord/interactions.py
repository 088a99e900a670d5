"""Interactions: the slash command, buttons and forms -> what the core takes; verdicts -> what Discord answers.

Pure. Nothing about a button is remembered: its custom id carries the value, so it works after any restart.
Source: discord-api-docs, interactions/receiving-and-responding.mdx and components/reference.mdx.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from channels.discord.capabilities import CUSTOM_ID_MAX, REASON_MAX
from channels.discord.commands import COMMAND, COMMAND_TEXT
from channels.discord.inbound import Member, User, thread_key, title_of, to_sender
from channels.discord.limits import CONTENT_MAX_CODEPOINTS as TEXT_MAX
from channels.discord.places import Place, PlaceKind, to_place
from channels.discord.snowflakes import millis_of
from channels.messages import Addressed, Delivery, Ignored, Inbound, Pressed, RoomRef, Verdict
from channels.text import well_formed

# Custom ids are ours when they begin like this. The number is the form's version: a later one can tell.
_PREFIX: Final = "tg1."
_PRESS, _ASK = "p.", "r."
_REASON_FIELD: Final = "reason"
# interactions/receiving-and-responding.mdx#interaction-callback-type
_MESSAGE, _NOTHING, _MODAL = 4, 6, 9
_EPHEMERAL: Final = 1 << 6
_NOBODY: Final[Mapping[str, Any]] = {"parse": []}

NOT_STORED: Final = "That could not be stored, so nothing was done. Please try again in a moment."
NOT_TAKEN: Final = "Nothing was done: this is not, or no longer, possible here."
NOT_HERE: Final = (
    "I cannot write here. Please use this command in a server I am in, or in a direct message to me."
)


class InteractionKind(StrEnum):
    """What somebody did."""

    COMMAND = "command"
    PRESS = "press"
    ASK_REASON = "ask_reason"
    FORM = "form"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Interaction:
    """One interaction. `token` answers it, within three seconds; `delivery` is what the core stores of it."""

    id: str
    token: str
    kind: InteractionKind
    delivery: Delivery
    value: str = ""


class _Option(BaseModel):
    name: str
    value: Any = None


class _Data(BaseModel):
    name: str = ""
    custom_id: str = ""
    options: list[_Option] = []
    components: list[dict[str, Any]] = []


class _MessageRef(BaseModel):
    id: str


class _Interaction(BaseModel):
    id: str
    token: str
    type: int
    channel_id: str | None = None
    channel: dict[str, Any] | None = None
    guild_id: str | None = None
    context: int | None = None
    data: _Data = _Data()
    member: Member | None = None
    user: User | None = None
    message: _MessageRef | None = None


def custom_id(value: str, asks_reason: bool) -> str:
    """A button's custom id. Raises ValueError when the value is too long."""
    made = f"{_PREFIX}{_ASK if asks_reason else _PRESS}{value}"
    if len(made) > CUSTOM_ID_MAX:
        raise ValueError(f"a button's value is too long: {len(value)} characters")
    return made


def to_interaction(payload: Mapping[str, Any]) -> Interaction:
    """One INTERACTION_CREATE. Only a missing `id` or `token` raises (KeyError)."""
    delivery_id, token = f"i:{payload['id']}", str(payload["token"])
    try:
        read = _Interaction.model_validate(payload)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        return _other(payload["id"], token, delivery_id, f"unreadable interaction: {first['type']}")
    user = read.user or (read.member.user if read.member else None)
    place = _place(read)
    if user is None or place is None:
        return _other(read.id, token, delivery_id, "an interaction without a person or a place")
    match read.type:
        case 2 if read.data.name == COMMAND:
            return _command(read, delivery_id, place, user)
        case 3 | 5 if read.data.custom_id.startswith(_PREFIX):
            return _press(read, delivery_id, place, user)
        case _:
            return _other(read.id, token, delivery_id, f"interaction type {read.type}")


def _other(interaction_id: str, token: str, delivery_id: str, reason: str) -> Interaction:
    return Interaction(interaction_id, token, InteractionKind.OTHER, Ignored(delivery_id, reason))


def _place(read: _Interaction) -> Place | None:
    """The place, or None where the bot cannot write: other people's direct messages and groups."""
    is_elsewhere = read.guild_id is None and read.context == 2
    if is_elsewhere or read.channel is None or "id" not in read.channel or "type" not in read.channel:
        return None
    return to_place(read.channel, read.guild_id)


def _room(place: Place) -> RoomRef:
    if place.kind is PlaceKind.THREAD:
        return RoomRef(place.parent or place.id, place.id)
    return RoomRef(place.id)


def _command(read: _Interaction, delivery_id: str, place: Place, user: User) -> Interaction:
    said = next((str(one.value) for one in read.data.options if one.name == COMMAND_TEXT), "").strip()
    if not said:
        return _other(read.id, read.token, delivery_id, "a command without text")
    room = _room(place)
    delivery = Inbound(
        delivery_id=delivery_id,
        room=room,
        message_ref=None,
        sender=to_sender(user, read.member),
        text=well_formed(said),
        addressed=Addressed.COMMAND,
        is_direct=place.kind is PlaceKind.DIRECT,
        occurred_at_ms=millis_of(read.id),
        thread_key=thread_key(room, place),
        room_title=title_of(place),
    )
    return Interaction(read.id, read.token, InteractionKind.COMMAND, delivery)


def _press(read: _Interaction, delivery_id: str, place: Place, user: User) -> Interaction:
    mode, value = read.data.custom_id[len(_PREFIX) :][:2], read.data.custom_id[len(_PREFIX) + 2 :]
    is_form = read.type == 5
    if mode == _ASK and not is_form:
        opened = Ignored(delivery_id, "a button that asks for a reason first")
        return Interaction(read.id, read.token, InteractionKind.ASK_REASON, opened, value)
    delivery = Pressed(
        delivery_id=delivery_id,
        room=_room(place),
        message_ref=read.message.id if read.message else None,
        sender=to_sender(user, read.member),
        value=value,
        occurred_at_ms=millis_of(read.id),
        reason=_typed(read.data.components) if is_form else None,
    )
    kind = InteractionKind.FORM if is_form else InteractionKind.PRESS
    return Interaction(read.id, read.token, kind, delivery, value)


def _typed(components: list[dict[str, Any]]) -> str | None:
    """What the form's one field holds; fields are wrapped in rows or labels, by the form's age."""
    for component in components:
        inner = component.get("components") or [component.get("component") or {}]
        for one in (component, *inner):
            if one.get("custom_id") == _REASON_FIELD:
                return well_formed(str(one.get("value") or "").strip()) or None
    return None


def answer(interaction: Interaction, verdict: Verdict) -> dict[str, Any]:
    """What the person gets to see: alone what the core says, or for all that a question was asked."""
    if verdict.says is not None:
        return whisper(verdict.says)
    if interaction.kind is InteractionKind.OTHER:
        return whisper(NOT_HERE)
    if not verdict.is_taken:
        return whisper(NOT_TAKEN)
    delivery = interaction.delivery
    if isinstance(delivery, Inbound):
        return {"type": _MESSAGE, "data": {"content": _quote(delivery.text), "allowed_mentions": _NOBODY}}
    return {"type": _NOTHING}


def whisper(text: str) -> dict[str, Any]:
    """Words for the person alone."""
    data = {"content": text[:TEXT_MAX], "flags": _EPHEMERAL, "allowed_mentions": _NOBODY}
    return {"type": _MESSAGE, "data": data}


def reason_form(value: str) -> dict[str, Any]:
    """The form that asks why, in answer to the button."""
    field = {
        "type": 4,
        "custom_id": _REASON_FIELD,
        "style": 2,
        "required": False,
        "max_length": REASON_MAX,
    }
    data = {
        "custom_id": custom_id(value, asks_reason=True),
        "title": "Why?",
        "components": [{"type": 18, "label": "Reason", "component": field}],
    }
    return {"type": _MODAL, "data": data}


def _quote(text: str) -> str:
    """The question as a quote, cut to what a message holds. The agent gets all of it."""
    quoted = "\n".join(f"> {line}" for line in text.splitlines())
    return quoted if len(quoted) <= TEXT_MAX else quoted[: TEXT_MAX - 1] + "…"
