"""The client's own lists and readers against the gateway's models: drift is found here, not by a user.

The client does not import `protocol`, because it is published without it; its tests may.
"""

import ast
import asyncio
import inspect
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadgate_client import (
    Actor,
    AgentInfo,
    AuditEntry,
    Budget,
    ChatLink,
    Client,
    Event,
    Replay,
    RequestRefused,
    Run,
    RunFinding,
    RunState,
    RunStep,
    SwitchedOff,
    TextPart,
    Thread,
    __version__,
    errors,
    limits,
)
from threadgate_client.answers import CreatedToken, Head, Hello, ServerInfo
from threadgate_client.closing import retry_verdict
from threadgate_client.session import READS

import protocol.errors
import protocol.events
import protocol.limits
import protocol.records
import protocol.usage
from protocol.methods import METHODS, params_of
from protocol.requests import HelloResult, ServerInfoResult, TokenCreateResult

AT = "2026-11-21T09:30:00.000Z"
ACTOR = {"id": "prn_1", "kind": "user", "name": "Ada"}
THREAD = {
    "id": "thr_1",
    "title": "",
    "status": "active",
    "agent_id": "demo",
    "head_seq": 3,
    "created_at": AT,
    "updated_at": AT,
    "origin": {"kind": "client"},
}
RUN = {
    "id": "run_1",
    "thread_id": "thr_1",
    "agent_id": "demo",
    "state": "failed",
    "attempt": 2,
    "queued_at": AT,
    "error": {"kind": "agent_error", "message": "broke"},
    "usage": {"input_tokens": 1, "output_tokens": 2, "cost_microusd": 3},
}
EVENT = {
    "thread_id": "thr_1",
    "seq": 1,
    "kind": "message.created",
    "at": AT,
    "actor": ACTOR,
    "run_id": "run_1",
    "data": {
        "message": {
            "id": "msg_1",
            "role": "user",
            "content": [{"type": "text", "text": "hi"}, {"type": "blob", "blob_id": "blb_1"}],
            "author": ACTOR,
        }
    },
}
TOKEN = {"id": "tok_1", "name": "", "role": "viewer", "created_at": AT}
LINK = {"channel": "slack", "account": "a", "sender_id": "U1", "name": "ada", "linked_at": AT}
CHAT_LINK = ChatLink.from_json(LINK)
USER = {"id": "prn_1", "kind": "user", "name": "Ada", "role": "viewer", "created_at": AT, "links": [LINK]}
PAIRING = {
    "id": "par_1",
    "kind": "person",
    "channel": "slack",
    "account": "a",
    "subject": "U1",
    "name": "Eve",
    "state": "approved",
    "created_at": AT,
    "expires_at": AT,
    "decided_at": AT,
}
AUDIT = {
    "seq": 1,
    "at": AT,
    "actor": ACTOR,
    "action": "token.create",
    "outcome": "success",
    "subject": {},
    "detail": {},
    "hash": "00",
    "body": "{}",
}
MATCH = {"thread_id": "thr_1", "title": "", "message_id": "msg_1", "seq": 1, "at": AT, "snippet": "**hi**"}
APPROVAL = {
    "id": "apr_1",
    "kind": "tool",
    "thread_id": "thr_1",
    "run_id": "run_1",
    "title": "Publish",
    "body": "all of it",
    "state": "denied",
    "requested_by": "prn_1",
    "created_at": AT,
    "expires_at": AT,
    "decided_by": ACTOR,
    "decided_at": AT,
    "reason": "no",
}
AGENT = {"id": "demo", "name": "Demo", "kind": "echo", "state": "released", "description": ""}
OFF = {"agent_id": "demo", "by": "Eve", "at": AT, "reason": "it errs"}
USED = {"day": "2026-11-21", "runs": 1, "input_tokens": 7, "output_tokens": 3, "cost_microusd": 11}
BUDGET = {
    "name": "team",
    "of": "tokens",
    "per": "day",
    "each": "person",
    "key": "slack:U1",
    "limit": 100,
    "used": 80,
    "reserved": 10,
    "resets_at": AT,
}
STEP = {
    "step": 1,
    "key": "tool/1",
    "kind": "tool",
    "name": "clock",
    "attempt": 1,
    "repeatable": True,
    "request": {"zone": "UTC"},
    "outcome": "ok",
    "result": "12:00",
    "opened_at": AT,
    "closed_at": AT,
}
FINDING = {
    "run_id": "run_1",
    "thread_id": "thr_1",
    "agent_id": "demo",
    "state": "queued",
    "is_stuck": True,
    "reason": "nobody drives it",
    "since": AT,
}
REPLAY = {
    "run_id": "run_1",
    "verified": False,
    "hash": "00",
    "recorded_hash": "01",
    "steps": 1,
    "differences": ["it said something else"],
}
RELOADED = {"changes": {"added": ["a"], "changed": [], "removed": [], "restart_needed": ["port"]}}
CHANNEL = {"id": "c", "kind": "slack", "account": "a", "state": "connected", "last_event_at": AT}
LIMITS = {"frame_bytes": 1, "subscriptions": 1, "inflight": 1, "queue_bytes": 1}
SERVER_INFO = {
    "server": {"name": "g", "version": "1"},
    "epoch": "epo_1",
    "minors": [0],
    "limits": LIMITS,
    "default_agent_id": "demo",
    "started_at": AT,
}
DELIVERY = {
    "id": "dlv_1",
    "channel_id": "telegram:gate",
    "room": "42",
    "part": 1,
    "state": "held",
    "preview": "the answer",
    "attempts": 1,
    "uncertain": 1,
    "error": "nobody can tell",
    "created_at": AT,
    "updated_at": AT,
}
SENT = {
    "thread_id": "thr_1",
    "message_id": "msg_1",
    "seq": 2,
    "run_id": "run_1",
    "run_state": "queued",
    "queue_position": 0,
}

