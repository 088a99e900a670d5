"""Who may do what: every method, for every role, in the own and in a foreign organization, over both ways in.

(a) Without the scope a request is forbidden, and the scope is named. (b) With it, what belongs to another
organization is exactly like what does not exist. Enumerated from the table of methods and from the routes of the
server, so that nothing new escapes it.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from authorization_stage import (
    ACME,
    CASTS,
    MARK,
    Ask,
    Victim,
    caller,
    over_http,
    over_websocket,
    settled,
    stage_of_two,
)
from gateway_stage import Frame, TelegramStage, words

from channels.emulators.telegram import TelegramEmulator
from gateway.rules.scopes import ROLE_SCOPES
from protocol.methods import METHODS, Method
from protocol.records import Role
from protocol.scopes import Scope
from storage.values import DEFAULT_ORG

WAYS = {"websocket": over_websocket, "http": over_http}
ROUTES: dict[tuple[str, str], Scope | None] = {
    ("GET", "/"): None,
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("GET", "/metrics"): None,
    ("GET", "/v1/ws"): None,  # hello authenticates
    ("GET", "/v1/openapi.json"): None,
    ("GET", "/v1/asyncapi.json"): None,
    ("GET", "/v1/schema.json"): None,
    ("GET", "/v1/threads/{thread_id}/events"): Scope.THREAD_READ,
    ("POST", "/v1/blobs"): Scope.MESSAGE_SEND,
    ("GET", "/v1/blobs/{blob_id}"): Scope.THREAD_READ,
    ("GET", "/v1/audit/export"): Scope.AUDIT_EXPORT,
    ("GET", "/v1/usage/export"): Scope.USAGE_READ,
    ("POST", "/v1/{method}"): None,  # the methods, below
    ("GET", "/hooks/{kind}/{account}"): None,  # the networks sign what they send
    ("POST", "/hooks/{kind}/{account}"): None,
    ("GET", "/hooks/{kind}/{account}/{path}"): None,
    ("POST", "/hooks/{kind}/{account}/{path}"): None,
}
"""Every route of the server, and the scope it asks for; None where none is asked for, or not by the route."""


@pytest.fixture
async def two(tmp_path: Path, emulator: TelegramEmulator) -> AsyncIterator[TelegramStage]:
    stage = stage_of_two(tmp_path / "data", emulator)
    await stage.start()
    yield stage
    await stage.close()


@pytest.fixture
async def victim(two: TelegramStage) -> Victim:
    found = await Victim.filled(two)
    await settled(two)
    return found


def test_every_method_has_a_cast() -> None:
    assert set(CASTS) == set(METHODS), (
        "say in authorization_stage.py what of another organization it might ask for"
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("role", list(Role))
async def test_without_the_scope_everything_is_forbidden_and_the_scope_is_named(
    two: TelegramStage, victim: Victim, role: Role, way: str
) -> None:
    for org_id in (DEFAULT_ORG, ACME):  # also where the things are one's own organization's
        ask = await WAYS[way](two, await caller(two, role, org_id), role)
        for method in METHODS.values():
            if method.scope in ROLE_SCOPES[role]:
                continue
            for params in victim.params(method.name):
                answer = await ask(method.name, params)
                assert answer.get("error", {}).get("kind") == "forbidden", (
                    f"{role} may {method.name}: {answer}"
                )
                assert answer["error"]["scope"] == method.scope.value


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("role", list(Role))
async def test_what_belongs_to_another_organization_is_like_what_does_not_exist(
    two: TelegramStage, victim: Victim, role: Role, way: str
) -> None:
    before = await victim.rows(two)
    ask = await WAYS[way](two, await caller(two, role, DEFAULT_ORG), role)
    asked = 0
    for method in METHODS.values():
        if method.scope not in ROLE_SCOPES[role]:
            continue
        for params in victim.params(method.name):
            await _looks_alike(ask, victim, method, params)
            asked += 1
    assert asked >= len(ROLE_SCOPES[role]) - 1, "a role may something"
    assert await victim.rows(two) == before, "and nothing of hers has changed"


async def _looks_alike(ask: Ask, victim: Victim, method: Method, params: Frame) -> None:
    foreign, unknown = await ask(method.name, params), await ask(method.name, victim.unknown(params))
    shown = json.dumps(foreign)
    assert MARK not in shown, f"{method.name} shows what she said"
    asked_for = json.dumps(params)
    for name, value in victim.ids.items():
        assert value in asked_for or value not in shown, f"{method.name} shows her {name}"
    if victim.unknown(params) != params:
        assert victim.unknown(foreign) == unknown, f"{method.name} tells what exists from what does not"
        assert "error" in foreign or not any(foreign["result"].values()), f"{method.name} gave {foreign}"


async def test_the_casts_name_what_is_there(two: TelegramStage, victim: Victim) -> None:
    """A negative control: asked by her own owner, what is asked for is found, so that the test above says something."""
    ask = await over_websocket(two, f"{two.owner}@{ACME}")
    for name in ("thread.get", "thread.history", "run.get", "run.steps", "approval.get", "channel.status"):
        (params,) = victim.params(name)
        assert "result" in await ask(name, params), name
        assert (await ask(name, victim.unknown(params)))["error"]["kind"] == "not_found"
    for name in (
        "thread.list",
        "run.list",
        "token.list",
        "user.list",
        "pairing.list",
        "delivery.list",
        "approval.list",
    ):
        answer = await ask(name, victim.params(name)[0])
        assert any(answer["result"].values()), name


async def test_every_route_is_known_and_asks_for_its_scope(two: TelegramStage, victim: Victim) -> None:
    runner = two.gateway._server._runner
    assert runner is not None
    there = {
        (route.method, route.resource.canonical if route.resource is not None else "")
        for route in runner.app.router.routes()
        if route.method != "HEAD"
    }
    assert there == ROUTES.keys(), "a new route belongs into the list, with the scope that it asks for"
    for (verb, path), scope in ROUTES.items():
        if scope is None:
            continue
        address = path.format(thread_id=victim["thread"], blob_id=victim["blob"])
        assert (await two.http(None).request(verb, address)).status_code == 401
        for role in Role:
            secret = await caller(two, role, ACME)
            if scope in ROLE_SCOPES[role]:
                continue
            response = await two.http(secret).request(verb, address)
            assert (response.status_code, response.json()["scope"]) == (403, scope.value)


async def test_files_and_streams_of_others_are_like_none(two: TelegramStage, victim: Victim) -> None:
    client = two.http(await caller(two, Role.OWNER, DEFAULT_ORG))
    for path, name in (("/v1/blobs/{}", "blob"), ("/v1/threads/{}/events", "thread")):
        foreign = await client.get(path.format(victim[name]))
        unknown = await client.get(path.format(victim.unknown({"id": victim[name]})["id"]))
        assert (foreign.status_code, foreign.json()) == (404, unknown.json())


async def test_a_resumed_subscription_of_others_is_gone(two: TelegramStage, victim: Victim) -> None:
    epoch = two.store.identity.epoch
    points = [
        {"thread_id": thread_id, "epoch": epoch, "after_seq": 0}
        for thread_id in (victim["thread"], "thr_" + "0" * 26)
    ]
    wire = await two.connect(await caller(two, Role.OWNER, DEFAULT_ORG), resume=points)
    foreign, unknown = wire.hello["resumed"]
    assert (foreign["state"], foreign["reason"]) == (unknown["state"], unknown["reason"]) == ("reset", "gone")


async def test_the_inbox_tells_of_ones_own_organization_alone(two: TelegramStage, victim: Victim) -> None:
    """Live heads, too: they come from commits, not from a query."""
    ours, hers = await two.connect(), await two.connect(f"{two.owner}@{ACME}")
    await ours.call("inbox.subscribe", after_offset=0)
    await hers.call("inbox.subscribe")
    said = await hers.call("message.send", content=words(f"say more of {MARK}"))
    await hers.note(
        lambda frame: frame["method"] == "head" and frame["params"]["thread_id"] == said["thread_id"]
    )
    await hers.call("thread.delete", thread_id=said["thread_id"])
    await hers.note(lambda frame: frame["method"] == "head" and frame["params"]["kind"] == "thread.deleted")
    mine = await ours.call("thread.create", title="ours")
    heads = [note["params"] for note in await ours.quiet() if note["method"] == "head"]
    assert mine["thread"]["id"] in {head["thread_id"] for head in heads}
    assert not {head["thread_id"] for head in heads} & {said["thread_id"], victim["thread"]}
    assert MARK not in json.dumps(heads)


# --- where the organization comes from --------------------------------------------------------------


@pytest.mark.parametrize("field", ["org_id", "organization", "org", "tenant"])
async def test_no_param_chooses_an_organization(two: TelegramStage, victim: Victim, field: str) -> None:
    secret = await caller(two, Role.OWNER, DEFAULT_ORG)
    for ask in (await over_websocket(two, secret), await over_http(two, secret)):
        assert (await ask("thread.get", {"thread_id": victim["thread"], field: ACME}))["error"][
            "kind"
        ] == "not_found"
        assert MARK not in json.dumps(await ask("thread.list", {field: ACME, "status": "all"}))


async def test_the_local_operator_chooses_where_to_act(two: TelegramStage, victim: Victim) -> None:
    hers = await two.connect(f"{two.owner}@{ACME}")
    assert hers.hello["principal"]["id"] == "local"
    assert (await hers.call("thread.get", thread_id=victim["thread"]))["thread"]["id"] == victim["thread"]
    ours = await two.connect(f"{two.owner}@{DEFAULT_ORG}")
    assert (await ours.refusal("thread.get", thread_id=victim["thread"])).kind == "not_found"


@pytest.mark.parametrize("org_id", ["org_nobody", "ORG_ACME", "org_acmes", "org_acme@org_default", "%"])
async def test_an_organization_that_is_not_there_lets_nobody_in(two: TelegramStage, org_id: str) -> None:
    response = await two.http(None).post(
        "/v1/thread.list", headers={"Authorization": f"Bearer {two.owner}@{org_id}"}
    )
    assert response.status_code == 401


async def test_a_token_says_itself_where_it_belongs(two: TelegramStage, victim: Victim) -> None:
    """Only the machine's own secret is followed by an organization."""
    secret = await caller(two, Role.OWNER, DEFAULT_ORG)
    assert (await two.http(f"{secret}@{ACME}").post("/v1/thread.list")).status_code == 401
