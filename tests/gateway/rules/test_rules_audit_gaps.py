"""What a receiver of audit entries is missing: numbers that never came, whatever repeats or comes late."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.audit_gaps import NotALine, Received, place


@given(st.lists(st.integers(1, 60), min_size=1, max_size=120))
def test_what_is_missing_is_what_never_came_between_the_first_and_the_last(seqs: list[int]) -> None:
    received = Received()
    for seq in seqs:
        received.add(seq)
    missing = {seq for first, last in received.missing for seq in range(first, last + 1)}
    assert missing == set(range(min(seqs), max(seqs) + 1)) - set(seqs)
    assert received.repeated == len(seqs) - len(set(seqs))
    assert len(received.stretches) == len(received.missing) + 1, "what came without a break is one stretch"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ({"v": 2, "seq": 7, "epoch": 2, "action": "x"}, ("2", 7)),
        ({"v": 1, "seq": 7}, ("", 7)),
        ({"leaf": "00", "seq": 8}, ("", 8)),
        ({"class_uid": 6003, "unmapped": {"seq": 9, "epoch": 1}}, ("1", 9)),
        ({"export": {"v": 1}}, None),
        ({"checkpoint": "note"}, None),
    ],
)
def test_a_line_says_its_place(line: object, found: object) -> None:
    assert place(json.dumps(line).encode()) == found


@pytest.mark.parametrize(
    "line", [b"", b"x", b"[]", b"{}", b'{"seq":"1"}', b'{"seq":0}', b'{"seq":true}', b'{"class_uid":1}']
)
def test_what_no_sink_writes_is_refused(line: bytes) -> None:
    with pytest.raises(NotALine):
        place(line)
