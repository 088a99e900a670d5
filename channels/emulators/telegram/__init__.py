"""A Telegram Bot API server for tests, the demo and offline play: strict about the network's rules.

An unmodified Bot API library talks to it (`base_url=emulator.base_url`). Everything else is in the modules:
`world`, `people`, `bot_calls`, `methods` and `updates` are the pure rules, `server`, `polling`, `control` and
`emulator` the shell.
"""

from channels.emulators.errors import ControlError
from channels.emulators.faults import Fault, FaultKind, FaultScript
from channels.emulators.telegram.emulator import TelegramEmulator
from channels.emulators.telegram.flood import NO_FLOOD_LIMITS, FloodLimits
from channels.emulators.telegram.people import Said
from channels.emulators.telegram.records import BotAccount, Message, User

__all__ = [
    "NO_FLOOD_LIMITS",
    "BotAccount",
    "ControlError",
    "Fault",
    "FaultKind",
    "FaultScript",
    "FloodLimits",
    "Message",
    "Said",
    "TelegramEmulator",
    "User",
]
