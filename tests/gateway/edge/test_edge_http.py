"""PROTOCOL.md §11: the HTTP twin gives the same results and the same refusals as the WebSocket, as problems."""

import asyncio
import json
import time
from typing import Any

import httpx
import pytest
from device_stage import paired
from gateway_stage import Frame, Stage, Wire, eventually, until, words

from gateway.rules.delivery_states import refused as refused_for_good
from protocol import limits
from protocol.errors import HTTP_STATUS, ErrorKind
from protocol.ids import IdPrefix
from protocol.methods import METHODS
from protocol.records import Actor, ActorKind, Role
from storage.channel_values import Delivered, Entry, PairingOffer, Telling
from storage.errors import StoreUnavailable
from storage.values import DEFAULT_ORG, Act, Notice

READS = sorted(
    name
    for name, method in METHODS.items()
    if not method.mutating and "subscribe" not in name and name != "auth.refresh"
)
CHANGES = sorted(name for name, method in METHODS.items() if method.mutating)
SUBSCRIPTIONS = sorted(name for name in METHODS if "subscribe" in name)


async def post(stage: Stage, method: str, params: Frame | None = None, **options: Any) -> httpx.Response:
    return await stage.http().post(f"/v1/{method}", json=params or {}, **options)


def problem(response: httpx.Response) -> Frame:
    """The body of a refusal, checked for what RFC 9457 and PROTOCOL.md ask of all of them."""
    assert response.headers["content-type"].startswith("application/problem+json")
    body: Frame = response.json()
    assert body["status"] == response.status_code
    assert body["type"] == f"urn:threadgate:error:{body['kind']}"
    assert all(isinstance(body[name], str) for name in ("title", "detail", "kind"))
    assert isinstance(body["retryable"], bool)
    return body


async def stranger(stage: Stage) -> str:
    """Somebody who asks to be let in; returns the id of their pairing."""
    clock = stage.clock
    pairing_id, sender_id, now_ms = (
        clock.new_id(IdPrefix.PAIRING),
        clock.new_id(IdPrefix.PRINCIPAL),
        clock.now_ms(),
    )
    told = Telling(notice=Notice(clock.new_id(IdPrefix.DELIVERY), '{"text":"","payload":{}}'))
    offer = PairingOffer(pairing_id, "Eve", "AAAA-BBBB", now_ms + 600_000, 9, told, Telling())
    act = Act(DEFAULT_ORG, Actor(id="telegram:1", kind=ActorKind.PERSON, name="Eve"), "telegram:gate", now_ms)
    asking = Delivered(
        pairing_id, "accepted", None, sender_id, room="1", act=act, entry=Entry(frozenset()), offer=offer
    )
    await stage.store.inbox.commit(DEFAULT_ORG, "telegram", "gate", [asking], {}, now_ms)
    return pairing_id


async def fail_a_delivery(stage: Stage, delivery_id: str) -> Frame:
    """A dead letter; its params."""
    notice = Notice(delivery_id, json.dumps({"text": "hello?", "payload": {}}))
    hint = Delivered(delivery_id, "refused", "unknown", "7", room="42", refused=Telling(notice=notice))
    await stage.store.inbox.commit(DEFAULT_ORG, "telegram", "none", [hint], {}, stage.clock.now_ms())
    await stage.store.outbox.step(delivery_id, refused_for_good("blocked"), stage.clock.now_ms())
    return {"delivery_id": delivery_id}


