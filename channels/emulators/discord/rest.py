"""The REST API over HTTP: reads requests, lets the handlers of `routes.py` answer, carries faults out.

Bodies are JSON or multipart with `payload_json` and `files[n]`; answers say exactly `application/json`, because
clients compare the header as a text. Knows no rule of the network.
"""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Final

from aiohttp import BodyPartReader, web

from channels.emulators.calls import CallLog
from channels.emulators.discord.exchange import Answer, Ask, Handler
from channels.emulators.discord.forms import invalid_form
from channels.emulators.discord.limits import Buckets, Verdict
from channels.emulators.discord.records import Bot, Json, Upload
from channels.emulators.discord.refusals import (
    Refusal,
    not_found,
    rate_limited,
    too_large,
    unauthorized,
    unknown,
)
from channels.emulators.discord.routes import (
    ATTACHMENT,
    BY_BOT,
    BY_INTERACTION,
    GATEWAY,
    GATEWAY_BOT,
    pattern_of,
)
from channels.emulators.discord.world import World
from channels.emulators.faults import Fault, FaultKind, FaultScript
from channels.emulators.loopback import cut

API_PATH: Final = "/api/v10"
# A whole request (resources/message.mdx#create-message).
REQUEST_MAX_BYTES: Final = 25 << 20
_CUTS: Final = (FaultKind.DROP, FaultKind.REFUSE)
_FILE_FIELD: Final = re.compile(r"files?\[(\d+)\]")
# A scripted error may name the JSON code too: "50013: Missing Permissions".
_CODED: Final = re.compile(r"(\d{5,6}): (.+)", re.DOTALL)


class RestApi:
    """The handlers of the REST side and of the attachments' addresses."""

    def __init__(
        self,
        world: World,
        buckets: Buckets,
        faults: FaultScript,
        calls: CallLog,
        gateway_url: Callable[[], str],
        spread: Callable[[], None],
    ) -> None:
        self._world = world
        self._buckets = buckets
        self._faults = faults
        self._calls = calls
        self._gateway_url = gateway_url
        self._spread = spread
        self._closing = asyncio.Event()

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application."""
        by_bot = {GATEWAY_BOT: self._name_gateway_bot, **BY_BOT}
        made = [self._route(name, handler, self._bot_of_header) for name, handler in by_bot.items()]
        # The one call that needs no token at all; it is logged under the first bot.
        made.append(self._route(GATEWAY, self._name_gateway, lambda request: self._world.bot_named(None)))
        made += [self._route(name, handler, self._bot_of_path) for name, handler in BY_INTERACTION.items()]
        made.append(web.get(ATTACHMENT.partition(" ")[2], self.attachment))
        made.append(web.route("*", API_PATH + "/{rest:.*}", self.nowhere))
        return made

    async def nowhere(self, request: web.Request) -> web.StreamResponse:
        """A path that the network does not have, or that is not emulated."""
        return _respond(404, not_found().to_wire(), {})

    async def attachment(self, request: web.Request) -> web.StreamResponse:
        """A file, for who has a signed address that is still good."""
        fault = self._faults.take(ATTACHMENT)
        call = self._calls.add(self._world.now(), "", ATTACHMENT, dict(request.match_info))
        if fault is not None:
            call.fault = fault.kind.value
            if fault.kind in _CUTS:
                return cut(request, resets=fault.kind is FaultKind.REFUSE)
            if fault.kind in (FaultKind.ERROR, FaultKind.RATE_LIMIT):
                call.status = 429 if fault.kind is FaultKind.RATE_LIMIT else fault.code
                return web.Response(status=call.status, text=fault.description)
            await self._pause(fault.delay_s)
        attachment = self._world.attachments.get(int(request.match_info["m"]))
        is_good = attachment is not None and self._world.cdn.admits(request.path, request.query)
        call.status = 200 if is_good else 404
        if attachment is None or not is_good:
            return web.Response(status=404, text="This content is no longer available.")
        content_type = attachment.content_type or "application/octet-stream"
        return web.Response(body=attachment.data, content_type=content_type)

    def close(self) -> None:
        """Let slow answers go; nothing waits any more."""
        self._closing.set()

    def _route(
        self, name: str, handler: Handler, find_bot: Callable[[web.Request], Bot | None]
    ) -> web.RouteDef:
        async def answer(request: web.Request) -> web.StreamResponse:
            bot = find_bot(request)
            if bot is None:
                refusal = unknown("Webhook") if name in BY_INTERACTION else unauthorized()
                return _respond(refusal.status, refusal.to_wire(), {})
            return await self._answer(request, name, handler, bot)

        verb, _, path = name.partition(" ")
        return web.route(verb, API_PATH + pattern_of(path), answer)

    async def _answer(
        self, request: web.Request, name: str, handler: Handler, bot: Bot
    ) -> web.StreamResponse:
        """One call from reading to answering."""
        path = dict(request.match_info)
        try:
            body, uploads = await _read(request)
        except Refusal as refusal:
            return _respond(refusal.status, refusal.to_wire(), {})
        except ConnectionResetError:
            return web.Response()  # a client that died in the middle of its request: nobody to answer
        ask = Ask(self._world, bot, path, request.query, body, uploads)
        call = self._calls.add(self._world.now(), bot.user.username, name, _arguments(ask))
        fault = self._faults.take(name)
        if fault is not None:
            call.fault = fault.kind.value
            if fault.kind in _CUTS:
                return cut(request, resets=fault.kind is FaultKind.REFUSE)
        verdict = self._buckets.use(bot.id, name, path, self._world.now())
        status, answer = self._perform(ask, handler, fault, verdict)
        call.status = status
        call.description = answer.get("message") if status >= 400 and isinstance(answer, dict) else None
        if fault is not None and fault.kind is FaultKind.COMMIT_THEN_DROP:
            return cut(request, resets=False)
        if fault is not None and fault.kind is FaultKind.SLOW:
            await self._pause(fault.delay_s)
        return _respond(status, answer, verdict.headers)

    def _perform(
        self, ask: Ask, handler: Handler, fault: Fault | None, verdict: Verdict
    ) -> tuple[int, object]:
        try:
            if fault is not None:
                _refuse_by(fault)
            if verdict.retry_after_s is not None:
                refusal = rate_limited(verdict.retry_after_s)
                return 429, refusal.to_wire() | {"global": verdict.is_global}
            answer = handler(ask)
        except Refusal as refusal:
            return refusal.status, refusal.to_wire()
        finally:
            self._spread()
        return answer.status, answer.body

    def _bot_of_header(self, request: web.Request) -> Bot | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return self._world.bot_of(token) if scheme == "Bot" else None

    def _bot_of_path(self, request: web.Request) -> Bot | None:
        """Whose interaction the path names; the token in it is checked with the interaction."""
        interaction_id = int(request.match_info.get("i", "0"))
        interaction = self._world.interactions.get(interaction_id)
        bot_id = int(request.match_info.get("a", "0")) if interaction is None else interaction.bot_id
        return self._world.bots.get(bot_id)

    def _name_gateway(self, ask: Ask) -> Answer:
        return Answer({"url": self._gateway_url()})

    def _name_gateway_bot(self, ask: Ask) -> Answer:
        starts = {"total": 1000, "remaining": 1000, "reset_after": 0, "max_concurrency": 1}
        return Answer({"url": self._gateway_url(), "shards": 1, "session_start_limit": starts})

    async def _pause(self, delay_s: float) -> None:
        """Wait, but not beyond the emulator's end."""
        try:
            await asyncio.wait_for(self._closing.wait(), delay_s)
        except TimeoutError:
            return


