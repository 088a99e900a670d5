"""The JSON Schema bundle: valid itself, and true of the frames that are really encoded."""

import hashlib
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from wire_peer import HELLO, WELCOME, WirePeer

from protocol import frames
from protocol.bundle import bundle, canonical, ref, references
from protocol.connection import SendText
from protocol.errors import CloseCode, ErrorKind, Fault, invalid_params, method_not_found
from protocol.events import EVENT_DATA, NOTIFICATIONS, EventKind
from protocol.frames import RawJson
from protocol.methods import METHODS, params_of
from protocol.records import Actor, ActorKind, Message, TextPart
from protocol.workers import PastMessage, RunExecuteParams

BUNDLE = bundle()
AT = "2025-11-21T09:30:00.123Z"
ACTOR = Actor(id="prn_1", kind=ActorKind.USER, name="Ada")


def errors_of(definition: str, value: Any) -> list[str]:
    """What is wrong with `value` as that definition."""
    schema = {"$defs": BUNDLE["$defs"], **ref(definition)}
    return [error.message for error in Draft202012Validator(schema).iter_errors(value)]


def event(kind: str, data: dict[str, Any], run_id: str | None = None) -> dict[str, Any]:
    """An `event` frame as the store's columns give it."""
    params = frames.event_json(
        thread_id="thr_1",
        seq=1,
        kind=kind,
        at=AT,
        actor=frames.to_json(ACTOR),
        run_id=run_id,
        data=RawJson(json.dumps(data).encode()),
    )
    decoded: dict[str, Any] = json.loads(frames.encode_notification("event", params))
    return decoded


def test_the_bundle_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(BUNDLE)


def test_every_reference_leads_somewhere() -> None:
    assert set(references(BUNDLE)) <= BUNDLE["$defs"].keys()


def test_the_whole_table_is_in_it() -> None:
    assert BUNDLE["x-methods"].keys() == METHODS.keys()
    assert {f"request.{name}" for name in METHODS} < BUNDLE["$defs"].keys()
    assert {f"notification.{name}" for name in NOTIFICATIONS} < BUNDLE["$defs"].keys()
    assert BUNDLE["x-events"].keys() == {kind.value for kind in EventKind}
    assert BUNDLE["x-error-kinds"].keys() == {kind.value for kind in ErrorKind}
    assert BUNDLE["x-close-codes"].keys() == {str(code.value) for code in CloseCode}
    assert BUNDLE["version"] == "1.0"


def test_frames_of_agent_processes_fit() -> None:
    run = {"run_id": "run_1", "fence": 1}
    output = {
        "jsonrpc": "2.0",
        "method": "run.output",
        "params": {**run, "index": 0, "type": "text", "text": "a"},
    }
    wrong = {**output, "params": {**output["params"], "type": "dance"}}
    taken = {"jsonrpc": "2.0", "id": 1, "result": {}}
    cancel = {"jsonrpc": "2.0", "method": "run.cancel", "params": {**run, "reason": "enough"}}
    execute = RunExecuteParams(
        run_id="run_1",
        thread_id="thr_1",
        agent_id="crew",
        attempt=1,
        fence=1,
        thread_title="",
        origin="a client",
        requested_by="usr_1",
        text="hi",
        history=[PastMessage(role="user", text="before")],
        beat_s=15.0,
    )
    asked = json.loads(frames.encode_request(1, "run.execute", execute))

    assert [errors_of("ClientFrame", frame) for frame in (output, taken)] == [[], []]
    assert [errors_of("ServerFrame", frame) for frame in (cancel, asked)] == [[], []]
    assert errors_of("ClientFrame", wrong) != []


def test_the_hash_is_that_of_the_content() -> None:
    content = {key: value for key, value in BUNDLE.items() if key != "x-content-hash"}

    assert BUNDLE["x-content-hash"] == f"sha256:{hashlib.sha256(canonical(content)).hexdigest()}"


def test_what_a_connection_writes_fits() -> None:
    peer = WirePeer()
    peer.request(1, "hello", HELLO)
    peer.connection.accept(WELCOME)
    peer.request("a", "run.get", {"run_id": "run_1"})
    peer.connection.fail("a", Fault(ErrorKind.NOT_FOUND, "no such run", hint="look elsewhere"))
    peer.say(b"[]")
    peer.wait(25)
    peer.connection.close(CloseCode.RESTARTING, "restarting", 2000)

    written = [json.loads(action.payload) for action in peer.read() if isinstance(action, SendText)]

    assert [frame.get("method", "answer") for frame in written] == [
        "challenge",
        "answer",
        "answer",
        "answer",
        "heartbeat",
        "bye",
    ]
    for frame in written:
        assert errors_of("ServerFrame", frame) == []
    assert errors_of("response.hello", written[1]) == []


