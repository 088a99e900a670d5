"""Receiving by webhook against the emulator: verified, stored, and only then taken."""

import json
from collections.abc import AsyncIterator

import pytest
from channel_stage import MemorySink, MemoryVault, until
from telegram_stage import ADA, GATE, HookServer, make_adapter

from channels.emulators.telegram import NO_FLOOD_LIMITS, BotAccount, TelegramEmulator
from channels.emulators.telegram.records import Webhook as EmulatedWebhook
from channels.errors import ChannelError
from channels.messages import Action, Card, HealthState, HttpRequest, HttpResponse, Operation, Pressed
from channels.telegram.adapter import TelegramAdapter
from channels.telegram.webhook import SECRET_HEADER

MINUTE_MS = 60 * 1000
DAY_MS = 24 * 60 * MINUTE_MS


@pytest.fixture(autouse=True)
def watched_closely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("channels.telegram.webhook.WEBHOOK_CHECK_S", 0.02)


@pytest.fixture
async def emulator() -> AsyncIterator[TelegramEmulator]:
    """In this one a failed post is tried again after ten milliseconds."""
    async with TelegramEmulator(
        [GATE], flood_limits=NO_FLOOD_LIMITS, slows_repeated_polls=False, webhook_time_scale=0.01
    ) as running:
        yield running


@pytest.fixture
async def port() -> AsyncIterator[HookServer]:
    server = HookServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def vault() -> MemoryVault:
    return MemoryVault()


@pytest.fixture
async def adapter(
    emulator: TelegramEmulator, port: HookServer, vault: MemoryVault
) -> AsyncIterator[TelegramAdapter]:
    made = port.adapter = make_adapter(emulator.url, vault=vault, mode="webhook", webhook_url=port.url)
    yield made
    await made.stop()


def hook_of(emulator: TelegramEmulator) -> EmulatedWebhook:
    return emulator.world.webhooks[GATE.id]


async def connected(adapter: TelegramAdapter, sink: MemorySink) -> None:
    await adapter.start(sink)
    await until(lambda: adapter.health().state is HealthState.CONNECTED)


async def test_what_people_write_is_stored_and_then_taken(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink, port: HookServer
) -> None:
    emulator.say("before")
    await connected(adapter, sink)
    assert hook_of(emulator).url == f"{port.url}/hooks/telegram/gate/webhook"
    emulator.say("after")
    await until(lambda: sink.texts == ["before", "after"])
    await until(lambda: emulator.pending_updates() == [])
    assert emulator.calls.select("getUpdates") == []
    assert adapter.health().last_event_at_ms is not None


async def test_only_what_is_read_is_asked_for(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    await connected(adapter, sink)
    arguments = emulator.calls.select("setWebhook")[0].arguments
    assert json.loads(arguments["allowed_updates"])[0] == "message"
    assert "drop_pending_updates" not in arguments or arguments["drop_pending_updates"] == "false"


async def test_a_failed_commit_is_not_taken_and_comes_again_in_order(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink, port: HookServer
) -> None:
    await connected(adapter, sink)
    sink.failures = [OSError("disk full")] * 2
    emulator.say("one")
    emulator.say("two")
    await until(lambda: sink.texts == ["one", "two"])
    assert port.statuses == [500, 500, 200, 200]


async def test_a_pressed_button_is_answered_after_it_is_stored(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    emulator.say("hello")
    await connected(adapter, sink)
    await until(lambda: sink.texts == ["hello"])
    card = adapter.card(Card("Deploy?", "", (Action("a:1", "Yes"),)), ADA)
    receipt = await adapter.send(Operation("dlv_1", 1), ADA, card)
    query_id = emulator.press(1001, int(receipt.ref), "a:1")
    await until(lambda: emulator.world.callbacks[query_id].is_answered)
    assert any(isinstance(one, Pressed) for one in sink.stored.values())


@pytest.mark.parametrize(
    "headers", [{}, {SECRET_HEADER: ""}, {SECRET_HEADER: "wrong"}, {SECRET_HEADER: "ä\udcff"}]
)
async def test_a_post_that_is_not_telegrams_is_refused(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink, headers: dict[str, str]
) -> None:
    await connected(adapter, sink)
    body = b'{"update_id": 1, "message": {}}'
    answer = await adapter.receive(HttpRequest("POST", "webhook", headers, {}, body))
    assert answer.status == 403
    assert sink.stored == {}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "webhook", b"", 405),
        ("POST", "", b"{}", 404),
        ("POST", "webhook/x", b"{}", 404),
        ("POST", "webhook", b"no json", 200),
        ("POST", "webhook", b"[]", 200),
        ("POST", "webhook", b'{"message": {}}', 200),
        ("POST", "webhook", b"\xff", 200),
    ],
)
async def test_what_is_no_update_is_not_asked_for_again(
    emulator: TelegramEmulator,
    adapter: TelegramAdapter,
    sink: MemorySink,
    method: str,
    path: str,
    body: bytes,
    status: int,
) -> None:
    await connected(adapter, sink)
    headers = {SECRET_HEADER: hook_of(emulator).secret_token}
    assert (await adapter.receive(HttpRequest(method, path, headers, {}, body))).status == status
    assert sink.stored == {}


