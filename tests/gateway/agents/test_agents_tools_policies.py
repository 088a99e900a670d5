"""Tools under policies: denied, asked under terms, asked anew, edited; and nobody calls a tool but `use`."""

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agents_stage import MemoryJournal, make_context
from model_stage import Counter

from gateway.agents.leave import SHOWN_CHARS, fenced
from gateway.agents.port import AgentAsk, AgentFailure, RunContext
from gateway.agents.tools.absent import AbsentTool
from gateway.agents.tools.use import ask_for, leave, told, use
from gateway.policy_settings import ApprovalTerms
from gateway.rules.policy import Verdict
from storage.values import Decided

ROOT = Path(__file__).parents[3]
TWO = ApprovalTerms(quorum=2)
ALLOW = Verdict("allow", "")
DENY = Verdict("deny", "Not today.", "closed")
ASK = Verdict("require_approval", "Look at it.", "ask", ApprovalTerms())
ASK_TWO = Verdict("require_approval", "Look at it twice.", "ask", TWO)
BY = {"by": 1}


class Desk:
    """A run whose policies a test changes while it goes on."""

    def __init__(self, verdict: Verdict, **tool: Any) -> None:
        self.verdict = verdict
        self.judged: list[tuple[object, ...]] = []
        self.tool = Counter(**tool)
        self.journal = MemoryJournal()
        self.decisions: tuple[Decided, ...] = ()

    @property
    def context(self) -> RunContext:
        return make_context(self.journal, guard=self._judge, decisions=self.decisions)

    def _judge(self, *about: object) -> Verdict:
        self.judged.append(about)
        return self.verdict

    def leave(self, arguments: Any = BY) -> AgentAsk | None:
        return leave(self.tool, "1", arguments, self.context)

    async def use(self, arguments: Any = BY) -> Any:
        return told(await use(self.tool, "1", arguments, self.context, 1))

    def decide(self, ask: AgentAsk, approved: bool = True, **more: Any) -> None:
        one = Decided("apr_1", approved, more.pop("reason", ""), "Olga", ask.key, ask.subject_hash, **more)
        self.decisions += (one,)

    def asked(self, arguments: Any = BY) -> AgentAsk:
        ask = self.leave(arguments)
        assert ask is not None
        return ask


async def test_the_guard_is_asked_about_the_tool_that_is_there() -> None:
    desk = Desk(ALLOW, name="device.laptop.notify", kind="device", risk="high", requires_approval=True)
    assert await desk.use() == {"effects": 1}
    assert desk.judged == [("device", "laptop.notify", "high", True, True)]
    assert desk.journal.begun["tool/1"].verdict == ALLOW


async def test_what_is_denied_is_recorded_as_an_error_and_does_nothing() -> None:
    desk = Desk(DENY)
    assert desk.leave() is None, "nobody is asked about what cannot be done"
    assert await desk.use() == "count must not be used here: Not today."
    assert desk.tool.effects == []
    assert desk.journal.ended["tool/1"].outcome == "error"
    assert desk.journal.begun["tool/1"].verdict == DENY


async def test_a_person_does_not_lift_what_is_denied() -> None:
    desk = Desk(ASK)
    desk.decide(desk.asked())
    desk.verdict = DENY
    assert await desk.use() == "count must not be used here: Not today."
    assert desk.tool.effects == []


def test_the_question_has_the_terms_of_the_policy() -> None:
    desk = Desk(ASK_TWO, risk="high")
    ask = desk.asked()
    assert (ask.kind, ask.name, ask.rule, ask.terms, ask.risk) == ("tool", "count", "ask", TWO, "high")
    assert ask.schema == desk.tool.parameters
    assert (ask.subject["tool"], ask.subject["arguments"]) == ("count", BY)


async def test_what_is_approved_is_done_once() -> None:
    desk = Desk(ASK)
    desk.decide(desk.asked())
    assert desk.leave() is None
    assert await desk.use() == {"effects": 1}
    assert await desk.use() == {"effects": 1}
    assert len(desk.tool.effects) == 1


@pytest.mark.parametrize("change", [{"by": 2}, {"by": 1.0}, {}])
async def test_approval_is_for_exactly_these_arguments(change: dict[str, object]) -> None:
    desk = Desk(ASK)
    desk.decide(desk.asked())
    assert desk.leave(change) is not None
    with pytest.raises(AgentFailure, match="a person has to decide"):
        await desk.use(change)
    assert desk.tool.effects == []


async def test_stricter_terms_are_asked_about_anew() -> None:
    desk = Desk(ASK)
    desk.decide(desk.asked())
    desk.verdict = ASK_TWO
    ask = desk.asked()
    with pytest.raises(AgentFailure) as failed:
        await desk.use()
    assert (failed.value.kind, failed.value.passes) == ("policy_changed", True)
    assert "tool/1" not in desk.journal.begun
    desk.decide(ask)
    assert await desk.use() == {"effects": 1}


