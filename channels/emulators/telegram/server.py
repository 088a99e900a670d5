"""The Bot API over HTTP: `/bot<token>/<method>` in every encoding the real server takes, files, the faults.

Downloads are called `download` in the log and in fault scripts. Reads requests, lets `methods.py` or
`polling.py` do them, writes answers. Knows no rule of the network.
"""

import json
from collections.abc import Callable

from aiohttp import web

from channels.emulators.calls import CallLog
from channels.emulators.faults import Fault, FaultKind, FaultScript
from channels.emulators.loopback import cut
from channels.emulators.telegram.arguments import Arguments
from channels.emulators.telegram.files import Upload
from channels.emulators.telegram.methods import call_method
from channels.emulators.telegram.polling import Pollers
from channels.emulators.telegram.records import BotAccount, Json
from channels.emulators.telegram.refusals import Refusal, bad_request, too_many_requests
from channels.emulators.telegram.world import World

DOWNLOAD = "download"
_CUTS = (FaultKind.DROP, FaultKind.REFUSE)


class BotApi:
    """The handlers of the Bot API side."""

    def __init__(
        self,
        world: World,
        pollers: Pollers,
        faults: FaultScript,
        calls: CallLog,
        spread: Callable[[], None],
    ) -> None:
        self._world = world
        self._pollers = pollers
        self._faults = faults
        self._calls = calls
        self._spread = spread

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application. GET is as good as POST, as on the real server."""
        return [
            *(web.route(verb, "/bot{token:[^/]*}/{method:[^/]*}", self.answer) for verb in ("GET", "POST")),
            web.get("/file/bot{token:[^/]*}/{path:.+}", self.download),
        ]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One call from reading to answering."""
        method = request.match_info["method"]
        try:
            bot = self._bot(request.match_info["token"])
            arguments, values = await read_arguments(request, self._world.files.limits.upload_max)
        except Refusal as refusal:
            return _respond(refusal.code, refusal.to_wire())
        except ConnectionResetError:
            return web.Response()  # a client that died in the middle of its request: nobody to answer
        call = self._calls.add(self._world.now(), bot.username, method, values)
        fault = self._faults.take(method)
        if fault is not None:
            call.fault = fault.kind.value
            if fault.kind in _CUTS:
                return cut(request, resets=fault.kind is FaultKind.REFUSE)
        status, body = await self._perform(bot, method, arguments, fault)
        call.status, call.description = status, body.get("description")
        return await self._finish(request, fault, _respond(status, body))

    async def download(self, request: web.Request) -> web.StreamResponse:
        """The bytes behind a link that getFile gave this bot."""
        path = request.match_info["path"]
        try:
            bot = self._bot(request.match_info["token"])
            call = self._calls.add(self._world.now(), bot.username, DOWNLOAD, {"file_path": path})
            fault = self._faults.take(DOWNLOAD)
            if fault is not None:
                call.fault = fault.kind.value
                if fault.kind in _CUTS:
                    return cut(request, resets=fault.kind is FaultKind.REFUSE)
                _refuse_by(fault)
            file = self._world.files.behind(bot, path, self._world.now())
            if file is None:
                raise Refusal(404, "Not Found")
        except Refusal as refusal:
            return _respond(refusal.code, refusal.to_wire())
        call.status = 200
        # The real server says neither type nor name.
        answer = web.Response(body=file.data, content_type="application/octet-stream")
        return await self._finish(request, fault, answer)

    async def call(self, bot: BotAccount, method: str, arguments: Arguments, values: dict[str, str]) -> None:
        """Do the call that a webhook's answer asked for; nobody is told what came of it, but the log."""
        call = self._calls.add(self._world.now(), bot.username, method, values)
        call.status, body = await self._perform(bot, method, arguments, None)
        call.description = body.get("description")

    async def _finish(
        self, request: web.Request, fault: Fault | None, answer: web.Response
    ) -> web.StreamResponse:
        if fault is not None and fault.kind is FaultKind.COMMIT_THEN_DROP:
            return cut(request, resets=False)
        if fault is not None and fault.kind is FaultKind.SLOW:
            await self._pollers.pause(fault.delay_s)
        return answer

    async def _perform(
        self, bot: BotAccount, method: str, arguments: Arguments, fault: Fault | None
    ) -> tuple[int, Json]:
        try:
            if fault is not None:
                _refuse_by(fault)
            if method.lower() == "getupdates":
                result: object = await self._pollers.get_updates(bot, arguments)
            else:
                result = call_method(self._world, bot, method, arguments)
        except Refusal as refusal:
            return refusal.code, refusal.to_wire()
        finally:
            self._spread()
        return 200, {"ok": True, "result": result}

    def _bot(self, token: str) -> BotAccount:
        # Order and wording are ClientManager::send's: a token that cannot be one, then an unknown one.
        if ":" not in token or token.startswith("0"):
            raise Refusal(401, "Unauthorized: invalid token specified")
        bot = self._world.bot_of(token)
        if bot is None:
            raise Refusal(401, "Unauthorized")
        return bot


async def read_arguments(request: web.Request, upload_max: int) -> tuple[Arguments, dict[str, str]]:
    """All arguments as text, whatever the encoding, and the same for the log, where a file is its name and size.

    Raises Refusal for a body that cannot be read or a file of more than `upload_max` bytes.
    """
    values, uploads = dict(request.query), dict[str, Upload]()
    try:
        if request.content_type == "application/json":
            values |= flattened(await request.text())
        elif request.content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
            for name, field in (await request.post()).items():
                if isinstance(field, str):
                    values[name] = field
                elif isinstance(field, web.FileField):
                    uploads[name] = Upload(field.file.read(), field.filename or None, field.content_type)
    except web.HTTPRequestEntityTooLarge:
        raise Refusal(413, "Request Entity Too Large") from None
    if any(len(upload.data) > upload_max for upload in uploads.values()):
        raise Refusal(413, "Request Entity Too Large")
    if not all(_is_utf8(value) for value in values.values()):
        raise bad_request("strings must be encoded in UTF-8")
    logged = {name: f"{upload.name} ({len(upload.data)} bytes)" for name, upload in uploads.items()}
    return Arguments(values, uploads), values | logged


def flattened(text: str) -> dict[str, str]:
    """A JSON body as text arguments. Raises Refusal."""
    try:
        body = json.loads(text or "{}")
    except ValueError:
        raise bad_request("can't parse JSON") from None
    if not isinstance(body, dict):
        raise bad_request("JSON object expected")
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in body.items()
        if value is not None
    }


def _is_utf8(text: str) -> bool:
    # Half of a character, as cutting a text in UTF-16 units leaves behind; only JSON can carry it.
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _refuse_by(fault: Fault) -> None:
    if fault.kind is FaultKind.RATE_LIMIT:
        raise too_many_requests(fault.retry_after_s)
    if fault.kind is FaultKind.ERROR:
        raise Refusal(fault.code, fault.description)


def _respond(status: int, body: Json) -> web.Response:
    headers = {}
    retry_after = body.get("parameters", {}).get("retry_after")
    if retry_after:
        headers["Retry-After"] = str(retry_after)
    return web.json_response(body, status=status, headers=headers)
