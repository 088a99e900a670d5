"""The page on which people are played: its files, and how they are served.

The scripts talk to the control sides of one emulator or of several; which ones, `settings.json` tells them. What
is specific to a network is in `slack.js`, `telegram.js` and `discord.js`, behind the shape of `networks.js`.
"""

from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from aiohttp import web

# Scripts and styles only from here, nothing inline, no framing, no form targets.
PAGE_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
PAGE_PATH: Final = "/page/"
"""Where the page is as well, for networks that have something else at `/`."""
_TYPES: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_PAGE: Final = "index.html"


def page_routes(control_paths: Mapping[str, str], events_path: str) -> list[web.RouteDef]:
    """The page at `/`: for each network where its control side is, and where the changes are told.

    With several networks a change is an event of its network's name, with one it has no name (server-sent events).
    """
    networks = [{"kind": kind, "control": path} for kind, path in control_paths.items()]
    settings = {"networks": networks, "events": events_path}
    folder = files(__name__)
    contents = {one.name: one.read_bytes() for one in folder.iterdir() if _type_of(one.name) is not None}

    async def serve_page(request: web.Request) -> web.Response:
        return _response(_PAGE, contents[_PAGE])

    async def serve_file(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in contents:
            raise web.HTTPNotFound
        return _response(name, contents[name])

    async def serve_settings(request: web.Request) -> web.Response:
        return web.json_response(settings, headers=PAGE_HEADERS)

    return [
        web.get("/", serve_page),
        web.get(PAGE_PATH, serve_page),
        web.get(PAGE_PATH + "settings.json", serve_settings),
        web.get(PAGE_PATH + "{name}", serve_file),
    ]


def _type_of(name: str) -> str | None:
    return _TYPES.get(name.rpartition(".")[2])


def _response(name: str, content: bytes) -> web.Response:
    return web.Response(body=content, content_type=_type_of(name), charset="utf-8", headers=PAGE_HEADERS)
