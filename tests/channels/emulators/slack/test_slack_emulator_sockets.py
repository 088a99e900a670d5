"""Socket Mode with the unmodified handler: hello, acknowledgements, repetitions, tickets, sockets that go."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_emulator_stage import ADA, GENERAL, HASTY, PATIENCE_S, QUICK, client_of, code_of, until
from slack_sdk.errors import SlackApiError

from channels.emulators.slack import ControlError, DeliveryState, SlackEmulator

Json = dict[str, Any]
Connect = Callable[[AsyncApp], Awaitable[AsyncSocketModeHandler]]


@pytest.fixture(autouse=True)
def quiet_library() -> None:
    """The library logs every refused upgrade with its traceback."""
    logging.getLogger("slack_bolt").setLevel(logging.CRITICAL)


@pytest.fixture
async def connect(emulator: SlackEmulator) -> AsyncIterator[Connect]:
    """Connects apps and closes their handlers in the end."""
    made: list[AsyncSocketModeHandler] = []

    async def connect_app(app: AsyncApp) -> AsyncSocketModeHandler:
        handler = AsyncSocketModeHandler(app, emulator.bot().app.app_token, ping_interval=0.05)
        made.append(handler)
        await handler.connect_async()
        return handler

    yield connect_app
    for handler in made:
        await handler.close_async()


def app_of(emulator: SlackEmulator) -> AsyncApp:
    return AsyncApp(
        client=client_of(emulator),
        signing_secret=emulator.bot().app.signing_secret,
        ignoring_self_events_enabled=False,
    )


async def open_socket(emulator: SlackEmulator, http: ClientSession) -> ClientWebSocketResponse:
    """A socket by hand, after its hello."""
    opened = await client_of(emulator).apps_connections_open(app_token=emulator.bot().app.app_token)
    socket = await http.ws_connect(opened["url"])
    assert (await frame_of(socket))["type"] == "hello"
    return socket


async def frame_of(socket: ClientWebSocketResponse) -> Json:
    frame: Json = await socket.receive_json(timeout=PATIENCE_S)
    return frame


async def test_an_event_is_handled_acknowledged_and_answered(
    emulator: SlackEmulator, general: str, connect: Connect
) -> None:
    app = app_of(emulator)

    @app.event("app_mention")
    async def answer(event: Json, say: Callable[..., Awaitable[object]]) -> None:
        await say(text="hello", thread_ts=event["ts"])

    @app.event("message")
    async def hear(event: Json) -> None:
        assert event["channel"] == general

    await connect(app)
    asked = emulator.say("@threadgate hi", channel=general)

    await until(lambda: emulator.tally.acknowledged == 3)  # what was said, the mention, and our own echo
    assert [one.thread_ts for one in emulator.messages(general)] == [None, asked.ts]
    assert (emulator.undelivered(), emulator.tally.repeated) == ([], 0)


async def test_the_hello_says_whose_socket_it_is(emulator: SlackEmulator, http: ClientSession) -> None:
    opened = await client_of(emulator).apps_connections_open(app_token=emulator.bot().app.app_token)
    socket = await http.ws_connect(opened["url"])

    hello = await frame_of(socket)

    assert hello["connection_info"] == {"app_id": emulator.bot().app.id}
    assert hello["num_connections"] == 1
    await socket.close()


async def test_a_ticket_opens_one_socket(emulator: SlackEmulator, http: ClientSession) -> None:
    opened = await client_of(emulator).apps_connections_open(app_token=emulator.bot().app.app_token)
    socket = await http.ws_connect(opened["url"])

    with pytest.raises(WSServerHandshakeError) as refused:
        await http.ws_connect(opened["url"])

    assert refused.value.status == 401
    await socket.close()


async def test_opening_needs_the_app_token(emulator: SlackEmulator) -> None:
    client = client_of(emulator)
    for token, code in ((emulator.bot().token, "not_allowed_token_type"), ("xapp-wrong", "invalid_auth")):
        with pytest.raises(SlackApiError) as refused:
            await client.apps_connections_open(app_token=token)
        assert code_of(refused.value) == code


async def test_without_an_acknowledgement_the_event_comes_again_in_a_new_envelope(
    http: ClientSession,
) -> None:
    async with SlackEmulator(timing=HASTY) as emulator:
        socket = await open_socket(emulator, http)
        emulator.say("hello")

        frames = [await frame_of(socket) for _ in range(4)]

        assert [frame["retry_attempt"] for frame in frames] == [0, 1, 2, 3]
        assert [frame["retry_reason"] for frame in frames] == ["", "timeout", "timeout", "timeout"]
        assert len({frame["envelope_id"] for frame in frames}) == 4
        assert len({frame["payload"]["event_id"] for frame in frames}) == 1
        await until(lambda: emulator.tally.lost == 1)
        assert emulator.lost()[0].payload == frames[0]["payload"]
        await socket.close()


async def test_a_middleware_that_fails_leaves_the_event_unacknowledged(connect: Connect) -> None:
    async with SlackEmulator(timing=HASTY) as emulator:
        seen: list[str] = []
        app = app_of(emulator)

        @app.middleware
        async def store(body: Json, next: Callable[[], Awaitable[None]]) -> None:
            seen.append(body["event_id"])
            if len(seen) < 3:
                raise RuntimeError("the disk is full")
            await next()

        @app.event("message")
        async def hear(event: Json) -> None:
            assert event["text"] == "hello"

        handler = AsyncSocketModeHandler(app, emulator.bot().app.app_token)
        await handler.connect_async()
        emulator.say("hello")
        await until(lambda: emulator.tally.acknowledged == 1)

        assert len(seen) == 3
        assert len(set(seen)) == 1
        await handler.close_async()


async def test_without_a_socket_an_event_waits_for_its_next_attempt(
    emulator: SlackEmulator, http: ClientSession
) -> None:
    emulator.say("hello")
    await until(lambda: emulator.undelivered()[0].attempt == 2)
    socket = await open_socket(emulator, http)
    emulator.hurry()

    frame = await frame_of(socket)

    assert (frame["retry_attempt"], frame["retry_reason"]) == (2, "connection_failed")
    await socket.send_json({"envelope_id": frame["envelope_id"]})
    await until(lambda: emulator.tally.acknowledged == 1)
    await socket.close()


async def test_envelopes_are_spread_over_the_sockets_and_any_socket_may_acknowledge(
    emulator: SlackEmulator, http: ClientSession
) -> None:
    first, second = await open_socket(emulator, http), await open_socket(emulator, http)
    for text in ("a", "b"):
        emulator.say(text)

    frames = [await frame_of(first), await frame_of(second)]
    for frame in frames:
        await first.send_json({"envelope_id": frame["envelope_id"]})

    await until(lambda: emulator.tally.acknowledged == 2)
    assert {frame["payload"]["event"]["text"] for frame in frames} == {"a", "b"}
    assert [socket.acknowledged for socket in emulator.sockets] == [2, 0]
    for socket in (first, second):
        await socket.close()


async def test_the_eleventh_socket_is_turned_away(emulator: SlackEmulator, http: ClientSession) -> None:
    sockets = [await open_socket(emulator, http) for _ in range(10)]
    opened = await client_of(emulator).apps_connections_open(app_token=emulator.bot().app.app_token)
    eleventh = await http.ws_connect(opened["url"])

    assert (await frame_of(eleventh))["reason"] == "too_many_websockets"
    assert (await eleventh.receive()).type is WSMsgType.CLOSE
    assert len(emulator.sockets) == 10
    await asyncio.gather(*(socket.close() for socket in (*sockets, eleventh)))


async def test_the_library_comes_back_with_a_fresh_ticket_after_a_disconnect(
    emulator: SlackEmulator, connect: Connect
) -> None:
    await connect(app_of(emulator))
    (before,) = emulator.sockets

    assert emulator.disconnect("refresh_requested") == 1
    await until(lambda: emulator.sockets and emulator.sockets[0].number != before.number)

    assert len(set(emulator.tickets_shown)) == 2
    with pytest.raises(ControlError, match="reason"):
        emulator.disconnect("boredom")


@pytest.mark.parametrize("verb", ["refuse_upgrades", "drop_upgrades"])
async def test_the_library_shows_the_same_ticket_again_when_an_upgrade_fails(
    emulator: SlackEmulator, connect: Connect, verb: str
) -> None:
    getattr(emulator, verb)(2)

    await connect(app_of(emulator))

    assert len(emulator.tickets_shown) == 3
    assert len(set(emulator.tickets_shown)) == 1


async def test_a_cut_socket_is_gone_and_its_events_come_again(http: ClientSession) -> None:
    async with SlackEmulator(timing=HASTY) as emulator:
        first = await open_socket(emulator, http)
        emulator.say("hello")
        event_id = (await frame_of(first))["payload"]["event_id"]

        assert emulator.drop_sockets() == 1
        assert (await first.receive()).type in (WSMsgType.CLOSED, WSMsgType.ERROR, WSMsgType.CLOSE)
        second = await open_socket(emulator, http)
        again = await frame_of(second)

        assert again["payload"]["event_id"] == event_id
        assert again["retry_attempt"] >= 1
        await second.send_json({"envelope_id": again["envelope_id"]})
        await until(lambda: emulator.tally.acknowledged == 1)
        await second.close()


async def test_events_can_arrive_twice_and_out_of_order(emulator: SlackEmulator, http: ClientSession) -> None:
    socket = await open_socket(emulator, http)
    emulator.hold_events()
    for text in ("a", "b"):
        emulator.say(text)
    a, b = (one.id for one in emulator.undelivered())
    emulator.release_events([b, a])
    frames = [await frame_of(socket), await frame_of(socket)]
    for frame in frames:
        await socket.send_json({"envelope_id": frame["envelope_id"]})
    await until(lambda: emulator.undelivered() == [])

    emulator.release_events()
    emulator.redeliver(frames[0]["payload"]["event_id"])
    again = await frame_of(socket)

    assert [frame["payload"]["event"]["text"] for frame in frames] == ["b", "a"]
    assert again["payload"] == frames[0]["payload"]
    assert again["envelope_id"] != frames[0]["envelope_id"]
    await socket.close()


async def test_when_repetitions_are_switched_off_a_missed_event_is_lost(http: ClientSession) -> None:
    async with SlackEmulator(timing=HASTY) as emulator:
        emulator.stop_redelivering()
        socket = await open_socket(emulator, http)
        emulator.say("hello")
        await until(lambda: emulator.tally.lost == 1)

        assert emulator.sockets[0].frames_sent == 1
        await socket.close()


async def test_a_button_opens_a_modal_whose_errors_and_success_are_seen(
    emulator: SlackEmulator, general: str, connect: Connect
) -> None:
    app = app_of(emulator)
    view = {
        "type": "modal",
        "callback_id": "reason",
        "title": {"type": "plain_text", "text": "Why?"},
        "submit": {"type": "plain_text", "text": "Send"},
        "blocks": [
            {
                "type": "input",
                "block_id": "why",
                "label": {"type": "plain_text", "text": "Reason"},
                "element": {"type": "plain_text_input", "action_id": "text"},
            }
        ],
    }

    @app.action("deny")
    async def ask(ack: AsyncAck, body: Json) -> None:
        await ack()
        await app.client.views_open(trigger_id=body["trigger_id"], view=view)

    @app.view("reason")
    async def take(ack: AsyncAck, view: Json) -> None:
        if view["state"]["values"]["why"]["text"]["value"] == "because":
            await ack(response_action="errors", errors={"why": "say more"})
        else:
            await ack()

    @app.event("message")
    async def hear(event: Json) -> None:
        assert event["bot_id"]

    await connect(app)
    deny = {
        "type": "button",
        "action_id": "deny",
        "text": {"type": "plain_text", "text": "Deny"},
        "value": "1",
    }
    blocks = [{"type": "actions", "elements": [deny]}]
    posted = await app.client.chat_postMessage(channel=general, text="May I?", blocks=blocks)

    press = emulator.press(general, posted["ts"], "deny")
    await until(lambda: emulator.views() and press.state is DeliveryState.ACKNOWLEDGED)
    (shown,) = emulator.views()
    emulator.submit(shown.id, {"text": "because"})
    await until(lambda: shown.errors == {"why": "say more"})
    emulator.submit(shown.id, {"text": "it is late"})
    await until(lambda: not shown.is_open)

    assert press.payload["actions"][0]["value"] == "1"
    assert press.payload["message"]["ts"] == posted["ts"]
    assert press.payload["user"]["id"] == ADA.id
    with pytest.raises(SlackApiError) as reused:
        await app.client.views_open(trigger_id=press.payload["trigger_id"], view=view)
    assert code_of(reused.value) == "exchanged_trigger_id"


async def test_a_trigger_is_good_for_three_seconds(emulator: SlackEmulator, clock: Any) -> None:
    command = emulator.slash("/gate")
    clock.now += 3.1
    view = {"type": "modal", "title": {"type": "plain_text", "text": "Late"}, "blocks": []}

    with pytest.raises(SlackApiError) as late:
        await client_of(emulator).views_open(trigger_id=command.payload["trigger_id"], view=view)

    assert code_of(late.value) == "expired_trigger_id"


async def test_a_command_is_answered_in_its_acknowledgement_and_by_its_address(
    emulator: SlackEmulator, general: str, connect: Connect, http: ClientSession
) -> None:
    app = app_of(emulator)

    @app.command("/gate")
    async def run(ack: AsyncAck, command: Json) -> None:
        await ack(f"you said {command['text']}")

    @app.event("message")
    async def hear(event: Json) -> None:
        assert event["text"] == "for all"

    await connect(app)
    command = emulator.slash("/gate", "status", channel=general)
    await until(lambda: emulator.ephemerals(general))
    answer = {"text": "for all", "response_type": "in_channel"}
    async with http.post(command.payload["response_url"], json=answer) as response:
        assert response.status == 200

    assert [(one.text, one.ephemeral_to) for one in emulator.ephemerals(general)] == [
        ("you said status", ADA.id)
    ]
    assert [one.text for one in emulator.messages(general)] == ["for all"]
    await until(lambda: emulator.undelivered() == [])


async def test_an_unanswered_command_is_not_repeated(http: ClientSession) -> None:
    async with SlackEmulator(timing=HASTY) as emulator:
        socket = await open_socket(emulator, http)
        command = emulator.slash("/gate")
        await until(lambda: command.state is DeliveryState.LOST)

        assert len(command.envelopes) == 1
        await socket.close()


async def test_a_stop_ends_everything_and_a_start_goes_on(http: ClientSession) -> None:
    emulator = SlackEmulator(timing=QUICK)
    emulator.open_channel(GENERAL)
    await emulator.start()
    socket = await open_socket(emulator, http)
    await emulator.stop()
    assert (await socket.receive()).type in (WSMsgType.CLOSE, WSMsgType.CLOSED)
    message = emulator.say("while you were away", channel=GENERAL)

    await emulator.start()
    history = await client_of(emulator).conversations_history(channel=emulator.channel(GENERAL).id)

    assert [one["ts"] for one in history["messages"]] == [message.ts]
    assert json.dumps(history.data)
    await emulator.stop()
