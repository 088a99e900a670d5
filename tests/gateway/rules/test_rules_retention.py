"""Retention as a plan: what has a bound, from when on; what has none is kept for ever."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.governance_settings import RetentionSettings
from gateway.rules.retention import DAY_MS, plan

DAYS = st.none() | st.integers(1, 36_500)
NOW_MS = 1_795_000_000_000


def test_nothing_is_over_its_time_until_somebody_says_how_long_it_is_kept() -> None:
    assert plan(RetentionSettings(), NOW_MS) == []


@given(DAYS, DAYS, DAYS, DAYS, DAYS, st.integers(0, 2**52))
def test_every_class_with_a_bound_is_cut_off_so_many_days_ago(
    messages: int | None,
    files: int | None,
    journal: int | None,
    usage: int | None,
    content: int | None,
    now_ms: int,
) -> None:
    settings = RetentionSettings(
        messages_days=messages,
        files_days=files,
        journal_days=journal,
        usage_days=usage,
        audit_content_days=content,
    )
    bounds = {bound.name: bound for bound in plan(settings, now_ms)}
    wanted = {
        "messages": messages,
        "files": files,
        "journal": journal,
        "usage": usage,
        "audit_content": content,
    }
    assert bounds.keys() == {name for name, days in wanted.items() if days is not None}
    for bound in bounds.values():
        assert bound.days == wanted[bound.name]
        assert bound.cutoff_ms == max(0, now_ms - bound.days * DAY_MS)
        assert bound.cutoff_ms <= now_ms, "what is new is never over its time"
