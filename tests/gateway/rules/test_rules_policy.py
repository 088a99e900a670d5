"""Policies: one verdict for every act, whatever the rules' order; what cannot be judged is denied."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy_settings import ApprovalTerms, PolicySettings
from gateway.rules.policy import (
    HIGH_RISK,
    NOT_JUDGED,
    NOT_KNOWN,
    REMEMBERED,
    Condition,
    Policies,
    Proposed,
    Verdict,
    compiled,
    decide,
)
from gateway.rules.policy_explanation import explain

NOON = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
CALL = Proposed(
    "tool",
    "github.create_issue",
    NOON,
    agent="ops",
    channel="slack",
    account="acme",
    room="C1",
    person="slack:U1",
)
COMMAND = replace(CALL, kind="device", name="laptop.notify")
STRICTNESS = {"allow": 0, "require_approval": 1, "deny": 2}


def rule(name: str, effect: str, **keys: Any) -> PolicySettings:
    return PolicySettings.model_validate({"name": name, "effect": effect, **keys})


def judge(rules: Sequence[PolicySettings], proposed: Proposed = CALL) -> Verdict:
    return decide(compiled(rules), proposed)


NAMES = ("github.create_issue", "clock", "laptop.notify", "")
PATTERNS = st.sampled_from(["github.*", "clock", "*", "laptop.notify", "github.create_issue"])
TERMS = st.builds(
    ApprovalTerms,
    quorum=st.integers(1, 3),
    denials=st.integers(1, 3),
    separation=st.booleans(),
    grants=st.booleans(),
    expires_s=st.none() | st.sampled_from([60.0, 3600.0]),
    approvers=st.sampled_from([(), ("role:approver",), ("role:admin", "user:usr_1")]),
)


@st.composite
def rules(
    draw: st.DrawFn, effects: Sequence[str] = ("allow", "warn", "require_approval", "deny")
) -> PolicySettings:
    effect = draw(st.sampled_from(effects))
    keys: dict[str, Any] = {
        "tool": tuple(draw(st.lists(PATTERNS, max_size=2))),
        "agent": draw(st.sampled_from([(), ("ops",), ("o*",), ("other",)])),
        "channel": draw(st.sampled_from([(), ("slack",), ("slack:acme",), ("client",)])),
        "person": draw(st.sampled_from([(), ("slack:U1",), ("*",)])),
        "risk": draw(st.sampled_from([(), ("high",), ("low", "medium")])),
        "tainted": draw(st.sampled_from([None, None, True, False])),
        "time": draw(st.sampled_from(["", "mon-fri", "22:00-06:00 Europe/Berlin"])),
    }
    if effect == "require_approval":
        keys["approval"] = draw(TERMS)
    return rule(draw(st.uuids()).hex, effect, **keys)


ACTS = st.builds(
    Proposed,
    kind=st.sampled_from(["tool", "device", "message", "pairing", "release"]),
    name=st.sampled_from(NAMES),
    at=st.sampled_from([NOON, NOON.replace(hour=23), NOON.replace(day=22)]),
    agent=st.sampled_from(["ops", "other", ""]),
    channel=st.sampled_from(["slack", "client", ""]),
    account=st.sampled_from(["acme", ""]),
    room=st.just("C1"),
    person=st.sampled_from(["slack:U1", ""]),
    risk=st.sampled_from(["low", "medium", "high"]),
    is_known=st.booleans(),
    asks_anyway=st.booleans(),
    tainted=st.booleans(),
)
RULE_LISTS = st.lists(rules(), max_size=6)


# --- what holds for every set of rules ------------------------------------------------------------


@given(some=RULE_LISTS, act=ACTS, seed=st.randoms(use_true_random=False))
def test_the_order_of_the_rules_means_nothing(some: list[PolicySettings], act: Proposed, seed: Any) -> None:
    mixed = [*some]
    seed.shuffle(mixed)
    assert judge(mixed, act) == judge(some, act)


@given(some=RULE_LISTS, act=ACTS)
def test_a_rule_that_denies_and_fits_wins(some: list[PolicySettings], act: Proposed) -> None:
    verdict = judge([*some, rule("never", "deny", kind=[act.kind], reason="No.")], act)
    assert verdict.effect == "deny"


@given(some=RULE_LISTS, more=rules(effects=("warn", "require_approval", "deny")), act=ACTS)
def test_a_rule_never_makes_a_verdict_laxer_unless_it_allows(
    some: list[PolicySettings], more: PolicySettings, act: Proposed
) -> None:
    before, after = judge(some, act), judge([*some, more], act)
    if before.reason == HIGH_RISK:
        return  # the one exception: such a rule says who may allow what would be denied for want of one
    assert STRICTNESS[after.effect] >= STRICTNESS[before.effect]
    if before.terms is not None and after.terms is not None:
        assert after.terms.quorum >= before.terms.quorum
        assert after.terms.denials <= before.terms.denials
        assert after.terms.separation >= before.terms.separation
        assert after.terms.grants <= before.terms.grants
        assert (after.terms.expires_s or 1e9) <= (before.terms.expires_s or 1e9)
        assert not before.terms.approvers or after.terms.approvers


@given(some=RULE_LISTS, act=ACTS)
def test_the_explanation_is_of_the_same_verdict(some: list[PolicySettings], act: Proposed) -> None:
    explained = explain(compiled(some), act)
    fitting = {one.rule.name for one in explained.rules if not one.misfits}
    assert explained.verdict == judge(some, act)
    assert {one.rule.name for one in explained.rules} == {one.name for one in some}
    assert {explained.verdict.rule, *explained.verdict.warned_by} - {""} <= fitting
    if not fitting:
        assert explained.verdict.rule == ""


@given(some=RULE_LISTS, act=ACTS)
def test_what_is_not_known_needs_a_rule_that_gives_its_whole_name(
    some: list[PolicySettings], act: Proposed
) -> None:
    unknown = replace(act, is_known=False)
    named = any(one.effect == "allow" and act.name in one.tool for one in some)
    if not named:
        assert judge(some, unknown).effect == "deny"


class Broken(Exception):
    pass


def breaking(policies: Policies, number: int, error: Exception) -> Policies:
    """The same policies; one of the rules breaks when it is asked."""

    def breaks(proposed: Proposed) -> bool:
        raise error

    broken = [*policies.rules]
    at = number % len(broken)
    broken[at] = replace(broken[at], conditions=(Condition("time", "whenever", breaks),))
    by_kind = {
        kind: tuple(one for one in broken if one.name in {rule.name for rule in known})
        for kind, known in policies.by_kind.items()
    }
    return replace(policies, rules=tuple(broken), by_kind=by_kind)


@given(
    some=st.lists(rules(), min_size=1, max_size=6),
    act=ACTS,
    number=st.integers(0, 5),
    error=st.sampled_from([Broken("x"), KeyError("zone"), RecursionError(), MemoryError(), ValueError("tz")]),
)
def test_what_cannot_be_evaluated_is_denied_and_nothing_is_raised(
    some: list[PolicySettings], act: Proposed, number: int, error: Exception
) -> None:
    policies = breaking(compiled(some), number, error)
    asked = policies.rules[number % len(some)] in policies.about(act)
    verdict = decide(policies, act)
    assert (verdict.effect, verdict.reason) == ("deny", NOT_JUDGED) if asked else not verdict.broken
    assert verdict.rule == "" or not asked


@given(act=ACTS, junk=st.none() | st.integers() | st.text() | st.lists(st.text()))
def test_an_act_that_makes_no_sense_is_denied(act: Proposed, junk: object) -> None:
    always = [rule("all", "allow"), rule("hours", "allow", time="mon-fri 09:00-17:00")]
    assert decide(compiled(always), replace(act, kind=junk)).effect == "deny"  # type: ignore[arg-type]
    assert judge(always, replace(CALL, at=junk)).reason == NOT_JUDGED  # type: ignore[arg-type]


def test_a_time_without_a_zone_is_denied_where_the_time_matters() -> None:
    naive = replace(CALL, at=NOON.replace(tzinfo=None))
    assert judge([rule("hours", "allow", time="mon-fri")], naive).reason == NOT_JUDGED


# --- the defaults ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "effect"),
    [
        (CALL, "allow"),
        (replace(CALL, risk="high"), "allow"),
        (replace(CALL, is_known=False), "deny"),
        (replace(CALL, asks_anyway=True), "require_approval"),
        (COMMAND, "allow"),
        (replace(COMMAND, risk="low"), "allow"),
        (replace(COMMAND, risk="high"), "deny"),
        (replace(COMMAND, is_known=False, risk="low"), "deny"),
        (replace(CALL, kind="message", name="C1"), "allow"),
        (replace(CALL, kind="pairing", name="person"), "allow"),
        (replace(CALL, kind="release", name="2"), "allow"),
    ],
)
def test_what_no_rule_fits_has_a_default(act: Proposed, effect: str) -> None:
    verdict = judge([], act)
    assert (verdict.effect, verdict.rule, verdict.terms) == (effect, "", None)
    elsewhere = judge([rule("elsewhere", "deny", agent=["other"])], act)
    assert replace(elsewhere, version="") == replace(verdict, version="")


def test_a_command_of_high_risk_may_be_allowed_or_asked_about() -> None:
    risky = replace(COMMAND, risk="high")
    assert judge([rule("yes", "allow", risk=["high"])], risky).effect == "allow"
    assert judge([rule("ask", "require_approval", kind=["device"])], risky).effect == "require_approval"


# --- what lifts what ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowing", "effect"),
    [
        ({}, "require_approval"),
        ({"tool": ["*"]}, "require_approval"),
        ({"tool": ["github.*"]}, "require_approval"),
        ({"agent": ["ops"]}, "require_approval"),
        ({"tool": ["github.create_issue"]}, "allow"),
        ({"tool": ["clock", "github.create_issue"], "agent": ["ops"]}, "allow"),
        ({"tool": ["github.create_issue"], "agent": ["other"]}, "require_approval"),
    ],
)
def test_what_the_agents_settings_want_asked_is_lifted_by_the_whole_name_only(
    allowing: dict[str, Any], effect: str
) -> None:
    asks = replace(CALL, asks_anyway=True)
    assert judge([rule("yes", "allow", **allowing)], asks).effect == effect
    unknown = judge([rule("yes", "allow", **allowing)], replace(CALL, is_known=False))
    assert (unknown.effect, unknown.reason) == (("allow", "") if effect == "allow" else ("deny", NOT_KNOWN))


def test_asking_beats_allowing_even_by_the_whole_name() -> None:
    both = [
        rule("a", "allow", tool=["github.create_issue"]),
        rule("b", "require_approval", tool=["github.*"], approval={"quorum": 2}),
    ]
    verdict = judge(both, replace(CALL, asks_anyway=True))
    assert (verdict.effect, verdict.rule) == ("require_approval", "b")
    assert verdict.terms is not None and verdict.terms.quorum == 2


def test_a_warning_changes_nothing_and_is_told() -> None:
    warned = judge(
        [rule("w", "warn", reason="Mind the issue."), rule("v", "warn"), rule("x", "warn", agent=["b"])]
    )
    assert (warned.effect, warned.rule) == ("allow", "")
    assert warned.warned_by == ("v", "w")
    assert warned.warnings == ("The policy 'v' warns.", "Mind the issue.")


def test_reasons_are_those_of_the_rules() -> None:
    assert judge([rule("no", "deny", reason="Ask Ann.")]).reason == "Ask Ann."
    assert judge([rule("no", "deny")]).reason == "The policy 'no' forbids it."
    assert judge([rule("who", "require_approval")]).reason == "The policy 'who' wants a person to decide."


# --- the strictest terms --------------------------------------------------------------------------


def test_several_rules_that_ask_become_the_strictest_terms() -> None:
    verdict = judge(
        [
            rule(
                "many",
                "require_approval",
                approval={
                    "quorum": 3,
                    "denials": 2,
                    "expires_s": 3600,
                    "rooms": ["slack:acme:C9"],
                },
            ),
            rule(
                "named",
                "require_approval",
                approval={"approvers": ["role:admin"], "separation": True, "grants": False, "remind_s": 30},
            ),
            rule(
                "others",
                "require_approval",
                approval={
                    "approvers": ["role:approver"],
                    "quorum": 2,
                    "expires_s": 600,
                    "escalate_s": 60,
                    "escalate_to": ["role:owner"],
                    "rooms": ["discord:acme:7", "slack:acme:C9"],
                },
            ),
        ]
    )
    assert verdict.rule == "others", "the largest quorum of those that name people"
    assert verdict.terms == ApprovalTerms(
        approvers=("role:approver",),
        quorum=3,
        denials=1,
        separation=True,
        expires_s=600,
        remind_s=30,
        escalate_s=60,
        escalate_to=("role:owner",),
        rooms=("slack:acme:C9", "discord:acme:7"),
        grants=False,
    )


def test_equal_rules_are_led_by_the_first_name() -> None:
    terms: Callable[[str], dict[str, Any]] = lambda role: {"approvers": [role], "quorum": 2}  # noqa: E731
    pair = [
        rule("b", "require_approval", approval=terms("role:admin")),
        rule("a", "require_approval", approval=terms("role:owner")),
    ]
    for both in (pair, pair[::-1]):
        verdict = judge(both)
        assert verdict.terms is not None
        assert (verdict.rule, verdict.terms.approvers) == ("a", ("role:owner",))


# --- matching -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "change"),
    [
        ({"tool": ["github.*"]}, {"name": "gitlab.create_issue"}),
        ({"agent": ["ops"]}, {"agent": "Ops"}),
        ({"channel": ["slack"]}, {"channel": "discord"}),
        ({"channel": ["slack:acme"]}, {"account": "other"}),
        ({"channel": ["slack:*"]}, {"account": ""}),
        ({"room": ["C1"]}, {"room": "C2"}),
        ({"room": ["*"]}, {"room": ""}),
        ({"person": ["slack:U*"]}, {"person": "telegram:U1"}),
        ({"person": ["*"]}, {"person": ""}),
        ({"risk": ["medium"]}, {"risk": "high"}),
        ({"tainted": False}, {"tainted": True}),
        ({"time": "wed 09:00-17:00"}, {"at": NOON.replace(hour=17)}),
        ({"kind": ["tool"]}, {"kind": "device"}),
    ],
)
def test_every_key_that_is_given_must_fit(keys: dict[str, Any], change: dict[str, Any]) -> None:
    never = [rule("no", "deny", **keys)]
    assert judge(never).effect == "deny"
    assert judge(never, replace(CALL, **change)).effect == "allow"
    assert judge([rule("no", "deny", **{**keys, "agent": ["else"]})]).effect == "allow"


def test_a_rule_without_a_kind_is_about_acts_that_have_what_it_asks_for() -> None:
    never = [rule("no", "deny", tool=["*"])]
    assert judge(never, replace(CALL, kind="message", name="C1")).effect == "allow"
    assert judge(never, COMMAND).effect == "deny"


def test_made_up_names_are_not_remembered_without_end() -> None:
    policies = compiled([rule("no", "deny", tool=["x*"])])
    for number in range(REMEMBERED + 10):
        assert decide(policies, replace(CALL, name=f"x{number}")).effect == "deny"
    assert len(policies._by_name) <= REMEMBERED
    assert decide(policies, replace(CALL, name="x" * 100_000)).effect == "deny"
    assert max(len(name) for _, name in policies._by_name) < 1_000


# --- which policies these are ---------------------------------------------------------------------


def test_the_version_is_that_of_what_the_rules_say() -> None:
    one, other = rule("a", "deny", agent=["ops"]), rule("b", "warn")
    version = compiled([one, other]).version
    assert len(version) == 64
    assert compiled([other, one]).version == version
    assert compiled([rule("a", "deny", agent=["ops"], room=[]), other]).version == version, (
        "said or not, the same"
    )
    assert compiled([one]).version != version
    assert compiled([rule("a", "deny", agent=["ops2"]), other]).version != version
    assert judge([one, other]).version == version
    assert judge([], CALL).version == compiled([]).version


def test_an_explanation_names_every_misfit() -> None:
    found = explain(
        compiled(
            [
                rule("fits", "warn", tool=["github.*"]),
                rule("two", "deny", tool=["clock"], channel=["client"], risk=["high"]),
                rule("kind", "deny", kind=["message"]),
            ]
        ),
        replace(CALL, tainted=True),
    )
    assert {one.rule.name: one.misfits for one in found.rules} == {
        "fits": (),
        "kind": ("it is about message, not about tool",),
        "two": (
            "risk is medium, not high",
            "tool is github.create_issue, not clock",
            "channel is slack:acme, not client",
        ),
    }
