"""The control side of this network: what tests, the demo and the page use to play people and look inside.

JSON under `/control/`, and the page at `/`. Faults, calls and changes are served by `channels.emulators.control`.
"""

from collections.abc import Callable
from importlib.resources import files

from aiohttp import web

from channels.emulators.control import integer_of, optional_integer_of, read_body, text_of
from channels.emulators.errors import ControlError
from channels.emulators.telegram.people import Words, chat_of, edit, press, say
from channels.emulators.telegram.records import BotAccount, Json, User
from channels.emulators.telegram.wire import chat_view, message_view, update_to_wire, user_to_wire
from channels.emulators.telegram.world import World

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


class Control:
    """The handlers of the control side."""

    def __init__(self, world: World, spread: Callable[[], None]) -> None:
        self._world = world
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
            web.get("/control/updates", self.updates),
        ]

    async def page(self, request: web.Request) -> web.Response:
        _, content_type = PAGE_FILES[request.path]
        return web.Response(
            body=self._pages[request.path], content_type=content_type, charset="utf-8", headers=PAGE_HEADERS
        )

    async def bots(self, request: web.Request) -> web.Response:
        return web.json_response([user_to_wire(bot) for bot in self._world.bots.values()])

    async def say(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        user = _user(body)
        words = Words(
            text=text_of(body, "text"),
            user=user,
            chat_id=integer_of(body, "chat_id", user.id),
            chat_type=body.get("chat_type"),
            chat_title=body.get("chat_title"),
            reply_to=optional_integer_of(body, "reply_to"),
            message_thread_id=optional_integer_of(body, "message_thread_id"),
        )
        if words.chat_type not in (None, "private", "group", "supergroup"):
            raise ControlError("chat_type must be private, group or supergroup")
        said = say(self._world, self._bot(body.get("bot")), words)
        self._spread()
        return web.json_response({"update_id": said.update_id, "message_id": said.message_id})

    async def edit(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        update_id = edit(
            self._world,
            self._bot(body.get("bot")),
            integer_of(body, "chat_id"),
            integer_of(body, "message_id"),
            text_of(body, "text"),
        )
        self._spread()
        return web.json_response({"update_id": update_id})

    async def press(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        query = press(
            self._world,
            self._bot(body.get("bot")),
            integer_of(body, "chat_id"),
            integer_of(body, "message_id"),
            text_of(body, "data"),
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

    def _bot(self, name: object) -> BotAccount:
        return self._world.bot_named(None if name is None else str(name))


def _user(body: Json) -> User:
    raw = body.get("user")
    if not isinstance(raw, dict):
        raise ControlError("user must be an object with id and first_name")
    user_id = integer_of(raw, "id")
    if user_id <= 0:
        raise ControlError("user ids are positive")
    username = raw.get("username")
    return User(user_id, text_of(raw, "first_name"), None if username is None else str(username).lstrip("@"))
