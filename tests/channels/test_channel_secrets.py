"""Secrets are found by reference, and what goes wrong is said without saying the secret."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from channels.secrets import SecretUnavailable, file_of, is_literal, resolve_secret


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


def test_a_credential_is_what_systemd_loaded(tmp_path: Path) -> None:
    (tmp_path / "bot-token").write_text("42:abc\n")
    assert resolve("credential:bot-token", {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "42:abc"
    with pytest.raises(SecretUnavailable, match=r"LoadCredential=bot-token"):
        resolve("credential:bot-token")
    with pytest.raises(SecretUnavailable, match="cannot be read"):
        resolve("credential:other", {"CREDENTIALS_DIRECTORY": str(tmp_path)})


@pytest.mark.parametrize("name", ["", "../token", "a/b", ".hidden", "a b", "a\0b"])
def test_a_credential_is_a_name_and_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(SecretUnavailable, match="credential's name"):
        resolve(f"credential:{name}", {"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_references_and_secrets_are_told_apart() -> None:
    assert is_literal(SecretStr("42:abc"))
    for reference in ("env:TOKEN", "file:/run/token", "credential:token"):
        assert not is_literal(SecretStr(reference))
    assert file_of(SecretStr("file:/run/token"), {}) == Path("/run/token")
    assert file_of(SecretStr("credential:t"), {"CREDENTIALS_DIRECTORY": "/run/c"}) == Path("/run/c/t")
    assert file_of(SecretStr("env:TOKEN"), {}) is None
