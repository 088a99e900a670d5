"""PROTOCOL.md §11: a thread as server-sent events is the same subscription in another dress."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from gateway_stage import PATIENCE_S, Frame, Stage, Wire, until, words

from gateway.edge import sse
from gateway.settings import LimitSettings
from protocol import limits


@pytest.fixture(autouse=True)
def soon_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "POLL_S", 0.05)


class Sse:
    """A reader of one stream, as the standard says: fields up to an empty line; comments are nothing."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.comments = 0
        self._lines = response.aiter_lines()

    async def next(self) -> dict[str, str]:
        fields: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE_S):
            async for line in self._lines:
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif fields:
                    return fields
        raise EOFError

    async def until(self, kind: str) -> list[dict[str, str]]:
        """Everything up to the durable event of a kind."""
        taken = [await self.next()]
        while taken[-1]["event"] != "event" or json.loads(taken[-1]["data"])["kind"] != kind:
            taken.append(await self.next())
        return taken


@asynccontextmanager
async def stream(
    stage: Stage, thread_id: str, query: str = "", token: str = "", **headers: str
) -> AsyncIterator[Sse]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    address = f"/v1/threads/{thread_id}/events{query}"
    async with stage.http(token).stream("GET", address, headers=named) as response:
        if response.status_code != 200:
            await response.aread()
        yield Sse(response)


def events(taken: list[dict[str, str]]) -> list[Frame]:
    return [json.loads(one["data"]) for one in taken if one["event"] == "event"]


async def test_the_events_are_the_same_bytes_as_over_the_websocket(stage: Stage, wire: Wire) -> None:
    sent = await wire.call("message.send", content=words("say ünï ✓"))
    await wire.call("thread.subscribe", thread_id=sent["thread_id"], from_="start", deltas=False)
    await wire.event("run.completed")
    over_ws = [text for text in wire.raw if '"method":"event"' in text]
    async with stream(stage, sent["thread_id"]) as reader:
        assert reader.response.headers["content-type"].startswith("text/event-stream")
        assert reader.response.headers["cache-control"] == "no-store"
        taken = [one for one in await reader.until("run.completed") if one["event"] == "event"]
    assert [f'{{"jsonrpc":"2.0","method":"event","params":{one["data"]}}}' for one in taken] == over_ws
    assert [int(one["id"]) for one in taken] == [event["seq"] for event in events(taken)]


async def test_live_events_and_deltas_follow_and_only_events_have_ids(stage: Stage, wire: Wire) -> None:
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    async with stream(stage, thread_id) as reader:
        assert (await reader.next())["event"] == "event"
        assert json.loads((await reader.next())["data"])["state"] == "live"
        await wire.call("message.send", thread_id=thread_id, content=words("stream 30 200"))
        taken = await reader.until("run.completed")
    assert {one["event"] for one in taken} == {"event", "delta"}
    assert all(("id" in one) == (one["event"] == "event") for one in taken)
    deltas = [json.loads(one["data"]) for one in taken if one["event"] == "delta"]
    (answer,) = [one for one in events(taken) if one["data"].get("message", {}).get("role") == "assistant"]
    assert [delta["index"] for delta in deltas] == list(range(len(deltas)))
    assert "".join(delta["text"] for delta in deltas) == answer["data"]["message"]["content"][0]["text"]


async def test_deltas_and_kinds_can_be_left_out(stage: Stage, wire: Wire) -> None:
    sent = await wire.call("message.send", content=words("stream 20 200"))
    query = "?deltas=false&kinds=message.created,run.completed"
    async with stream(stage, sent["thread_id"], query) as reader:
        taken = await reader.until("run.completed")
    assert "delta" not in {one["event"] for one in taken}
    assert [event["kind"] for event in events(taken)] == [
        "message.created",
        "message.created",
        "run.completed",
    ]