@pytest.mark.parametrize("after", [ASK, ASK_TWO, ALLOW])
async def test_a_denial_stands_whatever_the_policies_say_later(after: Verdict) -> None:
    desk = Desk(ASK)
    desk.decide(desk.asked(), approved=False, reason="Too much")
    desk.verdict = after
    assert desk.leave() is None
    assert await desk.use() == "The call was not approved by Olga: Too much."
    assert desk.tool.effects == []


async def test_a_policy_that_comes_between_asking_and_doing_is_obeyed() -> None:
    desk = Desk(ALLOW)
    assert desk.leave() is None
    desk.verdict = ASK
    with pytest.raises(AgentFailure, match="changed just now"):
        await desk.use()
    assert desk.tool.effects == []


async def test_what_is_done_is_not_asked_about_nor_forbidden_any_more() -> None:
    desk = Desk(ALLOW)
    await desk.use()
    for verdict in (ASK, DENY):
        desk.verdict = verdict
        assert desk.leave() is None
        assert await desk.use() == {"effects": 1}


async def test_the_arguments_of_whoever_approved_are_used() -> None:
    desk = Desk(ASK)
    ask = desk.asked()
    desk.decide(ask, edited=json.dumps({"tool": "count", "arguments": {"by": 7}}))
    assert await desk.use() == {"effects": 1}
    assert desk.tool.effects == [{"by": 7}]
    assert desk.journal.begun["tool/1"].request == {"tool": "count", "arguments": {"by": 7}, "asked": BY}
    desk.verdict = ASK_TWO
    assert await desk.use() == {"effects": 1}, "what is recorded is recognised under other policies"


@pytest.mark.parametrize(
    "edited",
    [
        {"tool": "count", "arguments": {"by": "seven"}},
        {"tool": "other", "arguments": BY},
        [],
        {"tool": "count"},
    ],
)
async def test_edited_arguments_are_checked_like_any(edited: object) -> None:
    desk = Desk(ASK)
    desk.decide(desk.asked(), edited=json.dumps(edited))
    assert isinstance(await desk.use(), str)
    assert desk.tool.effects == []


async def test_the_agent_is_told_what_people_want_changed() -> None:
    desk = Desk(ASK)
    desk.decide(desk.asked(), approved=False, wants_changes=True, reason="Less")
    assert await desk.use() == "The call was not made: Olga wants it to be different: Less."


async def test_arguments_too_large_to_be_shown_are_not_asked_about() -> None:
    desk = Desk(ASK, parameters={"type": "object"})
    many = {"x": "\u200b" * 60_000}
    assert len(fenced(many)) > SHOWN_CHARS, "each invisible character is shown as six"
    assert desk.leave(many) is None
    assert "too large to be shown" in str(await desk.use(many))
    desk.verdict = ALLOW
    desk.journal = MemoryJournal()
    assert await desk.use(many) == {"effects": 1}, "nobody has to see it"


async def test_no_policy_makes_a_tool_that_is_not_there() -> None:
    journal, absent = MemoryJournal(), AbsentTool("x.y", "x is away")
    context = make_context(journal, guard=lambda *about: ALLOW)
    assert told(await use(absent, "1", {}, context, 1)) == "x is away"
    seen: list[tuple[object, ...]] = []
    context = make_context(guard=lambda *about: seen.append(about) or DENY)
    assert told(await use(absent, "1", {}, context, 1)) == "x is away"
    assert seen == [("tool", "x.y", "medium", False, False)]


def test_a_question_shows_what_hides() -> None:
    ask = ask_for(Counter(parameters={"type": "object"}), "1", {"x": "a\u202eb```"})
    assert "\\u202e" in ask.body
    assert "````json" in ask.body


# --- nobody else executes a tool ------------------------------------------------------------------

EXECUTES: dict[str, set[str]] = {
    "gateway/agents/tools/use.py": {"tool.call(arguments, context)"},
    "gateway/agents/tools/mcp_tools.py": {
        "self.server.call(self.name[len(self.server.name) + 1:], arguments)"  # the call of such a tool itself
    },
    "gateway/agents/model/agent.py": {"tools.call(call)"},  # ModelTools, which uses `use`
    "gateway/agents/acp/attempt.py": {"self._inside.call(_json(update))"},  # records, executes nothing
}
"""Every `.call(…)` below `gateway/agents` and `gateway/services`: a new one has to be looked at, and to stand here."""
ASIDE = {"gateway/services/views.py", "gateway/services/attempts.py"}
"""`call` is something else there: of a chat network."""


def calls(path: Path, matches: Callable[[ast.Attribute], bool]) -> set[str]:
    tree = ast.parse(path.read_text())
    return {
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and matches(node.func)
    }


def test_a_tool_is_called_in_one_place_only() -> None:
    found = {}
    for folder in ("gateway/agents", "gateway/services"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            made = calls(path, lambda function: function.attr == "call")
            if made and name not in ASIDE:
                found[name] = made
    assert found == EXECUTES


def test_servers_of_tools_are_called_in_one_place_only() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "gateway").rglob("*.py")
        if calls(path, lambda function: function.attr == "call_tool")
    }
    assert found == {"gateway/agents/tools/mcp_server.py"}
