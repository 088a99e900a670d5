"""The control side of this network: what tests, the demo and a page use to play people and look inside.

JSON under `/control/`; every verb is one of `network.py`. Faults, calls and changes are served by
`channels.emulators.control`. A `user` is an object with `id`, `name` and perhaps `real_name`; without one it is Ada.
"""

from base64 import b64decode
from collections.abc import Awaitable, Callable

from aiohttp import web

from channels.emulators.control import (
    file_response,
    integer_of,
    optional_integer_of,
    optional_text_of,
    read_body,
    text_of,
)
from channels.emulators.errors import ControlError
from channels.emulators.slack.network import DEFAULT_USER, Network
from channels.emulators.slack.people import Attachment
from channels.emulators.slack.records import Json, Person
from channels.emulators.slack.showing import bot_view, channel_view, message_view, view_view
from channels.emulators.slack.wire import user_to_wire

Verb = Callable[[Json], object]


class Control:
    """The handlers."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application."""
        looks = {
            "workspaces": self.workspaces,
            "bots": self.bots,
            "users": self.users,
            "channels": self.channels,
            "channels/{id}/messages": self.messages,
            "views": self.views,
            "sockets": self.sockets,
            "deliveries": self.deliveries,
            "files/{id}": self.file,
        }
        verbs = {**self._people_verbs(), **self._trouble_verbs()}
        return [
            *(web.get(f"/control/{path}", handler) for path, handler in looks.items()),
            *(web.post(f"/control/{path}", self._handler(verb)) for path, verb in verbs.items()),
            web.post("/control/request_url", self.request_url),
        ]

    # -- looking ----------------------------------------------------------------------------------------------

    async def workspaces(self, request: web.Request) -> web.Response:
        teams = self._network.world.workspaces.values()
        return web.json_response([{"id": one.id, "name": one.name, "domain": one.domain} for one in teams])

    async def bots(self, request: web.Request) -> web.Response:
        return web.json_response([bot_view(bot) for bot in self._network.world.bots.values()])

    async def users(self, request: web.Request) -> web.Response:
        everybody = self._network.world.people.items()
        return web.json_response([user_to_wire(person, team_id) for (team_id, _), person in everybody])

    async def channels(self, request: web.Request) -> web.Response:
        return web.json_response([channel_view(one) for one in self._network.world.channels.values()])

    async def messages(self, request: web.Request) -> web.Response:
        channel = self._network.channel(request.match_info["id"])
        shown = [*self._network.messages(channel.id), *self._network.ephemerals(channel.id)]
        shown.sort(key=lambda message: tuple(map(int, message.ts.split("."))))
        base_url = self._network.world.base_url
        return web.json_response([message_view(channel, message, base_url) for message in shown])

    async def views(self, request: web.Request) -> web.Response:
        only_open = request.query.get("all") is None
        return web.json_response([view_view(one) for one in self._network.views(only_open=only_open)])

    async def sockets(self, request: web.Request) -> web.Response:
        return web.json_response([socket.to_wire() for socket in self._network.sockets])

    async def deliveries(self, request: web.Request) -> web.Response:
        network, tally = self._network, self._network.tally
        return web.json_response(
            {
                "acknowledged": tally.acknowledged,
                "lost": tally.lost,
                "repeated": tally.repeated,
                "is_holding": network.world.deliveries.is_holding,
                "undelivered": [one.to_wire() for one in network.undelivered()],
                "finished": [one.to_wire() for one in network.finished()],
            }
        )

    async def file(self, request: web.Request) -> web.Response:
        file = self._network.world.files.get(request.match_info["id"])
        if file is None or file.content is None:
            raise ControlError("no such file")
        return file_response(file.content, file.mimetype)

    # -- doing ------------------------------------------------------------------------------------------------

    def _people_verbs(self) -> dict[str, Verb]:
        network = self._network

        def sessions(body: Json) -> None:
            network.stop_session(text_of(body, "channel"), text_of(body, "thread_ts"), user=_user(body))

        def edits(body: Json) -> Json:
            message = network.edit(text_of(body, "channel"), text_of(body, "ts"), text_of(body, "text"))
            return {"ts": message.ts}

        def deletions(body: Json) -> Json:
            return {"ts": network.delete(text_of(body, "channel"), text_of(body, "ts")).ts}

        def dismissals(body: Json) -> None:
            network.dismiss(text_of(body, "view_id"))

        return {
            "messages": self._say,
            "edits": edits,
            "deletions": deletions,
            "reactions": self._react,
            "presses": self._press,
            "submissions": self._submit,
            "dismissals": dismissals,
            "commands": self._slash,
            "homes": self._open_home,
            "contexts": self._look_at,
            "session_stops": sessions,
            "channels": self._open_channel,
            "joins": self._join,
            "leaves": self._leave,
        }

    def _trouble_verbs(self) -> dict[str, Verb]:
        network = self._network

        def redeliver(body: Json) -> Json:
            event_id = optional_text_of(body, "event_id")
            again = network.redeliver(event_id, delivery_id=optional_integer_of(body, "delivery_id"))
            return again.to_wire()

        def disconnect(body: Json) -> Json:
            reason = str(body.get("reason", "refresh_requested"))
            return {"sockets": network.disconnect(reason, optional_integer_of(body, "number"))}

        def drop(body: Json) -> Json:
            return {"sockets": network.drop_sockets(optional_integer_of(body, "number"))}

        return {
            "hold": lambda body: network.hold_events(),
            "release": self._release,
            "redeliver": redeliver,
            "stop_redelivering": lambda body: network.stop_redelivering(stops=body.get("stops") is not False),
            "hurry": lambda body: network.hurry(),
            "refuse_upgrades": lambda body: network.refuse_upgrades(integer_of(body, "count", 1)),
            "drop_upgrades": lambda body: network.drop_upgrades(integer_of(body, "count", 1)),
            "disconnect": disconnect,
            "drop_sockets": drop,
            "expire_streams": lambda body: {"streams": [one.ts for one in network.expire_streams()]},
            "revoke_token": lambda body: network.revoke_token(*_installation(body)),
            "uninstall": lambda body: network.uninstall(*_installation(body)),
            "remove_scope": lambda body: network.remove_scope(text_of(body, "scope"), *_installation(body)),
        }

    async def request_url(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        await self._network.set_request_url(text_of(body, "url"), optional_text_of(body, "app_id"))
        return web.json_response({})

    def _handler(self, verb: Verb) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            return web.json_response(verb(await read_body(request)) or {})

        return handle

    def _say(self, body: Json) -> Json:
        app_id, team_id = _installation(body)
        message = self._network.say(
            str(body.get("text", "")),
            user=_user(body),
            channel=optional_text_of(body, "channel"),
            thread_ts=optional_text_of(body, "thread_ts"),
            is_broadcast=body.get("is_broadcast") is True,
            files=_files(body),
            app_id=app_id,
            team_id=team_id,
        )
        return {"ts": message.ts, "thread_ts": message.thread_ts}

    def _react(self, body: Json) -> None:
        self._network.react(
            text_of(body, "channel"),
            text_of(body, "ts"),
            text_of(body, "emoji"),
            user=_user(body),
            is_added=body.get("is_added") is not False,
        )

    def _press(self, body: Json) -> Json:
        delivery = self._network.press(
            text_of(body, "channel"),
            text_of(body, "ts"),
            text_of(body, "action_id"),
            user=_user(body),
            option=optional_text_of(body, "option"),
        )
        return {"delivery_id": delivery.id}

    def _submit(self, body: Json) -> Json:
        values = body.get("values", {})
        if not isinstance(values, dict):
            raise ControlError("values must be an object")
        return {"delivery_id": self._network.submit(text_of(body, "view_id"), values).id}

    def _slash(self, body: Json) -> Json:
        app_id, team_id = _installation(body)
        delivery = self._network.slash(
            text_of(body, "command"),
            str(body.get("text", "")),
            user=_user(body),
            channel=optional_text_of(body, "channel"),
            app_id=app_id,
            team_id=team_id,
        )
        return {"delivery_id": delivery.id}

    def _open_home(self, body: Json) -> Json:
        app_id, team_id = _installation(body)
        entities = _entities(body) if "entities" in body else None
        tab = str(body.get("tab", "messages"))
        channel = self._network.open_home(
            user=_user(body), tab=tab, entities=entities, app_id=app_id, team_id=team_id
        )
        return {"channel": channel}

    def _look_at(self, body: Json) -> None:
        app_id, team_id = _installation(body)
        self._network.look_at(_entities(body), user=_user(body), app_id=app_id, team_id=team_id)

    def _open_channel(self, body: Json) -> Json:
        kind = body.get("kind", "channel")
        if kind not in ("channel", "group", "mpim"):
            raise ControlError("kind must be channel, group or mpim")
        channel = self._network.open_channel(
            text_of(body, "name"),
            kind=kind,
            team_id=optional_text_of(body, "team_id"),
            members=[_user(body)],
            with_bots=body.get("with_bots") is not False,
        )
        return {"channel": channel}

    def _join(self, body: Json) -> None:
        inviter = optional_text_of(body, "inviter")
        self._network.join(text_of(body, "channel"), text_of(body, "user_id"), inviter=inviter)

    def _leave(self, body: Json) -> None:
        self._network.leave(text_of(body, "channel"), text_of(body, "user_id"))

    def _release(self, body: Json) -> Json:
        ids = body.get("ids")
        if ids is not None and (not isinstance(ids, list) or not all(isinstance(one, int) for one in ids)):
            raise ControlError("ids must be a list of whole numbers")
        keeps_holding = body.get("keeps_holding") is True
        return {"released": self._network.release_events(ids, keeps_holding=keeps_holding)}


def _installation(body: Json) -> tuple[str | None, str | None]:
    return optional_text_of(body, "app_id"), optional_text_of(body, "team_id")


def _user(body: Json) -> Person:
    raw = body.get("user")
    if raw is None:
        return DEFAULT_USER
    if not isinstance(raw, dict):
        raise ControlError("user must be an object with id and name")
    return Person(text_of(raw, "id"), text_of(raw, "name"), optional_text_of(raw, "real_name") or "")


def _files(body: Json) -> list[Attachment]:
    raw = body.get("files", [])
    if not isinstance(raw, list) or not all(isinstance(one, dict) for one in raw):
        raise ControlError("files must be a list of objects with name and content_base64")
    files = []
    for one in raw:
        try:
            content = b64decode(text_of(one, "content_base64"), validate=True)
        except ValueError:
            raise ControlError("content_base64 is not Base64") from None
        files.append(Attachment(text_of(one, "name"), content, optional_text_of(one, "mimetype")))
    return files


def _entities(body: Json) -> list[Json]:
    entities = body.get("entities", [])
    if not isinstance(entities, list) or not all(isinstance(one, dict) for one in entities):
        raise ControlError("entities must be a list of objects")
    return entities
