"""The words the storage tests are written in: who acts, what is said, what a run does next, what is stored.

Everything but `open_scene`, `rows` and `dump` speaks to the ports alone, so that another engine behind the
same ports can be put on this stage.
"""

import base64
import re
from collections.abc import Awaitable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.fernet import Fernet, MultiFernet

from gateway.content_keys import ContentSealer
from gateway.rules.deciding import judge
from gateway.rules.run_states import TRANSITIONS, RunEvent
from protocol.canonical import canonical, digest
from protocol.errors import ErrorKind, Fault
from protocol.events import EVENT_DATA, Event, EventKind
from protocol.frames import RawJson
from protocol.records import Actor, ActorKind, Origin, Role, Usage
from protocol.requests import MessageSendResult
from storage.approval_values import Decide
from storage.channel_values import Delivered, Entry, LinkTyped, PairingKey, PairingOffer, Telling
from storage.device_values import DeviceOffer, NewInvocation
from storage.engine import Reader, Transaction
from storage.file_values import ArrivingFile, NewFile
from storage.ports import FileDraft
from storage.run_values import NewQuestion, NewStep, Repetition, StepEnd, StepKind, StepRow
from storage.store import Store
from storage.values import (
    DEFAULT_ORG,
    Act,
    Claim,
    ClaimedRun,
    CommittedEvent,
    Ending,
    NewApproval,
    NewMessage,
    NewThread,
    NewToken,
    Notice,
    Outbound,
    OutboxChanged,
    OutboxRow,
)

START_MS = 1_795_000_000_000
OTHER_ORG = "org_other"
CLIENT = Origin(kind="client")
ROOM = OutboxChanged("telegram", "main", "42")
CHAT = Origin(kind="channel", channel=ROOM.channel, account=ROOM.account, room=ROOM.room)
BOOT = "boot-1"
CODE_MS = 600_000
LEASE_MS = 60_000
SEALER = ContentSealer(MultiFernet([Fernet(base64.urlsafe_b64encode(b"vault key of all tests".ljust(32)))]))
SEAL = "5" * 64
"""The hash a completed run is sealed with: the store takes any."""
USAGE = Usage(input_tokens=7, output_tokens=3, cost_microusd=11)


def actor(name: str = "ada") -> Actor:
    return Actor(id=f"prn_{name}", kind=ActorKind.USER, name=name)


def claim(key: str, *, params: str = "p1", method: str = "message.send", who: str = "ada") -> Claim:
    return Claim(f"prn_{who}", method, key, params)


def cancelled(reason: str = "stopped", notice: Notice | None = None) -> Ending:
    return Ending(TRANSITIONS[RunEvent.CANCEL], reason, notice=notice)


def failed(reason: str = "it broke", notice: Notice | None = None) -> Ending:
    return Ending(TRANSITIONS[RunEvent.FAIL], reason, error_kind="agent_error", notice=notice)


def interrupted(*, will_retry: bool, notice: Notice | None = None) -> Ending:
    return Ending(TRANSITIONS[RunEvent.INTERRUPT], "restarted", will_retry=will_retry, notice=notice)


def read(answer: RawJson) -> dict[str, Any]:
    """What a port answered, as a value."""
    return orjson.loads(bytes(answer))


async def refused(attempt: Awaitable[Any], kind: ErrorKind) -> Fault:
    """The refusal that `attempt` is met with."""
    with pytest.raises(Fault) as caught:
        await attempt
    assert caught.value.kind is kind
    return caught.value


