"""The envelope: golden frames, every kind of malformed one, and properties of the codec."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import frames
from protocol.errors import INVALID_REQUEST, PARSE_ERROR, ErrorKind, Fault
from protocol.events import Bye, Heartbeat
from protocol.frames import (
    ID_CHARS_MAX,
    Malformed,
    Notification,
    RawJson,
    Request,
    Response,
    decode,
)
from protocol.limits import INTEGER_MAX
from protocol.records import Actor, ActorKind, Run, RunState
from protocol.requests import ThreadSubscribeParams

INTEGERS = st.integers(-INTEGER_MAX, INTEGER_MAX)
IDS = st.one_of(INTEGERS, st.text(min_size=1, max_size=ID_CHARS_MAX))
JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), INTEGERS, st.floats(allow_nan=False, allow_infinity=False), st.text()
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=4)
NAMES = st.from_regex(r"[a-z]{1,10}(\.[a-z]{1,10})?", fullmatch=True)


@pytest.mark.parametrize(
    ("raw", "frame"),
    [
        (
            b'{"jsonrpc":"2.0","id":1,"method":"run.get","params":{"a":1}}',
            Request(1, "run.get", {"a": 1}),
        ),
        (b'{"jsonrpc":"2.0","id":"x","method":"run.get"}', Request("x", "run.get", {})),
        (b' {"jsonrpc":"2.0", "method":"note", "extra":[] }\n', Notification("note", {})),
        (b'{"jsonrpc":"2.0","id":7,"result":{}}', Response(7, {}, None)),
        (b'{"jsonrpc":"2.0","id":7,"error":{"code":1}}', Response(7, None, {"code": 1})),
        (b'{"jsonrpc":"2.0","id":0,"method":"","params":{}}', Request(0, "", {})),
    ],
)
def test_golden_frames_are_read(raw: bytes, frame: frames.Frame) -> None:
    assert decode(raw) == frame


@pytest.mark.parametrize(
    ("raw", "code", "frame_id"),
    [
        (b"", PARSE_ERROR, None),
        (b"{", PARSE_ERROR, None),
        (b"\xff\xfe", PARSE_ERROR, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"\\ud800"}', PARSE_ERROR, None),
        (b"NaN", PARSE_ERROR, None),
        (b"[" * 5000, PARSE_ERROR, None),
        (b'[{"jsonrpc":"2.0","id":1,"method":"a"}]', INVALID_REQUEST, None),
        (b"[]", INVALID_REQUEST, None),
        (b'"hello"', INVALID_REQUEST, None),
        (b"null", INVALID_REQUEST, None),
        (b"{}", INVALID_REQUEST, None),
        (b'{"id":3,"method":"a"}', INVALID_REQUEST, 3),
        (b'{"jsonrpc":2.0,"id":3,"method":"a"}', INVALID_REQUEST, 3),
        (b'{"jsonrpc":"1.0","method":"a"}', INVALID_REQUEST, None),
        (b'{"jsonrpc":"2.0","id":null,"method":"a"}', INVALID_REQUEST, None),
        (b'{"jsonrpc":"2.0","id":true,"method":"a"}', INVALID_REQUEST, None),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"a"}', INVALID_REQUEST, None),
        (b'{"jsonrpc":"2.0","id":"","method":"a"}', INVALID_REQUEST, None),
        (b'{"jsonrpc":"2.0","id":"' + b"x" * 129 + b'","method":"a"}', INVALID_REQUEST, None),
        (b'{"jsonrpc":"2.0","id":9007199254740992,"method":"a"}', INVALID_REQUEST, None),
        (b'{"jsonrpc":"2.0","id":{},"method":"a"}', INVALID_REQUEST, None),
        (b'{"jsonrpc":"2.0","id":3}', INVALID_REQUEST, 3),
        (b'{"jsonrpc":"2.0","id":3,"method":7}', INVALID_REQUEST, 3),
        (b'{"jsonrpc":"2.0","method":null}', INVALID_REQUEST, None),
        (b'{"jsonrpc":"2.0","id":3,"method":"a","params":[1]}', INVALID_REQUEST, 3),
        (b'{"jsonrpc":"2.0","id":3,"method":"a","params":null}', INVALID_REQUEST, 3),
        (b'{"jsonrpc":"2.0","id":3,"result":{},"error":{}}', INVALID_REQUEST, 3),
        (b'{"jsonrpc":"2.0","id":3,"result":7}', INVALID_REQUEST, None),
        (b'{"jsonrpc":"2.0","id":3,"error":null}', INVALID_REQUEST, None),
    ],
)
def test_malformed_frames_say_why_and_keep_the_id_that_could_be_read(
    raw: bytes, code: int, frame_id: int | None
) -> None:
    frame = decode(raw)

    assert isinstance(frame, Malformed)
    assert (frame.fault.code, frame.id) == (code, frame_id)


@given(st.binary())
def test_decode_never_raises_on_bytes(raw: bytes) -> None:
    assert isinstance(decode(raw), Request | Notification | Response | Malformed)


@given(st.dictionaries(st.sampled_from(["jsonrpc", "id", "method", "params", "result", "error"]), JSON))
def test_decode_never_raises_on_json_that_looks_like_a_frame(members: dict[str, Any]) -> None:
    frame = decode(json.dumps({"jsonrpc": "2.0", **members}).encode())

    assert isinstance(frame, Request | Notification | Response | Malformed)
    if isinstance(frame, Malformed):
        assert json.loads(frames.encode_error(frame.id, frame.fault))["id"] == frame.id


@given(IDS, NAMES, OBJECTS)
def test_requests_and_notifications_round_trip(
    frame_id: str | int, name: str, params: dict[str, Any]
) -> None:
    assert decode(frames.encode_request(frame_id, name, params)) == Request(frame_id, name, params)
    assert decode(frames.encode_notification(name, params)) == Notification(name, params)


@given(IDS, OBJECTS, st.text(), st.text())
def test_responses_round_trip(frame_id: str | int, result: dict[str, Any], message: str, hint: str) -> None:
    fault = Fault(ErrorKind.BUSY, message, hint=hint, retry_after_ms=5)

    assert decode(frames.encode_result(frame_id, result)) == Response(frame_id, result, None)
    assert decode(frames.encode_error(frame_id, fault)) == Response(
        frame_id, None, {"code": fault.code, "message": message, "data": fault.data}
    )


def test_golden_frames_are_written() -> None:
    assert frames.encode_notification("bye", Bye(code=4200, reason="é")) == (
        '{"jsonrpc":"2.0","method":"bye","params":{"code":4200,"reason":"é"}}'.encode()
    )
    assert frames.encode_notification("heartbeat", Heartbeat()) == (
        b'{"jsonrpc":"2.0","method":"heartbeat","params":{}}'
    )
    assert frames.encode_error(None, Fault(ErrorKind.BUSY, "wait")) == (
        b'{"jsonrpc":"2.0","id":null,"error":'
        b'{"code":-32000,"message":"wait","data":{"kind":"busy","retryable":true}}}'
    )
    assert frames.encode_result(1, RawJson(b'{"a" : 1}')) == b'{"jsonrpc":"2.0","id":1,"result":{"a" : 1}}'


def test_none_is_left_out_and_defaults_are_written() -> None:
    run = Run(
        id="run_1",
        thread_id="thr_1",
        agent_id="demo",
        state=RunState.QUEUED,
        attempt=1,
        queued_at="2025-11-21T09:30:00.000Z",
    )

    written = json.loads(frames.to_json(run))

    assert "started_at" not in written and "error" not in written
    assert written["usage"] == {"input_tokens": 0, "output_tokens": 0, "cost_microusd": 0}
    assert written["state"] == "queued"


def test_fields_travel_under_their_wire_name() -> None:
    params = ThreadSubscribeParams.model_validate({"thread_id": "thr_1", "from": "start"})

    assert json.loads(frames.to_json(params)) == {"thread_id": "thr_1", "from": "start", "deltas": True}


@given(
    name=st.text(),
    seq=st.integers(1, INTEGER_MAX),
    data=OBJECTS,
    run_id=st.one_of(st.none(), st.just("run_1")),
)
def test_event_json_is_the_plain_encoding_of_the_event(
    name: str, seq: int, data: dict[str, Any], run_id: str | None
) -> None:
    actor = Actor(id="prn_1", kind=ActorKind.USER, name=name)
    at = "2025-11-21T09:30:00.000Z"
    encoded = frames.event_json(
        thread_id="thr_1",
        seq=seq,
        kind="message.created",
        at=at,
        actor=frames.to_json(actor),
        run_id=run_id,
        data=frames.to_json(data),
    )

    plain = {"thread_id": "thr_1", "seq": seq, "kind": "message.created", "at": at}
    plain["actor"] = {"id": "prn_1", "kind": "user", "name": name}
    plain |= {"run_id": run_id} if run_id else {}
    plain["data"] = data
    assert json.loads(encoded) == plain
    assert list(json.loads(encoded)) == list(plain)
