"""Policies over what a run does, in a real gateway: denied, asked, warned, recorded, and changed on the way."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_stage import Wire
from policy_stage import PolicyStage, decide, pending

from gateway.services import reloading
from gateway.settings import SettingsError

FIVE = 'It is {"exact":true,"result":"5"}.'
NO_SUMS = '[[policies]]\nname = "no sums"\neffect = "deny"\ntool = ["calc*"]\nreason = "Use your head."\n'
ASK = '[[policies]]\nname = "ask"\neffect = "require_approval"\ntool = ["calculator"]\n'
ASK_ADMINS = f'{ASK}approval = {{ approvers = ["role:owner"] }}\n'


@pytest.fixture(autouse=True)
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is applied by itself while a test asks for it."""
    monkeypatch.setattr(reloading, "WATCH_S", 3600.0)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[PolicyStage]:
    made = PolicyStage(tmp_path)
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def wire(stage: PolicyStage) -> Wire:
    return await stage.connect()


async def test_without_policies_a_known_tool_is_used_and_nothing_is_noted(
    stage: PolicyStage, wire: Wire
) -> None:
    assert await stage.answer(wire, "/add 2+3") == FIVE
    assert await stage.verdicts() == {}
    assert await stage.entries(wire, "policy.allow") == []


async def test_a_tool_that_a_policy_denies_fails_with_its_reason(stage: PolicyStage, wire: Wire) -> None:
    await stage.change(wire, NO_SUMS)
    assert await stage.answer(wire, "/add 2+3") == "It is calculator must not be used here: Use your head.."
    (entry,) = await stage.entries(wire, "policy.deny")
    assert (entry["outcome"], entry["actor"]["id"]) == ("failure", "player")
    assert entry["subject"]["step"] == "tool/1"
    assert entry["detail"]["rule"] == "no sums"
    assert len(entry["detail"]["policy"]) == 64
    assert await stage.verdicts() == {("deny", "no sums"): 2.0}, (
        "before it is asked about, and before it is used"
    )


async def test_a_tool_that_nobody_knows_is_denied_and_recorded(stage: PolicyStage, wire: Wire) -> None:
    assert (await stage.answer(wire, "/missing")).startswith("There is no tool 'nowhere.at_all'")
    (entry,) = await stage.entries(wire, "policy.deny")
    assert (entry["detail"]["name"], entry["detail"]["rule"]) == ("nowhere.at_all", "")


async def test_a_warning_is_recorded_and_changes_nothing(stage: PolicyStage, wire: Wire) -> None:
    await stage.change(wire, '[[policies]]\nname = "mind"\neffect = "warn"\ntool = ["calculator"]\n')
    assert await stage.answer(wire, "/add 2+3") == FIVE
    (entry,) = await stage.entries(wire, "policy.warn")
    assert (entry["outcome"], entry["detail"]["rules"]) == ("success", ["mind"])


@pytest.mark.parametrize(
    ("decision", "answer"),
    [("approve", FIVE), ("deny", "It is The call was not approved by local operator: no..")],
)
async def test_a_tool_that_needs_approval_waits_for_it(
    stage: PolicyStage, wire: Wire, decision: str, answer: str
) -> None:
    await stage.change(wire, ASK)
    thread_id, run_id = await stage.say(wire, "/add 2+3")
    reason = {"reason": "no"} if decision == "deny" else {}
    approval = await decide(wire, decision, **reason)
    assert approval["title"] == "Use the tool calculator"
    assert await stage.answer_of(thread_id, run_id) == answer
    (entry,) = await stage.entries(wire, "policy.require_approval")
    assert (entry["subject"]["run_id"], entry["detail"]["rule"]) == (run_id, "ask")


async def test_approval_waits_through_a_restart(stage: PolicyStage, wire: Wire) -> None:
    await stage.change(wire, ASK)
    thread_id, run_id = await stage.say(wire, "/add 2+3")
    await pending(wire)
    await stage.restart()
    await decide(await stage.connect())
    assert await stage.answer_of(thread_id, run_id) == FIVE