async def _read(request: web.Request) -> tuple[object, list[Upload]]:
    """The JSON of a body and the files with it. Raises Refusal."""
    if not request.can_read_body:
        return None, []
    if (request.content_length or 0) > REQUEST_MAX_BYTES:
        raise too_large()
    if request.content_type == "multipart/form-data":
        return await _read_parts(request)
    if request.content_type != "application/json":
        text = "Expected \"Content-Type\" header to be one of {'application/json', 'multipart/form-data'}."
        raise invalid_form((), "CONTENT_TYPE_INVALID", text)
    return _parse(await request.read()), []


async def _read_parts(request: web.Request) -> tuple[object, list[Upload]]:
    body: object = None
    uploads = []
    size = 0
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            raise invalid_form((), "CONTENT_TYPE_INVALID", "Nested multipart bodies are not taken.")
        data = bytes(await part.read(decode=True))
        size += len(data)
        if size > REQUEST_MAX_BYTES:
            raise too_large()
        matched = _FILE_FIELD.fullmatch(part.name or "")
        if part.name == "payload_json":
            body = _parse(data)
        elif matched is not None and part.filename:
            uploads.append(Upload(int(matched[1]), part.filename, data))
    return body, uploads


def _parse(data: bytes) -> object:
    if not data:
        return None
    try:
        body = json.loads(data)
    except ValueError:
        raise Refusal(400, 50109, "The request body contains invalid JSON.") from None
    if b"\\ud" not in data.lower():
        return body
    # Halves of characters, which only JSON can carry, are dropped.
    return json.loads(json.dumps(body, ensure_ascii=False).encode(errors="ignore"))


def _arguments(ask: Ask) -> dict[str, str]:
    """What the log keeps of a call: everything but tokens and the bytes of files."""
    arguments = {name: value for name, value in ask.path.items() if name != "t"} | dict(ask.query)
    if isinstance(ask.body, dict):
        arguments |= {
            name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for name, value in ask.body.items()
        }
    elif ask.body is not None:
        arguments["body"] = json.dumps(ask.body, ensure_ascii=False)
    if ask.uploads:
        arguments["files"] = ", ".join(upload.filename for upload in ask.uploads)
    return arguments


def _refuse_by(fault: Fault) -> None:
    if fault.kind is FaultKind.RATE_LIMIT:
        raise rate_limited(float(fault.retry_after_s))
    if fault.kind is FaultKind.ERROR:
        coded = _CODED.fullmatch(fault.description)
        code, text = (int(coded[1]), coded[2]) if coded else (0, fault.description)
        raise Refusal(
            fault.code, code, text, retry_after_s=fault.retry_after_s if fault.code == 429 else None
        )


def _respond(status: int, body: object, headers: dict[str, str]) -> web.Response:
    headers = dict(headers)
    # Without this one discord.py takes a 429 for a ban by the network's shield.
    headers["Via"] = "1.1 emulator"
    if status == 429 and isinstance(body, dict):
        headers["Retry-After"] = str(body["retry_after"])
        headers["X-RateLimit-Scope"] = "global" if body["global"] else "user"
    if body is None:
        return web.Response(status=status, headers=headers)
    headers["Content-Type"] = "application/json"
    payload: Json | object = body
    return web.Response(body=json.dumps(payload, ensure_ascii=False).encode(), status=status, headers=headers)
