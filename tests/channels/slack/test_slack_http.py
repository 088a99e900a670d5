"""Events over HTTP against the emulator: signed, stored before the 200, sent again when not."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from channel_stage import MemorySink, until
from slack_stage import APP, HASTY, is_connected, make_adapter, make_emulator, payload

from channels.emulators.slack import SlackEmulator
from channels.messages import HttpRequest, HttpResponse
from channels.slack.adapter import SlackAdapter

PREFIX = "/hooks/slack/acme/"


@asynccontextmanager
async def port(adapter: SlackAdapter) -> AsyncIterator[str]:
    """What the gateway's edge does: hand requests to the adapter, make a 500 of what it raises."""

    async def handle(request: web.Request) -> web.Response:
        answered = await adapter.receive(
            HttpRequest(
                request.method,
                request.path.removeprefix(PREFIX),
                {name.lower(): value for name, value in request.headers.items()},
                dict(request.query),
                await request.read(),
            )
        )
        return web.Response(status=answered.status, body=answered.body, headers=dict(answered.headers))

    app = web.Application()
    app.router.add_route("*", PREFIX + "{tail:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}{PREFIX}"
    await runner.cleanup()


def signed(
    body: bytes, *, secret: str = APP.signing_secret, age_s: int = 0, path: str = "events"
) -> HttpRequest:
    timestamp = int(time.time()) - age_s
    signature = hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {
        "content-type": "application/json",
        "x-slack-request-timestamp": str(timestamp),
        "x-slack-signature": f"v0={signature}",
    }
    return HttpRequest("POST", path, headers, {}, body)


BODY = json.dumps(payload("message_direct")).encode()


@pytest.fixture
async def http(emulator: SlackEmulator, sink: MemorySink) -> AsyncIterator[SlackAdapter]:
    made = make_adapter(emulator, mode="http", app_token=None, signing_secret=APP.signing_secret)
    await made.start(sink)
    await until(lambda: is_connected(made))
    yield made
    await made.stop()


async def test_everything_works_over_http_as_well(
    emulator: SlackEmulator, http: SlackAdapter, sink: MemorySink
) -> None:
    async with port(http) as url:
        await emulator.set_request_url(url + "events")
        emulator.say("hello")
        await until(lambda: sink.texts == ["hello"])
        channel = emulator.open_channel("general")
        sink.says = {}
        emulator.slash("/threadgate", "ask", channel=channel)
        await until(lambda: sink.texts == ["hello", "ask"])
        await until(lambda: emulator.undelivered() == [])
        assert emulator.lost() == []
        assert emulator.sockets == []


async def test_a_failed_commit_is_a_500_and_comes_again(sink: MemorySink) -> None:
    async with make_emulator(timing=HASTY) as emulator:
        adapter = make_adapter(emulator, mode="http", app_token=None, signing_secret=APP.signing_secret)
        await adapter.start(sink)
        async with port(adapter) as url:
            await emulator.set_request_url(url + "events")
            sink.failures = [OSError("disk full"), OSError("disk full")]
            emulator.say("hello")
            await until(lambda: sink.texts == ["hello"])
            await until(lambda: emulator.undelivered() == [])
            assert emulator.lost() == []
        await adapter.stop()


async def test_a_signed_event_is_stored_before_it_is_answered(http: SlackAdapter, sink: MemorySink) -> None:
    sink.gate.clear()
    answering = asyncio.create_task(http.receive(signed(BODY)))
    await until(lambda: sink.attempts)
    assert not answering.done()
    sink.gate.set()
    assert (await answering).status == 200
    assert sink.texts == ["hello"]


@pytest.mark.parametrize(
    "request_",
    [
        signed(BODY, secret="wrong"),
        signed(BODY, age_s=301),
        HttpRequest("POST", "events", {"content-type": "application/json"}, {}, BODY),
    ],
)
async def test_what_slack_did_not_sign_is_refused(
    http: SlackAdapter, sink: MemorySink, request_: HttpRequest
) -> None:
    assert (await http.receive(request_)).status == 401
    assert sink.attempts == []


async def test_a_body_that_was_changed_is_refused(http: SlackAdapter, sink: MemorySink) -> None:
    request = signed(BODY)
    changed = HttpRequest("POST", "events", request.headers, {}, BODY.replace(b"hello", b"jello"))
    assert (await http.receive(changed)).status == 401
    assert (await http.receive(HttpRequest("POST", "events", request.headers, {}, b"\xff"))).status == 400
    assert sink.attempts == []


async def test_the_challenge_is_returned(http: SlackAdapter) -> None:
    answered = await http.receive(
        signed(json.dumps({"type": "url_verification", "challenge": "abc"}).encode())
    )
    assert (answered.status, json.loads(answered.body)) == (200, {"challenge": "abc"})


async def test_what_is_not_served_is_not_found(
    emulator: SlackEmulator, adapter: SlackAdapter, http: SlackAdapter, sink: MemorySink
) -> None:
    for path in ("", "other", "install", "oauth_redirect", "events/x"):
        assert await http.receive(signed(BODY, path=path)) == HttpResponse(404)
    assert (await http.receive(HttpRequest("GET", "events", {}, {}, b""))).status == 404
    # Over sockets nobody may come in by the door.
    assert (await adapter.receive(signed(BODY))).status == 404
    assert sink.attempts == []


async def test_a_stopped_adapter_asks_slack_to_come_again(http: SlackAdapter) -> None:
    await http.stop()
    assert (await http.receive(signed(BODY))).status == 503
