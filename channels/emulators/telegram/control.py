"""The control side: what tests, the demo and the page use to play people, script faults and look inside.

JSON under `/control/`, and the page at `/`. For this machine only: requests must name a loopback host, so
that a foreign page cannot reach it by rebinding a name, and bodies must be JSON, so that it cannot post a
form.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib.resources import files

from aiohttp import web

from channels.emulators.telegram.calls import CallLog
from channels.emulators.telegram.faults import FaultScript
from channels.emulators.telegram.feed import Feed
from channels.emulators.telegram.people import Words, chat_of, edit, press, say
from channels.emulators.telegram.records import BotAccount, Json, User
from channels.emulators.telegram.refusals import ControlError
from channels.emulators.telegram.wire import chat_view, message_view, update_to_wire, user_to_wire
from channels.emulators.telegram.world import World

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# Scripts and styles only from here, nothing inline, no framing, no form targets.
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
PAGE_FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/page-text.js": ("page-text.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
LOOPBACK_HOSTS = frozenset(("127.0.0.1", "localhost", "::1"))
# Shows a proxy or a browser that an idle stream still lives.
HEARTBEAT_S = 15.0


@web.middleware
async def guard_control(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Keep foreign pages out and turn ControlError into a 400. The Bot API side passes untouched."""
    if request.path.startswith("/bot"):
        return await handler(request)
    if request.url.host not in LOOPBACK_HOSTS:
        return web.json_response({"error": "this emulator answers on loopback only"}, status=403)
    if request.method == "POST" and request.content_type != "application/json":
        return web.json_response({"error": "send application/json"}, status=415)
    try:
        return await handler(request)
    except ControlError as error:
        return web.json_response({"error": str(error)}, status=400)


