"""Files that agents give: stored before the run completes, part of its message, shown where the room takes them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from files_stage import FILE_MAX, PNG, FilesStage, files_stage
from gateway_stage import UNHURRIED, Frame, eventually, until, words
from turn_stage import Script, make_script

from channels.errors import UnknownOutcome
from gateway.agents.port import AgentAsk, AgentFile, AgentOutput, AgentText, FileUnreadable, RunContext
from gateway.services import answer_files
from storage.errors import StoreUnavailable


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FilesStage]:
    limits = UNHURRIED.model_copy(update={"blob_bytes": 5000, "attachments": 2})
    async with files_stage(tmp_path / "data", monkeypatch, limits=limits) as made:
        yield made


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    return make_script(monkeypatch)


async def ending(stage: FilesStage, thread_id: str) -> Frame:
    async def over() -> Frame | None:
        last = (await stage.log(thread_id))[-1]
        return last if last["kind"].startswith(("run.completed", "run.failed", "delivery.")) else None

    found: Frame = await eventually(over)
    return found


async def content_of(stage: FilesStage) -> list[Frame]:
    """The parts of the one answer."""
    await stage.answers()
    log = await stage.log(await stage.thread())
    content: list[Frame] = [
        event["data"]["message"]["content"] for event in log if event["kind"] == "message.created"
    ][-1]
    return content


async def test_a_file_is_part_of_the_answer_and_comes_after_its_text(stage: FilesStage) -> None:
    await stage.courier.say("file notes.txt some words")
    text, file = await content_of(stage)
    assert text == {"type": "text", "text": "Here is notes.txt."}
    assert (file["type"], file["name"]) == ("blob", "notes.txt")
    assert await stage.shown(2) == ["Here is notes.txt.", "notes.txt: "]
    (sent,) = stage.courier.uploaded
    assert (sent.name, sent.media_type, sent.data) == ("notes.txt", "text/plain", b"some words\n")

    async def recorded() -> list[int] | None:
        log = await stage.log(await stage.thread())
        parts = [event["data"]["part"] for event in log if event["kind"] == "delivery.sent"]
        return parts if len(parts) == 2 else None  # the room shows a part a moment before it is recorded

    assert await eventually(recorded) == [1, 2]


async def test_a_client_reads_the_file_of_an_answer(stage: FilesStage) -> None:
    wire = await stage.connect()
    await wire.call("message.send", content=words("file ../../notes.html <b>"))
    _, file = await content_of(stage)
    assert file["name"] == "notes.html.bin"
    served = await stage.http().get(f"/v1/blobs/{file['blob_id']}")
    assert (served.status_code, served.content) == (200, b"<b>\n")


async def test_a_room_without_files_is_told_what_it_does_not_see(stage: FilesStage, script: Script) -> None:
    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        yield AgentText("Done.")
        yield AgentFile("big.bin", "", b"\xff" * (FILE_MAX + 1))
        yield AgentFile("small.png", "", PNG)

    script(answer)
    await stage.restart()
    await stage.courier.say("go")
    shown = await stage.shown(2)
    assert shown == ["Done.\n\n*The file `big.bin` (1001 bytes) cannot be shown here.*", "small.png: "]
    assert [part.get("name") for part in await content_of(stage)] == [None, "big.bin", "small.png"]


async def test_a_file_alone_is_an_answer(stage: FilesStage, script: Script) -> None:
    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        yield AgentFile("a.png", "text/html", PNG)

    script(answer)
    await stage.restart()
    await stage.courier.say("go")
    assert await stage.shown(1) == ["a.png: "]
    assert [part["type"] for part in await content_of(stage)] == ["blob"]
    assert stage.courier.uploaded[0].media_type == "image/png"


async def test_a_lost_answer_to_an_upload_does_not_repeat_it(stage: FilesStage) -> None:
    stage.courier.fates("upload", UnknownOutcome("lost before it arrived"))
    await stage.courier.say("file notes.txt")
    assert await stage.shown(2) == ["Here is notes.txt.", "notes.txt: "]


async def test_a_restart_in_the_middle_keeps_one_file(stage: FilesStage, script: Script) -> None:
    attempts = 0

    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        nonlocal attempts
        attempts += 1
        yield AgentFile("a.png", "", PNG)
        if attempts == 1:
            yield AgentFile("only-once.txt", "", b"kept\n")
            yield AgentAsk("go", "Go on?", "really")
        yield AgentText("done")

    script(answer)
    await stage.restart()
    await stage.courier.say("go")
    wire = await stage.connect()

    async def pending() -> list[Frame]:
        return (await wire.call("approval.list", state="pending"))["approvals"]

    (asked,) = await eventually(pending)
    await stage.restart()
    wire = await stage.connect()
    await wire.call("approval.decide", approval_id=asked["id"], decision="approve")
    content = await content_of(stage)
    assert [part.get("name") for part in content] == [None, "a.png", "only-once.txt"]
    assert len(await stage.blobs()) == 2
    await until(lambda: len(stage.courier.uploaded) == 2)


@pytest.mark.parametrize(
    ("files", "reason", "kept"),
    [
        ([("a.bin", 5001)], "larger than 4.9 KiB", 0),
        ([("a.txt", 1), ("b.txt", 2), ("c.txt", 3)], "at most 2 files", 3),
    ],
)
async def test_an_agent_that_gives_too_much_fails_visibly(
    stage: FilesStage, script: Script, files: list[tuple[str, int]], reason: str, kept: int
) -> None:
    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        for name, size in files:
            yield AgentFile(name, "", b"x" * size)

    script(answer)
    await stage.restart()
    sent = await (await stage.connect()).call("message.send", content=words("go"))
    last = await ending(stage, sent["thread_id"])
    assert (last["kind"], last["data"]["error"]["kind"]) == ("run.failed", "too_large")
    assert reason in last["data"]["error"]["message"]
    assert await stage.store.blobs.collect(stage.clock.now_ms() + 1000, 10) == kept
    assert stage.on_disk() == []


async def test_a_file_waits_for_a_store_that_does_not_take_it(
    stage: FilesStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_files, "STORE_RETRY_S", 0.01)
    real, failures = stage.store.blobs.keep, 2

    async def flaky(*args: object) -> object:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise StoreUnavailable("disk full")
        return await real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(stage.store.blobs, "keep", flaky)
    await stage.courier.say("file notes.txt")
    assert [part.get("name") for part in await content_of(stage)] == [None, "notes.txt"]


async def test_a_file_with_an_error_has_no_bytes(stage: FilesStage, script: Script) -> None:
    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        (file,) = context.files
        try:
            await file.read()
        except FileUnreadable as error:
            yield AgentText(f"{type(error).__name__} {error}; {file.error}")

    script(answer)
    await stage.restart()
    await stage.courier.say("", stage.courier.attachment(b"x" * 5001, "a.txt"))
    (text,) = await stage.answers()
    assert text == "FileUnreadable a.txt: it is larger than 4.9 KiB; it is larger than 4.9 KiB"
