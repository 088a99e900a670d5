"""`usage`, `budgets`, `agents stop|start`: what was used, how much there may still be, and stopping it."""

import csv
import io
from collections.abc import Iterator

import pytest
from cli_process import Cli

BUDGETS = """
[[agents]]
id = "demo"
cost_tags = { team = "=support" }
[[budgets]]
name = "people"
of = "messages"
limit = 4
each = "person"
[[budgets]]
name = "house"
of = "microusd"
limit = 2500000
per = "month"
"""


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A gateway with two budgets."""
    cli = Cli(tmp_path_factory.mktemp("gateway"))
    config = cli.home / ".config" / "threadgate" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(BUDGETS)
    with cli.serving():
        yield cli


def test_usage_and_budgets_are_shown_and_what_is_used_up_is_refused(limited: Cli) -> None:
    for _ in range(4):
        limited.lines("send", "say hi")
    heading, *rows = limited.lines("budgets")
    assert heading.split()[:5] == ["budget", "of", "used", "reserved", "limit"]
    assert rows[0].split()[:6] == ["people", "local", "4", "messages", "4", "messages"]
    assert "$0.00" in rows[1] and "$2.50" in rows[1]
    said = limited.refused("send", "say hi")
    assert "The budget “people” (4 messages per day for each person) is used up" in said
    (group,) = limited.json("usage", "--by", "agent,person")
    assert (group["agent"], group["person"], group["runs"]) == ("demo", "local", 4)
    heading, row = limited.lines("usage", "--by", "day,tag:team")
    assert heading.split() == ["day", "tag", "runs", "input", "output", "US", "dollars"]
    assert row.split()[1:3] == ["=support", "4"]
    lines = "\n".join(limited.lines("usage", "--by", "tag:team", "--csv"))
    (cells,) = csv.DictReader(io.StringIO(lines))
    assert (cells["tag"], cells["runs"]) == ("'=support", "4"), "no formula"


def test_an_agent_is_stopped_and_started(limited: Cli) -> None:
    heading, row = limited.lines("agents", "stop", "demo", "--reason", "it errs")
    assert heading.split()[:2] == ["switched", "off"]
    assert row.startswith("demo") and row.endswith("it errs")
    assert "switched off by local operator: it errs" in limited.lines("agents")[1]
    assert limited.lines("agents", "start", "demo") == ["no agent is switched off"]
    assert "Which agent?" in limited.refused("agents", "stop")
    assert "Say why" in str(limited.run("agents", "stop", "--all").stderr)
    assert limited.lines("agents", "stop", "--all", "--reason", "x")[1].startswith("all agents")
    assert limited.lines("agents", "start", "--all") == ["no agent is switched off"]
