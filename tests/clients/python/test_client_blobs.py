"""Files through the client, against a real gateway: the client itself knows nothing of it but the protocol."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from threadgate_client import (
    BlobPart,
    Client,
    ClientClosed,
    Disconnected,
    IdempotencyConflict,
    NotFound,
    TextPart,
    TooLarge,
)

from gateway.app import Gateway
from gateway.clock import Clock
from gateway.daemon import open_store
from gateway.services.tokens import new_secret
from gateway.settings import LimitSettings, RunSettings, Settings

LIMIT = 1_000_000


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    settings = Settings(
        port=0,
        data_dir=tmp_path / "data",
        limits=LimitSettings(blob_bytes=LIMIT),
        runs=RunSettings(shutdown_s=0),
    )
    clock, secret = Clock(), new_secret()
    store = await open_store(settings, clock)
    gateway = Gateway(settings, store, clock, secret)
    await gateway.start()
    async with Client(gateway.url, token=lambda: secret) as connected:
        yield connected
    await gateway.stop()
    await store.close()


async def test_a_file_goes_there_and_back(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "Über sicht.txt"
    path.write_bytes(b"line\n" * 120_000)
    blob = await client.blobs.upload(path)
    assert (blob.name, blob.media_type, blob.size_bytes, blob.state) == (
        "Über sicht.txt",
        "text/plain",
        600_000,
        "stored",
    )
    found = await client.blobs.download(blob.id)
    assert (found.name, found.media_type, found.data) == ("Über sicht.txt", "text/plain", path.read_bytes())


async def test_a_message_with_files_is_answered_with_what_they_are(client: Client) -> None:
    blob = await client.blobs.upload(b"a,b\n", "table.csv", media_type="text/csv")
    text = await client.ask([TextPart("look"), BlobPart(blob.id)]).read()
    assert "`table.csv`: text/csv, 4 bytes" in text


async def test_the_files_of_an_answer_are_parts_of_its_message(client: Client) -> None:
    reply = client.ask("file notes.txt some words")
    assert await reply.read() == "Here is notes.txt."
    assert reply.message is not None
    (part,) = [part for part in reply.message.content if isinstance(part, BlobPart)]
    assert part.name == "notes.txt"
    assert (await client.blobs.download(part.blob_id)).data == b"some words\n"


async def test_refusals_are_the_same_classes_as_elsewhere(client: Client) -> None:
    with pytest.raises(TooLarge):
        await client.blobs.upload(b"x" * (LIMIT + 1))
    with pytest.raises(NotFound):
        await client.blobs.download("blb_unknown")
    await client.blobs.upload(b"one", idempotency_key="key")
    with pytest.raises(IdempotencyConflict):
        await client.blobs.upload(b"two", idempotency_key="key")
    with pytest.raises(OSError, match="No such file"):
        await client.blobs.upload(Path("/nowhere/at/all"))


async def test_an_upload_with_its_key_can_be_repeated(client: Client) -> None:
    one = await client.blobs.upload(b"same", "a.txt", idempotency_key="key")
    assert await client.blobs.upload(b"same", "a.txt", idempotency_key="key") == one


async def test_a_closed_client_asks_nothing(client: Client) -> None:
    await client.close()
    with pytest.raises(ClientClosed):
        await client.blobs.upload(b"late")


async def test_a_connection_that_breaks_is_told(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(client._engine, "url", f"ws://127.0.0.1:{server.getsockname()[1]}/v1/ws")

        def hang_up() -> None:
            server.accept()[0].close()

        hanging_up = asyncio.create_task(asyncio.to_thread(hang_up))
        with pytest.raises(Disconnected):
            await client.blobs.download("blb_1")
        await hanging_up
