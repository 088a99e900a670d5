"""How a room shows an answer while it is written: one strategy for each StreamMode.

Natively (a message that grows), by drafts (a preview that leaves no trace) or by edits. A view asks whether a call
may be made and never makes a delivery wait. It slows down where the platform says so, and any other failure is for
`live.py`, which gives the view up. All of them end in the durable final message of `delivery.py`, which also closes
a stream: only it comes after a crash, too.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from channels.errors import ChannelError, Gone, Permanent, RateLimited, StreamEnded, Unreachable
from channels.messages import Operation, Receipt, Rendered, RoomRef
from channels.port import Adapter
from gateway.clock import Clock
from gateway.rules.pieces import settled_chars
from gateway.services.attempts import Opening
from gateway.services.delivery import Deliveries
from protocol.ids import IdPrefix
from storage.ports import OutboxStore
from storage.values import ClaimedRun, OutboxChanged, OutboxRow

OWED_S: Final = 0.2
"""Pause before looking again whether earlier answers were delivered: each is one or two calls."""
UNREACHABLE_S: Final = 5.0
"""Pause of a view when the platform cannot be reached: it is nothing to insist on."""
DRAFT_LIFE_S: Final = 20.0
"""How long a draft is taken to stay where the platform does not say."""
RENDER_HERE_CHARS: Final = 8_000
"""Longer texts are rendered in a thread, and more rarely: it takes tens of milliseconds."""
RENDER_SHARE: Final = 10
"""A draft pauses so many times as long as its rendering took."""
MARGIN: Final = 0.9
"""A stream is left in good time: the platform's clock is not ours."""


class Answer(Protocol):
    """An answer being written."""

    @property
    def text(self) -> str:
        """The text so far."""
        ...

    @property
    def is_stopped(self) -> bool:
        """Whether it is complete, or given up: nothing is shown any more."""
        ...

    async def pause(self, for_s: float) -> None:
        """Wait, but not longer than until it is stopped."""
        ...


@dataclass(frozen=True, slots=True)
class Stage:
    """One answer, its room, and what a view works with."""

    adapter: Adapter
    room: RoomRef
    run: ClaimedRun
    live: Answer
    outbox: OutboxStore
    deliveries: Deliveries
    clock: Clock

    async def reserve(self, opening: Opening | None = None) -> OutboxRow | None:
        """A row with a message on the platform, once earlier answers stand above it; None when it is too late."""
        while not self.live.is_stopped:
            wait_s = self.deliveries.traffic.may_show(self.adapter, self.room)
            if not wait_s:
                row = await self._reserve(opening)
                if row is not None:
                    return row
                wait_s = OWED_S
            await self.live.pause(wait_s)
        return None

    async def _reserve(self, opening: Opening | None) -> OutboxRow | None:
        """The message of an earlier attempt, or a new one; None while the room is owed something."""
        line = OutboxChanged(self.adapter.kind, self.adapter.account, self.room.room)
        async with self.deliveries.room_lock(self.adapter, self.room):
            if await self.outbox.next_in_room(line) is not None or self.live.is_stopped:
                return None
            delivery_id = self.clock.new_id(IdPrefix.DELIVERY)
            row = await self.outbox.open_live(self.run, delivery_id, self.clock.now_ms())
            if row.ref is not None:
                return row
            return await self.deliveries.reserve(self.adapter, self.room, row, opening)

    async def call(self, make: Callable[[], Awaitable[object]], interval_s: float) -> tuple[bool, float]:
        """Make a view's call if the room takes it now; whether it was made, and how long to pause.

        Raises ChannelError but for RateLimited and Unreachable: those only slow down.
        """
        traffic = self.deliveries.traffic
        wait_s = traffic.may_show(self.adapter, self.room)
        if wait_s:
            return False, wait_s
        async with self.deliveries.room_lock(self.adapter, self.room):
            if self.live.is_stopped:
                return False, 0.0
            try:
                await make()
            except RateLimited as limited:
                traffic.failed(self.adapter, self.room, limited)
                return False, max(interval_s, limited.after_s)
            except Unreachable as error:
                traffic.failed(self.adapter, self.room, error)
                return False, max(interval_s, UNREACHABLE_S)
            except ChannelError as error:
                traffic.failed(self.adapter, self.room, error)
                raise
        traffic.answered(self.adapter)
        return True, interval_s


# --- edits -----------------------------------------------------------------------------------------


async def show_by_edits(stage: Stage) -> None:
    """A placeholder that is edited."""
    row = await stage.reserve()
    if row is not None:
        await _edit(stage, row)


async def _edit(stage: Stage, row: OutboxRow) -> None:
    """Let the row's message show the beginning of the text, as far as one platform message goes."""
    assert row.ref is not None, "the message exists"
    ref, operation = row.ref, stage.deliveries.operation(row)
    capabilities = stage.adapter.capabilities(stage.room)
    text, shown = "", Rendered("")
    while not stage.live.is_stopped:
        pause_s = capabilities.edit_interval_s
        if stage.live.text != text:
            text = stage.live.text
            # Only the first platform message is shown live: no need to render a whole book.
            first = stage.adapter.render(text[: 2 * capabilities.text_max], stage.room)[0]
            if first != shown:
                edit = _Edit(stage, operation, ref, first)
                is_made, pause_s = await stage.call(edit, capabilities.edit_interval_s)
                text, shown = (text, first) if is_made else ("", shown)
        await stage.live.pause(pause_s)


