"""PROTOCOL.md §1, §2, §8, §10: frames that are wrong in every way, and what each is answered.

A refusal leaves the connection (unless it must end), the other clients and the store as they were.
"""

import asyncio
import json
from typing import Any

import pytest
from gateway_stage import PATIENCE_S, Frame, Refused, Stage, Wire, words
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame as RawFrame
from websockets.frames import Opcode

from protocol import limits
from protocol.records import Role

DEEP = '{"a":' * 2000 + "1" + "}" * 2000


def request(number: int, method: str, params: str) -> str:
    """A frame with params written out by hand."""
    return f'{{"jsonrpc":"2.0","id":{number},"method":"{method}","params":{params}}}'


def send_text(text: str) -> str:
    return request(9, "message.send", f'{{"content":[{{"type":"text","text":{text}}}]}}')


async def threads(stage: Stage) -> list[Frame]:
    probe = await stage.connect()
    found: list[Frame] = (await probe.call("thread.list", status="all"))["threads"]
    return found


@pytest.mark.parametrize(
    ("frame", "answer_id", "code"),
    [
        ("{", None, -32700),
        ("", None, -32700),
        ("nonsense", None, -32700),
        ('{"jsonrpc":"2.0","id":9,"method":"server.info","params":{}} trailing', None, -32700),
        (request(9, "server.info", '{"x":NaN}'), None, -32700),
        (request(9, "server.info", '{"x":Infinity}'), None, -32700),
        (send_text('"\\ud800"'), None, -32700),
        (send_text('"\\udc00\\ud800"'), None, -32700),
        (request(9, "server.info", DEEP), None, -32700),
        ("[]", None, -32600),
        (f"[{request(9, 'server.info', '{}')}]", None, -32600),
        ("null", None, -32600),
        ("42", None, -32600),
        ('{"id":9,"method":"server.info"}', 9, -32600),
        ('{"jsonrpc":"1.0","id":9,"method":"server.info"}', 9, -32600),
        ('{"jsonrpc":2.0,"id":9,"method":"server.info"}', 9, -32600),
        ('{"jsonrpc":"2.0","id":null,"method":"server.info"}', None, -32600),
        ('{"jsonrpc":"2.0","id":1.5,"method":"server.info"}', None, -32600),
        ('{"jsonrpc":"2.0","id":true,"method":"server.info"}', None, -32600),
        ('{"jsonrpc":"2.0","id":[1],"method":"server.info"}', None, -32600),
        ('{"jsonrpc":"2.0","id":18446744073709551617,"method":"server.info"}', None, -32600),
        (json.dumps({"jsonrpc": "2.0", "id": "i" * 129, "method": "server.info"}), None, -32600),
        ('{"jsonrpc":"2.0","id":9}', 9, -32600),
        ('{"jsonrpc":"2.0","id":9,"method":7}', 9, -32600),
        (request(9, "server.info", "[]"), 9, -32600),
        (request(9, "server.info", "null"), 9, -32600),
        (request(9, "server.info", '"x"'), 9, -32600),
        (request(9, "no.such", "{}"), 9, -32601),
        (request(9, "__init__", "{}"), 9, -32601),
        (request(9, "Server.Info", "{}"), 9, -32601),
        (request(9, "thread.get", "{}"), 9, -32602),
        (request(9, "thread.get", '{"thread_id":7}'), 9, -32602),
        (request(9, "thread.get", '{"thread_id":[]}'), 9, -32602),
        (request(9, "thread.get", '{"thread_id":""}'), 9, -32602),
        (request(9, "thread.list", '{"limit":true}'), 9, -32602),
        (request(9, "thread.list", '{"limit":"50"}'), 9, -32602),
        (request(9, "thread.list", '{"limit":0}'), 9, -32602),
        (request(9, "thread.list", '{"limit":501}'), 9, -32602),
        (request(9, "thread.list", '{"limit":99999999999999999999999}'), 9, -32602),
        (request(9, "thread.list", '{"limit":1e300}'), 9, -32602),
        (request(9, "thread.list", '{"status":"secret"}'), 9, -32602),
        (request(9, "thread.history", '{"thread_id":"thr_x","after_seq":-1}'), 9, -32602),
        (request(9, "thread.history", '{"thread_id":"thr_x","after_seq":9007199254740992}'), 9, -32602),
        (request(9, "thread.history", '{"thread_id":"thr_x","after_seq":1,"before_seq":2}'), 9, -32602),
        (request(9, "thread.subscribe", '{"thread_id":"thr_x","from":"middle"}'), 9, -32602),
        (request(9, "thread.subscribe", '{"thread_id":"thr_x","from":{"epoch":1,"after_seq":0}}'), 9, -32602),
        (request(9, "message.send", '{"content":[]}'), 9, -32602),
        (request(9, "message.send", '{"content":"hello"}'), 9, -32602),
        (request(9, "message.send", '{"content":[{"type":"image","text":"x"}]}'), 9, -32602),
        (request(9, "message.send", '{"content":[{"text":"x"}]}'), 9, -32602),
        (send_text("7"), 9, -32602),
        (send_text(json.dumps("x" * (limits.TEXT_CHARS + 1))), 9, -32602),
        (request(9, "token.create", '{"role":"god"}'), 9, -32602),
    ],
)
async def test_a_wrong_frame_gets_its_error_and_nothing_else_happens(
    stage: Stage, wire: Wire, frame: str, answer_id: object, code: int
) -> None:
    await wire.send(frame)
    answer = await wire.answer(answer_id)
    error = answer["error"]
    assert (error["code"], set(answer)) == (code, {"jsonrpc", "id", "error"})
    assert isinstance(error["message"], str)
    assert isinstance(error["data"]["kind"], str)
    assert error["data"]["retryable"] is False
    if code == -32602:
        assert all(set(one) == {"path", "message"} for one in error["data"]["errors"])
    assert await wire.call("server.info"), "the connection goes on"
    assert await threads(stage) == []


