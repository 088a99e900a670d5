"""Records: immutable, strict about types, indifferent to unknown fields."""

import pytest
from pydantic import ValidationError

from protocol.records import Thread

THREAD = {
    "id": "thr_1",
    "title": "",
    "status": "active",
    "agent_id": "demo",
    "head_seq": 1,
    "created_at": "2025-11-21T09:30:00.000Z",
    "updated_at": "2025-11-21T09:30:00.000Z",
    "origin": {"kind": "client"},
}


def test_records_are_immutable_and_ignore_what_they_do_not_know() -> None:
    thread = Thread.model_validate({**THREAD, "colour": "red"})

    assert "colour" not in thread.model_dump()
    with pytest.raises(ValidationError):
        thread.title = "x"  # type: ignore[misc]


@pytest.mark.parametrize(
    "change",
    [{"head_seq": "1"}, {"head_seq": -1}, {"created_at": "2025-11-21T09:30:00Z"}, {"title": "x" * 201}],
)
def test_records_are_strict_about_types_and_instants(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Thread.model_validate({**THREAD, **change})
