"""The key that seals what accounts were given at run time: from the setting `vault_key`, or a file of our own.

The file lies beside the store and is made when a secret is sealed for the first time; readable by the gateway's
user alone. A copy of the store without it is of no use to a thief, nor a restored one to its owner.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet, MultiFernet
from pydantic import SecretStr

from channels.secrets import SecretUnavailable, resolve_secret

KEY_NAME: Final = "vault.key"
PSEUDONYM_KEY_NAME: Final = "privacy.key"
_MADE_WITH: Final = (
    'python -c "import secrets, base64; print(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())"'
)


def cipher_from(setting: SecretStr, environment: Mapping[str, str] = os.environ) -> MultiFernet:
    """The cipher of a configured key, or of several, separated by white space: the first seals, all open.

    Raises SecretUnavailable when there is none at the reference, or it is not a key. Reads a file: may block.
    """
    return _cipher(resolve_secret(setting, environment), "vault_key")


def vault_cipher(
    setting: SecretStr | None, directory: Path, environment: Mapping[str, str] = os.environ
) -> MultiFernet:
    """The cipher of a gateway: of its configured key, else of the one beside its store. Blocks.

    Raises SecretUnavailable.
    """
    return cipher_beside(directory) if setting is None else cipher_from(setting, environment)


def cipher_beside(directory: Path) -> MultiFernet:
    """The cipher of the key in the data directory, which is made when there is none. Blocks.

    Raises SecretUnavailable when the file cannot be read or holds no key.
    """
    path = directory / KEY_NAME
    if not path.exists():
        _make(path)
    return _cipher(resolve_secret(SecretStr(f"file:{path.absolute()}")), str(path))


def pseudonym_key(directory: Path) -> bytes:
    """What pseudonyms of personal data are made with (`privacy.mode = "hash"`): a file in the data directory, made when
    there is none. Without it they cannot be made again. Blocks. Raises SecretUnavailable.
    """
    path = directory / PSEUDONYM_KEY_NAME
    if not path.exists():
        _make(path)
    return resolve_secret(SecretStr(f"file:{path.absolute()}")).encode()


def _make(path: Path) -> None:
    """Write a new key so that a crash leaves a whole key or none, and two processes agree on one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(f".new{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(Fernet.generate_key() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):  # another process was faster: its key counts
        path.hardlink_to(fresh)
    fresh.unlink()
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)  # what is sealed with it must not outlive it
    finally:
        os.close(directory)


def _cipher(text: str, where: str) -> MultiFernet:
    try:
        return MultiFernet([Fernet(key) for key in text.split()])
    except ValueError:
        # Without a cause: the error may carry the key.
        raise SecretUnavailable(
            f"{where} holds no key: it is 32 random bytes in URL-safe base64, as made by {_MADE_WITH}"
        ) from None
