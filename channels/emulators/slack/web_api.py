"""The Web API over HTTP: `/api/<method>` in every encoding Slack takes, the addresses around it, and the faults.

Reads requests, lets the methods do them, writes answers. Knows no rule of the network.
"""

import asyncio
import json
import re
from base64 import b64decode
from collections.abc import Callable
from urllib.parse import urlencode

from aiohttp import web

from channels.emulators.calls import CallLog
from channels.emulators.faults import Fault, FaultKind, FaultScript
from channels.emulators.loopback import cut
from channels.emulators.slack.accounts import Grants
from channels.emulators.slack.arguments import Arguments
from channels.emulators.slack.files import take_bytes
from channels.emulators.slack.interactions import respond
from channels.emulators.slack.methods import Method, bot_of, call_method, method_named
from channels.emulators.slack.records import AppAccount, Bot, Json, Person, StoredFile, Workspace
from channels.emulators.slack.refusals import Refusal, rate_limited
from channels.emulators.slack.sockets import Sockets
from channels.emulators.slack.tiers import Tiers
from channels.emulators.slack.world import World

_CUTS = (FaultKind.DROP, FaultKind.REFUSE)
_ERROR_CODE = re.compile(r"[a-z]+(_[a-z]+)*")
INSTALLER = Person("U0INSTALLER", "installer", "Installer")


