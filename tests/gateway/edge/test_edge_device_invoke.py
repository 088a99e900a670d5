"""`device.invoke`: checked before anything is sent, done once, answered honestly, whatever happens between."""

import asyncio
import json
from typing import Any

import pytest
from device_stage import SCHEMA, Key, RawDevice, command, dial, paired
from gateway_stage import Frame, Refused, Stage, Wire, eventually

from gateway.policy_settings import PolicySettings
from gateway.services import invocations as service
from protocol.records import Role
from storage.values import DEFAULT_ORG

COMMANDS = [command(), command("wipe", risk="high"), command("slow", risk="medium")]


@pytest.fixture
async def device(stage: Stage, wire: Wire) -> RawDevice:
    return await paired(stage, wire, commands=COMMANDS)


async def invoke(wire: Wire, device: RawDevice, **more: Any) -> "asyncio.Task[Frame]":
    """Ask in a task of its own: the answer comes when the device has spoken."""
    given = {"device_id": device.key.device_id, "command": "echo", "params": {"text": "hi"}, **more}
    return asyncio.create_task(wire.call("device.invoke", **given))


async def rows(stage: Stage) -> list[Frame]:
    def read(tx: Any) -> list[Frame]:
        return [dict(row) for row in tx.all("SELECT * FROM device_invocations ORDER BY created_at, id")]

    found: list[Frame] = await stage.store.engine.read(read)
    return found


async def state(stage: Stage, wanted: str) -> None:
    async def reached() -> bool:
        return [row["state"] for row in await rows(stage)] == [wanted]

    await eventually(reached)


async def refused(task: "asyncio.Task[Frame]") -> Refused:
    with pytest.raises(Refused) as caught:
        await task
    return caught.value


async def test_a_device_does_what_it_is_told_and_the_result_comes_back(
    stage: Stage, wire: Wire, device: RawDevice
) -> None:
    asked = await invoke(wire, device)
    frame = await device.asked()
    assert frame["params"].items() >= {"command": "echo", "params": {"text": "hi"}, "recall": False}.items()
    await device.answer(frame, {"said": "hi"})
    done = (await asked)["invocation"]
    assert (
        done.items()
        >= {
            "id": frame["params"]["invocation_id"],
            "device_id": device.key.device_id,
            "command": "echo",
            "state": "done",
            "result": {"said": "hi"},
        }.items()
    )
    entries = (await wire.call("audit.list", limit=500))["entries"]
    about = [one for one in entries if one["subject"].get("invocation_id") == done["id"]]
    assert [one["action"] for one in about] == ["device.invoke", "device.result"]
    assert about[1]["actor"]["kind"] == "device"


async def test_what_the_device_says_when_it_fails_comes_back(wire: Wire, device: RawDevice) -> None:
    asked = await invoke(wire, device)
    await device.fail(await device.asked(), "no_paper", "The tray is empty")
    done = (await asked)["invocation"]
    assert (done["state"], done["error"]) == ("failed", {"kind": "no_paper", "message": "The tray is empty"})


@pytest.mark.parametrize("params", [{}, {"text": 1}, {"text": "hi", "more": True}])
async def test_params_that_do_not_fit_are_refused_before_anything_is_sent(
    stage: Stage, wire: Wire, device: RawDevice, params: Frame
) -> None:
    refusal = await refused(await invoke(wire, device, params=params))
    assert (refusal.kind, refusal.data["errors"][0]["path"]) == ("invalid_params", "params")
    assert await rows(stage) == []
    assert await device.wire.quiet() == []


async def test_what_a_device_did_not_declare_is_denied(stage: Stage, wire: Wire, device: RawDevice) -> None:
    refusal = await refused(await invoke(wire, device, command="format_disk"))
    assert refusal.kind == "policy_denied"
    assert await rows(stage) == []
    entries = (await wire.call("audit.list", action="device.invoke"))["entries"]
    assert [one["outcome"] for one in entries] == ["failure"], "the refusal has its entry"


