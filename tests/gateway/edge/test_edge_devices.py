"""Devices on a raw socket: the proof of the key, pairing, what whoever approves chooses, and what ends a connection."""

from typing import Any

import pytest
from device_stage import Key, RawDevice, b64, command, dial, pair, paired
from gateway_stage import Frame, Stage, Wire, eventually

from gateway.services import devices as service
from protocol.devices import COMMANDS_MAX
from protocol.records import Role

MINIMUM = ["device.serve", "self.read", "server.read"]


async def audited(stage: Stage, wire: Wire) -> list[str]:
    entries = (await wire.call("audit.list", limit=500))["entries"]
    return [entry["action"] for entry in entries if entry["action"].startswith(("device.", "pairing."))]


# --- who it is ---------------------------------------------------------------------------------------


async def test_an_unknown_device_gets_a_pairing_and_4005(stage: Stage, wire: Wire) -> None:
    device = await dial(stage)
    refusal, code = await device.refused(commands=[command("open", risk="high")], scopes=["thread.read"])
    assert (refusal.kind, code) == ("pairing_required", 4005)
    assert {"pairing_id", "code", "expires_at"} <= refusal.data.keys()
    (found,) = (await wire.call("pairing.list"))["pairings"]
    assert found["id"] == refusal.data["pairing_id"]
    assert (found["kind"], found["subject"], found["name"]) == ("device", device.key.device_id, "Raw Thing")
    assert found["device"] == {
        "device_id": device.key.device_id,
        "fingerprint": found["device"]["fingerprint"],
        "platform": "bench",
        "address": "127.0.0.1",
        "commands": [{"name": "open", "risk": "high"}],
        "scopes": ["thread.read"],
        "is_widening": False,
    }
    shown = found["device"]["fingerprint"].removeprefix("SHA256:").replace(" ", "")
    assert shown == device.key.device_id
    assert refusal.data["code"] not in str(wire.raw), "nobody but the device is told the code"


async def test_a_reconnect_of_the_same_stranger_has_the_same_pairing(stage: Stage, wire: Wire) -> None:
    key = Key()
    first, _ = await (await dial(stage, key)).refused()
    second, _ = await (await dial(stage, key)).refused()
    assert first.data["pairing_id"] == second.data["pairing_id"]
    assert first.data["code"] == second.data["code"]
    await stage.restart()
    third, _ = await (await dial(stage, key)).refused()
    assert third.data["pairing_id"] == first.data["pairing_id"], "also across a restart"
    wire = await stage.connect()
    await wire.call("pairing.approve", code=third.data["code"])


@pytest.mark.parametrize("by", ["id", "code"])
async def test_an_approved_device_comes_in_with_the_same_key(stage: Stage, wire: Wire, by: str) -> None:
    key = Key()
    refusal, _ = await (await dial(stage, key)).refused()
    which = {"pairing_id": refusal.data["pairing_id"]} if by == "id" else {"code": refusal.data["code"]}
    decided = (await wire.call("pairing.approve", **which))["pairing"]
    assert decided["state"] == "approved"
    hello = await (await dial(stage, key)).hello()
    assert hello["principal"] == {"id": key.device_id, "kind": "device", "name": "raw-thing"}
    assert hello["scopes"] == MINIMUM, "the minimum, unless somebody chooses more"
    assert await audited(stage, wire) == ["pairing.request", "pairing.approve"]


