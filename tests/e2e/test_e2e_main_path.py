"""The main path with real processes: a message is answered completely and once, through kill -9 and restarts."""

import asyncio
import json
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from e2e_stage import PATIENCE_S, THREADGATE, Stage, free_port, running, stage, thread_of_ada, until_kind
from threadgate_client import Client, Event
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from storage.store import verify_audit

WORDS = " ".join(f"word-{number}" for number in range(1, 201))
MIDDLE = "word-60 "
"""What is written about a second after the start of `stream 200`: behind a checkpoint, before the end."""


@pytest.fixture
async def theatre(tmp_path: Path):
    async with stage(tmp_path) as made:
        yield made


def answers_among(events: Sequence[Event]) -> list[str]:
    """The assistant's messages."""
    messages = [event.message for event in events if event.kind == "message.created"]
    return [message.text for message in messages if message is not None and message.role == "assistant"]


async def check_the_end(theatre: Stage, client: Client, thread_id: str, events: Sequence[Event]) -> None:
    """Both sides have the one answer, the subscriber saw the whole log, and the audit chain holds."""
    assert answers_among(events) == [WORDS]
    assert await theatre.answers() == [WORDS]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    thread = await client.threads.get(thread_id)
    assert thread.head_seq == events[-1].seq
    history = await client.threads.history(thread_id, after_seq=0, limit=500)
    assert list(history.events) == list(events)


async def check_the_audit(theatre: Stage) -> None:
    """By the command, and by the function behind it."""
    async with running(*theatre.threadgate("audit", "verify")) as command:
        assert await asyncio.wait_for(command.process.wait(), PATIENCE_S) == 0
    place, found = verify_audit(theatre.directory / "data")
    assert found is None
    assert place.seq > 0


@pytest.mark.timeout(90)
async def test_a_question_typed_in_telegram_survives_kill_9_in_mid_answer(theatre: Stage) -> None:
    seen: list[Event] = []
    async with theatre.gateway() as first, Client(theatre.url, token=theatre.token) as client:
        await theatre.type("stream 200")
        thread_id = await thread_of_ada(client)
        async with client.events(thread_id, "start") as events:
            await until_kind(events, seen, "run.started")
            await theatre.until_answer(has=MIDDLE)
            assert await first.end(signal.SIGKILL) == -signal.SIGKILL
            async with theatre.gateway():
                await until_kind(events, seen, "delivery.sent")
                await check_the_end(theatre, client, thread_id, seen)
                await check_the_audit(theatre)
    assert "run.resumed" in [event.kind for event in seen]
    await check_the_audit(theatre)


@pytest.mark.timeout(90)
async def test_a_question_sent_over_the_socket_into_a_room_survives_kill_9(theatre: Stage) -> None:
    seen: list[Event] = []
    async with theatre.gateway() as first, Client(theatre.url, token=theatre.token) as client:
        await theatre.type("say hello")
        thread_id = await thread_of_ada(client)
        async with client.events(thread_id, "start") as events:
            await until_kind(events, seen, "delivery.sent")
            sent = await client.send("stream 200", thread_id)
            reply = client.stream_reply(sent)
            reading = asyncio.create_task(reply.read())
            await theatre.until_answer(has=MIDDLE)
            await first.end(signal.SIGKILL)
            async with theatre.gateway():
                await until_kind(events, seen, "delivery.sent")
                assert await asyncio.wait_for(reading, PATIENCE_S) == WORDS
                assert not reply.is_replaced
                assert answers_among(seen) == ["hello", WORDS]
                assert await theatre.answers() == ["hello", WORDS]
                assert [event.seq for event in seen] == list(range(1, len(seen) + 1))
    await check_the_audit(theatre)


@pytest.mark.timeout(90)
async def test_sigterm_in_mid_answer_parks_the_run_and_the_next_start_goes_on(theatre: Stage) -> None:
    seen: list[Event] = []
    async with theatre.gateway() as first, Client(theatre.url, token=theatre.token) as client:
        await theatre.type("stream 200")
        thread_id = await thread_of_ada(client)
        async with client.events(thread_id, "start") as events:
            await until_kind(events, seen, "run.started")
            await theatre.until_answer(has=MIDDLE)
            farewell = asyncio.create_task(read_to_the_end(theatre))
            await asyncio.sleep(0.2)  # it says hello
            assert await first.end(signal.SIGTERM) == 0
            assert "Traceback" not in first.output
            assert (await farewell)[-1]["params"]["code"] == 4200
            async with theatre.gateway():
                await until_kind(events, seen, "delivery.sent")
                await check_the_end(theatre, client, thread_id, seen)
    kinds = [event.kind for event in seen]
    assert kinds.count("run.resumed") == 1
    assert kinds.count("delivery.uncertain") == 0
    await check_the_audit(theatre)


async def read_to_the_end(theatre: Stage) -> list[dict]:
    """All frames of a connection that only says hello; checks that the gateway closed it with 4200."""
    frames: list[dict] = []
    url = theatre.url.replace("http", "ws") + "/v1/ws"
    async with connect(url, subprotocols=["threadgate.v1"], proxy=None) as socket:
        hello = {
            "minor": 0,
            "client": {"name": "farewell", "version": "1", "platform": "test"},
            "role": "client",
            "auth": {"token": theatre.token},
            "capabilities": [],
            "resume": [],
        }
        await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "hello", "params": hello}))
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                frames.append(json.loads(await asyncio.wait_for(socket.recv(), PATIENCE_S)))
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4200
    assert frames[-1]["method"] == "bye"
    return frames


@pytest.mark.timeout(60)
async def test_the_demo_says_what_to_do_answers_and_stops_on_ctrl_c(tmp_path: Path) -> None:
    port, playground_port = free_port(), free_port()
    options = ("--port", str(port), "--playground-port", str(playground_port))
    async with running(THREADGATE, "demo", "--data-dir", tmp_path / "demo", *options) as demo:
        token = await demo.printed(r"token\s+(tgate_\S+)")
        await demo.printed(r"(Ctrl-C) stops it")
        assert f"http://127.0.0.1:{port}" in demo.output
        assert f"http://127.0.0.1:{playground_port}" in demo.output
        assert "say hello" in demo.output
        theatre = Stage(tmp_path, f"http://127.0.0.1:{playground_port}/telegram", port, token)
        async with Client(theatre.url, token=token) as client:
            assert await client.ask("say hello").read() == "hello"
            await theatre.type("say hello from Telegram")
            await theatre.until_answer(has="hello from Telegram")
            assert await demo.end(signal.SIGINT) == 0
    assert "Traceback" not in demo.output
    assert "rror" not in demo.output