async def test_high_risk_needs_a_policy(stage: Stage, wire: Wire, device: RawDevice) -> None:
    refusal = await refused(await invoke(wire, device, command="wipe"))
    assert refusal.kind == "policy_denied"
    asked = await invoke(wire, device, command="slow")
    await device.answer(await device.asked(), None)
    assert (await asked)["invocation"]["state"] == "done", "medium risk needs none"


async def with_policy(stage: Stage, key: Key, **rule: Any) -> tuple[Wire, RawDevice]:
    """The gateway started again with one policy, and the device back."""
    policy = PolicySettings(name="rule", kind=("device",), reason="because", **rule)
    await stage.restart(policies=(policy,))
    device = await dial(stage, key)
    await device.hello(commands=COMMANDS)
    return await stage.connect(), device


async def test_a_policy_allows_or_denies(stage: Stage, wire: Wire, device: RawDevice) -> None:
    wire, device = await with_policy(stage, device.key, effect="allow", tool=("thing.wipe",))
    asked = await invoke(wire, device, command="wipe")
    await device.answer(await device.asked(), None)
    await asked
    wire, device = await with_policy(stage, device.key, effect="deny", tool=("thing.*",))
    refusal = await refused(await invoke(wire, device))
    assert (refusal.kind, refusal.data["rule"]) == ("policy_denied", "rule")


async def test_people_are_asked_and_their_leave_is_good_for_exactly_this_once(
    stage: Stage, wire: Wire, device: RawDevice
) -> None:
    wire, device = await with_policy(stage, device.key, effect="require_approval", tool=("thing.*",))
    refusal = await refused(await invoke(wire, device))
    assert (refusal.kind, refusal.data["rule"]) == ("approval_required", "rule")
    leave = {"approval_id": refusal.data["approval_id"]}
    again = await refused(await invoke(wire, device))
    assert again.data["approval_id"] == leave["approval_id"], "while it waits nobody is asked twice"
    assert (await refused(await invoke(wire, device, **leave))).kind == "approval_required"
    shown = (await wire.call("approval.get", **leave))["approval"]
    assert (shown["kind"], shown["name"]) == ("device", "thing.echo")
    assert '"text": "hi"' in shown["body"]
    assert await device.wire.quiet() == [], "nothing is sent before"

    approver = await stage.connect(await stage.token(Role.OPERATOR))
    await approver.call("approval.decide", decision="approve", **leave)
    other = await refused(await invoke(wire, device, params={"text": "other"}, **leave))
    assert other.kind == "conflict", "it is about these params"
    theirs = await refused(await invoke(approver, device, **leave))
    assert theirs.kind == "conflict", "and for whoever asked"
    asked = await invoke(wire, device, **leave)
    await device.answer(await device.asked(), "done")
    done = await asked
    assert await (await invoke(wire, device, **leave)) == done, "it is not done again"
    assert await device.wire.quiet() == []


async def test_what_people_denied_is_not_done(stage: Stage, wire: Wire, device: RawDevice) -> None:
    wire, device = await with_policy(stage, device.key, effect="require_approval", tool=("thing.*",))
    leave = {"approval_id": (await refused(await invoke(wire, device))).data["approval_id"]}
    approver = await stage.connect(await stage.token(Role.OPERATOR))
    await approver.call("approval.decide", decision="deny", reason="not now", **leave)
    denied = await refused(await invoke(wire, device, **leave))
    assert (denied.kind, "not now" in str(denied)) == ("policy_denied", True)
    assert await device.wire.quiet() == []
    anew = await refused(await invoke(wire, device))
    assert anew.data["approval_id"] != leave["approval_id"], "without it people are asked again"


async def test_a_rule_that_denies_now_beats_a_leave_of_before(
    stage: Stage, wire: Wire, device: RawDevice
) -> None:
    wire, device = await with_policy(stage, device.key, effect="require_approval", tool=("thing.*",))
    leave = {"approval_id": (await refused(await invoke(wire, device))).data["approval_id"]}
    await (await stage.connect(await stage.token(Role.OPERATOR))).call(
        "approval.decide", decision="approve", **leave
    )
    wire, device = await with_policy(stage, device.key, effect="deny", tool=("thing.*",))
    assert (await refused(await invoke(wire, device, **leave))).kind == "policy_denied"


