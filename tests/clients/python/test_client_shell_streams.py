"""The client's streams against a scripted server on loopback: following, pausing, replies."""

import gc

import pytest
from model_gateway import Log
from scripted_server import scripted
from shell_stage import THREAD, client_of, fill, next_of, quick, read_events
from threadgate_client import (
    Cursor,
    DeadlineExceeded,
    Event,
    Head,
    Live,
    NotFound,
    Reset,
    RunFailed,
    RunInterrupted,
    SubscriptionReset,
    TextUpdate,
)

__all__ = ["quick"]  # a fixture that every test here uses


class TestSubscriptions:
    async def test_reads_from_the_start_then_live_across_drops(self) -> None:
        async with scripted() as server, client_of(server) as client:
            server.gateway.log(THREAD)
            fill(server, 5)
            subscription = client.subscribe(THREAD, "start")
            assert await read_events(subscription, 6) == [1, 2, 3, 4, 5, 6]
            assert await next_of(subscription, Live) == Live(THREAD, 6)
            server.drop()
            server.gateway.append(THREAD, "run.started", {}, "run_1")
            assert await read_events(subscription, 7) == [7]
            assert server.hellos[-1]["resume"][0]["after_seq"] == 6
            assert subscription.cursor == Cursor("epo_1", 7)

    async def test_tail_begins_before_what_is_sent_afterwards(self) -> None:
        async with scripted() as server, client_of(server) as client:
            server.gateway.log(THREAD)
            subscription = client.subscribe(THREAD)
            sent = await client.send("hello", THREAD)
            event = await next_of(subscription, Event)
            assert isinstance(event, Event)
            assert event.seq == sent.seq
            assert event.message and event.message.text == "hello"

    async def test_a_reader_that_pauses_loses_nothing(self) -> None:
        async with scripted() as server, client_of(server) as client:
            server.gateway.log(THREAD)
            subscription = client.subscribe(THREAD, "start")
            await subscription.opened()
            assert subscription.cursor == Cursor("epo_1", 0)
            fill(server, 3000)
            await client.server_info()  # everything sent before this answer has arrived
            await client.server_info()  # and the gateway has read what the client said to it
            assert not next(iter(server.connections)).subscriptions, "nobody reads: the wire is told"
            assert await read_events(subscription, 3001) == list(range(1, 3002))

    async def test_two_readers_of_one_thread(self) -> None:
        async with scripted() as server, client_of(server) as client:
            server.gateway.log(THREAD)
            fill(server, 9)
            first = client.subscribe(THREAD, Cursor("epo_1", 8))
            assert await read_events(first, 10) == [9, 10]
            second = client.subscribe(THREAD, "start", kinds=["thread.created", "run.queued"])
            server.gateway.append(THREAD, "run.queued", {}, "run_2")
            server.flush()
            assert await read_events(second, 11) == [1, 11]
            assert await read_events(first, 11) == [11]

    async def test_a_reset_is_told_and_ends(self) -> None:
        async with scripted() as server, client_of(server) as client:
            server.gateway.log(THREAD)
            fill(server, 9)
            server.gateway.trim(THREAD, 6)
            items = [item async for item in client.subscribe(THREAD, Cursor("epo_1", 2))]
            assert items == [Reset(THREAD, "trimmed", "epo_1", 6, 10, Cursor("epo_1", 2))]
            with pytest.raises(SubscriptionReset):
                await anext(client.events(THREAD, Cursor("epo_0", 2)))

    async def test_a_reset_restarts_if_asked(self) -> None:
        async with scripted() as server, client_of(server) as client:
            server.gateway.log(THREAD)
            fill(server, 3)
            subscription = client.subscribe(THREAD, "start", on_reset="restart")
            assert await read_events(subscription, 4) == [1, 2, 3, 4]
            server.gateway.epoch = "epo_2"
            server.drop()
            reset = await next_of(subscription, Reset)
            assert isinstance(reset, Reset)
            assert reset.reason == "epoch_changed"
            assert await read_events(subscription, 4) == [1, 2, 3, 4]
            assert subscription.cursor == Cursor("epo_2", 4)

    async def test_an_unknown_thread_raises(self) -> None:
        async with scripted() as server, client_of(server) as client:
            with pytest.raises(NotFound):
                await anext(client.subscribe("thr_none"))
            with pytest.raises(NotFound):
                async with client.subscribe("thr_none"):
                    pass

    async def test_dropping_the_iterator_unsubscribes(self) -> None:
        async with scripted() as server, client_of(server) as client:
            server.gateway.log(THREAD)
            async for item in client.subscribe(THREAD, "start"):
                assert isinstance(item, Event)
                break
            gc.collect()
            fill(server, 1)
            await client.server_info()
            await client.server_info()
            assert not next(iter(server.connections)).subscriptions

    async def test_events_only(self) -> None:
        async with scripted() as server, client_of(server) as client:
            server.gateway.log(THREAD)
            async with client.events(THREAD, "start") as events:
                assert (await anext(events)).kind == "thread.created"
                assert events.cursor == Cursor("epo_1", 1)
            with pytest.raises(StopAsyncIteration):
                await anext(events)

    async def test_inbox_resumes_after_a_drop(self) -> None:
        async with scripted() as server, client_of(server) as client:
            server.gateway.log("thr_0")
            async with client.inbox(0) as inbox:
                seen = [await anext(inbox)]
                server.gateway.log(THREAD)
                server.flush()
                seen.append(await anext(inbox))
                server.drop()
                fill(server, 3)
                while seen[-1].seq < 4:
                    seen.append(await anext(inbox))
            assert all(isinstance(head, Head) for head in seen)
            assert inbox.offset == 5


