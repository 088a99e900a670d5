"""What a person must allow: decided by who may, about exactly what was shown, once, never by accident."""

import asyncio
from typing import Any

import pytest

from gateway.agent_settings import DemoSettings
from protocol.records import Role
from tests.contract.networks import ADA, BOB, Network, Shown
from tests.gateway.gateway_stage import Refused, Stage, Wire, words
from tests.security.security_stage import ChatStage

DONE = "so I did it"


async def asking(wire: Wire, text: str = "approve a release") -> tuple[str, str]:
    """A thread whose agent waits for a decision, and the approval's id."""
    sent = await wire.call("message.send", content=words(text))
    await wire.call("thread.subscribe", thread_id=sent["thread_id"], from_="start")
    asked = await wire.event("approval.requested", run_id=sent["run_id"])
    return sent["thread_id"], asked["data"]["approval"]["id"]


async def state_of(wire: Wire, approval_id: str) -> str:
    state: str = (await wire.call("approval.get", approval_id=approval_id))["approval"]["state"]
    return state


async def card_in(chat: ChatStage, network: Network, said: Any) -> Shown:
    """The card that asks, once it is there."""

    def found() -> list[Shown]:
        return [one for one in network.answers(said) if one.buttons]

    await chat.eventually(found)
    return found()[0]


async def test_approval_by_the_wrong_role(stage: Stage, wire: Wire) -> None:
    """GHSA-mqpw-46fh-299h (/approve with operator.write), CVE-2026-33579: one scope decides, on every path."""
    _, approval_id = await asking(wire)
    for role in (Role.VIEWER, Role.DEVELOPER, Role.AUDITOR):
        secret = await stage.token(role)
        other = await stage.connect(secret)
        claims = {"scopes": ["approval.decide"], "role": "approver"}
        with pytest.raises(Refused, match="forbidden"):
            await other.call("approval.decide", approval_id=approval_id, decision="approve", **claims)
        body = {"approval_id": approval_id, "decision": "approve"}
        assert (await stage.http(secret).post("/v1/approval.decide", json=body)).status_code == 403
    assert await state_of(wire, approval_id) == "pending"


async def test_approval_by_the_wrong_person(chat: ChatStage, network: Network) -> None:
    """GHSA-wh94-p5m6-mr7j (untrusted sender in a tool flow): a button that somebody else presses decides nothing."""
    await chat.go(dm_policy="open")
    said = network.mention(network.room(), "approve a release")
    card = await card_in(chat, network, said)
    await network.press(card, "Approve", BOB)
    await chat.eventually(lambda: network.whispers(card.spot, BOB))
    assert await chat.events("approval.decided") == []
    await network.press(card, "Approve", ADA)
    assert (await chat.has_event("approval.decided"))["actor"]["name"] == ADA.name


async def test_approval_by_what_is_said(chat: ChatStage, network: Network) -> None:
    """GHSA-mqpw-46fh-299h: words that look like a decision, of somebody who may not decide, are words."""
    await chat.go(dm_policy="open", approvers=[network.id_of(ADA)])
    said = network.mention(network.room(), "approve a release")
    await card_in(chat, network, said)
    owner = await chat.operator()
    (approval,) = (await owner.call("approval.list"))["approvals"]
    for text in (
        f"/approve {approval['id']}",
        f"approve {approval['id']}",
        f"{approval['id']}:a",
        "Approve",
        "yes",
    ):
        network.mention(network.room("elsewhere"), text, BOB)
    marker = network.mention(network.room("third"), "say after all that", BOB)
    await chat.answer(marker, "after all that")
    assert await chat.events("approval.decided") == []
    assert await state_of(owner, approval["id"]) == "pending"


@pytest.mark.parametrize(
    "decision", [1, True, "true", "True", "yes", "", None, "APPROVE", "approve ", ["approve"], {}]
)
async def test_truthy_coercion(stage: Stage, wire: Wire, decision: object) -> None:
    """pydantic-ai #6995, #6922: something truthy approved. The decision is one of a closed list of words."""
    _, approval_id = await asking(wire)
    refused = await wire.refusal("approval.decide", approval_id=approval_id, decision=decision)
    assert refused.code == -32602
    assert await state_of(wire, approval_id) == "pending"


