"""kind="remote" under policies: a worker's tool steps are denied, or wait as data for a person."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateway_stage import Frame, Wire
from policy_stage import pending
from workers_stage import RemoteStage

from gateway.policy_settings import PolicySettings
from storage.values import DEFAULT_ORG

NO_PAYING = PolicySettings(name="no paying", effect="deny", tool=("pay",), reason="The till is closed.")
ASK_FIRST = PolicySettings(name="ask first", effect="require_approval", tool=("pay",))


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[RemoteStage]:
    made = RemoteStage(tmp_path / "data")
    yield made
    await made.close()


async def begun(stage: RemoteStage, **settings: Any) -> tuple[Wire, Any, Frame, Frame]:
    """A gateway with these settings, a worker, and a run that it executes."""
    await stage.start(**settings)
    wire = await stage.connect()
    worker = await stage.worker()
    sent = await stage.ask(wire, "pay")
    return wire, worker, sent, await worker.execute()


async def test_a_step_that_is_denied_is_recorded_as_an_error_and_never_begins(stage: RemoteStage) -> None:
    wire, worker, sent, run = await begun(stage, policies=(NO_PAYING,))
    known = await worker.step(run, "pay/1", "begin", name="pay", request={"amount": 5})
    assert known == {
        "is_recorded": True,
        "outcome": "error",
        "result": {"error": "pay must not be used here: The till is closed."},
    }
    assert await worker.step(run, "look/1", "begin", name="look", request={}) == {"is_recorded": False}
    await worker.step(run, "look/1", "end", result="seen")
    await worker.output(run, "done")
    await stage.ended(sent["run_id"])
    (entry,) = (await wire.call("audit.list", action="policy.deny"))["entries"]
    assert (entry["outcome"], entry["detail"]["rule"]) == ("failure", "no paying")
    assert entry["subject"]["step"] == "within/prompt/1/tool/pay/1"


@pytest.mark.parametrize(
    ("decision", "wanted"),
    [
        ("approve", {"is_recorded": False}),
        (
            "deny",
            {
                "is_recorded": True,
                "outcome": "error",
                "result": {"error": "The call was not approved by local operator: too much."},
            },
        ),
    ],
)
async def test_a_step_that_needs_leave_waits_as_data_and_the_run_begins_again(
    stage: RemoteStage, decision: str, wanted: Frame
) -> None:
    wire, worker, sent, run = await begun(stage, policies=(ASK_FIRST,))
    refused = await worker.wire.refusal(
        "run.step",
        run_id=run["run_id"],
        fence=run["fence"],
        key="pay/1",
        phase="begin",
        kind="tool",
        name="pay",
        request={"amount": 5},
    )
    assert (refused.kind, "A person has to allow this first" in refused.error["message"]) == (
        "invalid_state",
        True,
    )
    await worker.cancelled()
    approval = await pending(wire)
    assert '"amount": 5' in approval["body"]
    assert (await stage.store.runs.get(DEFAULT_ORG, sent["run_id"])).state.value == "waiting"
    reason = {"reason": "too much"} if decision == "deny" else {}
    await wire.call("approval.decide", approval_id=approval["id"], decision=decision, **reason)
    run = await worker.execute()
    assert await worker.step(run, "pay/1", "begin", name="pay", request={"amount": 5}) == wanted


async def test_leave_is_for_exactly_that_request(stage: RemoteStage) -> None:
    wire, worker, _, run = await begun(stage, policies=(ASK_FIRST,))
    step = {"run_id": run["run_id"], "fence": run["fence"], "key": "pay/1", "phase": "begin", "kind": "tool"}
    await worker.wire.refusal("run.step", **step, name="pay", request={"amount": 5})
    approval = await pending(wire)
    await wire.call("approval.decide", approval_id=approval["id"], decision="approve")
    run = await worker.execute()
    step["fence"] = run["fence"]
    await worker.wire.refusal("run.step", **step, name="pay", request={"amount": 500})
    assert '"amount": 500' in (await pending(wire))["body"]


async def test_tools_that_the_settings_do_not_name_are_not_known(stage: RemoteStage) -> None:
    stage._given["agents"] = (stage._given["agents"][0].model_copy(update={"own_tools": ("look",)}),)
    _, worker, _, run = await begun(stage)
    known = await worker.step(run, "pay/1", "begin", name="pay", request={})
    assert (known["outcome"], "not known here" in known["result"]["error"]) == ("error", True)
    assert await worker.step(run, "look/1", "begin", name="look", request={}) == {"is_recorded": False}


async def test_steps_that_are_no_tools_are_not_judged(stage: RemoteStage) -> None:
    everything = PolicySettings(name="nothing", effect="deny", kind=("tool",))
    _, worker, _, run = await begun(stage, policies=(everything,))
    begin = await worker.step(run, "m/1", "begin", kind="model", name="large", request={})
    assert begin == {"is_recorded": False}
