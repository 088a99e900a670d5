"""Outlets of the audit log: each sink gets every entry and each anchor every checkpoint, in order, at least once.

The log is the spool. An outlet has a place in it, in the store, which moves when the target took what was sent; so a
restart goes on where it was, a target that is down delays nothing but itself, and nothing is ever dropped.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

import structlog

from gateway.clock import Clock
from gateway.metrics import Sample
from gateway.services.audit_targets import Item, NotTaken, Target
from storage.audit_notes import Note
from storage.audit_ports import CheckpointStore, TrailStore
from storage.audit_values import AuditAppended, CheckpointMade
from storage.errors import StoreError

log = structlog.get_logger()

FIRST_S: Final = 0.5
LAST_S: Final = 60.0
"""Between attempts, growing; a minute after a long outage is soon enough."""
STOP_S: Final = 2.0
"""Time outlets get at shutdown to send what was written last; the rest goes after the next start."""

Fetch = Callable[[int], Awaitable[Sequence[Item]]]
"""What comes after a place, a batch at most; empty when that is all."""


class Outlet:
    """One target and how far it is."""

    def __init__(
        self,
        key: str,
        label: str,
        fetch: Fetch,
        target: Target,
        trail: TrailStore,
        clock: Clock,
        spool_max: int,
    ) -> None:
        self.key = key
        self.label = label
        self.spool_max = spool_max
        self.newest = 0
        self.confirmed = 0
        self._fetch = fetch
        self._target = target
        self._trail = trail
        self._clock = clock
        self._failures = 0
        self._wake = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._has_warned = False

    @property
    def lag(self) -> int:
        """How far the target is behind: entries, or the entries under checkpoints it has not got."""
        return max(0, self.newest - self.confirmed)

    @property
    def is_degraded(self) -> bool:
        """Whether more waits than the settings allow."""
        return self.lag > self.spool_max

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._failures > 0

    def reached(self, position: int) -> None:
        """There is something up to there."""
        if position > self.newest:
            self.newest = position
            self._is_idle.clear()
            self._wake.set()
            self._warn()

    async def caught_up(self) -> None:
        """Return when all there is was taken."""
        await self._is_idle.wait()

    async def run(self, confirmed: int) -> None:
        """Send until cancelled."""
        self.confirmed = confirmed
        try:
            while True:
                wait_s = await self._send_all()
                if wait_s:
                    await asyncio.sleep(wait_s)
                    continue
                self._is_idle.set()
                await self._wake.wait()
                self._wake.clear()
        finally:
            await self._target.close()

    async def _send_all(self) -> float:
        """Send what there is; how long to wait when the target does not take it, or 0."""
        try:
            while batch := await self._fetch(self.confirmed):
                await self._target.send(batch)
                position = batch[-1].position
                await self._trail.advance(self.key, position, self._clock.now_ms())
                self.confirmed = position
                self._recovered()
        except (NotTaken, OSError, TimeoutError, StoreError, ValueError) as error:
            return self._failed(error)
        return 0.0

    def _recovered(self) -> None:
        if self._failures:
            log.info("an outlet of the audit log works again", action="audit_outlet_back", outlet=self.label)
        self._failures = 0
        self._has_warned = self._has_warned and self.is_degraded

    def _failed(self, error: Exception) -> float:
        self._failures += 1
        if self._failures == 1:
            log.warning(
                "an outlet of the audit log does not take entries: they wait",
                action="audit_outlet_failed",
                outlet=self.label,
                error=str(error) or type(error).__name__,
            )
        asked_s = error.retry_after_s if isinstance(error, NotTaken) else 0.0
        ceiling_s = min(LAST_S, FIRST_S * 2.0 ** min(self._failures - 1, 16))
        return max(asked_s, ceiling_s * (0.5 + self._clock.chance() / 2))

    def _warn(self) -> None:
        if self.is_degraded and not self._has_warned:
            self._has_warned = True
            log.error(
                "an outlet of the audit log is far behind",
                action="audit_outlet_degraded",
                outlet=self.label,
                waiting=self.lag,
            )


class Outlets:
    """All of them, as long as the gateway runs."""

    def __init__(
        self, sinks: Sequence[Outlet], anchors: Sequence[Outlet], trail: TrailStore, log_: CheckpointStore
    ) -> None:
        self._sinks = sinks
        self._anchors = anchors
        self._trail = trail
        self._log = log_
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Go on from where each was. Raises StoreError."""
        positions = await self._trail.positions()
        entries, newest = (await self._log.head()).size, await self._log.latest()
        sealed = Note.parse(newest).checkpoint.size if newest is not None else 0
        for outlet in (*self._sinks, *self._anchors):
            outlet.confirmed = positions.get(outlet.key, 0)
            outlet.reached(entries if outlet in self._sinks else sealed)
            run = outlet.run(outlet.confirmed)
            self._tasks.append(asyncio.create_task(run, name=f"audit {outlet.label}"))

    def on_commit(self, signals: Sequence[object]) -> None:
        """See how far the log and its checkpoints are."""
        for signal in signals:
            if isinstance(signal, AuditAppended):
                for outlet in self._sinks:
                    outlet.reached(signal.seq)
            elif isinstance(signal, CheckpointMade):
                for outlet in self._anchors:
                    outlet.reached(signal.size)

    async def stop(self) -> None:
        """Send what was written last, where that goes quickly, and end."""
        waiting = [one for one in (*self._sinks, *self._anchors) if not one.is_failing]
        if self._tasks and waiting:
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await asyncio.gather(*(one.caught_up() for one in waiting))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def degraded(self) -> list[str]:
        """Which are too far behind, in words."""
        return [
            f"the audit log's {one.label} is {one.lag} entries behind"
            for one in (*self._sinks, *self._anchors)
            if one.is_degraded
        ]

    def samples(self) -> Iterable[Sample]:
        """For metrics."""
        for one in self._sinks:
            yield "threadgate_audit_sink_lag", "Entries that wait for a sink", one.lag, {"sink": one.label}
        for one in self._anchors:
            yield (
                "threadgate_audit_anchor_lag",
                "Entries under checkpoints that wait for an anchor",
                one.lag,
                {"anchor": one.label},
            )
