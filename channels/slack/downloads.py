"""Fetching a file somebody sent. The address comes from an event, so the token goes only where it belongs.

Slack's file addresses want the bot's token in a header. An address is fetched when it is Slack's own, or of the
configured server; redirects are not followed, because the token would travel along.
"""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp

from channels.errors import AuthLost, Gone, Permanent, RateLimited, TooLarge, Unreachable
from channels.messages import Attachment
from channels.slack.calls import SlackCalls
from channels.slack.failures import TRANSPORT, to_transport_error

# Bytes handed on at once.
_PIECE = 64 * 1024
_HOSTS = ("slack.com", "slack-files.com")
_METHOD = "download"
# Slack gives no number with a 429 of its file servers.
_RETRY_AFTER_S = 10.0


def is_slacks(url: str) -> bool:
    """Whether an address is one of Slack's own, over TLS, without a port or a name in it."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        has_extras = parts.port is not None or parts.username is not None or parts.password is not None
    except ValueError:
        return False
    is_known = any(host == known or host.endswith(f".{known}") for known in _HOSTS)
    return parts.scheme == "https" and is_known and not has_extras


async def download(calls: SlackCalls, attachment: Attachment, limit_bytes: int) -> AsyncIterator[bytes]:
    """The bytes of a file, in pieces. Raises ChannelError; TooLarge as soon as the limit is passed."""
    if attachment.size_bytes is not None and attachment.size_bytes > limit_bytes:
        raise TooLarge(f"{_METHOD}: the file has {attachment.size_bytes} bytes, {limit_bytes} are allowed")
    team = attachment.key.get("team", "")
    url = attachment.key.get("url") or await _address(calls, team, attachment.key.get("id", ""))
    if not (is_slacks(url) or calls.is_ours(url)):
        raise Permanent(f"{_METHOD}: the file is not on one of Slack's servers")
    token = await calls.token(team)
    try:
        async with calls.session().get(
            url, headers={"Authorization": f"Bearer {token}"}, allow_redirects=False
        ) as response:
            _check(response, limit_bytes)
            total = 0
            async for piece in response.content.iter_chunked(_PIECE):
                total += len(piece)
                if total > limit_bytes:
                    raise TooLarge(f"{_METHOD}: the file has more than {limit_bytes} bytes")
                yield piece
    except TRANSPORT as error:
        raise to_transport_error(error, _METHOD) from None


async def _address(calls: SlackCalls, team: str, file_id: str) -> str:
    """Files from other organizations come without an address, to be asked for."""
    if not file_id:
        raise Permanent(f"{_METHOD}: the file has no address")
    fields = await calls.call(team, "files.info", lambda client: client.files_info(file=file_id))
    return str((fields.get("file") or {}).get("url_private") or "")


def _check(response: aiohttp.ClientResponse, limit_bytes: int) -> None:
    """Raises ChannelError for everything but a file of allowed size."""
    status = response.status
    if status == 429:
        raise RateLimited(float(response.headers.get("Retry-After", _RETRY_AFTER_S)))
    if status == 401:
        raise AuthLost(f"{_METHOD}: the token no longer works")
    if status in (404, 410):
        raise Gone(f"{_METHOD}: HTTP {status}")
    if status >= 500:
        raise Unreachable(f"{_METHOD}: HTTP {status}")
    if status != 200:
        # A redirect leads to the login page: the token may not read files.
        raise Permanent(f"{_METHOD}: HTTP {status}; does the token have files:read?")
    length = response.content_length
    if length is not None and length > limit_bytes:
        raise TooLarge(f"{_METHOD}: the file has {length} bytes, {limit_bytes} are allowed")