class Control:
    """The handlers of the control side."""

    def __init__(
        self, world: World, faults: FaultScript, calls: CallLog, feed: Feed, spread: Callable[[], None]
    ) -> None:
        self._world = world
        self._faults = faults
        self._calls = calls
        self._feed = feed
        self._spread = spread
        root = files("channels.emulators.telegram")
        self._pages = {path: (root / name).read_bytes() for path, (name, _) in PAGE_FILES.items()}

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application."""
        return [
            *(web.get(path, self.page) for path in PAGE_FILES),
            web.get("/control/bots", self.bots),
            web.post("/control/messages", self.say),
            web.post("/control/edits", self.edit),
            web.post("/control/presses", self.press),
            web.get("/control/chats", self.chats),
            web.get("/control/chats/{id}/messages", self.messages),
            web.get("/control/faults", self.faults),
            web.post("/control/faults", self.add_fault),
            web.delete("/control/faults", self.clear_faults),
            web.get("/control/calls", self.calls),
            web.get("/control/updates", self.updates),
            web.get("/control/events", self.events),
        ]

    async def page(self, request: web.Request) -> web.Response:
        _, content_type = PAGE_FILES[request.path]
        return web.Response(
            body=self._pages[request.path], content_type=content_type, charset="utf-8", headers=PAGE_HEADERS
        )

    async def bots(self, request: web.Request) -> web.Response:
        return web.json_response([user_to_wire(bot) for bot in self._world.bots.values()])

    async def say(self, request: web.Request) -> web.Response:
        body = await _body(request)
        user = _user(body)
        words = Words(
            text=_text(body, "text"),
            user=user,
            chat_id=_integer(body, "chat_id", user.id),
            chat_type=body.get("chat_type"),
            chat_title=body.get("chat_title"),
            reply_to=_optional_integer(body, "reply_to"),
            message_thread_id=_optional_integer(body, "message_thread_id"),
        )
        if words.chat_type not in (None, "private", "group", "supergroup"):
            raise ControlError("chat_type must be private, group or supergroup")
        said = say(self._world, self._bot(body.get("bot")), words)
        self._spread()
        return web.json_response({"update_id": said.update_id, "message_id": said.message_id})

    async def edit(self, request: web.Request) -> web.Response:
        body = await _body(request)
        update_id = edit(
            self._world,
            self._bot(body.get("bot")),
            _integer(body, "chat_id"),
            _integer(body, "message_id"),
            _text(body, "text"),
        )
        self._spread()
        return web.json_response({"update_id": update_id})

    async def press(self, request: web.Request) -> web.Response:
        body = await _body(request)
        query = press(
            self._world,
            self._bot(body.get("bot")),
            _integer(body, "chat_id"),
            _integer(body, "message_id"),
            _text(body, "data"),
            _user(body),
        )
        self._spread()
        return web.json_response({"callback_query_id": query.id})

    async def chats(self, request: web.Request) -> web.Response:
        views = []
        for chat in self._world.chats():
            bots = list(chat.bots.values())
            # A private chat or a basic group has one bot; a shared room is listed once, under its first.
            views.append(chat_view(chat, bots[0]))
        return web.json_response(views)

    async def messages(self, request: web.Request) -> web.Response:
        chat_id = request.match_info["id"]
        if not chat_id.lstrip("-").isdecimal():
            raise ControlError("a chat id is a number")
        chat = chat_of(self._world, self._bot(request.query.get("bot")), int(chat_id))
        return web.json_response([message_view(message) for message in chat.messages.values()])

    async def faults(self, request: web.Request) -> web.Response:
        return web.json_response([fault.to_wire() for fault in self._faults.pending()])

    async def add_fault(self, request: web.Request) -> web.Response:
        body = await _body(request)
        known = {"kind", "method", "count", "retry_after_s", "code", "description", "delay_s"}
        if unknown := set(body) - known:
            raise ControlError(f"unknown field {min(unknown)}; known are {', '.join(sorted(known))}")
        delay_s = body.pop("delay_s", 0.0)
        if isinstance(delay_s, bool) or not isinstance(delay_s, int | float):
            raise ControlError("delay_s must be a number")
        fault = self._faults.add(
            _text(body, "kind"),
            body.get("method"),
            count=_integer(body, "count", 1),
            retry_after_s=_integer(body, "retry_after_s", 1),
            code=_integer(body, "code", 500),
            description=str(body.get("description", "Internal Server Error")),
            delay_s=delay_s,
        )
        return web.json_response(fault.to_wire())

    async def clear_faults(self, request: web.Request) -> web.Response:
        self._faults.clear()
        return web.json_response([])

    async def calls(self, request: web.Request) -> web.Response:
        after = request.query.get("after", "0")
        if not after.isdecimal():
            raise ControlError("after is a call's seq")
        calls = self._calls.select(request.query.get("method"), int(after))
        return web.json_response([call.to_wire() for call in calls])

    async def updates(self, request: web.Request) -> web.Response:
        bot = self._bot(request.query.get("bot"))
        queue = self._world.queues[bot.id]
        pending = queue.pending(self._world.now())
        return web.json_response(
            {
                "bot": bot.username,
                "confirmed_offset": queue.confirmed_offset,
                "next_update_id": queue.next_id,
                "pending": [update.id for update in pending],
                "updates": [update_to_wire(update) for update in pending],
            }
        )

    async def events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        queue = self._feed.listen()
        try:
            await response.prepare(request)
            await response.write(b": connected\n\n")
            while (event := await _next(queue)) is not None:
                text = f"data: {json.dumps(event)}\n\n" if event else ": alive\n\n"
                await response.write(text.encode())
            with suppress(ConnectionResetError):
                await response.write_eof()
        except ConnectionResetError:
            # The page went away; there is nobody left to tell.
            return response
        finally:
            self._feed.leave(queue)
        return response

    def _bot(self, name: object) -> BotAccount:
        return self._world.bot_named(None if name is None else str(name))


async def _next(queue: asyncio.Queue[Json | None]) -> Json | None:
    """The next change; an empty one when it is time for a sign of life."""
    try:
        return await asyncio.wait_for(queue.get(), HEARTBEAT_S)
    except TimeoutError:
        return {}


async def _body(request: web.Request) -> Json:
    try:
        body = json.loads(await request.text())
    except ValueError:
        raise ControlError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise ControlError("the body must be an object")
    return body


def _text(body: Json, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise ControlError(f"{name} must be a text")
    return value


def _integer(body: Json, name: str, default: int | None = None) -> int:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ControlError(f"{name} must be a whole number")
    return value


def _optional_integer(body: Json, name: str) -> int | None:
    return None if body.get(name) is None else _integer(body, name)


def _user(body: Json) -> User:
    raw = body.get("user")
    if not isinstance(raw, dict):
        raise ControlError("user must be an object with id and first_name")
    user_id = _integer(raw, "id")
    if user_id <= 0:
        raise ControlError("user ids are positive")
    username = raw.get("username")
    return User(user_id, _text(raw, "first_name"), None if username is None else str(username).lstrip("@"))
