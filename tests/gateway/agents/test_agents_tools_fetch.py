"""http_fetch: what it reads, what it refuses, and that nobody leads it to an address that was not judged."""

import asyncio
import gzip
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from agents_stage import make_context
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.agent_settings import FetchSettings
from gateway.agents.port import AgentFailure, Json, Recorded
from gateway.agents.tools.addresses import host_problem, is_allowed, refused
from gateway.agents.tools.http_fetch import HttpFetch
from gateway.agents.tools.use import told, use

# --- addresses -------------------------------------------------------------------------------------

OPEN = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2001:4860:4860::8888",
    "2606:4700::1111",
    "2a00:1450:4001::1",
    "2001:200::1",
]
CLOSED = {
    "0.0.0.0": "an unspecified address",
    "0.1.2.3": "an unspecified address",
    "10.0.0.0": "a private address",
    "10.255.255.255": "a private address",
    "100.64.0.1": "a shared address",
    "100.100.100.200": "a shared address",
    "127.0.0.1": "a loopback address",
    "127.255.255.255": "a loopback address",
    "169.254.0.1": "a link-local address",
    "169.254.169.254": "a link-local address",
    "172.16.0.1": "a private address",
    "172.31.255.255": "a private address",
    "192.0.0.1": "a protocol address",
    "192.0.0.170": "a protocol address",
    "192.0.2.1": "a documentation address",
    "192.88.99.1": "a relay address",
    "192.168.0.1": "a private address",
    "198.18.0.1": "a benchmarking address",
    "198.19.255.255": "a benchmarking address",
    "198.51.100.1": "a documentation address",
    "203.0.113.255": "a documentation address",
    "224.0.0.1": "a multicast address",
    "239.255.255.255": "a multicast address",
    "240.0.0.1": "a reserved address",
    "255.255.255.255": "a reserved address",
    "::": "an unspecified address",
    "::1": "a loopback address",
    "::2": "an IPv4 address in IPv6",
    "::127.0.0.1": "an IPv4 address in IPv6",
    "::ffff:127.0.0.1": "an IPv4 address in IPv6",
    "::ffff:8.8.8.8": "an IPv4 address in IPv6",
    "::ffff:0:127.0.0.1": "a reserved address",
    "64:ff9b::7f00:1": "a relay address",
    "64:ff9b:1::1": "a relay address",
    "100::1": "a reserved address",
    "2001::1": "a protocol address",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2": "a protocol address",
    "2001:10::1": "a protocol address",
    "2001:db8::1": "a documentation address",
    "2002:7f00:1::": "a relay address",
    "2606:4700::5efe:7f00:1": "a relay address",
    "2606:4700::200:5efe:7f00:1": "a relay address",
    "3fff::1": "a documentation address",
    "4000::1": "a reserved address",
    "5f00::1": "a reserved address",
    "fc00::1": "a private address",
    "fdff::1": "a private address",
    "fe80::1": "a link-local address",
    "fe80::1%eth0": "a link-local address",
    "fec0::1": "a reserved address",
    "ff02::1": "a multicast address",
    "127.1": "no address",
    "2130706433": "no address",
    "0x7f.0.0.1": "no address",
    "0177.0.0.1": "no address",
    "localhost": "no address",
    "": "no address",
}
PRIVATE = [
    address for address, what in CLOSED.items() if what.split()[1] in ("private", "loopback", "shared")
]


@pytest.mark.parametrize("address", OPEN)
def test_addresses_of_the_internet_can_be_reached(address: str) -> None:
    assert refused(address) is None


@pytest.mark.parametrize(("address", "what"), CLOSED.items())
def test_other_addresses_are_refused_by_name(address: str, what: str) -> None:
    assert refused(address) == what


@pytest.mark.parametrize("address", PRIVATE)
def test_allow_private_opens_private_addresses(address: str) -> None:
    assert refused(address, allow_private=True) is None


@pytest.mark.parametrize("address", sorted(set(CLOSED) - set(PRIVATE)))
def test_allow_private_opens_nothing_else(address: str) -> None:
    assert refused(address, allow_private=True) == CLOSED[address]


