"""A scripted chat network behind the adapter port, and a store with a dispatcher to write to it.

`Network` remembers what it shows, recognises repeats as far as its capabilities say, and fails as told: each call
takes the next fate of its method from the script, and does what it should when there is none.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gateway_stage import eventually

from channels.capabilities import Capabilities, Idempotency, StreamMode, TextUnit
from channels.errors import ChannelError, UnknownOutcome
from channels.messages import (
    Attachment,
    Card,
    Finding,
    Health,
    HealthState,
    HttpRequest,
    HttpResponse,
    Mark,
    Operation,
    OutboundFile,
    Receipt,
    Reconciled,
    Rendered,
    RoomRef,
)
from channels.port import Adapter, InboxSink
from gateway.clock import Clock
from gateway.content_keys import ContentSealer
from gateway.hub.streams import Stream
from gateway.rules.run_states import TRANSITIONS, RunEvent
from gateway.services.attempts import BlobReader, no_files
from gateway.services.channels import AccountPolicy, Channels, freeze
from gateway.services.delivery import Deliveries
from gateway.services.live import LiveMessages
from gateway.vault_key import cipher_beside
from protocol.ids import IdPrefix
from protocol.records import Actor, ActorKind, Origin, Usage
from protocol.requests import MessageSendResult
from storage.store import Store
from storage.values import DEFAULT_ORG, Act, ClaimedRun, NewMessage, NewThread, Outbound

ROOM = RoomRef("r1")
PLACEHOLDER = "…"
ADA = Actor(id="prn_ada", kind=ActorKind.USER, name="Ada")

READBACK = Capabilities(
    text_max=4000, text_unit=TextUnit.CODEPOINTS, idempotency=Idempotency.READBACK, can_edit=True,
    edit_interval_s=0.01, stream=StreamMode.NONE, stream_interval_s=0.01,
)  # fmt: skip
NONCE = replace(READBACK, idempotency=Idempotency.NONCE)
NONE = replace(READBACK, idempotency=Idempotency.NONE)


@dataclass(frozen=True, slots=True)
class Lost:
    """The call is carried out, and its answer gets lost."""


@dataclass(frozen=True, slots=True)
class Crash:
    """The process ends before (or after) the call is carried out: the call never returns."""

    after: bool = False


Fate = ChannelError | Lost | Crash


@dataclass(slots=True)
class Shown:
    """A message on the network."""

    ref: str
    operation_id: str
    text: str
    room: str
    is_file: bool = False
    is_open: bool = False
    history: list[str] = field(default_factory=list)


class Network:
    """Implements channels.port.Adapter."""

    kind, account = "paper", "main"

    def __init__(self, capabilities: Capabilities = READBACK) -> None:
        self.can = capabilities
        self.messages: list[Shown] = []
        self.calls: list[tuple[str, str]] = []
        self.drafts: list[str] = []
        self.marks: dict[str, list[Mark | None]] = defaultdict(list)
        self.script: dict[str, deque[Fate]] = defaultdict(deque)
        self.crashed = asyncio.Event()
        self.hidden = 0
        """How many times a message that is there is not found yet."""
        self.state = HealthState.CONNECTED

    def texts(self, room: str = ROOM.room) -> list[str]:
        return [message.text for message in self.messages if message.room == room]

    def called(self, method: str) -> int:
        return sum(name == method for name, _ in self.calls)

    def fates(self, method: str, *fates: Fate) -> None:
        self.script[method].extend(fates)

    async def _meet(self, method: str, what: str) -> Fate | None:
        """What happens to this call; raises or never returns when it is not carried out."""
        self.calls.append((method, what))
        await asyncio.sleep(0)
        fate = self.script[method].popleft() if self.script[method] else None
        if isinstance(fate, ChannelError):
            raise fate
        if isinstance(fate, Crash) and not fate.after:
            await self._crash()
        return fate

    async def _crash(self) -> None:
        self.crashed.set()
        await asyncio.Event().wait()

    async def _answer(self, fate: Fate | None) -> None:
        if isinstance(fate, Lost):
            raise UnknownOutcome("the answer was lost")
        if isinstance(fate, Crash):
            await self._crash()

    def _named(self, operation: Operation) -> Shown | None:
        return next((shown for shown in self.messages if shown.operation_id == operation.id), None)

    def _post(self, operation: Operation, room: RoomRef, text: str, **more: Any) -> Receipt:
        there = self._named(operation)
        if there is not None and self.can.idempotency is Idempotency.NONCE:
            return Receipt(there.ref, "deduplicated")
        shown = Shown(f"m{len(self.messages) + 1}", operation.id, text, room.room, history=[text], **more)
        self.messages.append(shown)
        return Receipt(shown.ref)

    def _find(self, ref: str) -> Shown:
        return next(shown for shown in self.messages if shown.ref == ref)

    # --- the port -----------------------------------------------------------------------------

    async def start(self, sink: InboxSink) -> None: ...

    async def stop(self) -> None: ...

    def health(self) -> Health:
        return Health(self.state, lag_ms=1500, missing=("files:read: no files come in",))

    async def probe(self) -> None:
        await self._answer(await self._meet("probe", ""))

    async def receive(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(404)

    def capabilities(self, room: RoomRef) -> Capabilities:
        return self.can

    def render(self, markdown: str, room: RoomRef) -> list[Rendered]:
        size = self.can.text_max
        return [Rendered(markdown[at : at + size]) for at in range(0, len(markdown), size)] or [Rendered("")]

    def placeholder(self, room: RoomRef) -> Rendered:
        return Rendered(PLACEHOLDER)

    def card(self, card: Card, room: RoomRef) -> Rendered:
        return Rendered(card.title)

    async def send(self, operation: Operation, room: RoomRef, content: Rendered) -> Receipt:
        fate = await self._meet("send", content.text)
        receipt = self._post(operation, room, content.text)
        await self._answer(fate)
        return receipt

    async def edit(self, operation: Operation, room: RoomRef, ref: str, content: Rendered) -> Receipt:
        fate = await self._meet("edit", content.text)
        shown = self._find(ref)
        assert not shown.is_open, "a stream is closed before it is edited"
        shown.text = content.text
        shown.history.append(content.text)
        await self._answer(fate)
        return Receipt(ref)

    async def upload(
        self, operation: Operation, room: RoomRef, content: Rendered, file: OutboundFile
    ) -> Receipt:
        fate = await self._meet("upload", file.name)
        receipt = self._post(operation, room, f"{file.name}: {content.text}", is_file=True)
        await self._answer(fate)
        return receipt

    async def reconcile(self, operation: Operation, room: RoomRef, content: Rendered) -> Reconciled:
        fate = await self._meet("reconcile", operation.id)
        await self._answer(fate)
        if self.can.idempotency is Idempotency.NONE:
            return Reconciled(Finding.UNKNOWABLE)
        there = self._named(operation)
        if there is None or self.hidden:
            self.hidden = max(0, self.hidden - 1)
            return Reconciled(Finding.ABSENT)
        return Reconciled(Finding.FOUND, Receipt(there.ref))

    async def react(self, room: RoomRef, ref: str, mark: Mark | None) -> None:
        fate = await self._meet("react", f"{ref} {mark}")
        self.marks[ref].append(mark)
        await self._answer(fate)

    async def show_typing(self, room: RoomRef) -> None:
        await self._answer(await self._meet("show_typing", room.room))

    async def open_stream(self, operation: Operation, room: RoomRef) -> Receipt:
        fate = await self._meet("open_stream", operation.id)
        receipt = self._post(operation, room, "", is_open=True)
        await self._answer(fate)
        return receipt

    async def append(self, room: RoomRef, ref: str, markdown: str) -> None:
        fate = await self._meet("append", markdown)
        shown = self._find(ref)
        assert shown.is_open, "only an open stream grows"
        shown.text += markdown
        shown.history.append(shown.text)
        await self._answer(fate)

    async def close_stream(self, room: RoomRef, ref: str) -> None:
        fate = await self._meet("close_stream", ref)
        self._find(ref).is_open = False
        await self._answer(fate)

    async def draft(self, operation: Operation, room: RoomRef, content: Rendered) -> None:
        fate = await self._meet("draft", content.text)
        self.drafts.append(content.text)
        await self._answer(fate)

    async def download(self, attachment: Attachment, limit_bytes: int) -> AsyncIterator[bytes]:
        yield b""


_: type[Adapter] = Network


class Office:
    """A store on a directory, and a gateway's sending half over it, which can be killed and started again."""

    def __init__(
        self, network: Network, policy: AccountPolicy | None = None, read_blob: BlobReader = no_files
    ) -> None:
        self.network = network
        self.clock = Clock()
        self.store: Store
        self.deliveries: Deliveries
        self.live: LiveMessages
        policies: Mapping[tuple[str, str], AccountPolicy] = {("paper", "main"): policy or AccountPolicy()}
        self.channels = Channels([network], policies)
        self._read_blob = read_blob
        self._hooks: list[Any] = []

    async def open(self, directory: Path) -> None:
        ids = self.clock.new_id(IdPrefix.EPOCH)
        self.store = await Store.open(
            directory,
            new_epoch=ids,
            new_log_id=ids,
            now_ms=self.clock.now_ms(),
            sealer=ContentSealer(cipher_beside(directory)),
        )
        self.store.engine.add_hook(lambda signals: [hook(signals) for hook in self._hooks])
        await self.start()

    async def start(self) -> None:
        self.deliveries = Deliveries(self.store.outbox, self.channels, self.clock, read_blob=self._read_blob)
        self.live = LiveMessages(self.store.outbox, self.channels, self.deliveries, self.clock)
        self._hooks = [self.deliveries.on_commit]
        await self.deliveries.start()

    def hear(self, hook: Any) -> None:
        """Give another part the store's commits."""
        self._hooks.append(hook)

    async def kill(self) -> None:
        """End what runs at once, as a crash would."""
        self._hooks = []
        await self.live.close(0)
        await self.deliveries.stop(0)
        self.network.crashed.clear()

    async def close(self) -> None:
        await self.kill()
        await self.store.close()

    # --- runs ---------------------------------------------------------------------------------

    async def run(self, room: RoomRef = ROOM, thread_id: str | None = None) -> ClaimedRun:
        """A run of a thread in a room, being driven."""
        new_id, now_ms = self.clock.new_id, self.clock.now_ms()
        origin = Origin(kind="channel", channel="paper", account="main", room=room.room, topic=room.topic)
        message = NewMessage(
            message_id=new_id(IdPrefix.MESSAGE),
            run_id=new_id(IdPrefix.RUN),
            thread_id=thread_id,
            new_thread=NewThread(new_id(IdPrefix.THREAD), "demo", "", origin),
            agent_id=None,
            content=[{"type": "text", "text": "hello"}],
            text="hello",
            title="",
            queue_max=50,
        )
        answer = await self.store.threads.accept(Act(DEFAULT_ORG, ADA, "test", now_ms), message)
        sent = MessageSendResult.model_validate_json(bytes(answer))
        run = await self.store.runs.claim(
            sent.thread_id, "boot", now_ms, now_ms + 60_000, new_id(IdPrefix.MESSAGE)
        )
        assert run is not None
        return run

    async def complete(self, run: ClaimedRun, *contents: str | Rendered) -> None:
        """The run's answer, one platform message for each content."""
        rendered = [Rendered(content) if isinstance(content, str) else content for content in contents]
        parts = [
            Outbound(self.clock.new_id(IdPrefix.DELIVERY), number, freeze(content))
            for number, content in enumerate(rendered, start=1)
        ]
        move = TRANSITIONS[RunEvent.COMPLETE]
        text = "".join(content.text for content in rendered)
        await self.store.runs.complete(run, move, self.clock.now_ms(), text, Usage(), parts, "")

    async def owe(self, *contents: str | Rendered, room: RoomRef = ROOM) -> str:
        """An answer to deliver; its thread."""
        run = await self.run(room)
        await self.complete(run, *contents)
        return run.thread_id

    # --- what is there ------------------------------------------------------------------------

    async def phases(self, room: RoomRef = ROOM) -> list[str]:
        sql = "SELECT phase FROM outbox WHERE room = :room ORDER BY id"
        rows = await self.store.engine.read(lambda tx: tx.all(sql, room=room.room))
        return [row["phase"] for row in rows]

    async def uncertain(self) -> int:
        counts = await self.store.outbox.counts()
        return sum(found.uncertain for found in counts.values())

    async def settled(self, patience_s: float = 5.0, room: RoomRef = ROOM) -> None:
        """Wait until nothing is owed and nobody sends."""

        async def is_over() -> bool:
            return {"sent", "failed", "held"} >= set(await self.phases(room))

        await eventually(is_over, patience_s)

    async def kinds(self, thread_id: str) -> list[str]:
        page = await self.store.threads.replay(DEFAULT_ORG, thread_id, 0, 1000, 1 << 30)
        return [event.kind for event in page.events]


class Speech(Stream):
    """An answer being written, as a test says it."""

    def __init__(self) -> None:
        super().__init__("thr", "run", "msg", "", lambda *_: None, lambda _: None, asyncio.get_running_loop())

    def say(self, text: str) -> "Speech":
        self.push(text)
        self.flush()
        return self
