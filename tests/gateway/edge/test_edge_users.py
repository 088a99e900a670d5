"""Users and tokens through the protocol: who may hand out what, and what is recorded of it."""

import json
from typing import Any

import pytest
from gateway_stage import Frame, Stage, Wire

from protocol.records import Role
from storage.values import DEFAULT_ORG, GATEWAY, Act


async def entries(wire: Wire, action: str) -> list[Frame]:
    found: list[Frame] = (await wire.call("audit.list", action=action))["entries"]
    return found


async def test_a_user_is_made_listed_and_changed(wire: Wire) -> None:
    made = (await wire.call("user.save", name="Grace", role="approver"))["user"]
    assert (made["kind"], made["name"], made["role"], made["links"]) == ("user", "Grace", "approver", [])
    changed = (await wire.call("user.save", user_id=made["id"], name="Grace Hopper", disabled=True))["user"]
    assert (changed["name"], changed["role"]) == ("Grace Hopper", "approver")
    assert changed["disabled_at"] >= made["created_at"]
    listed = (await wire.call("user.list", kind="user"))["users"]
    assert [one for one in listed if one["id"] == made["id"]] == [changed]
    assert [one["action"] for one in await entries(wire, "user.create")] == ["user.create"]
    (entry,) = await entries(wire, "user.update")
    assert (entry["subject"], entry["detail"]) == (
        {"user_id": made["id"]},
        {"renamed": True, "disabled": True},
    )
    assert "Grace" not in entry["body"], "names are personal: the entry has the id"


async def test_saving_what_is_so_already_changes_and_records_nothing(stage: Stage, wire: Wire) -> None:
    user_id, secret = await stage.user(Role.VIEWER, "Grace")
    mine = await stage.connect(secret)
    await wire.call("user.save", user_id=user_id, name="Grace", role="viewer", disabled=False)
    assert await entries(wire, "user.update") == []
    assert await mine.call("server.info")


async def test_users_are_paged_newest_first_by_kind(wire: Wire) -> None:
    for number in range(5):
        await wire.call("user.save", name=f"s{number}", role="viewer", kind="service")
    await wire.call("user.save", name="u", role="viewer")
    page = await wire.call("user.list", kind="service", limit=3)
    rest = await wire.call("user.list", kind="service", limit=3, cursor=page["next_cursor"])
    assert [one["name"] for one in page["users"] + rest["users"]] == ["s4", "s3", "s2", "s1", "s0"]
    assert "next_cursor" not in rest


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"role": "viewer"}, "name"),
        ({"name": "x"}, "role"),
        ({"name": "x", "role": "agent"}, "role"),
        ({"name": "x", "role": "device"}, "role"),
        ({"name": "", "role": "viewer"}, "name"),
        ({"name": "x", "role": "root"}, "role"),
        ({"name": "x", "role": "viewer", "kind": "device"}, "kind"),
        ({"name": "x", "role": "viewer", "disabled": True}, "disabled"),
    ],
)
async def test_what_makes_no_user_is_refused(wire: Wire, params: Frame, path: str) -> None:
    refused = await wire.refusal("user.save", **params)
    assert (refused.kind, refused.data["errors"][0]["path"]) == ("invalid_params", path)


# --- nobody hands out what they do not hold ---------------------------------------------------------


async def admin_of(stage: Stage) -> Wire:
    _, secret = await stage.user(Role.ADMIN, "Ada")
    return await stage.connect(secret)


async def test_an_admin_makes_no_owner_in_any_way(stage: Stage, wire: Wire) -> None:
    admin, (owner_id, _) = await admin_of(stage), await stage.user(Role.OWNER, "Olga")
    (viewer_id, _) = await stage.user(Role.VIEWER, "Vera")
    token = (await wire.call("token.create", role="owner"))["token"]
    ways: list[tuple[str, dict[str, Any]]] = [
        ("user.save", {"name": "me too", "role": "owner"}),
        ("user.save", {"user_id": viewer_id, "role": "owner"}),
        ("user.save", {"user_id": owner_id, "role": "viewer"}),
        ("user.save", {"user_id": owner_id, "disabled": True}),
        ("token.create", {"role": "owner"}),
        ("token.create", {"role": "viewer", "user_id": owner_id}),
        ("token.create", {"rotates": token["id"]}),
    ]
    before = [one["role"] for one in (await wire.call("user.list", limit=500))["users"]]
    for method, params in ways:
        refused = await admin.refusal(method, **params)
        assert (refused.kind, refused.data["scope"]) == ("forbidden", "data.erase"), (method, params)
    assert [one["role"] for one in (await wire.call("user.list", limit=500))["users"]] == before


async def test_an_admin_hands_out_what_it_holds(stage: Stage) -> None:
    admin = await admin_of(stage)
    made = (await admin.call("user.save", name="Otto", role="operator"))["user"]
    token = (await admin.call("token.create", role="viewer", user_id=made["id"]))["token"]
    assert token["principal_id"] == made["id"]


async def test_a_token_may_no_more_than_its_user_nor_its_user_more_than_it(stage: Stage) -> None:
    user_id, _ = await stage.user(Role.VIEWER)
    more = await stage.connect(await stage.token(Role.OWNER, user_id=user_id))
    assert "token.write" not in more.hello["scopes"]
    assert (
        more.hello["scopes"]
        == (await stage.connect(await stage.token(Role.VIEWER, user_id=user_id))).hello["scopes"]
    )


async def test_without_a_user_a_token_speaks_for_a_service_account(wire: Wire) -> None:
    token = (await wire.call("token.create", role="viewer", name="ci"))["token"]
    (account,) = (await wire.call("user.list", kind="service"))["users"]
    assert (account["id"], account["name"], account["role"]) == (token["principal_id"], "ci", "viewer")


