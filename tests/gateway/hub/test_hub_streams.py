"""PROTOCOL.md §7: deltas from index 0, rolled up; snapshots for who joins or falls behind; the final text wins."""

import asyncio
import itertools
import json
from collections.abc import Callable

import pytest
from gateway_stage import Frame, Stage, Wire, until, words
from hub_stage import HubStage, Reader

from gateway.hub.streams import Stream
from protocol import limits


class View:
    """What a client shows of one message, by the rules for clients in §7."""

    def __init__(self) -> None:
        self.text = ""
        self.expected: int | None = None
        self.gaps = 0

    def take(self, method: str, params: Frame) -> None:
        if method == "snapshot":
            self.text, self.expected = params["text"], params["next_index"]
        elif method == "delta":
            if self.expected is None:
                self.expected = 0
            if params["index"] == self.expected:
                self.text += params["text"]
                self.expected += 1
            elif params["index"] > self.expected:
                self.gaps += 1


def answer_text(events: list[Frame]) -> str:
    (answer,) = [one for one in events if one["data"].get("message", {}).get("role") == "assistant"]
    text: str = answer["data"]["message"]["content"][0]["text"]
    return text


# --- over the wire ---------------------------------------------------------------------------------


async def test_deltas_begin_at_zero_and_add_up_to_the_final_message(stage: Stage, wire: Wire) -> None:
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    await wire.call("thread.subscribe", thread_id=thread_id)
    sent = await wire.call("message.send", thread_id=thread_id, content=words("stream 120 300"))
    await wire.event("run.completed")
    deltas = [json.loads(text)["params"] for text in wire.raw if '"method":"delta"' in text]
    assert [delta["index"] for delta in deltas] == list(range(len(deltas)))
    assert {(delta["thread_id"], delta["run_id"]) for delta in deltas} == {(thread_id, sent["run_id"])}
    log = await stage.log(thread_id)
    assert "".join(delta["text"] for delta in deltas) == answer_text(log)
    message_ids = {
        one["data"]["message"]["id"] for one in log if one["data"].get("message", {}).get("run_id")
    }
    assert {delta["message_id"] for delta in deltas} == message_ids


async def test_all_deltas_come_before_the_final_message(wire: Wire) -> None:
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    await wire.call("thread.subscribe", thread_id=thread_id)
    await wire.call("message.send", thread_id=thread_id, content=words("stream 30 300"))
    await wire.event("run.completed")
    methods = [json.loads(text).get("method") for text in wire.raw]
    assert methods[-2:] == ["event", "event"]
    assert methods[-3] == "delta"


async def test_without_deltas_only_events_come(wire: Wire) -> None:
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    await wire.call("thread.subscribe", thread_id=thread_id, deltas=False)
    await wire.call("message.send", thread_id=thread_id, content=words("stream 30 300"))
    await wire.event("run.completed")
    assert not [text for text in wire.raw if '"delta"' in text or '"snapshot"' in text]


@pytest.mark.parametrize("position", ["tail", "start"])
async def test_who_joins_in_the_middle_gets_a_snapshot_and_then_the_rest(
    stage: Stage, wire: Wire, position: str
) -> None:
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    await wire.call("thread.subscribe", thread_id=thread_id)
    await wire.call("message.send", thread_id=thread_id, content=words("stream 60 100"))
    await wire.note(lambda frame: frame["method"] == "delta" and frame["params"]["index"] >= 2)
    late = await stage.connect()
    await late.call("thread.subscribe", thread_id=thread_id, from_=position)
    snapshot = await late.note(lambda frame: frame["method"] == "snapshot")
    assert snapshot["next_index"] > 0
    await late.event("run.completed")
    view = View()
    for text in late.raw:
        frame = json.loads(text)
        view.take(frame.get("method", ""), frame.get("params", {}))
    assert (view.text, view.gaps) == (answer_text(await stage.log(thread_id)), 0)


