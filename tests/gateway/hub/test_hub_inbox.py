"""PROTOCOL.md §6, the inbox: one head per changed thread, coalesced, catching up by offset."""

import asyncio
from typing import Any

import pytest
from gateway_stage import Frame, Stage, Wire, until, words
from hub_stage import HubStage, Reader

from storage.errors import StoreUnavailable
from storage.store import DEFAULT_ORG


async def heads(wire: Wire) -> list[Frame]:
    return [note["params"] for note in await wire.quiet() if note["method"] == "head"]


async def test_a_change_anywhere_is_one_head(stage: Stage, wire: Wire) -> None:
    result = await wire.call("inbox.subscribe")
    assert set(result) == {"epoch", "offset"}
    sent = await wire.call("message.send", content=words("say  hello\nworld"))
    last = (await heads(wire))[-1]
    assert set(last) == {"thread_id", "seq", "kind", "at", "preview", "offset"}
    assert (last["thread_id"], last["kind"], last["preview"]) == (
        sent["thread_id"],
        "run.completed",
        "hello world",
    )
    assert last["offset"] > result["offset"]
    assert last["seq"] == (await stage.log(sent["thread_id"]))[-1]["seq"]


async def test_changes_of_a_thread_are_coalesced_and_the_newest_is_told(wire: Wire) -> None:
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    await wire.call("inbox.subscribe")
    numbers = [await wire.post("thread.update", thread_id=thread_id, title=f"t{n}") for n in range(60)]
    for number in numbers:
        await wire.answer(number)
    told = await heads(wire)
    assert 1 <= len(told) < 20
    assert told[-1]["seq"] == 61
    assert [head["offset"] for head in told] == sorted({head["offset"] for head in told})


async def test_without_an_offset_only_what_is_new_is_told(wire: Wire) -> None:
    await wire.call("thread.create")
    await wire.call("inbox.subscribe")
    assert await heads(wire) == []


async def test_behind_an_offset_every_thread_that_changed_is_told_once(stage: Stage, wire: Wire) -> None:
    old = (await wire.call("thread.create"))["thread"]["id"]
    offset = (await wire.call("inbox.subscribe"))["offset"]
    await wire.call("inbox.unsubscribe")
    fresh = [(await wire.call("thread.create"))["thread"]["id"] for _ in range(3)]
    await wire.call("thread.update", thread_id=fresh[0], title="newest")
    deleted = (await wire.call("thread.create"))["thread"]["id"]
    await wire.call("thread.delete", thread_id=deleted)
    await stage.restart()
    again = await stage.connect()
    await again.call("inbox.subscribe", after_offset=offset)
    told = await heads(again)
    assert [head["thread_id"] for head in told] == [fresh[1], fresh[2], fresh[0], deleted]
    assert [head["kind"] for head in told] == ["thread.created"] * 2 + ["thread.updated", "thread.deleted"]
    assert told[-1]["preview"] == ""
    assert old not in {head["thread_id"] for head in told}


async def test_from_zero_the_whole_inbox_is_told_page_by_page(hubs: HubStage) -> None:
    threads = [await hubs.thread() for _ in range(600)]
    reader = Reader()
    begin = hubs.hub.subscribe_inbox(reader, DEFAULT_ORG, 0, await hubs.store.position())
    begin()
    await until(lambda: len(reader.waiting) >= 600)
    reader.take()
    assert [head["thread_id"] for head in reader.of("head")] == threads


async def test_an_offset_of_the_future_is_the_present(wire: Wire) -> None:
    await wire.call("inbox.subscribe", after_offset=2**53 - 1)
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    assert [head["thread_id"] for head in await heads(wire)] == [thread_id]


async def test_a_deleted_thread_is_told_as_such(wire: Wire) -> None:
    sent = await wire.call("message.send", content=words("say secret"))
    await wire.call("inbox.subscribe")
    await wire.call("thread.delete", thread_id=sent["thread_id"])
    last = (await heads(wire))[-1]
    assert (last["thread_id"], last["kind"], last["preview"]) == (sent["thread_id"], "thread.deleted", "")


async def test_after_unsubscribe_no_head_comes(wire: Wire) -> None:
    await wire.call("inbox.subscribe")
    await wire.call("inbox.unsubscribe")
    await wire.call("thread.create")
    assert await heads(wire) == []
    await wire.call("inbox.unsubscribe")


async def test_a_slow_reader_learns_the_newest_of_every_thread(hubs: HubStage) -> None:
    threads = [await hubs.thread() for _ in range(30)]
    reader = Reader(capacity=4)
    hubs.hub.subscribe_inbox(reader, DEFAULT_ORG, await hubs.store.position(), await hubs.store.position())()
    for round_number in range(10):
        for thread_id in threads:
            await hubs.say(thread_id, f"title {round_number}")
        reader.take(2)
    assert reader.most_waiting <= 4

    def caught_up() -> bool:
        reader.take()
        return {head["thread_id"] for head in reader.of("head") if head["seq"] == 11} == set(threads)

    await until(caught_up)
    offsets = [head["offset"] for head in reader.of("head")]
    assert offsets == sorted(set(offsets)), "no head is told twice and none goes backwards"
    await hubs.say(threads[0], "and live again")
    await until(lambda: reader.take() or reader.of("head")[-1]["seq"] == 12)


async def test_an_unreadable_store_delays_the_heads_and_loses_none(
    hubs: HubStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.hub.hub.STORE_RETRY_S", 0.01)
    thread_id = await hubs.thread()
    real, failures = hubs.store.threads.heads, iter([True, True])

    async def flaky(*args: Any) -> Any:
        if next(failures, False):
            raise StoreUnavailable("not now")
        return await real(*args)

    monkeypatch.setattr(hubs.store.threads, "heads", flaky)
    reader = Reader()
    hubs.hub.subscribe_inbox(reader, DEFAULT_ORG, 0, await hubs.store.position())()
    await until(lambda: reader.take() or reader.of("head"))
    await hubs.say(thread_id, "live")
    await until(lambda: reader.take() or reader.of("head")[-1]["seq"] == 2)


async def test_the_inbox_and_threads_share_a_connection(wire: Wire) -> None:
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    await wire.call("inbox.subscribe")
    await wire.call("thread.subscribe", thread_id=thread_id)
    await wire.call("thread.update", thread_id=thread_id, title="x")
    methods = [note["method"] for note in await wire.quiet()]
    assert methods.count("event") == 1
    assert methods.count("head") == 1


async def test_nothing_is_spawned_for_a_reader_that_left(hubs: HubStage) -> None:
    reader = Reader(capacity=1)
    hubs.hub.subscribe_inbox(reader, DEFAULT_ORG, 0, 0)()
    reader.close()
    hubs.hub.drop(reader)
    for _ in range(5):
        await hubs.thread()
    await asyncio.sleep(0.1)
    assert (hubs.hub._tasks, hubs.hub._inboxes) == (set(), {})
