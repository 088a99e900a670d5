"""One delivery's next act: the call that its row asks for, once, and the record of what came of it.

What is to be done follows from the table in `rules/delivery_states.py`; whose turn it is and when is decided in
`delivery.py` and `traffic.py`. The caller holds the room's lock.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeVar

import structlog

from channels.capabilities import Idempotency, StreamMode
from channels.errors import AuthLost, ChannelError, Gone, Permanent, RateLimited, UnknownOutcome, Unreachable
from channels.messages import Finding, Operation, OutboundFile, Receipt, Rendered, RoomRef
from channels.port import Adapter
from gateway.clock import Clock
from gateway.crash_points import reached
from gateway.rules import breaker, retry
from gateway.rules import delivery_states as states
from gateway.rules.delivery_states import Todo, decide
from gateway.services.channels import Channels, thaw
from gateway.services.traffic import Traffic
from storage.errors import StoreUnavailable
from storage.ports import OutboxStore
from storage.values import DeliveryStep, OutboxRow

log = structlog.get_logger()
_Answer = TypeVar("_Answer")

STORE_RETRY_S: Final = 1.0
"""Pause before recording again when the store failed."""
LOOK_AGAIN_S: Final = 5.0
"""A message that cannot be found may still be under way inside the platform: it is looked for twice, so far apart."""

BlobReader = Callable[[str, str], Awaitable[OutboundFile]]
"""(org_id, blob_id) -> the file. Raises Permanent when there is none, StoreUnavailable."""
Opening = Callable[[Operation], Awaitable[Receipt]]
"""The call that puts a message without its content on the platform."""


async def no_files(org_id: str, blob_id: str) -> OutboundFile:
    """The reader of a gateway that keeps no files."""
    raise Permanent("no such file")


class Attempts:
    """Makes the calls and records them."""

    def __init__(
        self,
        outbox: OutboxStore,
        channels: Channels,
        traffic: Traffic,
        clock: Clock,
        stopping: asyncio.Event,
        read_blob: BlobReader = no_files,
    ) -> None:
        self._outbox = outbox
        self._channels = channels
        self._traffic = traffic
        self._clock = clock
        self._stopping = stopping
        self._read_blob = read_blob
        self._missed: set[str] = set()
        """Deliveries that were looked for once and not found."""

    def operation(self, row: OutboxRow) -> Operation:
        """The adapter's name for one attempt of a row."""
        return Operation(row.id, row.attempt, row.sending_since_ms, row.recipient)

    async def make(self, adapter: Adapter, room: RoomRef, row: OutboxRow, failures: int) -> bool:
        """Do the one thing that is next for `row`; False when it failed, for now or for good."""
        assert row.content is not None, "only rows with a content have their turn"
        content = thaw(row.content)
        try:
            match decide(row, adapter.capabilities(room), is_file=content.blob_id is not None):
                case Todo.RECONCILE:
                    await self.reconcile(adapter, room, row)
                case Todo.RESERVE:
                    await self.reserve(adapter, room, row, self.placeholder(adapter, room))
                case Todo.SEND:
                    await self._send(
                        adapter, room, row, lambda operation: adapter.send(operation, room, content)
                    )
                case Todo.UPLOAD:
                    await self._upload(adapter, room, row, content)
                case Todo.EDIT:
                    await self._edit(adapter, room, row, content)
        except Recorded as failure:
            self._traffic.failed(adapter, room, failure.error)
            return False
        except ChannelError as error:
            self._traffic.failed(adapter, room, error)
            await self._record_failure(row, error, failures)
            return False
        self._traffic.answered(adapter)
        return True

    def placeholder(self, adapter: Adapter, room: RoomRef) -> Opening:
        """A message that stands for an answer, to be edited into it."""
        return lambda operation: adapter.send(operation, room, adapter.placeholder(room))

    async def reserve(self, adapter: Adapter, room: RoomRef, row: OutboxRow, opening: Opening) -> OutboxRow:
        """Put a message without its content on the platform; the row with its reference.

        Raises ChannelError after recording what is known.
        """
        if row.phase == states.UNKNOWN:
            row = await self.reconcile(adapter, room, row)
            if row.ref is not None:
                return row
        if row.phase == states.IDLE:
            row = await self.step(row, states.BEGIN_SEND)
        if row.phase != states.SENDING:
            raise Recorded(UnknownOutcome("nobody knows yet whether it was sent"))
        reached("delivery.before_placeholder")
        try:
            receipt = await _asked(opening(self.operation(row)))
        except ChannelError as error:
            await self._record_failed_send(row, error, 1)
            raise Recorded(error) from error
        reached("delivery.after_placeholder")
        row = await self.step(row, states.confirmed(receipt.ref))
        reached("delivery.placeholder_recorded")
        return row

    async def reconcile(self, adapter: Adapter, room: RoomRef, row: OutboxRow) -> OutboxRow:
        """Ask whether a send of unknown outcome happened, and record the answer. Raises ChannelError."""
        content = thaw(row.content) if row.content is not None else adapter.placeholder(room)
        result = await _asked(adapter.reconcile(self.operation(row), room, content))
        if result.finding is Finding.FOUND and result.receipt is not None:
            self._missed.discard(row.id)
            ref = result.receipt.ref
            is_whole = content.blob_id is not None or not adapter.capabilities(room).can_edit
            return await self.step(row, states.arrived(ref) if is_whole else states.found(ref))
        if result.finding is Finding.UNKNOWABLE:
            return await self._nobody_knows(adapter, row)
        if adapter.capabilities(room).idempotency is Idempotency.READBACK and row.id not in self._missed:
            self._missed.add(row.id)
            later = self._clock.now_ms() + round(LOOK_AGAIN_S * 1000)
            return await self.step(row, states.undecided(later, "it was looked for once and not found"))
        self._missed.discard(row.id)
        if row.attempt >= retry.DELIVERY_ATTEMPTS:
            return await self.step(row, states.refused("its outcome was lost too often"))
        return await self.step(row, self._later(states.ABSENT, row))

    async def step(self, row: OutboxRow, step: DeliveryStep) -> OutboxRow:
        """Record a step, until the store takes it: what happened on the platform must not be forgotten."""
        while True:
            try:
                return await self._outbox.step(row.id, step, self._clock.now_ms())
            except StoreUnavailable as error:
                if self._stopping.is_set():
                    raise
                log.warning("a delivery waits for the store", action="delivery_waits", error=str(error))
                await asyncio.sleep(STORE_RETRY_S)

    # --- calls --------------------------------------------------------------------------------

    async def _send(self, adapter: Adapter, room: RoomRef, row: OutboxRow, opening: Opening) -> None:
        """A send that carries the content."""
        row = await self.step(row, states.BEGIN_SEND)
        reached("delivery.before_send")
        try:
            receipt = await _asked(opening(self.operation(row)))
        except ChannelError as error:
            await self._record_failed_send(row, error, 1)
            raise Recorded(error) from error
        reached("delivery.after_send")
        is_whole = row.content is None or thaw(row.content).blob_id is not None
        if receipt.certainty == "deduplicated" and not is_whole and adapter.capabilities(room).can_edit:
            # An earlier attempt stands there, and what it says is not known: its placeholder has the same name.
            await self.step(row, states.confirmed(receipt.ref))
            return
        await self.step(row, states.delivered(receipt.ref))
        reached("delivery.recorded")

    async def _upload(self, adapter: Adapter, room: RoomRef, row: OutboxRow, content: Rendered) -> None:
        assert content.blob_id is not None, "a file is uploaded"
        file = await self._read_blob(row.org_id, content.blob_id)
        await self._send(adapter, room, row, lambda operation: adapter.upload(operation, room, content, file))

    async def _edit(self, adapter: Adapter, room: RoomRef, row: OutboxRow, content: Rendered) -> None:
        assert row.ref is not None, "only a known message is edited"
        if row.part == 1 and adapter.capabilities(room).stream is StreamMode.NATIVE:
            await self._close_stream(adapter, room, row.ref)
        reached("delivery.before_edit")
        receipt = await _asked(adapter.edit(self.operation(row), room, row.ref, content))
        reached("delivery.after_edit")
        await self.step(row, states.delivered(receipt.ref))
        reached("delivery.recorded")

    async def _close_stream(self, adapter: Adapter, room: RoomRef, ref: str) -> None:
        """Here and not where it was shown, because a stream may be left open by a process that is no more."""
        try:
            await _asked(adapter.close_stream(room, ref))
        except Permanent as error:
            log.info("a stream was not closed", action="stream_not_closed", error=str(error))

    # --- what came of it ----------------------------------------------------------------------

    async def _nobody_knows(self, adapter: Adapter, row: OutboxRow) -> OutboxRow:
        asks = self._channels.policy(adapter.kind, adapter.account).on_unknown == "ask"
        is_last = row.attempt >= retry.DELIVERY_ATTEMPTS
        log.warning("a send may have happened twice", action="delivery_uncertain", delivery_id=row.id)
        if asks or is_last:
            return await self.step(row, states.WITHHELD)
        return await self.step(row, self._later(states.UNKNOWABLE, row))

    async def _record_failure(self, row: OutboxRow, error: ChannelError, failures: int) -> None:
        """Of anything but a send, which records itself."""
        if row.phase == states.UNKNOWN:
            await self.step(row, states.undecided(self._next_attempt(error, failures), str(error)))
        elif isinstance(error, Gone) and row.ref is not None:
            await self.step(row, states.RETRACTED)
        elif _is_final(error, failures):
            await self.step(row, states.refused(str(error)))
        else:
            await self.step(row, states.postponed(self._next_attempt(error, failures), str(error)))

    async def _record_failed_send(self, row: OutboxRow, error: ChannelError, failures: int) -> None:
        if isinstance(error, UnknownOutcome):
            await self.step(row, states.DOUBTED)
        elif _is_final(error, row.attempt):
            await self.step(row, states.refused(str(error)))
        else:
            next_attempt = self._next_attempt(error, max(failures, row.attempt))
            await self.step(row, states.postponed(next_attempt, str(error)))

    def _later(self, step: DeliveryStep, row: OutboxRow) -> DeliveryStep:
        """Back to its turn, but not at once: what lost one answer may lose the next."""
        wait_s = retry.backoff_s(row.attempt, self._clock.chance())
        return replace(step, next_attempt_at_ms=self._clock.now_ms() + round(wait_s * 1000))

    def _next_attempt(self, error: ChannelError, failures: int) -> int:
        return self._clock.now_ms() + round(self._wait_s(error, failures) * 1000)

    def _wait_s(self, error: ChannelError, failures: int) -> float:
        if isinstance(error, RateLimited):
            return error.after_s
        if isinstance(error, AuthLost):
            return breaker.AUTH_S
        return retry.backoff_s(failures, self._clock.chance())


class Recorded(Unreachable):
    """A send failed with `error`, and its row says so."""

    def __init__(self, error: ChannelError) -> None:
        super().__init__(str(error))
        self.error = error


def _is_final(error: ChannelError, attempts: int) -> bool:
    """Whether trying again is of no use. Being told to wait is no failure, however often it happens."""
    if isinstance(error, RateLimited | AuthLost):
        return False
    return isinstance(error, Permanent) or attempts >= retry.DELIVERY_ATTEMPTS


async def _asked(call: Awaitable[_Answer]) -> _Answer:
    """The answer of an adapter. One that breaks in the middle of a call leaves its outcome open."""
    try:
        return await call
    except ChannelError:
        raise
    except Exception as error:
        log.exception("an adapter broke", action="adapter_broke")
        raise UnknownOutcome(f"the adapter broke ({type(error).__name__})") from error
