"""PROTOCOL.md §2, §8, §9: order, limits of what one client may ask, liveness, and how connections end."""

import asyncio
import json
import time

import pytest
from gateway_stage import UNHURRIED, Frame, Stage, Wire, blocked_writer, until, words
from websockets.exceptions import InvalidStatus

from gateway.settings import LimitSettings
from protocol import limits
from protocol.records import Role

BIG = "x" * 50_000


async def a_thread(wire: Wire) -> str:
    thread_id: str = (await wire.call("thread.create"))["thread"]["id"]
    return thread_id


# --- order and limits of requests ------------------------------------------------------------------


async def test_requests_on_one_thread_take_effect_in_the_order_sent(stage: Stage, wire: Wire) -> None:
    thread_id = await a_thread(wire)
    numbers = [await wire.post("thread.update", thread_id=thread_id, title=f"title {n}") for n in range(40)]
    for number in numbers:
        assert "result" in await wire.answer(number)
    titles = [event["data"]["title"] for event in await stage.log(thread_id)][1:]
    assert titles == [f"title {n}" for n in range(40)]


async def test_messages_sent_at_once_are_answered_in_the_order_sent(stage: Stage, wire: Wire) -> None:
    thread_id = await a_thread(wire)
    await wire.call("thread.subscribe", thread_id=thread_id, deltas=False)
    numbers = [
        await wire.post("message.send", thread_id=thread_id, content=words(f"say {n}")) for n in range(40)
    ]
    sent = [(await wire.answer(number))["result"]["run_id"] for number in numbers]
    ended = [(await wire.event("run.completed"))["run_id"] for _ in numbers]
    assert ended == sent


async def test_a_slow_request_holds_up_only_its_own_thread(stage: Stage, wire: Wire) -> None:
    thread_id = await a_thread(wire)
    async with blocked_writer(stage.store):
        writing = await wire.post("thread.update", thread_id=thread_id, title="x")
        reading = await wire.post("thread.get", thread_id=thread_id)
        other = await wire.post("server.info")
        assert "result" in await wire.answer(other), "it does not wait for the writer"
        await asyncio.sleep(0.02)
        assert [frame for frame in wire.raw if json.loads(frame).get("id") == reading] == []
    assert "result" in await wire.answer(writing)
    assert (await wire.answer(reading))["result"]["thread"]["title"] == "x"


async def test_beyond_64_requests_in_flight_one_is_told_to_wait(stage: Stage, wire: Wire) -> None:
    async with blocked_writer(stage.store):
        waiting = [await wire.post("thread.create") for _ in range(limits.INFLIGHT_REQUESTS)]
        refused = (await wire.answer(await wire.post("server.info")))["error"]["data"]
        assert (refused["kind"], refused["retryable"]) == ("rate_limited", True)
        assert refused["retry_after_ms"] > 0
        neighbour = await stage.connect()
        assert await neighbour.call("server.info"), "the limit is one connection's"
    for number in waiting:
        assert "result" in await wire.answer(number)
    assert await wire.call("server.info")


async def test_an_id_in_flight_cannot_be_used_twice(stage: Stage, wire: Wire) -> None:
    frame = '{"jsonrpc":"2.0","id":"same","method":"thread.create","params":{}}'
    async with blocked_writer(stage.store):
        await wire.send(frame)
        await wire.send(frame)
        assert (await wire.answer("same"))["error"]["code"] == -32600
    assert "result" in await wire.answer("same")
    assert len((await wire.call("thread.list"))["threads"]) == 1


async def test_the_rate_is_one_principals_over_all_its_connections(stage: Stage) -> None:
    await stage.restart(limits=LimitSettings(requests_per_s=0.5, request_burst=6))
    mine, other = await stage.token(), await stage.token()
    first, second = await stage.connect(mine), await stage.connect(mine)
    for wire in (first, second) * 2:
        await wire.call("server.info")
    await second.refusal("thread.get")  # a request that is refused was a request
    assert (await stage.http(mine).post("/v1/server.info")).status_code == 200
    refused = await first.refusal("server.info")
    assert refused.kind == "rate_limited"
    assert 0 < refused.data["retry_after_ms"] <= 2000
    response = await stage.http(mine).post("/v1/server.info")
    assert (response.status_code, response.json()["kind"]) == (429, "rate_limited")
    assert int(response.headers["retry-after"]) >= 1
    assert await (await stage.connect(other)).call("server.info")


