"""PROTOCOL.md §3: challenge, hello and its result; every way it is refused, with its error and close code."""

import asyncio
import json
import time
from typing import Any

import pytest
from gateway_stage import Frame, Refused, Stage, Wire, until
from websockets.exceptions import ConnectionClosed

from gateway.services.tokens import new_secret
from protocol import limits
from protocol.ids import IdPrefix, has_prefix
from protocol.records import Role
from storage.errors import StoreUnavailable

CLIENT = {"name": "wire"}


def hello(**params: Any) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": "h", "method": "hello", "params": params})


async def say(stage: Stage, frame: str | bytes) -> tuple[Frame, Frame, int]:
    """Answer the challenge with `frame`; the error, the bye and the close code that follow, and only they."""
    wire = await stage.open()
    assert (await wire.receive())["method"] == "challenge"
    await wire.send(frame)
    (answer, bye), code = await wire.ended()
    assert bye["method"] == "bye"
    assert bye["params"]["code"] == code, "bye announces the code that closes"
    return answer, bye["params"], code


async def test_the_challenge_comes_at_once_and_first(stage: Stage) -> None:
    wire = await stage.open()
    challenge = await wire.receive()
    assert (challenge["method"], "id" in challenge) == ("challenge", False)
    params = challenge["params"]
    assert params["minors"] == [0]
    assert set(params["server"]) == {"name", "version"}
    assert abs(params["server_time"] - time.time() * 1000) < 5_000


async def test_every_challenge_has_its_own_nonce(stage: Stage) -> None:
    nonces = {(await (await stage.open()).receive())["params"]["nonce"] for _ in range(5)}
    assert len(nonces) == 5
    assert all(len(nonce) >= 16 for nonce in nonces)


async def test_the_result_says_who_one_is_and_what_one_may(stage: Stage) -> None:
    secret = await stage.token(Role.VIEWER, name="Vera", ttl_s=3600)
    wire = await stage.open()
    result = await wire.say_hello(secret, role="client", capabilities=["future"], last_close_code=4200)
    assert has_prefix(result["connection_id"], IdPrefix.CONNECTION)
    assert (result["principal"]["kind"], result["principal"]["name"]) == ("service", "Vera")
    assert "thread.read" in result["scopes"]
    assert "message.send" not in result["scopes"]
    assert (result["minor"], result["heartbeat_s"], result["resumed"]) == (0, 25, [])
    assert result["capabilities"] == [], "a capability that the server does not know is not enabled"
    assert result["epoch"] == stage.store.identity.epoch
    assert result["limits"] == {
        "frame_bytes": 1 << 20,
        "subscriptions": 128,
        "inflight": 64,
        "queue_bytes": 1 << 20,
    }
    assert result["auth_expires_at"].endswith("Z")


async def test_claims_of_the_client_widen_nothing(stage: Stage) -> None:
    secret = await stage.token(Role.VIEWER)
    wire = await stage.open()
    result = await wire.say_hello(secret, scopes=["token.write"], principal={"id": "local"}, role="client")
    assert "token.write" not in result["scopes"]
    refused = await wire.refusal("token.create", role="owner")
    assert (refused.kind, refused.data["scope"]) == ("forbidden", "token.write")


@pytest.mark.parametrize(
    ("frame", "error_id", "error_code"),
    [
        ("{", None, -32700),
        ("[]", None, -32600),
        ('"hello"', None, -32600),
        ('{"jsonrpc":"2.0","id":7,"method":"server.info","params":{}}', 7, -32600),
        ('{"jsonrpc":"2.0","method":"hello","params":{}}', None, -32600),
        ('{"id":7,"method":"hello","params":{}}', 7, -32600),
        ('{"jsonrpc":"2.0","id":7,"result":{}}', None, -32600),
        ('{"jsonrpc":"2.0","id":7,"method":"hello"}', 7, -32602),
        (hello(minor=0, auth={}), "h", -32602),
        (hello(minor="0", client=CLIENT, auth={}), "h", -32602),
        (hello(minor=True, client=CLIENT, auth={}), "h", -32602),
        (hello(minor=0, client=CLIENT, auth={}, resume=[{"thread_id": "t"}]), "h", -32602),
        (hello(minor=0, client=CLIENT, auth={}, role="admin"), "h", -32602),
        (hello(minor=0, client={"name": "x" * 101}, auth={}), "h", -32602),
    ],
)
async def test_a_first_frame_that_is_no_hello_ends_the_connection(
    stage: Stage, frame: str, error_id: object, error_code: int
) -> None:
    answer, _, code = await say(stage, frame)
    assert (answer["id"], answer["error"]["code"], code) == (error_id, error_code, 4000)


@pytest.mark.parametrize("minor", [1, -1, 2**62])
async def test_a_minor_we_do_not_speak_is_an_unsupported_version(stage: Stage, minor: int) -> None:
    answer, bye, code = await say(stage, hello(minor=minor, client=CLIENT, auth={"token": stage.owner}))
    assert (answer["id"], code) == ("h", 4002)
    assert "0" in answer["error"]["data"]["errors"][0]["message"], "the minors it speaks are named"
    assert bye["reason"]


@pytest.mark.parametrize(
    "auth", [{}, {"token": ""}, {"token": "secret"}, {"token": "tgate_" + "A" * 49}, {"token": None}]
)
async def test_a_bad_credential_is_unauthorized(stage: Stage, auth: Frame) -> None:
    answer, _, code = await say(stage, hello(minor=0, client=CLIENT, auth=auth))
    assert (answer["error"]["data"]["kind"], code) == ("unauthorized", 4001)
    assert answer["error"]["data"]["retryable"] is False


