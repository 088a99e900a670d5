"""Files on the command line: sent along, named in what was said, and fetched."""

import re
import signal
from pathlib import Path

import pytest
from cli_process import PATIENCE_S, Cli, wait_for

from gateway.crash_points import MARKER, VARIABLE


def test_a_file_is_sent_along_and_fetched_again(running: Cli, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("some words\n")
    (line,) = [line for line in running.lines("send", "look", "--file", str(path)) if line]
    assert "`notes.txt`: text/plain, 11 bytes" in line or "notes.txt: text/plain, 11 bytes" in line
    shown = "\n".join(running.lines("threads", "show", "last"))
    found = re.search(r"^\[notes\.txt\] (blb_\w+)$", shown, re.MULTILINE)
    assert found is not None, shown
    target = tmp_path / "copy.txt"
    assert running.lines("blobs", "get", found[1], "--out", str(target)) == [str(target)]
    assert target.read_text() == "some words\n"
    assert "exists" in running.refused("blobs", "get", found[1], "--out", str(target))
    assert running.lines("blobs", "get", found[1], "--out", "-") == ["some words"]


def test_a_file_may_be_sent_alone_and_nothing_may_not(running: Cli, tmp_path: Path) -> None:
    path = tmp_path / "alone.txt"
    path.write_text("x")
    assert any("alone.txt" in line for line in running.lines("send", "--file", str(path)))
    assert "nothing to say" in running.refused("send")
    assert "nowhere.txt" in running.refused("send", "--file", "nowhere.txt")


def test_the_files_of_an_answer_are_named_with_their_ids(running: Cli, tmp_path: Path) -> None:
    lines = running.lines("send", "file answer.txt words")
    assert lines[0] == "Here is answer.txt."
    name, blob_id = lines[1].split()
    assert name == "[answer.txt]"
    directory = tmp_path / "into"
    directory.mkdir()
    assert running.lines("blobs", "get", blob_id, "--out", str(directory)) == [str(directory / "answer.txt")]
    (file,) = running.json("send", "file answer.txt words")["files"]
    assert file["name"] == "answer.txt"


def test_a_chat_shows_the_files_of_an_answer(running: Cli) -> None:
    done = running.run("chat", said="file chat.txt hello\n")
    assert "Here is chat.txt." in done.stdout
    assert "[chat.txt] blb_" in done.stdout + done.stderr


def test_an_unknown_file_is_said_without_a_traceback(running: Cli) -> None:
    assert "There is no such blob" in running.refused("blobs", "get", "blb_unknown")


@pytest.mark.parametrize("point", ["file.kept", "run.before_complete", "run.after_complete"])
def test_a_gateway_killed_around_a_file_ends_with_one(cli: Cli, point: str) -> None:
    cli.data_dir.mkdir(parents=True)
    (cli.data_dir / MARKER).touch()
    cli.variables = {VARIABLE: f"{point}:1"}
    process, _ = cli.serve()
    cli.run("send", "file kept.txt words", "--no-wait")
    process.wait(PATIENCE_S)
    assert process.returncode == -signal.SIGKILL
    cli.variables = {}
    with cli.serving():
        wait_for(lambda: "Here is kept.txt." in "\n".join(cli.lines("threads", "show", "last")))
        shown = "\n".join(cli.lines("threads", "show", "last"))
        assert shown.count("[kept.txt]") == 1
    kept = [path for path in (cli.data_dir / "blobs").rglob("*") if path.is_file()]
    assert len(kept) == 1