@pytest.mark.parametrize("method", ["no.such", "token.list"])
async def test_requests_that_are_refused_count_as_well(stage: Stage, method: str) -> None:
    await stage.restart(limits=LimitSettings(requests_per_s=0.5, request_burst=3))
    wire = await stage.connect(await stage.token(Role.VIEWER))
    kinds = [(await wire.refusal(method)).kind for _ in range(4)]
    assert kinds[-1] == "rate_limited"


async def test_the_rate_recovers(stage: Stage) -> None:
    await stage.restart(limits=LimitSettings(requests_per_s=20.0, request_burst=1))
    wire = await stage.connect()
    await wire.call("server.info")
    wait_ms = (await wire.refusal("server.info")).data["retry_after_ms"]
    await asyncio.sleep(wait_ms / 1000)
    assert await wire.call("server.info")


async def test_a_connection_follows_at_most_128_threads(stage: Stage, wire: Wire) -> None:
    thread_ids = [await a_thread(wire) for _ in range(limits.SUBSCRIPTIONS + 1)]
    *most, last = thread_ids
    for thread_id in most:
        await wire.call("thread.subscribe", thread_id=thread_id)
    refused = await wire.refusal("thread.subscribe", thread_id=last)
    assert (refused.kind, bool(refused.data["hint"])) == ("busy", True)
    await wire.call("thread.subscribe", thread_id=most[0])  # asking again for the same thread is no other one
    await wire.call("thread.unsubscribe", thread_id=most[1])
    await wire.call("thread.subscribe", thread_id=last)
    assert await (await stage.connect()).call("thread.subscribe", thread_id=last)


# --- liveness --------------------------------------------------------------------------------------


@pytest.fixture
def quick_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HELLO_TIMEOUT_S", 0.1)
    monkeypatch.setattr(limits, "HEARTBEAT_S", 1)
    monkeypatch.setattr(limits, "PONG_TIMEOUT_S", 0.3)


@pytest.mark.usefixtures("quick_heart")
async def test_an_idle_connection_hears_heartbeats_and_stays(stage: Stage) -> None:
    wire = await stage.connect()
    assert wire.hello["heartbeat_s"] == 1
    began = time.monotonic()
    for _ in range(2):
        assert await wire.note(lambda frame: frame["method"] == "heartbeat", 2.0) == {}
    assert 1.5 < time.monotonic() - began < 3.5
    assert await wire.call("server.info"), "the pongs of the library were heard"


@pytest.mark.usefixtures("quick_heart")
async def test_a_connection_that_says_something_needs_no_heartbeat(stage: Stage) -> None:
    wire = await stage.connect()
    for _ in range(15):
        await wire.call("server.info")
        await asyncio.sleep(0.1)
    assert [note["method"] for note in wire.notes] == []


@pytest.mark.usefixtures("quick_heart")
async def test_no_pong_ends_the_connection_with_4105(stage: Stage) -> None:
    wire = await stage.connect()
    wire.socket.transport.pause_reading()
    await until(lambda: not stage.sessions, 6.0)
    wire.socket.transport.resume_reading()
    frames, code = await wire.ended()
    assert (frames[-1]["method"], frames[-1]["params"]["code"], code) == ("bye", 4105, 4105)


async def test_a_ping_of_the_client_is_answered(wire: Wire) -> None:
    async with asyncio.timeout(2.0):
        await (await wire.socket.ping(b"x" * 125))


# --- the end ---------------------------------------------------------------------------------------


async def test_a_stopping_gateway_says_bye_4200_to_everybody(stage: Stage) -> None:
    wires = [await stage.connect() for _ in range(3)]
    before_hello = await stage.open()
    await stage.stop()
    for wire in [*wires, before_hello]:
        frames, code = await wire.ended()
        bye = frames[-1]
        assert (bye["method"], bye["params"]["code"], code) == ("bye", 4200, 4200)
        assert bye["params"]["retry_after_ms"] > 0