async def cast(stage: Stage, wire: Wire) -> dict[str, Frame]:
    """Something for every method to act on: method → its params."""
    sent = await wire.call("message.send", content=words("say found it"))
    thread, run = {"thread_id": sent["thread_id"]}, {"run_id": sent["run_id"]}
    await wire.call("thread.subscribe", from_="start", **thread)
    await wire.event("run.completed")
    sleeping = await wire.call("message.send", content=words("sleep 60"))
    await wire.call("thread.subscribe", thread_id=sleeping["thread_id"], from_="start")
    await wire.event("run.started", run_id=sleeping["run_id"])
    token = (await wire.call("token.create", role="viewer", name="spare"))["token"]
    asking = await wire.call("message.send", content=words("approve a release"))
    await wire.call("thread.subscribe", thread_id=asking["thread_id"], from_="start")
    asked = await wire.event("approval.requested", run_id=asking["run_id"])
    approval = {"approval_id": asked["data"]["approval"]["id"]}
    device = await paired(stage, wire, name="hall")
    stage.spawn(device.echo())
    hall = {"device_id": device.key.device_id}
    doomed = (await wire.call("thread.create"))["thread"]["id"]
    return {
        "agent.get": {"agent_id": "demo"},
        "agent.switch": {"agent_id": "demo", "on": False, "reason": "it errs"},
        "usage.get": {"by": ["day", "agent", "tag:team"], "limit": 2},
        "thread.get": thread,
        "thread.history": {**thread, "limit": 3, "after_seq": 1},
        "thread.search": {"query": "found"},
        "thread.list": {"limit": 1, "status": "all"},
        "run.get": run,
        "run.list": thread,
        "run.steps": run,
        "run.diagnose": run,
        "run.replay": run,
        "audit.list": {"limit": 3},
        "audit.checkpoint": {},
        "audit.prove": {"seq": 1},
        "token.list": {"limit": 2},
        "thread.create": {"title": "made"},
        "thread.assign": {**thread, "action": "take"},
        "route.explain": {"channel": "slack", "text": "hello"},
        "thread.update": {**thread, "title": "renamed"},
        "thread.archive": thread,
        "thread.restore": thread,
        "thread.delete": {"thread_id": doomed},
        "message.send": {**thread, "content": words("say again")},
        "run.cancel": {"run_id": sleeping["run_id"], "reason": "enough"},
        "run.retry": run,
        "approval.get": approval,
        "approval.list": {"state": "pending"},
        "approval.decide": {**approval, "decision": "approve"},
        "device.get": hall,
        "device.list": {"state": "all", "limit": 1},
        "device.rename": {**hall, "name": "cellar"},
        "device.invoke": {**hall, "command": "echo", "params": {"text": "hi"}},
        "device.revoke": {"device_id": (await paired(stage, wire, name="attic")).key.device_id},
        "pairing.approve": {"pairing_id": await stranger(stage)},
        "pairing.reject": {"pairing_id": await stranger(stage)},
        "delivery.list": {"state": "failed", "channel_id": "telegram:none"},
        "delivery.retry": await fail_a_delivery(stage, "dlv_1"),
        "delivery.settle": await fail_a_delivery(stage, "dlv_2"),
        "token.create": {"role": "viewer", "name": "new"},
        "data.erase": {"action": "hold", "person": "slack:U1", "reason": "case 12"},
        "retention.run": {"dry_run": False},
        "token.revoke": {"token_id": token["id"]},
        "user.save": {"name": "Grace", "role": "viewer"},
        "user.link": {},
    }


@pytest.mark.parametrize("method", READS)
async def test_a_read_gives_the_same_over_both(stage: Stage, wire: Wire, method: str) -> None:
    params = (await cast(stage, wire)).get(method, {})
    if method == "channel.status":
        params = {"channel_id": "telegram:none"}
    frame = await wire.answer(await wire.post(method, **params))
    response = await post(stage, method, params)
    if "error" in frame:
        assert problem(response)["kind"] == frame["error"]["data"]["kind"]
    else:
        assert (response.status_code, response.json()) == (200, frame["result"])
        assert response.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("method", CHANGES)
@pytest.mark.parametrize("first", ["websocket", "http"])
async def test_a_change_repeated_over_the_other_with_its_key_is_done_once(
    stage: Stage, wire: Wire, method: str, first: str
) -> None:
    params = (await cast(stage, wire))[method]
    key, who = {"Idempotency-Key": "key-1"}, stage.owner
    if method == "user.link":  # the local operator is nobody's user
        _, who = await stage.user(Role.VIEWER)
        wire = await stage.connect(who)
    http = stage.http(who)
    if first == "websocket":
        one = await wire.call(method, idempotency_key="key-1", **params)
        two = (await http.post(f"/v1/{method}", json=params, headers=key)).json()
    else:
        one = (await http.post(f"/v1/{method}", json=params, headers=key)).json()
        two = await wire.call(method, idempotency_key="key-1", **params)
    for shown_once in ("secret", "code"):
        one.pop(shown_once, None)
    assert one == two
    other = {**params, "title": "other", "reason": "other", "name": "other", "content": words("other")}
    if method in ("thread.create", "thread.update", "run.cancel", "token.create", "message.send"):
        refused = problem(await post(stage, method, other, headers=key))
        assert (refused["kind"], refused["status"]) == ("idempotency_conflict", 409)


