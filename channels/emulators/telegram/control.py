"""The control side's views: what pages and tests can look at.

JSON under `/control/`. What people do is in `control_verbs.py`; faults, calls and changes
are served by `channels.emulators.control`.
"""

from aiohttp import web

from channels.emulators.control import file_response
from channels.emulators.errors import ControlError
from channels.emulators.telegram.drafts import live_draft
from channels.emulators.telegram.people import chat_of
from channels.emulators.telegram.stage import Stage
from channels.emulators.telegram.views import FILES_PATH, bot_view, chat_view, draft_view, messages_view
from channels.emulators.telegram.wire import update_to_wire


class Control:
    """The handlers that show."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._world = stage.world

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application."""
        return [
            web.get("/control/bots", self.bots),
            web.get("/control/chats", self.chats),
            web.get("/control/chats/{id}/messages", self.messages),
            web.get("/control/chats/{id}/drafts", self.drafts),
            web.get("/control/updates", self.updates),
            web.get(FILES_PATH + "/{unique_id}", self.file),
        ]

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
        return file_response(file.data, file.mime)


def _chat_id(request: web.Request) -> int:
    chat_id = request.match_info["id"]
    if not chat_id.lstrip("-").isdecimal():
        raise ControlError("a chat id is a number")
    return int(chat_id)
