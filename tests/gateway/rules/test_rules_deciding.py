"""Who may decide, and how it is typed: the one function that judges, against what its terms say."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.deciding import DISABLED, INVOLVED, NOT_YOURS, judge, typed
from storage.approval_values import Ballot, Terms, Voter

ADA = Voter("prn_ada", frozenset({"user:prn_ada", "slack:U1", "role:approver"}))
ID = "apr_0123456789abcdefghjkmnpqrs"
ANY = Ballot(ADA, Terms(), False, "prn_bob", frozenset({"prn_bob"}), None)


@pytest.mark.parametrize(
    ("approvers", "may"),
    [
        (("role:approver",), True),
        (("user:prn_ada",), True),
        (("slack:U1",), True),
        (("slack:*",), True),
        (("slack:U2", "role:approver"), True),
        (("role:admin",), False),
        (("role:approve",), False),
        (("slack:u1",), False),
        (("prn_ada",), False),
        (("telegram:*",), False),
    ],
)
@pytest.mark.parametrize("among", [None, frozenset(), frozenset({"slack:U9"})])
def test_named_approvers_decide_over_every_surface_and_nobody_else(
    approvers: tuple[str, ...], may: bool, among: frozenset[str] | None
) -> None:
    ballot = replace(ANY, terms=Terms(approvers=approvers), among=among)
    assert judge(ballot) == (None if may else NOT_YOURS)


def test_without_named_ones_it_is_the_account_s_or_whoever_asked() -> None:
    assert judge(ANY) is None, "a caller of the protocol holds the scope"
    assert judge(replace(ANY, among=frozenset({"slack:U1"}))) is None
    assert judge(replace(ANY, among=frozenset({"slack:U2"}))) == NOT_YOURS
    assert judge(replace(ANY, among=frozenset())) == NOT_YOURS
    assert judge(replace(ANY, among=frozenset(), requested_by="slack:U1")) is None
    assert judge(replace(ANY, among=frozenset(), requested_by="")) == NOT_YOURS


def test_who_is_behind_it_does_not_decide_where_duties_are_separate() -> None:
    ballot = replace(ANY, involved=frozenset({"prn_ada"}))
    assert judge(ballot) is None
    for terms in (
        Terms(separation=True),
        Terms(separation=True, approvers=("slack:U1",), escalate_to=("slack:U1",)),
    ):
        assert judge(replace(ballot, terms=terms, is_escalated=True)) == INVOLVED


def test_the_second_group_decides_after_its_time_only() -> None:
    ballot = replace(ANY, terms=Terms(approvers=("user:prn_x",), escalate_to=("role:approver",)))
    assert judge(ballot) == NOT_YOURS
    assert judge(replace(ballot, is_escalated=True)) is None


def test_a_disabled_account_decides_nothing() -> None:
    assert judge(replace(ANY, voter=replace(ADA, is_disabled=True))) == DISABLED


@pytest.mark.parametrize(
    ("text", "decides"),
    [
        ("approve 3f9a1c2b", ("approve", "3f9a1c2b", "")),
        ("/approve 3F9A1C2B looks good", ("approve", "3f9a1c2b", "looks good")),
        (f"!deny {ID} not on\na Friday", ("deny", ID, "not on\na Friday")),
        ("  Changes 3f9a1c  shorter ", ("request_changes", "3f9a1c", "shorter")),
        ("/approve@gate_bot 3f9a1c2b", ("approve", "3f9a1c2b", "")),
        ("approve a release", None),
        ("approve", None),
        ("approve 3f9a1", None),
        ("please approve 3f9a1c2b", None),
        ("approved 3f9a1c2b", None),
        ("approve 3f9a1c2z", None),
    ],
)  # fmt: skip
def test_a_decision_in_words_has_a_code(text: str, decides: tuple[str, str, str] | None) -> None:
    found = typed(text)
    assert (found and (found.vote, found.code, found.text)) == decides


@given(st.text(max_size=40))
def test_no_other_words_decide(text: str) -> None:
    found = typed(text)
    assert found is None or found.code in text.lower()
