"""A Telegram Bot API server for tests, the demo and offline play: strict about the network's rules.

An unmodified Bot API library talks to it (`base_url=emulator.base_url`, `base_file_url=emulator.base_file_url`).
The rules are pure (`world`, `people`, `rooms`, `bot_calls` and the `*_methods`), the shell around them is
`server`, `polling`, `webhooks`, `control`, `control_verbs` and `emulator`. `stage` has every verb for tests.
"""

from channels.emulators.errors import ControlError
from channels.emulators.faults import Fault, FaultKind, FaultScript
from channels.emulators.telegram.emulator import TelegramEmulator
from channels.emulators.telegram.files import FileLimits
from channels.emulators.telegram.flood import NO_FLOOD_LIMITS, FloodLimits
from channels.emulators.telegram.people import Said
from channels.emulators.telegram.records import BotAccount, Content, Draft, Media, Message, User
from channels.emulators.telegram.world import NEWEST_API

__all__ = [
    "NEWEST_API",
    "NO_FLOOD_LIMITS",
    "BotAccount",
    "Content",
    "ControlError",
    "Draft",
    "Fault",
    "FaultKind",
    "FaultScript",
    "FileLimits",
    "FloodLimits",
    "Media",
    "Message",
    "Said",
    "TelegramEmulator",
    "User",
]
