"""What the emulator's tests share: two bots, a clock that stands still until told, the client's type."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from telegram import Bot

from channels.emulators.telegram import BotAccount

GATE = BotAccount(token="42:gate-secret", id=42, username="gate_bot", first_name="Gate")
NOSY = BotAccount(token="43:nosy-secret", id=43, username="nosy_bot", first_name="Nosy", privacy_mode=False)
# Slower than anything on loopback, fast enough to wait for in a test of timeouts.
READ_TIMEOUT_S = 1.0
GROUP = -500
FORUM = -1_000_000_000_500

# Makes a library client for an account (GATE by default); closed at the end of the test.
Connect = Callable[..., Awaitable[Bot]]


@dataclass
class Clock:
    """Seconds since 1970, moved by hand."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now
