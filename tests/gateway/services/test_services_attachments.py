"""Files from chat networks: durable with their message, fetched afterwards, and nobody waits in vain for one."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from files_stage import PNG, FilesStage, files_stage
from gateway_stage import UNHURRIED, eventually, until

from channels.errors import Permanent, RateLimited, TooLarge, UnknownOutcome, Unreachable
from gateway.rules import retry
from gateway.services import attachments
from storage.errors import StoreUnavailable


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_S", 0.01)


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FilesStage]:
    """Overrides the plain gateway: this one has a room with files."""
    limits = UNHURRIED.model_copy(update={"blob_bytes": 2000, "attachments": 3})
    async with files_stage(tmp_path / "data", monkeypatch, limits=limits) as made:
        yield made


async def states(stage: FilesStage) -> list[str]:
    return [blob["state"] for blob in await stage.blobs()]


async def all_settled(stage: FilesStage) -> list[str]:
    async def over() -> list[str] | None:
        found = await states(stage)
        return found if found and "pending" not in found else None

    found: list[str] = await eventually(over)
    return found


# --- when all goes well ----------------------------------------------------------------------------


async def test_a_file_alone_is_a_message_and_the_agent_reads_it(stage: FilesStage) -> None:
    await stage.courier.say("", stage.courier.attachment(PNG, "photo.png"))
    (answer,) = await stage.answers()
    digest = hashlib.sha256(PNG).hexdigest()
    assert answer == f"- `photo.png`: image/png, {len(PNG)} bytes, SHA-256 {digest[:12]}…\n"
    created, said = (await stage.log(await stage.thread()))[:2]
    assert created["data"]["title"] == "photo.png", "a thread without words is named after its file"
    (part,) = said["data"]["message"]["content"]
    assert (part["type"], part["name"]) == ("blob", "photo.png")
    assert stage.on_disk() == [digest]


async def test_the_message_is_durable_before_any_byte_of_its_files(stage: FilesStage) -> None:
    stage.courier.gate.clear()
    await stage.courier.say("look", stage.courier.attachment(PNG))
    await until(lambda: stage.courier.downloads)
    assert (await states(stage), stage.gateway.runs.scheduler.active) == (["pending"], 0)
    assert [event["kind"] for event in await stage.log(await stage.thread())][-1] == "run.queued"
    stage.courier.gate.set()
    assert len(await stage.answers()) == 1


async def test_messages_behind_one_with_a_slow_file_keep_their_order(stage: FilesStage) -> None:
    stage.courier.gate.clear()
    await stage.courier.say("", stage.courier.attachment(PNG, "slow.png"))
    await stage.courier.say("say second")
    await stage.courier.say("say third")
    await until(lambda: stage.courier.downloads)
    await asyncio.sleep(0.05)
    assert stage.courier.texts() == []
    stage.courier.gate.set()
    answers = await stage.answers(3)
    assert answers[0].startswith("- `slow.png`")
    assert answers[1:] == ["second", "third"]


async def test_four_are_fetched_at_once_and_all_come(stage: FilesStage) -> None:
    stage.courier.gate.clear()
    for number in range(3):
        files = [stage.courier.attachment(b"%d %d" % (number, n), f"{number}-{n}.txt") for n in range(3)]
        await stage.courier.say("", *files)
    await until(lambda: stage.courier.downloads == 4)
    await asyncio.sleep(0.05)
    assert stage.courier.downloads == 4
    stage.courier.gate.set()
    assert await all_settled(stage) == ["stored"] * 9
    assert stage.courier.most_at_once == 4
    assert len(await stage.answers(3)) == 3


# --- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [Unreachable("no route"), UnknownOutcome("reset"), RateLimited(0.01)])
async def test_what_may_pass_is_tried_again(stage: FilesStage, error: Exception) -> None:
    stage.courier.misfortunes.extend([error, error])
    await stage.courier.say("", stage.courier.attachment(PNG))
    assert "image/png" in (await stage.answers())[0]
    assert stage.courier.downloads == 3


async def test_five_attempts_are_enough(stage: FilesStage) -> None:
    stage.courier.misfortunes.extend([Unreachable("no route")] * 9)
    await stage.courier.say("", stage.courier.attachment(PNG))
    (answer,) = await stage.answers()
    assert answer == "- `photo.png` did not arrive: it could not be fetched (no route)\n"
    assert stage.courier.downloads == 5
    assert stage.on_disk() == []


async def test_a_minute_is_enough(stage: FilesStage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.courier.misfortunes.append(RateLimited(61.0))
    await stage.courier.say("", stage.courier.attachment(PNG))
    assert "did not arrive" in (await stage.answers())[0]
    assert stage.courier.downloads == 1


async def test_an_attempt_that_hangs_is_broken_off(
    stage: FilesStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachments, "PATIENCE_S", 0.05)
    monkeypatch.setattr(attachments, "ATTEMPT_LEAST_S", 0.05)
    stage.courier.gate.clear()
    await stage.courier.say("", stage.courier.attachment(PNG))
    assert "it took too long" in (await stage.answers())[0]
    assert stage.courier.at_once == 0, "the download was ended, not left alone"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Permanent("the file was removed"), "the file was removed"),
        (TooLarge("too much"), "it is larger than 2 KiB"),
        (ZeroDivisionError("private"), "an internal error (inc_"),
    ],
)
async def test_what_cannot_pass_fails_at_once_and_is_told_to_both(
    stage: FilesStage, error: Exception, reason: str
) -> None:
    stage.courier.misfortunes.append(error)
    await stage.courier.say("", stage.courier.attachment(PNG))
    (answer,) = await stage.answers()
    assert answer.startswith(f"- `photo.png` did not arrive: {reason}")
    shown = await stage.shown(2)
    assert shown[0].startswith(f"I did not get `photo.png`: {reason}")
    assert shown[1] == answer
    assert stage.courier.downloads == 1
    assert "private" not in "".join(shown)


async def test_the_limit_holds_whatever_the_network_says(stage: FilesStage) -> None:
    honest = stage.courier.attachment(b"x" * 2001, "honest.txt", size_bytes=2001)
    lying = stage.courier.attachment(b"x" * 2001, "lying.txt", size_bytes=10)
    fitting = stage.courier.attachment(b"x" * 2000, "fitting.txt")
    await stage.courier.say("", honest, lying, fitting)
    (answer,) = await stage.answers()
    assert answer.count("it is larger than 2 KiB") == 2
    assert "`fitting.txt`: text/plain, 2000 bytes" in answer
    assert stage.courier.downloads == 2, "a file that is known to be too large is not fetched"
    assert len(stage.on_disk()) == 1


async def test_more_files_than_allowed_are_not_lost_in_silence(stage: FilesStage) -> None:
    files = [stage.courier.attachment(b"%d" % number, f"{number}.txt") for number in range(5)]
    await stage.courier.say("", *files)
    (answer,) = await stage.answers()
    assert answer.count("\n") == 4
    assert "`2 more files` did not arrive: a message may bring no more files" in answer
    assert any("2 more files" in text for text in await stage.shown(2))


async def test_names_and_types_are_the_gateways_own(stage: FilesStage) -> None:
    courier = stage.courier
    await courier.say("", courier.attachment(b"MZ\x90\x00" + b"\x00" * 60, "../../x", "image/png"))
    await courier.say("", courier.attachment(b"hello", "CON"))
    await courier.say("", courier.attachment(PNG, "report\u202efdp.exe", "application/pdf"))
    await stage.answers(3)
    found = [(blob["name"], blob["media_type"]) for blob in await stage.blobs()]
    assert found == [
        ("x", "application/vnd.microsoft.portable-executable"),
        ("_CON", "text/plain"),
        ("reportfdp.exe.bin", "image/png"),
    ]


# --- restarts --------------------------------------------------------------------------------------


async def test_a_restart_in_the_middle_fetches_again(stage: FilesStage) -> None:
    stage.courier.gate.clear()
    await stage.courier.say("", stage.courier.attachment(PNG))
    await until(lambda: stage.courier.downloads)
    await stage.stop()
    assert stage.on_disk() == []
    stage.courier.gate.set()
    await stage.start()
    assert "image/png" in (await stage.answers())[0]
    assert await states(stage) == ["stored"]


async def test_a_long_downtime_does_not_cost_a_file_its_attempt(stage: FilesStage) -> None:
    stage.courier.gate.clear()
    await stage.courier.say("", stage.courier.attachment(PNG))
    await stage.stop()
    stage.courier.gate.set()
    stage.clock.now_ms = lambda real=stage.clock.now_ms: real() + 3600_000  # type: ignore[method-assign, misc]
    await stage.start()
    assert "image/png" in (await stage.answers())[0]


async def test_a_channel_that_was_removed_does_not_hold_up_its_messages(stage: FilesStage) -> None:
    stage.courier.gate.clear()
    await stage.courier.say("", stage.courier.attachment(PNG))
    await stage.restart(channels=())
    assert "did not arrive: its chat network is not configured any more" in (await stage.answers())[0]


async def test_a_hint_that_got_lost_is_found_again(
    stage: FilesStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler did not hear that the files are here; its sweep finds the run."""
    monkeypatch.setattr("gateway.services.scheduler.RENEW_S", 0.05)
    await stage.restart()
    scheduler = stage.gateway.runs.scheduler
    hooks = stage.store.engine._hooks
    place = hooks.index(scheduler.on_commit)
    stage.courier.gate.clear()
    await stage.courier.say("", stage.courier.attachment(PNG))
    hooks[place] = lambda signals: None
    stage.courier.gate.set()
    assert "image/png" in (await stage.answers())[0]


