"""Input that is made to cost: bombs of JSON and deflate, those who never finish, patterns that never end."""

import asyncio
import json
import time
import zlib

import pytest
from pydantic import ValidationError

from gateway.agent_settings import RouteSettings
from gateway.governance_settings import DetectorSettings
from gateway.policy_settings import PolicySettings
from gateway.settings import LimitSettings
from protocol import limits
from protocol.frames import Malformed, decode
from tests.gateway.gateway_stage import Stage, Wire, words
from tests.security.security_stage import place, raw, start_line

QUICK_S = 1.0
"""Far more than any of these may take here, far less than they take where they work."""
EVIL_PATTERNS = [
    r"(a+)+b",
    r"(a|a)*b",
    r"(a|aa)+$",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(.*)*x",
    r"(x+x+)+y",
    r"([a-zA-Z]+)*$",
    r"(\w+\s?)+:",
    r"(a)\1+",
]
BOMBS = {
    "deep list": "[" * 100_000 + "]" * 100_000,
    "deep object": '{"a":' * 50_000 + "1" + "}" * 50_000,
    "unclosed": "[" * 100_000,
    "long integer": "9" * 500_000,
    "huge exponent": "1e999999999",
    "nan": "NaN",
    "infinity": "-Infinity",
    "lone surrogate": '"\\ud800"',
    "bad utf-8": '"\udcff"',
}


@pytest.mark.parametrize("name", BOMBS)
async def test_json_bombs(stage: Stage, wire: Wire, name: str) -> None:
    """DoS by unbounded input (4 of 83 advisories): deep, long, and odd JSON, both ways in."""
    value = BOMBS[name].encode("utf-8", "surrogateescape")
    body = b'{"title":' + value + b"}"
    began = time.monotonic()
    answer = await stage.http().post("/v1/thread.create", content=body)
    assert answer.status_code in (400, 413, 422), answer.status_code
    frame = b'{"jsonrpc":"2.0","id":5,"method":"thread.create","params":' + body + b"}"
    if name != "bad utf-8":
        await wire.send(frame.decode())
        answered = await wire.receive()
        assert answered["error"]["code"] in (-32700, -32600, -32602)
    assert isinstance(decode(frame), Malformed) or name == "long integer"
    assert time.monotonic() - began < QUICK_S
    assert (await (await stage.connect()).call("thread.list"))["threads"] == [], "nothing of it was stored"


async def test_duplicate_keys(stage: Stage) -> None:
    """Duplicate keys: two readers must not read two things; the one that acts is the last."""
    twice = b'{"title":"first","title":"second"}'
    thread = (await stage.http().post("/v1/thread.create", content=twice)).json()["thread"]
    assert thread["title"] == "second"
    (entry,) = [
        one
        for one in (await (await stage.connect()).call("audit.list"))["entries"]
        if one["action"] == "thread.create"
    ]
    assert json.loads(entry["body"]).get("seq") == entry["seq"] and entry["body"].count('"seq"') == 1


async def test_numbers_that_change_on_the_way(stage: Stage, wire: Wire) -> None:
    """RFC 8785 limits: numbers are integers that arrive as sent, or are refused; never 500."""
    for number in (-1, 2**53, 2**62, 2**63, 1.5, True, "1", [1]):
        refused = await wire.refusal("audit.list", after_seq=number)
        assert refused.code == -32602, number