async def test_a_key_belongs_to_one_principal_and_one_method(stage: Stage, wire: Wire) -> None:
    other = await stage.connect(await stage.token(Role.OPERATOR))
    mine = await wire.call("thread.create", idempotency_key="k")
    theirs = await other.call("thread.create", idempotency_key="k")
    assert mine["thread"]["id"] != theirs["thread"]["id"]
    sent = await wire.call("message.send", content=words("say x"), idempotency_key="k")
    assert sent["thread_id"] != mine["thread"]["id"]


async def test_the_same_key_at_the_same_time_has_one_effect(stage: Stage, wire: Wire) -> None:
    many = [post(stage, "thread.create", headers={"Idempotency-Key": "once"}) for _ in range(10)]
    answers = [response.json() for response in await asyncio.gather(*many)]
    assert all(answer == answers[0] for answer in answers)
    assert len((await wire.call("thread.list"))["threads"]) == 1


async def test_a_key_outlives_a_restart(stage: Stage, wire: Wire) -> None:
    sent = await wire.call("message.send", content=words("say once"), idempotency_key="k")
    await stage.restart()
    again = await (await stage.connect()).call("message.send", content=words("say once"), idempotency_key="k")
    assert again == sent


@pytest.mark.parametrize("key", ["", "k" * 65, "k" * 5_000])
async def test_a_key_of_the_wrong_size_is_refused(stage: Stage, key: str) -> None:
    response = await post(stage, "thread.create", headers={"Idempotency-Key": key})
    refused = problem(response)
    assert (response.status_code, refused["kind"]) == (422, "invalid_params")
    assert refused["errors"][0]["path"] == "idempotency_key"


@pytest.mark.parametrize("method", SUBSCRIPTIONS)
async def test_subscriptions_need_a_websocket_and_say_so(stage: Stage, method: str) -> None:
    refused = problem(await post(stage, method, {"thread_id": "thr_x"}))
    assert (refused["kind"], refused["status"]) == ("invalid_state", 409)
    assert "/events" in refused["hint"]


@pytest.mark.parametrize("method", sorted(METHODS))
async def test_bad_params_are_the_same_refusal_over_both(stage: Stage, wire: Wire, method: str) -> None:
    wrong = {
        "thread_id": 7, "run_id": 7, "agent_id": 7, "channel_id": 7, "token_id": 7, "limit": "x", "cursor": 7,
        "query": 7, "content": 7, "role": "x", "title": 7, "after_offset": -1,
    }  # fmt: skip
    frame = await wire.answer(await wire.post(method, **wrong))
    response = await post(stage, method, wrong)
    if "result" in frame:
        assert response.status_code == (409 if method in SUBSCRIPTIONS else 200)
        return
    refused = problem(response)
    data = frame["error"]["data"]
    if data["kind"] == "invalid_params":
        assert (refused["status"], refused["errors"]) == (422, data["errors"])
    assert refused["kind"] == data["kind"]