@dataclass(frozen=True, slots=True)
class _Edit:
    stage: Stage
    operation: Operation
    ref: str
    content: Rendered

    def __call__(self) -> Awaitable[object]:
        return self.stage.adapter.edit(self.operation, self.stage.room, self.ref, self.content)


# --- a message that grows --------------------------------------------------------------------------


class _Opening:
    """Opens a stream, or posts a placeholder where the room has no streams after all."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.is_open = False

    async def __call__(self, operation: Operation) -> Receipt:
        stage = self._stage
        try:
            receipt = await stage.adapter.open_stream(operation, stage.room)
        except Gone:
            raise
        except Permanent:  # certainly not done
            return await stage.adapter.send(operation, stage.room, stage.adapter.placeholder(stage.room))
        # One that an earlier attempt opened shows what nobody knows: it is ended, and edited.
        self.is_open = receipt.certainty == "confirmed"
        return receipt


async def show_natively(stage: Stage) -> None:
    """A stream as long as it may live, then edits of its message."""
    opening = _Opening(stage)
    row = await stage.reserve(opening)
    if row is None or row.ref is None:
        return
    if opening.is_open:
        await _append(stage, row.ref)
    ref, is_ended = row.ref, False
    while not is_ended and not stage.live.is_stopped:
        is_ended, pause_s = await stage.call(lambda: _ended(stage, ref), 0.0)
        await stage.live.pause(pause_s)
    await _edit(stage, row)


async def _append(stage: Stage, ref: str) -> None:
    """Let the stream grow by what is new, until the end or until it takes no more. Nothing is said twice."""
    capabilities = stage.adapter.capabilities(stage.room)
    life_s = capabilities.stream_max_s * MARGIN if capabilities.stream_max_s is not None else float("inf")
    ends_at = stage.clock.monotonic() + life_s
    appended = 0
    while not stage.live.is_stopped and stage.clock.monotonic() < ends_at:
        pause_s = capabilities.stream_interval_s
        text = stage.live.text
        upto = min(settled_chars(text), capabilities.text_max)
        if upto > appended:
            piece = text[appended:upto]
            try:
                is_made, pause_s = await stage.call(_Append(stage, ref, piece), pause_s)
            except Gone:
                raise
            except ChannelError:  # ended, or nobody knows whether it was taken: only an edit can be repeated
                return
            appended = upto if is_made else appended
        await stage.live.pause(min(pause_s, max(0.0, ends_at - stage.clock.monotonic())))


@dataclass(frozen=True, slots=True)
class _Append:
    stage: Stage
    ref: str
    piece: str

    def __call__(self) -> Awaitable[object]:
        return self.stage.adapter.append(self.stage.room, self.ref, self.piece)


async def _ended(stage: Stage, ref: str) -> None:
    """Ending a stream that the platform ended is success; what refuses to end shows in the edits that follow."""
    try:
        await stage.adapter.close_stream(stage.room, ref)
    except Gone:
        raise
    except Permanent:
        return


# --- drafts ----------------------------------------------------------------------------------------


async def show_drafts(stage: Stage) -> None:
    """A preview of the newest part, shown again before it vanishes; edits where this room has no previews.

    Nothing of a preview is durable.
    """
    try:
        await _draft(stage)
    except StreamEnded:
        await show_by_edits(stage)


async def _draft(stage: Stage) -> None:
    capabilities = stage.adapter.capabilities(stage.room)
    repeat_s = (capabilities.stream_max_s or DRAFT_LIFE_S) / 2
    operation = Operation(stage.run.id, stage.run.attempt, stage.clock.now_ms())
    text, shown_at = "", float("-inf")
    while not stage.live.is_stopped:
        pause_s, now = capabilities.stream_interval_s, stage.clock.monotonic()
        if stage.live.text != text or now - shown_at >= repeat_s:
            text = stage.live.text
            content, pause_s = await _newest_part(stage, text, pause_s)
            draft = _Draft(stage, operation, content)
            is_made, pause_s = await stage.call(draft, pause_s)
            text, shown_at = (text, now) if is_made else ("", shown_at)
        await stage.live.pause(min(pause_s, repeat_s))


async def _newest_part(stage: Stage, text: str, pause_s: float) -> tuple[Rendered, float]:
    """The last platform message of the text so far, and how long to pause behind it."""
    if len(text) <= RENDER_HERE_CHARS:
        return stage.adapter.render(text, stage.room)[-1], pause_s
    began = stage.clock.monotonic()
    parts = await asyncio.to_thread(stage.adapter.render, text, stage.room)
    return parts[-1], max(pause_s, RENDER_SHARE * (stage.clock.monotonic() - began))


@dataclass(frozen=True, slots=True)
class _Draft:
    stage: Stage
    operation: Operation
    content: Rendered

    def __call__(self) -> Awaitable[object]:
        return self.stage.adapter.draft(self.operation, self.stage.room, self.content)
