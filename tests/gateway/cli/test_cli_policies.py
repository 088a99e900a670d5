"""`threadgate policy`: verdicts out of a configuration; and docs/policies.md, whose examples are run."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from gateway.cli.main import ENTRIES, command_line

DOC = Path(__file__).parents[3] / "docs/policies.md"
FENCE = re.compile(r"```toml\n(.*?)```\n```console\n(.*?)```", re.DOTALL)
EXITS = {"allow": 0, "deny": 1, "require_approval": 3}
RULES = """
[[policies]]
name = "two"
effect = "require_approval"
tool = ["pay.*"]
approval = { quorum = 2 }
[[policies]]
name = "mind"
effect = "warn"
reason = "Money."
tool = ["pay.*"]
[[policies]]
name = "never"
effect = "deny"
channel = ["discord"]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(RULES)
    return path


def run(config: Path, *arguments: str) -> Result:
    app = command_line([entry for entry in ENTRIES if entry.name == "policy"])
    return CliRunner().invoke(app, ["policy", *arguments, "--config", str(config)])


def examples() -> Iterator[tuple[str, str, list[str]]]:
    """Configuration, command, and lines that its output has."""
    for toml, console in FENCE.findall(DOC.read_text()):
        for part in console.split("$ ")[1:]:
            command, *lines = part.rstrip("\n").split("\n")
            yield toml, command, lines


EXAMPLES = list(examples())


def test_the_examples_of_the_documentation_were_found() -> None:
    assert len(EXAMPLES) >= 15
    assert len(FENCE.findall(DOC.read_text())) == DOC.read_text().count("```toml")


@pytest.mark.parametrize(("toml", "command", "lines"), EXAMPLES, ids=[one[1] for one in EXAMPLES])
def test_an_example_of_the_documentation(tmp_path: Path, toml: str, command: str, lines: list[str]) -> None:
    path = tmp_path / "config.toml"
    path.write_text(toml)
    program, group, *arguments = shlex.split(command)
    assert (program, group) == ("threadgate", "policy")
    done = run(path, *arguments)
    assert [" ".join(line.split()) for line in lines] == [
        shown for line in done.output.splitlines() if (shown := " ".join(line.split())) in _joined(lines)
    ]
    assert done.exit_code == EXITS[lines[0].split()[1]]


def _joined(lines: list[str]) -> set[str]:
    return {" ".join(line.split()) for line in lines}


def explained(config: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = run(config, "explain", "--json", *arguments)
    return done.exit_code, json.loads(done.stdout)


def test_the_explanation_for_programs(config: Path) -> None:
    code, found = explained(config, "--name", "pay.rent", "--channel", "slack:acme")
    assert code == 3
    assert (found["effect"], found["rule"], found["terms"]["quorum"]) == ("require_approval", "two", 2)
    assert found["warnings"] == ["Money."]
    assert [(rule["name"], rule["fits"]) for rule in found["rules"]] == [
        ("mind", True),
        ("never", False),
        ("two", True),
    ]
    assert found["rules"][1]["misfits"] == ["channel is slack:acme, not discord"]
    version = json.loads(run(config, "list", "--json").stdout)["version"]
    assert found["version"] == version


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--name", "look"], 0),
        (["--name", "look", "--channel", "discord"], 1),
        (["--name", "look", "--unknown"], 1),
        (["--name", "look", "--asks"], 3),
        (["--kind", "pairing", "--channel", "discord"], 1),
        (["--kind", "release", "--name", "2"], 0),
        (["--kind", "device", "--name", "laptop.run", "--risk", "high"], 1),
    ],
)
def test_the_exit_code_is_the_verdict(config: Path, arguments: list[str], code: int) -> None:
    assert explained(config, *arguments)[0] == code


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--agent", "nobody"], "There is no agent 'nobody': there are demo"),
        (["--at", "noon"], "'noon' is no time"),
        (["--kind", "anything"], "anything"),
        (["--risk", "grave"], "grave"),
    ],
)
def test_what_cannot_be_tried_says_why(config: Path, arguments: list[str], problem: str) -> None:
    done = run(config, "explain", *arguments)
    assert done.exit_code == 2
    assert problem in done.output


def test_a_configuration_that_cannot_be_used_is_no_verdict(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[[policies]]\nname = "x"\neffect = "deny"\ntime = "never"\n')
    done = run(path, "explain", "--name", "clock")
    assert done.exit_code == 2
    assert "policies.0.time" in done.output


def test_policies_are_listed(config: Path, tmp_path: Path) -> None:
    lines = [line.split() for line in run(config, "list").stdout.splitlines()]
    assert lines[0] == ["NAME", "EFFECT", "ABOUT"]
    assert [line[:2] for line in lines[1:]] == [
        ["mind", "warn"],
        ["never", "deny"],
        ["two", "require_approval"],
    ]
    assert lines[2][2:] == ["channel", "discord"]
    listed = json.loads(run(config, "list", "--json").stdout)
    assert listed["policies"][2] == {
        "name": "two",
        "effect": "require_approval",
        "tool": ["pay.*"],
        "approval": {"quorum": 2},
    }
    empty = tmp_path / "empty.toml"
    empty.write_text("")
    assert "There are no policies" in run(empty, "list").output