@pytest.mark.parametrize("method", sorted(METHODS))
async def test_a_missing_scope_is_the_same_refusal_over_both(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr("gateway.edge.authentication.effective", lambda *_: frozenset())
    wire = await stage.connect()
    over_ws = await wire.refusal(method)
    refused = problem(await post(stage, method))
    assert (refused["kind"], refused["status"], refused["scope"]) == ("forbidden", 403, METHODS[method].scope)
    assert over_ws.data == {name: refused[name] for name in over_ws.data}


# --- credentials -----------------------------------------------------------------------------------


async def test_an_expired_credential_is_401_too(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = await stage.token(ttl_s=60)
    later = time.time_ns() // 1_000_000 + 61_000
    monkeypatch.setattr(stage.clock, "now_ms", lambda: later)
    response = await stage.http(secret).post("/v1/server.info")
    assert (response.status_code, problem(response)["kind"]) == (401, "expired")
    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer nonsense", "Basic dXNlcjpwYXNz", "tgate_x", "Bearer tgate_\xe9"],
)
async def test_without_a_credential_it_is_401(stage: Stage, header: str | None) -> None:
    headers = {"Authorization": header.encode("latin-1")} if header is not None else {}
    for response in (
        await stage.http(None).post("/v1/server.info", headers=headers),
        await stage.http(None).post("/v1/no.such", headers=headers),
        await stage.http(None).get("/v1/threads/thr_x/events", headers=headers),
    ):
        assert (response.status_code, problem(response)["kind"]) == (401, "unauthorized")
        assert response.headers["www-authenticate"].startswith("Bearer")


async def test_the_scheme_is_read_without_case(stage: Stage) -> None:
    for scheme in ("bearer", "BEARER"):
        headers = {"Authorization": f"{scheme} {stage.owner}"}
        assert (await stage.http(None).post("/v1/server.info", headers=headers)).status_code == 200


async def test_a_revoked_token_is_refused_at_once(stage: Stage, wire: Wire) -> None:
    secret = await stage.token(name="gone")
    assert (await stage.http(secret).post("/v1/server.info")).status_code == 200
    (token,) = [one for one in (await wire.call("token.list"))["tokens"] if one["name"] == "gone"]
    await wire.call("token.revoke", token_id=token["id"])
    assert (await stage.http(secret).post("/v1/server.info")).status_code == 401


async def test_a_secret_is_shown_once_and_stored_nowhere(stage: Stage, wire: Wire) -> None:
    made = await wire.call("token.create", role="viewer", idempotency_key="t")
    again = await wire.call("token.create", role="viewer", idempotency_key="t")
    assert made["token"] == again["token"]
    assert "secret" not in again
    await stage.stop()
    for path in stage.store.engine.path.parent.iterdir():
        assert made["secret"].encode() not in path.read_bytes()


# --- bodies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"{", b"nonsense", b"[]", b"null", b'"x"', b"7", b'{"x":NaN}', b"\xff\xfe", b'{"a":"\\ud800"}']
)
async def test_a_body_that_is_no_json_object_is_a_bad_request(stage: Stage, body: bytes) -> None:
    response = await stage.http().post("/v1/thread.create", content=body)
    assert (response.status_code, problem(response)["kind"]) == (400, "parse_error")


async def test_no_body_is_no_params(stage: Stage) -> None:
    assert (await stage.http().post("/v1/thread.list")).status_code == 200


async def test_a_body_that_is_too_large_is_413_and_has_no_effect(stage: Stage, wire: Wire) -> None:
    body = json.dumps({"title": "x", "pad": "x" * limits.FRAME_BYTES}).encode()
    response = await stage.http().post("/v1/thread.create", content=body)
    assert (response.status_code, problem(response)["kind"]) == (413, "too_large")
    assert (await wire.call("thread.list"))["threads"] == []


async def test_a_chunked_body_is_counted_too(stage: Stage) -> None:
    async def endless() -> Any:
        for _ in range(40):
            yield b"x" * 65536

    try:
        response = await stage.http().post("/v1/thread.create", content=endless())
    except httpx.HTTPError:
        return  # it hung up in the middle, which is a refusal as well
    assert problem(response)["kind"] == "too_large"


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("POST", "/v1/no.such", 404),
        ("POST", "/v1/hello", 404),
        ("GET", "/v1/server.info", 404),
        ("DELETE", "/v1/thread.list", 404),
        ("GET", "/nowhere", 404),
        ("POST", "/v1/", 404),
        ("GET", "/v1/../etc/passwd", 404),
    ],
)
async def test_what_is_not_there_is_not_there(stage: Stage, verb: str, path: str, status: int) -> None:
    response = await stage.http().request(verb, path)
    assert response.status_code == status
    assert problem(response)["kind"] == "method_not_found"


# --- when things break -----------------------------------------------------------------------------