DEVICE = {
    "id": "dev_1",
    "name": "hall",
    "state": "replaced",
    "fingerprint": "SHA256:abcd",
    "client": "Thing",
    "platform": "bench",
    "scopes": ["thread.read"],
    "commands": [
        {
            "name": "echo",
            "description": "",
            "params_schema": {"type": "object"},
            "risk": "low",
            "idempotent": True,
        }
    ],
    "connected": True,
    "created_at": AT,
    "last_seen_at": AT,
    "revoked_at": AT,
    "replaced_by": "dev_2",
}
INVOCATION = {
    "id": "inv_1",
    "device_id": "dev_1",
    "command": "echo",
    "state": "failed",
    "error": {"kind": "jammed", "message": "no paper"},
    "created_at": AT,
    "ended_at": AT,
}
PRESENCE = {
    "principals": [{"principal": ACTOR, "connections": 2, "since": AT}],
    "devices": [{"device_id": "dev_1", "name": "hall", "connected": False, "last_seen_at": AT}],
    "more": False,
}

ERASED: dict[str, Any] = {
    "counts": {"messages": 2},
    "certificate": {"erasure_id": "ers_1", "audit_seq": 7},
    "holds": [
        {
            "id": "hld_1",
            "kind": "person",
            "subject": "slack:U1",
            "reason": "case 12",
            "placed_by": {"id": "prn_1", "kind": "user", "name": "Ada"},
            "placed_at": "2026-11-21T09:30:00.000Z",
        }
    ],
}
RETAINED: dict[str, Any] = {
    "dry_run": False,
    "classes": [
        {
            "name": "messages",
            "days": 30,
            "cutoff": "2026-11-21T09:30:00.000Z",
            "would_delete": 2,
            "deleted": 1,
            "held": 1,
        }
    ],
}
CALLS: dict[str, tuple[Any, dict[str, Any]]] = {
    "server.info": (lambda client: client.server_info(), SERVER_INFO),
    "thread.create": (lambda client: client.threads.create(title="t", agent_id="demo"), {"thread": THREAD}),
    "thread.get": (lambda client: client.threads.get("thr_1"), {"thread": THREAD}),
    "thread.list": (
        lambda client: client.threads.list(status="all", limit=2, cursor="c"),
        {"threads": [THREAD]},
    ),
    "thread.update": (lambda client: client.threads.update("thr_1", title="t"), {"thread": THREAD}),
    "thread.assign": (
        lambda client: client.threads.assign("thr_1", Actor("slack:U1", "person", "Eve"), note="n"),
        {"thread": {**THREAD, "assignee": ACTOR}},
    ),
    "thread.archive": (lambda client: client.threads.archive("thr_1"), {"thread": THREAD}),
    "thread.restore": (lambda client: client.threads.restore("thr_1"), {"thread": THREAD}),
    "thread.delete": (lambda client: client.threads.delete("thr_1", idempotency_key="k"), {"thread": THREAD}),
    "thread.history": (
        lambda client: client.threads.history("thr_1", after_seq=0, kinds={"message.created"}),
        {"events": [EVENT], "first_seq": 1, "head_seq": 1, "more": False},
    ),
    "thread.search": (lambda client: client.threads.search("hi", thread_id="thr_1"), {"matches": [MATCH]}),
    "message.send": (lambda client: client.send([TextPart("hi")], "thr_1", on_busy="steer"), SENT),
    "run.get": (lambda client: client.runs.get("run_1"), {"run": RUN}),
    "run.list": (lambda client: client.runs.list(state="failed"), {"runs": [RUN], "next_cursor": "n"}),
    "run.cancel": (lambda client: client.runs.cancel("run_1", reason="why"), {"run": RUN}),
    "run.retry": (lambda client: client.runs.retry("run_1"), {"run": RUN}),
    "run.steps": (lambda client: client.runs.steps("run_1"), {"steps": [STEP]}),
    "run.diagnose": (lambda client: client.runs.diagnose("run_1"), {"findings": [FINDING], "more": True}),
    "run.replay": (lambda client: client.runs.replay("run_1"), {"replay": REPLAY}),
    "approval.list": (
        lambda client: client.approvals.list(state="pending", thread_id="thr_1"),
        {"approvals": [APPROVAL]},
    ),
    "approval.get": (lambda client: client.approvals.get("apr_1"), {"approval": APPROVAL}),
    "approval.decide": (lambda client: client.approvals.deny("apr_1", reason="no"), {"approval": APPROVAL}),
    "agent.list": (lambda client: client.agents.list(), {"agents": [AGENT]}),
    "agent.get": (lambda client: client.agents.get("demo"), {"agent": AGENT}),
    "agent.reload": (lambda client: client.agents.reload(), RELOADED),
    "agent.switch": (
        lambda client: client.agents.switch_off("demo", reason="it errs"),
        {"switches": [OFF], "cancelled_runs": 1},
    ),
    "usage.get": (
        lambda client: client.usage.list(by=["day", "tag:team"], since="2026-11-01", thread_id="thr_1"),
        {"groups": [USED], "budgets": [BUDGET], "next_cursor": "c"},
    ),
    "route.explain": (
        lambda client: client.routes.explain("hi", channel="slack", account="a", room="C1", mention=True),
        {"route": {"agent_id": "demo", "rule": 1, "text": "hi", "reasons": ["Rule 1 (demo) fits."]}},
    ),
    "channel.list": (lambda client: client.channels.list(), {"channels": [CHANNEL]}),
    "channel.status": (lambda client: client.channels.status("c"), {"channel": CHANNEL}),
    "delivery.list": (
        lambda client: client.deliveries.list(state="held", channel_id="telegram:gate", thread_id="thr_1"),
        {"deliveries": [DELIVERY]},
    ),
    "delivery.retry": (lambda client: client.deliveries.retry("dlv_1"), {"delivery": DELIVERY}),
    "delivery.settle": (lambda client: client.deliveries.settle("dlv_1"), {"delivery": DELIVERY}),
    "token.create": (
        lambda client: client.tokens.create("viewer", name="n", ttl_s=60),
        {"token": TOKEN, "secret": "tg_secret"},
    ),
    "token.list": (lambda client: client.tokens.list(), {"tokens": [TOKEN]}),
    "token.revoke": (lambda client: client.tokens.revoke("tok_1"), {"token": TOKEN}),
    "pairing.list": (lambda client: client.pairings.list(state="all"), {"pairings": [PAIRING]}),
    "pairing.approve": (lambda client: client.pairings.approve(code="ABCD-EFGH"), {"pairing": PAIRING}),
    "device.list": (lambda client: client.devices.list(state="all", limit=2), {"devices": [DEVICE]}),
    "device.get": (lambda client: client.devices.get("dev_1"), {"device": DEVICE}),
    "device.revoke": (lambda client: client.devices.revoke("dev_1"), {"device": DEVICE}),
    "device.rename": (lambda client: client.devices.rename("dev_1", "hall"), {"device": DEVICE}),
    "device.invoke": (
        lambda client: client.devices.invoke("dev_1", "echo", {"text": "hi"}, timeout_s=5.0, wait=True),
        {"invocation": INVOCATION},
    ),
    "presence.list": (lambda client: client.devices.presence(), PRESENCE),
    "pairing.reject": (lambda client: client.pairings.reject(pairing_id="par_1"), {"pairing": PAIRING}),
    "auth.refresh": (
        lambda client: client.refresh("tg_newer"),
        {"principal": ACTOR, "scopes": ["self.read"], "auth_expires_at": AT},
    ),
    "user.list": (lambda client: client.users.list(kind="user"), {"users": [USER]}),
    "user.save": (
        lambda client: client.users.update("prn_1", role="viewer", disabled=True, unlink=CHAT_LINK),
        {"user": USER},
    ),
    "user.link": (lambda client: client.users.link("ABCD-EFGH"), {"state": "linked", "link": LINK}),
    "data.erase": (lambda client: client.data.erase("slack:U1", "they asked"), ERASED),
    "retention.run": (lambda client: client.data.retention(dry_run=False), RETAINED),
    "audit.list": (lambda client: client.audit.list(after_seq=3, action="a"), {"entries": [AUDIT]}),
    "audit.checkpoint": (
        lambda client: client.audit.checkpoint(),
        {"checkpoint": {"note": "o\n3\nr\n\n— k s\n", "size": 3, "root": "00", "at": AUDIT["at"]}},
    ),
    "audit.prove": (lambda client: client.audit.prove(3), {"proof": {"seq": 3, "text": "c2sp.org"}}),
}
OF_AGENTS = {"run.step"}
"""Of agent processes; test_client_agent.py."""
SUBSCRIBING = {"thread.subscribe", "thread.unsubscribe", "inbox.subscribe", "inbox.unsubscribe"}


