"""The crash loop's short form, and the proof that it can fail. The long forms: `make chaos`, `make chaos-channels`."""

from pathlib import Path

import pytest

from .crash_loop import NETWORKS, NOT_MET, RANDOM, STARTING, run, table

KILLS = 100
QUIET_S = 8.0
"""A negative control is not waited for any longer: what it lost does not come."""


@pytest.mark.timeout(600)
async def test_kills_over_three_networks_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    report = await run(KILLS, seed=20_261_121, place=tmp_path, kinds=tuple(NETWORKS))
    print(table(report))
    verdict = report.verdict
    assert (verdict.lost, verdict.duplicated, verdict.wrong) == ([], [], [])
    assert verdict.visible_endings == 0
    assert verdict.accepted == verdict.answered > report.total
    for kind in ("slack", "discord"):
        assert (verdict.networks[kind].uncertain, verdict.networks[kind].orphans) == (0, 0)
    telegram = verdict.networks["telegram"]
    assert telegram.orphans <= telegram.uncertain
    assert all(tally.shown >= tally.said > KILLS / 4 for tally in verdict.networks.values())
    assert report.total == KILLS
    assert len(report.kills.keys() - {RANDOM, STARTING, NOT_MET}) > 12, "crash points were met"


@pytest.mark.timeout(120)
async def test_a_gateway_that_acknowledges_before_it_commits_is_found_out(tmp_path: Path) -> None:
    report = await run(15, seed=1, place=tmp_path, fault="ack-before-commit", quiet_s=QUIET_S)
    assert report.verdict.lost
    assert not report.verdict.is_good


@pytest.mark.timeout(120)
async def test_a_library_that_repeats_sends_by_itself_is_found_out(tmp_path: Path) -> None:
    # It repeats after half a second to one and a half: only in long lives.
    report = await run(
        6,
        seed=2,
        place=tmp_path,
        kinds=("slack",),
        fault="library-retries",
        life_s=(2.0, 3.0),
        quiet_s=QUIET_S,
    )
    assert report.verdict.duplicated
    assert not report.verdict.lost


@pytest.mark.timeout(120)
async def test_a_gateway_that_sends_again_without_looking_is_found_out(tmp_path: Path) -> None:
    report = await run(10, seed=3, place=tmp_path, kinds=("slack",), fault="blind-resend", quiet_s=QUIET_S)
    assert report.verdict.duplicated
    assert not report.verdict.lost