class WebApi:
    """The handlers of the network's own side."""

    def __init__(
        self,
        world: World,
        sockets: Sockets,
        tiers: Tiers,
        faults: FaultScript,
        calls: CallLog,
        spread: Callable[[], None],
    ) -> None:
        self._world = world
        self._sockets = sockets
        self._tiers = tiers
        self._faults = faults
        self._calls = calls
        self._spread = spread
        self._grants = Grants(world)
        self._closing = asyncio.Event()
        self.denials = 0
        """How many of the next people who are asked to install an app will say no."""

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application. GET is as good as POST, as on the real server."""
        return [
            *(web.route(verb, "/api/{method}", self.answer) for verb in ("GET", "POST")),
            web.post("/upload/v1/{file}", self.upload),
            web.get("/files-pri/{file}/{name:.*}", self.download),
            web.get("/files/login", self.login_page),
            web.post("/response/{key:.*}", self.respond),
            web.get("/oauth/v2/authorize", self.authorize),
            web.get("/link/", self._sockets.link),
        ]

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._closing.set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One call from reading to answering."""
        name = request.match_info["method"]
        try:
            arguments = Arguments(await read_values(request))
        except Refusal as refusal:
            return _respond(refusal.status, refusal.to_wire())
        except ConnectionResetError:
            return web.Response()  # a client that died in the middle of its request: nobody to answer
        token = _token(request, arguments)
        return await self._carried_out(request, name, token, arguments)

    async def _carried_out(
        self, request: web.Request, name: str, token: str, arguments: Arguments
    ) -> web.StreamResponse:
        bot = self._world.bots.get(token)
        call = self._calls.add(self._world.now(), bot.bot_id if bot else "", name, arguments.to_log())
        fault = self._faults.take(name)
        if fault is not None:
            call.fault = fault.kind.value
            if fault.kind in _CUTS:
                return cut(request, resets=fault.kind is FaultKind.REFUSE)
        response = self._perform(name, token, arguments, fault)
        call.status = response.status
        call.description = response.headers.get("X-Emulator-Error")
        if fault is not None and fault.kind is FaultKind.COMMIT_THEN_DROP:
            return cut(request, resets=False)
        if fault is not None and fault.kind is FaultKind.SLOW:
            await self._pause(fault.delay_s)
        return response

    def _perform(self, name: str, token: str, arguments: Arguments, fault: Fault | None) -> web.Response:
        headers: dict[str, str] = {}
        try:
            if fault is not None:
                _refuse_by(fault)
            if name == "apps.connections.open":
                body: Json = {"url": self._sockets.open_url(self._app_of(token))}
            elif name == "oauth.v2.access":
                body = self._grants.exchange(arguments)
            else:
                method = method_named(name)
                bot = bot_of(self._world, token)
                headers = _scope_headers(bot, method)
                self._count(name, method, bot, arguments)
                body = call_method(self._world, bot, method, arguments)
        except Refusal as refusal:
            if refusal.retry_after_s is not None:
                headers["Retry-After"] = str(refusal.retry_after_s)
            return _respond(refusal.status, refusal.to_wire(), headers)
        except _PlainError as error:
            return web.Response(status=error.status, text=str(error))
        finally:
            self._spread()
        return _respond(200, {"ok": True, **body}, headers)

    def _app_of(self, token: str) -> AppAccount:
        if not token:
            raise Refusal("not_authed")
        for app in self._world.apps.values():
            if app.app_token == token:
                return app
        raise Refusal("not_allowed_token_type" if token in self._world.bots else "invalid_auth")

    def _count(self, name: str, method: Method, bot: Bot, arguments: Arguments) -> None:
        channel = arguments.text("channel")
        wait_s = self._tiers.wait_s(self._world.now(), method.tier, name, bot.team.id, bot.app.id, channel)
        if wait_s:
            raise rate_limited(wait_s)

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """The bytes of a file, alone or in a form."""
        fault = self._faults.take("upload")
        if fault is not None and fault.kind in _CUTS:
            return cut(request, resets=fault.kind is FaultKind.REFUSE)
        content = await _uploaded_bytes(request)
        try:
            if fault is not None:
                _refuse_by(fault)
            take_bytes(self._world, request.match_info["file"], content)
        except Refusal as refusal:
            return web.Response(status=max(refusal.status, 400), text=refusal.error)
        except _PlainError as error:
            return web.Response(status=error.status, text=str(error))
        if fault is not None and fault.kind is FaultKind.COMMIT_THEN_DROP:
            return cut(request, resets=False)
        if fault is not None and fault.kind is FaultKind.SLOW:
            await self._pause(fault.delay_s)
        return web.Response(text=f"OK - {len(content)}")

    async def download(self, request: web.Request) -> web.StreamResponse:
        """A file's bytes. Without a good token Slack shows its sign-in page, which is 200 and HTML."""
        fault = self._faults.take("url_private")
        if fault is not None and fault.kind in (*_CUTS, FaultKind.COMMIT_THEN_DROP):
            return cut(request, resets=fault.kind is FaultKind.REFUSE)
        if fault is not None and fault.kind is FaultKind.SLOW:
            await self._pause(fault.delay_s)
        elif fault is not None:
            return web.Response(status=429 if fault.kind is FaultKind.RATE_LIMIT else fault.code)
        team_id, _, file_id = request.match_info["file"].partition("-")
        file = self._world.files.get(file_id)
        bot = self._world.bots.get(_bearer(request))
        if bot is None or bot.refusal or bot.team.id != team_id or "files:read" not in bot.scopes:
            raise web.HTTPFound(f"/files/login?{urlencode({'redir': request.path})}")
        if file is None or file.team_id != team_id or file.content is None or not self._sees(bot, file):
            return web.Response(status=404, text="file not found")
        return web.Response(body=file.content, content_type=file.mimetype)

    def _sees(self, bot: Bot, file: StoredFile) -> bool:
        channels = [self._world.channels[channel_id] for channel_id, _, _ in file.shares]
        return file.owner == bot.user_id or any(
            channel.kind == "channel" or bot.user_id in channel.members for channel in channels
        )

    async def login_page(self, request: web.Request) -> web.Response:
        return web.Response(text="<!DOCTYPE html><title>Sign in | Slack</title>", content_type="text/html")

    async def respond(self, request: web.Request) -> web.Response:
        """An answer to an interaction, without a token."""
        target = self._world.response_urls.get(request.match_info["key"])
        try:
            if target is None:
                raise Refusal("expired_url", status=404)
            body = json.loads(await request.text())
            if not isinstance(body, dict):
                raise Refusal("invalid_payload", status=400)
            respond(self._world, target, body)
        except ValueError:
            return web.Response(status=400, text="invalid_payload")
        except Refusal as refusal:
            return web.Response(status=max(refusal.status, 400), text=refusal.error)
        finally:
            self._spread()
        return web.Response(text="ok")

    async def authorize(self, request: web.Request) -> web.Response:
        """Somebody is asked to install an app, and agrees at once, unless told otherwise."""
        query = request.query
        app = next(
            (one for one in self._world.apps.values() if one.client_id == query.get("client_id")), None
        )
        if app is None:
            return web.Response(status=400, text="Invalid client_id parameter")
        redirect_uri = query.get("redirect_uri", "")
        if not redirect_uri.startswith(("http://", "https://")):
            return web.Response(status=400, text="redirect_uri did not match any configured URIs")
        joint = "&" if "?" in redirect_uri else "?"
        state = {"state": query.get("state", "")}
        if self.denials > 0:
            self.denials -= 1
            raise web.HTTPFound(f"{redirect_uri}{joint}{urlencode({'error': 'access_denied', **state})}")
        team = self._team_for(app, query.get("team"))
        scopes = frozenset(one for one in query.get("scope", "").split(",") if one) or app.scopes
        code = self._grants.give(app, team, INSTALLER, scopes, redirect_uri)
        raise web.HTTPFound(f"{redirect_uri}{joint}{urlencode({'code': code, **state})}")

    def _team_for(self, app: AppAccount, wanted: str | None) -> Workspace:
        """The workspace asked for; else the first one without the app; else the first one."""
        teams = list(self._world.workspaces.values())
        taken = {bot.team.id for bot in self._world.bots.values() if bot.app is app and not bot.refusal}
        for team in teams:
            if team.id == wanted or (wanted is None and team.id not in taken):
                return team
        return teams[0]

    async def _pause(self, delay_s: float) -> None:
        try:
            await asyncio.wait_for(self._closing.wait(), delay_s)
        except TimeoutError:
            return


