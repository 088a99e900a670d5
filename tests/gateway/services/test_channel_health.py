"""The health light: connected means that messages flow, and whoever looks sees what does not."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_stage import eventually, until
from network_stage import READBACK, ROOM, Network, Office

from channels.errors import AuthLost, Permanent, RateLimited, Unreachable
from channels.messages import HealthState
from gateway.rules import breaker
from gateway.rules.breaker import BreakerState
from gateway.services import health
from gateway.services.health import ChannelHealth
from protocol.errors import ErrorKind, Fault
from storage.channel_values import Gap
from storage.values import DEFAULT_ORG, GATEWAY, Act


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    made = Office(Network(READBACK))
    await made.open(tmp_path / "data")
    yield made
    await made.close()


def watch(office: Office) -> ChannelHealth:
    return ChannelHealth(office.channels, office.store.outbox, office.deliveries.traffic, office.clock)


async def test_connected_means_that_the_platform_answers(office: Office) -> None:
    watching = watch(office)
    before = await watching.status(DEFAULT_ORG, "paper:main")
    assert (before.state, before.probed_at) == (HealthState.CONNECTED, None)
    office.network.fates("probe", AuthLost("the token was revoked"))
    await watching.probe(office.network)
    shown = await watching.status(DEFAULT_ORG, "paper:main")
    assert (shown.state, shown.probed_at is not None) == (HealthState.DEGRADED, True)
    assert "the token was revoked" in (shown.detail or "")
    await watching.probe(office.network)
    assert (await watching.status(DEFAULT_ORG, "paper:main")).state == HealthState.CONNECTED


@pytest.mark.parametrize(
    ("fate", "state"),
    [
        (RateLimited(5), HealthState.CONNECTED),
        (Unreachable("down"), HealthState.DEGRADED),
        (Permanent("no"), HealthState.DEGRADED),
    ],
)
async def test_a_refusal_to_hurry_is_an_answer(office: Office, fate: Exception, state: HealthState) -> None:
    watching = watch(office)
    office.network.fates("probe", fate)  # type: ignore[arg-type]
    await watching.probe(office.network)
    assert (await watching.status(DEFAULT_ORG, "paper:main")).state == state


async def test_a_probe_has_a_deadline_and_survives_a_broken_adapter(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching = watch(office)

    async def breaks() -> None:
        raise KeyError("x")

    monkeypatch.setattr(office.network, "probe", breaks)
    await watching.probe(office.network)
    assert "broke" in ((await watching.status(DEFAULT_ORG, "paper:main")).detail or "")
    monkeypatch.setattr(health, "PROBE_DEADLINE_S", 0.0)
    monkeypatch.setattr(office.network, "probe", office.network.crashed.wait)
    await watching.probe(office.network)
    assert "no answer" in ((await watching.status(DEFAULT_ORG, "paper:main")).detail or "")


async def test_what_an_adapter_says_wins_when_it_is_worse(office: Office) -> None:
    office.network.state = HealthState.STOPPED
    assert (await watch(office).status(DEFAULT_ORG, "paper:main")).state == HealthState.STOPPED


async def test_an_open_breaker_is_no_connection(office: Office) -> None:
    office.network.fates("send", AuthLost("revoked"))
    await office.owe("one")

    async def is_open() -> bool:
        shown = await watch(office).status(DEFAULT_ORG, "paper:main")
        return shown.breaker == "open" and shown.state == HealthState.DEGRADED

    await eventually(is_open)


async def test_everything_there_is_to_know_is_shown(office: Office) -> None:
    watching = watch(office)
    office.network.fates("send", Permanent("no"))
    await office.owe("lost")
    await office.settled()
    act = Act(DEFAULT_ORG, GATEWAY, "test", office.clock.now_ms())
    await office.store.inbox.report_gap(act, "paper", "main", Gap(1000, 2000, "down for long"))
    await office.store.inbox.report_gap(act, "paper", "main", Gap(5000, 9000, "down again"))
    await office.store.inbox.report_gap(act, "paper", "other", Gap(7000, 9999, "another account"))
    shown = await watching.status(DEFAULT_ORG, "paper:main")
    assert (shown.lag_ms, shown.missing) == (1500, ["files:read: no files come in"])
    assert (shown.deliveries_failed, shown.deliveries_held, shown.deliveries_waiting) == (1, 0, 0)
    assert shown.last_gap is not None
    assert (shown.last_gap.since, shown.last_gap.reason) == ("1970-01-01T00:00:05.000Z", "down again")
    samples = {(name, labels.get("state", "")): value for name, _, value, labels in watching.samples()}
    assert samples["threadgate_channel_up", ""] == 1.0
    assert samples["threadgate_channel_lag_seconds", ""] == 1.5
    assert samples["threadgate_deliveries", "failed"] == 1
    assert ("threadgate_channel_rate_limited", "") in samples


async def test_accounts_are_probed_again_and_again(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PROBE_S", 0.01)
    watching = watch(office)
    await watching.start()

    async def probed() -> bool:
        return office.network.called("probe") >= 3

    await eventually(probed)
    await watching.stop()


async def test_a_broken_account_with_nothing_to_send_is_asked_when_its_time_is_over(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PROBE_S", 0.01)
    monkeypatch.setattr(breaker, "AUTH_S", 0.1)
    traffic, watching = office.deliveries.traffic, watch(office)
    traffic.failed(office.network, ROOM, AuthLost("revoked"))
    office.network.fates("probe", AuthLost("revoked"))
    began = asyncio.get_running_loop().time()
    await watching.start()
    await until(lambda: traffic.breaker(office.network) is BreakerState.CLOSED)
    await watching.stop()
    assert office.network.called("probe") >= 2
    assert asyncio.get_running_loop().time() - began > 0.19, "and not before"


async def test_an_unknown_channel_is_not_found(office: Office) -> None:
    with pytest.raises(Fault) as refused:
        await watch(office).status(DEFAULT_ORG, "paper:nobody")
    assert refused.value.kind is ErrorKind.NOT_FOUND
