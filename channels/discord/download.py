"""Files that people sent: read from Discord's CDN, and from nowhere else, without a credential."""

import time
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import parse_qs, urlsplit

import aiohttp

from channels.discord.capabilities import CONNECT_TIMEOUT_S, DOWNLOAD_STALL_S
from channels.errors import Gone, Permanent, TooLarge, Unreachable

_CDN_HOSTS: Final = frozenset({"cdn.discordapp.com", "media.discordapp.net"})
_CHUNK_BYTES: Final = 64 * 1024


class Downloads:
    """Reads addresses of the CDN, or of the server that `api_base_url` names. Opens its session with the first."""

    def __init__(self, api_base_url: str) -> None:
        base = urlsplit(api_base_url)
        self._own = (base.scheme, base.netloc)
        self._session: aiohttp.ClientSession | None = None

    def is_expired(self, url: str) -> bool:
        """Whether the signature of an address is over: `ex` is a hexadecimal time in seconds since 1970."""
        try:
            ends_at = int(parse_qs(urlsplit(url).query)["ex"][0], 16)
        except (KeyError, ValueError):
            return False
        return ends_at <= time.time()

    async def read(self, url: str, limit_bytes: int) -> AsyncIterator[bytes]:
        """The bytes. Raises ChannelError; TooLarge beyond `limit_bytes`, Permanent for other servers."""
        self._check(url)
        size = 0
        try:
            async with self._opened().get(url, allow_redirects=False) as response:
                _check_status(response.status)
                if (response.content_length or 0) > limit_bytes:
                    raise TooLarge(f"{response.content_length} bytes, allowed are {limit_bytes}")
                async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                    size += len(chunk)
                    if size > limit_bytes:
                        raise TooLarge(f"more than {limit_bytes} bytes")
                    yield chunk
        except (aiohttp.ClientError, OSError) as error:
            # Reading again does no harm; OSError takes in timeouts.
            raise Unreachable(f"the file could not be read ({type(error).__name__})") from None

    async def close(self) -> None:
        """Close connections. Idempotent; reading opens them again."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _check(self, url: str) -> None:
        parts = urlsplit(url)
        is_cdn = parts.scheme == "https" and parts.netloc in _CDN_HOSTS
        if not is_cdn and (parts.scheme, parts.netloc) != self._own:
            raise Permanent("the file is not on Discord's servers")

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=DOWNLOAD_STALL_S
            )
            self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        return self._session


def _check_status(status: int) -> None:
    if status == 200:
        return
    if status in (403, 404, 410):
        raise Gone(f"the file is not there any more ({status})")
    if status == 429 or status >= 500:
        raise Unreachable(f"the file could not be read ({status})")
    raise Permanent(f"the file was refused ({status})")
