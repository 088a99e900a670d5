"""A gateway whose one channel is a scripted network with files: what its people send, and what its room shows."""

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gateway_stage import Frame, Stage, eventually
from network_stage import READBACK, Network

from channels.errors import ChannelError
from channels.messages import Addressed, Attachment, Inbound, OutboundFile, RoomRef, Sender
from channels.port import InboxSink
from storage.values import DEFAULT_ORG

FILE_MAX = 1000
"""Bytes the network's rooms take in one file."""
ROOM = RoomRef("r1")
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\x00" * 40
Fate = ChannelError | Exception


class Courier(Network):
    """A network that delivers files both ways."""

    kind, account = "telegram", "gate"

    def __init__(self) -> None:
        super().__init__(replace(READBACK, file_max_bytes=FILE_MAX))
        self.sink: InboxSink
        self.files: dict[str, bytes] = {}
        """What can be downloaded, by key."""
        self.misfortunes: deque[Fate] = deque()
        """What the next downloads meet, after half of the bytes."""
        self.gate = asyncio.Event()
        """Downloads end only when it is set."""
        self.gate.set()
        self.downloads = 0
        self.at_once = 0
        self.most_at_once = 0
        self.uploaded: list[OutboundFile] = []
        self._ids = itertools.count(1)

    async def start(self, sink: InboxSink) -> None:
        self.sink = sink

    async def upload(self, operation: Any, room: RoomRef, content: Any, file: OutboundFile) -> Any:
        receipt = await super().upload(operation, room, content, file)
        self.uploaded.append(file)
        return receipt

    def attachment(
        self, data: bytes, name: str = "photo.png", kind: str | None = None, **more: Any
    ) -> Attachment:
        """A file that somebody is about to send."""
        key = f"file-{next(self._ids)}"
        self.files[key] = data
        return Attachment({"id": key}, name, kind, **more)

    async def say(self, text: str, *attachments: Attachment) -> None:
        """Somebody writes in the room; what they wrote is durable when this returns."""
        number = next(self._ids)
        said = Inbound(
            delivery_id=f"update-{number}",
            room=ROOM,
            message_ref=f"p{number}",
            sender=Sender("1001", "Ada"),
            text=text,
            addressed=Addressed.DIRECT,
            is_direct=True,
            occurred_at_ms=1,
            thread_key="dm:1001",
            attachments=attachments,
        )
        (verdict,) = await self.sink.commit([said], {})
        assert verdict.is_taken

    async def download(self, attachment: Attachment, limit_bytes: int) -> AsyncIterator[bytes]:
        self.downloads += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            data = self.files[attachment.key["id"]]
            yield data[: len(data) // 2]
            await self.gate.wait()
            if self.misfortunes:
                raise self.misfortunes.popleft()
            yield data[len(data) // 2 :]
        finally:
            self.at_once -= 1


class FilesStage(Stage):
    """A gateway with that network."""

    def __init__(self, directory: Path, courier: Courier, **settings: Any) -> None:
        self.courier = courier
        self.directory = directory
        table = {"kind": "telegram", "account": "gate", "token": "42:paper-secret", "dm_policy": "open"}
        super().__init__(directory, channels=(table,), **settings)

    async def thread(self) -> str:
        """The one thread there is, once there is one."""
        (thread,) = await eventually(self._threads)
        return thread.id

    async def _threads(self) -> list[Any]:
        threads, _ = await self.store.threads.page(DEFAULT_ORG, "all", 2, None)
        return threads

    async def answers(self, count: int = 1) -> list[str]:
        """The texts of the first answers, once there are so many."""
        thread_id = await self.thread()

        async def said() -> list[str] | None:
            found = [event["data"]["message"] for event in await self.log(thread_id) if is_answer(event)]
            texts = ["".join(part.get("text", "") for part in message["content"]) for message in found]
            return texts if len(texts) >= count else None

        texts: list[str] = await eventually(said)
        return texts

    async def blobs(self) -> list[Any]:
        rows = await self.store.engine.read(lambda tx: tx.all("SELECT * FROM blobs ORDER BY rowid"))
        return [dict(row) for row in rows]

    async def shown(self, count: int) -> list[str]:
        """What the room shows, once it shows so much."""

        async def enough() -> list[str] | None:
            texts = self.courier.texts()
            return texts if len(texts) >= count else None

        texts: list[str] = await eventually(enough)
        return texts

    def on_disk(self) -> list[str]:
        return sorted(path.name for path in (self.directory / "blobs").rglob("*") if path.is_file())


def is_answer(event: Frame) -> bool:
    return event["kind"] == "message.created" and event["data"]["message"]["role"] == "assistant"


@asynccontextmanager
async def files_stage(
    directory: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> AsyncIterator[FilesStage]:
    """The gateway, started; it ends with the test."""
    courier = Courier()
    monkeypatch.setattr("gateway.composition.rooms.create_adapter", lambda *_: courier)
    made = FilesStage(directory, courier, **settings)
    await made.start()
    try:
        yield made
    finally:
        courier.gate.set()
        await made.close()
