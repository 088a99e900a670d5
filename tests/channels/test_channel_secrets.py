"""Secrets are found by reference, and what goes wrong is said without saying the secret."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from channels.secrets import SecretUnavailable, resolve_secret


def resolve(reference: str, environment: dict[str, str] | None = None) -> str:
    return resolve_secret(SecretStr(reference), environment or {})


def test_a_literal_is_the_secret() -> None:
    assert resolve("42:abc") == "42:abc"


def test_a_variable_is_read_late() -> None:
    assert resolve("env:TOKEN", {"TOKEN": " 42:abc\n"}) == "42:abc"


def test_a_file_is_read_without_its_line_end(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("42:abc\n")
    assert resolve(f"file:{file}") == "42:abc"


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(SecretUnavailable, match="variable TOKEN is not set"):
        resolve("env:TOKEN")


@pytest.mark.parametrize(("reference", "environment"), [("env:TOKEN", {"TOKEN": " "}), (" ", {})])
def test_an_empty_secret_is_none(reference: str, environment: dict[str, str]) -> None:
    with pytest.raises(SecretUnavailable, match="empty"):
        resolve(reference, environment)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(SecretUnavailable, match="/nowhere/token cannot be read: No such file"):
        resolve("file:/nowhere/token")


def test_a_relative_path_depends_on_where_one_stands_and_is_refused() -> None:
    with pytest.raises(SecretUnavailable, match="absolute"):
        resolve("file:token")


def test_a_large_file_is_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(b"x" * 70_000)
    with pytest.raises(SecretUnavailable, match="larger"):
        resolve(f"file:{file}")


def test_a_binary_file_is_no_secret_and_not_quoted(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(b"secret\xff")
    with pytest.raises(SecretUnavailable, match="UTF-8") as raised:
        resolve(f"file:{file}")
    assert raised.value.__cause__ is None
    assert "secret\\xff" not in str(raised.value)
