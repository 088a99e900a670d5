"""From a kind to settings and an adapter, without loading what is not configured."""

import subprocess
import sys

import pytest
from channel_stage import MemoryVault
from pydantic import SecretStr

from channels.registry import SETTINGS_BY_KIND, create_adapter, secrets_of
from channels.secrets import SecretUnavailable
from channels.telegram.settings import TelegramSettings


async def test_telegram_settings_make_a_telegram_adapter() -> None:
    settings = SETTINGS_BY_KIND["telegram"].model_validate(
        {"kind": "telegram", "account": "gate", "token": "42:secret"}
    )
    adapter = create_adapter(settings, MemoryVault())
    assert (adapter.kind, adapter.account) == ("telegram", "gate")
    await adapter.stop()


async def test_discord_settings_make_a_discord_adapter() -> None:
    settings = SETTINGS_BY_KIND["discord"].model_validate(
        {"kind": "discord", "account": "gate", "token": "bot-secret"}
    )
    adapter = create_adapter(settings, MemoryVault())
    assert (adapter.kind, adapter.account) == ("discord", "gate")
    await adapter.stop()


def test_a_reference_without_a_secret_makes_no_adapter() -> None:
    settings = TelegramSettings(kind="telegram", account="gate", token=SecretStr("env:NO_SUCH_TOKEN_HERE"))
    with pytest.raises(SecretUnavailable):
        create_adapter(settings, MemoryVault())


async def test_slack_settings_make_a_slack_adapter() -> None:
    settings = SETTINGS_BY_KIND["slack"].model_validate(
        {"kind": "slack", "account": "work", "bot_token": "xoxb-1", "app_token": "xapp-1"}
    )
    adapter = create_adapter(settings, MemoryVault())
    assert (adapter.kind, adapter.account) == ("slack", "work")
    await adapter.stop()


def test_secrets_are_found_whatever_they_are_called() -> None:
    settings = SETTINGS_BY_KIND["slack"].model_validate(
        {"kind": "slack", "account": "work", "bot_token": "xoxb-1", "app_token": "env:APP"}
    )
    assert sorted(secrets_of(settings)) == ["app_token", "bot_token"]


def test_an_sdk_is_not_loaded_before_it_is_needed() -> None:
    sdks = ("telegram", "httpx", "slack_sdk", "slack_bolt", "discord", "aiohttp")
    program = f"import sys, channels.registry; sys.exit(any(name in sys.modules for name in {sdks}))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