async def test_a_disabled_user_gets_no_tokens(stage: Stage, wire: Wire) -> None:
    user_id, _ = await stage.user()
    await wire.call("user.save", user_id=user_id, disabled=True)
    assert (await wire.refusal("token.create", role="viewer", user_id=user_id)).kind == "invalid_state"


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({}, "role"),
        ({"role": "device"}, "role"),
        ({"role": "viewer", "agent_id": "demo"}, "agent_id"),
        ({"role": "viewer", "requests_per_s": 0}, "requests_per_s"),
        ({"role": "viewer", "overlap_s": 8 * 86_400}, "overlap_s"),
    ],
)
async def test_what_makes_no_token_is_refused(wire: Wire, params: Frame, path: str) -> None:
    refused = await wire.refusal("token.create", **params)
    if path == "agent_id":
        assert refused.kind in ("invalid_params", "not_found")
        return
    assert (refused.kind, refused.data["errors"][0]["path"]) == ("invalid_params", path)


async def test_a_rotation_takes_role_and_user_from_the_token_before(stage: Stage, wire: Wire) -> None:
    token = (await wire.call("token.create", role="viewer"))["token"]
    refused = await wire.refusal("token.create", rotates=token["id"], role="owner")
    assert (refused.kind, refused.data["errors"][0]["path"]) == ("invalid_params", "role")


# --- refusals are recorded, a bounded number of them ------------------------------------------------


async def address_behind(stage: Stage, entry: dict) -> str | None:
    """Where an entry's act came from, which the entry itself does not say."""
    assert "127.0.0.1" not in entry["body"]
    act = Act(DEFAULT_ORG, GATEWAY, "test", stage.clock.now_ms())
    return (await stage.store.audit.reveal(act, [entry["seq"]]))[entry["seq"]].address


async def test_an_entry_commits_to_where_its_act_came_from(stage: Stage, wire: Wire) -> None:
    made = await wire.call("token.create", role="viewer")
    await stage.http(await stage.token(Role.OWNER)).post("/v1/thread.create", json={})
    (over_http,) = await entries(wire, "thread.create")
    over_socket = (await entries(wire, "token.create"))[-2]
    assert over_socket["subject"]["token_id"] == made["token"]["id"]
    for entry in (over_http, over_socket):
        assert await address_behind(stage, entry) == "127.0.0.1"


async def test_what_entries_commit_to_is_shown_to_who_asks_and_that_is_recorded(
    stage: Stage, wire: Wire
) -> None:
    await wire.call("token.create", role="viewer", name="a screen in the hall")
    plain = (await wire.call("audit.list", action="token.create"))["entries"][-1]
    assert "content" not in plain and "address" not in plain
    shown = (await wire.call("audit.list", action="token.create", content=True))["entries"][-1]
    assert (shown["content"], shown["address"]) == ({"name": "a screen in the hall"}, "127.0.0.1")
    (looked,) = await entries(wire, "audit.reveal")
    assert plain["seq"] in looked["detail"]["entries"]


async def test_a_refused_credential_is_recorded(stage: Stage, wire: Wire) -> None:
    made = await wire.call("token.create", role="viewer")
    await wire.call("token.revoke", token_id=made["token"]["id"])
    await stage.http(made["secret"]).post("/v1/server.info")
    (entry,) = await entries(wire, "auth.refuse")
    assert (entry["outcome"], entry["subject"]) == ("failure", {"token_id": made["token"]["id"]})
    assert json.loads(entry["body"])["reason"] == "revoked"
    assert "127.0.0.1" not in entry["body"], "an address is personal: the entry commits to it"
    assert made["secret"] not in entry["body"]


async def test_a_flood_of_bad_tokens_is_counted_not_written(stage: Stage, wire: Wire) -> None:
    client = stage.http("tgate_" + "x" * 49)
    for _ in range(40):
        assert (await client.post("/v1/server.info")).status_code == 401
    assert len(await entries(wire, "auth.refuse")) == 5
    await stage.gateway.governance.denials.settle()
    last = (await entries(wire, "auth.refuse"))[-1]
    assert last["detail"] == {"count": 35, "reasons": ["malformed"]}
    await stage.gateway.governance.denials.settle()
    assert len(await entries(wire, "auth.refuse")) == 6, "the counts begin anew"


async def test_a_missing_scope_is_recorded(stage: Stage, wire: Wire) -> None:
    user_id, secret = await stage.user(Role.VIEWER)
    await stage.http(secret).post("/v1/token.create", json={"role": "owner"})
    (entry,) = await entries(wire, "scope.refuse")
    assert (entry["actor"]["id"], entry["outcome"]) == (user_id, "failure")
    assert entry["detail"]["method"] == "token.create"
    assert entry["detail"]["scope"] == "token.write"


@pytest.mark.parametrize(
    "secret",
    [
        "tgate_",
        "tgate_" + "A" * 49,
        "tgate_\xe9",
        "tgate",
        "TGATE_x",
        "@org_default",
        "local",
        "tgate_@org_default",
    ],
)
async def test_what_is_no_secret_lets_nobody_in(stage: Stage, secret: str) -> None:
    headers = {"Authorization": b"Bearer " + secret.encode("latin-1")}
    assert (await stage.http(None).post("/v1/server.info", headers=headers)).status_code == 401


async def test_a_secret_cut_short_or_changed_lets_nobody_in(stage: Stage) -> None:
    secret = await stage.token()
    for wrong in (
        secret[:-1],
        secret + "x",
        secret[:-1] + ("0" if secret[-1] != "0" else "1"),
        secret[1:],
        secret.upper(),
    ):
        assert (await stage.http(wrong).post("/v1/server.info")).status_code == 401
