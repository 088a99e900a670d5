"""Receipts: reactions on a person's message that say it was seen, and how its run ended.

Best effort, in tasks of their own: no answer waits for them. They follow from runs, so a run that is taken over
after a restart gets its ending shown, too; one that ended while the gateway died keeps its last mark.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson
import structlog

from channels.errors import ChannelError, RateLimited, UnknownOutcome, Unreachable
from channels.messages import Mark, RoomRef
from channels.port import Adapter
from gateway.clock import Clock
from gateway.rules.retry import backoff_s
from gateway.services.channels import Channels
from gateway.services.traffic import Traffic
from protocol.events import RUN_ENDINGS, EventKind
from storage.values import ClaimedRun, CommittedEvent

log = structlog.get_logger()

PATIENCE_S: Final = 120.0
"""A mark that could not be shown by then is of no interest any more."""


@dataclass(frozen=True, slots=True)
class _Target:
    """A person's message."""

    kind: str
    account: str
    room: RoomRef
    ref: str


class Receipts:
    """Shows the newest mark of each message."""

    def __init__(self, channels: Channels, traffic: Traffic, clock: Clock) -> None:
        self._channels = channels
        self._traffic = traffic
        self._clock = clock
        self._runs: dict[str, _Target] = {}
        """Runs that began and have not ended."""
        self._wanted: dict[_Target, Mark] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, run: ClaimedRun) -> None:
        """A run works on a message."""
        place = self._channels.of(run.origin)
        if place is None or run.message_ref is None:
            return
        adapter, room = place
        if (
            self._channels.policy(adapter.kind, adapter.account).receipts
            and adapter.capabilities(room).reactions
        ):
            self._runs[run.id] = target = _Target(adapter.kind, adapter.account, room, run.message_ref)
            self._want(target, Mark.SEEN)

    def on_commit(self, signals: Sequence[object]) -> None:
        """The store's commit hook: runs that ended."""
        if not self._runs:
            return
        for signal in signals:
            if isinstance(signal, CommittedEvent) and signal.kind in RUN_ENDINGS:
                target = self._runs.pop(signal.run_id or "", None)
                if target is not None and not _goes_on(signal):
                    is_done = signal.kind == EventKind.RUN_COMPLETED
                    self._want(target, Mark.DONE if is_done else Mark.FAILED)

    async def close(self, deadline_s: float) -> None:
        """Let calls in flight end until the deadline."""
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=deadline_s)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _want(self, target: _Target, mark: Mark) -> None:
        is_being_shown = target in self._wanted
        self._wanted[target] = mark
        if not is_being_shown:
            task = asyncio.create_task(self._show(target), name=f"receipt {target.kind}:{target.account}")
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a receipt broke", action="receipt_broke", exc_info=task.exception())

    async def _show(self, target: _Target) -> None:
        try:
            await self._show_newest(target)
        finally:
            del self._wanted[target]  # here, not in a callback: what is wanted from now on needs another task

    async def _show_newest(self, target: _Target) -> None:
        """Until the newest mark is shown; an older one that was not is left out."""
        adapter = self._channels.find(target.kind, target.account)
        assert adapter is not None, "it was found when the run began"
        shown: Mark | None = None
        failures, until = 0, self._clock.monotonic() + PATIENCE_S
        while shown is not self._wanted[target] and self._clock.monotonic() < until:
            wait_s = self._traffic.side_wait_s(adapter, target.room)
            if wait_s:
                await asyncio.sleep(wait_s)
                continue
            mark = self._wanted[target]
            try:
                await adapter.react(target.room, target.ref, mark)
                shown = mark
            except (RateLimited, Unreachable, UnknownOutcome) as error:
                failures += 1
                await asyncio.sleep(self._wait_s(adapter, target, error, failures))
            except ChannelError as error:
                log.info("a receipt was given up", action="receipt_given_up", error=str(error))
                return

    def _wait_s(self, adapter: Adapter, target: _Target, error: ChannelError, failures: int) -> float:
        if isinstance(error, RateLimited):
            self._traffic.failed(adapter, target.room, error)
            return error.after_s
        return backoff_s(failures, self._clock.chance())


def _goes_on(ending: CommittedEvent) -> bool:
    """Whether another run takes up the message."""
    if ending.kind != EventKind.RUN_INTERRUPTED:
        return False
    will_retry: bool = orjson.loads(bytes(ending.params))["data"]["will_retry"]
    return will_retry
