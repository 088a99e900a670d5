"""Which chat networks there are: kind -> settings and the adapter they make.

The only place that names adapters, and the only one that imports them late: an SDK is loaded when an account
of its network is configured, not before.
"""

from typing import TypeAlias

from channels.discord.settings import DiscordSettings
from channels.port import Adapter, Vault
from channels.secrets import resolve_secret
from channels.telegram.settings import TelegramSettings

ChannelSettings: TypeAlias = DiscordSettings | TelegramSettings
"""One account's settings, told apart by `kind`."""

SETTINGS_BY_KIND: dict[str, type[ChannelSettings]] = {
    "discord": DiscordSettings,
    "telegram": TelegramSettings,
}


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

            return TelegramAdapter(settings, resolve_secret(settings.token))
