"""The traps that approvals of others fell into, one test for each, by the number it has in the list of requirements."""

from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from approval_stage import Office, office
from gateway_stage import Refused
from hypothesis import given
from hypothesis import strategies as st

from channels.discord.outbound import card_message
from channels.discord.render import render_markdown
from channels.messages import Card, Rendered, RoomRef
from gateway.agents.tools.arguments import BadArguments
from gateway.agents.tools.calculator import Calculator
from gateway.agents.tools.use import ask_for, leave, refusal, told, use
from gateway.policy_settings import ApprovalTerms, PolicySettings
from gateway.rules import deciding, policy
from gateway.rules.visible import visible
from gateway.services import approval_faces
from protocol.approvals import Approval
from protocol.errors import INVALID_PARAMS, Fault
from protocol.methods import METHODS, params_of
from protocol.records import Actor, ActorKind, Role
from storage import approval_votes
from storage.approval_values import Ballot, Decide, Terms, Voter
from storage.errors import StaleFence
from storage.values import DEFAULT_ORG, Act
from tests.gateway.agents.agents_stage import MemoryJournal, decided, make_context
from tests.storage.store_stage import open_scene

CALCULATOR = Calculator()


class Asking:
    """The calculator as a tool that wants a person asked; `parameters` as they are now."""

    kind, risk, name, description, is_repeatable, requires_approval = (
        "tool",
        "medium",
        "calculator",
        "",
        False,
        True,
    )

    def __init__(self, parameters: Any = CALCULATOR.parameters) -> None:
        self.parameters = parameters

    async def call(self, arguments: dict[str, Any], context: Any) -> Any:
        return await CALCULATOR.call(arguments, context)


@given(st.text(min_size=1, max_size=20), st.data())
def test_01_leave_is_for_exactly_this_call_and_no_other(expression: str, data: st.DataObject) -> None:
    ask = ask_for(Asking(), "c1", {"expression": expression})
    context = make_context(decisions=(decided(ask),))
    assert leave(Asking(), "c1", {"expression": expression}, context) is None
    place = data.draw(st.integers(0, len(expression) - 1))
    char = data.draw(st.characters(exclude_categories=("Cs",)).filter(lambda one: one != expression[place]))
    other = expression[:place] + char + expression[place + 1 :]
    assert leave(Asking(), "c1", {"expression": other}, context) is not None, "another argument"
    assert leave(Asking(), "c2", {"expression": expression}, context) is not None, "another call"
    newer = Asking({**CALCULATOR.parameters, "title": "newer"})
    assert leave(newer, "c1", {"expression": expression}, context) is not None, "another version of the tool"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
WORDS = {"approve", "deny", "request_changes", "edit", "grant", "revoke"}


@given(JSON | st.sampled_from([1, True, "true", "Approve", "approve ", "yes", ["approve"], "always"]))
def test_02_only_the_words_themselves_decide(decision: Any) -> None:
    if isinstance(decision, str) and decision in WORDS:
        return
    with pytest.raises(Fault) as refused:
        params_of(METHODS["approval.decide"], {"approval_id": "apr_1", "decision": decision})
    assert refused.value.code == INVALID_PARAMS


async def test_03_what_cannot_be_evaluated_is_denied() -> None:
    sums = PolicySettings.model_validate({"name": "sums", "effect": "allow", "tool": ("calculator",)})
    policies = policy.compiled([sums])
    proposed = policy.Proposed("tool", "calculator", datetime.now(UTC))
    assert policy.decide(policies, proposed).effect == "allow"

    def breaks(proposed: policy.Proposed) -> bool:
        raise ValueError("a condition that breaks")

    (rule,) = policies.rules
    broken = replace(rule, conditions=(policy.Condition("tool", "", breaks),))
    verdict = policy.decide(replace(policies, rules=(broken,), by_kind={"tool": (broken,)}), proposed)
    assert verdict.effect == "deny"
    for odd in (
        '{"expression": NaN}',
        "null",
        "[1]",
        '{"expression": 1e999}',
        "",
        '{"expression": "1", "expression": 2}',
    ):
        try:
            is_odd = refusal(Asking(), odd, is_asked=True) is not None
        except BadArguments:
            is_odd = True
        assert is_odd, odd
        recorded = await use(Asking(), "c1", odd, make_context(), 1.0)
        assert recorded.outcome == "error", "and nothing was done"


