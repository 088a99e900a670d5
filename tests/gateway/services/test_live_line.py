"""A live message and what its room is owed: answers stand in the order they were given."""

import asyncio
from types import SimpleNamespace

from channels.capabilities import Capabilities, Idempotency, TextUnit
from channels.messages import Receipt, Rendered, RoomRef
from gateway.clock import Clock
from gateway.services.delivery import Deliveries
from gateway.services.live import LiveMessages
from protocol.records import Origin
from storage.values import ClaimedRun, OutboxChanged, OutboxRow

ROOM = RoomRef("1001")
ORIGIN = Origin(kind="channel", channel="paper", account="a", room=ROOM.room)


class Paper:
    """An adapter that only posts placeholders."""

    kind, account = "paper", "a"

    def __init__(self) -> None:
        self.sent = asyncio.Event()

    def capabilities(self, room: RoomRef) -> Capabilities:
        return Capabilities(4000, TextUnit.CODEPOINTS, Idempotency.NONE, can_edit=True, edit_interval_s=0.01)

    def placeholder(self, room: RoomRef) -> Rendered:
        return Rendered("…")

    def render(self, markdown: str, room: RoomRef) -> list[Rendered]:
        return [Rendered(markdown)]

    async def send(self, operation: object, room: RoomRef, content: Rendered) -> Receipt:
        self.sent.set()
        return Receipt("1")

    async def edit(self, operation: object, room: RoomRef, ref: str, content: Rendered) -> Receipt:
        return Receipt(ref)


class Owing:
    """An outbox that owes the room something for as long as a test wants."""

    def __init__(self) -> None:
        self.owed: OutboxRow | None = row("dlv_0", content="an earlier answer")
        self.asked = asyncio.Event()

    async def next_in_room(self, room: OutboxChanged) -> OutboxRow | None:
        assert (room.channel, room.account, room.room) == ("paper", "a", ROOM.room)
        self.asked.set()
        return self.owed

    async def open_live(self, run: ClaimedRun, delivery_id: str, now_ms: int) -> OutboxRow:
        return row(delivery_id, phase="sending")

    async def step(self, delivery_id: str, step: object, now_ms: int) -> OutboxRow:
        return row(delivery_id, ref="1")


def row(
    delivery_id: str, *, phase: str = "idle", content: str | None = None, ref: str | None = None
) -> OutboxRow:
    return OutboxRow(
        id=delivery_id,
        org_id="org",
        channel="paper",
        account="a",
        room=ROOM.room,
        topic=None,
        thread_id="thr_1",
        run_id="run_1",
        part=1,
        phase=phase,
        content=content,
        ref=ref,
        attempt=1,
        next_attempt_at_ms=0,
    )


async def test_a_placeholder_is_not_posted_before_earlier_answers_are_there() -> None:
    paper, outbox, clock = Paper(), Owing(), Clock()
    channels = SimpleNamespace(of=lambda origin: (paper, ROOM), find=lambda kind, account: paper)
    deliveries = Deliveries(outbox, channels, clock)  # type: ignore[arg-type]
    messages = LiveMessages(outbox, channels, deliveries, clock)  # type: ignore[arg-type]
    live = messages.open(SimpleNamespace(id="run_1", origin=ORIGIN))  # type: ignore[arg-type]
    live.update(SimpleNamespace(text="the answer"))  # type: ignore[arg-type]
    await asyncio.wait_for(outbox.asked.wait(), 2)
    assert not paper.sent.is_set()
    outbox.owed = None
    await asyncio.wait_for(paper.sent.wait(), 2)
    live.stop()
    await messages.close(2)
