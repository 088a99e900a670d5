"""The control side's verbs over HTTP: each a POST of JSON that calls the verb of the same meaning on the stage.

`user` (or `by`) is `{id, first_name, username?}`, `bot` a username or an id and may be left out. Files travel
as base64 in `data`.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any, cast, get_args

from aiohttp import web

from channels.emulators.control import (
    integer_of,
    optional_integer_of,
    optional_text_of,
    read_body,
    text_of,
)
from channels.emulators.errors import ControlError
from channels.emulators.telegram.people import Said
from channels.emulators.telegram.records import ChatType, Content, FileKind, Json, Role, User
from channels.emulators.telegram.stage import DEFAULT_USER, Stage
from channels.emulators.telegram.views import chat_view, topic_view

Handler = Callable[[web.Request], Awaitable[web.Response]]
# The facts of a file that people can name; anything else is a slip of the pen.
_FILE_FIELDS = frozenset(("kind", "data", "name", "mime", "caption"))
_FACTS = frozenset(("duration", "width", "height", "title", "performer", "emoji"))


class ControlVerbs:
    """The handlers that do."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application."""
        verbs: dict[str, Callable[[Json], object]] = {
            "messages": self.say,
            "files": self.send_files,
            "edits": self.edit,
            "deletions": self.delete,
            "reactions": self.react,
            "presses": self.press,
            "bots/added": self.add_bot,
            "bots/roles": self.set_bot_role,
            "members/roles": self.set_role,
            "forums": self.make_forum,
            "topics": self.open_topic,
            "migrations": self.migrate,
            "updates/redelivered": self.redeliver,
            "updates/arranged": self.arrange,
            "updates/skipped": self.skip,
            "updates/expired": self.expire,
            "clock": self.advance,
            "tokens": self.revoke,
        }
        return [web.post(f"/control/{path}", _handler(verb)) for path, verb in verbs.items()]

    def say(self, body: Json) -> object:
        user = _user(body)
        said = self._stage.say(
            text_of(body, "text"),
            user=user,
            chat_id=integer_of(body, "chat_id", user.id),
            chat_type=_chat_type(body),
            chat_title=optional_text_of(body, "chat_title"),
            reply_to=optional_integer_of(body, "reply_to"),
            message_thread_id=optional_integer_of(body, "message_thread_id"),
            is_ephemeral=body.get("is_ephemeral") is True,
            bot=_bot(body),
        )
        return _said(said)

    def send_files(self, body: Json) -> object:
        raw = body.get("files")
        if not isinstance(raw, list) or not 1 <= len(raw) <= 10:
            raise ControlError("files must be a list of one to ten")
        user = _user(body)
        said = self._stage.send_files(
            [self._file(one) for one in raw],
            user=user,
            chat_id=integer_of(body, "chat_id", user.id),
            reply_to=optional_integer_of(body, "reply_to"),
            message_thread_id=optional_integer_of(body, "message_thread_id"),
            bot=_bot(body),
        )
        return [_said(one) for one in said]

    def edit(self, body: Json) -> object:
        text = text_of(body, "text")
        return {"update_id": self._stage.edit(*_message(body), text, bot=_bot(body))}

    def delete(self, body: Json) -> object:
        self._stage.delete(*_message(body), bot=_bot(body))
        return {}

    def react(self, body: Json) -> object:
        emoji = body.get("emoji")
        if not isinstance(emoji, list) or not all(isinstance(one, str) for one in emoji):
            raise ControlError("emoji must be a list of texts")
        update_id = self._stage.react(*_message(body), *emoji, user=_user(body), bot=_bot(body))
        return {"update_id": update_id}

    def press(self, body: Json) -> object:
        query_id = self._stage.press(
            integer_of(body, "chat_id"),
            integer_of(body, "message_id", 0),
            text_of(body, "data"),
            user=_user(body),
            ephemeral_message_id=optional_integer_of(body, "ephemeral_message_id"),
            bot=_bot(body),
        )
        return {"callback_query_id": query_id}

    def add_bot(self, body: Json) -> object:
        chat = self._stage.add_bot(
            integer_of(body, "chat_id"),
            by=_user(body, "by"),
            chat_title=optional_text_of(body, "chat_title"),
            chat_type=_chat_type(body),
            bot=_bot(body),
        )
        return chat_view(chat)

    def set_bot_role(self, body: Json) -> object:
        chat_id, by = integer_of(body, "chat_id"), _user(body, "by")
        self._stage.set_bot_role(chat_id, _role(body), by=by, bot=_bot(body))
        return {}

    def set_role(self, body: Json) -> object:
        chat_id, by = integer_of(body, "chat_id"), _user(body, "by")
        self._stage.set_role(chat_id, _user(body), _role(body), by=by, bot=_bot(body))
        return {}

    def make_forum(self, body: Json) -> object:
        self._stage.make_forum(integer_of(body, "chat_id"), bot=_bot(body))
        return {}

    def open_topic(self, body: Json) -> object:
        chat_id, name = integer_of(body, "chat_id"), text_of(body, "name")
        return topic_view(self._stage.open_topic(chat_id, name, user=_user(body), bot=_bot(body)))

    def migrate(self, body: Json) -> object:
        new_id = optional_integer_of(body, "new_id")
        by = _user(body, "by")
        chat_id = self._stage.migrate(integer_of(body, "chat_id"), new_id, by=by, bot=_bot(body))
        return {"chat_id": chat_id}

    def redeliver(self, body: Json) -> object:
        self._stage.redeliver(integer_of(body, "update_id"), bot=_bot(body))
        return {}

    def arrange(self, body: Json) -> object:
        ids = body.get("update_ids")
        if not isinstance(ids, list) or not all(isinstance(one, int) for one in ids):
            raise ControlError("update_ids must be a list of whole numbers")
        self._stage.arrange_updates(ids, bot=_bot(body))
        return {}

    def skip(self, body: Json) -> object:
        self._stage.skip_update_ids(integer_of(body, "count", 1), bot=_bot(body))
        return {}

    def expire(self, body: Json) -> object:
        self._stage.expire_updates(bot=_bot(body))
        return {}

    def advance(self, body: Json) -> object:
        seconds = body.get("advance_s")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise ControlError("advance_s must be a number")
        self._stage.advance(seconds)
        return {"now": self._stage.world.now()}

    def revoke(self, body: Json) -> object:
        return {"token": self._stage.revoke_token(optional_text_of(body, "token"), bot=_bot(body))}

    def _file(self, raw: object) -> Content:
        if not isinstance(raw, dict):
            raise ControlError("a file must be an object")
        if unknown := set(raw) - _FILE_FIELDS - _FACTS:
            raise ControlError(f"unknown field {min(unknown)} of a file")
        kind = text_of(raw, "kind")
        if kind not in get_args(FileKind):
            raise ControlError(f"kind must be one of {', '.join(get_args(FileKind))}")
        try:
            data = base64.b64decode(text_of(raw, "data"), validate=True)
        except binascii.Error:
            raise ControlError("data must be base64") from None
        facts: dict[str, Any] = {name: raw[name] for name in _FACTS & set(raw)}
        return self._stage.file(
            cast(FileKind, kind),
            data,
            name=optional_text_of(raw, "name"),
            mime=optional_text_of(raw, "mime"),
            caption=optional_text_of(raw, "caption") or "",
            **facts,
        )


