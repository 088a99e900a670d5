"""Equal values are equal bytes: what approvals bind to and runs are sealed with."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.canonical import canonical, digest

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(values)
def test_the_text_says_the_value(value: object) -> None:
    assert json.loads(canonical(value)) == value


@given(st.dictionaries(st.text(max_size=5), values, max_size=5))
def test_the_order_of_keys_does_not_matter(value: dict[str, object]) -> None:
    assert canonical(dict(reversed(value.items()))) == canonical(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical(value)


def test_the_hash_is_that_of_the_text() -> None:
    # printf '{"a":[1,"ü"],"b":null}' | sha256sum
    assert canonical({"b": None, "a": [1, "ü"]}) == '{"a":[1,"ü"],"b":null}'
    assert (
        digest({"b": None, "a": [1, "ü"]})
        == "0315e7da7dad15415af50795b6eea22b22929c6804ff4aad3ebbc45ace4a1aa7"
    )