async def test_after_the_answer_there_is_nothing_to_snapshot(stage: Stage, wire: Wire) -> None:
    sent = await wire.call("message.send", content=words("say done"))
    await wire.call("thread.subscribe", thread_id=sent["thread_id"], from_="start")
    await wire.event("run.completed")
    late = await stage.connect()
    await late.call("thread.subscribe", thread_id=sent["thread_id"], from_="start")
    assert {note["method"] for note in await late.quiet()} == {"event", "subscription"}


async def test_a_restarted_gateway_goes_on_behind_what_was_said(stage: Stage, wire: Wire) -> None:
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    await wire.call("thread.subscribe", thread_id=thread_id)
    await wire.call("message.send", thread_id=thread_id, content=words("stream 80 100"))
    await wire.note(lambda frame: frame["method"] == "delta" and frame["params"]["index"] >= 3)
    head = (await stage.log(thread_id))[-1]["seq"]
    epoch = stage.store.identity.epoch
    await stage.restart()
    again = await stage.connect(resume=[{"thread_id": thread_id, "epoch": epoch, "after_seq": head}])
    assert (await again.event("run.resumed"))["data"]["attempt"] == 2
    await again.event("run.completed")
    view = View()
    for text in again.raw:
        frame = json.loads(text)
        view.take(frame.get("method", ""), frame.get("params", {}))
    whole = " ".join(f"word-{number}" for number in range(1, 81))
    assert answer_text(await stage.log(thread_id)) == whole
    assert (view.text, view.gaps) == (whole, 0)


# --- the stream itself -----------------------------------------------------------------------------


async def collected(pieces: list[tuple[float, str]]) -> list[tuple[float, Frame]]:
    """Push pieces, each after a pause; every delta with the time it came."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    seen: list[tuple[float, Frame]] = []

    def publish(stream: Stream, note: object) -> None:
        seen.append((loop.time() - began, json.loads(bytes(note.params))))  # type: ignore[attr-defined]

    stream = Stream("thr", "run", "msg", "", publish, Stream.flush, loop)
    for pause, text in pieces:
        await asyncio.sleep(pause)
        stream.push(text)
    stream.flush()
    return seen


async def test_the_first_piece_goes_out_at_once_and_the_rest_every_40_ms() -> None:
    seen = await collected([(0, "first ")] + [(0.002, f"{number} ") for number in range(60)])
    assert (seen[0][1]["text"], seen[0][1]["index"]) == ("first ", 0)
    assert seen[0][0] < 0.02
    gaps = [later[0] - sooner[0] for sooner, later in itertools.pairwise(seen[:-1])]
    assert min(gaps) > limits.DELTA_INTERVAL_S * 0.9
    assert "".join(delta["text"] for _, delta in seen) == "first " + "".join(f"{n} " for n in range(60))
    assert len(seen) < 10


async def test_a_slow_speaker_is_not_held_back() -> None:
    seen = await collected([(0.05, str(number)) for number in range(4)])
    assert [delta["text"] for _, delta in seen] == ["0", "1", "2", "3"]


class HandClock:
    """The time and the timers of a loop, by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[float] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> None:
        self.timers.append(when)


def test_who_speaks_25_times_a_second_does_not_wait_for_late_timers() -> None:
    clock, seen = HandClock(), []
    stream = Stream("thr", "run", "msg", "", lambda _, note: seen.append(note), Stream.flush, clock)  # type: ignore[arg-type]
    for late_ms in (2.9, 0.0, 1.5, 0.1, 2.9):
        clock.now += 0.040
        on_time, clock.now = clock.now, clock.now + late_ms / 1000
        stream.push("word ")
        clock.now = on_time
    assert (len(seen), clock.timers) == (5, [])


async def test_nothing_waits_in_a_stream_that_was_discarded() -> None:
    loop = asyncio.get_running_loop()
    seen: list[object] = []
    stream = Stream("thr", "run", "msg", "", lambda _, note: seen.append(note), Stream.flush, loop)
    stream.push("a")
    stream.push("b")
    stream.discard()
    await asyncio.sleep(0.06)
    assert len(seen) == 1


