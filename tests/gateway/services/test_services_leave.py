"""What no run wants to do and people decide all the same: letting somebody in, releasing an agent."""

from pathlib import Path
from typing import Any

import pytest
from gateway_stage import Refused, Stage, TelegramStage, eventually, until

from channels.emulators.telegram import TelegramEmulator
from gateway.policy_settings import PolicySettings
from protocol.ids import IdPrefix
from protocol.records import Actor, ActorKind, Role
from storage.values import DEFAULT_ORG, Act, Delivered, Entry, Notice, PairingOffer, Telling


def policies(kind: str, effect: str = "require_approval", **terms: Any) -> tuple[PolicySettings, ...]:
    """One rule about a kind of act."""
    rule = {"name": f"{kind}s", "effect": effect, "kind": (kind,), "reason": "ask first"}
    return (PolicySettings.model_validate({**rule, "approval": terms} if terms else rule),)


async def eve(stage: Stage) -> str:
    """Somebody who asks to be let in; returns the id of their pairing."""
    clock = stage.clock
    pairing_id, now_ms = clock.new_id(IdPrefix.PAIRING), clock.now_ms()
    told = Telling(notice=Notice(clock.new_id(IdPrefix.DELIVERY), '{"text":"","payload":{}}'))
    offer = PairingOffer(pairing_id, "Eve", "AAAA-BBBB", now_ms + 600_000, 9, told, Telling())
    act = Act(DEFAULT_ORG, Actor(id="telegram:1", kind=ActorKind.PERSON, name="Eve"), "telegram:gate", now_ms)
    asking = Delivered("1", "accepted", None, "1", room="1", act=act, entry=Entry(frozenset()), offer=offer)
    await stage.store.inbox.commit(DEFAULT_ORG, "telegram", "gate", [asking], {}, now_ms)
    return pairing_id


@pytest.mark.parametrize(("decision", "state"), [("approve", "approved"), ("deny", "rejected")])
async def test_a_pairing_waits_for_a_second_person(tmp_path: Path, decision: str, state: str) -> None:
    stage = Stage(tmp_path, policies=policies("pairing", separation=True))
    await stage.start()
    try:
        wire = await stage.connect()
        pairing_id = await eve(stage)
        for _ in range(2):
            with pytest.raises(Refused) as refused:
                await wire.call("pairing.approve", pairing_id=pairing_id)
            assert refused.value.kind == "approval_required"
        (approval,) = (await wire.call("approval.list"))["approvals"]
        assert refused.value.data["approval_id"] == approval["id"]
        assert (approval["kind"], approval["rule"]) == ("pairing", "pairings")
        assert "Eve" in approval["body"] and pairing_id in approval["body"]
        asked = {"approval_id": approval["id"], "decision": decision, "reason": "known"}
        with pytest.raises(Refused):
            await wire.call("approval.decide", **asked)
        other = await stage.connect(await stage.token(Role.APPROVER))
        await other.call("approval.decide", **asked)
        (pairing,) = (await wire.call("pairing.list", state="all"))["pairings"]
        assert pairing["state"] == state
    finally:
        await stage.close()


async def test_a_pairing_that_the_policies_deny_is_not_approved(tmp_path: Path) -> None:
    stage = Stage(tmp_path, policies=policies("pairing", "deny"))
    await stage.start()
    try:
        wire = await stage.connect()
        with pytest.raises(Refused) as refused:
            await wire.call("pairing.approve", pairing_id=await eve(stage))
        assert (refused.value.kind, refused.value.error["message"]) == ("policy_denied", "ask first")
        assert (await wire.call("approval.list"))["approvals"] == []
    finally:
        await stage.close()


async def test_an_agent_is_a_draft_until_its_version_is_approved(
    tmp_path: Path, emulator: TelegramEmulator
) -> None:
    stage = TelegramStage(tmp_path / "data", emulator)
    stage._given["policies"] = policies("release", quorum=1)
    await stage.start()
    try:
        emulator.say("say hi")
        await until(lambda: any("not released yet" in text for text in stage.texts()))
        wire = await stage.connect()
        (approval,) = (await wire.call("approval.list"))["approvals"]
        assert (approval["kind"], approval["requested_by"]) == ("release", "gateway")
        await stage.restart()
        wire = await stage.connect()
        (same,) = (await wire.call("approval.list"))["approvals"]
        assert same["id"] == approval["id"], "a restart does not ask again"
        await wire.call("approval.decide", approval_id=approval["id"], decision="approve")

        async def is_answered() -> bool:
            emulator.say("say hello")
            return "hello" in stage.texts()

        await eventually(is_answered)
    finally:
        await stage.close()
