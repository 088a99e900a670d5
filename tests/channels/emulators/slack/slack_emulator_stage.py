"""What the emulator's tests share: a clock that is moved by hand, a patient and a hurried network, waiting."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from channels.emulators.slack import DEFAULT_USER, SlackEmulator, Timing

GENERAL = "general"
ADA = DEFAULT_USER
# Longer than anything on loopback takes; only a broken test waits that long.
PATIENCE_S = 10.0
# An event that nobody takes waits for the next attempt longer than any test runs.
CALM = Timing(ack_s=5.0)
# An app gets long to acknowledge, so that only what must be missed is missed; repetitions follow at once.
QUICK = Timing(ack_s=5.0, retries_s=(0.0, 0.05, 0.1))
# For events that are never acknowledged.
HASTY = Timing(ack_s=0.1, retries_s=(0.0, 0.05, 0.1))


@dataclass
class Clock:
    """Seconds since 1970, moved by hand."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


async def until(condition: Callable[[], object]) -> None:
    """Wait until something holds, or fail."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event to offer
            await asyncio.sleep(0.005)


def client_of(emulator: SlackEmulator, token: str | None = None) -> AsyncWebClient:
    """The unmodified library, without retries of its own."""
    return AsyncWebClient(
        token=emulator.bot().token if token is None else token,
        base_url=emulator.api_url,
        retry_handlers=[],
    )


def code_of(error: SlackApiError) -> str:
    """The error code of a refused call."""
    return str(error.response["error"])
