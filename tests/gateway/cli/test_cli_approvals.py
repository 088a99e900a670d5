"""`approvals list|show|approve|deny|edit|request-changes|grant|revoke`, against a gateway whose sums need leave."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_process import Cli, wait_for

SCRIPT = """
scenarios:
  - name: sum
    steps:
      - tool: {name: calculator, arguments: {expression: "{{text}}"}, save_as: result}
      - say: "{{result}}"
"""
CONFIG = """
[[agents]]
id = "counter"
kind = "script"
script = "script.yaml"
tools = ["calculator"]

[[policies]]
name = "sums"
effect = "require_approval"
tool = ["calculator"]
"""


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A gateway whose agent asks before it calculates."""
    cli = Cli(tmp_path_factory.mktemp("counting"))
    folder = cli.home / ".config" / "threadgate"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(CONFIG)
    (folder / "script.yaml").write_text(SCRIPT)
    with cli.serving():
        yield cli


def asking(cli: Cli, text: str = "6*7") -> dict[str, Any]:
    """The approval that a message leads to."""
    known = {one["id"] for one in cli.json("approvals")}
    cli.lines("send", text, "--no-wait")

    def new() -> list[dict[str, Any]]:
        return [one for one in cli.json("approvals", "--mine") if one["id"] not in known]

    wait_for(new)
    (approval,) = new()
    return approval


def answered(cli: Cli, approval: dict[str, Any], text: str) -> None:
    """Wait until the thread says so."""
    wait_for(lambda: text in "\n".join(cli.lines("threads", "show", approval["thread_id"])))


def test_what_waits_is_shown_whole_and_approved(counting: Cli) -> None:
    approval = asking(counting)
    shown = "\n".join(counting.lines("approvals", "show", approval["id"]))
    assert '"expression": "6*7"' in shown and approval["subject_hash"][:16] in shown and "sums" in shown
    assert counting.lines("approvals", "approve", approval["id"]) == [f"approved {approval['id']}"]
    assert counting.lines("approvals", "approve", approval["id"]) == [f"approved {approval['id']}"], "again"
    assert "approved already" in counting.refused("approvals", "deny", approval["id"])
    answered(counting, approval, "42")


def test_it_is_edited_with_arguments_of_a_file(counting: Cli, tmp_path: Path) -> None:
    approval = asking(counting)
    wanted = tmp_path / "arguments.json"
    wanted.write_text('{"expression": "3*3"}')
    assert "required property" in counting.refused("approvals", "edit", approval["id"], "--arguments", "{}")
    counting.refused("approvals", "edit", approval["id"], "--arguments", "[1]")
    counting.lines("approvals", "edit", approval["id"], "--arguments", f"@{wanted}")
    shown = "\n".join(counting.lines("approvals", "show", approval["id"]))
    assert '+  "expression": "3*3"' in shown
    answered(counting, approval, '"result":"9"')


def test_it_is_sent_back(counting: Cli) -> None:
    approval = asking(counting)
    said = counting.lines("approvals", "request-changes", approval["id"], "in Roman numerals")
    assert said == [f"changes requested {approval['id']}"]
    answered(counting, approval, "in Roman numerals")


def test_a_grant_has_an_end_and_can_be_revoked(counting: Cli) -> None:
    approval = asking(counting)
    counting.refused("approvals", "grant", approval["id"])
    counting.refused("approvals", "grant", approval["id"], "--ttl", "always")
    counting.lines("approvals", "grant", approval["id"], "--for", "agent", "--uses", "2", "--ttl", "1h")
    (alive,) = counting.json("approvals", "list", "--granted")
    assert (alive["id"], alive["grant"]["uses_left"]) == (approval["id"], 2)
    assert "2 uses" in "\n".join(counting.lines("approvals", "list", "--granted"))
    assert "42" in "\n".join(counting.lines("send", "6*7")), "nobody is asked"
    counting.lines("approvals", "revoke", approval["id"])
    assert counting.json("approvals", "list", "--granted") == []
    denied = asking(counting)
    assert counting.lines("approvals", "deny", denied["id"], "--reason", "enough") == [
        f"denied {denied['id']}"
    ]