@pytest.mark.parametrize(
    "fault",
    [
        invalid_params([{"path": "a.0", "message": "Field required"}]),
        method_not_found("x"),
        Fault(ErrorKind.FORBIDDEN, "no", scope="run.read"),
        Fault(ErrorKind.INTERNAL, "broken", incident="inc_1"),
        *(Fault(kind, "no", retry_after_ms=1) for kind in ErrorKind),
    ],
    ids=lambda fault: fault.data["kind"],
)
def test_errors_fit(fault: Fault) -> None:
    assert errors_of("ErrorFrame", json.loads(frames.encode_error(None, fault))) == []


@pytest.mark.parametrize("kind", EventKind)
def test_events_of_every_kind_fit_and_their_data_is_checked(kind: EventKind) -> None:
    wrong = dict.fromkeys(
        ["title", "message", "agent_id", "attempt", "reason", "usage", "error", "part"], False
    )
    refused = errors_of("notification.event", event(kind.value, wrong, "run_1"))

    model = EVENT_DATA.get(kind)
    assert bool(refused) == (model is not None and bool(model.model_fields))


def test_a_message_event_fits() -> None:
    message = Message(id="msg_1", role="user", content=[TextPart(text="hi")], author=ACTOR)
    data = json.loads(frames.to_json({"message": json.loads(frames.to_json(message))}))

    assert errors_of("notification.event", event("message.created", data)) == []
    del data["message"]["author"]
    assert errors_of("notification.event", event("message.created", data)) != []


def test_an_unknown_kind_and_unknown_fields_are_valid() -> None:
    frame = event("weather.changed", {"sun": True})
    frame["params"]["later"] = 1

    assert errors_of("ServerFrame", frame) == []


CALLS: list[tuple[str, dict[str, Any]]] = [
    ("server.info", {}),
    ("thread.create", {"title": "Plans", "idempotency_key": "k"}),
    ("thread.create", {"title": None}),
    ("thread.list", {"status": "all", "limit": 500}),
    ("thread.history", {"thread_id": "thr_1", "before_seq": 9, "kinds": ["message.created"]}),
    ("thread.subscribe", {"thread_id": "thr_1", "from": "start"}),
    ("thread.subscribe", {"thread_id": "thr_1", "from": {"epoch": "epo_1", "after_seq": 3}}),
    ("message.send", {"content": [{"type": "text", "text": "hi"}, {"type": "blob", "blob_id": "blb_1"}]}),
    ("run.list", {"state": "queued"}),
    ("token.create", {"role": "viewer", "ttl_s": 60}),
]
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("thread.get", {}),
    ("thread.get", {"thread_id": "x" * 65}),
    ("thread.list", {"limit": 501}),
    ("thread.list", {"limit": "5"}),
    ("thread.subscribe", {"thread_id": "thr_1", "from": "middle"}),
    ("message.send", {"content": []}),
    ("message.send", {"content": [{"text": "no type"}]}),
    ("message.send", {"content": [{"type": "image", "text": "x"}]}),
    ("token.create", {"role": "king"}),
    ("token.create", {"role": "viewer", "ttl_s": 0}),
]


@pytest.mark.parametrize(("method", "params"), CALLS)
def test_requests_that_validation_takes_fit(method: str, params: dict[str, Any]) -> None:
    frame = json.loads(frames.encode_request(1, method, params))

    params_of(METHODS[method], params)
    assert errors_of(f"request.{method}", frame) == []
    assert errors_of("ClientFrame", frame) == []


@pytest.mark.parametrize(("method", "params"), REFUSED)
def test_requests_that_validation_refuses_do_not_fit(method: str, params: dict[str, Any]) -> None:
    frame = json.loads(frames.encode_request(1, method, params))

    with pytest.raises(Fault):
        params_of(METHODS[method], params)
    assert errors_of("ClientFrame", frame) != []


def test_what_is_sent_has_its_defaults_and_no_null() -> None:
    run, params = BUNDLE["$defs"]["Run"], BUNDLE["$defs"]["RunListParams"]

    assert "usage" in run["required"] and "started_at" not in run["required"]
    assert "null" not in json.dumps(run)
    assert "required" not in params and "null" in json.dumps(params)