CHANGES: dict[str, Any] = {
    "another host": lambda key, nonce, now, host: key.proof(nonce, now, "evil.example"),
    "another role": lambda key, nonce, now, host: key.proof(nonce, now, host, "client"),
    "another nonce": lambda key, nonce, now, host: key.proof("A" * len(nonce), now, host),
    "another instant": lambda key, nonce, now, host: {**key.proof(nonce, now, host), "signed_at": now + 1},
    "another key": lambda key, nonce, now, host: {
        **key.proof(nonce, now, host),
        "public_key": Key().public,
    },
    "no signature": lambda key, nonce, now, host: {**key.proof(nonce, now, host), "signature": ""},
    "padding": lambda key, nonce, now, host: {
        **key.proof(nonce, now, host),
        "signature": key.proof(nonce, now, host)["signature"] + "==",
    },
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_signature_that_is_not_for_this_connection_is_unauthorized(
    stage: Stage, wire: Wire, change: str
) -> None:
    key = Key()
    await pair(stage, wire, key)
    device = await dial(stage, key)
    nonce = await device.challenged()
    proof = CHANGES[change](key, nonce, stage.clock.now_ms(), device.host)
    refusal, code = await device.refused(proof=proof)
    assert (refusal.kind, refusal.data["reason"], code) == ("unauthorized", "bad_signature", 4001)


@pytest.mark.parametrize("skew_s", [-121, 121])
async def test_a_signature_of_another_time_is_unauthorized(stage: Stage, wire: Wire, skew_s: int) -> None:
    key = Key()
    await pair(stage, wire, key)
    device = await dial(stage, key)
    proof = key.proof(await device.challenged(), stage.clock.now_ms() + skew_s * 1000, device.host)
    refusal, code = await device.refused(proof=proof)
    assert (refusal.kind, refusal.data["reason"], code) == ("unauthorized", "clock_skew", 4001)


@pytest.mark.parametrize("raw", [b"", b"\0" * 31, b"\0" * 32, b"\1" + b"\0" * 31, b"\xff" * 32])
async def test_what_is_no_key_is_unauthorized(stage: Stage, raw: bytes) -> None:
    device = await dial(stage)
    proof = {**device.key.proof(await device.challenged(), stage.clock.now_ms(), device.host)}
    refusal, code = await device.refused(proof={**proof, "public_key": b64(raw)})
    assert (refusal.kind, refusal.data["reason"], code) == ("unauthorized", "bad_key", 4001)


async def test_role_and_credential_belong_together(stage: Stage, wire: Wire) -> None:
    key = Key()
    await pair(stage, wire, key)
    for role in ("agent",):
        refusal, code = await (await dial(stage, key)).refused(role=role)
        assert (refusal.kind, code) == ("forbidden", 4003)
    bare = await stage.open()
    with pytest.raises(Exception, match="forbidden"):
        await bare.say_hello(stage.owner, role="device")
    hello = await (await dial(stage, key)).hello(role="client")
    assert hello["principal"]["id"] == key.device_id, "a device may also be a client, with what it holds"


# --- what it may ---------------------------------------------------------------------------------------


async def test_the_approver_chooses_the_scopes_and_the_name(stage: Stage, wire: Wire) -> None:
    device = await paired(stage, wire, scopes=["thread.read"], name="hall")
    assert device.wire.hello["scopes"] == sorted([*MINIMUM, "thread.read"])
    assert device.wire.hello["principal"]["name"] == "hall"
    await device.wire.call("thread.list")
    assert (await device.wire.refusal("message.send", content=[])).data["scope"] == "message.send"


async def test_what_a_device_claims_widens_nothing(stage: Stage, wire: Wire) -> None:
    key = Key()
    refusal, _ = await (await dial(stage, key)).refused(scopes=["thread.read", "token.write"])
    await wire.call("pairing.approve", pairing_id=refusal.data["pairing_id"])
    hello = await (await dial(stage, key)).hello(capabilities=["thread.read"])
    assert hello["scopes"] == MINIMUM


async def test_nobody_gives_a_scope_that_they_do_not_hold(stage: Stage) -> None:
    operator = await stage.connect(await stage.token(Role.OPERATOR))
    refusal, _ = await (await dial(stage)).refused()
    which = {"pairing_id": refusal.data["pairing_id"]}
    refused = await operator.refusal("pairing.approve", scopes=["thread.read", "token.write"], **which)
    assert (refused.kind, refused.data["scope"]) == ("forbidden", "token.write")
    refused = await operator.refusal("pairing.approve", scopes=["agent.serve"], **which)
    assert refused.kind == "forbidden", "nor one that only machines hold"
    await operator.call("pairing.approve", scopes=["thread.read"], **which)


async def test_scopes_and_names_are_for_devices(stage: Stage, wire: Wire) -> None:
    first = await paired(stage, wire, name="hall")
    refusal, _ = await (await dial(stage)).refused()
    which = {"pairing_id": refusal.data["pairing_id"]}
    assert (await wire.refusal("pairing.approve", name="hall", **which)).kind == "conflict"
    await wire.call("pairing.approve", **which)
    assert first.wire.hello["principal"]["name"] == "hall"
    names = {one["name"] for one in (await wire.call("device.list"))["devices"]}
    assert names == {"hall", "raw-thing"}


async def test_more_scopes_need_a_new_approval_and_the_device_goes_on_meanwhile(
    stage: Stage, wire: Wire
) -> None:
    device = await paired(stage, wire, scopes=["thread.read"])
    device.vanish()
    again = await dial(stage, device.key)
    hello = await again.hello(scopes=["thread.read", "agent.read"])
    assert "agent.read" not in hello["scopes"]
    asked = hello["pairing"]
    await again.wire.call("thread.list")
    (found,) = (await wire.call("pairing.list"))["pairings"]
    assert found["id"] == asked["pairing_id"]
    assert found["device"]["is_widening"]
    assert found["device"]["scopes"] == ["agent.read", "thread.read"]
    without = await wire.refusal("pairing.approve", pairing_id=asked["pairing_id"])
    assert without.kind == "invalid_params", "who widens says by what"
    await wire.call("pairing.approve", pairing_id=asked["pairing_id"], scopes=["agent.read"])
    _, code = await again.wire.ended()
    assert code == 4202, "it takes effect at once"
    hello = await (await dial(stage, device.key)).hello(scopes=["agent.read"])
    assert {"agent.read", "thread.read"} <= set(hello["scopes"])
    assert "pairing" not in hello


# --- shut out ------------------------------------------------------------------------------------------


async def test_a_rejected_device_is_forbidden_for_a_while(
    stage: Stage, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = Key()
    refusal, _ = await (await dial(stage, key)).refused()
    await wire.call("pairing.reject", pairing_id=refusal.data["pairing_id"])
    again, code = await (await dial(stage, key)).refused()
    assert (again.kind, code) == ("forbidden", 4003)
    assert 0 < again.data["retry_after_ms"] <= service.REJECTED_MS
    assert (await wire.call("pairing.list"))["pairings"] == []
    monkeypatch.setattr(service, "REJECTED_MS", 0)
    later, code = await (await dial(stage, key)).refused()
    assert (later.kind, code) == ("pairing_required", 4005)


async def test_a_revoked_device_is_closed_at_once_and_never_comes_back(stage: Stage, wire: Wire) -> None:
    device = await paired(stage, wire)
    shown = (await wire.call("device.revoke", device_id=device.key.device_id))["device"]
    assert (shown["state"], shown["connected"]) == ("revoked", False)
    _, code = await device.wire.ended()
    assert code == 4001
    refusal, code = await (await dial(stage, device.key)).refused()
    assert (refusal.kind, refusal.data["reason"], code) == ("unauthorized", "revoked", 4001)
    assert (await audited(stage, wire))[-1] == "device.revoke"
    again = await wire.call("device.revoke", device_id=device.key.device_id)
    assert again["device"]["revoked_at"] == shown["revoked_at"]


async def test_an_approved_pairing_is_not_rejected_afterwards(stage: Stage, wire: Wire) -> None:
    refusal, _ = await (await dial(stage)).refused()
    which = {"pairing_id": refusal.data["pairing_id"]}
    await wire.call("pairing.approve", **which)
    assert (await wire.refusal("pairing.reject", **which)).kind == "invalid_state"


async def test_a_pairing_that_ran_out_is_not_approved(
    stage: Stage, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PAIRING_LIFE_MS", 0)
    refusal, _ = await (await dial(stage)).refused()
    assert (await wire.refusal("pairing.approve", pairing_id=refusal.data["pairing_id"])).kind == "expired"


async def test_few_wait_at_the_same_time(stage: Stage, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(service.PENDING_ADDRESS_MAX):
        await (await dial(stage)).refused()
    refusal, code = await (await dial(stage)).refused()
    assert (refusal.kind, code) == ("rate_limited", 4103)
    assert len((await wire.call("pairing.list"))["pairings"]) == service.PENDING_ADDRESS_MAX
    monkeypatch.setattr(service, "PENDING_ADDRESS_MAX", 99)
    await (await dial(stage)).refused()
    refusal, _ = await (await dial(stage)).refused()
    assert refusal.kind == "rate_limited"
    assert len((await wire.call("pairing.list"))["pairings"]) == service.PENDING_MAX == 3


async def test_an_address_begins_few_pairings(stage: Stage, wire: Wire) -> None:
    for _ in range(service.ASKS):
        refusal, _ = await (await dial(stage)).refused()
        await wire.call("pairing.reject", pairing_id=refusal.data["pairing_id"])
    refusal, _ = await (await dial(stage)).refused()
    assert refusal.kind == "rate_limited"
    assert refusal.data["retry_after_ms"] <= service.ASKS_S * 1000


# --- another key ---------------------------------------------------------------------------------------


async def rotated(device: RawDevice, new: Key, **wrong: Any) -> Frame:
    nonce, now_ms = await device.challenged(), device.stage.clock.now_ms()
    proof = device.key.proof(nonce, now_ms, device.host)
    proof["successor"] = {**device.key.successor(new, nonce, now_ms, device.host), **wrong}
    return proof


async def test_a_device_changes_its_key_with_both_signatures(stage: Stage, wire: Wire) -> None:
    before = await paired(stage, wire, scopes=["thread.read"], name="hall")
    other, new = await dial(stage, before.key), Key()
    hello = await other.hello(proof=await rotated(other, new))
    assert hello["principal"] == {"id": new.device_id, "kind": "device", "name": "hall"}
    assert "thread.read" in hello["scopes"], "it keeps what it was given"
    _, code = await before.wire.ended()
    assert code == 4001, "connections of the old key end at once"
    refusal, _ = await (await dial(stage, before.key)).refused()
    assert refusal.data["reason"] == "replaced"
    assert (await (await dial(stage, new)).hello())["principal"]["id"] == new.device_id
    old = (await wire.call("device.get", device_id=before.key.device_id))["device"]
    assert (old["state"], old["replaced_by"]) == ("replaced", new.device_id)
    assert "device.rotate" in await audited(stage, wire)


@pytest.mark.parametrize("which", ["signature", "consent"])
async def test_both_keys_must_sign_the_change(stage: Stage, wire: Wire, which: str) -> None:
    before = await paired(stage, wire)
    other, new = await dial(stage, before.key), Key()
    refusal, code = await other.refused(proof=await rotated(other, new, **{which: Key().sign("something")}))
    assert (refusal.kind, refusal.data["reason"], code) == ("unauthorized", "bad_signature", 4001)
    assert (await (await dial(stage, before.key)).hello())["principal"]["id"] == before.key.device_id


# --- what it can do, and who is here -------------------------------------------------------------------


async def test_declared_commands_are_kept_and_a_change_is_recorded(stage: Stage, wire: Wire) -> None:
    device = await paired(stage, wire)
    which = {"device_id": device.key.device_id}
    shown = (await wire.call("device.get", **which))["device"]
    assert shown["commands"] == [{**command(), "idempotent": False}]
    assert (await audited(stage, wire)).count("device.declare") == 1
    await (await dial(stage, device.key)).hello(commands=[command()])
    assert (await audited(stage, wire)).count("device.declare") == 1, "nothing changed"
    await (await dial(stage, device.key)).hello(commands=[command(), command("open", risk="high")])
    assert (await audited(stage, wire)).count("device.declare") == 2
    await stage.restart()
    shown = (await (await stage.connect()).call("device.get", **which))["device"]
    assert [one["name"] for one in shown["commands"]] == ["echo", "open"], "it survives a restart"
    assert not shown["connected"]


def nested(levels: int) -> Frame:
    return {"properties": {"x": nested(levels - 1)}} if levels else {}


@pytest.mark.parametrize(
    "commands",
    [
        [command(), command()],
        [command(params_schema={"type": "array"})],
        [command(params_schema={"type": 7})],
        [command(params_schema={"description": "x" * 20_000})],
        [command(params_schema=nested(20))],
    ],
    ids=["twice", "no object", "no schema", "large", "deep"],
)
async def test_commands_that_cannot_be_used_are_refused_by_name(
    stage: Stage, wire: Wire, commands: list[Frame]
) -> None:
    key = Key()
    await pair(stage, wire, key)
    refusal, code = await (await dial(stage, key)).refused(commands=commands)
    assert (refusal.kind, code) == ("invalid_params", 4000)
    assert "echo" in refusal.data["errors"][0]["message"]


@pytest.mark.parametrize(
    "commands",
    [[command("a.b")], [command(risk="none")], [command(f"c{number}") for number in range(COMMANDS_MAX + 1)]],
    ids=["name", "risk", "many"],
)
async def test_commands_that_do_not_fit_are_refused_before_anything(
    stage: Stage, commands: list[Frame]
) -> None:
    refusal, code = await (await dial(stage)).refused(commands=commands)
    assert (refusal.kind, code) == ("invalid_params", 4000)


async def test_devices_are_listed_renamed_and_found(stage: Stage, wire: Wire) -> None:
    device = await paired(stage, wire, name="hall")
    other = await paired(stage, wire, name="attic")
    page = await wire.call("device.list", limit=1)
    assert [one["name"] for one in page["devices"]] == ["attic"]
    rest = await wire.call("device.list", limit=1, cursor=page["next_cursor"])
    assert [one["name"] for one in rest["devices"]] == ["hall"]
    assert "next_cursor" not in rest
    which = {"device_id": device.key.device_id}
    assert (await wire.refusal("device.rename", name="attic", **which)).kind == "conflict"
    shown = (await wire.call("device.rename", name="cellar", **which))["device"]
    assert (shown["name"], shown["connected"]) == ("cellar", True)
    await wire.call("device.revoke", device_id=other.key.device_id)
    await wire.call("device.rename", name="attic", **which)
    assert (await wire.refusal("device.get", device_id="nobody")).kind == "not_found"
    assert (await wire.refusal("device.list", cursor="x")).kind == "conflict"
    everybody = (await wire.call("device.list", state="all"))["devices"]
    assert [one["state"] for one in everybody] == ["revoked", "active"]


async def test_a_viewer_sees_devices_and_changes_nothing(stage: Stage, wire: Wire) -> None:
    device = await paired(stage, wire)
    viewer = await stage.connect(await stage.token(Role.VIEWER))
    await viewer.call("device.list")
    which = {"device_id": device.key.device_id}
    assert (await viewer.refusal("device.revoke", **which)).data["scope"] == "device.control"
    assert (await viewer.refusal("device.invoke", command="echo", **which)).data["scope"] == "device.invoke"


async def test_presence_says_who_is_here(stage: Stage, wire: Wire) -> None:
    device = await paired(stage, wire, name="hall")
    second = await stage.connect()
    found = await wire.call("presence.list")
    here = {one["principal"]["id"]: one for one in found["principals"]}
    assert (here["local" if "local" in here else wire.hello["principal"]["id"]])["connections"] == 2
    assert here[device.key.device_id]["principal"]["kind"] == "device"
    (shown,) = found["devices"]
    assert (shown["name"], shown["connected"]) == ("hall", True)
    await second.close()
    device.vanish()

    async def alone() -> bool:
        found = await wire.call("presence.list")
        return [one["connections"] for one in found["principals"]] == [1] and not found["devices"][0][
            "connected"
        ]

    await eventually(alone)
    assert (await wire.call("presence.list"))["devices"][0]["last_seen_at"] >= shown["last_seen_at"]


async def test_a_second_connection_takes_the_place_of_the_first(stage: Stage, wire: Wire) -> None:
    device = await paired(stage, wire)
    again = await dial(stage, device.key)
    await again.hello(commands=[command()])
    _, code = await device.wire.ended()
    assert code == 4006
    assert (await wire.call("device.get", device_id=device.key.device_id))["device"]["connected"]