@pytest.mark.parametrize("how", ["header", "query"])
async def test_it_resumes_behind_the_last_id(stage: Stage, wire: Wire, how: str) -> None:
    sent = await wire.call("message.send", content=words("say one"))
    async with stream(stage, sent["thread_id"]) as reader:
        last = (await reader.until("run.started"))[-1]["id"]
    await wire.call("message.send", thread_id=sent["thread_id"], content=words("say two"))
    headers = {"Last_Event_ID": last} if how == "header" else {}
    query = f"?after_seq={last}" if how == "query" else ""
    async with stream(stage, sent["thread_id"], query, **headers) as reader:
        taken = events(await reader.until("run.completed") + await reader.until("run.completed"))
    assert [event["seq"] for event in taken] == [int(last) + 1 + n for n in range(len(taken))]


async def test_the_header_of_a_reconnecting_browser_wins_over_the_address(stage: Stage, wire: Wire) -> None:
    sent = await wire.call("message.send", content=words("say one"))
    await wire.call("thread.subscribe", thread_id=sent["thread_id"], from_="start")
    head = (await wire.event("run.completed"))["seq"]
    async with stream(stage, sent["thread_id"], "?after_seq=0", Last_Event_ID=str(head - 1)) as reader:
        assert (await reader.next())["id"] == str(head)


async def test_it_resumes_across_a_restart(stage: Stage, wire: Wire) -> None:
    sent = await wire.call("message.send", content=words("say one"))
    async with stream(stage, sent["thread_id"]) as reader:
        before = events(await reader.until("run.completed"))
    await stage.restart()
    await (await stage.connect()).call("message.send", thread_id=sent["thread_id"], content=words("say two"))
    async with stream(stage, sent["thread_id"], Last_Event_ID=str(before[-1]["seq"])) as reader:
        after = events(await reader.until("run.completed"))
    assert [event["seq"] for event in before + after] == list(range(1, len(before + after) + 1))


@pytest.mark.parametrize(
    ("query", "reason"), [("?after_seq=999", "ahead"), ("?after_seq=1&epoch=epo_old", "epoch_changed")]
)
async def test_a_cursor_that_cannot_be_honoured_is_reset_and_the_stream_ends(
    stage: Stage, wire: Wire, query: str, reason: str
) -> None:
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    async with stream(stage, thread_id, query) as reader:
        only = await reader.next()
        with pytest.raises(EOFError):
            await reader.next()
    notice = json.loads(only["data"])
    assert (only["event"], notice["state"], notice["reason"]) == ("subscription", "reset", reason)
    assert (notice["first_seq"], notice["head_seq"], notice["epoch"]) == (1, 1, stage.store.identity.epoch)


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "0x10", " "])
async def test_a_cursor_that_is_no_number_is_a_bad_param(stage: Stage, wire: Wire, given: str) -> None:
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    async with stream(stage, thread_id, f"?after_seq={given}") as reader:
        assert reader.response.status_code == 422
        assert reader.response.json()["errors"][0]["path"] == "after_seq"


