"""Forged requests: what `http_fetch` connects to is judged by the address, at the socket, for every hop."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway.agent_settings import FetchSettings
from gateway.agents.port import Json, StepFailed
from gateway.agents.tools.addresses import refused
from gateway.agents.tools.http_fetch import HttpFetch
from gateway.agents.tools.port import ToolContext

SPECIAL = {
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "::1": "loopback",
    "::ffff:127.0.0.1": "IPv4-mapped",
    "::ffff:169.254.169.254": "IPv4-mapped",
    "::127.0.0.1": "IPv4-compatible",
    "64:ff9b::7f00:1": "NAT64",
    "64:ff9b::a9fe:a9fe": "NAT64 of the metadata service",
    "64:ff9b:1::7f00:1": "local NAT64",
    "2002:7f00:1::": "6to4",
    "2002:a9fe:a9fe::1": "6to4",
    "2001:0:7f00:1::": "Teredo",
    "fe80::5efe:7f00:1": "ISATAP",
    "2a00::5efe:7f00:1": "ISATAP of a global prefix",
    "169.254.169.254": "metadata",
    "fd00:ec2::254": "metadata",
    "100.100.100.200": "metadata",
    "0.0.0.0": "unspecified",
    "::": "unspecified",
    "10.1.2.3": "private",
    "172.16.0.1": "private",
    "192.168.1.1": "private",
    "192.0.0.9": "protocol",
    "224.0.0.1": "multicast",
    "ff02::1": "multicast",
    "fec0::1": "site-local",
    "255.255.255.255": "broadcast",
}
SPELLINGS = [
    "http://127.0.0.1:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.1:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://127.1:{port}/",
    "http://0:{port}/",
    "http://[::1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://localhost:{port}/",
    "http://LOCALHOST.:{port}/",
    "http://127.0.0.1:{port}@example.com/",
    "http://example.com@127.0.0.1:{port}/",
    "http://example.com:{port}/",
    "http://\uff11\uff12\uff17.\uff10.\uff10.\uff11:{port}/",
    "file:///etc/passwd",
    "FILE:///etc/passwd",
    "gopher://127.0.0.1:{port}/",
    "ftp://127.0.0.1/",
    "data:text/plain,pwned",
    "//127.0.0.1:{port}/",
    "unix:///run/docker.sock",
]


class Names(AbstractResolver):
    """Whoever asks for a name gets these addresses, one after another: DNS that rebinds."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0)]

    async def close(self) -> None: ...


class Inside:
    """A service that must not be reached; it counts who came."""

    def __init__(self) -> None:
        self.port = 0
        self.visits = 0
        self.headers: list[dict[str, str]] = []

    async def serve(self, request: web.Request) -> web.Response:
        self.visits += 1
        self.headers.append(dict(request.headers))
        if request.path == "/circle":
            raise web.HTTPFound("/circle")
        if target := request.query.get("to"):
            raise web.HTTPFound(target)
        return web.Response(text="root:x:0:0 the inside")


@pytest.fixture
async def inside() -> AsyncIterator[Inside]:
    made = Inside()
    app = web.Application()
    app.router.add_get("/{tail:.*}", made.serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


async def fetch(url: str, *addresses: str, allow_private: bool = False, allow: tuple[str, ...] = ()) -> Json:
    hosts = allow or (
        "example.com",
        "127.0.0.1",
        "localhost",
        "0",
        "2130706433",
        "0x7f000001",
        "127.1",
        "::1",
    )
    settings = FetchSettings(allow=hosts, allow_private=allow_private, timeout_s=3.0)
    tool = HttpFetch(settings, resolver=lambda: Names(*(addresses or ("127.0.0.1",))))
    async with asyncio.timeout(5.0):
        return await tool.call({"url": url}, ToolContext.__new__(ToolContext))


@pytest.mark.parametrize("address", SPECIAL, ids=lambda one: f"{SPECIAL[one]} {one}")
def test_ssrf_by_address(address: str) -> None:
    """SSRF (6 of 83 advisories; nanobot's IPv4-mapped hole of 2026-08): the table of addresses that lead inside."""
    assert refused(address) is not None


@pytest.mark.parametrize("url", SPELLINGS)
async def test_ssrf_by_spelling(inside: Inside, url: str) -> None:
    """CVE-2026-26322 (SSRF via gatewayUrl), nanobot's Slack download: every way to write our own address."""
    with pytest.raises(StepFailed):
        await fetch(url.format(port=inside.port))
    assert inside.visits == 0


async def test_ssrf_by_redirect(inside: Inside) -> None:
    """SSRF by redirect: each hop is judged again, by its name and by its address."""
    start = f"http://example.com:{inside.port}/?to="
    for target in (
        "http://127.0.0.1:1/",
        "http://evil.example/",
        "file:///etc/passwd",
        "http://[64:ff9b::7f00:1]/",
    ):
        before = inside.visits
        with pytest.raises(StepFailed):
            await fetch(start + target, allow_private=True, allow=("example.com",))
        assert inside.visits == before + 1, "only the first hop was made"
    before = inside.visits
    with pytest.raises(StepFailed, match="redirects"):
        await fetch(f"http://example.com:{inside.port}/circle", allow_private=True, allow=("example.com",))
    assert inside.visits == before + 6, "no circle is walked for ever"


async def test_ssrf_by_dns_rebinding(inside: Inside) -> None:
    """DNS rebinding: the address that is connected to counts, not one resolved before."""
    with pytest.raises(StepFailed):
        await fetch(f"http://example.com:{inside.port}/", "127.0.0.1")
    with pytest.raises(StepFailed):
        await fetch(f"http://example.com:{inside.port}/", "169.254.169.254", "127.0.0.1")
    assert inside.visits == 0


async def test_no_credentials_travel(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """GHSA-7vwx-582j-j332 (a downloader leaked the bearer): nothing of ours goes along, no proxy is asked."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("THREADGATE_TOKEN", "tgate_secret")
    await fetch(f"http://example.com:{inside.port}/", allow_private=True)
    sent = {name.lower() for name in inside.headers[0]}
    assert sent <= {"host", "user-agent", "accept", "accept-encoding", "connection"}


def test_an_allowlist_is_never_empty() -> None:
    """Exec allow patterns (nanobot 2026-08): without hosts nothing is allowed, rather than everything."""
    with pytest.raises(Exception, match=r"fetch\.allow"):
        HttpFetch(FetchSettings(allow=()))
    for pattern in ("*", "*.", "", "http://example.com", "exa mple.com", "*.*"):
        with pytest.raises(Exception, match=r"fetch\.allow"):
            HttpFetch(FetchSettings(allow=(pattern,)))
