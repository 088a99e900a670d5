"""Receiving by polling: ask for updates, have them stored, and only then confirm them, for ever.

Theory of operation: Telegram keeps an update until a getUpdates call has a higher offset. So the next offset
is sent only after the sink has stored the batch together with it; whatever fails before that, the same
updates come again. Every failure is followed by a wait with full jitter, then by a call that does not wait
for news, so that a recovery shows at once. The loop ends in two ways: cancelled, or with a refused token.

Knows no SDK: the adapter hands in a source whose errors are ChannelErrors.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from channels import backoff
from channels.messages import Cursor, HealthState
from channels.port import Vault
from channels.telegram.capabilities import (
    BACKOFF_FIRST_S,
    BACKOFF_MAX_S,
    RETENTION_MS,
    UPDATE_IDS_RESTART_MS,
)
from channels.telegram.receiving import Receiver
from channels.telegram.webhook import WebhookApi, leave_own_webhook

log = logging.getLogger(__name__)

# Telegram numbers the updates of a bot as a whole.
WHOLE_ACCOUNT = ""
# An offset that confirms nothing: what is noted before the first update ever came.
_NOTHING_YET = 0


class UpdateSource(WebhookApi, Protocol):
    """What the poller asks. All raise ChannelError, AnotherPoller among them."""

    async def fetch(self, offset: int | None, timeout_s: int) -> Sequence[Mapping[str, Any]]:
        """The updates from `offset` on, confirming those before it; waits `timeout_s` when there are none."""
        ...


@dataclass(frozen=True, slots=True)
class Backoff(backoff.Backoff):
    """The waits of this adapter."""

    first_s: float = BACKOFF_FIRST_S
    max_s: float = BACKOFF_MAX_S


@dataclass(slots=True)
class Poller:
    """One account's polling. `run` once."""

    source: UpdateSource
    receiver: Receiver
    vault: Vault
    timeout_s: int
    _offset: int | None = None
    _is_prepared: bool = False
    _next_id: int | None = None
    """The id that must come next, once there was one in this session."""
    _batch_at_ms: int = 0
    _looked_at: int = 0
    """The highest id before which missing ones were reported: a batch may come again."""

    async def run(self) -> None:
        """Receive until cancelled or until the token is refused. A commit in progress is awaited first."""
        await self.receiver.persist(self._round)

    async def _round(self) -> None:
        """One batch, stored and then remembered as the next call's offset."""
        receiver = self.receiver
        if not self._is_prepared:
            self._offset = _offset_from(await receiver.get_ready())
            await leave_own_webhook(self.source, self.vault)
            self._is_prepared = True
        is_connected = receiver.health.state is HealthState.CONNECTED
        fetched = await self.source.fetch(self._offset, self.timeout_s if is_connected else 0)
        updates = [update for update in fetched if _has_id(update)]
        if len(updates) < len(fetched):
            log.error("telegram sent something without an id", extra={"action": "telegram.no_update_id"})
        if updates:
            await self._take(updates)
        else:
            await receiver.note_alive({WHOLE_ACCOUNT: str(self._offset or _NOTHING_YET)})
        receiver.show(HealthState.CONNECTED)

    async def _take(self, updates: Sequence[Mapping[str, Any]]) -> None:
        ids = {update["update_id"] for update in updates}
        last, previous = max(ids), self._offset or 0
        await self._report_missing(ids)
        await self.receiver.take(updates, {WHOLE_ACCOUNT: str(last + 1)})
        # Numbers that go back begin anew: what must follow is known again after the next batch.
        self._offset, self._next_id = last + 1, last + 1 if last >= previous else None
        self._looked_at, self._batch_at_ms = last, self.receiver.now_ms()

    async def _report_missing(self, ids: set[int]) -> None:
        """Ids follow one another; only after a week without updates they may go on anywhere.

        What is missing expired before it was fetched, or somebody else took it. Where an earlier session ended
        tells nothing: it does not say when its last update came.
        """
        fresh = {update_id for update_id in ids if update_id >= (self._offset or 0)}
        if not fresh or max(fresh) <= self._looked_at:
            return
        last, now_ms = max(fresh), self.receiver.now_ms()
        first, since_ms = min(fresh), now_ms - RETENTION_MS
        if self._next_id is not None and now_ms - self._batch_at_ms < UPDATE_IDS_RESTART_MS:
            first, since_ms = self._next_id, self._batch_at_ms
        missing = last + 1 - first - len(fresh)
        if missing > 0:
            reason = f"{missing} of the updates numbered {first} to {last} were never delivered"
            await self.receiver.sink.gap(since_ms, now_ms, reason)
        self._looked_at = last


def _has_id(update: object) -> bool:
    return isinstance(update, Mapping) and isinstance(update.get("update_id"), int)


def _offset_from(cursors: Mapping[str, Cursor]) -> int | None:
    """The stored cursor is the next offset; without one Telegram starts with the oldest it kept."""
    cursor = cursors.get(WHOLE_ACCOUNT)
    return None if cursor is None else int(cursor.value)
