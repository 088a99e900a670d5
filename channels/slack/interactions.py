"""Buttons, forms and slash commands -> what the core takes, or why it is ignored. Pure; raises for no payload.

https://docs.slack.dev/reference/interaction-payloads. Slack does not repeat them; over HTTP a proxy may. So each is
named by what the same act always carries and no second act does: the time of a press and who pressed, the trigger of
a submission or a command.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from channels.messages import Addressed, Delivery, Inbound, Pressed, Sender
from channels.slack.cards import ACTION, FORM, REASON_ACTION, REASON_BLOCK, REASON_INPUT, context_of
from channels.slack.inbound import ignored
from channels.slack.places import Place, is_direct, milliseconds, room_of
from channels.slack.received import Answerable, FormWanted, Profile, Received
from channels.slack.texts import storable
from channels.text import well_formed

_TS = r"^\d{1,12}\.\d{1,6}$"
_Model = TypeVar("_Model", bound=BaseModel)


class _Id(BaseModel):
    id: str


class _User(_Id):
    username: str = ""
    name: str = ""
    team_id: str | None = None


class _Container(BaseModel):
    channel_id: str
    message_ts: str | None = Field(default=None, pattern=_TS)
    thread_ts: str | None = Field(default=None, pattern=_TS)
    is_ephemeral: bool = False


class _Label(BaseModel):
    text: str = ""


class _Action(BaseModel):
    action_id: str
    action_ts: str = Field(pattern=_TS)
    value: str | None = None
    text: _Label | None = None


class _ThreadOf(BaseModel):
    thread_ts: str | None = Field(default=None, pattern=_TS)


class _Press(BaseModel):
    user: _User
    team: _Id | None = None
    trigger_id: str
    container: _Container
    message: _ThreadOf | None = None
    actions: list[_Action] = Field(min_length=1)


class _View(_Id):
    callback_id: str = ""
    private_metadata: str = ""
    state: dict[str, Any] = Field(default_factory=dict)


class _Submission(BaseModel):
    user: _User
    team: _Id | None = None
    trigger_id: str
    view: _View


class _Command(BaseModel):
    team_id: str
    channel_id: str
    channel_name: str = ""
    user_id: str
    user_name: str = ""
    command: str
    text: str = ""
    trigger_id: str


def author_in(body: Mapping[str, Any]) -> tuple[str, str] | None:
    """Workspace and id of the person who acts; None when the payload does not say."""
    user = body.get("user")
    team = body.get("team")
    if isinstance(user, Mapping):
        team_id = team.get("id") if isinstance(team, Mapping) else user.get("team_id")
        return (str(team_id), str(user["id"])) if team_id and user.get("id") else None
    if body.get("team_id") and body.get("user_id"):
        return str(body["team_id"]), str(body["user_id"])
    return None


def to_received(body: Mapping[str, Any], author: Profile | None, now_ms: int) -> Received:
    """One interaction or command. `author` is the profile of `author_in`; `now_ms` is when it came."""
    body = storable(body)
    try:
        if "command" in body:
            return _commanded(_read(_Command, body), author, now_ms)
        match body.get("type"):
            case "block_actions":
                return _pressed(body, _read(_Press, body), author)
            case "view_submission":
                return _submitted(body, _read(_Submission, body), author, now_ms)
            case kind:
                return Received(ignored(body, f"interaction {well_formed(str(kind))[:60]}"))
    except (ValidationError, KeyError, TypeError, AttributeError, ValueError) as error:
        return Received(ignored(body, f"unreadable interaction: {type(error).__name__}"))


def _read(model: type[_Model], body: Mapping[str, Any]) -> _Model:
    return model.model_validate(body)


def _pressed(body: Mapping[str, Any], press: _Press, author: Profile | None) -> Received:
    action = press.actions[0]
    if not action.action_id.startswith(ACTION) or action.value is None:
        return Received(ignored(body, "not a button of ours"))
    container = press.container
    thread_ts = container.thread_ts or (press.message.thread_ts if press.message else None)
    place = Place(_team(press.team, press.user), container.channel_id, thread_ts)
    name = ":".join(
        ("act", place.team, place.channel, container.message_ts or "", action.action_ts, press.user.id)
    )
    if action.action_id.startswith(REASON_ACTION):
        label = action.text.text if action.text else ""
        form = FormWanted(place, press.user.id, press.trigger_id, container.message_ts, action.value, label)
        return Received(ignored({"event_id": name}, "a form was asked for"), after=form)
    pressed = Pressed(
        delivery_id=name,
        room=room_of(place),
        message_ref=container.message_ts,
        sender=_sender(press.user, place.team, author),
        value=action.value,
        occurred_at_ms=milliseconds(action.action_ts),
    )
    return Received(pressed, after=Answerable(place, press.user.id, "message"))


def _submitted(
    body: Mapping[str, Any], submission: _Submission, author: Profile | None, now_ms: int
) -> Received:
    view = submission.view
    if view.callback_id != FORM:
        return Received(ignored(body, "not a form of ours"))
    place, message_ref, value = context_of(view.private_metadata)
    typed = view.state["values"][REASON_BLOCK][REASON_INPUT].get("value") or ""
    pressed: Delivery = Pressed(
        delivery_id=f"form:{place.team}:{view.id}:{submission.trigger_id}",
        room=room_of(place),
        message_ref=message_ref,
        sender=_sender(submission.user, place.team, author),
        value=value,
        occurred_at_ms=now_ms,
        reason=well_formed(str(typed)),
    )
    return Received(pressed, after=Answerable(place, submission.user.id, "form"))


def _commanded(command: _Command, author: Profile | None, now_ms: int) -> Received:
    place = Place(command.team_id, command.channel_id)
    name = author.name if author else well_formed(command.user_name) or command.user_id
    inbound = Inbound(
        delivery_id=f"cmd:{command.team_id}:{command.trigger_id}",
        room=room_of(place),
        message_ref=None,
        sender=Sender(command.user_id, name, is_external=_is_outside(author)),
        text=well_formed(command.text),
        addressed=Addressed.COMMAND,
        is_direct=is_direct(command.channel_id),
        occurred_at_ms=now_ms,
        room_title=None if is_direct(command.channel_id) else well_formed(command.channel_name) or None,
    )
    return Received(inbound, sent_at_ms=now_ms, after=Answerable(place, command.user_id, "command"))


def _team(team: _Id | None, user: _User) -> str:
    """The workspace of an interaction; it names none when an organization installed the app."""
    found = team.id if team is not None else user.team_id
    if not found:
        raise ValueError("no workspace")
    return found


def _sender(user: _User, team: str, author: Profile | None) -> Sender:
    name = author.name if author else well_formed(user.name or user.username) or user.id
    return Sender(user.id, name, is_external=user.team_id not in (None, team) or _is_outside(author))


def _is_outside(author: Profile | None) -> bool:
    return author is not None and (author.is_guest or author.is_foreign)