async def test_the_same_key_never_invokes_twice(stage: Stage, wire: Wire, device: RawDevice) -> None:
    first = await invoke(wire, device, idempotency_key="k")
    frame = await device.asked()
    second = await invoke(await stage.connect(), device, idempotency_key="k")
    await device.answer(frame, 1)
    assert (await first) == (await second)
    assert (await (await invoke(wire, device, idempotency_key="k"))) == first.result()
    other = await refused(await invoke(wire, device, idempotency_key="k", params={"text": "other"}))
    assert other.kind == "idempotency_conflict"
    assert await device.wire.quiet() == []
    await stage.restart()
    back = await dial(stage, device.key)
    await back.hello(commands=COMMANDS)
    again = await invoke(await stage.connect(), device, idempotency_key="k")
    assert (await again) == first.result(), "also across a restart"
    assert await back.wire.quiet() == []


async def test_keys_of_different_people_are_different(stage: Stage, wire: Wire, device: RawDevice) -> None:
    operator = await stage.connect(await stage.token(Role.OPERATOR))
    for one in (wire, operator):
        asked = await invoke(one, device, idempotency_key="k")
        await device.answer(await device.asked(), None)
        await asked
    assert len(await rows(stage)) == 2


async def test_without_an_answer_in_time_the_outcome_is_unknown(
    stage: Stage, wire: Wire, device: RawDevice
) -> None:
    asked = await invoke(wire, device, timeout_s=0.05, idempotency_key="k")
    frame = await device.asked()
    refusal = await refused(asked)
    assert (refusal.kind, refusal.data["outcome"]) == ("unavailable", "unknown")
    assert refusal.data["invocation_id"] == frame["params"]["invocation_id"]
    again = await refused(await invoke(wire, device, idempotency_key="k", timeout_s=0.05))
    assert again.data["outcome"] == "unknown"
    assert await device.wire.quiet() == [], "it is not asked twice"
    back = await dial(stage, device.key)
    await back.hello(commands=COMMANDS)
    recall = await back.asked()
    assert (
        recall["params"].items()
        >= {"invocation_id": frame["params"]["invocation_id"], "recall": True}.items()
    )
    await back.answer(recall, "did it")
    await state(stage, "done")
    late = await invoke(wire, device, idempotency_key="k")
    assert (await late)["invocation"]["result"] == "did it", "what the device remembers later is told"


async def test_a_device_that_is_not_here_is_unavailable_at_once(
    stage: Stage, wire: Wire, device: RawDevice
) -> None:
    await device.wire.close()

    async def gone() -> bool:
        return not (await wire.call("device.get", device_id=device.key.device_id))["device"]["connected"]

    await eventually(gone)
    refusal = await refused(await invoke(wire, device, idempotency_key="k"))
    assert refusal.kind == "unavailable"
    assert await rows(stage) == [], "the key is still free"
    waiting = await invoke(wire, device, idempotency_key="k", wait=True)
    await state(stage, "requested")
    back = await dial(stage, device.key)
    await back.hello(commands=COMMANDS)
    await back.answer(await back.asked(), 1)
    assert (await waiting)["invocation"]["state"] == "done"


async def test_who_waits_for_a_device_in_vain_is_told_that_nothing_was_sent(
    stage: Stage, wire: Wire, device: RawDevice
) -> None:
    await device.wire.close()
    refusal = await refused(await invoke(wire, device, wait=True, timeout_s=0.05))
    assert (refusal.kind, refusal.data["outcome"]) == ("unavailable", "not_sent")


