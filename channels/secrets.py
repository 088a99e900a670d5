"""Secrets by reference: a setting says where a secret is, and it is read when the adapter is made.

References: `env:NAME` (an environment variable), `file:/path` (a file, e.g. a mounted secret), `credential:NAME` (a
file that systemd put into $CREDENTIALS_DIRECTORY for this service: systemd.exec(5), "Credentials"), anything else is
the secret itself. Errors name the reference and never a secret.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

_ENVIRONMENT = "env:"
_FILE = "file:"
_CREDENTIAL = "credential:"
_CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY"
_CREDENTIAL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")
# A name is no path: it leads to nothing outside of the directory.
# A token or key is short; a path that points at something else should not be read into memory.
_FILE_MAX_BYTES = 64 * 1024


class SecretUnavailable(Exception):
    """A reference leads to no secret. The text says which and why, and is safe to show."""


def resolve_secret(reference: SecretStr, environment: Mapping[str, str] = os.environ) -> str:
    """The secret itself, without white space around it. Raises SecretUnavailable. Reads a file: may block."""
    value = reference.get_secret_value()
    if value.startswith(_ENVIRONMENT):
        name = value.removeprefix(_ENVIRONMENT)
        secret = _from_environment(name, environment)
        where = f"the environment variable {name}"
    elif value.startswith(_FILE):
        path = Path(value.removeprefix(_FILE))
        secret = _from_file(path)
        where = f"the file {path}"
    elif value.startswith(_CREDENTIAL):
        name = value.removeprefix(_CREDENTIAL)
        secret = _from_file(_credential(name, environment))
        where = f"the credential {name}"
    else:
        secret = value
        where = "the setting"
    if not secret.strip():
        raise SecretUnavailable(f"{where} holds no secret: it is empty")
    return secret.strip()


def is_literal(setting: SecretStr) -> bool:
    """Whether the setting is the secret itself."""
    return not setting.get_secret_value().startswith((_ENVIRONMENT, _FILE, _CREDENTIAL))


def file_of(setting: SecretStr, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The file that the setting refers to, which may not exist; None where it refers to none.

    Raises SecretUnavailable for a credential where there are none.
    """
    value = setting.get_secret_value()
    if value.startswith(_CREDENTIAL):
        return _credential(value.removeprefix(_CREDENTIAL), environment)
    return Path(value.removeprefix(_FILE)) if value.startswith(_FILE) else None


def _credential(name: str, environment: Mapping[str, str]) -> Path:
    if not _CREDENTIAL_NAME.fullmatch(name):
        raise SecretUnavailable(f"a credential's name has letters, digits and _.-, {name!r} has others")
    directory = environment.get(_CREDENTIALS_DIRECTORY, "")
    if not directory:
        raise SecretUnavailable(
            f"there is no credential {name}: the gateway was not started by systemd with LoadCredential={name}:…"
        )
    return Path(directory) / name


def _from_environment(name: str, environment: Mapping[str, str]) -> str:
    if name not in environment:
        raise SecretUnavailable(f"the environment variable {name} is not set")
    return environment[name]


def _from_file(path: Path) -> str:
    if not path.is_absolute():
        raise SecretUnavailable(f"the path of a secret is absolute, {path} is not")
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_MAX_BYTES + 1)
    except OSError as error:
        raise SecretUnavailable(f"the file {path} cannot be read: {error.strerror}") from error
    if len(content) > _FILE_MAX_BYTES:
        raise SecretUnavailable(f"the file {path} is larger than {_FILE_MAX_BYTES} bytes, which no secret is")
    try:
        return content.decode()
    except UnicodeDecodeError:
        # Without a cause: the error would carry the content.
        raise SecretUnavailable(f"the file {path} is not UTF-8 text") from None
