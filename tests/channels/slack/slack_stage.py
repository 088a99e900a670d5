"""What the adapter's tests share: the app, its adapter, and a network that is quick to repeat."""

import json
from pathlib import Path
from typing import Any

from channel_stage import MemoryVault
from pydantic import SecretStr

from channels.emulators.slack import AppAccount, SlackEmulator, Timing
from channels.messages import HealthState, RoomRef
from channels.slack.adapter import Credentials, SlackAdapter
from channels.slack.settings import SlackSettings
from channels.slack.sockets import Backoff

PAYLOADS = Path(__file__).parent / "payloads"
APP = AppAccount()
TEAM = "T0000000001"
# Failures follow one another at once: tests wait for outcomes, not for the clock.
AT_ONCE = Backoff(first_s=0.005, max_s=0.01, refused_s=0.01)
# Long to acknowledge, so that only what must be missed is missed; repetitions follow at once.
QUICK = Timing(ack_s=5.0, retries_s=(0.0, 0.02, 0.05))

# For events that are not acknowledged.
HASTY = Timing(ack_s=0.1, retries_s=(0.0, 0.02, 0.05))


def make_emulator(**options: Any) -> SlackEmulator:
    options.setdefault("timing", QUICK)
    return SlackEmulator(**options)


def make_settings(api_base_url: str, **changes: Any) -> SlackSettings:
    values: dict[str, Any] = {
        "kind": "slack",
        "account": "acme",
        "bot_token": SecretStr("xoxb-emulated-1"),
        "app_token": SecretStr(APP.app_token),
        "api_base_url": api_base_url.rstrip("/"),
    }
    return SlackSettings(**{name: value for name, value in (values | changes).items() if value is not None})


def make_adapter(
    emulator: SlackEmulator, vault: MemoryVault | None = None, outage_s: float = 0.0, **changes: Any
) -> SlackAdapter:
    """An adapter of the emulator's first app; every outage is one to catch up after."""
    return adapter_at(emulator.api_url, vault, outage_s, **changes)


def adapter_at(
    api_url: str, vault: MemoryVault | None = None, outage_s: float = 0.0, **changes: Any
) -> SlackAdapter:
    settings = make_settings(api_url, **changes)
    bot_token = settings.bot_token.get_secret_value() if settings.bot_token else ""
    app_token = settings.app_token.get_secret_value() if settings.app_token else ""
    credentials = Credentials(bot_token, app_token, APP.signing_secret, APP.client_secret)
    return SlackAdapter(settings, credentials, vault or MemoryVault(), AT_ONCE, outage_s)


def is_connected(adapter: SlackAdapter) -> bool:
    return adapter.health().state is HealthState.CONNECTED


def room(channel: str, thread_ts: str | None = None) -> RoomRef:
    return RoomRef(f"{TEAM}/{channel}", thread_ts)


def payload(name: str) -> dict[str, Any]:
    """A body from the folder `payloads`."""
    found: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text())
    return found
