"""The short form of the decision histories, and the proof that their judge finds a second winner. The long form:
`make chaos-decisions`."""

from pathlib import Path

import pytest

from .decisions import run, table


@pytest.mark.timeout(240)
async def test_decisions_over_all_surfaces_and_through_kills_have_one_winner_each(tmp_path: Path) -> None:
    report = await run(500, seed=20_261_121, place=tmp_path)
    print(table(report))
    verdict = report.verdict
    assert verdict.violations == []
    assert verdict.histories >= 500 and report.kills > 0
    assert min(verdict.states[end] for end in ("approved", "denied", "changes_requested", "expired")) > 0
    assert verdict.used > 50 and verdict.votes > 500
    assert {"forbidden", "invalid_state", "approval_required"} <= set(verdict.refused)


@pytest.mark.timeout(120)
async def test_without_the_condition_of_the_update_the_judge_finds_second_winners(tmp_path: Path) -> None:
    report = await run(60, seed=1, place=tmp_path, broken="unconditional")
    assert any("after it was" in one for one in report.verdict.violations)
