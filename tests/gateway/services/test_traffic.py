"""When a room may be written to: rates, told waits and breakers, for one room or for a whole account."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from gateway_stage import until
from network_stage import NONE, READBACK, ROOM, Network, Office

from channels.capabilities import Rate
from channels.errors import AuthLost, Permanent, RateLimited, Unreachable
from channels.messages import RoomRef
from gateway.clock import Clock
from gateway.rules import breaker, retry
from gateway.rules.breaker import BreakerState
from gateway.services.traffic import Traffic

OTHER = RoomRef("r2")


class SetClock(Clock):
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def chance(self) -> float:
        return 0.0


def limited(room_rate: Rate | None = None, account_rate: Rate | None = None) -> Network:
    return Network(replace(READBACK, room_rate=room_rate, account_rate=account_rate))


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


# --- what views are told ----------------------------------------------------------------------------


def test_a_room_has_its_own_rate(clock: SetClock) -> None:
    traffic, network = Traffic(clock), limited(room_rate=Rate(1.0, 2))
    assert [traffic.may_show(network, ROOM) for _ in range(3)] == [0.0, 0.0, 1.0]
    assert traffic.may_show(network, OTHER) == 0.0
    clock.now += 1.0
    assert traffic.may_show(network, ROOM) == 0.0


def test_an_account_has_one_for_all_its_rooms(clock: SetClock) -> None:
    traffic, network = Traffic(clock), limited(Rate(10.0, 10), Rate(2.0, 1))
    assert traffic.may_show(network, ROOM) == 0.0
    assert traffic.may_show(network, OTHER) == 0.5


def test_who_is_refused_by_one_rate_takes_nothing_of_the_other(clock: SetClock) -> None:
    traffic, network = Traffic(clock), limited(Rate(1.0, 1), Rate(1.0, 2))
    assert traffic.may_show(network, ROOM) == 0.0
    assert traffic.may_show(network, ROOM) == 1.0
    assert traffic.may_show(network, OTHER) == 0.0


@pytest.mark.parametrize(("scope", "elsewhere"), [("room", 0.0), ("account", 7.0)])
def test_what_a_platform_tells_holds_back_what_it_names(
    clock: SetClock, scope: str, elsewhere: float
) -> None:
    traffic, network = Traffic(clock), Network()
    traffic.failed(network, ROOM, RateLimited(7.0, scope))
    assert traffic.may_show(network, ROOM) == traffic.side_wait_s(network, ROOM) == 7.0
    assert traffic.may_show(network, OTHER) == traffic.side_wait_s(network, OTHER) == elsewhere
    assert traffic.rate_limited(network) == 1
    clock.now += 7.0
    assert traffic.may_show(network, ROOM) == 0.0


def test_a_shorter_wait_does_not_cut_a_longer_one(clock: SetClock) -> None:
    traffic, network = Traffic(clock), Network()
    traffic.failed(network, ROOM, RateLimited(30.0))
    traffic.failed(network, ROOM, RateLimited(1.0))
    assert traffic.may_show(network, ROOM) == 30.0


def test_side_calls_use_up_no_rate(clock: SetClock) -> None:
    traffic, network = Traffic(clock), limited(Rate(1.0, 1))
    assert [traffic.side_wait_s(network, ROOM) for _ in range(5)] == [0.0] * 5
    assert traffic.may_show(network, ROOM) == 0.0


def test_a_platform_that_refuses_has_answered(clock: SetClock) -> None:
    traffic, network = Traffic(clock), Network()
    for number in range(20):
        traffic.failed(network, RoomRef(f"r{number}"), Unreachable("down") if number % 3 else Permanent("no"))
    assert traffic.breaker(network) is BreakerState.CLOSED


def test_views_show_nothing_over_a_broken_account(clock: SetClock) -> None:
    traffic, network = Traffic(clock), Network()
    traffic.failed(network, ROOM, AuthLost("revoked"))
    assert traffic.breaker(network) is BreakerState.OPEN
    assert traffic.may_show(network, OTHER) > 0
    assert traffic.side_wait_s(network, OTHER) > 0


# --- deliveries ------------------------------------------------------------------------------------


@pytest.fixture
async def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    monkeypatch.setattr(retry, "FIRST_S", 0.002)
    monkeypatch.setattr(retry, "LAST_S", 0.01)
    monkeypatch.setattr(breaker, "FIRST_S", 0.04)
    monkeypatch.setattr(breaker, "AUTH_S", 0.04)
    made = Office(Network())
    await made.open(tmp_path / "data")
    yield made
    await made.close()


async def test_an_account_that_must_wait_holds_up_all_its_rooms(office: Office) -> None:
    loop = asyncio.get_running_loop()
    office.network.fates("send", RateLimited(0.3))
    await office.owe("one")
    await until(lambda: office.network.called("send"))
    began = loop.time()
    await office.owe("two", room=OTHER)
    await office.settled(room=OTHER)
    assert loop.time() - began > 0.2
    await office.settled()
    assert (office.network.texts(), office.network.texts("r2")) == (["one"], ["two"])


async def test_a_room_that_must_wait_holds_up_no_other(office: Office) -> None:
    office.network.fates("send", RateLimited(0.5, "room"))
    await office.owe("one")
    await until(lambda: office.network.called("send"))
    await office.owe("two", room=OTHER)
    await office.settled(0.4, room=OTHER)
    assert office.network.texts("r2") == ["two"]
    assert office.network.texts() == []


async def test_deliveries_keep_to_the_rate_of_their_account(office: Office) -> None:
    office.network.can = replace(READBACK, account_rate=Rate(50.0, 5))
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(20):
        await office.owe(f"n{number}", room=RoomRef(f"r{number}"))
    for number in range(20):
        await office.settled(room=RoomRef(f"r{number}"))
    assert loop.time() - began > 0.9 * 15 / 50
    assert len(office.network.messages) == 20


async def test_while_a_breaker_is_open_only_probes_are_made_and_one_at_a_time(office: Office) -> None:
    rooms = [RoomRef(f"r{number}") for number in range(8)]
    office.network.fates("send", *[Unreachable("down")] * 5)
    office.network.fates("probe", *[Unreachable("down")] * 2)
    for room in rooms:
        await office.owe("said", room=room)
    for room in rooms:
        await office.settled(room=room)
    assert all(office.network.texts(room.room) == ["said"] for room in rooms)
    assert office.network.called("probe") == 3, "two that failed, and the one that closed it"
    methods = [name for name, _ in office.network.calls]
    first, last = methods.index("probe"), len(methods) - methods[::-1].index("probe")
    assert set(methods[first:last]) == {"probe"}
    assert office.deliveries.traffic.breaker(office.network) is BreakerState.CLOSED


async def test_a_lost_credential_costs_no_attempts(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "DELIVERY_ATTEMPTS", 2)
    office.network.fates("send", AuthLost("revoked"))
    office.network.fates("probe", *[AuthLost("revoked")] * 4)
    await office.owe("later")
    await office.settled()
    assert office.network.texts() == ["later"]
    assert office.network.called("send") == 2


async def test_the_end_does_not_wait_for_a_breaker(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "AUTH_S", 60.0)
    office.network.fates("send", AuthLost("revoked"))
    await office.owe("one")
    await office.owe("two", room=OTHER)
    await until(lambda: office.deliveries.traffic.breaker(office.network) is BreakerState.OPEN)
    async with asyncio.timeout(1):
        await office.deliveries.stop(5)


async def test_a_delivery_that_an_operator_wants_again_wakes_its_room(office: Office) -> None:
    office.network.can = NONE
    office.network.fates("send", RateLimited(0.2, "room"))
    await office.owe("waits")
    await asyncio.sleep(0.05)
    await office.owe("behind it")
    await office.settled()
    assert [text for text in office.network.texts() if text != "…"] == ["waits", "behind it"]