@settings(deadline=None)
@given(st.ip_addresses(v=4))
def test_what_python_knows_to_be_private_is_refused(ip: ipaddress.IPv4Address) -> None:
    if not ip.is_global or ip.is_multicast or ip.is_reserved:
        assert refused(str(ip)) is not None


@settings(deadline=None)
@given(st.ip_addresses(v=6))
def test_what_python_knows_to_be_private_is_refused_in_ipv6(ip: ipaddress.IPv6Address) -> None:
    if not ip.is_global or ip.is_multicast or ip.is_reserved:
        assert refused(str(ip)) is not None


@settings(deadline=None)
@given(st.ip_addresses(v=4))
def test_no_ipv4_address_can_be_reached_through_ipv6(ip: ipaddress.IPv4Address) -> None:
    number = int(ip)
    for disguise in (
        number,  # ::a.b.c.d
        0xFFFF << 32 | number,  # ::ffff:a.b.c.d
        0xFFFF << 48 | number,  # ::ffff:0:a.b.c.d
        0x64FF9B << 96 | number,
        0x64FF9B0001 << 80 | number,
        0x2002 << 112 | number << 80,
        0x20010000 << 96 | number ^ 0xFFFFFFFF,
        0x26064700 << 96 | 0x00005EFE << 32 | number,
    ):
        assert refused(str(ipaddress.IPv6Address(disguise))) is not None