async def test_a_mistyped_token_is_not_echoed(stage: Stage) -> None:
    secret = await stage.token()
    answer, bye, _ = await say(stage, hello(minor=0, client=CLIENT, auth={"token": secret[:-1] + "~"}))
    assert secret[:-1] not in json.dumps([answer, bye])
    answer, bye, _ = await say(stage, hello(minor=0, client=CLIENT, auth={"token": [secret]}))
    assert secret not in json.dumps([answer, bye])


async def test_a_token_is_no_device(stage: Stage) -> None:
    said = hello(minor=0, client=CLIENT, auth={"token": stage.owner}, role="device")
    answer, _, code = await say(stage, said)
    assert (answer["error"]["data"]["kind"], code) == ("forbidden", 4003)


async def test_without_a_credential_nobody_comes_in(stage: Stage) -> None:
    answer, _, code = await say(stage, hello(minor=0, client=CLIENT, auth={}))
    assert (answer["error"]["data"]["kind"], code) == ("unauthorized", 4001)


async def test_an_expired_token_is_expired(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = await stage.token(ttl_s=60)
    later = time.time_ns() // 1_000_000 + 61_000
    monkeypatch.setattr(stage.clock, "now_ms", lambda: later)
    answer, _, code = await say(stage, hello(minor=0, client=CLIENT, auth={"token": secret}))
    assert (answer["error"]["data"]["kind"], code) == ("expired", 4001)


async def test_a_revoked_token_is_unauthorized(stage: Stage) -> None:
    secret = await stage.token(name="gone")
    owner = await stage.connect()
    (token,) = [one for one in (await owner.call("token.list"))["tokens"] if one["name"] == "gone"]
    await owner.call("token.revoke", token_id=token["id"])
    _, _, code = await say(stage, hello(minor=0, client=CLIENT, auth={"token": secret}))
    assert code == 4001


async def test_revocation_ends_open_connections_at_once_and_no_others(stage: Stage) -> None:
    mine = await stage.connect(await stage.token(name="mine"))
    also_mine = await stage.connect(await stage.token(name="other"))
    owner = await stage.connect()
    (token,) = [one for one in (await owner.call("token.list"))["tokens"] if one["name"] == "mine"]
    began = time.monotonic()
    await owner.call("token.revoke", token_id=token["id"])
    frames, code = await mine.ended()
    assert time.monotonic() - began < 1.0
    assert ([frame["method"] for frame in frames], code) == (["bye"], 4001)
    assert await also_mine.call("server.info")
    assert await owner.call("server.info")


async def test_a_token_that_expires_ends_its_connection_with_4201(stage: Stage) -> None:
    wire = await stage.connect(await stage.token(ttl_s=1))
    assert wire.hello["auth_expires_at"]
    frames, code = await wire.ended(3.0)
    assert ([frame["method"] for frame in frames], code) == (["bye"], 4201)


async def test_no_hello_in_time_is_closed_with_4007(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HELLO_TIMEOUT_S", 0.1)
    wire = await stage.open()
    frames, code = await wire.ended(3.0)
    assert ([frame.get("method") for frame in frames], code) == (["challenge", None, "bye"], 4007)
    assert frames[1]["error"]["code"] == -32600


async def test_a_client_that_said_hello_is_not_timed_out(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HELLO_TIMEOUT_S", 0.1)
    wire = await stage.connect()
    await asyncio.sleep(0.2)
    assert await wire.call("server.info")


async def test_an_unreadable_store_says_come_back_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreadable(*args: object) -> None:
        raise StoreUnavailable("no disk")

    monkeypatch.setattr(stage.store.identities, "authenticate", unreadable)
    answer, _, code = await say(stage, hello(minor=0, client=CLIENT, auth={"token": new_secret()}))
    assert (answer["error"]["data"]["kind"], code) == ("unavailable", 4106)


async def test_hello_is_said_once(wire: Wire) -> None:
    refused = await wire.refusal("hello", minor=0, client=CLIENT, auth={})
    assert refused.code == -32600
    assert await wire.call("server.info"), "the connection goes on"


async def test_requests_sent_right_behind_hello_are_answered(stage: Stage) -> None:
    wire = await stage.open()
    await wire.send(hello(minor=0, client=CLIENT, auth={"token": stage.owner}))
    number = await wire.post("server.info")
    assert "result" in await wire.answer("h")
    assert "result" in await wire.answer(number)


async def test_requests_sent_right_behind_a_refused_hello_have_no_effect(stage: Stage) -> None:
    wire = await stage.open()
    await wire.receive()
    await wire.send(hello(minor=0, client=CLIENT, auth={"token": "nobody"}))
    with pytest.raises((Refused, ConnectionClosed)):
        await wire.call("thread.create", title="must not exist")
    owner = await stage.connect()
    assert (await owner.call("thread.list"))["threads"] == []


async def test_every_closed_connection_is_forgotten(stage: Stage) -> None:
    wires = [await stage.connect() for _ in range(5)]
    for wire in wires:
        await wire.call("inbox.subscribe")
        wire.socket.transport.abort()
    await until(lambda: not stage.sessions)
    hub = stage.gateway._hub
    assert (hub._inboxes, hub._subscriptions) == ({}, {})
