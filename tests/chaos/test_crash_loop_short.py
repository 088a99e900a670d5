"""The crash loop's short form, and the proof that it can fail. The long form is `make chaos`."""

from pathlib import Path

import pytest

from .crash_loop import NOT_MET, RANDOM, STARTING, run, table


@pytest.mark.timeout(300)
async def test_a_hundred_kills_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    report = await run(kills=100, seed=20_261_121, place=tmp_path)
    print(table(report))
    verdict = report.verdict
    assert (verdict.lost, verdict.duplicated, verdict.wrong) == ([], [], [])
    assert verdict.orphans <= verdict.uncertain
    assert verdict.visible_endings == 0
    assert verdict.accepted == verdict.answered > report.total
    assert report.total == 100
    assert len(report.kills.keys() - {RANDOM, STARTING, NOT_MET}) > 10, "crash points were met"


@pytest.mark.timeout(120)
async def test_a_gateway_that_acknowledges_before_it_commits_is_found_out(tmp_path: Path) -> None:
    report = await run(kills=15, seed=1, place=tmp_path, acks_before_commit=True)
    assert report.verdict.lost
    assert not report.verdict.is_good
