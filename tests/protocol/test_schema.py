"""The committed files: served as they are, checked without being touched, repaired by one command."""

import json
from pathlib import Path

import pytest

from protocol import schema
from protocol.schema import DIRECTORY, DOCUMENTS, SNAPSHOT, load, main, render


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """A directory with the files as they should be."""
    assert main(["--write"], tmp_path) == 0
    return tmp_path


def contents(directory: Path) -> dict[str, bytes]:
    """File name → bytes."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_committed_files_are_what_the_code_describes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", DOCUMENTS)
def test_load_returns_a_committed_file(name: str) -> None:
    content = load(name)

    assert content == (DIRECTORY / name).read_bytes()
    assert content.endswith(b"}\n")
    assert json.loads(content)


@pytest.mark.parametrize("name", ["", "../records.py", "schema", "other.json"])
def test_load_knows_no_other_file(name: str) -> None:
    with pytest.raises(KeyError):
        load(name)


def test_rendering_is_deterministic() -> None:
    assert render({"b": "é", "a": 1}) == '{\n  "a": 1,\n  "b": "é"\n}\n'.encode()
    for make in DOCUMENTS.values():
        assert render(make()) == render(make())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_drift_is_named_with_its_repair_and_left_alone(
    name: str, copies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads((copies / name).read_bytes())
    document.get("methods", document.get("info", document)).pop("version", None)
    (copies / name).write_bytes(render(document) + b"\n")
    before = contents(copies)

    assert main(["--check"], copies) == 1

    said = capsys.readouterr().err.splitlines()
    assert said == [f"{copies.name}/{name} differs from the code", "Repair with: make schema"]
    assert contents(copies) == before
    assert main(["--write"], copies) == 0
    assert main(["--check"], copies) == 0


def test_a_missing_file_is_drift(copies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copies / "openapi.json").unlink()

    assert main(["--check"], copies) == 1
    assert "openapi.json" in capsys.readouterr().err
    assert not (copies / "openapi.json").exists()


@pytest.mark.parametrize("action", ["--check", "--write"])
def test_a_broken_promise_is_refused_even_by_write(
    action: str, copies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    promised = json.loads((copies / SNAPSHOT).read_bytes())
    promised["methods"]["thread.fold"] = promised["methods"]["thread.get"]
    (copies / SNAPSHOT).write_bytes(render(promised))
    before = contents(copies)

    assert main([action], copies) == 1

    said = capsys.readouterr().err
    assert "method `thread.fold` disappeared" in said
    assert "breaks v1" in said
    assert schema.REPAIR not in said
    assert contents(copies) == before


def test_an_addition_is_drift_that_write_takes(copies: Path) -> None:
    promised = json.loads((copies / SNAPSHOT).read_bytes())
    del promised["methods"]["run.retry"]
    (copies / SNAPSHOT).write_bytes(render(promised))

    assert main(["--check"], copies) == 1
    assert main(["--write"], copies) == 0
    assert "run.retry" in json.loads((copies / SNAPSHOT).read_bytes())["methods"]
