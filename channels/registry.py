"""Which chat networks there are: kind -> settings and the adapter they make.

The only place that names adapters, and the only one that imports them late: an SDK is loaded when an account
of its network is configured, not before.
"""

from typing import TypeAlias

from pydantic import SecretStr

from channels.discord.settings import DiscordSettings
from channels.port import Adapter, Vault
from channels.secrets import resolve_secret
from channels.slack.settings import SlackSettings
from channels.telegram.settings import TelegramSettings

ChannelSettings: TypeAlias = TelegramSettings | SlackSettings | DiscordSettings
"""One account's settings, told apart by `kind`."""

SETTINGS_BY_KIND: dict[str, type[TelegramSettings] | type[SlackSettings] | type[DiscordSettings]] = {
    "telegram": TelegramSettings,
    "slack": SlackSettings,
    "discord": DiscordSettings,
}


def secrets_of(settings: ChannelSettings) -> dict[str, SecretStr]:
    """The secrets, or references to them, that an account is configured with, by the name of the setting."""
    found = {name: getattr(settings, name) for name in type(settings).model_fields}
    return {name: value for name, value in found.items() if isinstance(value, SecretStr)}


def create_adapter(settings: ChannelSettings, vault: Vault) -> Adapter:
    """The adapter of one account, not started; `vault` is the account's own.

    Raises SecretUnavailable; may read a file.
    """
    match settings:
        case DiscordSettings():
            # discord.py takes 0.4 s and about 20 MB to load (2.7.1, Python 3.11).
            from channels.discord.adapter import DiscordAdapter  # noqa: PLC0415 - see the module's docstring

            return DiscordAdapter(settings, resolve_secret(settings.token))
        case TelegramSettings():
            # python-telegram-bot takes 0.2 s and about 15 MB to load (22.8, Python 3.11).
            from channels.telegram.adapter import TelegramAdapter  # noqa: PLC0415 - see the module's docstring

            return TelegramAdapter(settings, resolve_secret(settings.token), vault)
        case SlackSettings():
            # slack-bolt and slack_sdk take 0.3 s and about 20 MB (1.30 and 3.47, Python 3.11).
            from channels.slack.adapter import Credentials, SlackAdapter  # noqa: PLC0415

            found = {name: resolve_secret(secret) for name, secret in secrets_of(settings).items()}
            return SlackAdapter(settings, Credentials(**found), vault)