async def test_slowloris(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slowloris: who says nothing, or never ends saying hello, is shown out; others are served."""
    monkeypatch.setattr(limits, "HELLO_TIMEOUT_S", 0.2)
    silent = [await stage.open() for _ in range(20)]
    held = [await asyncio.open_connection(*place(stage)) for _ in range(20)]
    for _, writer in held:
        writer.write(b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    assert (await stage.http().post("/v1/server.info", json={})).status_code == 200
    codes = [(await wire.ended(3.0))[1] for wire in silent]
    assert set(codes) == {4007}
    for _, writer in held:
        writer.close()


async def test_too_many_connections(stage: Stage) -> None:
    """Floods: connections that say nothing have a limit, and it is told."""
    await stage.restart(limits=LimitSettings(connections=3))
    opened = [await stage.open() for _ in range(3)]
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
    upgrade |= {"Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec_WebSocket_Protocol": "threadgate.v1"}
    assert (await raw(stage, start_line(stage, "GET", "/v1/ws", **upgrade))).status == 503
    assert len(opened) == 3


async def test_a_stranger_gets_small_frames_only(stage: Stage) -> None:
    """DoS by unbounded input: before hello a frame has 64 KiB at most."""
    wire = await stage.open()
    await wire.receive()
    await wire.send('{"x":"' + "a" * (limits.PRE_HELLO_FRAME_BYTES + 1) + '"}')
    assert (await wire.ended())[1] == 4000


async def test_deflate_bomb(stage: Stage) -> None:
    """Deflate bomb 1000:1: with compression on, what unpacks beyond the frame limit is cut off."""
    await stage.restart(compression=True)
    wire = await stage.open(compression="deflate")
    await wire.receive()
    assert wire.socket.protocol.extensions, "the control: compression was agreed on"
    bomb = '{"x":"' + "a" * (64 * limits.MIB) + '"}'
    assert len(zlib.compress(bomb.encode())) < 100 * 1024
    began = time.monotonic()
    await wire.send(bomb)
    _, code = await wire.ended()
    assert code in (4000, 1009) and time.monotonic() - began < 5.0
    assert (await stage.http().get("/healthz")).status_code == 200


async def test_bombs_in_http_bodies(stage: Stage) -> None:
    """CVE-2025-69228, CVE-2026-22815: a packed body is not unpacked to any size, trailers are not collected."""
    packed = zlib.compress(b'{"title":"' + b"a" * (16 * limits.MIB) + b'"}')
    answer = await stage.http().post(
        "/v1/thread.create", content=packed, headers={"Content-Encoding": "deflate"}
    )
    assert answer.status_code in (400, 413)
    trailers = b"".join(b"X-T%d: x\r\n" % number for number in range(5000))
    chunked = (
        start_line(stage, "POST", "/v1/server.info", Transfer_Encoding="chunked")
        + b"2\r\n{}\r\n0\r\n"
        + trailers
    )
    assert (await raw(stage, chunked + b"\r\n")).status in (0, 400, 401, 413)


@pytest.mark.parametrize("pattern", EVIL_PATTERNS)
def test_regex_dos(pattern: str) -> None:
    """Regex DoS: a pattern that may take for ever is refused where it is written."""
    with pytest.raises(ValidationError, match=r"far too long|refer back"):
        RouteSettings.model_validate({"agent": "demo", "pattern": pattern})
    with pytest.raises(ValidationError, match=r"far too long|refer back"):
        DetectorSettings.model_validate({"name": "mine", "pattern": pattern})


def test_patterns_of_policies_are_no_regular_expressions() -> None:
    """Regex DoS: what a policy matches is a name with stars, which a text made for it cannot slow down."""
    rule = PolicySettings.model_validate(
        {"name": "x", "effect": "deny", "tool": ["*" * 20 + "b"]} | {"reason": "r"}
    )
    assert rule.tool == ("*" * 20 + "b",)


async def test_sql_injection(stage: Stage, wire: Wire) -> None:
    """LangGraph CVE-2025-67644 (SQL through a key): quotes, operators of the search and wild cards are text."""
    thread = (await wire.call("thread.create", title="'; DROP TABLE threads; --"))["thread"]
    await wire.call("message.send", thread_id=thread["id"], content=words("say \"' OR 1=1 --"))
    for query in (
        "' OR 1=1 --",
        '" OR "" MATCH "',
        "NEAR(a b)",
        "*",
        "a* AND NOT b",
        "title:x",
        "'",
        '"',
        "(",
        "^a",
    ):
        found = await wire.answer(await wire.post("thread.search", query=query))
        assert "internal" not in json.dumps(found), query
    for cursor in ("' OR 1=1", "1; DROP TABLE runs", "-1", "1 OR 1"):
        assert "internal" not in json.dumps(await wire.answer(await wire.post("audit.list", cursor=cursor)))
    assert (await wire.call("thread.get", thread_id=thread["id"]))["thread"]["title"].startswith("'; DROP")