async def test_bad_params_are_named_and_never_echoed(wire: Wire) -> None:
    refused = await wire.refusal("token.create", role="hunter2-secret", name=["hunter2-secret"])
    assert {one["path"] for one in refused.data["errors"]} == {"role", "name"}
    assert "hunter2" not in json.dumps(refused.error)


async def test_of_duplicate_keys_one_counts_and_the_frame_stays_one_request(wire: Wire) -> None:
    await wire.send('{"jsonrpc":"2.0","id":1,"id":2,"method":"no.such","method":"server.info","params":{}}')
    assert "result" in await wire.answer(2)
    assert await wire.quiet() == []


async def test_unknown_fields_are_ignored_however_deep(wire: Wire) -> None:
    nested = '{"x":' * 500 + "1" + "}" * 500
    await wire.send(
        f'{{"jsonrpc":"2.0","id":5,"method":"thread.list","trace":{nested},"params":{{"y":{nested}}}}}'
    )
    assert (await wire.answer(5))["result"]["threads"] == []


@pytest.mark.parametrize("text", ["\u0000", "a\u0000b", "\u202e", "\ufffe", "😀" * 1000, "\r\n\u2028"])
async def test_any_unicode_text_survives_as_it_is(stage: Stage, wire: Wire, text: str) -> None:
    said = f"say {text}."
    sent = await wire.call("message.send", content=words(said))
    await wire.call("thread.subscribe", thread_id=sent["thread_id"], from_="start")
    mine = await wire.event("message.created")
    assert mine["data"]["message"]["content"] == words(said)


async def test_ids_are_strings_or_integers_and_come_back_as_they_were(wire: Wire) -> None:
    for number in (0, -1, 2**53 - 1, "x", '"quoted" \\ \u2028', "😀"):
        await wire.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": "server.info"}))
        assert "result" in await wire.answer(number)


async def test_a_notification_is_not_answered_and_does_nothing(stage: Stage, wire: Wire) -> None:
    await wire.send(
        json.dumps({"jsonrpc": "2.0", "method": "message.send", "params": {"content": words("x")}})
    )
    await wire.send('{"jsonrpc":"2.0","id":77,"result":{}}')
    await wire.send('{"jsonrpc":"2.0","id":78,"error":{"code":1,"message":"no"}}')
    assert await wire.quiet() == []
    assert await threads(stage) == []