async def test_a_draining_gateway_answers_new_upgrades_with_503(stage: Stage) -> None:
    await stage.gateway._server.drain()
    with pytest.raises(InvalidStatus) as refused:
        await stage.open()
    assert refused.value.response.status_code == 503
    assert int(refused.value.response.headers["Retry-After"]) >= 1
    ready = await stage.http().get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
    assert (await stage.http().get("/healthz")).status_code == 200


async def test_many_connections_are_told_in_batches(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.edge.server.DRAIN_BATCH", 2)
    monkeypatch.setattr("gateway.edge.server.DRAIN_PAUSE_S", 0.2)
    wires = [await stage.connect() for _ in range(5)]
    draining = asyncio.create_task(stage.gateway._server.drain())
    await asyncio.sleep(0.05)
    assert sum(session._connection.next_deadline() is None for session in stage.sessions) <= 2
    assert len(stage.sessions) >= 3
    await draining
    for wire in wires:
        assert (await wire.ended())[1] == 4200


async def congested(stage: Stage, token: str | None = None) -> tuple[Wire, str]:
    """A connection that follows a thread and has stopped reading, with frames waiting for it."""
    wire = await stage.connect_slow(token)
    owner = await stage.connect()
    thread_id = await a_thread(owner)
    await wire.call("thread.subscribe", thread_id=thread_id)
    wire.socket.transport.pause_reading()
    (session,) = [one for one in stage.sessions if one._context.hub._subscriptions.get(one._queue)]
    while not session._queue.is_congested:
        await owner.call("message.send", thread_id=thread_id, content=words("say " + BIG))
        await asyncio.sleep(0)
    return wire, thread_id


async def test_bye_is_the_last_thing_said_even_to_a_slow_reader(stage: Stage) -> None:
    wire, thread_id = await congested(stage)
    owner = await stage.connect()
    slow = next(one for one in stage.sessions if one._queue.is_congested)
    slow.close(4202, "access changed")  # type: ignore[arg-type]
    await owner.call("message.send", thread_id=thread_id, content=words("say too late"))
    await asyncio.sleep(0.05)
    wire.socket.transport.resume_reading()
    frames, code = await wire.ended()
    assert (frames[-1]["method"], code) == ("bye", 4202)
    assert [frame["method"] for frame in frames].count("bye") == 1


async def test_a_stalled_reader_is_closed_and_its_memory_given_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STALL_TIMEOUT_S", 0.3)
    wire, _ = await congested(stage)
    await until(lambda: not any(one._queue.is_congested for one in stage.sessions), 5.0)
    wire.socket.transport.resume_reading()
    _, code = await wire.ended()
    assert code == 1006, "nobody reads a farewell"
    await until(lambda: len(stage.sessions) == 1)
    assert stage.gateway._hub._subscriptions == {}


async def test_a_client_that_asks_and_never_reads_cannot_fill_the_memory(stage: Stage) -> None:
    owner = await stage.connect()
    thread_id = (await owner.call("message.send", content=words("say " + BIG)))["thread_id"]
    others = set(stage.sessions)
    wire = await stage.connect_slow()
    wire.socket.transport.pause_reading()
    (session,) = set(stage.sessions) - others
    most = 0
    for _ in range(300):
        await until(lambda: not session._connection._inflight)
        for _ in range(10):
            await wire.post("thread.history", thread_id=thread_id)
        await asyncio.sleep(0.001)
        most = max(most, session._queue.waiting_bytes)
    assert most > limits.QUEUE_BYTES / 2, "the reader was slow enough for the test to mean something"
    assert most < limits.QUEUE_BYTES + limits.INFLIGHT_REQUESTS * 3 * len(BIG)


async def test_the_limits_told_are_the_limits_kept(stage: Stage, wire: Wire) -> None:
    told: Frame = wire.hello["limits"]
    assert told == (await wire.call("server.info"))["limits"]
    assert told["frame_bytes"] == UNHURRIED.frame_bytes