# --- slow readers ----------------------------------------------------------------------------------


async def test_a_slow_reader_gets_one_snapshot_instead_of_the_deltas_it_missed(hubs: HubStage) -> None:
    thread_id = await hubs.thread()
    slow, quick = Reader(capacity=3), Reader()
    await hubs.follow(slow, thread_id, "tail")
    await hubs.follow(quick, thread_id, "tail")
    slow.take()
    stream = hubs.hub.open_stream(thread_id, "run", "msg", "")
    for number in range(100):
        stream.push(f"{number} ")
        stream.flush()
    assert slow.most_waiting <= 3
    slow.take()
    await until(lambda: slow.waiting)
    stream.push("end")
    stream.flush()
    slow.take()
    await until(lambda: slow.take() or len(slow.of("snapshot")) == 2 or "end" in slow.of("delta")[-1]["text"])
    for reader in (slow, quick):
        reader.take()
        view = View()
        for one in reader.read:
            view.take(one["method"], one["params"])
        assert (view.text, view.gaps) == (stream.text, 0)
    assert len(slow.of("delta")) < 10
    assert quick.of("snapshot") == []


async def test_the_final_message_arrives_even_when_no_delta_did(hubs: HubStage) -> None:
    thread_id = await hubs.thread()
    slow = Reader(capacity=2)
    await hubs.follow(slow, thread_id, "tail")
    stream = hubs.hub.open_stream(thread_id, "run", "msg", "")
    for number in range(50):
        stream.push(f"{number} ")
        stream.flush()
    hubs.hub.close_stream(stream)
    await hubs.say(thread_id, "a", "b", "c", "final")
    await hubs.read_to(slow, 5)
    assert slow.seqs == [2, 3, 4, 5]


async def test_a_stream_that_continues_is_shown_to_those_who_follow_already(hubs: HubStage) -> None:
    thread_id = await hubs.thread()
    reader = Reader()
    await hubs.follow(reader, thread_id, "tail")
    stream = hubs.hub.open_stream(thread_id, "run", "msg", "said before ")
    stream.push("and after")
    await asyncio.sleep(0.01)  # its turn comes with the loop's next round
    reader.take()
    view = View()
    for one in reader.read:
        view.take(one["method"], one["params"])
    assert (view.text, view.gaps) == ("said before and after", 0)


async def test_a_slow_reader_on_the_wire_is_bounded_lags_and_gets_everything(stage: Stage) -> None:
    owner, slow = await stage.connect(), await stage.connect_slow()
    thread_id = (await owner.call("thread.create"))["thread"]["id"]
    await slow.call("thread.subscribe", thread_id=thread_id)
    await slow.state("live")
    slow.socket.transport.pause_reading()
    sessions = stage.sessions
    most = 0
    text = "x" * 60_000
    for number in range(60):
        sent = await owner.call("message.send", thread_id=thread_id, content=words(f"say {number} {text}"))
        most = max(most, *(session._queue.waiting_bytes for session in sessions))
    head = 1 + 5 * 60 + 1  # created, titled, and per message: said, queued, started, answered, completed
    await until(lambda: stage.gateway.runs.scheduler.active == 0)
    most = max(most, *(session._queue.waiting_bytes for session in sessions))
    assert limits.QUEUE_BYTES * 0.8 < most <= limits.QUEUE_BYTES + 1000
    slow.socket.transport.resume_reading()
    await slow.event("run.completed", run_id=sent["run_id"])
    frames = [json.loads(line) for line in slow.raw]
    events = [frame["params"] for frame in frames if frame.get("method") == "event"]
    assert [event["seq"] for event in events] == list(range(2, head + 1))
    assert events == (await stage.log(thread_id))[1:]
    states = [frame["params"]["state"] for frame in frames if frame.get("method") == "subscription"]
    assert states[:2] == ["live", "lagging"]
