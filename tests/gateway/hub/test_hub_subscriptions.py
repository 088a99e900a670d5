"""PROTOCOL.md §6: every event after the cursor, then live ones; seq+1, seq+2, … whatever happens meanwhile."""

import asyncio
import random
from typing import Any

import pytest
from gateway_stage import Frame, Stage, Wire, until, words
from hub_stage import HubStage, Reader

from protocol import limits
from protocol.ids import IdPrefix
from protocol.requests import CursorPosition
from storage.errors import StoreUnavailable

# --- where a subscription begins -------------------------------------------------------------------


async def filled(wire: Wire) -> tuple[str, int]:
    """A thread whose answer is complete, and its head."""
    sent = await wire.call("message.send", content=words("say filled"))
    await wire.call("thread.subscribe", thread_id=sent["thread_id"], from_="start", deltas=False)
    head = (await wire.event("run.completed"))["seq"]
    await wire.call("thread.unsubscribe", thread_id=sent["thread_id"])
    wire.notes.clear()
    return sent["thread_id"], head


def seqs(notes: list[Frame]) -> list[int]:
    return [note["params"]["seq"] for note in notes if note["method"] == "event"]


async def test_from_the_start_brings_everything_and_then_says_live(stage: Stage, wire: Wire) -> None:
    thread_id, head = await filled(wire)
    result = await wire.call("thread.subscribe", thread_id=thread_id, from_="start")
    assert result == {"epoch": stage.store.identity.epoch, "first_seq": 1, "head_seq": head}
    notes = await wire.quiet()
    assert seqs(notes) == list(range(1, head + 1))
    last = notes[-1]
    assert (last["method"], last["params"]) == (
        "subscription", {"thread_id": thread_id, "state": "live", "seq": head},
    )  # fmt: skip
    assert [note["params"] for note in notes[:-1]] == await stage.log(thread_id)


async def test_the_answer_comes_before_the_first_event(wire: Wire) -> None:
    thread_id, _ = await filled(wire)
    wire.raw.clear()
    await wire.call("thread.subscribe", thread_id=thread_id, from_="start")
    assert '"result"' in wire.raw[0]


async def test_from_the_tail_brings_only_what_is_new(wire: Wire) -> None:
    thread_id, head = await filled(wire)
    await wire.call("thread.subscribe", thread_id=thread_id)
    assert (await wire.state("live"))["seq"] == head
    await wire.call("thread.update", thread_id=thread_id, title="new")
    assert seqs(await wire.quiet()) == [head + 1]


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_from_a_cursor_brings_what_is_behind_it(stage: Stage, wire: Wire, after: int) -> None:
    thread_id, head = await filled(wire)
    cursor = {"epoch": stage.store.identity.epoch, "after_seq": after}
    await wire.call("thread.subscribe", thread_id=thread_id, from_=cursor)
    assert seqs(await wire.quiet()) == list(range(after + 1, head + 1))


async def test_from_the_head_there_is_nothing_to_replay(stage: Stage, wire: Wire) -> None:
    thread_id, head = await filled(wire)
    cursor = {"epoch": stage.store.identity.epoch, "after_seq": head}
    await wire.call("thread.subscribe", thread_id=thread_id, from_=cursor)
    (live,) = await wire.quiet()
    assert (live["params"]["state"], live["params"]["seq"]) == ("live", head)


@pytest.mark.parametrize(("epoch", "after", "reason"), [("other", 1, "epoch_changed"), ("", 99, "ahead")])
async def test_a_cursor_that_cannot_be_honoured_is_reset_and_nothing_else(
    stage: Stage, wire: Wire, epoch: str, after: int, reason: str
) -> None:
    thread_id, head = await filled(wire)
    cursor = {"epoch": epoch or stage.store.identity.epoch, "after_seq": after}
    await wire.call("thread.subscribe", thread_id=thread_id, from_=cursor)
    await wire.call("thread.update", thread_id=thread_id, title="nobody follows")
    (reset,) = await wire.quiet()
    assert reset["params"] == {
        "thread_id": thread_id, "state": "reset", "reason": reason, "epoch": stage.store.identity.epoch,
        "first_seq": 1, "head_seq": head,
    }  # fmt: skip


