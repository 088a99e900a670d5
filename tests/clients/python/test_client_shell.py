"""The client against a scripted server on loopback: connecting, resuming, streaming, closing."""

import asyncio
import logging
from http import HTTPStatus

import pytest
from model_gateway import ModelGateway, WireFault
from scripted_server import scripted
from shell_stage import THREAD, client_of, fill, quick, read_events
from threadgate_client import (
    Client,
    ClientClosed,
    ConnectionClosed,
    ConnectionRefused,
    DeadlineExceeded,
    IdempotencyConflict,
    NotFound,
    RateLimited,
    TooLarge,
    Unauthorized,
    limits,
)
from threadgate_client.dial import socket_url

__all__ = ["quick"]  # a fixture that every test here uses


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
