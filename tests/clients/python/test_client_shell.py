"""The client against a scripted server on loopback: connecting, resuming, streaming, closing."""

import asyncio
import gc
import logging
from http import HTTPStatus

import pytest
from model_gateway import Log, ModelGateway, WireFault
from scripted_server import ScriptedServer, scripted
from threadgate_client import (
    Client,
    ClientClosed,
    ConnectionClosed,
    ConnectionRefused,
    Cursor,
    DeadlineExceeded,
    Event,
    Head,
    IdempotencyConflict,
    Item,
    Live,
    NotFound,
    RateLimited,
    Reset,
    RunFailed,
    RunInterrupted,
    Subscription,
    SubscriptionReset,
    TextUpdate,
    TooLarge,
    Unauthorized,
    limits,
)
from threadgate_client.dial import socket_url

THREAD = "thr_1"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconnect quickly: what the delays are is tested without a clock."""
    monkeypatch.setattr(limits, "BACKOFF_FIRST_S", 0.01)
    monkeypatch.setattr(limits, "BACKOFF_LAST_S", 0.05)


def client_of(server: ScriptedServer, **options: object) -> Client:
    return Client(server.url, token="secret", **{"connect_timeout_s": 5, "request_timeout_s": 5, **options})  # type: ignore[arg-type]


def fill(server: ScriptedServer, count: int) -> None:
    for _ in range(count):
        server.gateway.append(THREAD, "run.started", {"attempt": 1}, "run_1")
    server.flush()


async def read_events(subscription: Subscription, up_to: int) -> list[int]:
    seqs: list[int] = []
    async with asyncio.timeout(5):
        async for item in subscription:
            if isinstance(item, Event):
                seqs.append(item.seq)
                if item.seq >= up_to:
                    break
    return seqs


async def next_of(subscription: Subscription, kind: type[Item]) -> Item:
    async with asyncio.timeout(5):
        async for item in subscription:
            if isinstance(item, kind):
                return item
    raise AssertionError(f"no {kind.__name__} came")


class TestConnecting:
    async def test_says_who_it_is_and_learns_who_it_is(self) -> None:
        async with scripted() as server, client_of(server, name="tester") as client:
            assert client.hello and client.hello.principal.name == "Ada"
            assert client.is_connected
            assert server.hellos[0]["client"]["name"] == "tester"
            assert (await client.server_info()).name == "model"
        assert not client.is_connected

    async def test_a_bad_token_is_refused_at_once(self) -> None:
        async with scripted() as server:
            with pytest.raises(Unauthorized) as caught:
                await Client(server.url, token="wrong").connect()
            assert isinstance(caught.value.__cause__, ConnectionClosed)
            assert server.dials == 1

    @pytest.mark.parametrize("status", [HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND])
    async def test_a_refused_upgrade_is_told_with_its_body(self, status: HTTPStatus) -> None:
        async with scripted() as server:
            server.refusals.append((status, "because", {}))
            with pytest.raises(ConnectionRefused, match="because") as caught:
                await client_of(server).connect()
            assert caught.value.status == status
            assert server.dials == 1

    async def test_redirects_are_not_followed(self) -> None:
        async with scripted() as server, scripted() as other:
            server.refusals.append((HTTPStatus.FOUND, "", {"Location": other.url.replace("http", "ws")}))
            with pytest.raises(ConnectionRefused):
                await client_of(server).connect()
            assert other.dials == 0

    async def test_unavailable_is_tried_again(self) -> None:
        async with scripted() as server:
            server.refusals.extend([(HTTPStatus.SERVICE_UNAVAILABLE, "starting", {"Retry-After": "0"})] * 2)
            async with client_of(server):
                assert server.dials == 3

    async def test_nobody_there_is_an_error_in_time(self) -> None:
        async with scripted() as server:
            url = server.url
        with pytest.raises(DeadlineExceeded, match="last: "):
            await Client(url, token="secret", connect_timeout_s=0.2).connect()

    async def test_an_unsupported_minor_stops(self) -> None:
        async with scripted(ModelGateway(minors=(1, 2))) as server:
            with pytest.raises(ConnectionClosed) as caught:
                await client_of(server).connect()
            assert caught.value.code == 4002

    async def test_a_silent_gateway_is_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "CHALLENGE_TIMEOUT_S", 0.05)
        async with scripted() as server:
            server.is_silent = True
            with pytest.raises(DeadlineExceeded, match="no challenge"):
                await client_of(server, connect_timeout_s=0.5).connect()
            assert server.dials > 1

    async def test_requests_need_a_connection(self) -> None:
        client = Client("http://127.0.0.1:9")
        with pytest.raises(ClientClosed, match="async with"):
            await client.server_info()
        await client.close()

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ("http://127.0.0.1:8787", "ws://127.0.0.1:8787/v1/ws"),
            ("https://gate.example/", "wss://gate.example/v1/ws"),
            ("ws://[::1]:8787/v1/ws", "ws://[::1]:8787/v1/ws"),
            ("https://example.org/gate", "wss://example.org/gate/v1/ws"),
        ],
    )
    def test_any_address_of_a_gateway_will_do(self, given: str, expected: str) -> None:
        assert socket_url(given) == expected

    @pytest.mark.parametrize(
        "url", ["ftp://x", "http://", "http://user:secret@x", "ws://x/v1/ws?token=secret"]
    )
    def test_other_addresses_are_refused_without_quoting_them(self, url: str) -> None:
        with pytest.raises(ValueError, match="address must") as caught:
            socket_url(url)
        assert "secret" not in str(caught.value)


class TestRequests:
    async def test_refusals_are_typed(self) -> None:
        async with scripted() as server, client_of(server) as client:
            with pytest.raises(NotFound):
                await client.threads.get("thr_none")

            def limited(params: dict[str, object]) -> dict[str, object]:
                raise WireFault("rate_limited", retry_after_ms=1500)

            server.gateway.handlers["run.get"] = limited
            with pytest.raises(RateLimited) as caught:
                await client.runs.get("run_1")
            assert caught.value.retry_after_s == 1.5
            await client.send("one", idempotency_key="same")
            with pytest.raises(IdempotencyConflict):
                await client.send("two", idempotency_key="same")

    async def test_what_went_unanswered_is_sent_again_and_happens_once(self) -> None:
        async with scripted() as server, client_of(server) as client:
            server.mute.add("message.send")
            sending = asyncio.create_task(client.send("hello", THREAD))
            async with asyncio.timeout(5):
                await server.received.wait()
            server.mute.clear()
            server.drop()
            sent = await sending
            first, again = [seen for seen in server.gateway.seen if seen["method"] == "message.send"]
            assert first["params"] == again["params"]
            assert len(first["params"]["idempotency_key"]) == 32
            kinds = [event["kind"] for event in server.gateway.logs[THREAD].events]
            assert kinds.count("message.created") == 1
            assert sent.seq == 2

    async def test_no_answer_in_time_names_the_key(self) -> None:
        async with scripted() as server, client_of(server) as client:
            server.mute.add("message.send")
            params = {"content": [{"type": "text", "text": "x"}]}
            with pytest.raises(DeadlineExceeded) as caught:
                await client.request("message.send", params, timeout_s=0.05)
            assert caught.value.idempotency_key == server.gateway.seen[0]["params"]["idempotency_key"]

    async def test_too_large_is_refused_here(self) -> None:
        async with scripted() as server, client_of(server) as client:
            with pytest.raises(TooLarge):
                await client.send("x" * limits.FRAME_BYTES)
            with pytest.raises(ValueError, match="surrogates"):
                await client.send("\ud800")
            assert (await client.server_info()).name == "model"

    async def test_more_requests_than_may_be_in_flight(self) -> None:
        gateway = ModelGateway()
        gateway.limits["inflight"] = 2
        async with scripted(gateway) as server, client_of(server) as client:
            infos = await asyncio.gather(*(client.server_info() for _ in range(20)))
            assert len(infos) == 20


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
            fill(server, 3000)
            await client.server_info()  # everything sent before this answer has arrived
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


class TestClosing:
    async def test_everything_that_waits_is_told(self) -> None:
        async with scripted() as server:
            client = client_of(server)
            await client.connect()
            server.gateway.log(THREAD)
            server.mute.add("server.info")
            waits = [
                asyncio.create_task(client.server_info()),
                asyncio.create_task(read_events(client.subscribe(THREAD), 9)),
                asyncio.create_task(client.ask("hi").read()),
            ]
            await asyncio.sleep(0.05)
            async with asyncio.timeout(0.5):
                await client.close()
                results = await asyncio.gather(*waits, return_exceptions=True)
            assert [type(result) for result in results] == [ClientClosed] * 3
            await client.close()
            with pytest.raises(ClientClosed):
                await client.server_info()

    async def test_closing_while_reconnecting_is_prompt(self) -> None:
        async with scripted() as server, client_of(server) as client:
            await server.bye(4200, "restarting", retry_after_ms=60_000)
            async with asyncio.timeout(0.5):
                await client.close()

    async def test_sent_away_for_good(self) -> None:
        async with scripted() as server, client_of(server) as client:
            server.gateway.log(THREAD)
            subscription = client.subscribe(THREAD)
            await subscription.opened()
            await server.bye(4001, "revoked")
            with pytest.raises(ConnectionClosed, match="revoked") as caught:
                await read_events(subscription, 9)
            assert caught.value.verdict == "stop"
            assert server.dials == 1

    async def test_restarting_gateways_are_waited_for(self) -> None:
        async with scripted() as server, client_of(server) as client:
            await server.bye(4200, "restarting", retry_after_ms=1)
            assert (await client.server_info()).name == "model"
            assert server.hellos[-1]["last_close_code"] == 4200

    async def test_nothing_is_left_running(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            async with scripted() as server:
                before = asyncio.all_tasks()
                async with client_of(server) as client:
                    await client.server_info()
                assert asyncio.all_tasks() - before <= {
                    task for task in asyncio.all_tasks() if "threadgate" not in task.get_name()
                }
        assert not caplog.records

    async def test_a_bug_ends_the_client_and_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with scripted() as server, client_of(server) as client:

            def broken(*_: object) -> None:
                raise ZeroDivisionError

            server.gateway.log(THREAD)
            subscription = client.subscribe(THREAD)
            await subscription.opened()
            monkeypatch.setattr(client._engine.session, "receive", broken)
            fill(server, 1)
            with pytest.raises(ClientClosed, match="failed"):
                await read_events(subscription, 9)


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
