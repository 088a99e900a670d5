"""What may be set for a Telegram bot, and what is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from channels.telegram.settings import TelegramSettings

MINIMAL = {"kind": "telegram", "account": "gate", "token": "42:secret"}


def test_the_least_one_must_say() -> None:
    settings = TelegramSettings.model_validate(MINIMAL)
    assert settings.api_base_url == "https://api.telegram.org"
    assert settings.dm_policy == "pairing"
    assert settings.allow == []
    assert settings.poll_timeout_s == 30


@pytest.mark.parametrize(
    "extra",
    [
        {"account": ""},
        {"account": "Gate"},
        {"account": "gate\n"},
        {"account": "x" * 33},
        {"token": ""},
        {"kind": "slack"},
        {"tokn": "x"},
        {"api_base_url": "api.telegram.org"},
        {"api_base_url": "ftp://x"},
        {"api_base_url": "http://"},
        {"api_base_url": "http://user:word@x"},
        {"api_base_url": "http://x/?a=b"},
        {"dm_policy": "closed"},
        {"dm_policy": "allowlist"},
        {"allow": ["ada"]},
        {"allow": ["-500"]},
        {"allow": ["1\n"]},
        {"poll_timeout_s": 0},
        {"poll_timeout_s": 51},
        {"mode": "webhook"},
        {"mode": "push"},
        {"mode": "webhook", "webhook_url": "gate.example.org"},
    ],
)
def test_what_makes_no_sense_is_refused(extra: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TelegramSettings.model_validate(MINIMAL | extra)


def test_an_allowlist_with_people_is_accepted() -> None:
    settings = TelegramSettings.model_validate(MINIMAL | {"dm_policy": "allowlist", "allow": ["1001"]})
    assert settings.allow == ["1001"]


def test_the_address_has_no_slash_at_its_end() -> None:
    settings = TelegramSettings.model_validate(MINIMAL | {"api_base_url": "http://127.0.0.1:8081/api/"})
    assert settings.api_base_url == "http://127.0.0.1:8081/api"


def test_a_webhook_needs_an_address() -> None:
    extra = {"mode": "webhook", "webhook_url": "https://gate.example.org/"}
    settings = TelegramSettings.model_validate(MINIMAL | extra)
    assert (settings.mode, settings.webhook_url) == ("webhook", "https://gate.example.org")


def test_the_token_is_not_shown() -> None:
    settings = TelegramSettings.model_validate(MINIMAL)
    assert "secret" not in repr(settings) + settings.model_dump_json()


def test_every_setting_is_described() -> None:
    assert [name for name, field in TelegramSettings.model_fields.items() if not field.description] == []
