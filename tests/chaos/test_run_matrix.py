"""The crash matrix's short form, and the proof that it can fail. The long form: `make chaos-runs`."""

from functools import partial
from pathlib import Path

import pytest

from .matrix.cells import Cell, Kill
from .matrix.script_kind import Script
from .matrix.stage import SIGN_S
from .matrix.table import table
from .run_matrix import KINDS, run, run_cells

QUIET_S = 8.0
"""A negative control is not waited for any longer: what is stuck stays stuck."""


@pytest.mark.timeout(900)
async def test_runs_of_every_kind_survive_a_kill_at_every_point(tmp_path: Path) -> None:
    report = await run(tmp_path)
    print(table(report))
    assert report.findings == []
    assert report.kinds == list(KINDS)
    assert report.unmet() == []
    total = report.total
    assert total.sign_s < SIGN_S
    assert total.asked > len(KINDS) / 2, "steps of unknown outcome were met"
    assert total.replayed == total.states["completed"] > total.states["failed"] > 0


@pytest.mark.timeout(120)
async def test_a_tool_that_wrongly_says_it_may_run_twice_is_found_out(tmp_path: Path) -> None:
    cells = [Cell((Kill("step.before_close", count),)) for count in (3, 6)]
    report = await run_cells(tmp_path, partial(Script, {"idempotent": ["pay"]}), cells)
    assert report.count("doubled") > 0
    assert report.count("lost", "stuck") == 0


@pytest.mark.timeout(120)
async def test_a_gateway_that_forgets_its_journal_is_found_out(tmp_path: Path) -> None:
    report = await run_cells(tmp_path, Script, [Cell((Kill("run.before_complete"),))], fault="no-journal")
    assert report.count("repeated") > 0
    assert report.count("doubled") > 0


@pytest.mark.timeout(120)
async def test_a_gateway_that_leaves_runs_lying_is_found_out(tmp_path: Path) -> None:
    cells = [Cell((Kill("run.checkpointed"),))]
    report = await run_cells(tmp_path, Script, cells, fault="no-take-over", quiet_s=QUIET_S)
    assert report.count("stuck") > 0
    assert report.count("doubled", "repeated") == 0
