"""The deadlines of one attempt: all of it, and the silence of its agent. They end a task that does the work.

A task that does not end when it is cancelled (an agent that hangs while it cleans up) is left behind and reported:
nothing waits for it, neither its thread nor the gateway's end.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import structlog

log = structlog.get_logger()

T = TypeVar("T")
GRACE_S: Final = 5.0
"""Time that cancelled work gets to end: a program is ended, a connection closed."""
_abandoned: Final[set["asyncio.Task[Any]"]] = set()
"""Work that did not end; kept so that it is not collected in the middle of what it does."""


class DeadlineMissed(Exception):
    """The text says which one."""


class Deadlines:
    """Limits for `run`: `whole_s` for everything, `silence_s` since the last `beat`."""

    def __init__(self, whole_s: float, silence_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._whole_s = whole_s
        self._silence_s = silence_s
        self._ends_at = self._loop.time() + whole_s
        self._beat_at = self._loop.time()
        self._paused_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[Any] | None = None
        self._missed: str | None = None
        self._gave_up = self._loop.create_future()

    @property
    def silent_s(self) -> float:
        """Since the last sign of life; 0 while paused."""
        return 0.0 if self._paused_at is not None else self._loop.time() - self._beat_at

    def beat(self) -> None:
        """A sign of life."""
        self._beat_at = self._loop.time()

    def pause(self) -> None:
        """A person is asked: that time does not count."""
        self._paused_at = self._loop.time()

    def go_on(self) -> None:
        """The person has decided."""
        if self._paused_at is not None:
            self._ends_at += self._loop.time() - self._paused_at
            self._paused_at = None
            self.beat()
            self._arm()

    async def run(self, work: Coroutine[Any, Any, T], name: str) -> T:
        """The result of `work`. Raises DeadlineMissed, and whatever it raises; cancelling ends it as well."""
        self._task = task = asyncio.create_task(work, name=name)
        self._arm()
        try:
            await asyncio.wait({task, self._gave_up}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task}, timeout=GRACE_S)
            _look_after(task)
            raise
        finally:
            if self._timer is not None:
                self._timer.cancel()
        if self._missed is not None:
            _look_after(task)
            raise DeadlineMissed(self._missed)
        return task.result()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due = min(self._ends_at, self._beat_at + self._silence_s)
        self._timer = self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        now = self._loop.time()
        if self._paused_at is not None or self._task is None:
            return  # armed again when it goes on
        if now >= self._ends_at:
            self._miss(f"no complete answer within {self._whole_s:g} s")
        elif now >= self._beat_at + self._silence_s:
            self._miss(f"no sign of life for {self._silence_s:g} s")
        else:
            self._arm()

    def _miss(self, what: str) -> None:
        self._missed = what
        assert self._task is not None
        self._task.cancel()
        self._timer = self._loop.call_later(GRACE_S, self._gave_up.set_result, None)


def _look_after(task: "asyncio.Task[Any]") -> None:
    """Cancelled work has ended, or not."""
    if not task.done():
        log.error("work does not end", action="work_abandoned", task=task.get_name())
        _abandoned.add(task)
        task.add_done_callback(_abandoned.discard)
    elif not task.cancelled() and task.exception() is not None:
        log.info("work ended badly", action="work_ended_badly", error=repr(task.exception()))