@pytest.mark.parametrize("name", sorted(METHODS))
async def test_every_method_is_typed_and_fits_both_ways(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name in SUBSCRIBING | OF_AGENTS:
        return
    call, result = CALLS[name]
    METHODS[name].result.model_validate(result)
    asked: list[tuple[str, dict[str, Any]]] = []
    client = Client("http://127.0.0.1:9")

    async def request(method: str, params: Mapping[str, Any], timeout_s: float | None = None) -> Any:
        asked.append((method, dict(params)))
        return result

    monkeypatch.setattr(client._engine, "request", request)
    answer = call(client)
    answer = await answer if inspect.isawaitable(answer) else answer
    ((method, params),) = asked
    assert method == name
    validated = params_of(METHODS[name], params)
    assert set(params) <= {field.alias or key for key, field in type(validated).model_fields.items()}
    assert answer


def test_reads_are_the_methods_that_change_nothing() -> None:
    assert {name for name, method in METHODS.items() if not method.mutating} - SUBSCRIBING == READS


def test_every_error_kind_has_a_class() -> None:
    known = {found.wire_kind for found in RequestRefused.__subclasses__()}
    assert {kind.value for kind in protocol.errors.ErrorKind} <= known
    for kind in protocol.errors.ErrorKind:
        fault = protocol.errors.Fault(kind, "no", retry_after_ms=20)
        error = errors.from_wire({"code": fault.code, "message": fault.message, "data": fault.data})
        assert type(error) is not RequestRefused
        assert error.is_retryable is fault.data["retryable"]
        assert error.retry_after_s == 0.02
        assert type(error).__name__ in (errors.__doc__ or ""), "the tree shows every class"
    invalid = protocol.errors.invalid_params([{"path": "a.b", "message": "too long"}])
    error = errors.from_wire({"code": invalid.code, "message": "no", "data": invalid.data})
    assert isinstance(error, errors.InvalidParams)
    assert error.errors == [("a.b", "too long")]


@given(st.integers(1000, 4999))
@settings(max_examples=300)
def test_close_codes_mean_the_same_on_both_sides(code: int) -> None:
    assert retry_verdict(code).value == protocol.errors.retry_verdict(code).value


def test_numbers_agree() -> None:
    theirs = protocol.limits
    assert limits.SUBPROTOCOL == theirs.SUBPROTOCOL
    assert limits.MINOR in theirs.MINORS
    assert limits.HEARTBEAT_S + limits.SILENCE_GRACE_S == theirs.CLIENT_SILENCE_S
    assert limits.FRAME_BYTES == theirs.FRAME_BYTES
    assert limits.PRE_HELLO_FRAME_BYTES == theirs.PRE_HELLO_FRAME_BYTES
    assert limits.INFLIGHT_REQUESTS == theirs.INFLIGHT_REQUESTS
    assert limits.RESUMED_SUBSCRIPTIONS == theirs.SUBSCRIPTIONS
    assert limits.BACKOFF_FIRST_S == theirs.BACKOFF_FIRST_S
    assert limits.BACKOFF_LAST_S == theirs.BACKOFF_LAST_S
    assert limits.BACKOFF_RESET_S == theirs.BACKOFF_RESET_S
    assert limits.IDEMPOTENCY_KEY_BYTES * 2 <= theirs.IDEMPOTENCY_KEY_CHARS
    assert limits.PAGE_DEFAULT == theirs.PAGE_DEFAULT


def test_records_read_what_the_models_write() -> None:
    event = Event.from_json(protocol.events.Event.model_validate(EVENT).model_dump(mode="json"))
    assert event.message and event.message.text == "hi"
    assert event.at.isoformat() == "2026-11-21T09:30:00+00:00"
    thread = Thread.from_json(THREAD | {"status": "frozen", "colour": "blue"})
    assert thread.status == "frozen", "a newer state is just another string"
    run = Run.from_json(RUN)
    assert run.state == RunState.FAILED
    assert run.error and run.error.kind == "agent_error"
    read = RunStep.from_json(protocol.records.RunStep.model_validate(STEP).model_dump(mode="json"))
    assert (read.request, read.result, read.outcome) == ({"zone": "UTC"}, "12:00", "ok")
    told = RunFinding.from_json(protocol.records.RunFinding.model_validate(FINDING).model_dump(mode="json"))
    assert told.is_stuck and told.hint is None
    again = Replay.from_json(protocol.records.Replay.model_validate(REPLAY).model_dump(mode="json"))
    assert not again.verified and again.differences == ("it said something else",)
    assert AgentInfo.from_json(AGENT | {"switched_off": OFF}).switched_off == SwitchedOff.from_json(OFF)
    protocol.records.SwitchedOff.model_validate(OFF)
    assert Budget.from_json(protocol.usage.Budget.model_validate(BUDGET).model_dump(mode="json")).used == 80
    assert AuditEntry.from_json(AUDIT).outcome == "success"
    head = {"thread_id": "t", "seq": 1, "kind": "k", "at": AT, "preview": "p", "offset": 9}
    protocol.events.Head.model_validate(head)
    assert Head.from_json(head).offset == 9
    TokenCreateResult.model_validate({"token": TOKEN, "secret": None})
    assert "tg_1" not in repr(CreatedToken.from_json({"token": TOKEN, "secret": "tg_1"}))
    ServerInfoResult.model_validate(SERVER_INFO)
    assert ServerInfo.from_json(SERVER_INFO).limits.inflight == 1
    hello = {
        "connection_id": "con_1",
        "principal": ACTOR,
        "scopes": ["thread.read"],
        "minor": 0,
        "capabilities": [],
        "epoch": "epo_1",
        "heartbeat_s": 25,
        "limits": LIMITS,
        "resumed": [{"thread_id": "thr_1", "state": "replaying"}],
    }
    HelloResult.model_validate(hello)
    assert Hello.from_json(hello).scopes == ("thread.read",)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (None, "not an object"),
        ({}, "thread.id is not a string"),
        (THREAD | {"head_seq": "1"}, "head_seq is not an integer"),
        (THREAD | {"head_seq": True}, "head_seq is not an integer"),
        (THREAD | {"created_at": "yesterday"}, "created_at is not an instant"),
        (THREAD | {"created_at": "2026-11-21T09:30:00"}, "with its offset"),
        (THREAD | {"origin": None}, "origin is not present"),
    ],
)
def test_a_malformed_record_names_the_field_and_not_the_value(value: object, complaint: str) -> None:
    with pytest.raises(errors.ProtocolViolation, match=complaint) as caught:
        Thread.from_json(value)
    assert "yesterday" not in str(caught.value)


