"""The seal of a run: whatever it did differently makes another hash, whatever order it did it in does not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.journal import Visit, differences, seal
from storage.run_values import Answered
from storage.values import Decided

FIRST = Visit("model/1", "model", "gpt", "aa", "ok", "bb")
SECOND = Visit("tool/1", "tool", "pay", "cc", "ok", "dd")
DECIDED = Decided("apr_1", True, "fine", "Olga", "tool/1", "ee")
ANSWERED = Answered("ask/1", "blue", "Olga")


def sealed(**changes: object) -> str:
    given = {
        "text": "hello",
        "visits": [FIRST, SECOND],
        "decisions": [DECIDED],
        "answers": [ANSWERED],
        "said": "Done.",
        "files": ["ff"],
    }
    return seal(**(given | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "hello!"},
        {"said": "Done"},
        {"visits": [FIRST]},
        {"visits": [FIRST, replace(SECOND, request_hash="00")]},
        {"visits": [FIRST, replace(SECOND, result_hash="00")]},
        {"visits": [FIRST, replace(SECOND, outcome="error")]},
        {"decisions": []},
        {"decisions": [replace(DECIDED, approved=False)]},
        {"decisions": [replace(DECIDED, subject_hash="00")]},
        {"answers": [Answered("ask/1", "red", "Olga")]},
        {"files": []},
    ],
    ids=str,
)
def test_everything_that_matters_is_in_the_hash(changes: dict[str, object]) -> None:
    assert sealed(**changes) != sealed()


@given(st.permutations([FIRST, SECOND, replace(SECOND, key="tool/2"), replace(SECOND, key="tool/3")]))
def test_steps_beside_one_another_have_no_order(visits: list[Visit]) -> None:
    assert sealed(visits=visits) == sealed(visits=sorted(visits, key=lambda one: one.key))


def test_the_hash_is_the_same_in_every_version() -> None:
    assert sealed() == sealed(files=("ff",))
    assert seal("", [], [], [], "") == "85cd458edf6d6882d0ff5d7f26abcfdc88508f374f769203fc3f69f9276b232e"


def test_differences_name_the_step_and_what_is_other() -> None:
    before = {one.key: one for one in (FIRST, SECOND)}
    after = {"model/1": replace(FIRST, request_hash="00"), "tool/9": replace(SECOND, key="tool/9")}
    assert differences(before, after) == [
        "model/1: another request",
        "tool/1: it did not come to this step any more",
        "tool/9: it came to this step, which is not recorded",
    ]
    assert differences(before, dict(before)) == []
