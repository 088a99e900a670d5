"""The governed scenario, whole, and the press it uses: what it says is what happened, and a lie would be noticed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli_process import environment

from gateway.cli.governed import configuration
from gateway.settings import load

SCENARIO_S = 150
"""A gateway is started three times, and a busy machine is slow."""


def press(ledger: Path, *messages: object) -> list[dict[str, object]]:
    """What the program answers to these lines."""
    said = "".join(json.dumps(message) + "\n" for message in messages)
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli.governed.press", str(ledger)],
        input=said,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def request(number: int, method: str, **params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def test_the_press_publishes_what_it_is_told_and_nothing_else(tmp_path: Path) -> None:
    ledger = tmp_path / "published"
    answers = press(
        ledger,
        request(1, "initialize"),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        request(2, "tools/list"),
        request(3, "tools/call", name="publish", arguments={"title": "One"}),
        request(4, "resources/list"),
    )
    assert [answer["id"] for answer in answers] == [1, 2, 3, 4]
    assert ledger.read_text() == '"One"\n'
    assert "error" in answers[3]


def test_its_configuration_is_valid(tmp_path: Path) -> None:
    path = configuration.write(
        tmp_path,
        port=0,
        channels=[{"kind": "telegram", "account": "demo", "token": "1:x"}],
        approvers=["slack:U1", "discord:2"],
        room="telegram:demo:1",
        ledger=tmp_path / "published",
    )
    settings = load(path, {}, {})
    (policy,), (budget,) = settings.policies, settings.budgets
    assert (policy.approval.quorum, policy.approval.separation) == (2, True)
    assert budget.limit == configuration.PRICE_MICROUSD, "one publication is all there is"


@pytest.mark.timeout(SCENARIO_S + 10)
def test_the_whole_scenario_holds(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "demo", "--scenario", "governed"],
        capture_output=True,
        text=True,
        timeout=SCENARIO_S,
        env=environment(tmp_path),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All of it held" in done.stdout
