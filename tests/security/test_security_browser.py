"""What a web page somewhere else can do through the browser of somebody who reaches the gateway: nothing."""

import re
from importlib.resources import files

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from channels.emulators.playground import Playground
from channels.emulators.telegram import User
from tests.gateway.gateway_stage import Stage, make_emulator
from tests.security.security_stage import place, raw, start_line

EVIL = "<img src=x onerror=alert(1)></script><script>alert(1)</script>\"'`{{7*7}}"


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "file://",
        "http://127.0.0.1",
        "http://localhost.evil.example",
        "chrome-extension://x",
    ],
)
async def test_cross_site_websocket_hijacking(stage: Stage, origin: str) -> None:
    """CVE-2026-25253 (GHSA-g8p2-7wf7-98mq), AML.CS0050: a page opened a socket to the gateway on loopback."""
    with pytest.raises(InvalidStatus) as refused:
        await stage.open(origin=Origin(origin))
    assert refused.value.response.status_code == 403
    assert stage.sessions == []


async def test_dns_rebinding(stage: Stage) -> None:
    """DNS rebinding: a name of theirs that points to us is no name of ours."""
    _, port = place(stage)
    for host in (
        f"rebound.evil.example:{port}",
        "evil.example",
        f"127.0.0.1.evil.example:{port}",
        "",
        f"0:{port}",
    ):
        for path in ("/", "/metrics", "/v1/openapi.json"):
            answer = await raw(stage, start_line(stage, "GET", path, Host=host))
            assert answer.status in (400, 403), f"{host!r} was served {path}"
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec_WebSocket_Protocol": "threadgate.v1",
    }
    assert (
        await raw(stage, start_line(stage, "GET", "/v1/ws", Host="evil.example", **upgrade))
    ).status == 403


async def test_csrf_on_the_http_twin(stage: Stage) -> None:
    """CSRF (83 advisories to 2026-02-21: CSRF/XSS/state 4): what a page can send on its own carries no credential."""
    forms = {
        "application/x-www-form-urlencoded": b'{"title":"x","a":"="}',
        "text/plain": b'{"title":"x"}',
        "multipart/form-data; boundary=x": b"--x--",
    }
    for kind, body in forms.items():
        foreign = {"Content-Type": kind, "Origin": "https://evil.example", "Cookie": f"token={stage.owner}"}
        assert (
            await stage.http(None).post("/v1/thread.create", content=body, headers=foreign)
        ).status_code == 403
        without_origin = {"Content-Type": kind, "Cookie": f"token={stage.owner}; session={stage.owner}"}
        answer = await stage.http(None).post("/v1/thread.create", content=body, headers=without_origin)
        assert answer.status_code == 401, "a cookie is no credential"
    owner = await stage.connect()
    assert (await owner.call("thread.list"))["threads"] == []


async def test_no_page_elsewhere_may_read_an_answer(stage: Stage) -> None:
    """CORS: no preflight is granted, no answer is shared, whatever the origin."""
    asked = {
        "Origin": "https://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    preflight = await stage.http(None).request("OPTIONS", "/v1/thread.list", headers=asked)
    assert preflight.status_code in (403, 404, 405)
    for answer in (preflight, await stage.http().get("/"), await stage.http().post("/v1/server.info")):
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
        assert "set-cookie" not in answer.headers


async def test_clickjacking_and_sniffing(stage: Stage) -> None:
    """Clickjacking: nothing of ours is framed, sniffed or referred to."""
    for answer in (await stage.http(None).get("/"), await stage.http(None).get("/nowhere")):
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"


async def test_stored_xss(stage: Stage) -> None:
    """CVE-2026-27009 (stored XSS by the assistant's name): no HTML is made of anything that was said or named."""
    owner = await stage.connect()
    thread = (await owner.call("thread.create", title=EVIL))["thread"]
    for answer in (
        await stage.http().get("/"),
        await stage.http().post("/v1/thread.get", json={"thread_id": thread["id"]}),
        await stage.http().post(f"/v1/{EVIL[:20]}", json={}),
        await stage.http().get("/metrics"),
    ):
        assert "text/html" not in answer.headers["content-type"]
    uploaded = await stage.http().post(
        "/v1/blobs",
        content=b"<script>alert(1)</script>",
        headers={"X-Blob-Name": "a.html", "Content-Type": "text/html"},
    )
    given = await stage.http().get(f"/v1/blobs/{uploaded.json()['blob']['id']}")
    assert given.headers["content-type"] != "text/html"
    assert given.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in given.headers["content-security-policy"]


async def test_stored_xss_on_the_playground() -> None:
    """CVE-2026-27009: the one page there is shows malicious names as text; its policy lets nothing inline run."""
    playground = Playground()
    async with make_emulator() as emulator:
        emulator.say(EVIL, user=User(1001, EVIL, EVIL[:30]))
        await playground.start([emulator.control_side])
        try:
            async with httpx.AsyncClient(base_url=playground.url, trust_env=False) as http:
                page = await http.get("/")
                chat = await http.get("/telegram/control/messages?chat_id=1001")
        finally:
            await emulator.stop()
            await playground.stop()
    policy = page.headers["content-security-policy"]
    assert "script-src 'self'" in policy and "unsafe" not in policy and "default-src 'none'" in policy
    assert EVIL not in page.text, "the page is one text for everybody"
    assert "text/html" not in chat.headers["content-type"]
    for script in files("channels.emulators.page").iterdir():
        if script.name.endswith((".js", ".html")):
            source = script.read_text()
            sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function"
            assert not re.search(sinks, re.sub(r"//.*", "", source)), script.name
            assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=", source) or script.name.endswith(".js")
