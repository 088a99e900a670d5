"""The control side of this network: what tests, the demo and pages use to play people and look inside.

JSON under `/control/`; ids go out as texts and come in as texts or numbers. Faults, calls and changes are served
by `channels.emulators.control`; the gateway and the moderators have their routes in `control_above.py`.
"""

import base64
import binascii

from aiohttp import web

from channels.emulators.control import file_response, optional_text_of, read_body, text_of
from channels.emulators.discord.fields import flag_of, id_of, optional_id_of
from channels.emulators.discord.network import Network
from channels.emulators.discord.records import Json, Message, Upload, User
from channels.emulators.discord.views import (
    bot_view,
    channel_view,
    guild_view,
    interaction_view,
    message_view,
    user_view,
)
from channels.emulators.errors import ControlError


class Control:
    """The handlers of the people's side."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._world = network.world

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application."""
        return [
            web.get("/control/bots", self.bots),
            web.get("/control/users", self.users),
            web.get("/control/guilds", self.guilds),
            web.get("/control/channels", self.channels),
            web.get("/control/channels/{id:[0-9]+}/messages", self.messages),
            web.get("/control/files/{id:[0-9]+}", self.file),
            web.get("/control/interactions", self.interactions),
            web.get("/control/sessions", self.sessions),
            web.post("/control/dms", self.dm),
            web.post("/control/messages", self.say),
            web.post("/control/edits", self.edit),
            web.post("/control/deletions", self.delete),
            web.post("/control/reactions", self.react),
            web.post("/control/typing", self.type_in),
            web.post("/control/threads", self.start_thread),
            web.post("/control/presses", self.press),
            web.post("/control/commands", self.slash),
            web.post("/control/submissions", self.submit),
        ]

    async def bots(self, request: web.Request) -> web.Response:
        return web.json_response([bot_view(bot) for bot in self._world.bots.values()])

    async def users(self, request: web.Request) -> web.Response:
        return web.json_response([user_view(user) for user in self._world.users.values()])

    async def guilds(self, request: web.Request) -> web.Response:
        return web.json_response([guild_view(self._world, guild) for guild in self._world.guilds.values()])

    async def channels(self, request: web.Request) -> web.Response:
        """Every room: channels, threads and direct messages."""
        return web.json_response([channel_view(self._world, one) for one in self._world.channels.values()])

    async def messages(self, request: web.Request) -> web.Response:
        channel = self._world.channel_named(int(request.match_info["id"]))
        return web.json_response([message_view(self._world, one) for one in channel.messages.values()])

    async def file(self, request: web.Request) -> web.Response:
        """An attachment, as people see it: without a signed address that ends."""
        attachment = self._world.attachments.get(int(request.match_info["id"]))
        if attachment is None:
            raise ControlError("there is no such file")
        return file_response(attachment.data, attachment.content_type)

    async def interactions(self, request: web.Request) -> web.Response:
        return web.json_response(
            [interaction_view(self._world, one) for one in self._world.interactions.values()]
        )

    async def sessions(self, request: web.Request) -> web.Response:
        """A bot's gateway sessions, the first bot's without `?bot=`."""
        sessions = self._network.sessions(bot=request.query.get("bot"))
        return web.json_response(
            [
                {
                    "id": one.id,
                    "bot_id": str(one.bot.id),
                    "intents": int(one.intents),
                    "seq": one.seq,
                    "connected": one.sink is not None,
                }
                for one in sessions
            ]
        )

    async def dm(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        channel = self._network.dm(_user(body), bot=optional_text_of(body, "bot"))
        return web.json_response(channel_view(self._world, channel))

    async def say(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        message = self._network.say(
            text_of(body, "content"),
            user=_user(body),
            channel_id=id_of(body, "channel_id"),
            reply_to=optional_id_of(body, "reply_to"),
            uploads=_uploads(body),
            pings_reply=flag_of(body, "pings_reply", default=True),
        )
        return self._message(message)

    async def edit(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        where = id_of(body, "channel_id"), id_of(body, "message_id")
        return self._message(self._network.edit(*where, text_of(body, "content")))

    async def delete(self, request: web.Request) -> web.Response:
        """One message by `message_id`, or several by `message_ids`."""
        body = await read_body(request)
        ids = body.get("message_ids", [body.get("message_id")])
        if not isinstance(ids, list) or not all(str(one).isdecimal() for one in ids):
            raise ControlError("message_ids must be a list of ids")
        self._network.delete(id_of(body, "channel_id"), *map(int, ids))
        return web.json_response({})

    async def react(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        self._network.react(
            id_of(body, "channel_id"),
            id_of(body, "message_id"),
            text_of(body, "emoji"),
            user=_user(body),
            takes_back=flag_of(body, "takes_back"),
        )
        return web.json_response({})

    async def type_in(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        self._network.type_in(id_of(body, "channel_id"), user=_user(body))
        return web.json_response({})

    async def start_thread(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        thread = self._network.start_thread(
            text_of(body, "name"),
            user=_user(body),
            channel_id=id_of(body, "channel_id"),
            message_id=optional_id_of(body, "message_id"),
        )
        return web.json_response(channel_view(self._world, thread))

    async def press(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        values = body.get("values", [])
        if not isinstance(values, list):
            raise ControlError("values must be a list")
        interaction = self._network.press(
            id_of(body, "channel_id"),
            id_of(body, "message_id"),
            text_of(body, "custom_id"),
            user=_user(body),
            values=[str(one) for one in values],
        )
        return web.json_response(interaction_view(self._world, interaction))

    async def slash(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        options = body.get("options") or {}
        if not isinstance(options, dict):
            raise ControlError("options must be an object")
        interaction = self._network.slash(
            text_of(body, "name"),
            options,
            user=_user(body),
            channel_id=id_of(body, "channel_id"),
            bot=optional_text_of(body, "bot"),
        )
        return web.json_response(interaction_view(self._world, interaction))

    async def submit(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        values = body.get("values")
        if not isinstance(values, dict):
            raise ControlError("values must be an object")
        texts = {str(name): str(value) for name, value in values.items()}
        interaction = self._network.submit(id_of(body, "interaction_id"), texts)
        return web.json_response(interaction_view(self._world, interaction))

    def _message(self, message: Message) -> web.Response:
        return web.json_response(message_view(self._world, message))


def _user(body: Json) -> User:
    raw = body.get("user")
    if not isinstance(raw, dict):
        raise ControlError("user must be an object with id and username")
    user_id = id_of(raw, "id")
    if user_id <= 0:
        raise ControlError("user ids are positive")
    return User(
        user_id, text_of(raw, "username"), optional_text_of(raw, "display_name"), flag_of(raw, "is_bot")
    )


def _uploads(body: Json) -> list[Upload]:
    """Files as `{filename, content_base64, description?}`."""
    uploads = []
    for index, raw in enumerate(body.get("attachments") or []):
        if not isinstance(raw, dict):
            raise ControlError("attachments are objects with filename and content_base64")
        try:
            data = base64.b64decode(text_of(raw, "content_base64"), validate=True)
        except binascii.Error:
            raise ControlError("content_base64 is not base64") from None
        uploads.append(Upload(index, text_of(raw, "filename"), data, optional_text_of(raw, "description")))
    return uploads
