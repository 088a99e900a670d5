"""What an agent asks for, from its question to its end; the run waits in the store, whatever happens to the gateway."""

import pytest
from gateway_stage import Refused, Stage, Wire, eventually, words

from protocol.records import Role


async def asking(wire: Wire) -> tuple[str, str]:
    """A thread whose agent waits for a decision, and the approval's id."""
    sent = await wire.call("message.send", content=words("approve a release"))
    await wire.call("thread.subscribe", thread_id=sent["thread_id"], from_="start")
    asked = await wire.event("approval.requested", run_id=sent["run_id"])
    return sent["thread_id"], asked["data"]["approval"]["id"]


async def answer(stage: Stage, thread_id: str) -> str:
    """What the agent said in the end."""

    async def said() -> str | None:
        for event in await stage.log(thread_id):
            if event["kind"] == "message.created" and event["data"]["message"]["role"] == "assistant":
                return event["data"]["message"]["content"][0]["text"]
        return None

    return await eventually(said)


@pytest.mark.parametrize(
    ("decision", "outcome"),
    [("approve", "Approved by"), ("deny", "Not approved by")],
)
async def test_the_agent_goes_on_with_the_decision(
    stage: Stage, wire: Wire, decision: str, outcome: str
) -> None:
    thread_id, approval_id = await asking(wire)
    decided = await wire.call("approval.decide", approval_id=approval_id, decision=decision, reason="because")
    assert decided["approval"]["reason"] == "because"
    text = await answer(stage, thread_id)
    assert text.startswith("I would like to do this: a release"), "what it said before stays"
    assert outcome in text and "because" in text
    kinds = [event["kind"] for event in await stage.log(thread_id)]
    assert kinds[4:8] == ["approval.requested", "run.waiting", "approval.decided", "run.resumed"]
    assert kinds.count("run.started") == 1, "waiting is not another attempt"


async def test_a_decision_outlives_the_gateway_that_asked(stage: Stage, wire: Wire) -> None:
    thread_id, approval_id = await asking(wire)
    await stage.restart()
    wire = await stage.connect()
    await wire.call("approval.decide", approval_id=approval_id, decision="approve")
    assert "so I did it" in await answer(stage, thread_id)


async def test_a_run_decided_while_nobody_listened_goes_on_at_the_next_start(
    stage: Stage, wire: Wire
) -> None:
    thread_id, approval_id = await asking(wire)

    def deaf(thread_id: str, run_id: str) -> None:
        """As a gateway that was killed between the decision and the run."""

    stage.gateway.runs.scheduler._continue = deaf  # type: ignore[method-assign]
    await wire.call("approval.decide", approval_id=approval_id, decision="approve")
    await stage.restart()
    assert "so I did it" in await answer(stage, thread_id)


async def test_messages_behind_a_waiting_run_have_their_turn_after_it(stage: Stage, wire: Wire) -> None:
    thread_id, approval_id = await asking(wire)
    later = await wire.call("message.send", thread_id=thread_id, content=words("say later"))
    assert later["run_state"] == "queued"
    await wire.call("approval.decide", approval_id=approval_id, decision="approve")
    await wire.event("run.completed", run_id=later["run_id"])
    completed = [event["run_id"] for event in await stage.log(thread_id) if event["kind"] == "run.completed"]
    assert completed[-1] == later["run_id"] and len(completed) == 2


async def test_a_waiting_run_can_be_stopped_and_lets_others_go_on(stage: Stage, wire: Wire) -> None:
    thread_id, approval_id = await asking(wire)
    (run,) = (await wire.call("run.list", thread_id=thread_id))["runs"]
    later = await wire.call("message.send", thread_id=thread_id, content=words("say later"))
    await wire.call("run.cancel", run_id=run["id"])
    await wire.event("run.completed", run_id=later["run_id"])
    assert (await wire.call("approval.get", approval_id=approval_id))["approval"]["state"] == "cancelled"


async def test_deciding_twice_the_other_way_is_refused(stage: Stage, wire: Wire) -> None:
    _, approval_id = await asking(wire)
    await wire.call("approval.decide", approval_id=approval_id, decision="deny")
    again = await wire.call("approval.decide", approval_id=approval_id, decision="deny")
    assert again["approval"]["state"] == "denied"
    with pytest.raises(Refused) as refused:
        await wire.call("approval.decide", approval_id=approval_id, decision="approve")
    assert (refused.value.kind, refused.value.data["state"]) == ("invalid_state", "denied")


async def test_a_viewer_sees_and_does_not_decide(stage: Stage, wire: Wire) -> None:
    _, approval_id = await asking(wire)
    viewer = await stage.connect(await stage.token(Role.VIEWER))
    (listed,) = (await viewer.call("approval.list", state="pending"))["approvals"]
    assert listed["id"] == approval_id
    with pytest.raises(Refused) as refused:
        await viewer.call("approval.decide", approval_id=approval_id, decision="approve")
    assert refused.value.kind == "forbidden"