async def test_an_internal_error_says_only_its_incident(
    stage: Stage, wire: Wire, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*args: object) -> None:
        raise ZeroDivisionError("the private story")

    monkeypatch.setattr(stage.store.threads, "page", broken)
    response = await post(stage, "thread.list")
    refused = problem(response)
    over_ws = await wire.refusal("thread.list")
    for shown in (refused, over_ws.error):
        assert "private" not in json.dumps(shown)
        assert "ZeroDivision" not in json.dumps(shown)
    assert (refused["kind"], refused["status"], over_ws.kind) == ("internal", 500, "internal")
    assert refused["incident"].startswith("inc_")
    assert refused["incident"] != over_ws.data["incident"]


@pytest.mark.parametrize("where", ["authenticate", "page"])
async def test_a_store_that_does_not_answer_is_unavailable(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    async def unavailable(*args: object) -> None:
        raise StoreUnavailable("disk full at a private path")

    client = stage.http(await stage.token())
    monkeypatch.setattr(
        stage.store.identities if where == "authenticate" else stage.store.threads, where, unavailable
    )
    response = await client.post("/v1/thread.list")
    refused = problem(response)
    assert (refused["kind"], refused["status"], refused["retryable"]) == ("unavailable", 503, True)
    assert int(response.headers["retry-after"]) >= 1
    assert "private" not in response.text


async def test_every_kind_has_a_status_of_its_class() -> None:
    assert set(HTTP_STATUS) == set(ErrorKind)
    assert all(400 <= status < 600 for status in HTTP_STATUS.values())


# --- what needs no credential ----------------------------------------------------------------------


async def test_health_readiness_metrics_and_the_index(stage: Stage, wire: Wire) -> None:
    await wire.call("server.info")
    nobody = stage.http(None)
    assert (await nobody.get("/healthz")).json() == {"status": "alive"}
    ready = await nobody.get("/readyz", headers={"Host": "10.1.2.3:9"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "missing": [], "degraded": []})
    metrics = await nobody.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'threadgate_requests_total{method="server.info",outcome="ok"} 1.0' in metrics.text
    assert 'threadgate_connections{transport="websocket"} 1.0' in metrics.text
    assert "/v1/ws" in (await nobody.get("/")).text


async def test_metrics_hold_no_ids(stage: Stage, wire: Wire) -> None:
    sent = await wire.call("message.send", content=words("say x"))
    await wire.refusal("zzz" + sent["thread_id"])
    metrics = (await stage.http(None).get("/metrics")).text
    assert sent["thread_id"] not in metrics
    assert sent["run_id"] not in metrics


async def test_a_store_that_takes_no_writes_is_not_ready_until_it_does(stage: Stage) -> None:
    real = stage.store.runs.renew_leases

    async def refuses(*args: object) -> None:
        raise StoreUnavailable("The store did not take the write: disk full")

    stage.store.runs.renew_leases = refuses  # type: ignore[method-assign,assignment]

    async def refusal() -> Frame | None:
        # Until the next write succeeds, such as one that a start still owes.
        stage.store.engine.writable = False
        response = await stage.http(None).get("/readyz")
        return response.json() if response.status_code == 503 else None

    told = await eventually(refusal)
    assert told["status"] == "not ready"
    assert "disk full" in told["missing"][0]
    stage.store.runs.renew_leases = real  # type: ignore[method-assign]
    assert (await stage.http(None).get("/readyz")).status_code == 200


async def test_every_answer_has_the_security_headers(stage: Stage) -> None:
    client = stage.http()
    for response in (
        await client.get("/"),
        await client.get("/healthz"),
        await client.get("/nowhere"),
        await client.post("/v1/server.info"),
        await client.post("/v1/thread.create", content=b"{"),
        await client.get("/", headers={"Host": "evil.example"}),
    ):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]


async def test_a_request_that_is_given_up_changes_nothing_for_others(stage: Stage, wire: Wire) -> None:
    with pytest.raises(httpx.TimeoutException):
        await stage.http().post("/v1/message.send", json={"content": words("say x")}, timeout=0.0001)
    assert (await stage.http().post("/v1/server.info")).status_code == 200
    await until(lambda: len(stage.sessions) == 1)
