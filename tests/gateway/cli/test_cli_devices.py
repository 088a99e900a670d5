"""`threadgate device run` and `threadgate devices …`: one gateway, one device, from being let in to being shut out."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_process import Cli, stop, wait_for


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("home")
    (made / "shared").mkdir()
    (made / "shared/note.txt").write_text("bread, milk")
    return made


@pytest.fixture(scope="module")
def paired(home: Path) -> Iterator["tuple[Cli, subprocess.Popen[str]]"]:
    """A running gateway and a device that was let in by its code."""
    cli = Cli(home)
    with cli.serving():
        output = home / "device.out"
        offered = [
            "--notify",
            "--read",
            str(home / "shared"),
            "--run",
            f"hello={sys.executable} -c print(1+1)",
        ]
        with output.open("w") as out:
            device = cli.start("device", "run", "--name", "Office PC", *offered, stdout=out)
        try:
            wait_for(lambda: "pairing approve" in output.read_text())
            found = re.search(r"approve (\S+)", output.read_text())
            assert found is not None
            (waiting,) = cli.json("pairing")
            shown = "\n".join(cli.lines("pairing"))
            assert waiting["device"]["fingerprint"] in shown
            assert "Office PC" in shown
            assert "read_file (medium)" in shown
            (said,) = cli.lines("pairing", "approve", found[1], "--name", "office")
            assert said.startswith("let in Office PC")
            wait_for(lambda: any(one["connected"] for one in cli.json("devices")))
            yield cli, device
        finally:
            stop(device)


def test_a_device_is_used_shown_renamed_and_shut_out(
    paired: "tuple[Cli, subprocess.Popen[str]]", home: Path
) -> None:
    cli, device = paired
    (line,) = [line for line in cli.lines("devices") if line.startswith("office")]
    assert "here" in line
    shown = "\n".join(cli.lines("devices", "show", "office"))
    assert all(word in shown for word in ("fingerprint", "SHA256:", "notify", "read_file", "run"))

    assert cli.json("devices", "invoke", "office", "read_file", '{"path": "note.txt"}')["result"] == {
        "bytes": 11,
        "text": "bread, milk",
    }
    ran = cli.json("devices", "invoke", "office", "run", '{"name": "hello"}')
    assert ran["result"]["output"] == "2\n"
    cli.lines("devices", "invoke", "office", "notify", '{"text": "tea is ready"}')
    wait_for(lambda: "tea is ready" in (home / "device.out").read_text())

    said = cli.refused("devices", "invoke", "office", "read_file", '{"path": "../data/gateway.json"}', code=1)
    assert "not below a directory" in said
    assert "has declared no command" in cli.refused("devices", "invoke", "office", "shell", "{}")

    cli.lines("devices", "rename", "office", "desk")
    assert cli.json("devices", "show", "desk")["name"] == "desk"
    cli.lines("devices", "revoke", "desk")
    assert device.wait(30) != 0
    assert device.stderr is not None
    assert "Traceback" not in device.stderr.read()
    assert cli.json("devices") == []
    assert [one["state"] for one in cli.json("devices", "list", "--all")] == ["revoked"]


def test_nothing_is_offered_that_was_not_named(cli: Cli) -> None:
    assert "Nothing is offered" in cli.refused("device", "run", "--url", "http://127.0.0.1:1")
    assert "No gateway runs" in cli.refused("device", "run", "--notify")