async def test_a_client_that_sends_only_rubbish_is_closed(wire: Wire) -> None:
    for _ in range(200):
        await wire.send("rubbish")
    frames, code = await wire.ended()
    assert code == 4000
    assert frames[-1]["method"] == "bye"
    assert all(frame["error"]["code"] == -32700 for frame in frames[:-1])


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
async def test_a_message_must_say_something(stage: Stage, wire: Wire, text: str) -> None:
    refused = await wire.refusal("message.send", content=words(text))
    assert refused.kind == "invalid_state"
    assert await threads(stage) == []


async def test_a_text_of_the_largest_size_is_taken(stage: Stage, wire: Wire) -> None:
    sent = await wire.call("message.send", content=words("x" * limits.TEXT_CHARS))
    log = await stage.log(sent["thread_id"])
    assert len(log[1]["data"]["message"]["content"][0]["text"]) == limits.TEXT_CHARS


async def test_too_many_parts_are_too_many(wire: Wire) -> None:
    refused = await wire.refusal("message.send", content=words("x") * (limits.PARTS + 1))
    assert refused.code == -32602


UNKNOWN_THREAD: list[tuple[str, Frame]] = [
    ("thread.get", {}),
    ("thread.update", {"title": "x"}),
    ("thread.archive", {}),
    ("thread.restore", {}),
    ("thread.delete", {}),
    ("thread.history", {}),
    ("thread.subscribe", {}),
    ("message.send", {"content": words("x")}),
]


@pytest.mark.parametrize(("method", "params"), UNKNOWN_THREAD)
async def test_an_unknown_thread_is_not_found_and_a_deleted_one_too(
    stage: Stage, wire: Wire, method: str, params: Frame
) -> None:
    deleted = (await wire.call("thread.create"))["thread"]["id"]
    await wire.call("thread.delete", thread_id=deleted)
    for thread_id in ("thr_nowhere", deleted, "x' OR 1=1 --"):
        assert (await wire.refusal(method, thread_id=thread_id, **params)).kind == "not_found"
    assert await threads(stage) == []


@pytest.mark.parametrize(
    ("role", "method", "scope"),
    [
        (Role.VIEWER, "message.send", "message.send"),
        (Role.VIEWER, "thread.create", "thread.write"),
        (Role.VIEWER, "run.cancel", "run.control"),
        (Role.VIEWER, "audit.list", "audit.read"),
        (Role.OPERATOR, "thread.delete", "thread.delete"),
        (Role.OPERATOR, "token.create", "token.write"),
        (Role.OPERATOR, "token.list", "token.read"),
    ],
)
async def test_a_missing_scope_is_named_before_the_params_are_looked_at(
    stage: Stage, role: Role, method: str, scope: str
) -> None:
    wire = await stage.connect(await stage.token(role))
    refused = await wire.refusal(method, nonsense=1)
    assert (refused.code, refused.kind, refused.data["scope"]) == (-32000, "forbidden", scope)
    assert refused.data["hint"]


# --- frames that end the connection ----------------------------------------------------------------


async def ends(stage: Stage, wire: Wire, kind: str, code: int = 4000) -> None:
    """The error, bye and the close code; and the neighbours have not noticed."""
    frames, closed_with = await wire.ended()
    answers = [frame for frame in frames if "error" in frame]
    assert [frame["error"]["data"]["kind"] for frame in answers] == [kind]
    assert (frames[-1]["method"], frames[-1]["params"]["code"], closed_with) == ("bye", code, code)


async def flood(wire: Wire, size: int) -> None:
    """Send one text of `size` bytes, even when the connection ends meanwhile."""
    try:
        await wire.send("x" * size)
    except ConnectionClosed:
        return


@pytest.mark.parametrize("size", [limits.PRE_HELLO_FRAME_BYTES + 1, limits.FRAME_BYTES + 1000, 32 << 20])
async def test_a_frame_too_large_before_hello(stage: Stage, size: int) -> None:
    neighbour = await stage.connect()
    wire = await stage.open()
    await wire.receive()
    sending = asyncio.create_task(flood(wire, size))
    await ends(stage, wire, "too_large")
    await sending
    assert await neighbour.call("server.info")


@pytest.mark.parametrize("over", [1, 63, 64, 65, 1000, 32 << 20])
async def test_a_frame_too_large_after_hello(stage: Stage, wire: Wire, over: int) -> None:
    neighbour = await stage.connect()
    sending = asyncio.create_task(flood(wire, limits.FRAME_BYTES + over))
    await ends(stage, wire, "too_large")
    await sending
    assert await neighbour.call("server.info")


