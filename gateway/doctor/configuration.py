"""The configuration: loads, and the secrets its channels and agents refer to are there."""

import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from pydantic import BaseModel, SecretStr

from channels.registry import ChannelSettings, secrets_of
from channels.secrets import SecretUnavailable, file_of, is_literal, resolve_secret
from gateway.agent_settings import AgentSettings
from gateway.doctor.files import OTHERS
from gateway.doctor.findings import Finding, error, ok, warning
from gateway.settings import Settings, SettingsError, channel_settings
from gateway.vault_key import cipher_from

BETTER: Final = "env:NAME, file:/path or credential:NAME"
"""How a secret is referred to."""


def explain_settings(problem: SettingsError) -> Iterator[Finding]:
    """One finding per key that is wrong."""
    for what in problem.problems:
        yield error("configuration", what, "Mend it; threadgate serve refuses to start until then.")


def check_configuration(settings: Settings, path: Path) -> Iterator[Finding]:
    """The configuration loaded from `path`, which may not exist, and the channels in it."""
    what = f"{path} is valid" if path.exists() else f"There is no {path}: everything is as by default"
    yield ok("configuration", what)
    if settings.vault_key is not None:
        yield _check_vault_key(settings.vault_key)
    channels = channel_settings(settings)
    for channel in channels:
        yield from _check_secrets(channel)
    for agent in settings.agents:
        yield from _check_agent(agent)
    for sink in settings.audit.sinks:
        for key, secret in _secrets_in(sink):
            yield _check_secret("sink", f"sink {sink.name}", key, secret, is_surely=_is_key(key))
    found = [(f"channel {one.kind}:{one.account}", one) for one in channels]
    yield from _check_exposure([("configuration", settings), *found], path)


def _check_exposure(parts: list[tuple[str, object]], path: Path) -> Iterator[Finding]:
    """Who else can read the secrets: in the configuration itself, and in the files it refers to."""
    secrets = [(key, secret) for where, part in parts for key, secret in _secrets_in(part, where)]
    is_held = any(is_literal(secret) for key, secret in secrets if _is_key(key) or key.startswith("channel "))
    if is_held and path.exists() and (mode := stat.S_IMODE(path.stat().st_mode)) & OTHERS:
        yield error(
            "configuration",
            f"{path} holds a secret and other users can read it (mode {mode:04o})",
            f"chmod 0600 {path}, or refer to the secret with {BETTER}.",
        )
    for key, secret in secrets:
        with suppress(SecretUnavailable, OSError):
            file = file_of(secret)
            if file is not None and (mode := stat.S_IMODE(file.stat().st_mode)) & OTHERS:
                yield warning(
                    "secret",
                    f"{key}: other users can read {file} (mode {mode:04o})",
                    f"chmod 0600 {file}, or 0400.",
                )


def _check_vault_key(reference: SecretStr) -> Finding:
    try:
        cipher_from(reference)
    except SecretUnavailable as problem:
        return error("vault", str(problem), "Provide the key: without it no channel gets its stored secrets.")
    if is_literal(reference):
        return warning("vault", "vault_key stands in the configuration", f"Better: {BETTER}.")
    return ok("vault", "The key of stored secrets is there")


def _check_secrets(channel: ChannelSettings) -> Iterator[Finding]:
    for name, secret in secrets_of(channel).items():
        what = f"channel {channel.kind}:{channel.account}"
        yield _check_secret("channel", what, name, secret, is_surely=True)


def _check_agent(agent: AgentSettings) -> Iterator[Finding]:
    """The secrets that an agent refers to. What is given as it is may be no secret (an environment, a header)."""
    for key, secret in _secrets_in(agent):
        if not is_literal(secret) or _is_key(key):
            yield _check_secret("agent", f"agent {agent.id}", key, secret, is_surely=True)


def _check_secret(check: str, whose: str, key: str, secret: SecretStr, *, is_surely: bool) -> Finding:
    """Whether a secret is there. `is_surely`: what is given as it is, is a secret and not a mere header."""
    try:
        resolve_secret(secret)
    except SecretUnavailable as problem:
        return error(check, f"{whose}: {key}: {problem}", "Provide the secret, or correct the reference.")
    if is_surely and is_literal(secret):
        return warning(check, f"{whose}: its {key} stands in the configuration", f"Better: {BETTER}.")
    return ok(check, f"{whose}: its {key} is there")


def _secrets_in(value: object, key: str = "") -> Iterator[tuple[str, SecretStr]]:
    """Every secret in a value of the settings, by its key."""
    inside: Iterable[tuple[object, object]] = ()
    match value:
        case SecretStr():
            yield key, value
        case BaseModel():
            inside = ((name, getattr(value, name)) for name in type(value).model_fields)
        case dict():
            inside = value.items()
        case tuple():
            inside = enumerate(value)
    for name, inner in inside:
        yield from _secrets_in(inner, f"{key}.{name}" if key else str(name))


def _is_key(key: str) -> bool:
    """Whether what is given under this key is a secret whatever it says. Of headers those that authenticate are."""
    return key.lower().endswith(("api_key", "vault_key", "authorization"))