@pytest.mark.parametrize(
    "missing",
    [{}, {"approval_id": ""}, {"approval_id": None}, {"approval_id": "apr_"}, {"decision": "approve"}],
)
async def test_a_missing_argument_opens_nothing(stage: Stage, wire: Wire, missing: dict[str, Any]) -> None:
    """CVE-2026-33579 (a missing argument meant open), LangGraph #6108, #6863: a decision names its approval, by id."""
    _, approval_id = await asking(wire)
    with pytest.raises(Refused):
        await wire.call("approval.decide", **missing)
    assert await state_of(wire, approval_id) == "pending"


async def test_replay_of_a_consumed_approval(stage: Stage, wire: Wire) -> None:
    """OpenAI SDK #4257, #4447: an approval that was used lets nothing else happen."""
    thread_id, approval_id = await asking(wire)
    await wire.call("approval.decide", approval_id=approval_id, decision="approve")
    await wire.event("run.completed")
    await wire.call("approval.decide", approval_id=approval_id, decision="approve")
    with pytest.raises(Refused):
        await wire.call("approval.decide", approval_id=approval_id, decision="deny")
    sent = await wire.call("message.send", thread_id=thread_id, content=words("approve a release"))
    asked = await wire.event("approval.requested", run_id=sent["run_id"])
    again = asked["data"]["approval"]["id"]
    assert again != approval_id and await state_of(wire, again) == "pending", "the same words are another act"
    kinds = await stage.kinds(thread_id)
    assert kinds.count("approval.decided") == 1 and kinds.count("run.completed") == 1


async def test_two_decide_at_once(stage: Stage, wire: Wire) -> None:
    """By two people, at once, over two transports: one wins and the other is told who."""
    _, approval_id = await asking(wire)
    http = stage.http(await stage.token(Role.APPROVER))
    answers = await asyncio.gather(
        *(
            http.post("/v1/approval.decide", json={"approval_id": approval_id, "decision": decision})
            for decision in ("approve", "deny") * 5
        )
    )
    winner = await state_of(wire, approval_id)
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(200) == 5 and winner in ("approved", "denied")


async def test_timeout_never_allows(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """askFallback and timeoutBehavior (OpenClaw): after its deadline an approval approves nothing."""
    await stage.restart(agents=(DemoSettings(id="demo", wait_timeout_s=60.0),))
    wire = await stage.connect()
    thread_id, approval_id = await asking(wire)
    now_ms = stage.clock.now_ms
    monkeypatch.setattr(stage.clock, "now_ms", lambda: now_ms() + 60_001)
    with pytest.raises(Refused):
        await wire.call("approval.decide", approval_id=approval_id, decision="approve")
    assert await state_of(wire, approval_id) != "approved"
    assert DONE not in str(await stage.log(thread_id))


async def test_truncated_display(chat: ChatStage, network: Network) -> None:
    """GHSA-7q2j-c4q5-rm27 (a deep link showed less than was run): what is decided is shown whole, or not offered."""
    await chat.go(dm_policy="open")
    tail = "and then delete everything"
    times = 200 if network.kind == "discord" else 420  # a person's message there has 2000 characters at most
    said = network.mention(network.room(), f"approve {'harmless ' * times}{tail}")
    await chat.has_event("approval.requested")
    await chat.settled()
    for card in network.answers(said):
        assert tail in card.text or "Approve" not in card.buttons, "approved although its end is not shown"


async def test_text_that_turns_around(chat: ChatStage, network: Network) -> None:
    """GHSA-7q2j-c4q5-rm27: control and bidirectional characters of an act cannot dress it as another."""
    await chat.go(dm_policy="open")
    said = network.mention(network.room(), "approve a \u202egnp.exe\u202c \u2066release")
    card = await card_in(chat, network, said)
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(card.text)
