"""What people can do beside yes and no, from a client: edit, send back, grant, several of them, in time."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from approval_stage import RULE, office
from gateway_stage import Refused, eventually, words

from gateway.rules.policy import compiled
from protocol.records import Role


async def test_an_edited_call_is_made_with_exactly_what_was_approved(tmp_path: Path) -> None:
    async with office(tmp_path) as (stage, wire):
        thread_id, approval = await stage.asks(wire, "sum 6*7")
        edited = await wire.call(
            "approval.decide", approval_id=approval["id"], decision="edit", arguments={"expression": "2*4"}
        )
        shown = edited["approval"]["edited"]
        assert shown["subject"]["arguments"] == {"expression": "2*4"}
        assert '-  "expression": "6*7"' in shown["diff"] and '+  "expression": "2*4"' in shown["diff"]
        assert shown["subject_hash"] != approval["subject_hash"]
        assert '"result":"8"' in await stage.answer(thread_id)
        (entry,) = await stage.audited("approval.edit")
        assert entry["detail"] == {"from": approval["subject_hash"], "to": shown["subject_hash"]}
        again = await wire.call(
            "approval.decide", approval_id=approval["id"], decision="edit", arguments={"expression": "2*4"}
        )
        assert again["approval"]["state"] == "approved", "an identical retry succeeds"
        with pytest.raises(Refused) as other:
            await wire.call(
                "approval.decide", approval_id=approval["id"], decision="edit", arguments={"expression": "3"}
            )
        assert other.value.kind == "invalid_state"


@pytest.mark.parametrize("arguments", [{}, {"expression": 5}, {"expression": "1", "more": 1}])
async def test_an_edit_that_the_tool_does_not_take_is_refused(tmp_path: Path, arguments: dict) -> None:
    async with office(tmp_path) as (stage, wire):
        _, approval = await stage.asks(wire)
        with pytest.raises(Refused) as refused:
            await wire.call(
                "approval.decide", approval_id=approval["id"], decision="edit", arguments=arguments
            )
        assert refused.value.kind == "invalid_params"
        assert (await stage.pending(wire, approval["thread_id"]))["id"] == approval["id"]


async def test_an_edit_is_judged_by_the_policies_of_now(tmp_path: Path) -> None:
    async with office(tmp_path) as (stage, wire):
        _, approval = await stage.asks(wire)
        settings = stage.gateway._settings
        denies = settings.policies[0].model_copy(update={"effect": "deny", "reason": "not any more"})
        stage.gateway.governance.guard.replace(compiled([denies]))
        with pytest.raises(Refused) as refused:
            await wire.call(
                "approval.decide", approval_id=approval["id"], decision="edit", arguments={"expression": "1"}
            )
        assert (refused.value.kind, refused.value.data["rule"]) == ("policy_denied", RULE)


async def test_what_is_sent_back_reaches_the_agent_as_words(tmp_path: Path) -> None:
    async with office(tmp_path) as (stage, wire):
        thread_id, approval = await stage.asks(wire)
        with pytest.raises(Refused) as blank:
            await wire.call(
                "approval.decide", approval_id=approval["id"], decision="request_changes", reason="  "
            )
        assert blank.value.kind == "invalid_params"
        sent_back = await wire.call(
            "approval.decide", approval_id=approval["id"], decision="request_changes", reason="round it"
        )
        assert sent_back["approval"]["state"] == "changes_requested"
        said = await stage.answer(thread_id)
        assert "wants it to be different" in said and "round it" in said


async def test_a_grant_lets_the_next_of_its_sort_go_on_until_it_is_used_up(tmp_path: Path) -> None:
    async with office(tmp_path) as (stage, wire):
        thread_id, approval = await stage.asks(wire, "twice 1")
        granted = await wire.call(
            "approval.decide",
            approval_id=approval["id"],
            decision="grant",
            grant={"scope": "thread", "uses": 1, "ttl_s": 600},
        )
        assert granted["approval"]["grant"]["uses_left"] == 1
        said = await stage.answer(thread_id)
        assert '"result":"1"' in said and '"result":"2"' in said, "it was asked once"
        listed = (await wire.call("approval.list", thread_id=thread_id))["approvals"]
        assert [one["state"] for one in listed] == ["approved", "approved"]
        assert listed[0]["grant_id"] == granted["approval"]["grant"]["id"]
        assert (await wire.call("approval.list", granted=True))["approvals"] == [], "used up"
        assert len(await stage.audited("approval.consume")) == 2


async def test_a_revoked_grant_is_none(tmp_path: Path) -> None:
    async with office(tmp_path) as (stage, wire):
        thread_id, approval = await stage.asks(wire, "sum 1")
        grant = {"scope": "agent", "ttl_s": 600}
        await wire.call("approval.decide", approval_id=approval["id"], decision="grant", grant=grant)
        await stage.answer(thread_id)
        (alive,) = (await wire.call("approval.list", granted=True))["approvals"]
        assert alive["id"] == approval["id"]
        await wire.call("approval.decide", approval_id=approval["id"], decision="revoke")
        assert (await wire.call("approval.list", granted=True))["approvals"] == []
        sent = await wire.call("message.send", content=words("sum 2"))
        assert (await stage.pending(wire, sent["thread_id"]))["state"] == "pending"


@pytest.mark.parametrize(
    "grant", [{}, {"uses": 0}, {"uses": 10_000}, {"ttl_s": 10**9}, {"scope": "all", "uses": 1}]
)
async def test_there_is_no_grant_without_an_end(tmp_path: Path, grant: dict) -> None:
    async with office(tmp_path) as (stage, wire):
        _, approval = await stage.asks(wire)
        with pytest.raises(Refused) as refused:
            await wire.call("approval.decide", approval_id=approval["id"], decision="grant", grant=grant)
        assert refused.value.kind == "invalid_params"


async def test_two_people_approve_and_who_asked_is_none_of_them(tmp_path: Path) -> None:
    async with office(
        tmp_path, quorum=2, separation=True, approvers=("role:owner", "role:approver", "role:operator")
    ) as (stage, wire):
        thread_id, approval = await stage.asks(wire)
        asked = {
            "approval_id": approval["id"],
            "decision": "approve",
            "subject_hash": approval["subject_hash"],
        }
        with pytest.raises(Refused) as own:
            await wire.call("approval.decide", **asked)
        assert own.value.kind == "forbidden" and "asked for it" in own.value.error["message"]
        first = await stage.connect(await stage.token(Role.APPROVER))
        second = await stage.connect(await stage.token(Role.OPERATOR))
        mine = (await first.call("approval.list", mine=True))["approvals"]
        assert [one["id"] for one in mine] == [approval["id"]]
        assert (await wire.call("approval.list", mine=True))["approvals"] == []
        assert (await first.call("approval.decide", **asked))["approval"]["state"] == "pending"
        assert (await first.call("approval.decide", **asked))["approval"]["state"] == "pending", "one person"
        assert (await first.call("approval.list", mine=True))["approvals"] == []
        done = (await second.call("approval.decide", **asked))["approval"]
        assert (done["state"], len(done["votes"])) == ("approved", 2)
        assert '"result":"42"' in await stage.answer(thread_id)


async def test_reminder_and_escalation_come_in_time(tmp_path: Path) -> None:
    terms = {
        "approvers": ("user:prn_away",),
        "remind_s": 0.1,
        "escalate_s": 0.2,
        "escalate_to": ("role:owner",),
    }
    async with office(tmp_path, **terms) as (stage, wire):
        _, approval = await stage.asks(wire)

        async def escalated() -> bool:
            found = (await wire.call("approval.get", approval_id=approval["id"]))["approval"]
            return "escalated_at" in found and "reminded_at" in found

        await eventually(escalated)
        owner = await wire.call("approval.decide", approval_id=approval["id"], decision="approve")
        assert owner["approval"]["state"] == "approved"
        assert datetime.fromisoformat(owner["approval"]["escalated_at"]) < datetime.now(UTC)
