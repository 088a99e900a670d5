"""Which chat networks there are: kind -> settings and the adapter they make.

The only place that names adapters, and the only one that imports them late: an SDK is loaded when an account
of its network is configured, not before.
"""

from channels.port import Adapter, Vault
from channels.secrets import resolve_secret
from channels.telegram.settings import TelegramSettings

# With a second network this becomes a union, told apart by `kind`.
ChannelSettings = TelegramSettings

SETTINGS_BY_KIND: dict[str, type[ChannelSettings]] = {"telegram": TelegramSettings}


def create_adapter(settings: ChannelSettings, vault: Vault) -> Adapter:
    """The adapter of one account, not started; `vault` is the account's own.

    Raises SecretUnavailable; may read a file.
    """
    match settings:
        case TelegramSettings():
            # python-telegram-bot takes 0.2 s and about 15 MB to load (22.8, Python 3.11).
            from channels.telegram.adapter import TelegramAdapter  # noqa: PLC0415 - see the module's docstring

            return TelegramAdapter(settings, resolve_secret(settings.token))
