"""A program that speaks the Agent Client Protocol, under policies: asked, told, and ended when it does not ask."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from acp_stage import deciding, failed, running, told
from agents_stage import MemoryJournal, decided

from gateway.agents.acp.agent import AcpAgent
from gateway.agents.port import AgentAsk
from gateway.policy_settings import ApprovalTerms
from gateway.rules.policy import Verdict
from storage.values import Decided

ALLOW = Verdict("allow", "", "yes")
DENY = Verdict("deny", "Read only.", "no edits")
ASK_TWO = Verdict("require_approval", "", "two", ApprovalTerms(quorum=2))


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[AcpAgent]:
    async with running(tmp_path) as agent:
        yield agent


class Guard:
    """Says what a test says, by the kind of the tool; what was judged is in `judged`."""

    def __init__(self, **by_kind: Verdict) -> None:
        self.by_kind = by_kind
        self.judged: list[tuple[object, ...]] = []

    def __call__(self, kind: str, name: str, risk: str, is_known: bool, asks: bool) -> Verdict:
        self.judged.append((kind, name, risk, is_known, asks))
        default = Verdict("require_approval", "") if asks else Verdict("allow", "")
        return self.by_kind.get(name, default)


async def test_without_a_rule_a_person_is_asked_as_the_program_wants(agent: AcpAgent, tmp_path: Path) -> None:
    asked: list[AgentAsk] = []
    guard = Guard()
    given = await told(agent, "ask c1 done.txt it", ask=deciding(True, asked), guard=guard)
    assert given.text == "permission: once"
    assert [(ask.name, ask.rule) for ask in asked] == [("edit", "")]
    assert guard.judged[0] == ("tool", "edit", "medium", True, True)


async def test_what_a_policy_denies_is_rejected_and_nobody_is_asked(agent: AcpAgent, tmp_path: Path) -> None:
    asked: list[AgentAsk] = []
    journal = MemoryJournal()
    guard = Guard(edit=DENY)
    given = await told(agent, "ask c1 done.txt it", journal=journal, ask=deciding(True, asked), guard=guard)
    assert (given.text, asked) == ("permission: no", [])
    assert not (tmp_path / "done.txt").exists()
    assert journal.begun["within/1/tool/c1"].verdict == DENY, "it is recorded before it is answered"


async def test_what_a_rule_allows_is_allowed_once_without_asking(agent: AcpAgent, tmp_path: Path) -> None:
    asked: list[AgentAsk] = []
    given = await told(agent, "ask c1 done.txt it", ask=deciding(True, asked), guard=Guard(edit=ALLOW))
    assert (given.text, asked) == ("permission: once", [])
    assert (tmp_path / "done.txt").read_text() == "it\n"


async def test_a_rule_says_who_is_asked(agent: AcpAgent) -> None:
    asked: list[AgentAsk] = []
    await told(agent, "ask c1 done.txt it", ask=deciding(True, asked), guard=Guard(edit=ASK_TWO))
    (ask,) = asked
    assert (ask.rule, ask.terms) == ("two", ApprovalTerms(quorum=2))
    assert ask.key.endswith("/permission/c1/1")


@pytest.mark.parametrize(
    ("later", "questions", "said"), [(DENY, 1, "no"), (ASK_TWO, 2, "once"), (ALLOW, 1, "once")]
)
async def test_policies_are_asked_again_when_the_decision_is_there(
    agent: AcpAgent, later: Verdict, questions: int, said: str
) -> None:
    asked: list[AgentAsk] = []
    guard = Guard()

    async def ask(one: AgentAsk) -> Decided:
        asked.append(one)
        guard.by_kind["edit"] = later
        return decided(one)

    given = await told(agent, "ask c1 done.txt it", ask=ask, guard=guard)
    assert given.text == f"permission: {said}"
    assert len(asked) == questions


@pytest.mark.parametrize(("verdict", "why"), [(DENY, "Read only."), (ASK_TWO, "without asking")])
async def test_a_program_that_does_not_ask_is_ended_when_it_does_what_it_must_not(
    agent: AcpAgent, tmp_path: Path, verdict: Verdict, why: str
) -> None:
    journal = MemoryJournal()
    failure = await failed(
        agent, "tool t1 look", "effect later.txt x", journal=journal, guard=Guard(read=verdict)
    )
    assert (failure.kind, failure.passes) == ("policy_denied", False)
    assert why in str(failure)
    assert journal.begun["within/1/tool/t1"].verdict == verdict
    assert journal.ended["within/1/tool/t1"].outcome == "unknown", "nobody knows how far it came"


async def test_calls_that_nothing_speaks_against_are_only_recorded(agent: AcpAgent) -> None:
    journal, guard = MemoryJournal(), Guard()
    await told(agent, "tool t1 look", journal=journal, guard=guard)
    assert guard.judged == [("tool", "read", "low", True, False)]
    assert journal.ended["within/1/tool/t1"].outcome == "ok"


async def test_tools_beyond_those_of_its_settings_are_not_known(tmp_path: Path) -> None:
    guard = Guard()
    async with running(tmp_path, own_tools=("edit",)) as agent:
        await told(agent, "tool t1 look", guard=guard)
    assert guard.judged == [("tool", "read", "low", False, False)]
