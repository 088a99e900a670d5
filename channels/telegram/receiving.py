"""What polling and the webhook share: taking updates, answering buttons, noting that we listen, showing how it goes.

Theory of operation: updates are stored in one commit, and only what returned from it may be confirmed to
Telegram, by whichever way it came. Buttons are answered after that, beside the next batch. Telegram keeps what
nobody fetched for a day, so whoever listens notes it every few minutes; a longer silence is reported as a gap,
once, when we are back.

Knows no SDK: the adapter hands in calls whose errors are ChannelErrors.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from channels.errors import AuthLost, ChannelError, RateLimited
from channels.messages import Cursor, Delivery, Edited, Health, HealthState, Inbound, Verdict
from channels.port import InboxSink
from channels.telegram.capabilities import ALIVE_NOTE_MS, RETENTION_MS
from channels.telegram.inbound import BotIdentity, callback_to_answer, to_delivery

log = logging.getLogger(__name__)

_NOT_STORED = "what arrived could not be stored and will be delivered again; see the log"
_TOO_LONG_AWAY = "nobody listened for longer than Telegram keeps messages"
PRIVACY_MODE = (
    "privacy mode is on, so in groups only mentions, replies and commands arrive although mention_required is "
    "false: switch it off with @BotFather and add the bot to the group again, or make it an administrator"
)


class Account(Protocol):
    """The calls about the account itself. Both raise ChannelError."""

    async def identify(self) -> BotIdentity:
        """Who the token belongs to."""
        ...

    async def answer(self, query_id: str, says: str | None) -> None:
        """Answer a pressed button, with a text for the one who pressed it or without."""
        ...


@dataclass(slots=True)
class Receiver:
    """One account's receiving, whatever way updates come. Times are milliseconds since 1970."""

    name: str
    account: Account
    sink: InboxSink
    wants_everything: bool
    """Whether messages that are not meant for the bot are to arrive, too."""
    pause_s: Callable[[int], float]
    """How long to wait after so many failures in a row."""
    now_ms: Callable[[], int]
    health: Health = field(default_factory=lambda: Health(HealthState.STARTING))
    _identity: BotIdentity | None = None
    _known_at_ms: int | None = None
    """When it was last noted that we listen."""
    _answers: set[asyncio.Task[None]] = field(default_factory=set)

    async def persist(self, act: Callable[[], Awaitable[None]]) -> None:
        """Do `act` again and again until cancelled or until the token is refused; wait after failures."""
        failures = 0
        while True:
            try:
                await act()
            except AuthLost as error:
                self.show(HealthState.STOPPED, str(error))
                log.error("telegram stopped: %s", error, extra=self._log_fields("auth_lost"))  # noqa: TRY400 - no trace: expected
                return
            except ChannelError as error:
                failures += 1
                after_s = error.after_s if isinstance(error, RateLimited) else 0.0
                await self._wait(failures, after_s, str(error))
            except Exception:
                # The edge of this task: whatever a store does must not end receiving.
                log.exception("telegram batch not taken", extra=self._log_fields("batch_not_taken"))
                failures += 1
                await self._wait(failures, 0.0, _NOT_STORED)
            else:
                failures = 0

    async def close(self) -> None:
        """End the answers under way: a button that waits stops turning by itself."""
        answers = list(self._answers)
        for answer in answers:
            answer.cancel()
        await asyncio.gather(*answers, return_exceptions=True)

    @property
    def is_ready(self) -> bool:
        """Whether updates can be judged: that takes knowing who we are."""
        return self._identity is not None

    async def get_ready(self) -> Mapping[str, Cursor]:
        """Learn who we are and where receiving stands. Raises ChannelError and whatever the store raises."""
        self.learned(await self.account.identify())
        cursors = await self.sink.cursors()
        # Without a word of an earlier time we begin now: nothing is known to be missing.
        self._known_at_ms = max((cursor.updated_at_ms for cursor in cursors.values()), default=self.now_ms())
        return cursors

    def learned(self, identity: BotIdentity) -> None:
        """This is who we are, and what we may see."""
        self._identity = identity
        lacks = self.wants_everything and not identity.reads_everything
        self.health = replace(self.health, missing=(PRIVACY_MODE,) if lacks else ())

    async def take(self, updates: Sequence[Mapping[str, Any]], cursors: Mapping[str, str]) -> None:
        """Store updates together with the cursors; durable when it returns. Raises what the store raises."""
        assert self._identity is not None, "get_ready comes first"
        await self.report_silence()
        now_ms = self.now_ms()
        batch = [to_delivery(update, self._identity, now_ms) for update in updates]
        verdicts = await self._commit(batch, cursors)
        if batch:
            self._note_arrival(batch, now_ms)
        for update, verdict in zip(updates, verdicts, strict=False):
            query_id = callback_to_answer(update)
            if query_id is not None:
                self._answer(query_id, verdict.says)

    async def note_alive(self, cursors: Mapping[str, str]) -> None:
        """Nothing came, and we did listen: write that down now and then."""
        await self.report_silence()
        if self._known_at_ms is None or self.now_ms() - self._known_at_ms >= ALIVE_NOTE_MS:
            await self._commit([], cursors)

    async def report_silence(self) -> None:
        """Report the time for which nobody can know what was said, if there is one."""
        lost_until_ms = self.now_ms() - RETENTION_MS
        if self._known_at_ms is not None and self._known_at_ms < lost_until_ms:
            await self.sink.gap(self._known_at_ms, lost_until_ms, _TOO_LONG_AWAY)
            self._known_at_ms = lost_until_ms

    def show(self, state: HealthState, detail: str | None = None) -> None:
        """How it goes."""
        self.health = replace(self.health, state=state, detail=detail)

    # --- parts --------------------------------------------------------------------------------

    async def _commit(self, batch: Sequence[Delivery], cursors: Mapping[str, str]) -> Sequence[Verdict]:
        """Store the batch. Cancelled meanwhile, it still waits for the store's answer."""
        commit = asyncio.ensure_future(self.sink.commit(batch, cursors))
        try:
            verdicts = await asyncio.shield(commit)
        except asyncio.CancelledError:
            await asyncio.wait({commit})
            if not commit.cancelled() and (error := commit.exception()):
                log.warning(
                    "telegram batch not stored before the stop, it will come again",
                    exc_info=error,
                    extra=self._log_fields("batch_not_taken"),
                )
            raise
        self._known_at_ms = self.now_ms()
        return verdicts

    def _note_arrival(self, batch: Sequence[Delivery], now_ms: int) -> None:
        said_at_ms = [one.occurred_at_ms for one in batch if isinstance(one, Inbound | Edited)]
        lag_ms = max(0, now_ms - max(said_at_ms)) if said_at_ms else self.health.lag_ms
        self.health = replace(self.health, last_event_at_ms=now_ms, lag_ms=lag_ms)

    def _answer(self, query_id: str, says: str | None) -> None:
        task = asyncio.create_task(self._answer_button(query_id, says), name=f"telegram answer:{self.name}")
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _answer_button(self, query_id: str, says: str | None) -> None:
        try:
            await self.account.answer(query_id, says)
        except ChannelError as error:
            # What was pressed is stored; the button stops turning by itself.
            log.info("telegram button not answered: %s", error, extra=self._log_fields("not_answered"))

    async def _wait(self, failures: int, at_least_s: float, detail: str) -> None:
        delay_s = max(at_least_s, self.pause_s(failures))
        if self.health.state is not HealthState.DEGRADED or self.health.detail != detail:
            log.warning("telegram degraded: %s", detail, extra=self._log_fields("degraded"))
        self.show(HealthState.DEGRADED, detail)
        await asyncio.sleep(delay_s)

    def _log_fields(self, action: str) -> dict[str, str]:
        return {"action": f"telegram.{action}", "account": self.name}
