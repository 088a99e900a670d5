"""What the sample device does: never more than what was named when it was started."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from threadgate_client import CommandFailed

from gateway.cli import device_commands
from gateway.cli.device_commands import FileReader, Notifier, Program


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A directory that is offered, beside one that is not."""
    for name in ("offered/inner", "private"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "offered/note.txt").write_text("hello")
    (tmp_path / "offered/inner/deep.txt").write_text("deep")
    (tmp_path / "private/secret.txt").write_text("secret")
    return tmp_path


def read(house: Path, path: str) -> dict[str, Any]:
    return FileReader([house / "offered"]).read({"path": path})


def refused(house: Path, path: str) -> str:
    with pytest.raises(CommandFailed) as caught:
        read(house, path)
    return caught.value.kind


@pytest.mark.parametrize("path", ["note.txt", "./note.txt"])
def test_a_file_below_the_directory_is_read(house: Path, path: str) -> None:
    assert read(house, path) == {"bytes": 5, "text": "hello"}
    assert read(house, str(house / "offered" / "inner" / "deep.txt"))["text"] == "deep"
    (house / "offered/raw").write_bytes(b"\xff\x00")
    assert read(house, "raw") == {"bytes": 2, "base64": "/wA="}


@pytest.mark.parametrize(
    "path", ["../private/secret.txt", "inner/../../private/secret.txt", "/etc/passwd", ".", "", "note.txt\0"]
)
def test_a_path_never_leads_out(house: Path, path: str) -> None:
    assert refused(house, path) == "not_allowed"
    assert refused(house, str(house / "private/secret.txt")) == "not_allowed"
    assert refused(house, str(house / "offered/../private/secret.txt")) == "not_allowed"


def test_no_link_is_followed(house: Path) -> None:
    offered = house / "offered"
    (offered / "link").symlink_to(house / "private/secret.txt")
    (offered / "folder").symlink_to(house / "private")
    (offered / "inner/up").symlink_to("..")
    assert refused(house, "link") == "not_allowed"
    assert refused(house, "folder/secret.txt") == "not_allowed"
    assert refused(house, "inner/up/note.txt") == "not_allowed", "not even one that stays inside"


def test_a_directory_may_be_named_through_a_link(house: Path) -> None:
    (house / "alias").symlink_to(house / "offered")
    assert FileReader([house / "alias"]).read({"path": "note.txt"})["text"] == "hello"


def test_only_files_are_read_and_small_ones(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(house / "offered/pipe")
    assert refused(house, "pipe") == "not_allowed", "and nobody waits for it"
    assert refused(house, "inner") == "not_allowed"
    assert refused(house, "missing.txt") == "not_found"
    monkeypatch.setattr(device_commands, "FILE_BYTES", 4)
    assert refused(house, "note.txt") == "too_large"


def test_what_is_no_directory_is_refused_at_start(house: Path) -> None:
    for path in ("offered/note.txt", "nowhere"):
        with pytest.raises(OSError):
            FileReader([house / path])


async def test_a_program_runs_with_its_own_arguments_and_no_shell() -> None:
    done = await Program((sys.executable, "-c", "import sys; print(sys.argv[1:])", "a b", "$HOME; ls")).run()
    assert done == {"exit_code": 0, "output": "['a b', '$HOME; ls']\n", "is_cut": False}
    assert (await Program((sys.executable, "-c", "raise SystemExit(3)")).run())["exit_code"] == 3
    with pytest.raises(CommandFailed, match="cannot be run"):
        await Program(("/nowhere/program",)).run()


async def test_a_program_that_takes_too_long_is_ended_with_all_it_started() -> None:
    began = time.monotonic()
    with pytest.raises(CommandFailed) as caught:
        await Program(("sh", "-c", "sleep 60 & sleep 60"), timeout_s=0.2).run()
    assert caught.value.kind == "timeout"
    assert time.monotonic() - began < 10


async def test_only_the_beginning_of_much_output_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_commands, "OUTPUT_BYTES", 10)
    done = await Program((sys.executable, "-c", "print('x' * 100_000)")).run()
    assert done == {"exit_code": 0, "output": "x" * 10, "is_cut": True}


async def test_a_text_is_shown_without_what_a_terminal_obeys(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_commands.shutil, "which", lambda name: None)
    shown = await Notifier().notify({"title": "Tea", "text": "is\x1b[2J ready"})
    assert shown == {"shown": "terminal"}
    assert capsys.readouterr().out == "Tea: is[2J ready\n"