def _handler(verb: Callable[[Json], object]) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return web.json_response(verb(await read_body(request)))

    return handle


def _said(said: Said) -> Json:
    wire: Json = {"update_id": said.update_id, "message_id": said.message_id}
    if said.ephemeral_message_id is not None:
        wire["ephemeral_message_id"] = said.ephemeral_message_id
    return wire


def _bot(body: Json) -> str | None:
    return None if body.get("bot") is None else str(body["bot"])


def _message(body: Json) -> tuple[int, int]:
    return integer_of(body, "chat_id"), integer_of(body, "message_id")


def _chat_type(body: Json) -> ChatType | None:
    kind = body.get("chat_type")
    if kind not in (None, *get_args(ChatType)):
        raise ControlError("chat_type must be private, group or supergroup")
    return cast(ChatType | None, kind)


def _role(body: Json) -> Role:
    role = text_of(body, "role")
    if role not in get_args(Role):
        raise ControlError(f"role must be one of {', '.join(get_args(Role))}")
    return cast(Role, role)


def _user(body: Json, name: str = "user") -> User:
    raw = body.get(name)
    if raw is None and name == "by":
        return DEFAULT_USER
    if not isinstance(raw, dict):
        raise ControlError(f"{name} must be an object with id and first_name")
    user_id = integer_of(raw, "id")
    if user_id <= 0:
        raise ControlError("user ids are positive")
    username = raw.get("username")
    return User(user_id, text_of(raw, "first_name"), None if username is None else str(username).lstrip("@"))
