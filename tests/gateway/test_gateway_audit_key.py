"""The key that signs the audit log, as a file: whole or not there, for nobody else, and with its predecessors."""

from pathlib import Path

import pytest

from channels.secrets import SecretUnavailable
from gateway import audit_key


def test_a_key_is_made_once_and_is_ours_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / audit_key.KEY_NAME
    made = audit_key.make(path, "log.example/1")
    assert audit_key.load(path).signer.skey() == made.signer.skey()
    assert audit_key.make(path, "log.example/2").signer.skey() == made.signer.skey(), "the first one counts"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == [path.name], "nothing is left lying about"


def test_after_a_rotation_the_file_knows_both_keys(tmp_path: Path) -> None:
    path = tmp_path / audit_key.KEY_NAME
    old = audit_key.make(path, "log.example")
    new = old.followed_by(audit_key.new_signer("log.example"))
    audit_key.replace(path, new)
    again = audit_key.load(path)
    assert again.signer.skey() != old.signer.skey()
    assert again.verifiers == (new.signer.verifier, old.signer.verifier)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / audit_key.KEY_NAME
    audit_key.make(path, "log.example")
    path.chmod(mode)
    with pytest.raises(SecretUnavailable, match="chmod 600"):
        audit_key.load(path)


@pytest.mark.parametrize("content", [b"", b"nonsense\n", b"PRIVATE+KEY+a+00000000+AAAA\n", b"\xff"])
def test_what_is_no_key_is_refused_without_showing_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / audit_key.KEY_NAME
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SecretUnavailable) as refused:
        audit_key.load(path)
    assert "AAAA" not in str(refused.value)


def test_a_missing_key_and_an_impossible_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SecretUnavailable, match="cannot be read"):
        audit_key.load(tmp_path / "none")
    with pytest.raises(SecretUnavailable, match=r"audit\.origin"):
        audit_key.make(tmp_path / audit_key.KEY_NAME, "two words")


def test_the_configured_place_counts(tmp_path: Path) -> None:
    assert audit_key.path_of(None, tmp_path) == tmp_path / "audit.key"
    assert audit_key.path_of(tmp_path / "x", Path("data")) == tmp_path / "x"
