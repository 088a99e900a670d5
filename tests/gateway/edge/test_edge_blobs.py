"""PROTOCOL.md §11: files over HTTP, taken as they come and given in a way that no browser runs."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from gateway_stage import UNHURRIED, Frame, Stage, Wire, eventually, until, words

from gateway.edge import blobs as edge
from protocol.ids import IdPrefix
from protocol.records import Role
from protocol.requests import BlobResult
from storage.errors import StoreUnavailable
from storage.file_values import ArrivingFile

LIMIT = 300_000
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\x00" * 40


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(
        tmp_path / "data", limits=UNHURRIED.model_copy(update={"blob_bytes": LIMIT, "attachments": 2})
    )
    await made.start()
    yield made
    await made.close()


async def upload(
    stage: Stage, data: Any = b"hello", name: str | None = "notes.txt", **headers: str
) -> httpx.Response:
    named = {"X-Blob-Name": quote(name)} if name is not None else {}
    return await stage.http().post("/v1/blobs", content=data, headers={**named, **headers})


async def uploaded(stage: Stage, data: bytes = b"hello", name: str = "notes.txt") -> str:
    response = await upload(stage, data, name)
    assert response.status_code == 200, response.text
    blob_id: str = BlobResult.model_validate(response.json()).blob.id
    return blob_id


async def fetch(stage: Stage, blob_id: str, **headers: str) -> httpx.Response:
    return await stage.http().get(f"/v1/blobs/{blob_id}", headers=headers)


def kind_of(response: httpx.Response) -> str:
    assert response.headers["content-type"].startswith("application/problem+json")
    kind: str = response.json()["kind"]
    return kind


def left(stage: Stage) -> list[str]:
    return [path.name for path in (stage.store.engine.path.parent / "blobs").rglob("*") if path.is_file()]


# --- uploads ---------------------------------------------------------------------------------------


async def test_an_upload_answers_with_the_file_as_the_gateway_sees_it(stage: Stage) -> None:
    blob = (await upload(stage, PNG, "../../Übersicht.png", **{"Content-Type": "text/html"})).json()["blob"]
    assert blob.pop("id").startswith("blb_") and blob.pop("created_at")
    assert blob == {
        "name": "Übersicht.png",
        "media_type": "image/png",
        "size_bytes": len(PNG),
        "sha256": hashlib.sha256(PNG).hexdigest(),
        "state": "stored",
    }


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"Content-Disposition": 'attachment; filename="plain.txt"'}, "plain.txt"),
        ({"Content-Disposition": 'form-data; filename="a \\"b\\".txt"'}, "a _b_.txt"),
        ({"Content-Disposition": "attachment; filename=bare.txt"}, "bare.txt"),
        (
            {"Content-Disposition": "attachment; filename=\"x.txt\"; filename*=UTF-8''na%C3%AFve.txt"},
            "naïve.txt",
        ),
        ({"Content-Disposition": "garbage;;="}, "file"),
        ({"X-Blob-Name": "%FF%00.txt"}, "\ufffd.txt"),
        ({}, "file"),
    ],
)
async def test_the_name_comes_from_a_header(stage: Stage, headers: dict[str, str], name: str) -> None:
    assert (await upload(stage, name=None, **headers)).json()["blob"]["name"] == name


async def test_a_large_body_goes_to_the_disk_as_it_comes(stage: Stage) -> None:
    async def body() -> AsyncIterator[bytes]:
        for number in range(29):
            yield bytes([number]) * 10_000

    whole = b"".join([bytes([number]) * 10_000 for number in range(29)])
    blob = (await upload(stage, body())).json()["blob"]
    assert (blob["size_bytes"], blob["sha256"]) == (290_000, hashlib.sha256(whole).hexdigest())


@pytest.mark.parametrize("tells", [True, False])
async def test_a_file_that_is_too_large_is_a_problem_and_leaves_nothing(stage: Stage, tells: bool) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"x" * (LIMIT + 1)

    response = await upload(stage, b"x" * (LIMIT + 1) if tells else body())
    assert (response.status_code, kind_of(response)) == (413, "too_large")
    assert response.json()["limit_bytes"] == LIMIT
    await until(lambda: left(stage) == [])


async def test_a_repeated_upload_with_its_key_is_one(stage: Stage) -> None:
    key = {"Idempotency-Key": "key-1"}
    one, two = (await upload(stage, b"same", **key)).json(), (await upload(stage, b"same", **key)).json()
    assert one == two
    for response in (await upload(stage, b"other", **key), await upload(stage, b"same", "b.txt", **key)):
        assert (response.status_code, kind_of(response)) == (409, "idempotency_conflict")
    assert len(left(stage)) == 1


@pytest.mark.parametrize("key", ["", "k" * 65])
async def test_a_key_has_a_length(stage: Stage, key: str) -> None:
    response = await upload(stage, **{"Idempotency-Key": key})
    assert (response.status_code, kind_of(response)) == (422, "invalid_params")


async def test_scopes_and_credentials_hold_here_too(stage: Stage) -> None:
    viewer = stage.http(await stage.token(Role.VIEWER))
    response = await viewer.post("/v1/blobs", content=b"x")
    assert (response.status_code, response.json()["scope"]) == (403, "message.send")
    blob_id = await uploaded(stage)
    assert (await viewer.get(f"/v1/blobs/{blob_id}")).status_code == 200
    nobody = stage.http(None)
    assert (await nobody.post("/v1/blobs", content=b"x")).status_code == 401
    assert (await nobody.get(f"/v1/blobs/{blob_id}")).status_code == 401


async def test_uploads_and_downloads_count_as_requests(stage: Stage) -> None:
    blob_id = await uploaded(stage)
    await stage.restart(limits=UNHURRIED.model_copy(update={"requests_per_s": 0.01, "request_burst": 2}))
    assert (await upload(stage)).status_code == 200
    assert (await fetch(stage, blob_id)).status_code == 200
    assert kind_of(await upload(stage)) == kind_of(await fetch(stage, blob_id)) == "rate_limited"


async def test_a_body_that_stops_coming_is_given_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "CHUNK_TIMEOUT_S", 0.05)
    stuck = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"half"
        await stuck.wait()

    asking = asyncio.create_task(upload(stage, body()))
    await until(lambda: stage.gateway._server._blobs._under_way == 1)
    await until(lambda: stage.gateway._server._blobs._under_way == 0 and left(stage) == [])
    stuck.set()
    assert kind_of(await asking) == "invalid_request"


async def test_no_more_uploads_at_once_than_the_disk_should_bear(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "UPLOADS_AT_ONCE", 0)
    response = await upload(stage)
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")


async def test_a_client_that_leaves_leaves_nothing(stage: Stage) -> None:
    begun, stuck = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"half"
        begun.set()
        await stuck.wait()

    asking = asyncio.create_task(upload(stage, body()))
    await begun.wait()
    await until(lambda: stage.gateway._server._blobs._under_way == 1)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await until(lambda: stage.gateway._server._blobs._under_way == 0 and left(stage) == [])


async def test_a_gateway_that_stops_takes_no_upload_and_does_not_wait_for_one(stage: Stage) -> None:
    begun, stuck = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"half"
        begun.set()
        await stuck.wait()

    asking = asyncio.create_task(upload(stage, body()))
    await begun.wait()
    await stage.gateway._server.drain()
    response = await upload(stage)
    assert (response.status_code, kind_of(response)) == (503, "unavailable")
    async with asyncio.timeout(5):
        await stage.stop()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_store_that_takes_nothing_is_503(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*args: object) -> None:
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(stage.store.blobs, "upload", full)
    response = await upload(stage)
    assert (response.status_code, kind_of(response)) == (503, "unavailable")
    assert left(stage) == []


# --- downloads -------------------------------------------------------------------------------------


async def test_a_file_is_served_as_an_attachment_that_nothing_runs(stage: Stage) -> None:
    response = await fetch(stage, await uploaded(stage, PNG, "Über sicht;.png"))
    assert (response.status_code, response.content) == (200, PNG)
    headers = response.headers
    assert headers["content-type"] == "image/png"
    assert headers["content-disposition"] == (
        "attachment; filename=\"_ber sicht_.png\"; filename*=UTF-8''%C3%9Cber%20sicht%3B.png"
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]
    assert headers["etag"] and headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize(
    ("data", "name", "served"),
    [
        (b"<!DOCTYPE html><script>alert(1)</script>", "page.html", "application/octet-stream"),
        (b'<svg xmlns="http://www.w3.org/2000/svg">', "a.svg", "application/octet-stream"),
        (b"plain words", "a.txt", "text/plain"),
        (b"\x00\x01\x02", "a.bin", "application/octet-stream"),
    ],
)
async def test_only_harmless_types_are_named(stage: Stage, data: bytes, name: str, served: str) -> None:
    assert (await fetch(stage, await uploaded(stage, data, name))).headers["content-type"] == served


async def test_a_part_and_nothing_new(stage: Stage) -> None:
    blob_id = await uploaded(stage, b"0123456789")
    part = await fetch(stage, blob_id, Range="bytes=2-4")
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    assert (await fetch(stage, blob_id, Range="bytes=50-")).status_code == 416
    tag = part.headers["etag"]
    unchanged = await fetch(stage, blob_id, **{"If-None-Match": tag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")


async def test_an_empty_file_is_a_file(stage: Stage) -> None:
    response = await fetch(stage, await uploaded(stage, b"", "empty.txt"))
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize("blob_id", ["blb_unknown", "..", "%2e%2e%2f%2e%2e%2fgateway.db"])
async def test_what_is_not_there_is_404(stage: Stage, blob_id: str) -> None:
    assert (await fetch(stage, blob_id)).status_code == 404


async def test_a_file_that_is_gone_from_the_disk_is_an_internal_error(stage: Stage) -> None:
    blob_id = await uploaded(stage)
    for path in (stage.store.engine.path.parent / "blobs").rglob("*"):
        if path.is_file():
            path.unlink()
    response = await fetch(stage, blob_id)
    assert (response.status_code, kind_of(response)) == (500, "internal")


async def test_a_file_under_way_says_when_to_ask_again_and_a_failed_one_why(stage: Stage) -> None:
    wire = await stage.connect()
    await wire.call("message.send", content=words("say hi"))
    (thread,) = (await wire.call("thread.list"))["threads"]
    new_id = stage.clock.new_id
    file = ArrivingFile(new_id(IdPrefix.BLOB), "a.txt", "text/plain", 3, "gone", "gone", "{}")

    def insert(tx: Any) -> None:
        tx.run(
            "INSERT INTO blobs (id, org_id, state, name, media_type, message_id, thread_id, next_attempt_at, "
            "created_at) VALUES (:id, 'org_default', 'pending', 'a.txt', 'text/plain', 'msg', :thread, :at, 0)",
            id=file.id,
            thread=thread["id"],
            at=1 << 60,
        )

    await stage.store.engine.write(insert)
    response = await fetch(stage, file.id)
    assert (response.status_code, kind_of(response), response.json()["state"]) == (
        409,
        "invalid_state",
        "pending",
    )
    assert response.headers["retry-after"] == "1"
    await stage.store.blobs.fail(file.id, "it was removed", None, 1)
    response = await fetch(stage, file.id)
    assert (response.status_code, response.json()["state"]) == (409, "failed")
    assert "it was removed" in response.json()["detail"]
    assert "retry-after" not in response.headers


# --- in messages -----------------------------------------------------------------------------------


def part(blob_id: str) -> Frame:
    return {"type": "blob", "blob_id": blob_id}


async def test_a_message_brings_files_in_its_own_order(stage: Stage, wire: Wire) -> None:
    one, two = await uploaded(stage, b"one", "one.txt"), await uploaded(stage, b"two", "two.txt")
    sent = await wire.call("message.send", content=[part(one), *words("these"), part(two)])
    log = await stage.log(sent["thread_id"])
    assert log[1]["data"]["message"]["content"] == [
        {**part(one), "name": "one.txt"},
        *words("these"),
        {**part(two), "name": "two.txt"},
    ]

    async def answer() -> str | None:
        for event in await stage.log(sent["thread_id"]):
            if event["kind"] == "message.created" and event["data"]["message"]["role"] == "assistant":
                return event["data"]["message"]["content"][0]["text"]
        return None

    said = await eventually(answer)
    assert "`one.txt`: text/plain, 3 bytes" in said and "`two.txt`" in said


async def test_a_message_may_be_a_file_alone(stage: Stage, wire: Wire) -> None:
    sent = await wire.call("message.send", content=[part(await uploaded(stage))])
    assert (await wire.call("thread.get", thread_id=sent["thread_id"]))["thread"]["title"] == "notes.txt"


async def test_a_file_is_sent_once(stage: Stage, wire: Wire) -> None:
    blob_id = await uploaded(stage)
    first = await wire.call("message.send", content=[part(blob_id)], idempotency_key="k")
    assert await wire.call("message.send", content=[part(blob_id)], idempotency_key="k") == first
    refused = await wire.refusal("message.send", content=[part(blob_id)])
    assert (refused.kind, refused.data["hint"]) == ("invalid_state", "Upload it once more")


async def test_unknown_files_and_too_many_are_refused_and_nothing_is_stored(stage: Stage, wire: Wire) -> None:
    assert (await wire.refusal("message.send", content=[part("blb_1")])).kind == "not_found"
    three = [part(await uploaded(stage, b"%d" % number)) for number in range(3)]
    assert (await wire.refusal("message.send", content=three)).kind == "too_large"
    assert (await wire.call("thread.list"))["threads"] == []


async def test_the_files_of_a_deleted_thread_are_gone(stage: Stage, wire: Wire) -> None:
    blob_id = await uploaded(stage)
    sent = await wire.call("message.send", content=[part(blob_id)])
    await wire.call("thread.delete", thread_id=sent["thread_id"])
    assert (await fetch(stage, blob_id)).status_code == 404
    await until(lambda: left(stage) == [])
