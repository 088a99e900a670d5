"""Crash points: they end the process where the plan says, and only where a test has prepared the ground."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import crash_points
from gateway.crash_points import MARKER, POINTS, VARIABLE, arm, is_armed, reached
from gateway.settings import SettingsError, load

GATEWAY = Path(crash_points.__file__).parent


def test_without_a_plan_nothing_happens(tmp_path: Path) -> None:
    arm({}, tmp_path)
    for name in POINTS:
        assert not is_armed(name)
        reached(name)


def test_a_plan_is_refused_on_a_data_directory_of_people(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="crash tests"):
        arm({VARIABLE: "run.claimed:1"}, tmp_path)


@pytest.mark.parametrize("plan", ["", "run.claimed", "run.claimed:0", "run.claimed:x", "nowhere:1"])
def test_a_plan_that_cannot_be_followed_is_refused(plan: str, tmp_path: Path) -> None:
    (tmp_path / MARKER).touch()
    with pytest.raises(SettingsError, match="NAME:COUNT"):
        arm({VARIABLE: plan}, tmp_path)


def test_the_settings_know_the_variable_and_do_not_offer_it(tmp_path: Path) -> None:
    overrides = {"data_dir": tmp_path}
    load(None, overrides, {VARIABLE: "run.claimed:1", "HOME": str(tmp_path)})
    with pytest.raises(SettingsError) as refusal:
        load(None, overrides, {"THREADGATE_CRASHES": "1", "HOME": str(tmp_path)})
    assert VARIABLE not in str(refusal.value)


def test_the_process_ends_at_the_counted_time(tmp_path: Path) -> None:
    (tmp_path / MARKER).touch()
    program = (
        "import os, pathlib, sys\n"
        "from gateway.crash_points import arm, reached\n"
        "arm(os.environ, pathlib.Path(sys.argv[1]))\n"
        "for number in range(5):\n"
        "    print(number, flush=True)\n"
        "    reached('run.completed')\n"
        "    reached('run.claimed')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, tmp_path],
        env={**os.environ, VARIABLE: "run.claimed:3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout.split()[-3:] == ["0", "1", "2"]  # behind the line of the log


def test_every_place_in_the_product_is_on_the_list_and_every_name_is_somewhere() -> None:
    source = "".join(path.read_text() for path in GATEWAY.rglob("*.py") if path.name != "crash_points.py")
    assert set(re.findall(r'reached\("([^"]+)"\)', source)) == set(POINTS)
