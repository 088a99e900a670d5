"""The Bot API over HTTP: `/bot<token>/<method>` in every encoding the real server takes, and the faults.

Reads requests, lets `methods.py` or `polling.py` do them, writes answers. Knows no rule of the network.
"""

import json
from collections.abc import Callable

from aiohttp import web

from channels.emulators.calls import CallLog
from channels.emulators.faults import Fault, FaultKind, FaultScript
from channels.emulators.loopback import cut
from channels.emulators.telegram.arguments import Arguments
from channels.emulators.telegram.methods import call_method
from channels.emulators.telegram.polling import Pollers
from channels.emulators.telegram.records import BotAccount, Json
from channels.emulators.telegram.refusals import Refusal, bad_request, too_many_requests
from channels.emulators.telegram.world import World

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
        return [web.route(verb, "/bot{token:[^/]*}/{method:[^/]*}", self.answer) for verb in ("GET", "POST")]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One call from reading to answering."""
        method = request.match_info["method"]
        try:
            bot = self._bot(request.match_info["token"])
            values = await read_arguments(request)
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
        status, body = await self._perform(bot, method, Arguments(values), fault)
        call.status, call.description = status, body.get("description")
        if fault is not None and fault.kind is FaultKind.COMMIT_THEN_DROP:
            return cut(request, resets=False)
        if fault is not None and fault.kind is FaultKind.SLOW:
            await self._pollers.pause(fault.delay_s)
        return _respond(status, body)

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


async def read_arguments(request: web.Request) -> dict[str, str]:
    """All arguments as text, whatever the encoding; raises Refusal for a body that cannot be read."""
    values = dict(request.query)
    if request.content_type == "application/json":
        try:
            body = json.loads(await request.text() or "{}")
        except ValueError:
            raise bad_request("can't parse JSON") from None
        if not isinstance(body, dict):
            raise bad_request("JSON object expected")
        for name, value in body.items():
            if value is not None:
                values[name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    elif request.content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
        for name, field in (await request.post()).items():
            if not isinstance(field, str):
                raise bad_request("file uploads: not emulated yet")
            values[name] = field
    if not all(_is_utf8(value) for value in values.values()):
        raise bad_request("strings must be encoded in UTF-8")
    return values


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