class TestReplies:
    async def test_chunks_as_they_are_written(self) -> None:
        async with scripted() as server, client_of(server) as client:
            sent = await client.send("hi", THREAD)
            chunks = []
            writes = ["Good ", "morning", "!"]

            def write_next() -> None:
                if writes:
                    server.gateway.write(THREAD, writes.pop(0), run_id=sent.run_id, message_id="msg_r")
                else:
                    server.gateway.say(THREAD, "Good morning!", run_id=sent.run_id, message_id="msg_r")
                    done = {"message_id": "msg_r", "usage": {}}
                    server.gateway.append(THREAD, "run.completed", done, sent.run_id)
                server.flush()

            write_next()
            reply = client.stream_reply(sent)
            async for chunk in reply:
                chunks.append(chunk)
                write_next()
            assert chunks == ["Good ", "morning", "!"]
            assert reply.text == "Good morning!"
            assert not reply.is_replaced
            assert reply.message and reply.message.id == "msg_r"

    async def test_ask_across_a_drop_in_mid_stream(self) -> None:
        async with scripted() as server, client_of(server) as client:
            server.gateway.on_send = lambda log, run_id: server.gateway.write(
                log.id, "one ", run_id=run_id, message_id="msg_r"
            )
            reply = client.ask("count")
            assert await anext(reply) == "one "
            assert reply.run_id
            (thread_id,) = server.gateway.logs
            server.drop()
            server.gateway.write(thread_id, "two ", run_id=reply.run_id, message_id="msg_r")
            assert await anext(reply) == "two "
            server.gateway.say(thread_id, "one two three", run_id=reply.run_id, message_id="msg_r")
            done = {"message_id": "msg_r", "usage": {}}
            server.gateway.append(thread_id, "run.completed", done, reply.run_id)
            server.flush()
            assert [chunk async for chunk in reply] == ["three"]

    @pytest.mark.parametrize(
        ("kind", "data", "error"),
        [
            ("run.failed", {"error": {"kind": "agent_error", "message": "broke"}}, RunFailed),
            ("run.interrupted", {"reason": "lost", "will_retry": False}, RunInterrupted),
        ],
    )
    async def test_a_run_without_an_answer_raises(
        self, kind: str, data: dict[str, object], error: type[Exception]
    ) -> None:
        def end(log: Log, run_id: str) -> None:
            server.gateway.append(log.id, kind, data, run_id)

        async with scripted() as server, client_of(server) as client:
            server.gateway.on_send = end
            with pytest.raises(error):
                await client.ask("hi").read()

    async def test_a_reply_has_a_deadline_of_its_own(self) -> None:
        async with scripted() as server, client_of(server) as client:
            with pytest.raises(DeadlineExceeded, match="reply"):
                await client.ask("hi", timeout_s=0.05).read()


class TestTexts:
    async def test_text_in_mid_stream(self) -> None:
        async with scripted() as server, client_of(server) as client:
            server.gateway.log(THREAD)
            server.gateway.write(THREAD, "so far", run_id="run_1", message_id="msg_1")
            subscription = client.subscribe(THREAD)
            assert await next_of(subscription, TextUpdate) == TextUpdate(
                THREAD, "run_1", "msg_1", "so far", "so far"
            )
            for word in (" and", " on"):
                server.gateway.write(THREAD, word, run_id="run_1", message_id="msg_1")
            server.flush()
            update = await next_of(subscription, TextUpdate)
            while isinstance(update, TextUpdate) and update.text_so_far != "so far and on":
                update = await next_of(subscription, TextUpdate)
            silent = client.subscribe(THREAD, "start", deltas=False)
            assert await read_events(silent, 1) == [1]
            assert await next_of(silent, Live)