async def test_an_update_that_cannot_be_read_is_taken_and_accounted_for(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    await connected(adapter, sink)
    headers = {SECRET_HEADER: hook_of(emulator).secret_token}
    body = b'{"update_id": 5, "message": {"message_id": 1}}'
    assert (await adapter.receive(HttpRequest("POST", "webhook", headers, {}, body))).status == 200
    assert list(sink.stored) == ["5"]


async def test_a_post_before_we_are_ready_comes_again(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    post = HttpRequest("POST", "webhook", {}, {}, b"{}")
    assert (await adapter.receive(post)).status == 404
    emulator.faults.add("error", "getMe", count=1000)
    await adapter.start(sink)
    assert (await adapter.receive(post)).status == 503
    await adapter.stop()
    assert (await adapter.receive(post)).status == 404


async def test_a_polled_account_serves_no_webhook(emulator: TelegramEmulator, sink: MemorySink) -> None:
    adapter = make_adapter(emulator.url)
    await connected(adapter, sink)
    answer = await adapter.receive(HttpRequest("POST", "webhook", {SECRET_HEADER: ""}, {}, b"{}"))
    assert answer == HttpResponse(404)
    await adapter.stop()


async def test_the_secret_outlives_a_restart(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink, vault: MemoryVault
) -> None:
    await connected(adapter, sink)
    secret = hook_of(emulator).secret_token
    assert len(secret) >= 32
    assert secret in vault.values.values()
    await adapter.stop()
    await connected(adapter, sink)
    assert hook_of(emulator).secret_token == secret


async def test_back_to_polling_our_webhook_goes_and_nothing_is_lost(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink, vault: MemoryVault
) -> None:
    await connected(adapter, sink)
    emulator.say("by webhook")
    await until(lambda: sink.texts == ["by webhook"])
    await adapter.stop()
    emulator.say("between")
    poller = make_adapter(emulator.url, vault=vault)
    await poller.start(sink)
    await until(lambda: sink.texts == ["by webhook", "between"])
    assert hook_of(emulator).url == ""
    await poller.stop()


async def test_polling_leaves_somebody_elses_webhook_alone(sink: MemorySink) -> None:
    theirs = "https://example.org/hook"
    bot = BotAccount(GATE.token, GATE.id, "gate_bot", webhook_url=theirs)
    vault = MemoryVault()
    vault.values = {"webhook.address": "http://127.0.0.1:1/hooks/telegram/gate/webhook"}
    async with TelegramEmulator([bot]) as emulator:
        adapter = make_adapter(emulator.url, vault=vault)
        await adapter.start(sink)
        await until(lambda: "webhook" in (adapter.health().detail or ""))
        assert hook_of(emulator).url == theirs
        await adapter.stop()


async def test_somebody_elses_webhook_shows_and_is_not_fought_over(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    await connected(adapter, sink)
    hook_of(emulator).url = "https://example.org/secret-path"
    await until(lambda: adapter.health().state is HealthState.DEGRADED)
    detail = adapter.health().detail or ""
    assert "example.org" in detail
    assert "secret-path" not in detail
    assert len(emulator.calls.select("setWebhook")) == 1


async def test_a_webhook_that_was_taken_away_is_set_again(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    await connected(adapter, sink)
    hook_of(emulator).url = ""
    emulator.say("hello")
    await until(lambda: sink.texts == ["hello"])


async def test_posts_that_do_not_arrive_show_in_the_health(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink, port: HookServer
) -> None:
    await connected(adapter, sink)
    await port.stop()
    emulator.say("hello")
    await until(lambda: adapter.health().state is HealthState.DEGRADED)
    assert "cannot deliver" in (adapter.health().detail or "")


async def test_the_probe_asks_for_the_webhook_too(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    await connected(adapter, sink)
    emulator.faults.add("error", "getWebhookInfo", count=1000)
    with pytest.raises(ChannelError):
        await adapter.probe()


async def test_a_refused_token_ends_watching(
    emulator: TelegramEmulator, port: HookServer, sink: MemorySink
) -> None:
    adapter = make_adapter(emulator.url, "42:revoked", mode="webhook", webhook_url=port.url)
    await adapter.start(sink)
    await until(lambda: adapter.health().state is HealthState.STOPPED)
    assert "token was refused" in (adapter.health().detail or "")
    await adapter.stop()


async def test_that_we_listen_is_noted_and_a_long_silence_is_a_gap(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    left_ms = sink.now_ms = 1_800_000_000_000 - 2 * DAY_MS
    sink.cursor_value = "1"
    sink.now_ms = 1_800_000_000_000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("channels.telegram.adapter.now_ms", lambda: sink.now_ms)
        await connected(adapter, sink)
    await until(lambda: "webhook" in sink.cursor_values)
    assert [(since, until_ms) for since, until_ms, _ in sink.gaps] == [(left_ms, sink.now_ms - DAY_MS)]
    assert sink.cursor_value == "1", "the cursor of polling is left alone"


async def test_nothing_is_noted_while_posts_do_not_arrive(
    emulator: TelegramEmulator,
    adapter: TelegramAdapter,
    sink: MemorySink,
    port: HookServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await connected(adapter, sink)
    await port.stop()
    emulator.say("hello")
    await until(lambda: adapter.health().state is HealthState.DEGRADED)
    monkeypatch.setattr("channels.telegram.receiving.ALIVE_NOTE_MS", 0)
    asked = len(emulator.calls.select("getWebhookInfo"))
    await until(lambda: len(emulator.calls.select("getWebhookInfo")) > asked + 3)
    assert sink.attempts == []
