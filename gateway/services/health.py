"""How the channel accounts fare: what adapters say, what probes find out, and what the store knows.

"Connected" means that messages flow: an adapter that believes so while the platform does not answer our probe is
degraded. One task per account asks; everything that is shown is put together here.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from channels.errors import ChannelError, RateLimited
from channels.messages import HealthState
from channels.port import Adapter
from gateway.clock import Clock
from gateway.metrics import Sample
from gateway.rules.breaker import BreakerState
from gateway.services.channels import Channels
from gateway.services.traffic import Traffic
from protocol.errors import ErrorKind, Fault
from protocol.instants import to_instant
from protocol.records import Channel, ChannelGap, ChannelState
from storage.channel_values import Gap
from storage.errors import StoreUnavailable
from storage.ports import OutboxStore
from storage.values import DeliveryCounts

log = structlog.get_logger()

PROBE_S: Final = 60.0
"""Often enough to notice a dead account before people do, rarely enough for any limit."""
PROBE_DEADLINE_S: Final = 20.0
"""A platform that takes longer does not let messages flow."""
COUNT_S: Final = 15.0
"""How old the counts on /metrics may be: as often as Prometheus usually asks."""
COUNTED: Final = ("waiting", "held", "failed", "uncertain")


@dataclass(slots=True)
class _Probe:
    """What the last probe of an account found; `problem` None when it was answered."""

    at_ms: int | None = None
    problem: str | None = None


@dataclass(slots=True)
class ChannelHealth:
    """Probes accounts and answers for their state."""

    channels: Channels
    outbox: OutboxStore
    traffic: Traffic
    clock: Clock
    _probes: dict[tuple[str, str], _Probe] = field(default_factory=dict)
    _counts: Mapping[tuple[str, str], DeliveryCounts] = field(default_factory=dict)
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    async def start(self) -> None:
        """Begin to probe and to count."""
        for adapter in self.channels.all():
            name = f"probe {adapter.kind}:{adapter.account}"
            self._tasks.append(asyncio.create_task(self._keep_probing(adapter), name=name))
        if self._tasks:
            self._tasks.append(asyncio.create_task(self._keep_counting(), name="count deliveries"))

    async def stop(self) -> None:
        """Ask nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def statuses(self, org_id: str) -> list[Channel]:
        """How every account of an organization fares."""
        self._counts = await self.outbox.counts()
        gaps = await self.outbox.gaps(org_id)
        return [self._status(adapter, gaps) for adapter in self.channels.of_organization(org_id)]

    async def status(self, org_id: str, channel_id: str) -> Channel:
        """How one account of an organization fares. Raises Fault not_found."""
        for channel in await self.statuses(org_id):
            if channel.id == channel_id:
                return channel
        raise Fault(ErrorKind.NOT_FOUND, "There is no such channel", hint="channel.list shows what there is")

    def state(self, adapter: Adapter) -> tuple[HealthState, str | None]:
        """Whether messages flow, and what to do when they do not."""
        health, probe = adapter.health(), self._probes.get((adapter.kind, adapter.account), _Probe())
        if health.state is not HealthState.CONNECTED:
            return health.state, health.detail
        if probe.problem is not None:
            return HealthState.DEGRADED, f"it does not answer our probe: {probe.problem}"
        if self.traffic.breaker(adapter) is not BreakerState.CLOSED:
            return HealthState.DEGRADED, "nothing is sent for now: the platform did not answer"
        return health.state, health.detail

    async def probe(self, adapter: Adapter) -> None:
        """Ask the platform once, and remember what it said."""
        problem = None
        try:
            async with asyncio.timeout(PROBE_DEADLINE_S):
                await adapter.probe()
        except RateLimited:
            problem = None  # that is an answer
        except TimeoutError:
            problem = f"no answer within {PROBE_DEADLINE_S:g} s"
        except ChannelError as error:
            problem = str(error)
        except Exception as error:
            log.exception("an adapter broke", action="adapter_broke", channel=adapter.kind)
            problem = f"the adapter broke ({type(error).__name__})"
        self._probes[adapter.kind, adapter.account] = _Probe(self.clock.now_ms(), problem)

    def samples(self) -> Iterable[Sample]:
        """For /metrics."""
        for adapter in self.channels.all():
            labels = {"channel": adapter.kind, "account": adapter.account}
            state, _ = self.state(adapter)
            yield (
                "threadgate_channel_up",
                "Whether messages flow",
                float(state is HealthState.CONNECTED),
                labels,
            )
            lag_ms = adapter.health().lag_ms
            if lag_ms is not None:
                what = "How long the newest event was under way"
                yield "threadgate_channel_lag_seconds", what, lag_ms / 1000, labels
            refused = self.traffic.rate_limited(adapter)
            yield "threadgate_channel_rate_limited", "Calls refused as one too many", refused, labels
            counts = self._counts.get((adapter.kind, adapter.account), DeliveryCounts())
            for name in COUNTED:
                what = "Deliveries by what they wait for, and sends of unknown outcome"
                yield "threadgate_deliveries", what, getattr(counts, name), {**labels, "state": name}

    # --- parts --------------------------------------------------------------------------------

    def _status(self, adapter: Adapter, gaps: Mapping[tuple[str, str], Gap]) -> Channel:
        key = (adapter.kind, adapter.account)
        health, counts = adapter.health(), self._counts.get(key, DeliveryCounts())
        state, detail = self.state(adapter)
        return Channel(
            id=f"{adapter.kind}:{adapter.account}",
            kind=adapter.kind,
            account=adapter.account,
            state=ChannelState(state.value),
            detail=detail,
            last_event_at=_instant(health.last_event_at_ms),
            deliveries_waiting=counts.waiting,
            deliveries_uncertain=counts.uncertain,
            deliveries_held=counts.held,
            deliveries_failed=counts.failed,
            lag_ms=health.lag_ms,
            missing=list(health.missing),
            probed_at=_instant(self._probes.get(key, _Probe()).at_ms),
            breaker=self.traffic.breaker(adapter).value,
            last_gap=_gap(gaps.get(key)),
        )

    async def _keep_probing(self, adapter: Adapter) -> None:
        while True:
            # Accounts that began together are not asked together.
            await asyncio.sleep(PROBE_S * (0.5 + self.clock.chance() / 2))
            if self.traffic.breaker(adapter) is BreakerState.CLOSED:
                await self.probe(adapter)
            else:
                await self.traffic.revive(adapter)

    async def _keep_counting(self) -> None:
        while True:
            try:
                self._counts = await self.outbox.counts()
            except StoreUnavailable as error:
                log.warning("deliveries were not counted", action="count_failed", error=str(error))
            await asyncio.sleep(COUNT_S)


def _instant(at_ms: int | None) -> str | None:
    return to_instant(at_ms) if at_ms is not None else None


def _gap(gap: Gap | None) -> ChannelGap | None:
    if gap is None:
        return None
    return ChannelGap(since=to_instant(gap.since_ms), until=to_instant(gap.until_ms), reason=gap.reason)
