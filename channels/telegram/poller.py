"""Receiving: ask for updates, have them stored, and only then confirm them, for ever.

Theory of operation: Telegram keeps an update until a getUpdates call has a higher offset. So the next offset
is sent only after the sink has stored the batch together with it; whatever fails before that, the same
updates come again. Every failure is followed by a wait with full jitter, then by a call that does not wait
for news, so that a recovery shows at once. The loop ends in two ways: cancelled, or with a refused token.

Knows no SDK: the adapter hands in a source whose errors are ChannelErrors.
"""

import asyncio
import logging
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from channels.errors import AuthLost, ChannelError, Permanent, RateLimited
from channels.messages import Cursor, Delivery, Health, HealthState
from channels.port import InboxSink
from channels.telegram.capabilities import BACKOFF_FIRST_S, BACKOFF_MAX_S
from channels.telegram.inbound import BotIdentity, to_inbound

log = logging.getLogger(__name__)

# Telegram numbers the updates of a bot as a whole.
_WHOLE_ACCOUNT = ""
_NOT_STORED = "an update could not be read or stored and will be asked for again; see the log"


class AnotherPoller(Permanent):
    """Telegram gives the updates of this token to someone else: another poller, or a webhook."""


class UpdateSource(Protocol):
    """The two questions the poller asks. Both raise ChannelError, AnotherPoller among them."""

    async def identify(self) -> BotIdentity:
        """Who the token belongs to."""
        ...

    async def fetch(self, offset: int | None, timeout_s: int) -> Sequence[Mapping[str, Any]]:
        """The updates from `offset` on, confirming those before it; waits `timeout_s` when there are none."""
        ...


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after failures in a row: anything up to a bound that doubles from `first_s`."""

    first_s: float = BACKOFF_FIRST_S
    max_s: float = BACKOFF_MAX_S

    def delay_s(self, failures: int, jitter: random.Random) -> float:
        """Full jitter: bots that failed together do not come back together. `failures` counts from 1."""
        # The exponent is bounded so that a long outage cannot overflow the power.
        return jitter.uniform(0, min(self.max_s, self.first_s * 2 ** min(failures - 1, 32)))


@dataclass(slots=True)
class Poller:
    """One account's receiving. `run` once; `health` at any time."""

    account: str
    source: UpdateSource
    sink: InboxSink
    timeout_s: int
    backoff: Backoff
    health: Health = field(default_factory=lambda: Health(HealthState.STARTING))
    _jitter: random.Random = field(default_factory=random.Random)
    _identity: BotIdentity | None = None
    _offset: int | None = None
    _is_offset_known: bool = False

    async def run(self) -> None:
        """Receive until cancelled or until the token is refused. A commit in progress is awaited first."""
        failures = 0
        while True:
            try:
                await self._round()
            except AuthLost as error:
                self._show(HealthState.STOPPED, str(error))
                log.error("telegram stopped: %s", error, extra=self._log_fields("auth_lost"))  # noqa: TRY400 - no trace: expected
                return
            except ChannelError as error:
                failures += 1
                after_s = error.after_s if isinstance(error, RateLimited) else 0.0
                await self._wait(failures, after_s, str(error))
            except Exception:
                # The edge of this task: whatever a store or an update does must not end receiving.
                log.exception("telegram batch not taken", extra=self._log_fields("batch_not_taken"))
                failures += 1
                await self._wait(failures, 0.0, _NOT_STORED)
            else:
                failures = 0

    async def _round(self) -> None:
        """One batch, stored and then remembered as the next call's offset."""
        if self._identity is None:
            self._identity = await self.source.identify()
        if not self._is_offset_known:
            self._offset = _offset_from(await self.sink.cursors())
            self._is_offset_known = True
        is_connected = self.health.state is HealthState.CONNECTED
        updates = await self.source.fetch(self._offset, self.timeout_s if is_connected else 0)
        if updates:
            batch = [to_inbound(update, self._identity) for update in updates]
            offset = max(update["update_id"] for update in updates) + 1
            await self._commit(batch, str(offset))
            self._offset = offset
            self.health = replace(self.health, last_event_at_ms=time.time_ns() // 1_000_000)
        self._show(HealthState.CONNECTED, None)

    async def _commit(self, batch: Sequence[Delivery], cursor: str) -> None:
        """Store the batch. Cancelled meanwhile, it still waits for the store's answer."""
        commit = asyncio.ensure_future(self.sink.commit(batch, {_WHOLE_ACCOUNT: cursor}))
        try:
            await asyncio.shield(commit)
        except asyncio.CancelledError:
            await asyncio.wait({commit})
            if not commit.cancelled() and (error := commit.exception()):
                log.warning(
                    "telegram batch not stored before the stop, it will come again",
                    exc_info=error,
                    extra=self._log_fields("batch_not_taken"),
                )
            raise

    async def _wait(self, failures: int, at_least_s: float, detail: str) -> None:
        delay_s = max(at_least_s, self.backoff.delay_s(failures, self._jitter))
        if self.health.state is not HealthState.DEGRADED or self.health.detail != detail:
            log.warning("telegram degraded: %s", detail, extra=self._log_fields("degraded"))
        self._show(HealthState.DEGRADED, detail)
        await asyncio.sleep(delay_s)

    def _show(self, state: HealthState, detail: str | None) -> None:
        self.health = replace(self.health, state=state, detail=detail)

    def _log_fields(self, action: str) -> dict[str, str]:
        return {"action": f"telegram.{action}", "account": self.account}


def _offset_from(cursors: Mapping[str, Cursor]) -> int | None:
    """The stored cursor is the next offset; without one Telegram starts with the oldest it kept."""
    cursor = cursors.get(_WHOLE_ACCOUNT)
    return None if cursor is None else int(cursor.value)