async def test_an_unknown_thread_and_a_missing_scope_are_problems(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stream(stage, "thr_nowhere") as reader:
        assert (reader.response.status_code, reader.response.json()["kind"]) == (404, "not_found")
    monkeypatch.setattr("gateway.edge.authentication.effective", lambda *_: frozenset())
    async with stream(stage, "thr_nowhere") as reader:
        assert (reader.response.status_code, reader.response.json()["scope"]) == (403, "thread.read")


async def test_deleting_the_thread_says_gone(stage: Stage, wire: Wire) -> None:
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    async with stream(stage, thread_id) as reader:
        await reader.until("thread.created")
        await reader.next()
        await wire.call("thread.delete", thread_id=thread_id)
        notice = json.loads((await reader.next())["data"])
    assert (notice["state"], notice["reason"]) == ("reset", "gone")


async def token_id_of(wire: Wire, name: str) -> str:
    (token,) = [one for one in (await wire.call("token.list"))["tokens"] if one["name"] == name]
    token_id: str = token["id"]
    return token_id


async def ends(reader: Sse) -> None:
    with pytest.raises((EOFError, httpx.HTTPError)):
        while True:
            await reader.next()


async def test_revocation_ends_the_stream_at_once_and_no_other(stage: Stage, wire: Wire) -> None:
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    secret = await stage.token(name="mine")
    async with stream(stage, thread_id, token=secret) as mine, stream(stage, thread_id) as other:
        await mine.until("thread.created")
        await other.until("thread.created")
        await wire.call("token.revoke", token_id=await token_id_of(wire, "mine"))
        async with asyncio.timeout(1.0):
            await ends(mine)
        await wire.call("thread.update", thread_id=thread_id, title="still there")
        await other.until("thread.updated")


async def test_a_token_that_is_revoked_while_it_is_checked_gets_nothing(
    stage: Stage, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    real = stage.store.identities.authenticate

    async def slowly(*args: Any) -> Any:
        bearer = await real(*args)
        await wire.call("token.revoke", token_id=bearer.token_id)
        return bearer

    monkeypatch.setattr(stage.store.identities, "authenticate", slowly)
    async with stream(stage, thread_id, token=await stage.token()) as reader:
        assert reader.response.status_code == 401
    late = await stage.open()
    secret = await stage.token()
    await late.receive()
    await late.post("hello", minor=0, client={"name": "late"}, auth={"token": secret})
    _, code = await late.ended()
    assert code == 4001


async def test_a_token_that_expires_ends_the_stream(stage: Stage, wire: Wire) -> None:
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    async with stream(stage, thread_id, token=await stage.token(ttl_s=1)) as reader:
        await reader.until("thread.created")
        async with asyncio.timeout(3.0):
            await ends(reader)


async def test_an_idle_stream_has_a_heartbeat(
    stage: Stage, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HEARTBEAT_S", 0.1)
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    async with stream(stage, thread_id) as reader:
        await reader.until("thread.created")
        await reader.next()
        before = reader.comments
        await asyncio.sleep(0.4)
        await wire.call("thread.update", thread_id=thread_id, title="x")
        await reader.next()
        assert reader.comments >= before + 2


async def test_a_reader_that_goes_away_is_forgotten(stage: Stage, wire: Wire) -> None:
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    async with stream(stage, thread_id) as reader:
        await reader.until("thread.created")
        assert stage.gateway._hub._subscriptions
    await until(lambda: not stage.gateway._hub._subscriptions)
    assert not stage.gateway._server._context.streams


async def test_a_vanished_reader_costs_no_reads(
    stage: Stage, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "POLL_S", 1.0)
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    async with stream(stage, thread_id) as reader:
        await reader.until("thread.created")
    await until(lambda: all(queue.is_closed for queue in stage.gateway._hub._subscriptions))
    before = stage.store.engine.stats.reads
    await wire.call("thread.update", thread_id=thread_id, title="x")
    await asyncio.sleep(0.2)
    assert stage.store.engine.stats.reads - before < 5


async def test_streams_count_as_connections(stage: Stage) -> None:
    await stage.restart(limits=LimitSettings(connections=1))
    client = stage.http()
    thread_id = (await client.post("/v1/thread.create")).json()["thread"]["id"]
    async with stream(stage, thread_id) as reader:
        await reader.until("thread.created")
        async with stream(stage, thread_id) as refused:
            assert (refused.response.status_code, refused.response.json()["kind"]) == (503, "unavailable")


async def test_a_stopping_gateway_ends_the_streams(stage: Stage, wire: Wire) -> None:
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    async with stream(stage, thread_id) as reader:
        await reader.until("thread.created")
        stopping = asyncio.create_task(stage.stop())
        async with asyncio.timeout(3.0):
            await ends(reader)
        await stopping