async def test_a_policy_that_became_stricter_meanwhile_asks_anew(stage: PolicyStage, wire: Wire) -> None:
    await stage.change(wire, ASK)
    thread_id, run_id = await stage.say(wire, "/add 2+3")
    first = await pending(wire)
    await stage.change(wire, ASK_ADMINS)
    await wire.call("approval.decide", approval_id=first["id"], decision="approve")
    second = await decide(wire)
    assert second["id"] != first["id"]
    assert await stage.answer_of(thread_id, run_id) == FIVE


async def test_what_was_approved_and_is_forbidden_by_now_is_not_done(stage: PolicyStage, wire: Wire) -> None:
    await stage.change(wire, ASK)
    thread_id, run_id = await stage.say(wire, "/add 2+3")
    first = await pending(wire)
    await stage.change(wire, NO_SUMS)
    await wire.call("approval.decide", approval_id=first["id"], decision="approve")
    assert "Use your head." in await stage.answer_of(thread_id, run_id)


async def test_nobody_is_asked_again_about_what_is_done(stage: PolicyStage, wire: Wire) -> None:
    """The sum was made before the policy came; the run waits for the time alone and ends with both."""
    ask_time = '[[policies]]\nname = "time"\neffect = "require_approval"\ntool = ["clock"]\n'
    await stage.change(wire, ask_time)
    thread_id, run_id = await stage.say(wire, "/twice 2+3")
    await pending(wire)
    await stage.change(wire, ask_time + ASK)
    await decide(wire)
    assert await stage.answer_of(thread_id, run_id) == FIVE
    assert (await wire.call("run.replay", run_id=run_id))["replay"]["verified"]


async def test_a_policy_may_name_what_may_be_done_unasked(tmp_path: Path) -> None:
    more = 'requires_approval = ["calculator", "clock"]\n'
    allow = '[[policies]]\nname = "sums"\neffect = "allow"\ntool = ["calculator"]\n'
    stage = PolicyStage(tmp_path, allow, more)
    await stage.start()
    try:
        wire = await stage.connect()
        assert await stage.answer(wire, "/add 2+3") == FIVE
        (entry,) = await stage.entries(wire, "policy.allow")
        assert entry["detail"]["rule"] == "sums"
        await stage.change(wire, allow.replace('"calculator"', '"*"'))
        await stage.say(wire, "/add 2+3")
        assert (await pending(wire))["title"] == "Use the tool calculator"
    finally:
        await stage.close()


async def test_what_strangers_wrote_can_be_told_from_the_rest(stage: PolicyStage, wire: Wire) -> None:
    tainted = '[[policies]]\nname = "taint"\neffect = "deny"\ntool = ["calculator"]\ntainted = true\n'
    await stage.change(wire, tainted)
    assert await stage.answer(wire, "/add 1+1") == 'It is {"exact":true,"result":"2"}.'
    assert "must not be used here" in await stage.answer(wire, "/read"), "it had read a page before"


async def test_a_wrong_policy_changes_nothing(stage: PolicyStage, wire: Wire) -> None:
    await stage.change(wire, NO_SUMS)
    stage.write(NO_SUMS + '[[policies]]\nname = "x"\neffect = "deny"\nagent = ["nobody"]\n')
    refused = await wire.refusal("agent.reload")
    assert "policies.1.agent: 'nobody' is none of the agents" in refused.error["message"]
    assert "Use your head." in await stage.answer(wire, "/add 2+3")


async def test_policies_are_part_of_what_a_reload_tells(stage: PolicyStage, wire: Wire) -> None:
    await stage.change(wire, NO_SUMS)
    (entry,) = await stage.entries(wire, "agent.reload")
    assert entry["detail"]["settings"] == ["policies"]
    assert entry["detail"]["restart_needed"] == []
    assert len(entry["detail"]["policy"]) == 64


async def test_a_gateway_does_not_start_with_policies_that_cannot_be_read(tmp_path: Path) -> None:
    stage = PolicyStage(tmp_path, '[[policies]]\nname = "x"\neffect = "forbid"\n')
    with pytest.raises(SettingsError):
        await stage.start()