async def test_04_whoever_may_not_decide_may_not_on_any_path(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        Decide("apr_1", "approve", "")  # type: ignore[call-arg]
    assert [one.name for one in fields(Decide) if one.name in ("judge", "among")] == ["judge", "among"]
    async with office(tmp_path, approvers=("user:prn_boss", "telegram:7")) as (stage, wire):
        _, approval = await stage.asks(wire)
        asked = {"approval_id": approval["id"], "decision": "approve"}
        operator = await stage.connect(await stage.token(Role.OPERATOR))
        viewer = await stage.connect(await stage.token(Role.VIEWER))
        for connection in (wire, operator, viewer):
            with pytest.raises(Refused) as refused:
                await connection.call("approval.decide", **asked)
            assert refused.value.kind == "forbidden"
        answer = await stage.http(await stage.token(Role.OPERATOR)).post("/v1/approval.decide", json=asked)
        assert answer.status_code == 403
        assert await pressed(stage, approval["id"], "8") == "You may not decide this."
        assert (await wire.call("approval.get", approval_id=approval["id"]))["approval"]["state"] == "pending"
        failures = [
            entry for entry in await stage.audited("approval.decide") if entry["outcome"] == "failure"
        ]
        assert len(failures) == 4, "those whom the scope let in are on record"
        assert await pressed(stage, approval["id"], "7") == "Approved."


async def pressed(stage: Office, approval_id: str, sender_id: str, name: str = "Ada") -> str | None:
    """What somebody of a chat network is told who decides there."""
    actor = Actor(id=f"telegram:{sender_id}", kind=ActorKind.PERSON, name=name)
    act = Act(DEFAULT_ORG, actor, "telegram:main", stage.clock.now_ms())
    wanted = Decide(approval_id, "approve", "", deciding.judge, among=frozenset())
    return await stage.store.engine.write(_press, act, wanted)


def _press(tx: Any, act: Act, wanted: Decide) -> str:
    return approval_votes.press(tx, act, wanted)[1]


def test_05_what_is_blank_is_nobody_and_nothing() -> None:
    nobody = Voter("", frozenset({""}))
    for terms in (Terms(), Terms(approvers=("",)), Terms(approvers=("*",)), Terms(escalate_to=("",))):
        for among in (frozenset[str](), frozenset({"slack:U1"})):
            ballot = Ballot(nobody, terms, True, "", frozenset(), among)
            assert deciding.judge(ballot) == deciding.NOT_YOURS, terms
    for value in ("", ":", "::", ":a", "apr_1", "apr_1:", "apr_1:x", "apr_1:a!!!!"):
        approval_id, letter, _ = approval_faces.read_button(value)
        assert letter == "" or approval_id == "", value
    assert deciding.typed("approve") is None and deciding.typed("approve  ") is None


class Discord:
    """What Discord's adapter shows, without a connection."""

    def render(self, markdown: str, room: RoomRef) -> list[Rendered]:
        return render_markdown(markdown)

    def card(self, card: Card, room: RoomRef) -> Rendered:
        return card_message(card)


def buttons(shown: Rendered) -> list[str]:
    return [one["label"] for row in shown.payload["components"] for one in row["components"]]


def an_approval(body: str, title: str = "Use the tool", **more: Any) -> Approval:
    at = "2026-11-21T09:30:00.000Z"
    values = {
        "id": "apr_1",
        "title": title,
        "body": body,
        "state": "pending",
        "requested_by": "prn_1",
        **more,
    }
    return Approval.model_validate(
        {"subject_hash": "ab" * 32, "created_at": at, "expires_at": at, "run_id": "r", **values}
    )


def test_06_what_is_not_shown_whole_cannot_be_approved_there() -> None:
    short = approval_faces.shown(Discord(), RoomRef("1"), an_approval("rm notes.txt"))  # type: ignore[arg-type]
    assert buttons(short) == ["Approve", "Deny", "Changes"]
    long = approval_faces.shown(Discord(), RoomRef("1"), an_approval("x " * 3_000 + "rm -rf /"))  # type: ignore[arg-type]
    assert buttons(long) == ["Deny", "Changes"]
    assert "not all of it" in long.text and "threadgate approvals show apr_1" in long.text
    assert "abababababababab" in long.text, "the hash tells it apart"
    hidden = visible("rm \u202etxt.exe\u202c \u200b\x1b[31m")
    assert hidden == "rm \\u202etxt.exe\\u202c \\u200b\\u001b[31m"


async def test_07_decisions_find_their_question_by_its_id_in_whatever_order(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        run = await scene.started()
        first, second = scene.approval(key="a"), scene.approval(key="b")
        await scene.wait(run, [first, second])
        await scene.store.approvals.decide(scene.act(), scene.decide(second.id, "deny"))
        await scene.store.approvals.decide(scene.act(), scene.decide(first.id))
        going_on = await scene.resume(run)
        assert going_on is not None
        assert {one.key: one.approved for one in going_on.decisions} == {"a": True, "b": False}


async def test_08_what_was_done_before_the_question_is_not_done_again(tmp_path: Path) -> None:
    async with office(tmp_path) as (stage, wire):
        thread_id, approval = await stage.asks(wire)
        await stage.restart()
        wire = await stage.connect()
        await wire.call("approval.decide", approval_id=approval["id"], decision="approve")
        assert '"result":"42"' in await stage.answer(thread_id)
        used = [
            event["data"]["name"] for event in await stage.log(thread_id) if event["kind"] == "tool.started"
        ]
        assert used == ["clock", "calculator"]


async def test_09_a_decision_is_not_lost_between_deciding_and_doing(tmp_path: Path) -> None:
    async with office(tmp_path) as (stage, wire):
        thread_id, approval = await stage.asks(wire)

        def deaf(thread_id: str, run_id: str) -> None:
            """As a gateway that was killed between the decision and the run."""

        stage.gateway.runs.scheduler._continue = deaf  # type: ignore[method-assign]
        await wire.call("approval.decide", approval_id=approval["id"], decision="approve")
        await stage.restart()
        assert '"result":"42"' in await stage.answer(thread_id)
        wire = await stage.connect()
        found = (await wire.call("approval.get", approval_id=approval["id"]))["approval"]
        assert found["consumed_at"] is not None
        assert len(await stage.audited("approval.consume")) == 1


async def test_10_a_tool_that_changed_since_is_asked_about_again() -> None:
    ask = ask_for(Asking(), "c1", {"expression": "1+1"})
    context = make_context(MemoryJournal(), decisions=(decided(ask),))
    swapped = Asking({**CALCULATOR.parameters, "description": "now it pays"})
    assert leave(swapped, "c1", {"expression": "1+1"}, context) is not None
    recorded = await use(swapped, "c1", {"expression": "1+1"}, context, 1.0)
    assert "nobody was asked" in str(told(recorded))


async def test_11_time_never_allows(tmp_path: Path) -> None:
    assert not {name for name in ApprovalTerms.model_fields if "allow" in name or "default" in name}
    async with office(tmp_path, expires_s=0.2) as (stage, wire):
        thread_id, approval = await stage.asks(wire)
        assert "not approved" in await stage.answer(thread_id), "within the second, not within the minute"
        found = (await wire.call("approval.get", approval_id=approval["id"]))["approval"]
        assert found["state"] == "expired"
        with pytest.raises(Refused) as late:
            await wire.call("approval.decide", approval_id=approval["id"], decision="approve")
        assert late.value.data["state"] == "expired"
    async with open_scene(tmp_path / "edge") as scene:
        asked = await scene.ask(await scene.started(), life_ms=10)
        act = replace(scene.act(), at_ms=scene.now_ms + 10_000)
        exactly = replace(act, at_ms=_expiry(await scene.store.approvals.get(DEFAULT_ORG, asked)))
        with pytest.raises(Fault):
            await scene.store.approvals.decide(exactly, scene.decide(asked))
        assert (await scene.store.approvals.get(DEFAULT_ORG, asked)).state == "expired"


def _expiry(approval: Approval) -> int:
    return round(datetime.fromisoformat(approval.expires_at).timestamp() * 1000)


async def test_12_the_guard_is_in_what_executes_not_in_what_is_offered() -> None:
    tool = Asking()
    recorded = await use(tool, "c1", {"expression": "1+1"}, make_context(), 1.0)
    assert recorded.outcome == "error" and "nobody was asked" in str(told(recorded))


async def test_13_leave_is_used_once(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        run = await scene.started()
        asked = await scene.ask(run)
        early = replace(scene.step("early"), approval_id=asked)
        with pytest.raises(StaleFence):
            await scene.store.journal.open(run, early, scene.now_ms)
        await scene.store.approvals.decide(scene.act(), scene.decide(asked))
        going_on = await scene.resume(run)
        assert going_on is not None
        await scene.open(going_on, replace(scene.step("once"), approval_id=asked))
        with pytest.raises(Fault, match="used already"):
            await scene.open(going_on, replace(scene.step("twice"), approval_id=asked))
        other = await scene.started()
        with pytest.raises(Fault):
            await scene.open(other, replace(scene.step("once"), approval_id=asked))
        assert (await scene.audited()).count("approval.consume") == 1


async def test_14_a_name_in_a_chat_is_nobody(tmp_path: Path) -> None:
    async with office(tmp_path, approvers=("telegram:7", "user:prn_grace")) as (stage, wire):
        _, approval = await stage.asks(wire)
        for name in ("telegram:7", "prn_grace", "user:prn_grace", "Grace"):
            assert await pressed(stage, approval["id"], "666", name) == "You may not decide this."
        assert await pressed(stage, approval["id"], "user:prn_grace") == "You may not decide this."
        await stage.run(
            "INSERT INTO principals (id, org_id, kind, name, role, created_at)"
            " VALUES ('prn_grace', 'org_default', 'user', 'Grace', 'viewer', 0)"
        )
        await stage.run(
            "INSERT INTO chat_links VALUES ('org_default', 'telegram', 'main', '9', 'prn_grace', 'whoever', 0)"
        )
        assert await pressed(stage, approval["id"], "9", "Mallory") == "Approved."


async def test_15_pressed_twice_by_two_and_after_a_restart_it_happens_once(tmp_path: Path) -> None:
    async with office(tmp_path, approvers=("telegram:7", "telegram:8")) as (stage, wire):
        thread_id, approval = await stage.asks(wire)
        await stage.restart()
        says = [await pressed(stage, approval["id"], sender) for sender in ("7", "7", "8")]
        assert says[:2] == ["Approved.", "Approved."]
        assert says[2] is not None and says[2].startswith("This was approved already by Ada")
        assert '"result":"42"' in await stage.answer(thread_id)
        kinds = await stage.kinds(thread_id)
        assert (kinds.count("approval.decided"), kinds.count("run.resumed")) == (1, 1)
