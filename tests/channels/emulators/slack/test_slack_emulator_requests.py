"""The HTTP mode with the unmodified app: signatures, the challenge, repetitions, forms."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_emulator_stage import HASTY, QUICK, client_of, until

from channels.emulators.slack import AppAccount, ControlError, DeliveryState, SlackEmulator

Json = dict[str, Any]
PATH = "/slack/events"


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    """An application on a free port of loopback."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def receiver(answers: Iterator[web.Response]) -> AsyncIterator[tuple[str, list[Json]]]:
    """An endpoint by hand: its address, and the headers and bodies it got."""
    got: list[Json] = []

    async def take(request: web.Request) -> web.Response:
        got.append({"headers": request.headers, "body": await request.text()})
        return next(answers)

    app = web.Application()
    app.router.add_post(PATH, take)
    async with served(app) as url:
        yield url, got


def local(url: str) -> SlackEmulator:
    """An emulator that delivers to an address from the start."""
    return SlackEmulator([AppAccount(request_url=url)], timing=QUICK)


def bolt(emulator: SlackEmulator) -> AsyncApp:
    return AsyncApp(client=client_of(emulator), signing_secret=emulator.bot().app.signing_secret)


async def test_the_library_accepts_signature_challenge_events_buttons_and_commands() -> None:
    async with SlackEmulator(timing=QUICK) as emulator:
        app = bolt(emulator)
        heard: list[str] = []

        @app.event("message")
        async def hear(event: Json, say: Callable[..., Awaitable[object]]) -> None:
            heard.append(event["text"])
            button = {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}}
            await say(text="Go?", blocks=[{"type": "actions", "elements": [button]}])

        @app.action("go")
        async def go(ack: AsyncAck, action: Json) -> None:
            await ack()
            heard.append(action["action_id"])

        @app.command("/gate")
        async def gate(ack: AsyncAck) -> None:
            await ack("at your service")

        async with served(app.web_app(path=PATH)) as url:
            await emulator.set_request_url(url)
            channel = emulator.say("hello").ts and emulator.direct()
            await until(lambda: len(emulator.messages(channel)) == 2)
            emulator.press(channel, emulator.messages(channel)[1].ts, "go")
            await until(lambda: "go" in heard)
            emulator.slash("/gate")
            await until(lambda: emulator.ephemerals(channel))

        assert heard == ["hello", "go"]
        assert emulator.ephemerals(channel)[0].text == "at your service"
        assert emulator.tally.lost == 0


async def test_a_wrong_secret_is_refused_by_the_library_and_counted_as_lost() -> None:
    async with SlackEmulator([AppAccount(signing_secret="right")], timing=HASTY) as emulator:
        app = AsyncApp(client=client_of(emulator), signing_secret="wrong")
        async with served(app.web_app(path=PATH)) as url:
            with pytest.raises(ControlError, match="challenge"):
                await emulator.set_request_url(url)
            emulator.world.request_urls[emulator.bot().app.id] = url
            emulator.say("hello")
            await until(lambda: emulator.tally.lost == 1)


async def test_a_failed_request_is_repeated_with_its_number_and_reason() -> None:
    answers = iter([web.Response(status=500), web.Response(status=500), web.Response(status=200)])
    async with receiver(answers) as (url, got), local(url) as emulator:
        emulator.say("hello")
        await until(lambda: emulator.tally.acknowledged == 1)

    headers = [one["headers"] for one in got]
    assert [one.get("X-Slack-Retry-Num") for one in headers] == [None, "1", "2"]
    assert [one.get("X-Slack-Retry-Reason") for one in headers] == [None, "http_error", "http_error"]
    assert got[0]["body"] == got[2]["body"]
    assert all(one["X-Slack-Signature"].startswith("v0=") for one in headers)


async def test_an_app_can_refuse_to_be_asked_again() -> None:
    answers = iter([web.Response(status=500, headers={"X-Slack-No-Retry": "1"})])
    async with receiver(answers) as (url, got), local(url) as emulator:
        emulator.say("hello")
        await until(lambda: emulator.tally.lost == 1)

    assert len(got) == 1


async def test_nobody_there_is_a_failed_connection_and_slowness_a_timeout() -> None:
    async with receiver(iter([])) as (url, _):
        nobody = url
    async with SlackEmulator([AppAccount(request_url=nobody)], timing=HASTY) as emulator:
        emulator.say("hello")
        await until(lambda: emulator.tally.lost == 1)
        (gone,) = emulator.lost()

    assert (gone.state, gone.retry_reason) == (DeliveryState.LOST, "connection_failed")
    assert len(gone.envelopes) == 4


async def test_only_this_machine_is_called(emulator: SlackEmulator) -> None:
    with pytest.raises(ControlError, match="loopback"):
        await emulator.set_request_url("http://192.0.2.1/slack/events")
    with pytest.raises(ControlError, match="does not answer"):
        await emulator.set_request_url("http://127.0.0.1:9/slack/events")
