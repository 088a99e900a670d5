"""What comes to our port under /hooks/slack/<account>/: events over HTTP, and people who install the app."""

from collections.abc import Mapping

from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from channels.messages import HttpRequest, HttpResponse
from channels.slack.installs import INSTALL_PATH, REDIRECT_PATH
from channels.slack.session import Session

EVENTS_PATH = "events"
_NOT_FOUND = HttpResponse(404)
_NOT_READY = HttpResponse(503, headers={"retry-after": "5"})
# Pages of the installation: nothing else may frame them, load into them or learn where people came from.
_PAGE_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


async def answer(
    request: HttpRequest, session: Session | None, flow: AsyncOAuthFlow | None, mode: str
) -> HttpResponse:
    """One request. Raises what the store raises: the caller makes a 500 of it."""
    match (request.method, request.path.strip("/")):
        case ("POST", path) if path == EVENTS_PATH and mode == "http":
            return await _events(request, session)
        case ("GET", path) if path == INSTALL_PATH and flow is not None:
            return _page(await flow.handle_installation(_bolt_request(request)))
        case ("GET", path) if path == REDIRECT_PATH and flow is not None:
            return _page(await flow.handle_callback(_bolt_request(request)))
    return _NOT_FOUND


async def _events(request: HttpRequest, session: Session | None) -> HttpResponse:
    if session is None:
        return _NOT_READY
    try:
        body = request.body.decode()
    except UnicodeDecodeError:
        return HttpResponse(400)
    return _plain(await session.over_http(body, request.query, request.headers))


def _bolt_request(request: HttpRequest) -> AsyncBoltRequest:
    return AsyncBoltRequest(mode="http", body="", query=dict(request.query), headers=dict(request.headers))


def _plain(response: BoltResponse, headers: Mapping[str, str] | None = None) -> HttpResponse:
    return HttpResponse(
        response.status, response.body.encode(), {**response.first_headers(), **(headers or {})}
    )


def _page(response: BoltResponse) -> HttpResponse:
    return _plain(response, _PAGE_HEADERS)
