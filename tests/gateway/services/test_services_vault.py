"""Secrets that accounts are given at run time: sealed at rest, bound to their place, lost with their key."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from gateway_stage import Stage
from pydantic import SecretStr

from channels.errors import AuthLost
from channels.secrets import SecretUnavailable
from gateway.clock import Clock
from gateway.content_keys import ContentSealer
from gateway.services.vault import AccountVault, VaultCipher
from gateway.vault_key import KEY_NAME, cipher_beside, cipher_from
from storage.store import Store
from storage.values import DEFAULT_ORG

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(
        tmp_path, new_epoch="epo", new_log_id="log", now_ms=1, sealer=ContentSealer(cipher_beside(tmp_path))
    )
    yield opened
    await opened.close()


def vault(store: Store, *keys: str, account: str = "main", kind: str = "slack") -> AccountVault:
    cipher = VaultCipher(lambda: cipher_from(SecretStr("\n".join(keys))))
    return AccountVault(store.vault, cipher, Clock(), DEFAULT_ORG, kind, account)


async def sealed(store: Store) -> list[str]:
    return await store.engine.read(lambda tx: [row["sealed"] for row in tx.all("SELECT sealed FROM vault")])


def content(directory: Path) -> bytes:
    """Every byte of the files of a store."""
    return b"".join(path.read_bytes() for path in directory.iterdir() if path.is_file())


async def test_what_was_put_is_there_until_it_is_deleted(store: Store) -> None:
    mine = vault(store, OLD)
    await mine.put("team:T1", "xoxb-1")
    await mine.put("team:T0", "xoxb-0")
    await mine.put("team:T1", "xoxb-2")
    assert await mine.get("team:T1") == "xoxb-2"
    assert list(await mine.keys()) == ["team:T0", "team:T1"]
    await mine.delete("team:T1")
    await mine.delete("team:T1")
    assert (await mine.get("team:T1"), list(await mine.keys())) == (None, ["team:T0"])


async def test_the_store_holds_no_secret(store: Store, tmp_path: Path) -> None:
    await vault(store, OLD).put("team:T1", "xoxb-very-secret")
    await store.close()
    assert b"team:T1" in content(tmp_path)
    assert b"very-secret" not in content(tmp_path)


async def test_accounts_do_not_see_each_other(store: Store) -> None:
    await vault(store, OLD).put("k", "v")
    for other in (vault(store, OLD, account="second"), vault(store, OLD, kind="discord")):
        assert (await other.get("k"), list(await other.keys())) == (None, [])


async def test_another_key_opens_nothing_and_the_error_says_what_to_do(store: Store) -> None:
    await vault(store, OLD).put("team:T1", "xoxb-1")
    with pytest.raises(AuthLost, match=r"slack:main.*vault_key") as refused:
        await vault(store, NEW).get("team:T1")
    assert "xoxb" not in str(refused.value)


async def test_keys_rotate(store: Store) -> None:
    await vault(store, OLD).put("old", "1")
    rotating = vault(store, NEW, OLD)
    assert await rotating.get("old") == "1", "all open"
    await rotating.put("new", "2")
    assert await vault(store, NEW).get("new") == "2", "the first seals"


@pytest.mark.parametrize("place", ["account = 'second'", "key = 'other'", "channel = 'discord'"])
async def test_a_sealed_text_does_not_open_elsewhere(store: Store, place: str) -> None:
    await vault(store, OLD).put("k", "v")
    await store.engine.write(lambda tx: tx.run(f"UPDATE vault SET {place}"))
    moved = vault(
        store, OLD, account="second" if "account" in place else "main",
        kind="discord" if "channel" in place else "slack",
    )  # fmt: skip
    with pytest.raises(AuthLost):
        await moved.get("other" if "key" in place else "k")


# --- the key ---------------------------------------------------------------------------------------


def test_a_key_is_made_once_and_only_its_user_reads_it(tmp_path: Path) -> None:
    token = cipher_beside(tmp_path).encrypt(b"secret")
    assert (tmp_path / KEY_NAME).stat().st_mode & 0o777 == 0o600
    assert cipher_beside(tmp_path).decrypt(token) == b"secret"
    assert [path.name for path in tmp_path.iterdir()] == [KEY_NAME], "nothing is left lying about"


def test_a_start_that_was_cut_off_is_made_good(tmp_path: Path) -> None:
    (tmp_path / "vault.new").write_bytes(b"half a k")
    assert cipher_beside(tmp_path).encrypt(b"x")


@pytest.mark.parametrize(
    "wrong", ["short", "x" * 44, OLD + " and more"], ids=["short", "no base64 of a key", "more than a key"]
)
def test_what_is_no_key_is_refused_without_repeating_it(wrong: str) -> None:
    with pytest.raises(SecretUnavailable, match="vault_key holds no key") as refused:
        cipher_from(SecretStr(wrong))
    assert wrong not in str(refused.value)


def test_a_key_is_read_by_reference(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(OLD)
    token = Fernet(OLD).encrypt(b"secret")
    assert cipher_from(SecretStr(f"file:{tmp_path / 'key'}")).decrypt(token) == b"secret"
    assert cipher_from(SecretStr("env:VAULT"), {"VAULT": OLD}).decrypt(token) == b"secret"


async def test_a_file_that_is_no_key_is_told_when_it_is_needed(store: Store, tmp_path: Path) -> None:
    (tmp_path / KEY_NAME).write_text("gone wrong")
    broken = AccountVault(
        store.vault, VaultCipher(lambda: cipher_beside(tmp_path)), Clock(), DEFAULT_ORG, "slack", "main"
    )
    assert await broken.get("k") is None, "what needs no key works without one"
    with pytest.raises(SecretUnavailable, match=r"vault\.key holds no key"):
        await broken.put("k", "v")
    assert await sealed(store) == []


async def test_a_gateway_does_not_start_with_a_configured_key_that_is_none(tmp_path: Path) -> None:
    made = Stage(tmp_path / "data", vault_key="nonsense")
    with pytest.raises(SecretUnavailable, match="vault_key"):
        await made.start()


async def test_what_the_audit_log_commits_to_needs_the_key_from_the_first_start(stage: Stage) -> None:
    assert (stage.gateway._settings.data_dir / KEY_NAME).exists()
