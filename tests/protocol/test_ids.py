"""Ids: their shape and that they sort by time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.ids import RANDOM_BYTES, IdPrefix, has_prefix, make_id

INSTANTS_MS = st.integers(0, 2**48 - 1)
ENTROPY = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)
PREFIXES = st.sampled_from(IdPrefix)


@given(PREFIXES, INSTANTS_MS, ENTROPY)
def test_an_id_is_its_prefix_and_26_base32_characters(prefix: IdPrefix, now_ms: int, entropy: bytes) -> None:
    made = make_id(prefix, now_ms, entropy)

    kind, _, body = made.partition("_")
    assert (kind, len(body)) == (prefix.value, 26)
    assert has_prefix(made, prefix)
    assert not any(has_prefix(made, other) for other in IdPrefix if other is not prefix)


@given(PREFIXES, st.tuples(INSTANTS_MS, ENTROPY), st.tuples(INSTANTS_MS, ENTROPY))
def test_ids_of_one_kind_sort_by_time_and_then_entropy(
    prefix: IdPrefix, one: tuple[int, bytes], other: tuple[int, bytes]
) -> None:
    assert (make_id(prefix, *one) < make_id(prefix, *other)) == (one < other)


def test_a_known_id() -> None:
    assert make_id(IdPrefix.THREAD, 1_763_717_400_123, bytes(range(10))) == "thr_01kajvzhhv000g40r40m30e209"


@pytest.mark.parametrize(
    ("now_ms", "entropy"), [(-1, bytes(10)), (1 << 48, bytes(10)), (0, bytes(9)), (0, bytes(11))]
)
def test_what_does_not_fit_is_refused(now_ms: int, entropy: bytes) -> None:
    with pytest.raises(ValueError, match="48 bits"):
        make_id(IdPrefix.RUN, now_ms, entropy)


@pytest.mark.parametrize(
    "value",
    ["", "run", "run_", "run_" + "0" * 25, "run_" + "0" * 27, "run_" + "u" * 26, "0" * 26, "msg_" + "0" * 26],
)
def test_other_text_has_not_the_prefix(value: str) -> None:
    assert not has_prefix(value, IdPrefix.RUN)