@settings(deadline=None)
@given(st.text())
def test_whatever_is_no_address_is_refused(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        assert refused(text) == "no address"


@pytest.mark.parametrize(
    ("host", "allow", "is_in"),
    [
        ("example.org", ("example.org",), True),
        ("EXAMPLE.org.", ("example.ORG",), True),
        ("www.example.org", ("example.org",), False),
        ("www.example.org", ("*.example.org",), True),
        ("a.b.example.org", ("*.example.org",), True),
        ("example.org", ("*.example.org",), False),
        ("evilexample.org", ("*.example.org",), False),
        ("example.org.evil.net", ("example.org", "*.example.org"), False),
        ("::1", ("[::1]",), True),
        ("example.org", (), False),
    ],
)
def test_hosts_are_allowed_exactly_or_below_a_name(host: str, allow: tuple[str, ...], is_in: bool) -> None:
    assert is_allowed(host, allow) == is_in


@pytest.mark.parametrize(
    "pattern", ["*", "*.", "http://example.org", "example.org/x", "a b", "", "*.*.org", "ex*.org"]
)
def test_patterns_that_mean_something_else_are_refused(pattern: str) -> None:
    assert host_problem(pattern) is not None
    with pytest.raises(AgentFailure) as caught:
        HttpFetch(FetchSettings(allow=(pattern,)))
    assert caught.value.kind == "bad_configuration"


def test_without_an_allowlist_there_is_no_such_tool() -> None:
    with pytest.raises(AgentFailure, match="needs hosts"):
        HttpFetch(FetchSettings())


# --- pages -----------------------------------------------------------------------------------------

Handler = Callable[[web.Request], Any]


class Site:
    """A real web server on loopback; `seen` are the requests that reached it."""

    def __init__(self) -> None:
        self.seen: list[web.Request] = []
        self.answers: dict[str, Handler] = {}
        self.port = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        answer = self.answers[request.path](request)
        return await answer if asyncio.iscoroutine(answer) else answer

    def url(self, path: str = "/", host: str = "page.example.org") -> str:
        return f"http://{host}:{self.port}{path}"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


class Names(AbstractResolver):
    """A name server of ours: each question is answered with the next of these, the last one again and again."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        kind = socket.AF_INET6 if ":" in found else socket.AF_INET
        return [
            ResolveResult(
                hostname=host, host=found, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST
            )
        ]

    async def close(self) -> None:
        return None


async def fetch(url: str, *addresses: str, timeout_s: float = 10, **settings: Any) -> Recorded:
    """Fetch with names that resolve to these addresses, and private ones allowed unless told."""
    given_settings = {
        "allow": ("*.example.org", "127.0.0.1", "169.254.169.254", "10.0.0.1"),
        "allow_private": True,
    }
    tool = HttpFetch(
        FetchSettings.model_validate({**given_settings, **settings}),
        resolver=lambda: Names(*(addresses or ("127.0.0.1",))),
    )
    return await use(tool, "1", {"url": url}, make_context(), timeout_s)


async def page(url: str, *addresses: str, **settings: Any) -> Json:
    record = await fetch(url, *addresses, **settings)
    assert record.outcome == "ok", record
    return record.result


async def test_a_page_is_read(site: Site) -> None:
    site.answers["/"] = lambda _: web.Response(
        text="<p>Grüße</p>", content_type="text/html", charset="iso-8859-1"
    )
    assert await page(site.url("/#top")) == {
        "url": site.url(),
        "status": 200,
        "content_type": "text/html",
        "text": "<p>Grüße</p>",
        "is_cut": False,
    }
    (request,) = site.seen
    assert request.method == "GET"
    assert request.headers["User-Agent"] == "threadgate"


async def test_an_error_page_is_a_page(site: Site) -> None:
    site.answers["/"] = lambda _: web.Response(status=404, text="not here")
    assert (await page(site.url()))["status"] == 404


async def test_what_is_no_text_is_only_described(site: Site) -> None:
    site.answers["/"] = lambda _: web.Response(body=b"\x89PNG", content_type="image/png")
    found = await page(site.url())
    assert (found["content_type"], found["bytes"], "text" in found) == ("image/png", 4, False)


async def test_packed_answers_are_not_unpacked(site: Site) -> None:
    bomb = gzip.compress(b"x" * 10_000_000)
    site.answers["/"] = lambda _: web.Response(
        body=bomb, headers={"Content-Encoding": "gzip", "Content-Type": "text/plain"}
    )
    found = await page(site.url())
    assert "text" not in found
    assert site.seen[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("charset", ["zip", "punycode", "unicode_escape", "no-such", "utf-7-and-more"])
async def test_charsets_that_are_none_are_read_as_utf8(site: Site, charset: str) -> None:
    kind = f"text/plain; charset={charset}"
    site.answers["/"] = lambda _: web.Response(body="ö".encode(), headers={"Content-Type": kind})
    assert (await page(site.url()))["text"] == "ö"


async def test_long_pages_are_cut(site: Site) -> None:
    site.answers["/"] = lambda _: web.Response(text="x" * 3000)
    found = await page(site.url(), max_bytes=1000)
    assert (len(found["text"]), found["is_cut"]) == (1000, True)
    assert (await page(site.url(), max_bytes=3000))["is_cut"] is False


async def test_endless_pages_are_cut_too(site: Site) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65_536)

    site.answers["/"] = endless
    assert (await page(site.url()))["is_cut"] is True


async def test_slow_pages_end_at_the_deadline(site: Site) -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    site.answers["/"] = slow
    context = make_context()
    tool = HttpFetch(
        FetchSettings(allow=("*.example.org",), allow_private=True, timeout_s=0.2),
        resolver=lambda: Names("127.0.0.1"),
    )
    assert (
        told(await use(tool, "1", {"url": site.url()}, context, 10)) == "The page did not come within 0.2 s."
    )


# --- where it is not led ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("https://other.net/", "The host other.net is not allowed"),
        ("https://example.org/", "The host example.org is not allowed"),
        ("http://page.example.org@other.net/", "with a user"),
        ("http://user:key@page.example.org/", "with a user"),
        ("file:///etc/passwd", "Only http:// and https://"),
        ("gopher://page.example.org/", "Only http:// and https://"),
        ("http:///nowhere", "Only http:// and https://"),
        ("page.example.org/x", "Only http:// and https://"),
        ("http://page.example.org:99999/", "no address of a page"),
        ("http://[::1/", "no address of a page"),
    ],
)
async def test_addresses_outside_the_allowlist_are_refused_before_anything_is_sent(
    url: str, complaint: str
) -> None:
    record = await fetch(url)
    assert record.outcome == "error"
    assert complaint in told(record)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fd00::1"]
)
async def test_an_allowed_name_with_a_private_address_is_refused(site: Site, address: str) -> None:
    site.answers["/"] = lambda _: web.Response(text="secret")
    record = await fetch(site.url(), address, allow_private=False)
    assert record.outcome == "error"
    assert f"{address} is " in told(record)
    assert site.seen == []


async def test_a_numeric_host_is_judged_too(site: Site) -> None:
    record = await fetch(site.url(host="127.0.0.1"), allow_private=False)
    assert "127.0.0.1 is a loopback address" in told(record)
    assert site.seen == []


async def test_metadata_services_stay_closed_even_with_allow_private() -> None:
    record = await fetch("http://169.254.169.254/latest/meta-data/")
    assert "169.254.169.254 is a link-local address" in told(record)


async def test_a_name_that_changes_its_address_gains_nothing(site: Site) -> None:
    """The connection goes to the very address that was judged: there is no second question to the name server."""
    site.answers["/"] = lambda _: web.Response(text="secret")
    names = Names("10.0.0.1", "127.0.0.1")
    tool = HttpFetch(FetchSettings(allow=("*.example.org",)), resolver=lambda: names)
    record = await use(tool, "1", {"url": site.url()}, make_context(), 10)
    assert told(record) == "The host cannot be reached: 10.0.0.1 is a private address."
    assert names.asked == 1
    assert site.seen == []


async def test_a_page_comes_from_the_address_that_was_judged(site: Site) -> None:
    site.answers["/"] = lambda _: web.Response(text="mine")
    names = Names("127.0.0.1", "169.254.169.254")
    tool = HttpFetch(FetchSettings(allow=("*.example.org",), allow_private=True), resolver=lambda: names)
    record = await use(tool, "1", {"url": site.url()}, make_context(), 10)
    assert record.result["text"] == "mine"
    assert names.asked == 1


async def test_a_redirect_to_a_name_that_has_become_private_is_refused(site: Site) -> None:
    """Each hop asks the name server again, and each answer is judged."""
    site.answers["/"] = lambda _: web.HTTPFound("/inner")
    site.answers["/inner"] = lambda _: web.Response(text="secret")
    record = await fetch(site.url(), "127.0.0.1", "169.254.169.254")
    assert "169.254.169.254 is a link-local address" in told(record)
    assert [request.path for request in site.seen] == ["/"]


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("http://other.net/", "The host other.net is not allowed"),
        ("http://169.254.169.254/latest", "169.254.169.254 is a link-local address"),
        ("//other.net/x", "The host other.net is not allowed"),
        ("file:///etc/passwd", "Only http:// and https://"),
        ("http://user@page.example.org/", "with a user"),
    ],
)
async def test_redirects_are_judged_like_the_first_address(site: Site, target: str, complaint: str) -> None:
    site.answers["/"] = lambda _: web.Response(status=302, headers={"Location": target})
    record = await fetch(site.url())
    assert record.outcome == "error"
    assert complaint in told(record)


async def test_redirects_are_followed_five_times(site: Site) -> None:
    def hop(request: web.Request) -> web.Response:
        left = int(request.path[1:])
        if not left:
            return web.Response(text="here")
        return web.Response(status=307, headers={"Location": f"/{left - 1}", "Set-Cookie": "a=b"})

    site.answers = {f"/{left}": hop for left in range(8)}
    assert (await page(site.url("/5")))["text"] == "here"
    assert not any("Cookie" in request.headers for request in site.seen)
    assert "redirects more than 5 times" in told(await fetch(site.url("/6")))


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    yield


@pytest.mark.usefixtures("proxied")
async def test_proxies_of_the_environment_are_not_used(site: Site) -> None:
    site.answers["/"] = lambda _: web.Response(text="direct")
    assert (await page(site.url()))["text"] == "direct"
