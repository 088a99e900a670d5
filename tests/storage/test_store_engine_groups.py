"""The engine's writes and reads: grouped commits, undone alone, told in order, never on the loop."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from storage.engine import GROUP_MAX, Engine, Reader, Transaction


class Refused(Exception):
    """What an act of these tests raises."""


@pytest.fixture
async def engine(directory: Path) -> AsyncIterator[Engine]:
    opened = await Engine.open(directory)
    await opened.write(lambda tx: tx.run("CREATE TABLE notes (text TEXT UNIQUE)"))
    yield opened
    await opened.close()


@asynccontextmanager
async def writer_held(engine: Engine):
    """Keep the writer busy, so that what is written inside waits and forms the next group."""
    started, gate = threading.Event(), threading.Event()

    def hold(_: Transaction) -> None:
        started.set()
        assert gate.wait(10)

    holding = asyncio.ensure_future(engine.write(hold))
    await asyncio.to_thread(started.wait, 10)
    try:
        yield
    finally:
        gate.set()
        await holding


def note(tx: Transaction, text: str) -> str:
    tx.run("INSERT INTO notes VALUES (:text)", text=text)
    tx.emit(text)
    return text


def refuse_first(tx: Transaction) -> None:
    tx.emit("never")
    raise Refused("before it wrote")


def refuse_late(tx: Transaction, text: str) -> None:
    note(tx, text)
    raise Refused("after it wrote")


def notes(tx: Reader) -> list[str]:
    return [row["text"] for row in tx.all("SELECT text FROM notes ORDER BY rowid")]


async def in_one_group(engine: Engine, *writes: tuple) -> list[object]:
    """Run acts that wait together; return what each gave or raised."""
    async with writer_held(engine):
        waiting = [asyncio.ensure_future(engine.write(*write)) for write in writes]
        await asyncio.sleep(0.02)
    return await asyncio.gather(*waiting, return_exceptions=True)


async def test_writes_that_wait_are_committed_as_one_group(engine: Engine) -> None:
    before = engine.stats.groups
    given = await in_one_group(engine, *[(note, f"n{n}") for n in range(100)])
    assert given == [f"n{n}" for n in range(100)]
    assert engine.stats.groups - before == 2, "the one that held the writer, then the hundred"
    assert engine.stats.group_size_last == 100
    assert await engine.read(notes) == given, "in the order they were asked for"


async def test_a_group_is_bounded(engine: Engine) -> None:
    before = engine.stats.groups
    await in_one_group(engine, *[(note, f"n{n}") for n in range(GROUP_MAX + 44)])
    assert engine.stats.groups - before == 3
    assert engine.stats.group_size_last == 44


async def test_without_company_a_write_commits_alone(engine: Engine) -> None:
    before = engine.stats.groups
    for number in range(3):
        await engine.write(note, f"n{number}")
    assert engine.stats.groups - before == 3


@pytest.mark.parametrize("refused", [(refuse_first,), (refuse_late, "gone")], ids=["before", "after"])
async def test_a_write_that_raises_is_undone_alone(engine: Engine, refused: tuple) -> None:
    told: list[object] = []
    engine.add_hook(told.extend)
    first, raised, last = await in_one_group(engine, (note, "a"), refused, (note, "b"))
    assert (first, last) == ("a", "b")
    assert isinstance(raised, Refused)
    assert await engine.read(notes) == ["a", "b"]
    assert told == ["a", "b"], "and its signals with it"


async def test_everybody_of_a_group_may_raise(engine: Engine) -> None:
    raised = await in_one_group(engine, (refuse_late, "a"), (refuse_first,), (refuse_late, "b"))
    assert all(isinstance(error, Refused) for error in raised)
    assert await engine.read(notes) == []
    assert await engine.write(note, "the next one") == "the next one"


async def test_a_broken_constraint_is_its_callers_alone(engine: Engine) -> None:
    first, second, third = await in_one_group(engine, (note, "same"), (note, "same"), (note, "other"))
    assert (first, third) == ("same", "other")
    assert isinstance(second, sqlite3.IntegrityError)
    assert engine.writable


async def test_offsets_grow_also_when_a_group_runs_twice(engine: Engine) -> None:
    def place(tx: Transaction, text: str) -> int:
        note(tx, text)
        return tx.next_offset()

    before = engine.last_offset
    first, _, second = await in_one_group(engine, (place, "a"), (refuse_late, "gone"), (place, "b"))
    later = await engine.write(place, "c")
    assert before < first < second < later


async def test_hooks_are_told_in_commit_order_before_the_callers(engine: Engine) -> None:
    happened: list[str] = []
    engine.add_hook(lambda signals: happened.extend(f"told {signal}" for signal in signals))
    engine.add_hook(lambda signals: happened.append(f"second hook: {len(signals)}"))

    async def write(text: str) -> None:
        await engine.write(note, text)
        happened.append(f"resumed {text}")

    async with writer_held(engine):
        writing = [asyncio.create_task(write(text)) for text in "abc"]
        await asyncio.sleep(0.02)
    await asyncio.gather(*writing)
    assert happened[:4] == ["told a", "told b", "told c", "second hook: 3"]
    assert sorted(happened[4:]) == ["resumed a", "resumed b", "resumed c"]


async def test_a_write_without_signals_tells_nobody(engine: Engine) -> None:
    told: list[object] = []
    engine.add_hook(told.append)
    await engine.write(lambda tx: tx.run("INSERT INTO notes VALUES ('quiet')"))
    assert told == []


async def test_a_cancelled_caller_leaves_the_write_and_its_company_alone(engine: Engine) -> None:
    told: list[object] = []
    engine.add_hook(told.extend)
    async with writer_held(engine):
        doomed = asyncio.create_task(engine.write(note, "mine"))
        other = asyncio.create_task(engine.write(note, "yours"))
        await asyncio.sleep(0.02)
        doomed.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doomed
    assert await other == "yours"
    assert await engine.read(notes) == ["mine", "yours"], "it was asked for, and it happened"
    assert told == ["mine", "yours"]


async def test_a_read_sees_one_snapshot(engine: Engine) -> None:
    looked, go_on = threading.Event(), threading.Event()

    def look_twice(tx: Reader) -> tuple[list[str], list[str]]:
        before = notes(tx)
        looked.set()
        assert go_on.wait(10)
        return before, notes(tx)

    await engine.write(note, "first")
    reading = asyncio.create_task(engine.read(look_twice))
    await asyncio.to_thread(looked.wait, 10)
    await engine.write(note, "second")
    assert await engine.read(notes) == ["first", "second"], "another reader sees it at once"
    go_on.set()
    assert await reading == (["first"], ["first"])


async def test_a_read_cannot_write(engine: Engine) -> None:
    with pytest.raises(Exception, match="readonly"):
        await engine.read(lambda tx: tx.all("INSERT INTO notes VALUES ('x') RETURNING text"))
    assert await engine.read(notes) == []


async def test_a_read_hands_over_what_it_raised(engine: Engine) -> None:
    def refuse(_: Reader) -> None:
        raise Refused("no")

    with pytest.raises(Refused):
        await engine.read(refuse)
    assert await engine.read(notes) == [], "and the reader goes on"


async def test_acts_run_on_database_threads(engine: Engine) -> None:
    def thread(_: Reader) -> tuple[int, str]:
        return threading.get_ident(), threading.current_thread().name

    writer, writer_name = await engine.write(thread)
    reader, reader_name = await engine.read(thread)
    assert len({writer, reader, threading.get_ident()}) == 3
    assert writer_name == "store-writer"
    assert reader_name.startswith("store-reader-")


def count_to_half_a_million(tx: Reader) -> int:
    return tx.value(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500000) SELECT sum(i) FROM n"
    )


async def test_the_loop_stays_responsive_while_the_writer_works(engine: Engine) -> None:
    work = asyncio.gather(*[engine.write(count_to_half_a_million) for _ in range(8)])
    gaps = []
    while not work.done():
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        gaps.append(time.perf_counter() - before)
    assert len(gaps) > 10, "there was something to wait for"
    assert sorted(gaps)[len(gaps) // 2] < 0.02
    assert max(gaps) < 0.25


@contextmanager
def saturated_loop():
    """A loop that never idles: a callback of 50 µs that schedules itself again."""
    loop = asyncio.get_running_loop()
    is_over = False

    def spin() -> None:
        until = time.perf_counter() + 50e-6
        while time.perf_counter() < until:
            pass
        if not is_over:
            loop.call_soon(spin)

    loop.call_soon(spin)
    try:
        yield
    finally:
        is_over = True


async def test_writes_make_progress_on_a_saturated_loop(engine: Engine) -> None:
    with saturated_loop():
        started = time.perf_counter()
        for number in range(20):
            await engine.write(note, f"n{number}")
        await engine.read(notes)
        took = time.perf_counter() - started
    assert took < 2.0, "100 ms for a write: without the naps each one takes seconds"


async def test_the_loop_naps_only_while_calls_wait(engine: Engine) -> None:
    await engine.write(note, "done")
    await asyncio.sleep(0.01)
    naps = engine.stats.naps
    with saturated_loop():
        await asyncio.sleep(0.05)
    assert engine.stats.naps == naps