class _PlainError(Exception):
    """An answer that is no JSON, as a proxy in front of the API gives."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


async def read_values(request: web.Request) -> dict[str, object]:
    """All arguments, whatever the encoding; raises Refusal for a body that cannot be read."""
    values: dict[str, object] = dict(request.query)
    if request.content_type == "application/json":
        try:
            body = json.loads(await request.text() or "{}")
        except ValueError:
            raise Refusal("invalid_json") from None
        if not isinstance(body, dict):
            raise Refusal("json_not_object")
        values |= body
    elif request.content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
        values |= {name: field for name, field in (await request.post()).items() if isinstance(field, str)}
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme == "Basic":
        client_id, _, secret = b64decode(credentials).decode().partition(":")
        values |= {"client_id": client_id, "client_secret": secret}
    return values


async def _uploaded_bytes(request: web.Request) -> bytes:
    if request.content_type != "multipart/form-data":
        return await request.read()
    for field in (await request.post()).values():
        if isinstance(field, web.FileField):
            return field.file.read()
    return b""


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme == "Bearer" else ""


def _token(request: web.Request, arguments: Arguments) -> str:
    return _bearer(request) or arguments.text("token")


def _refuse_by(fault: Fault) -> None:
    """A description that looks like one of Slack's codes is one, and then 4xx is written as Slack does: 200."""
    if fault.kind is FaultKind.RATE_LIMIT:
        raise rate_limited(fault.retry_after_s)
    if fault.kind is FaultKind.ERROR:
        if _ERROR_CODE.fullmatch(fault.description):
            raise Refusal(fault.description, status=fault.code if fault.code >= 500 else 200)
        raise _PlainError(fault.code, fault.description)


def _scope_headers(bot: Bot, method: Method) -> dict[str, str]:
    return {
        "x-oauth-scopes": ",".join(sorted(bot.scopes)),
        "x-accepted-oauth-scopes": ",".join(method.scopes),
    }


def _respond(status: int, body: Json, headers: dict[str, str] | None = None) -> web.Response:
    response = web.json_response(body, status=status, headers=headers)
    if "error" in body:
        response.headers["X-Emulator-Error"] = body["error"]
    return response