async def test_a_store_that_takes_nothing_costs_no_file(
    stage: FilesStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachments, "STORE_RETRY_S", 0.01)
    real, failures = stage.store.blobs.settle, 3

    async def flaky(*args: object) -> bool:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise StoreUnavailable("disk full")
        return await real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(stage.store.blobs, "settle", flaky)
    await stage.courier.say("", stage.courier.attachment(PNG))
    assert "image/png" in (await stage.answers())[0]


async def test_a_deleted_thread_takes_its_files_along(stage: FilesStage) -> None:
    await stage.courier.say("", stage.courier.attachment(PNG))
    await stage.answers()
    wire = await stage.connect()
    await wire.call("thread.delete", thread_id=await stage.thread())
    await until(lambda: stage.on_disk() == [])
    assert await stage.blobs() == []


async def test_uploads_that_nobody_sent_are_collected_with_the_rest_of_the_house(stage: FilesStage) -> None:
    answer = await stage.http().post("/v1/blobs", content=b"forgotten")
    assert answer.status_code == 200
    await stage.gateway.rooms.attachments.collect()
    assert len(await stage.blobs()) == 1
    stage.clock.now_ms = lambda real=stage.clock.now_ms: real() + attachments.UNATTACHED_MS + 1000  # type: ignore[method-assign, misc]
    await stage.gateway.rooms.attachments.collect()
    assert (await stage.blobs(), stage.on_disk()) == ([], [])
