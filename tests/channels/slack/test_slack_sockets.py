"""Two supervised sockets against the emulator: fresh tickets, no gap when Slack moves one, health that tells."""

import asyncio

import pytest
from channel_stage import MemorySink, until
from slack_stage import is_connected, make_adapter, make_emulator

from channels.emulators.slack import FaultKind, SlackEmulator
from channels.messages import HealthState
from channels.slack.adapter import SlackAdapter

BOTH = 2


async def connected(emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink) -> None:
    await adapter.start(sink)
    await until(lambda: len(emulator.sockets) == BOTH)
    await until(lambda: is_connected(adapter))


async def test_two_sockets_are_open_and_share_the_work(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    await connected(emulator, adapter, sink)
    for number in range(10):
        emulator.say(f"message {number}")
    await until(lambda: emulator.tally.acknowledged == 10)
    assert [socket.acknowledged > 0 for socket in emulator.sockets] == [True] * BOTH
    assert len(set(emulator.tickets_shown)) == BOTH


async def test_nothing_is_received_before_a_hello(adapter: SlackAdapter) -> None:
    assert adapter.health().state is HealthState.STARTING
    assert adapter.health().detail == "not started"


async def test_an_upgrade_that_is_cut_is_tried_with_another_ticket(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    emulator.drop_upgrades(6)
    await connected(emulator, adapter, sink)
    # aiohttp sends a GET whose connection was cut once more.
    assert len(set(emulator.tickets_shown)) > BOTH


async def test_every_try_has_a_fresh_ticket(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    emulator.refuse_upgrades(6)
    await connected(emulator, adapter, sink)
    assert len(emulator.tickets_shown) == 6 + BOTH
    assert len(set(emulator.tickets_shown)) == 6 + BOTH


@pytest.mark.parametrize("reason", ["refresh_requested", "warning"])
async def test_a_socket_that_must_move_opens_its_successor_first(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink, reason: str
) -> None:
    await connected(emulator, adapter, sink)
    states = set()
    emulator.disconnect(reason, emulator.sockets[0].number)
    for number in range(50):
        emulator.say(f"message {number}")
        states.add(adapter.health().state)
        await asyncio.sleep(0.002)
    await until(lambda: len(sink.texts) == 50)
    assert states == {HealthState.CONNECTED}
    assert emulator.tally.repeated == 0
    assert len(emulator.tickets_shown) == BOTH + 1


async def test_both_sockets_moving_at_once_lose_nothing(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    await connected(emulator, adapter, sink)
    emulator.disconnect("refresh_requested")
    emulator.say("meanwhile")
    await until(lambda: sink.texts == ["meanwhile"])
    await until(lambda: len([one for one in emulator.sockets if not one.is_leaving]) == BOTH)
    assert is_connected(adapter)


async def test_sockets_that_are_cut_are_opened_again(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    await connected(emulator, adapter, sink)
    emulator.drop_sockets()
    emulator.say("meanwhile")
    await until(lambda: sink.texts == ["meanwhile"])
    await until(lambda: len(emulator.sockets) == BOTH)
    assert is_connected(adapter)


async def test_one_socket_is_enough_to_be_connected(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    await connected(emulator, adapter, sink)
    emulator.refuse_upgrades(10_000)
    emulator.drop_sockets(emulator.sockets[0].number)
    await until(lambda: len(emulator.tickets_shown) > BOTH + 3)
    emulator.say("still here")
    await until(lambda: sink.texts == ["still here"])
    assert is_connected(adapter)


async def test_without_any_socket_the_health_says_what_fails(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    await connected(emulator, adapter, sink)
    emulator.refuse_upgrades(10_000)
    emulator.drop_sockets()
    await until(lambda: adapter.health().state is HealthState.DEGRADED)
    assert "socket" in (adapter.health().detail or "")
    emulator.refuse_upgrades(0)
    await until(lambda: is_connected(adapter))


async def test_socket_mode_switched_off_shows_and_recovers(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    await connected(emulator, adapter, sink)
    emulator.refuse_upgrades(10_000)
    emulator.disconnect("link_disabled")
    await until(lambda: "switched off" in (adapter.health().detail or ""))
    assert adapter.health().state is HealthState.DEGRADED
    emulator.refuse_upgrades(0)
    await until(lambda: is_connected(adapter))


async def test_a_refused_app_token_stops_receiving(emulator: SlackEmulator, sink: MemorySink) -> None:
    adapter = make_adapter(emulator, app_token="xapp-wrong")
    await adapter.start(sink)
    await until(lambda: adapter.health().state is HealthState.STOPPED)
    assert "app_token" in (adapter.health().detail or "")
    tries = len(emulator.calls.select("apps.connections.open"))
    await asyncio.sleep(0.1)
    assert len(emulator.calls.select("apps.connections.open")) == tries <= BOTH
    await adapter.stop()


async def test_a_rate_limited_ticket_is_waited_for(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    emulator.faults.add(FaultKind.RATE_LIMIT, "apps.connections.open", count=2, retry_after_s=1)
    await adapter.start(sink)
    await until(lambda: adapter.health().state is HealthState.DEGRADED)
    assert "rate limited" in (adapter.health().detail or "")
    await asyncio.sleep(0.2)
    assert len(emulator.calls.select("apps.connections.open")) == BOTH
    await until(lambda: is_connected(adapter))


async def test_a_network_that_is_not_there_yet_is_waited_for(sink: MemorySink) -> None:
    emulator = make_emulator()
    await emulator.start()
    port = int(emulator.url.rpartition(":")[2])
    adapter = make_adapter(emulator)
    await emulator.stop()
    await adapter.start(sink)
    await until(lambda: adapter.health().state is HealthState.DEGRADED)
    await emulator.start(port=port)
    await until(lambda: is_connected(adapter))
    await adapter.stop()
    await emulator.stop()


async def test_no_log_line_holds_a_ticket_or_a_token(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    emulator.refuse_upgrades(2)
    await connected(emulator, adapter, sink)
    emulator.say("a secret thought")
    await until(lambda: sink.texts)
    emulator.drop_sockets()
    await until(lambda: len(emulator.sockets) == BOTH)
    for secret in ("ticket-", "xoxb-", "xapp-", "secret thought", "emulated-signing-secret"):
        assert secret not in caplog.text
