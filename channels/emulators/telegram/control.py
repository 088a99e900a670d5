"""The control side's views: the page, and what pages and tests can look at.

JSON under `/control/`, and the page at `/`. What people do is in `control_verbs.py`; faults, calls and changes
are served by `channels.emulators.control`.
"""

from importlib.resources import files

from aiohttp import web

from channels.emulators.errors import ControlError
from channels.emulators.telegram.drafts import live_draft
from channels.emulators.telegram.people import chat_of
from channels.emulators.telegram.stage import Stage
from channels.emulators.telegram.views import FILES_PATH, bot_view, chat_view, draft_view, messages_view
from channels.emulators.telegram.wire import update_to_wire

# Scripts and styles only from here, nothing inline, no framing, no form targets.
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
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
# What a page may show by itself; everything else is only ever saved, whatever somebody called it.
_SHOWN_TYPES = frozenset(
    ("image/png", "image/jpeg", "image/gif", "image/webp", "audio/ogg", "audio/mpeg", "video/mp4")
)


class Control:
    """The handlers that show."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._world = stage.world
        root = files("channels.emulators.telegram")
        self._pages = {path: (root / name).read_bytes() for path, (name, _) in PAGE_FILES.items()}

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application."""
        return [
            *(web.get(path, self.page) for path in PAGE_FILES),
            web.get("/control/bots", self.bots),
            web.get("/control/chats", self.chats),
            web.get("/control/chats/{id}/messages", self.messages),
            web.get("/control/chats/{id}/drafts", self.drafts),
            web.get("/control/updates", self.updates),
            web.get(FILES_PATH + "/{unique_id}", self.file),
        ]

    async def page(self, request: web.Request) -> web.Response:
        _, content_type = PAGE_FILES[request.path]
        return web.Response(
            body=self._pages[request.path], content_type=content_type, charset="utf-8", headers=PAGE_HEADERS
        )

    async def bots(self, request: web.Request) -> web.Response:
        bots = self._world.bots.values()
        return web.json_response([bot_view(bot, self._world.webhooks[bot.id].url) for bot in bots])

    async def chats(self, request: web.Request) -> web.Response:
        return web.json_response([chat_view(chat) for chat in self._world.chats()])

    async def messages(self, request: web.Request) -> web.Response:
        bot = self._world.bot_named(request.query.get("bot"))
        return web.json_response(messages_view(chat_of(self._world, bot, _chat_id(request))))

    async def drafts(self, request: web.Request) -> web.Response:
        bot = self._world.bot_named(request.query.get("bot"))
        chat = chat_of(self._world, bot, _chat_id(request))
        drafts = [live_draft(self._world, chat, one) for one in chat.bots.values()]
        return web.json_response([draft_view(draft) for draft in drafts if draft is not None])

    async def updates(self, request: web.Request) -> web.Response:
        bot = self._world.bot_named(request.query.get("bot"))
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

    async def file(self, request: web.Request) -> web.Response:
        file = self._world.files.seen_by_people(request.match_info["unique_id"])
        if file is None:
            raise ControlError("there is no such file")
        headers = {**PAGE_HEADERS, "Content-Security-Policy": "default-src 'none'; sandbox"}
        if file.mime in _SHOWN_TYPES:
            return web.Response(body=file.data, content_type=file.mime, headers=headers)
        headers["Content-Disposition"] = "attachment"
        return web.Response(body=file.data, content_type="application/octet-stream", headers=headers)


def _chat_id(request: web.Request) -> int:
    chat_id = request.match_info["id"]
    if not chat_id.lstrip("-").isdecimal():
        raise ControlError("a chat id is a number")
    return int(chat_id)