async def test_a_cursor_before_what_is_kept_is_trimmed(
    hubs: HubStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread_id = await hubs.thread()
    await hubs.say(thread_id, *"abcdefgh")

    def trim(tx: Any) -> None:
        tx.run("DELETE FROM events WHERE thread_id = :id AND seq < 4", id=thread_id)
        tx.run("UPDATE threads SET first_seq = 4 WHERE id = :id", id=thread_id)

    await hubs.store.engine.write(trim)
    for after, expected in ((2, ["reset"]), (3, ["live"])):
        reader = Reader()
        await hubs.follow(reader, thread_id, CursorPosition(epoch="epo_1", after_seq=after))
        await asyncio.sleep(0.05)
        reader.take()
        assert reader.states == expected
        assert reader.seqs == ([] if after == 2 else list(range(4, 10)))
    whole = Reader()
    await hubs.follow(whole, thread_id, "start")
    await hubs.read_to(whole, 9)
    assert whole.seqs == list(range(4, 10)), "the start is the first event that is kept"


# --- resume in hello -------------------------------------------------------------------------------


async def test_hello_restores_every_subscription_in_one_round_trip(stage: Stage, wire: Wire) -> None:
    epoch = stage.store.identity.epoch
    (one, head_one), (two, head_two) = await filled(wire), await filled(wire)
    deleted, _ = await filled(wire)
    await wire.call("thread.delete", thread_id=deleted)
    resume = [
        {"thread_id": one, "epoch": epoch, "after_seq": head_one - 2},
        {"thread_id": two, "epoch": "epo_old", "after_seq": head_two},
        {"thread_id": deleted, "epoch": epoch, "after_seq": 1},
        {"thread_id": "thr_nowhere", "epoch": epoch, "after_seq": 0},
    ]
    again = await stage.connect(resume=resume)
    assert [
        (state["thread_id"], state["state"], state.get("reason")) for state in again.hello["resumed"]
    ] == [
        (one, "replaying", None),
        (two, "reset", "epoch_changed"),
        (deleted, "reset", "gone"),
        ("thr_nowhere", "reset", "gone"),
    ]
    notes = await again.quiet()
    assert seqs(notes) == [head_one - 1, head_one]
    assert {note["params"]["thread_id"] for note in notes if note["method"] == "event"} == {one}


async def test_a_thread_named_twice_in_resume_is_followed_once(stage: Stage, wire: Wire) -> None:
    thread_id, head = await filled(wire)
    point = {"thread_id": thread_id, "epoch": stage.store.identity.epoch, "after_seq": head - 1}
    again = await stage.connect(resume=[point, point])
    notes = await again.quiet()
    assert seqs(notes) == [head]
    assert [note["params"]["state"] for note in notes if note["method"] == "subscription"] == ["live"]


async def test_resume_keeps_the_kinds_asked_for(stage: Stage, wire: Wire) -> None:
    thread_id, _ = await filled(wire)
    point = {
        "thread_id": thread_id,
        "epoch": stage.store.identity.epoch,
        "after_seq": 0,
        "kinds": ["run.completed"],
    }
    again = await stage.connect(resume=[point])
    events = [note["params"] for note in await again.quiet() if note["method"] == "event"]
    assert [event["kind"] for event in events] == ["run.completed"]


async def test_resume_works_across_a_restart_of_the_gateway(stage: Stage, wire: Wire) -> None:
    thread_id, head = await filled(wire)
    epoch = stage.store.identity.epoch
    await stage.restart()
    assert stage.store.identity.epoch == epoch
    again = await stage.connect(resume=[{"thread_id": thread_id, "epoch": epoch, "after_seq": head}])
    await again.call("message.send", thread_id=thread_id, content=words("say after"))
    completed = await again.event("run.completed")
    assert [event["seq"] for event in await stage.log(thread_id)] == list(range(1, completed["seq"] + 1))


# --- following -------------------------------------------------------------------------------------


async def test_two_viewers_get_the_same_bytes(stage: Stage) -> None:
    one, two = await stage.connect(), await stage.connect(await stage.token())
    thread_id = (await one.call("thread.create"))["thread"]["id"]
    for wire in (one, two):
        await wire.call("thread.subscribe", thread_id=thread_id, from_="start", deltas=False)
        wire.raw.clear()
    await one.call("message.send", thread_id=thread_id, content=words("say ünïcode ✓ \u2028"))
    for wire in (one, two):
        await wire.event("run.completed")
    lines = [[text for text in wire.raw if '"event"' in text] for wire in (one, two)]
    assert lines[0] == lines[1] != []
    late = await stage.connect()
    await late.call("thread.subscribe", thread_id=thread_id, from_="start", deltas=False)
    await late.event("run.completed")
    assert [text for text in late.raw if '"event"' in text][-len(lines[0]) :] == lines[0], (
        "replay and live too"
    )


async def test_events_have_the_shape_of_the_contract(stage: Stage, wire: Wire) -> None:
    thread_id, _ = await filled(wire)
    for event in await stage.log(thread_id):
        assert set(event) - {"run_id"} == {"thread_id", "seq", "kind", "at", "actor", "data"}
        assert set(event["actor"]) == {"id", "kind", "name"}


async def test_after_unsubscribe_nothing_comes(wire: Wire) -> None:
    thread_id, _ = await filled(wire)
    await wire.call("thread.subscribe", thread_id=thread_id)
    await wire.state("live")
    assert await wire.call("thread.unsubscribe", thread_id=thread_id) == {}
    await wire.call("thread.update", thread_id=thread_id, title="unheard")
    assert await wire.quiet() == []
    assert await wire.call("thread.unsubscribe", thread_id=thread_id) == {}, "again is no mistake"


async def test_subscribing_again_replaces_the_subscription(wire: Wire) -> None:
    thread_id, head = await filled(wire)
    await wire.call("thread.subscribe", thread_id=thread_id)
    await wire.call("thread.subscribe", thread_id=thread_id, from_="start")
    notes = await wire.quiet()
    assert seqs(notes) == list(range(1, head + 1))
    await wire.call("thread.update", thread_id=thread_id, title="once")
    assert seqs(await wire.quiet()) == [head + 1]


async def test_deleting_says_gone_and_ends_the_subscription(stage: Stage, wire: Wire) -> None:
    thread_id, _ = await filled(wire)
    await wire.call("thread.subscribe", thread_id=thread_id)
    await wire.state("live")
    await wire.call("thread.delete", thread_id=thread_id)
    (reset,) = [note["params"] for note in await wire.quiet()]
    assert (reset["state"], reset["reason"], reset["epoch"]) == ("reset", "gone", stage.store.identity.epoch)
    assert stage.gateway._hub._followers == {}


async def test_deleting_while_it_catches_up_says_gone_once(hubs: HubStage) -> None:
    for _ in range(3):
        reader = Reader(capacity=100)
        thread_id = await hubs.thread()
        await hubs.say(thread_id, *map(str, range(400)))
        await hubs.follow(reader, thread_id, "start")
        deleting = asyncio.create_task(hubs.delete(thread_id))
        while not deleting.done() or hubs.hub._tasks:
            reader.take(50)
            await asyncio.sleep(0)
        reader.take()
        assert reader.states.count("reset") == 1
        assert reader.seqs == list(range(1, len(reader.seqs) + 1))


async def test_a_page_that_is_read_after_the_deletion_says_nothing_more(
    hubs: HubStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread_id = await hubs.thread()
    reader = Reader()
    opening = await hubs.hub.subscribe(reader, "org_default", thread_id, "start", deltas=True, kinds=None)
    real = hubs.store.threads.replay

    async def late(*args: Any) -> Any:
        await hubs.delete(thread_id)
        return await real(*args)

    monkeypatch.setattr(hubs.store.threads, "replay", late)
    opening.begin()
    await until(lambda: not hubs.hub._tasks)
    reader.take()
    assert (reader.states, reader.seqs) == (["reset"], [])


async def test_unsubscribing_while_it_catches_up_is_silent(hubs: HubStage) -> None:
    thread_id = await hubs.thread()
    await hubs.say(thread_id, *map(str, range(300)))
    reader = Reader()
    opening = await hubs.hub.subscribe(reader, "org_default", thread_id, "start", deltas=True, kinds=None)
    opening.begin()
    await asyncio.sleep(0)
    hubs.hub.unsubscribe(reader, thread_id)
    await hubs.delete(thread_id)
    await until(lambda: not hubs.hub._tasks)
    reader.take()
    assert (reader.states, reader.seqs) == ([], [])


# --- kinds -----------------------------------------------------------------------------------------


async def test_with_kinds_the_others_are_skipped_and_the_position_is_told(wire: Wire) -> None:
    thread_id, head = await filled(wire)
    await wire.call("thread.subscribe", thread_id=thread_id, kinds=["thread.archived"])
    await wire.state("live")
    for number in range(5):
        await wire.call("thread.update", thread_id=thread_id, title=f"title {number}")
    at = await wire.note(lambda frame: frame["params"].get("state") == "at", 1.5)
    assert (at["seq"], at["thread_id"]) == (head + 5, thread_id)
    await wire.call("thread.archive", thread_id=thread_id)
    assert (await wire.event("thread.archived"))["seq"] == head + 6
    assert await wire.quiet(1.2) == [], "a position is told once, and not when an event said it"


async def test_skipped_events_are_told_at_least_every_second_while_they_go_on(wire: Wire) -> None:
    thread_id, _ = await filled(wire)
    await wire.call("thread.subscribe", thread_id=thread_id, kinds=["run.failed"], from_="start")
    began = asyncio.get_running_loop().time()
    places = []
    while asyncio.get_running_loop().time() - began < 2.6:
        await wire.call("thread.update", thread_id=thread_id, title=str(len(wire.raw)))
        await asyncio.sleep(0.05)
    places = [note["params"]["seq"] for note in wire.notes if note["params"].get("state") == "at"]
    assert len(places) == 2
    assert places == sorted(set(places))


async def test_an_unknown_kind_matches_nothing_and_breaks_nothing(wire: Wire) -> None:
    thread_id, head = await filled(wire)
    await wire.call("thread.subscribe", thread_id=thread_id, kinds=["no.such"], from_="start")
    assert (await wire.state("live"))["seq"] == head
    assert [note["method"] for note in await wire.quiet()] == []


# --- slow readers, with a receiver that the test controls ------------------------------------------


async def test_a_slow_reader_lags_catches_up_and_misses_nothing(hubs: HubStage) -> None:
    thread_id = await hubs.thread()
    reader = Reader(capacity=10)
    await hubs.follow(reader, thread_id, "start")
    await asyncio.sleep(0.05)
    for number in range(200):
        await hubs.say(thread_id, f"title {number}")
    assert reader.most_waiting <= 10
    await hubs.read_to(reader, 201, at_once=3)
    assert reader.seqs == list(range(1, 202))
    states = reader.states
    assert states[:2] == ["live", "lagging"]
    await until(lambda: reader.take() or reader.states[-1] == "live")


async def test_lagging_and_live_name_the_place(hubs: HubStage) -> None:
    thread_id = await hubs.thread()
    reader = Reader(capacity=5)
    await hubs.follow(reader, thread_id, "tail")
    await hubs.say(thread_id, *map(str, range(50)))
    await hubs.read_to(reader, 51)
    await until(lambda: reader.take() or reader.states[-1] == "live")
    place = 1
    for one in reader.read:
        if one["method"] == "event":
            assert one["params"]["seq"] == place + 1
            place += 1
        else:
            assert one["params"]["seq"] == place, "a state names the last event that was sent"


async def test_one_slow_reader_does_not_hold_up_another(hubs: HubStage) -> None:
    thread_id = await hubs.thread()
    slow, quick = Reader(capacity=1), Reader()
    await hubs.follow(slow, thread_id)
    await hubs.follow(quick, thread_id)
    await hubs.say(thread_id, *map(str, range(500)))
    await hubs.read_to(quick, 501)
    assert len(slow.read) == 0


async def test_a_long_replay_does_not_delay_a_live_thread(hubs: HubStage) -> None:
    long, short = await hubs.thread(), await hubs.thread()
    await hubs.say(long, *map(str, range(3000)))
    reader = Reader()
    await hubs.follow(reader, long, "start")
    await hubs.follow(reader, short, "tail")
    await hubs.say(short, "live")
    reader.take()
    heard = [one["params"] for one in reader.read if one["method"] == "event"]
    assert any(event["thread_id"] == short for event in heard)
    assert len(heard) < 3000, "the live event was there before the replay was over"


async def test_many_readers_that_join_while_events_come_miss_none(hubs: HubStage) -> None:
    thread_id = await hubs.thread()
    writing = asyncio.create_task(_write(hubs, thread_id, 150))
    readers = []
    while not writing.done():
        readers.append(Reader())
        await hubs.follow(readers[-1], thread_id, "start")
        await asyncio.sleep(0.005)
    head = await hubs.head(thread_id)
    for reader in readers:
        await hubs.read_to(reader, head)
        assert reader.seqs == list(range(1, head + 1))
        assert reader.states.count("live") == 1


async def _write(hubs: HubStage, thread_id: str, count: int) -> None:
    for number in range(count):
        await hubs.say(thread_id, f"title {number}")


async def test_a_store_that_cannot_be_read_for_a_while_delays_and_loses_nothing(
    hubs: HubStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.hub.hub.STORE_RETRY_S", 0.01)
    thread_id = await hubs.thread()
    await hubs.say(thread_id, *map(str, range(50)))
    reader = Reader()
    opening = await hubs.hub.subscribe(reader, "org_default", thread_id, "start", deltas=True, kinds=None)
    real, failures = hubs.store.threads.replay, iter([True] * 3)

    async def flaky(*args: Any) -> Any:
        if next(failures, False):
            raise StoreUnavailable("not now")
        return await real(*args)

    monkeypatch.setattr(hubs.store.threads, "replay", flaky)
    opening.begin()
    await hubs.read_to(reader, 51)
    assert reader.seqs == list(range(1, 52))


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_the_pace_every_view_is_the_log(hubs: HubStage, seed: int) -> None:
    """Random bursts of events, joins, leaves, and readers that read in random portions."""
    chance = random.Random(seed)
    thread_id = await hubs.thread()
    readers: list[Reader] = []
    for _ in range(40):
        match chance.randrange(5):
            case 0:
                readers.append(Reader(capacity=chance.choice([5, 20, 100])))
                await hubs.follow(readers[-1], thread_id, "start")
            case 1 if len(readers) > 3:
                gone = readers.pop(chance.randrange(len(readers)))
                gone.take()
                assert gone.seqs == list(range(1, len(gone.seqs) + 1))
                gone.close()
                hubs.hub.drop(gone)
            case 2 | 3:
                await hubs.say(
                    thread_id, *(hubs.clock.new_id(IdPrefix.BLOB) for _ in range(chance.randrange(1, 40)))
                )
            case _:
                for reader in readers:
                    reader.take(chance.choice([0, 1, 3, 100]))
                await asyncio.sleep(0)
    head = await hubs.head(thread_id)
    if head == 1:
        return
    for reader in readers:
        await hubs.read_to(reader, head, at_once=chance.choice([5, 50, 1000]))
        assert reader.seqs == list(range(1, head + 1))
        assert reader.most_waiting <= reader.capacity


async def test_pages_of_replay_are_bounded(hubs: HubStage, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = hubs.store.threads.replay

    async def watched(*args: Any) -> Any:
        asked.append(args[3:])
        return await real(*args)

    monkeypatch.setattr(hubs.store.threads, "replay", watched)
    thread_id = await hubs.thread()
    await hubs.say(thread_id, *map(str, range(600)))
    reader = Reader()
    await hubs.follow(reader, thread_id, "start")
    await hubs.read_to(reader, 601)
    assert asked[1:] == [(limits.REPLAY_EVENTS, limits.REPLAY_BYTES)] * 3
