"""The table of methods, and validation that never echoes what it was given."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import methods
from protocol.errors import INVALID_PARAMS, Fault
from protocol.methods import METHODS, Method, params_of, validated
from protocol.requests import HelloParams
from protocol.scopes import Scope

MARK = "hunter2-do-not-repeat"
ROWS = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
SCALARS = st.one_of(
    st.none(), st.booleans(), st.floats(), st.integers(), st.just(MARK), st.just(MARK * 100_000)
)


@ROWS
def test_each_method_has_a_scope_a_summary_and_a_name_of_two_words(method: Method) -> None:
    assert isinstance(method.scope, Scope)
    assert method.summary
    assert re.fullmatch(r"[a-z]+\.[a-z]+", method.name)
    assert METHODS[method.name] is method


@ROWS
def test_mutating_methods_and_only_they_take_an_idempotency_key(method: Method) -> None:
    assert method.mutating == ("idempotency_key" in method.params.model_fields)


@ROWS
def test_results_are_objects_that_name_their_content(method: Method) -> None:
    lists = [name for name, field in method.result.model_fields.items() if "list[" in str(field.annotation)]

    assert method.result.model_json_schema()["type"] == "object"
    assert all(name.endswith("s") or name == "matches" for name in lists)


def test_there_are_fewer_than_sixty() -> None:
    names = re.findall(r'Method\(\s*"([a-z.]+)"', Path(methods.__file__).read_text())

    assert len(METHODS) < 60
    assert sorted(names) == sorted(METHODS), "a name occurs twice"


def test_params_are_validated_and_unknown_fields_ignored() -> None:
    params = params_of(METHODS["thread.get"], {"thread_id": "thr_1", "later": {"much": 1}})

    assert params.model_dump() == {"thread_id": "thr_1"}


def test_bad_params_name_every_path() -> None:
    with pytest.raises(Fault) as refused:
        params_of(METHODS["message.send"], {"content": [{"type": "text"}], "on_busy": 3})

    assert refused.value.code == INVALID_PARAMS
    assert [found["path"] for found in refused.value.data["errors"]] == ["content.0.text.text", "on_busy"]


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    tagged = st.fixed_dictionaries({"type": inner, "text": inner, "token": inner})
    return st.one_of(st.lists(inner, max_size=3), tagged)


@st.composite
def calls(draw: st.DrawFn) -> tuple[Any, Mapping[str, Any]]:
    model = draw(st.sampled_from([HelloParams, *(method.params for method in METHODS.values())]))
    names = [field.alias or name for name, field in model.model_fields.items()]
    values = st.recursive(SCALARS, _nested, max_leaves=4)
    return model, draw(st.dictionaries(st.sampled_from(names), values)) if names else {}


@given(calls())
def test_a_refusal_never_echoes_a_value(call: tuple[Any, Mapping[str, Any]]) -> None:
    model, values = call
    try:
        validated(model, values)
    except Fault as fault:
        assert fault.code == INVALID_PARAMS
        assert MARK not in json.dumps([fault.message, fault.data])


def test_an_unknown_tag_is_not_echoed() -> None:
    with pytest.raises(Fault) as refused:
        params_of(METHODS["message.send"], {"content": [{"type": MARK}]})

    assert refused.value.data["errors"] == [
        {"path": "content.0", "message": "`type` should be one of 'text', 'blob'"}
    ]
