"""`pairing.approve` under policies of the kind pairing: denied, or asked of others who then decide."""

from typing import Any

import pytest
from gateway_stage import TelegramStage
from test_edge_pairings import asks, listed, owed

from gateway.policy_settings import PolicySettings
from gateway.services.notices import LET_IN
from protocol.records import Role

NOBODY = PolicySettings(name="closed", effect="deny", kind=("pairing",), reason="We are full.")
TWO = PolicySettings.model_validate(
    {"name": "two", "effect": "require_approval", "kind": ["pairing"], "approval": {"quorum": 2}}
)
OTHERS = PolicySettings(name="elsewhere", effect="deny", kind=("pairing",), channel=("slack",))


async def strict(telegram: TelegramStage, *policies: PolicySettings) -> TelegramStage:
    """A gateway whose bot lets in whom operators let in, under these policies."""
    table = {**telegram._given["channels"][0], "dm_policy": "pairing"}
    await telegram.restart(channels=(table,), policies=policies)
    return telegram


async def test_a_rule_about_another_network_changes_nothing(telegram: TelegramStage) -> None:
    stage = await strict(telegram, OTHERS)
    code = await asks(stage)
    wire = await stage.connect()
    assert (await wire.call("pairing.approve", code=code))["pairing"]["state"] == "approved"


async def test_nobody_is_let_in_against_a_policy(telegram: TelegramStage) -> None:
    stage = await strict(telegram, NOBODY)
    code = await asks(stage)
    wire = await stage.connect()
    refused = await wire.refusal("pairing.approve", code=code)
    assert (refused.kind, refused.data["rule"], refused.error["message"]) == (
        "policy_denied",
        "closed",
        "We are full.",
    )
    assert [one["state"] for one in await listed(wire)] == ["pending"]
    (entry,) = (await wire.call("audit.list", action="pairing.approve"))["entries"]
    assert (entry["outcome"], entry["detail"]["rule"]) == ("failure", "closed")


@pytest.mark.parametrize("decision", ["approve", "deny"])
async def test_a_pairing_that_others_decide_about_is_asked_once(
    telegram: TelegramStage, decision: str
) -> None:
    stage = await strict(telegram, TWO)
    code = await asks(stage)
    wire = await stage.connect()
    other = await stage.connect(await stage.token(Role.OWNER))
    refused = await wire.refusal("pairing.approve", code=code)
    assert (refused.kind, refused.data["rule"]) == ("approval_required", "two")
    again = await other.refusal("pairing.approve", code=code)
    assert again.data["approval_id"] == refused.data["approval_id"], "while it waits, it is not asked again"
    approval = (await wire.call("approval.list", state="pending"))["approvals"][0]
    assert (approval["id"], approval["kind"]) == (refused.data["approval_id"], "pairing")
    assert "Person 2002" in approval["body"]
    given: dict[str, Any] = {"approval_id": approval["id"], "decision": decision}
    if decision == "deny":
        await wire.call("approval.decide", **given, reason="No")
        assert [one["state"] for one in await listed(wire, state="all")] == ["rejected"]
        assert LET_IN not in await owed(stage, "2002")
        return
    await wire.call("approval.decide", **given)
    assert [one["state"] for one in await listed(wire)] == ["pending"], "one is not two"
    await other.call("approval.decide", **given)
    assert [one["state"] for one in await listed(wire, state="all")] == ["approved"]
    assert LET_IN in await owed(stage, "2002")
    assert (await wire.call("pairing.approve", pairing_id=(await listed(wire, state="all"))[0]["id"]))[
        "pairing"
    ]["state"] == "approved", "again it changes nothing"
