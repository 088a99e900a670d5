"""What may be set for a Discord bot, and what is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from channels.discord.settings import DiscordSettings

MINIMAL = {"kind": "discord", "account": "gate", "token": "bot-secret"}


def test_the_least_one_must_say() -> None:
    settings = DiscordSettings.model_validate(MINIMAL)
    assert settings.api_base_url == "https://discord.com/api/v10"
    assert settings.gateway_url == "wss://gateway.discord.gg"
    assert settings.reply_in_threads and settings.message_content


@pytest.mark.parametrize(
    "extra",
    [
        {"token": ""},
        {"kind": "telegram"},
        {"tokn": "x"},
        {"gateway_url": "https://gateway.discord.gg"},
        {"gateway_url": "wss://"},
        {"gateway_url": "wss://user:word@x"},
        {"gateway_url": "wss://x/?v=10"},
        {"allow": ["ada"]},
        {"rooms": ["#general"]},
        {"rooms": ["0123"]},
        {"approvers": ["1" * 21]},
    ],
)
def test_what_makes_no_sense_is_refused(extra: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DiscordSettings.model_validate(MINIMAL | extra)


def test_addresses_have_no_slash_at_their_end() -> None:
    settings = DiscordSettings.model_validate(
        MINIMAL | {"api_base_url": "http://127.0.0.1:1/api/v10/", "gateway_url": "ws://127.0.0.1:1/"}
    )
    assert settings.api_base_url == "http://127.0.0.1:1/api/v10"
    assert settings.gateway_url == "ws://127.0.0.1:1"


def test_the_token_is_not_shown() -> None:
    settings = DiscordSettings.model_validate(MINIMAL)
    assert "secret" not in repr(settings) + settings.model_dump_json()


def test_every_setting_is_described() -> None:
    assert [name for name, field in DiscordSettings.model_fields.items() if not field.description] == []