async def test_a_frame_of_the_largest_size_is_taken(stage: Stage, wire: Wire) -> None:
    small = '{"jsonrpc":"2.0","id":5,"method":"server.info","pad":""}'
    pad = "x" * (limits.FRAME_BYTES - len(small))
    await wire.send(small.replace('""', f'"{pad}"'))
    assert "result" in await wire.answer(5)


async def test_fragments_are_counted_together(stage: Stage, wire: Wire) -> None:
    async def pieces() -> Any:
        for _ in range(40):
            yield "x" * (64 * 1024)

    async def send() -> None:
        try:
            await wire.socket.send(pieces())
        except ConnectionClosed:
            return

    sending = asyncio.create_task(send())
    await ends(stage, wire, "too_large")
    await sending


async def write_raw(wire: Wire, frame: RawFrame | bytes) -> None:
    """Write a frame that the library would not."""
    wire.socket.transport.write(frame if isinstance(frame, bytes) else frame.serialize(mask=True))


@pytest.mark.parametrize("said_hello", [False, True])
@pytest.mark.parametrize(
    "frame",
    [
        RawFrame(Opcode.BINARY, b'{"jsonrpc":"2.0","id":1,"method":"server.info"}'),
        RawFrame(Opcode.CONT, b"out of the blue"),
        b"\xa1\x81mask" + bytes([ord("x") ^ ord("m")]),
        b"\x83\x80mask",
        b"\x89\xfe\x00\x7emask" + b"x" * 126,
    ],
    ids=["binary", "continuation", "reserved bit", "unknown opcode", "long ping"],
)
async def test_what_is_no_text_frame_ends_the_connection(
    stage: Stage, said_hello: bool, frame: RawFrame | bytes
) -> None:
    wire = await stage.open()
    if said_hello:
        await wire.say_hello(stage.owner)
    else:
        await wire.receive()
    await write_raw(wire, frame)
    await ends(stage, wire, "invalid_request")


async def test_text_that_is_not_utf8_is_refused(stage: Stage, wire: Wire) -> None:
    payload = b'{"jsonrpc":"2.0","id":3,"method":"thread.create","params":{"title":"\xff\xfe"}}'
    await write_raw(wire, RawFrame(Opcode.TEXT, payload))
    answer = await wire.answer(None)
    assert answer["error"]["code"] in (-32700, -32600)
    assert await threads(stage) == []


async def test_a_clean_close_of_the_client_is_answered(stage: Stage, wire: Wire) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await wire.socket.close(4999, "enough")
    assert wire.socket.protocol.close_rcvd is not None
    assert await (await stage.connect()).call("server.info")


async def test_a_peer_that_vanishes_in_the_middle_of_a_frame_leaves_nothing(stage: Stage, wire: Wire) -> None:
    whole = RawFrame(Opcode.TEXT, send_text('"half a message"').encode()).serialize(mask=True)
    wire.socket.transport.write(whole[:-5])
    await asyncio.sleep(0.05)
    wire.socket.transport.abort()
    assert await threads(stage) == []


async def test_one_clients_rubbish_does_not_touch_the_others(stage: Stage) -> None:
    neighbour = await stage.connect()
    thread_id = (await neighbour.call("thread.create"))["thread"]["id"]
    await neighbour.call("thread.subscribe", thread_id=thread_id)
    for frame in (b"\x00\xff", "x" * (limits.FRAME_BYTES + 1), "[" * 100_000, "{}" * 1000):
        rude = await stage.connect()
        sending = asyncio.create_task(rude.send(frame))
        await asyncio.wait([sending])
        sending.exception()
        sent = await neighbour.call("message.send", thread_id=thread_id, content=words("say hi"))
        await neighbour.event("run.completed", run_id=sent["run_id"])


async def test_refused_hello_frames_are_few(stage: Stage) -> None:
    """Nothing behind a frame that ended the connection is looked at."""
    wire = await stage.open()
    await wire.receive()
    for _ in range(50):
        await wire.send("rubbish")
    frames, code = await wire.ended()
    assert (len(frames), code) == (2, 4000)


async def test_a_refusal_raises_for_the_stage_too(wire: Wire) -> None:
    with pytest.raises(Refused, match="not_found"):
        await wire.call("run.get", run_id="run_nowhere")
