"""What the adapter's tests share: the bot, a store that keeps promises, and waiting until something is so."""

import asyncio
from collections.abc import Callable, Sequence

from pydantic import SecretStr

from channels.emulators.telegram import NO_FLOOD_LIMITS, BotAccount, TelegramEmulator
from channels.messages import Ignored, Inbound, RoomRef
from channels.telegram.adapter import TelegramAdapter
from channels.telegram.poller import Backoff
from channels.telegram.settings import TelegramSettings

GATE = BotAccount(token="42:gate-secret", id=42, username="gate_bot", first_name="Gate")
ADA = RoomRef("1001")
# Failures follow one another at once: tests wait for outcomes, not for the clock.
AT_ONCE = Backoff(first_s=0.005, max_s=0.01)
PATIENCE_S = 5.0


class MemorySink:
    """An inbox in memory that does what the port says: batch and cursor together, or nothing."""

    def __init__(self) -> None:
        self.stored: dict[str, Inbound | Ignored] = {}
        self.cursor_value: str | None = None
        self.attempts: list[list[str]] = []
        self.failures: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def cursor(self) -> str | None:
        return self.cursor_value

    async def commit(self, batch: Sequence[Inbound | Ignored], cursor: str | None) -> None:
        self.attempts.append([delivery.delivery_id for delivery in batch])
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        for delivery in batch:
            self.stored.setdefault(delivery.delivery_id, delivery)
        self.cursor_value = cursor

    @property
    def texts(self) -> list[str]:
        return [delivery.text for delivery in self.stored.values() if isinstance(delivery, Inbound)]


def make_emulator() -> TelegramEmulator:
    return TelegramEmulator([GATE], flood_limits=NO_FLOOD_LIMITS, slows_repeated_polls=False)


def make_adapter(api_base_url: str, token: str = GATE.token, backoff: Backoff = AT_ONCE) -> TelegramAdapter:
    settings = TelegramSettings(
        kind="telegram", account="gate", token=SecretStr(token), api_base_url=api_base_url, poll_timeout_s=20
    )
    return TelegramAdapter(settings, token, backoff)


async def until(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds; a test that waits longer than PATIENCE_S has failed."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the emulator and the adapter have no event to wait for
            await asyncio.sleep(0.005)