class Scene:
    """A store, the clock and the ids of one test, and the signals the store gave since."""

    def __init__(self, store: Store, directory: Path) -> None:
        self.store = store
        self.directory = directory
        self.now_ms = START_MS
        self.signals: list[object] = []
        self._made = 0
        store.engine.add_hook(self.signals.extend)

    def new_id(self, prefix: str) -> str:
        self._made += 1
        return f"{prefix}_{self._made:026d}"

    def act(self, who: str = "ada", *, org_id: str = DEFAULT_ORG, claim: Claim | None = None) -> Act:
        self.now_ms += 1
        return Act(org_id, actor(who), "ws", self.now_ms, claim)

    # --- threads and messages ---------------------------------------------------------------

    def new_thread(self, title: str = "", origin: Origin = CLIENT, agent_id: str = "demo") -> NewThread:
        return NewThread(self.new_id("thr"), agent_id, title, origin)

    async def thread(self, title: str = "", origin: Origin = CLIENT, org_id: str = DEFAULT_ORG) -> str:
        answer = await self.store.threads.create(self.act(org_id=org_id), self.new_thread(title, origin))
        return read(answer)["thread"]["id"]

    def message(
        self, text: str, thread_id: str | None = None, *, origin: Origin = CLIENT, **choices: Any
    ) -> NewMessage:
        values: dict[str, Any] = {
            "message_id": self.new_id("msg"),
            "run_id": self.new_id("run"),
            "thread_id": thread_id,
            "new_thread": self.new_thread(choices.pop("new_title", ""), origin),
            "agent_id": None,
            "content": [{"type": "text", "text": text}],
            "text": text,
            "title": "",
            "queue_max": 50,
            "interrupt": cancelled("a newer message took its place"),
        }
        return NewMessage(**{**values, **choices})

    async def say(
        self,
        text: str = "hello",
        thread_id: str | None = None,
        *,
        org_id: str = DEFAULT_ORG,
        claim: Claim | None = None,
        **choices: Any,
    ) -> MessageSendResult:
        answer = await self.store.threads.accept(
            self.act(org_id=org_id, claim=claim), self.message(text, thread_id, **choices)
        )
        return MessageSendResult.model_validate_json(bytes(answer))

    # --- runs -------------------------------------------------------------------------------

    async def claim(self, thread_id: str, owner: str = BOOT) -> ClaimedRun:
        run = await self.store.runs.claim(
            thread_id, owner, self.now_ms, self.now_ms + LEASE_MS, self.new_id("msg")
        )
        assert isinstance(run, ClaimedRun), "the thread has a queued run"
        return run

    async def started(self, text: str = "hello", origin: Origin = CLIENT) -> ClaimedRun:
        """A run of a new thread, being driven."""
        sent = await self.say(text, origin=origin)
        return await self.claim(sent.thread_id)

    def parts(self, *contents: str) -> list[Outbound]:
        return [
            Outbound(self.new_id("dlv"), number, orjson.dumps({"text": text}).decode())
            for number, text in enumerate(contents, start=1)
        ]

    async def answer(
        self, run: ClaimedRun, text: str = "the answer", parts: Sequence[Outbound] = (), usage: Usage = USAGE
    ) -> None:
        self.now_ms += 1
        move = TRANSITIONS[RunEvent.COMPLETE]
        await self.store.runs.complete(run, move, self.now_ms, text, usage, parts, SEAL)

    async def end(self, run: ClaimedRun, ending: Ending, retry_id: str | None = None) -> None:
        self.now_ms += 1
        repetition = Repetition(retry_id) if retry_id is not None else None
        await self.store.runs.end(run, ending, self.now_ms, repetition)

    def approval(
        self, card: str | None = None, life_ms: int = 60_000, key: str = "publish", **choices: Any
    ) -> NewApproval:
        return NewApproval(
            id=self.new_id("apr"),
            key=key,
            title="Publish",
            body="all of it",
            subject_hash="0" * 64,
            expires_at_ms=self.now_ms + life_ms,
            card=Outbound(self.new_id("dlv"), 1, card) if card is not None else None,
            **choices,
        )

    def decide(self, approval_id: str, vote: Any = "approve", reason: str = "", **choices: Any) -> Decide:
        """A decision of somebody who may, through the protocol unless told."""
        return Decide(approval_id, vote, reason, **{"judge": judge, "among": None, **choices})

    def question(self, prompt: str = "Which one?", key: str = "which", **choices: Any) -> NewQuestion:
        values: dict[str, Any] = {"expires_at_ms": self.now_ms + 60_000, **choices}
        return NewQuestion(id=self.new_id("qst"), key=key, prompt=prompt, **values)

    async def wait(
        self, run: ClaimedRun, approvals: Sequence[NewApproval] = (), questions: Sequence[NewQuestion] = ()
    ) -> None:
        """Park a run until all of these are settled."""
        self.now_ms += 1
        move = TRANSITIONS[RunEvent.WAIT]
        await self.store.runs.wait(run, move, approvals, questions, "so far", self.now_ms)

    async def ask(
        self, run: ClaimedRun, card: str | None = None, life_ms: int = 60_000, **choices: Any
    ) -> str:
        """Park a run until something is decided; returns the approval's id."""
        new = self.approval(card, life_ms + 1, **choices)  # it is asked a moment later
        await self.wait(run, [new])
        return new.id

    async def resume(self, run: ClaimedRun) -> ClaimedRun | None:
        """Let a waiting run go on, if it may."""
        move = TRANSITIONS[RunEvent.RESUME]
        return await self.store.runs.resume(run.id, move, BOOT, self.now_ms, self.now_ms + LEASE_MS)

    def step(self, key: str = "call-1", kind: StepKind = "tool", **choices: Any) -> NewStep:
        request = choices.pop("request", {"arguments": {"path": "notes.txt"}})
        values: dict[str, Any] = {"name": "read_file", "is_repeatable": False, **choices}
        return NewStep(key, kind, request=canonical(request), request_hash=digest(request), **values)

    async def open(self, run: ClaimedRun, step: NewStep | None = None) -> StepRow:
        self.now_ms += 1
        return await self.store.journal.open(run, step or self.step(), self.now_ms)

    async def close(
        self, run: ClaimedRun, key: str = "call-1", result: str = '"done"', **choices: Any
    ) -> None:
        self.now_ms += 1
        values: dict[str, Any] = {"outcome": "ok", **choices}
        await self.store.journal.close(run, StepEnd(key, result=result, **values), self.now_ms)

    async def owed(self, *contents: str) -> tuple[str, list[Outbound]]:
        """A thread of the room whose answer waits to be delivered in these parts."""
        run = await self.started(origin=CHAT)
        parts = self.parts(*contents or ("the answer",))
        await self.answer(run, parts=parts)
        return run.thread_id, parts

    # --- channels ---------------------------------------------------------------------------

    def notice(self, text: str = "Stopped.") -> Notice:
        return Notice(self.new_id("dlv"), orjson.dumps({"text": text}).decode())

    def delivery(self, text: str = "hello", *, key: str | None = "chat:42", **choices: Any) -> Delivered:
        values: dict[str, Any] = {
            "delivery_id": self.new_id("update"),
            "outcome": "accepted",
            "reason": None,
            "sender_id": "7",
            "room": ROOM.room,
            "ref": self.new_id("ref"),
            "thread_key": key,
            "act": self.act("grace"),
            "message": self.message(text, origin=CHAT, restore_archived=True),
        }
        return Delivered(**{**values, **choices})

    async def receive(self, *deliveries: Delivered, cursor: str | None = None, account: str = "main") -> int:
        """Commit a batch; returns how many deliveries were new."""
        cursors = {} if cursor is None else {"": cursor}
        outcomes = await self.store.inbox.commit(
            DEFAULT_ORG, ROOM.channel, account, deliveries, cursors, self.now_ms
        )
        return sum(outcome.is_new for outcome in outcomes)

    def asking(self, sender_id: str = "99", code: str = "AAAA-BBBB", **choices: Any) -> Delivered:
        """What a stranger writes who may be let in, with the code that they would be told."""
        offer = PairingOffer(
            id=self.new_id("par"),
            name="Eve",
            code=code,
            expires_at_ms=self.now_ms + CODE_MS,
            pending_max=3,
            told=Telling(notice=self.notice(f"Your code: {code}")),
            full=Telling(notice=self.notice("Too many wait")),
        )
        values: dict[str, Any] = {
            "sender_id": sender_id,
            "entry": Entry(frozenset({"allowed"})),
            "offer": offer,
            "notice_interval_ms": CODE_MS,
            "key": f"chat:{sender_id}",
            "room": sender_id,
        }
        return self.delivery("let me in", **{**values, **choices})

    # --- devices ----------------------------------------------------------------------------

    def device_offer(self, **choices: Any) -> DeviceOffer:
        """A device that asks to be paired, one more with each call."""
        self._made += 1
        values: dict[str, Any] = {
            "id": f"par_d{self._made}",
            "code": "AAAA-BBBB",
            "expires_at_ms": self.now_ms + CODE_MS,
            "device_id": f"device-{self._made}",
            "public_key": f"key-{self._made}",
            "name": "Thing",
            "platform": "bench",
            "address": f"10.0.0.{self._made}",
            "commands": ({"name": "echo", "risk": "low"},),
            "scopes": (),
            "pending_max": 9,
            "address_max": 9,
        }
        return DeviceOffer(**{**values, **choices})

    async def device(self, **choices: Any) -> str:
        """The id of a device that was paired."""
        offer = self.device_offer(**choices)
        asked = await self.store.devices.ask(self.act(), offer)
        await self.store.pairings.approve(self.act(), PairingKey(asked.id), None)
        return offer.device_id

    def new_invocation(self, device_id: str, claim: str = "claim", **choices: Any) -> NewInvocation:
        values: dict[str, Any] = {
            "id": self.new_id("inv"),
            "device_id": device_id,
            "claim": claim,
            "request_hash": "hash",
            "command": "echo",
            "params": {"text": "hi"},
            "deadline_ms": self.now_ms + 1000,
        }
        return NewInvocation(**{**values, **choices})

    async def invocation(self, device_id: str, claim: str = "claim") -> str:
        """The id of something that was requested of a device."""
        return (await self.store.invocations.request(self.act(), self.new_invocation(device_id, claim))).id

    def link(self, code: str, reply: str, sender_id: str = "99") -> Delivered:
        """Somebody types a code in a direct message; `reply` is the one they would be shown."""
        typed = LinkTyped(
            code,
            reply,
            "grace",
            None,
            self.notice(f"Give back {reply}"),
            None,
            self.notice("That is no code"),
        )
        return self.delivery(
            f"/link {code}", key=None, sender_id=sender_id, room=sender_id, ref=None, message=None, link=typed
        )

    async def stranger(self, sender_id: str = "99", code: str = "AAAA-BBBB") -> str:
        """Somebody who was given a code; returns the id of the pairing."""
        asking = self.asking(sender_id, code)
        await self.receive(asking)
        assert asking.offer is not None
        return asking.offer.id

    async def next_delivery(self) -> OutboxRow:
        row = await self.store.outbox.next_in_room(ROOM)
        assert row is not None, "the room has a delivery to make"
        return row

    # --- files ------------------------------------------------------------------------------

    def new_file(self, name: str = "notes.txt", media_type: str = "text/plain") -> NewFile:
        return NewFile(self.new_id("blb"), name, media_type)

    async def draft(self, data: bytes = b"hello", limit_bytes: int = 1024) -> FileDraft:
        draft = await self.store.blobs.begin(limit_bytes)
        await draft.add(data)
        await draft.complete()
        return draft

    async def uploaded(self, data: bytes = b"hello", name: str = "notes.txt") -> str:
        """A file that a client may send; its id."""
        answer = await self.store.blobs.upload(self.act(), self.new_file(name), await self.draft(data))
        return read(answer)["blob"]["id"]

    def arriving(self, name: str = "photo.jpg", source: str | None = '{"id":"1"}') -> ArrivingFile:
        blob_id = self.new_id("blb")
        return ArrivingFile(blob_id, name, "image/jpeg", 9, ROOM.channel, ROOM.account, source)

    async def say_with(
        self, *files: ArrivingFile, text: str = "look", thread_id: str | None = None, **choices: Any
    ):
        """A message of a chat network that came with files."""
        content = [{"type": "text", "text": text}] if text else []
        content += [{"type": "blob", "blob_id": file.id} for file in files]
        choices = {"origin": CHAT, **choices}
        return await self.say(text, thread_id, content=content, files=files, **choices)

    def on_disk(self) -> list[str]:
        """The hashes of all bytes that are kept, and the names of unfinished files."""
        return sorted(path.name for path in (self.directory / "blobs").rglob("*") if path.is_file())

    def token(self, role: Role = Role.OPERATOR, **choices: Any) -> NewToken:
        values: dict[str, Any] = {
            "id": self.new_id("tok"),
            "principal_id": self.new_id("prn"),
            "name": "laptop",
            "role": role,
            "secret_hash": self.new_id("hash"),
            "expires_at_ms": None,
        }
        return NewToken(**{**values, **choices})

    # --- what is there ----------------------------------------------------------------------

    async def log(self, thread_id: str, org_id: str = DEFAULT_ORG) -> list[Event]:
        """The whole log of a thread; every event has the shape its kind promises."""
        page = await self.store.threads.history(org_id, thread_id, after=0, limit=500)
        events = [Event.model_validate_json(bytes(event.params)) for event in page.events]
        for event in events:
            EVENT_DATA[EventKind(event.kind)].model_validate(event.data)
        return events

    async def kinds(self, thread_id: str) -> list[str]:
        return [event.kind for event in await self.log(thread_id)]

    async def audited(self) -> list[str]:
        """The actions of the audit log, oldest first."""
        entries, _ = await self.store.audit.page(DEFAULT_ORG, 0, None, 500)
        return [entry.action for entry in entries]

    def told(self, kind: type) -> list[Any]:
        """The signals of one kind that the hooks were given."""
        return [signal for signal in self.signals if isinstance(signal, kind)]

    def told_kinds(self) -> list[str]:
        return [event.kind for event in self.told(CommittedEvent)]

    async def rows(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        return await self.store.engine.read(_rows, sql, values)

    async def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table: two equal dumps mean that nothing was changed."""
        return await self.store.engine.read(_dump)


def _rows(tx: Reader, sql: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in tx.all(sql, **values)]


def _dump(tx: Reader) -> dict[str, list[tuple[Any, ...]]]:
    tables = [row["name"] for row in tx.all("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {name: [tuple(row) for row in tx.all(f"SELECT * FROM {name}")] for name in sorted(tables)}


def _add_organization(tx: Transaction, org_id: str) -> None:
    tx.run("INSERT INTO organizations VALUES (:id, 'Other', 0) ON CONFLICT DO NOTHING", id=org_id)


async def open_store(directory: Path) -> Store:
    return await Store.open(directory, new_epoch="epo_1", new_log_id="log_1", now_ms=START_MS, sealer=SEALER)


@asynccontextmanager
async def open_scene(directory: Path):
    """A store of two organizations in `directory`, closed afterwards."""
    store = await open_store(directory)
    try:
        await store.engine.write(_add_organization, OTHER_ORG)
        yield Scene(store, directory)
    finally:
        await store.close()


def parameters_of(sql: str) -> dict[str, None]:
    """The named parameters of a statement, all null: enough to have it parsed and planned."""
    return dict.fromkeys(re.findall(r"(?<![:\w]):(\w+)", sql))
