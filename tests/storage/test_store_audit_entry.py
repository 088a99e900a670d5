"""What entries say, as pure code: whatever reaches the log can be written, and what was bent is marked."""

import math
import string

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.audit_chain import Link, seal
from storage.audit_entry import (
    CONTENT_CHARS,
    DEPTH,
    ITEMS,
    TEXT_CHARS,
    Plain,
    canonical_content,
    commitment,
    fields,
)

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
START = Link.start("log_1")

any_text = st.text(st.characters(), max_size=30)
"""Every code point, lone surrogates too."""
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | any_text | st.binary(max_size=5)
    | st.sampled_from([object(), {1, 2}, 10**400, 2**53, -(2**53), math.nan])
)  # fmt: skip
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(any_text | st.integers() | st.none(), inner, max_size=4)
        | st.tuples(inner)
    ),
    max_leaves=12,
)
plain_scalars = (
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(string.printable, max_size=20)
)
plain = st.recursive(
    plain_scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def entry(**said):
    given = {
        "log_id": "log_1",
        "epoch": 1,
        "org_id": "org_default",
        "at": "2026-11-21T12:00:00.000Z",
        "actor": {"id": "usr_1", "kind": "user"},
        "via": "http",
        "action": "thread.create",
        "outcome": "success",
        "subject": {"thread_id": "thr_1"},
        "detail": {},
    }
    return fields(**{**given, **said})


def written(**said):
    """The entry as somebody reads it who has only its bytes."""
    body, _ = seal(START, entry(**said))
    return orjson.loads(body)


@unhurried
@given(anything, anything, any_text)
def test_anything_at_all_can_be_written(detail, subject, text) -> None:
    said = written(detail={"it": detail}, subject={"it": subject}, via=text, action=text, reason=text)
    assert (said["v"], said["seq"], said["prev"]) == (2, 1, START.hash)


@unhurried
@given(plain)
def test_plain_values_are_written_as_they_are(value) -> None:
    said = written(detail={"it": value})
    assert said["detail"] == {"it": value}
    assert "escaped" not in said


@unhurried
@given(anything)
def test_what_was_written_is_plain(value) -> None:
    once = Plain()
    made = once.of(value)
    again = Plain()
    assert again.of(made) == made or once.has_escaped
    assert not again.has_escaped or once.has_escaped


@unhurried
@given(anything)
def test_content_is_the_same_bytes_whatever_order_its_keys_came_in(value) -> None:
    content = canonical_content(value)
    assert (
        canonical_content(orjson.loads(content)) == content or b"\\u" in content or len(content) > TEXT_CHARS
    )


def test_a_lone_surrogate_is_escaped_and_marked() -> None:
    said = written(detail={"name": "a\ud83db"})
    assert (said["detail"], said["escaped"]) == ({"name": "a\\ud83db"}, True)


def test_names_that_become_equal_stay_two() -> None:
    said = written(detail={"\ud83d": 1, "\\ud83d": 2})
    assert sorted(said["detail"].values()) == [1, 2]


def test_numbers_that_json_readers_bend_are_text() -> None:
    said = written(detail={"snowflake": 2**60, "half": 0.5, "nan": math.nan, "huge": 10**5000})
    assert said["detail"]["snowflake"] == str(2**60)
    assert (said["detail"]["half"], said["detail"]["nan"]) == ("0.5", "nan")
    assert said["detail"]["huge"].startswith("<integer of ")
    assert said["escaped"]


def test_what_callers_send_is_bounded() -> None:
    deep: object = "end"
    for _ in range(DEPTH + 10):
        deep = [deep]
    for value in (
        "x" * (TEXT_CHARS + 1),
        deep,
        list(range(ITEMS + 1)),
        {str(n): n for n in range(ITEMS + 1)},
    ):
        said = written(detail={"it": value})
        assert said["escaped"]
        assert len(orjson.dumps(said["detail"])) < 20_000
    assert len(canonical_content("x" * (2 * CONTENT_CHARS))) < CONTENT_CHARS + 10


def test_what_is_not_given_is_not_there() -> None:
    assert not {"reason", "policy", "content", "address", "escaped"} & entry().keys()
    said = entry(reason="expired", policy={"rule": "p1", "digest": "ab"}, content="c" * 64, address="d" * 64)
    assert (said["reason"], said["policy"]["rule"], said["content"], said["address"]) == (
        "expired", "p1", "c" * 64, "d" * 64,
    )  # fmt: skip


def test_a_commitment_depends_on_salt_and_content() -> None:
    one = commitment(b"s" * 32 + b'"text"')
    assert one == commitment(b"s" * 32 + b'"text"')
    assert len({one, commitment(b"t" * 32 + b'"text"'), commitment(b"s" * 32 + b'"Text"')}) == 3
