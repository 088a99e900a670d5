"""Answers being written: deltas rolled up to one per 40 ms, snapshots for those who join in the middle.

A stream holds the whole text so far; what is durable of it (checkpoints, the final message) is the turn's
business. One thread has at most one active run and therefore at most one stream.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.hub.notes import Note
from protocol import limits
from protocol.events import Delta, Snapshot

SLACK_S: Final = 0.003
"""A delta may go out so much sooner than 40 ms after the last one. An agent that speaks exactly 25 times a second has
timers that come late by a millisecond here and there; without slack every piece would wait for the lateness of all
before it, until two of them had to share a delta."""


class Stream:
    """One message being written."""

    def __init__(
        self,
        thread_id: str,
        run_id: str,
        message_id: str,
        text: str,
        publish: Callable[["Stream", Note], None],
        ask_for_turn: Callable[["Stream"], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.thread_id = thread_id
        self.run_id = run_id
        self.message_id = message_id
        self._published = text
        self._waiting: list[str] = []
        self._next_index = 1 if text else 0
        self.chars = len(text)
        self._sent_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._publish = publish
        self._ask_for_turn = ask_for_turn
        self._is_asking = False
        self._loop = loop

    @property
    def text(self) -> str:
        """Everything said so far."""
        return self._published + "".join(self._waiting)

    def push(self, text: str) -> None:
        """Say more. The first piece goes out at once, later ones at most every 40 ms.

        A busy hub gives turns more rarely; what waits meanwhile is rolled up into one delta.
        """
        self._waiting.append(text)
        self.chars += len(text)
        if self._timer is not None or self._is_asking:
            return
        due = self._sent_at + limits.DELTA_INTERVAL_S - SLACK_S
        if self._loop.time() >= due:
            self._ask()
        else:
            self._timer = self._loop.call_at(due, self._ask)

    def replace(self, text: str) -> None:
        """What was said so far is this instead: the agent began again and says something else."""
        self.discard()
        self._is_asking = False
        self._published = text
        self.chars = len(text)
        self._sent_at = self._loop.time()
        self._publish(self, self._snapshot())

    def _ask(self) -> None:
        self._timer = None
        self._is_asking = True
        self._ask_for_turn(self)

    def flush(self) -> None:
        """Send what waits."""
        self._is_asking = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting:
            return
        text = "".join(self._waiting)
        self._waiting.clear()
        index, self._next_index = self._next_index, self._next_index + 1
        self._published += text
        self._sent_at = self._loop.time()
        delta = Delta(
            thread_id=self.thread_id, run_id=self.run_id, message_id=self.message_id, index=index, text=text
        )
        self._publish(self, Note("delta", delta))

    def snapshot(self) -> Note | None:
        """What a follower needs to join now; None when nothing was sent yet."""
        return self._snapshot() if self._published else None

    def _snapshot(self) -> Note:
        snapshot = Snapshot(
            thread_id=self.thread_id,
            run_id=self.run_id,
            message_id=self.message_id,
            next_index=self._next_index,
            text=self._published,
        )
        return Note("snapshot", snapshot)

    def discard(self) -> None:
        """Stop without sending what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting.clear()