async def test_listings_walk_through_all_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client("http://127.0.0.1:9")
    pages: dict[str | None, dict[str, Any]] = {
        None: {"threads": [THREAD], "next_cursor": "2"},
        "2": {"threads": [THREAD | {"id": "thr_2"}]},
    }
    history = {
        None: {
            "events": [EVENT | {"seq": 3}, EVENT | {"seq": 4}],
            "first_seq": 1,
            "head_seq": 4,
            "more": True,
        },
        3: {"events": [EVENT | {"seq": 1}, EVENT | {"seq": 2}], "first_seq": 1, "head_seq": 4, "more": False},
    }

    async def request(method: str, params: Mapping[str, Any], timeout_s: float | None = None) -> Any:
        await asyncio.sleep(0)
        return pages[params.get("cursor")] if method == "thread.list" else history[params.get("before_seq")]

    monkeypatch.setattr(client._engine, "request", request)
    assert (await client.threads.list()).next_cursor == "2"
    assert [thread.id async for thread in client.threads.list()] == ["thr_1", "thr_2"]
    assert [event.seq async for event in client.threads.history("thr_1")] == [4, 3, 2, 1]
    assert (await client.threads.history("thr_1")).more
    with pytest.raises(ValueError, match="not both"):
        client.threads.history("thr_1", after_seq=1, before_seq=2)


def test_it_stands_on_websockets_and_for_keys_on_cryptography() -> None:
    package = Path(inspect.getfile(Client)).parent
    imported = set()
    for module in package.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            imported |= {name.split(".")[0] for name in names}
    assert imported - sys.stdlib_module_names == {"threadgate_client", "websockets", "cryptography"}


def test_the_version_is_the_packages() -> None:
    project = Path(__file__).parents[3] / "clients" / "python" / "pyproject.toml"
    assert tomllib.loads(project.read_text())["project"]["version"] == __version__
