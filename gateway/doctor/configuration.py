"""The configuration: loads, and the secrets its channels and agents refer to are there."""

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, SecretStr

from channels.registry import ChannelSettings, secrets_of
from channels.secrets import SecretUnavailable, resolve_secret
from gateway.agent_settings import AgentSettings
from gateway.doctor.files import OTHERS
from gateway.doctor.findings import Finding, error, ok, warning
from gateway.settings import Settings, SettingsError, channel_settings
from gateway.vault_key import cipher_from


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
    secrets = [secret for channel in channels for secret in secrets_of(channel).values()]
    secrets += [secret for agent in settings.agents for key, secret in _secrets_in(agent) if _is_key(key)]
    if any(map(_is_literal, secrets)) and path.exists():
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & OTHERS:
            yield error(
                "configuration",
                f"{path} holds a secret and other users can read it (mode {mode:04o})",
                f"chmod 0600 {path}, or refer to the secret with env:NAME or file:/path.",
            )


def _check_vault_key(reference: SecretStr) -> Finding:
    try:
        cipher_from(reference)
    except SecretUnavailable as problem:
        return error("vault", str(problem), "Provide the key: without it no channel gets its stored secrets.")
    return ok("vault", "The key of stored secrets is there")


def _check_secrets(channel: ChannelSettings) -> Iterator[Finding]:
    for name, secret in secrets_of(channel).items():
        what = f"channel {channel.kind}:{channel.account}"
        try:
            resolve_secret(secret)
        except SecretUnavailable as problem:
            yield error("channel", f"{what}: {problem}", "Provide the secret, or correct the reference.")
            continue
        if _is_literal(secret):
            yield warning(
                "channel",
                f"{what}: its {name} stands in the configuration",
                "Better: env:NAME or file:/path.",
            )
        else:
            yield ok("channel", f"{what}: its {name} is there")


def _check_agent(agent: AgentSettings) -> Iterator[Finding]:
    """The secrets that an agent refers to. What is given as it is may be no secret (an environment, a header)."""
    what = f"agent {agent.id}"
    for key, secret in _secrets_in(agent):
        try:
            resolve_secret(secret)
        except SecretUnavailable as problem:
            yield error("agent", f"{what}: {key}: {problem}", "Provide the secret, or correct the reference.")
            continue
        if not _is_literal(secret):
            yield ok("agent", f"{what}: its {key} is there")
        elif _is_key(key):
            yield warning(
                "agent", f"{what}: its {key} stands in the configuration", "Better: env:NAME or file:/path."
            )


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
    return key.endswith("api_key")


def _is_literal(secret: SecretStr) -> bool:
    return not secret.get_secret_value().startswith(("env:", "file:"))
