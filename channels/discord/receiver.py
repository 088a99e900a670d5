"""Receiving: one queue and one committing task, so that order is kept and nothing passes unstored.

Theory of operation: dispatches of the gateway and pages read back wait in one queue. The committing task turns
them into deliveries, stores up to BATCH_MAX of them together with the cursors of their rooms, and only then
answers people who pressed something. A batch that cannot be stored is kept and tried again, while the socket
behind a full queue is left unread; after a crash the cursors lead back to it. Only interactions are not kept:
their three seconds are over, so the person is told to try again.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from channels.discord.backoff import Backoff
from channels.discord.capabilities import ANSWERS_S, BATCH_MAX, QUEUE_MAX
from channels.discord.catch_up import READ_BACK, Page
from channels.discord.inbound import Reader, Scene, is_own, to_deleted, to_edited, to_inbound
from channels.discord.interactions import (
    NOT_STORED,
    Interaction,
    InteractionKind,
    answer,
    reason_form,
    to_interaction,
    whisper,
)
from channels.discord.places import Place, PlaceKind, Places
from channels.discord.snowflakes import first_id_at, millis_of
from channels.discord.watch import Event, Watch
from channels.errors import ChannelError, Gone
from channels.messages import Delivery
from channels.port import InboxSink

log = logging.getLogger(__name__)

_NOT_STORED_DETAIL = "what was received could not be stored and will be tried again; see the log"


class Counter(Protocol):
    """What the receiver asks of the REST side."""

    async def channel(self, channel_id: str) -> Mapping[str, Any]:
        """A channel object. Raises ChannelError."""
        ...

    async def respond(self, interaction: Interaction, body: Mapping[str, Any]) -> None:
        """Answer an interaction. Failures are logged: nobody can do anything about them."""
        ...


@dataclass(slots=True)
class _Batch:
    """What is stored together. `interactions` by their place in `deliveries`."""

    deliveries: list[Delivery] = field(default_factory=list)
    interactions: dict[int, Interaction] = field(default_factory=dict)

    def without_interactions(self) -> "_Batch":
        kept = [one for place, one in enumerate(self.deliveries) if place not in self.interactions]
        return _Batch(kept)


@dataclass(slots=True)
class Receiver:
    """One account's queue. `run` once; `take` from the gateway and from catching up."""

    account: str
    sink: InboxSink
    places: Places
    watch: Watch
    counter: Counter
    reader: Reader
    rooms: frozenset[str]
    backoff: Backoff
    is_stuck: bool = False
    """Whether the last attempt to store failed."""
    last_event_at_ms: int | None = None
    unreadable_rooms: set[str] = field(default_factory=set)
    _queue: deque[Event] = field(default_factory=deque)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _drained: asyncio.Event = field(default_factory=asyncio.Event)
    _behind: asyncio.Event = field(default_factory=asyncio.Event)
    _answers: set[asyncio.Task[None]] = field(default_factory=set)
    _known_until_ms: int | None = None

    # --- the queue ----------------------------------------------------------------------------

    def take(self, name: str, data: Any) -> None:
        """Append an event."""
        self._queue.append(Event(name, data))
        self._arrived.set()
        if name in ("MESSAGE_CREATE", "INTERACTION_CREATE"):
            self.last_event_at_ms = _now_ms()

    async def can_take(self) -> None:
        """Return when there is space for more of the gateway's events, held ones counted."""
        await self._until_below(lambda: len(self._queue) + self.watch.held_count)

    async def has_space(self) -> None:
        """Return when there is space for another page; held events wait for pages, so they do not count."""
        await self._until_below(lambda: len(self._queue))

    async def _until_below(self, size: Any) -> None:
        while size() >= QUEUE_MAX:
            self._drained.clear()
            await self._drained.wait()

    # --- the committing task ------------------------------------------------------------------

    async def load(self) -> None:
        """Take the stored cursors. Raises what the store raises."""
        cursors = await self.sink.cursors()
        self.watch.load(cursors)
        self._known_until_ms = max((one.updated_at_ms for one in cursors.values()), default=None)

    async def run(self, wake_catch_up: Any) -> None:
        """Store what arrives until cancelled. A commit in progress is awaited first."""
        while True:
            while not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
            batch = _Batch()
            while self._queue and len(batch.deliveries) < BATCH_MAX:
                event = self._queue.popleft()
                try:
                    await self._process(event, batch)
                except Exception:
                    # The edge of this task: one event that nobody can read must not end receiving.
                    log.exception("discord event not understood", extra=self._log_fields("not_understood"))
            await self._store(batch)
            self._drained.set()
            wake_catch_up()

    async def finish(self) -> None:
        """Let answers on their way arrive."""
        if self._answers:
            await asyncio.wait(self._answers, timeout=ANSWERS_S)
        for task in self._answers:
            task.cancel()
        await asyncio.gather(*self._answers, return_exceptions=True)

    async def _process(self, event: Event, batch: _Batch) -> None:
        name, data = event
        if name == "READY":
            self._known_until_ms = max(self._known_until_ms or 0, self.last_event_at_ms or 0) or None
            self.watch.lose_track()
        elif name == READ_BACK:
            await self._read_back(data, batch)
        elif name == "INTERACTION_CREATE":
            self._interaction(to_interaction(data), batch)
        elif name.startswith("MESSAGE_"):
            if not self.watch.hold(data["channel_id"], event):
                await self._message(event, batch)
        else:
            for place in self.places.learn(name, data):
                self._begin(place, is_snapshot=name == "GUILD_CREATE")

    def _begin(self, place: Place, is_snapshot: bool) -> None:
        """Watch a room from the moment it is seen. One that was made while nobody looked is read from its start."""
        if self.rooms and not self.rooms & {place.id, place.parent}:
            return
        permissions = self.places.permissions(place)
        if permissions is not None and not permissions.view_channel:
            return
        is_new = self._known_until_ms is not None and millis_of(place.id) > self._known_until_ms
        if is_new:
            self.watch.begin(place.id, int(place.id), is_behind=is_snapshot)
        else:
            self.watch.begin(place.id, int(place.last_message or first_id_at(_now_ms())), is_behind=False)

    # --- messages -----------------------------------------------------------------------------

    async def _message(self, event: Event, batch: _Batch) -> None:
        name, data = event
        scene = await self._scene(data["channel_id"], data.get("guild_id"))
        match name:
            case "MESSAGE_CREATE":
                self._written(data, scene, batch)
            case "MESSAGE_UPDATE":
                if not is_own(data, self.reader) and (edited := to_edited(data, scene, self.reader)):
                    batch.deliveries.append(edited)
            case _:
                for message_id in data.get("ids") or [data["id"]]:
                    batch.deliveries.append(to_deleted(message_id, scene, _now_ms()))

    def _written(self, data: Mapping[str, Any], scene: Scene, batch: _Batch) -> None:
        """A message; the bot's own move the cursor without being a delivery."""
        if not is_own(data, self.reader):
            batch.deliveries.append(to_inbound(data, scene, self.reader))
        self.watch.advance(data["channel_id"], int(data["id"]))

    async def _read_back(self, page: Page, batch: _Batch) -> None:
        if page.refusal is not None:
            await self._unreadable(page.room, page.refusal)
        elif page.messages:
            await self._page(page, batch)
        elif page.is_last:
            await self._check_readable(page.room)
        if page.is_last:
            # Behind what was read, in front of everything newer.
            self._queue.extendleft(reversed(self.watch.caught_up(page.room, page.generation)))

    async def _page(self, page: Page, batch: _Batch) -> None:
        place = self.places.find(page.room)
        guild_id = place.guild if place else None
        scene = await self._scene(page.room, guild_id, asks=place is None)
        for message in page.messages:
            was_taken = self.watch.is_taken(page.room, int(message["id"]))
            self._written(message, scene, batch)
            if was_taken and not is_own(message, self.reader):
                edited = to_edited(message, scene, self.reader)
                batch.deliveries += [edited] if edited else []

    async def _unreadable(self, room: str, error: ChannelError) -> None:
        if not isinstance(error, Gone):
            self.unreadable_rooms.add(room)
        log.info("discord room cannot be read back: %s", error, extra=self._log_fields("unreadable_room"))
        self.watch.drop(room)

    async def _check_readable(self, room: str) -> None:
        """Without the right to read history the answer is empty: say what is lost."""
        place, last = self.places.find(room), self.watch.last(room)
        if place is None or last is None or self.places.can_read_back(place):
            return
        self.unreadable_rooms.add(room)
        if place.last_message is not None and int(place.last_message) > last:
            since_ms = millis_of(str(last))
            reason = f"the bot may not read the history of channel {room}"
            await self.sink.gap(since_ms, _now_ms(), reason)
            self.watch.advance(room, int(place.last_message))

    async def _scene(self, channel_id: str, guild_id: str | None, asks: bool = False) -> Scene:
        """Where a message stands. Without a guild it is a direct chat, unless the gateway never told."""
        place = self.places.find(channel_id)
        if place is None and guild_id is None and not asks:
            place = Place(channel_id, PlaceKind.DIRECT)
        if place is None:
            try:
                place = self.places.add(await self.counter.channel(channel_id))
            except ChannelError as error:
                log.warning("discord channel unknown: %s", error, extra=self._log_fields("unknown_channel"))
                place = Place(channel_id, PlaceKind.CHANNEL if guild_id else PlaceKind.DIRECT, guild_id)
        return Scene(place, self.places.takes_threads(place), self.places.bot_role(place.guild))

    # --- interactions -------------------------------------------------------------------------

    def _interaction(self, interaction: Interaction, batch: _Batch) -> None:
        batch.deliveries.append(interaction.delivery)
        if interaction.kind is InteractionKind.ASK_REASON:
            # Nothing is decided yet, so nothing has to be stored before the form opens.
            self._answer(interaction, reason_form(interaction.value))
        else:
            batch.interactions[len(batch.deliveries) - 1] = interaction

    def _answer(self, interaction: Interaction, body: Mapping[str, Any]) -> None:
        task = asyncio.create_task(self.counter.respond(interaction, body), name=f"answer {interaction.id}")
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    # --- storing ------------------------------------------------------------------------------

    async def _store(self, batch: _Batch) -> None:
        """Store a batch, however long it takes, and answer who waits for an answer."""
        failures = 0
        while batch.deliveries or self.watch.has_new_room:
            moves = self.watch.moves()
            try:
                verdicts = await self._commit(batch.deliveries, moves)
            except Exception:
                # The edge of this task: whatever a store does must not end receiving.
                log.exception("discord batch not stored", extra=self._log_fields("batch_not_taken"))
                self.is_stuck = True
                for interaction in batch.interactions.values():
                    self._answer(interaction, whisper(NOT_STORED))
                batch = batch.without_interactions()
                failures += 1
                await asyncio.sleep(self.backoff.delay_s(failures))
            else:
                self.is_stuck = False
                self.watch.stored(moves)
                for place, interaction in batch.interactions.items():
                    self._answer(interaction, answer(interaction, verdicts[place]))
                return

    async def _commit(self, deliveries: Sequence[Delivery], cursors: Mapping[str, str]) -> Any:
        """Store the batch. Cancelled meanwhile, it still waits for the store's answer."""
        commit = asyncio.ensure_future(self.sink.commit(deliveries, cursors))
        try:
            return await asyncio.shield(commit)
        except asyncio.CancelledError:
            await asyncio.wait({commit})
            if not commit.cancelled() and (error := commit.exception()):
                log.warning(
                    "discord batch not stored before the stop, it is read back at the next start",
                    exc_info=error,
                    extra=self._log_fields("batch_not_taken"),
                )
            raise

    def _log_fields(self, action: str) -> dict[str, str]:
        return {"action": f"discord.{action}", "account": self.account}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
