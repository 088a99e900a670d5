"""Receiving against the emulator: stored before confirmed, delivered again when not, nothing twice."""

import asyncio
import json
import time

import pytest
from channel_stage import PATIENCE_S, MemorySink, until
from telegram_stage import GATE, make_adapter, make_emulator

from channels.emulators.telegram import NO_FLOOD_LIMITS, BotAccount, FaultKind, TelegramEmulator
from channels.messages import Addressed, Edited, HealthState, Ignored, Inbound
from channels.telegram.adapter import TelegramAdapter

# Far below the 20 s a poll of these tests waits, far above what a stop takes.
PROMPT_S = 1.0


def is_connected(adapter: TelegramAdapter) -> bool:
    return adapter.health().state is HealthState.CONNECTED


async def test_what_a_person_writes_is_stored_and_then_confirmed(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    await adapter.start(sink)
    said = emulator.say("hello")
    await until(lambda: sink.texts == ["hello"])
    (inbound,) = sink.stored.values()
    assert isinstance(inbound, Inbound)
    assert inbound.addressed is Addressed.DIRECT
    assert (inbound.delivery_id, inbound.message_ref) == (str(said.update_id), str(said.message_id))
    assert sink.cursor_value == str(int(inbound.delivery_id) + 1)
    await until(lambda: emulator.pending_updates() == [])
    await until(lambda: is_connected(adapter))
    last_event_at_ms = adapter.health().last_event_at_ms
    assert last_event_at_ms is not None and abs(last_event_at_ms - time.time() * 1000) < 60_000


async def test_messages_keep_their_order(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    texts = [f"message {number}" for number in range(250)]  # more than two batches of the platform's 100
    for text in texts:
        emulator.say(text)
    await adapter.start(sink)
    await until(lambda: len(sink.texts) == len(texts))
    assert sink.texts == texts


async def test_nothing_is_confirmed_while_it_is_being_stored(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    sink.gate.clear()
    await adapter.start(sink)
    emulator.say("hello")
    await until(lambda: sink.attempts)
    await asyncio.sleep(0.05)
    assert len(emulator.pending_updates()) == 1
    sink.gate.set()
    await until(lambda: emulator.pending_updates() == [])


async def test_a_failed_commit_is_not_confirmed_and_the_message_comes_again(
    emulator: TelegramEmulator,
    adapter: TelegramAdapter,
    sink: MemorySink,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink.failures = [OSError("disk full"), OSError("disk full")]
    said = emulator.say("hello")
    await adapter.start(sink)
    await until(lambda: sink.texts == ["hello"])
    assert sink.attempts == [[str(said.update_id)]] * 3
    await until(lambda: is_connected(adapter))
    assert "batch not taken" in caplog.text
    assert "disk full" in caplog.text


async def test_a_store_that_fails_shows_in_the_health(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    sink.failures = [OSError("disk full")] * 10_000
    emulator.say("hello")
    await adapter.start(sink)
    await until(lambda: adapter.health().state is HealthState.DEGRADED)
    assert "stored" in (adapter.health().detail or "")
    assert len(emulator.pending_updates()) == 1


async def test_a_restart_goes_on_behind_the_last_commit(emulator: TelegramEmulator, sink: MemorySink) -> None:
    first = make_adapter(emulator.url)
    await first.start(sink)
    emulator.say("before")
    await until(lambda: sink.texts == ["before"])
    await first.stop()
    emulator.say("meanwhile")
    second = make_adapter(emulator.url)
    await second.start(sink)
    await until(lambda: sink.texts == ["before", "meanwhile"])
    await second.stop()
    assert [len(attempt) for attempt in sink.attempts] == [1, 1]


async def test_an_adapter_can_be_started_again(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    await adapter.start(sink)
    await until(lambda: is_connected(adapter))
    await adapter.stop()
    assert adapter.health().state is HealthState.STOPPED
    await adapter.start(sink)
    emulator.say("again")
    await until(lambda: sink.texts == ["again"])


async def test_starting_twice_is_a_mistake(adapter: TelegramAdapter, sink: MemorySink) -> None:
    await adapter.start(sink)
    with pytest.raises(RuntimeError, match="started already"):
        await adapter.start(sink)


async def test_start_does_not_wait_for_a_network_that_is_down(sink: MemorySink) -> None:
    emulator = make_emulator()
    await emulator.start()
    port = int(emulator.url.rsplit(":", 1)[1])
    await emulator.stop()
    adapter = make_adapter(f"http://127.0.0.1:{port}")
    assert adapter.health().state is HealthState.STARTING
    await adapter.start(sink)
    await until(lambda: adapter.health().state is HealthState.DEGRADED)
    await emulator.start(port=port)
    emulator.say("finally")
    await until(lambda: sink.texts == ["finally"])
    await until(lambda: is_connected(adapter))
    await adapter.stop()
    await emulator.stop()


@pytest.mark.parametrize(
    "kind", [FaultKind.ERROR, FaultKind.DROP, FaultKind.REFUSE, FaultKind.COMMIT_THEN_DROP]
)
async def test_a_network_that_stumbles_loses_nothing(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink, kind: FaultKind
) -> None:
    emulator.faults.add(kind, count=5)
    for number in range(3):
        emulator.say(str(number))
    await adapter.start(sink)
    await until(lambda: sink.texts == ["0", "1", "2"])
    await until(lambda: is_connected(adapter))


async def test_a_rate_limited_poll_waits_as_long_as_it_was_told(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    emulator.faults.add(FaultKind.RATE_LIMIT, "getUpdates", retry_after_s=1)
    began = time.monotonic()
    emulator.say("hello")
    await adapter.start(sink)
    await until(lambda: sink.texts == ["hello"])
    assert time.monotonic() - began >= 1.0


async def test_a_second_poller_is_named_as_the_reason(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    emulator.faults.add(
        FaultKind.ERROR,
        "getUpdates",
        count=10,
        code=409,
        description="Conflict: terminated by other getUpdates request",
    )
    await adapter.start(sink)
    await until(lambda: adapter.health().state is HealthState.DEGRADED)
    assert "another poller" in (adapter.health().detail or "")
    await until(lambda: is_connected(adapter))


async def test_two_real_pollers_notice_one_another(emulator: TelegramEmulator, sink: MemorySink) -> None:
    adapters = [make_adapter(emulator.url) for _ in range(2)]
    for adapter in adapters:
        await adapter.start(sink)
    await until(lambda: any("another poller" in (adapter.health().detail or "") for adapter in adapters))
    for adapter in adapters:
        await adapter.stop()


async def test_a_webhook_left_behind_is_named_as_the_reason(sink: MemorySink) -> None:
    hooked = BotAccount(token=GATE.token, id=42, username="gate_bot", webhook_url="https://example.org/hook")
    async with TelegramEmulator([hooked]) as emulator:
        adapter = make_adapter(emulator.url)
        await adapter.start(sink)
        await until(lambda: "webhook" in (adapter.health().detail or ""))
        await adapter.stop()


async def test_a_refused_token_ends_polling_and_says_what_to_do(
    emulator: TelegramEmulator, sink: MemorySink
) -> None:
    adapter = make_adapter(emulator.url, token="42:revoked")
    await adapter.start(sink)
    await until(lambda: adapter.health().state is HealthState.STOPPED)
    detail = adapter.health().detail or ""
    assert "token was refused" in detail
    assert "revoked" not in detail
    await asyncio.sleep(0.05)
    assert len(emulator.calls.select("getUpdates")) == 0
    await adapter.stop()
    assert adapter.health().detail == detail


async def test_a_token_revoked_while_polling_ends_polling(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    emulator.faults.add(FaultKind.ERROR, "getUpdates", code=401, description="Unauthorized")
    await adapter.start(sink)
    await until(lambda: adapter.health().state is HealthState.STOPPED)


async def test_a_stop_does_not_wait_for_the_long_poll(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    await adapter.start(sink)
    await until(lambda: len(emulator.calls.select("getUpdates")) == 2)  # the second one waits 20 s
    began = time.monotonic()
    await adapter.stop()
    await adapter.stop()
    assert time.monotonic() - began < PROMPT_S


async def test_a_stop_lets_a_commit_finish(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    sink.gate.clear()
    await adapter.start(sink)
    said = emulator.say("hello")
    await until(lambda: sink.attempts)
    stopping = asyncio.create_task(adapter.stop())
    await asyncio.sleep(0.05)
    assert not stopping.done()
    sink.gate.set()
    async with asyncio.timeout(PATIENCE_S):
        await stopping
    assert said.update_id is not None
    assert (sink.texts, sink.cursor_value) == (["hello"], str(said.update_id + 1))


async def test_a_commit_that_fails_during_the_stop_is_told_in_the_log(
    emulator: TelegramEmulator,
    adapter: TelegramAdapter,
    sink: MemorySink,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink.gate.clear()
    sink.failures = [OSError("disk full")]
    await adapter.start(sink)
    emulator.say("hello")
    await until(lambda: sink.attempts)
    stopping = asyncio.create_task(adapter.stop())
    await asyncio.sleep(0)
    sink.gate.set()
    await stopping
    assert "not stored before the stop" in caplog.text


async def test_an_update_that_cannot_be_read_is_skipped_and_holds_up_nobody(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    emulator.say("odd")
    (update,) = emulator.pending_updates()
    del update.payload["date"]
    emulator.say("hello")
    await adapter.start(sink)
    await until(lambda: sink.texts == ["hello"])
    assert sink.stored[str(update.id)] == Ignored(str(update.id), "unreadable message: date: missing")
    await until(lambda: emulator.pending_updates() == [])
    await until(lambda: is_connected(adapter))


async def test_only_what_is_read_is_asked_for(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    await adapter.start(sink)
    await until(lambda: emulator.calls.select("getUpdates"))
    call = emulator.calls.select("getUpdates")[0]
    assert json.loads(call.arguments["allowed_updates"]) == [
        "message",
        "edited_message",
        "callback_query",
        "my_chat_member",
    ]


async def test_edits_files_and_membership_arrive_beside_messages(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    said = emulator.say("first")
    emulator.edit(1001, said.message_id, "second")
    emulator.send_file("document", b"%PDF-1.7", name="plan.pdf", mime="application/pdf", caption="the plan")
    emulator.set_bot_role(1001, "kicked")
    await adapter.start(sink)
    await until(lambda: len(sink.stored) == 4)
    first, edited, file, blocked = sink.stored.values()
    assert isinstance(first, Inbound) and isinstance(file, Inbound)
    assert isinstance(edited, Edited) and (edited.message_ref, edited.text) == (first.message_ref, "second")
    assert (file.text, [one.name for one in file.attachments]) == ("the plan", ["plan.pdf"])
    assert blocked == Ignored(blocked.delivery_id, "the bot is kicked in private chat")


async def test_every_item_of_an_album_is_a_message_of_its_own(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    files = [
        emulator.file("document", b"x", name=f"{n}.txt", caption="both" if n == 0 else "") for n in (0, 1)
    ]
    emulator.send_files(files)
    await adapter.start(sink)
    await until(lambda: len(sink.stored) == 2)
    assert [
        (one.text, one.attachments[0].name) for one in sink.stored.values() if isinstance(one, Inbound)
    ] == [("both", "0.txt"), ("", "1.txt")]


async def test_how_long_the_newest_message_was_under_way(
    emulator: TelegramEmulator,
    adapter: TelegramAdapter,
    sink: MemorySink,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    emulator.say("hello")
    monkeypatch.setattr("channels.telegram.adapter.now_ms", lambda: time.time_ns() // 1_000_000 + 60_000)
    await adapter.start(sink)
    await until(lambda: sink.texts)
    await until(lambda: is_connected(adapter))
    assert 59_000 <= (adapter.health().lag_ms or 0) <= 63_000


@pytest.mark.parametrize(
    ("privacy_mode", "mention_required", "is_missing"),
    [(True, False, True), (True, True, False), (False, False, False)],
)
async def test_privacy_mode_is_named_where_it_hides_messages(
    sink: MemorySink, privacy_mode: bool, mention_required: bool, is_missing: bool
) -> None:
    bot = BotAccount(GATE.token, GATE.id, "gate_bot", privacy_mode=privacy_mode)
    async with TelegramEmulator([bot], slows_repeated_polls=False) as emulator:
        adapter = make_adapter(emulator.url, mention_required=mention_required)
        await adapter.start(sink)
        await until(lambda: is_connected(adapter))
        assert any("privacy mode" in one for one in adapter.health().missing) == is_missing
        await adapter.stop()


async def test_two_accounts_do_not_meet(sink: MemorySink) -> None:
    other = BotAccount("43:other-secret", 43, "other_bot")
    async with TelegramEmulator([GATE, other], flood_limits=NO_FLOOD_LIMITS) as emulator:
        sinks = {"gate_bot": sink, "other_bot": MemorySink()}
        adapters = {
            "gate_bot": make_adapter(emulator.url),
            "other_bot": make_adapter(emulator.url, other.token),
        }
        for name, adapter in adapters.items():
            await adapter.start(sinks[name])
            emulator.say(f"to {name}", bot=name)
        await until(lambda: all(sinks[name].texts == [f"to {name}"] for name in sinks))
        for adapter in adapters.values():
            await adapter.stop()
