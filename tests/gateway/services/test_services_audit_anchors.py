"""Anchors of the audit log: every checkpoint, in order, and what they know of a store that was restored."""

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from audit_receivers import Collector, collecting
from gateway_stage import Stage, eventually, until

from gateway import checkpoint_file
from gateway.edge.authentication import LOCAL_ACTOR
from gateway.services import audit_outlets
from storage.audit_notes import Note
from storage.values import DEFAULT_ORG, Act


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_outlets, "FIRST_S", 0.01)
    monkeypatch.setattr(audit_outlets, "LAST_S", 0.02)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path / "data")
    yield made
    await made.close()


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as made:
        yield made


async def seal(stage: Stage, times: int = 1) -> None:
    """So many entries, each under a checkpoint of its own."""
    wire = await stage.connect()
    for _ in range(times):
        act = Act(DEFAULT_ORG, LOCAL_ACTOR, "test", stage.clock.now_ms())
        await stage.store.audit.record(act, "thread.update", {}, "success", {})
        await wire.call("audit.checkpoint")


async def sizes(stage: Stage) -> list[int]:
    """Of the checkpoints the store has."""
    return [one.size for one in await stage.store.trail.notes(0, 1 << 53, 1000)]


def kept(path: Path) -> list[int]:
    """Of the checkpoints an anchor file has."""
    notes, broken = checkpoint_file.read(path)
    assert broken == 0
    return [note.checkpoint.size for note in notes]


async def test_every_checkpoint_is_anchored_in_a_file_and_posted(
    stage: Stage, collector: Collector, tmp_path: Path
) -> None:
    path = tmp_path / "elsewhere" / "anchor"
    path.parent.mkdir()
    await stage.start(audit={"anchors": [{"path": path}, {"url": collector.url}]})
    await seal(stage, 4)

    async def arrived() -> bool:
        made = await sizes(stage)
        return len(made) >= 4 and path.exists() and kept(path) == made and len(collector.bodies) == len(made)

    await eventually(arrived)
    posted = [Note.parse(body.decode()) for body in collector.bodies]
    assert [note.checkpoint.size for note in posted] == kept(path)
    assert {headers["Content-Type"] for headers in collector.headers} == {"text/plain; charset=utf-8"}


async def test_what_was_not_taken_is_sent_again_from_there(stage: Stage, collector: Collector) -> None:
    collector.answers = [500, 503]
    await stage.start(audit={"anchors": [{"url": collector.url}]})
    await seal(stage, 2)
    await until(lambda: len(collector.bodies) >= 2)
    await stage.stop()
    before = len(collector.bodies)
    await stage.restart()
    await seal(stage, 1)
    await until(lambda: len(collector.bodies) > before)
    posted = [Note.parse(body.decode()).checkpoint.size for body in collector.bodies]
    assert posted == sorted(set(posted)), "each once, in order, over the restart"


async def test_an_anchor_knows_that_the_store_was_restored(stage: Stage, tmp_path: Path) -> None:
    """The whole data directory is put back: only the anchor, out of reach, knows that the log was longer."""
    anchor = tmp_path / "anchor"
    await stage.start(audit={"anchors": [{"path": anchor}]})
    await seal(stage, 2)
    await stage.stop()
    backup = shutil.copytree(tmp_path / "data", tmp_path / "backup")
    await stage.start()
    await seal(stage, 3)
    await stage.stop()
    lost = kept(anchor)[-1]
    shutil.rmtree(tmp_path / "data")
    backup.rename(tmp_path / "data")

    await stage.start()
    wire = await stage.connect()
    (entry,) = (await wire.call("audit.list", action="audit.epoch"))["entries"]
    assert entry["reason"] == "behind"
    assert entry["detail"]["known"]["size"] == lost
    await seal(stage)
    await until(lambda: json.loads(entry["body"])["epoch"] == 2)

    async def anchored() -> bool:
        notes, _ = checkpoint_file.read(anchor)
        return notes[-1].checkpoint.epoch == 2

    await eventually(anchored)


async def test_a_second_start_on_an_anchored_store_begins_nothing(stage: Stage, tmp_path: Path) -> None:
    await stage.start(audit={"anchors": [{"path": tmp_path / "anchor"}]})
    await seal(stage, 2)
    await stage.restart()
    wire = await stage.connect()
    assert (await wire.call("audit.list", action="audit.epoch"))["entries"] == []