@pytest.mark.parametrize("got_it", [True, False])
async def test_a_connection_lost_in_the_middle_is_asked_about(
    stage: Stage, wire: Wire, device: RawDevice, got_it: bool
) -> None:
    asked = await invoke(wire, device)
    frame = await device.asked()
    device.vanish()
    back = await dial(stage, device.key)
    await back.hello(commands=COMMANDS)
    recall = await back.asked()
    assert recall["params"]["recall"] is True
    assert recall["params"]["invocation_id"] == frame["params"]["invocation_id"]
    if not got_it:
        await back.fail(recall, "not_found")
        recall = await back.asked()
        assert recall["params"]["recall"] is False, "it never got it, so it is told again"
    await back.answer(recall, 1)
    assert (await asked)["invocation"]["state"] == "done"


async def test_a_device_that_was_cut_off_says_so_and_nobody_does_it_again(
    stage: Stage, wire: Wire, device: RawDevice
) -> None:
    asked = await invoke(wire, device)
    await device.asked()
    device.vanish()
    back = await dial(stage, device.key)
    await back.hello(commands=COMMANDS)
    await back.fail(await back.asked(), "unknown")
    assert (await refused(asked)).data["outcome"] == "unknown"
    assert await back.wire.quiet() == []


async def test_what_was_sent_before_a_restart_is_asked_about_after_it(
    stage: Stage, wire: Wire, device: RawDevice
) -> None:
    asked = await invoke(wire, device, idempotency_key="k")
    frame = await device.asked()
    await stage.restart()
    with pytest.raises(Exception, match=r".*"):
        await asked
    await state(stage, "sent")
    waiting = await invoke(await stage.connect(), device, idempotency_key="k")
    back = await dial(stage, device.key)
    await back.hello(commands=COMMANDS)
    recall = await back.asked()
    assert recall["params"]["invocation_id"] == frame["params"]["invocation_id"]
    assert recall["params"]["recall"] is True
    await back.answer(recall, "once")
    assert (await waiting)["invocation"]["result"] == "once"
    assert await back.wire.quiet() == []


async def test_what_nobody_asks_about_is_settled_when_its_time_is_over(
    stage: Stage, wire: Wire, device: RawDevice
) -> None:
    asked = await invoke(wire, device, timeout_s=0.2)
    await device.asked()
    await stage.gateway.governance.invocations.close()
    assert (await refused(asked)).kind == "unavailable"

    async def settled() -> bool:
        await stage.gateway.governance.invocations.expire()
        return [row["state"] for row in await rows(stage)] == ["unknown"]

    await eventually(settled)


async def test_a_device_has_few_commands_under_way(
    stage: Stage, wire: Wire, device: RawDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "IN_FLIGHT_MAX", 1)
    asked = await invoke(wire, device)
    frame = await device.asked()
    assert (await refused(await invoke(await stage.connect(), device))).kind == "busy"
    await device.answer(frame, 1)
    await asked


async def test_a_result_that_is_too_large_is_not_kept(
    wire: Wire, device: RawDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.services.invocation_outcomes.RESULT_CHARS", 10)
    asked = await invoke(wire, device)
    await device.answer(await device.asked(), "x" * 10)
    assert (await asked)["invocation"]["error"]["kind"] == "too_large"


async def test_answers_to_nothing_change_nothing(stage: Stage, wire: Wire, device: RawDevice) -> None:
    for number in (1, 99, "x"):
        await device.wire.send(json.dumps({"jsonrpc": "2.0", "id": number, "result": {"result": 1}}))
    asked = await invoke(wire, device)
    frame = await device.asked()
    await device.answer(frame, 1)
    await device.answer(frame, 2)
    assert (await asked)["invocation"]["result"] == 1


async def test_a_revoked_device_is_told_nothing_more(stage: Stage, wire: Wire, device: RawDevice) -> None:
    await wire.call("device.revoke", device_id=device.key.device_id)
    assert (await refused(await invoke(wire, device))).kind == "invalid_state"


async def test_the_declared_schema_is_what_counts(stage: Stage, device: RawDevice) -> None:
    (known,) = await stage.store.devices.active(DEFAULT_ORG)
    declared = known.command("echo")
    assert declared is not None
    assert declared.params_schema == SCHEMA
