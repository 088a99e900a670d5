"""A Slack for tests, the demo and offline play: Web API, Socket Mode, HTTP events, OAuth, strict about the rules.

Unmodified Slack libraries talk to it (`base_url=emulator.api_url`). Everything else is in the modules: `world`,
`deliveries`, `events`, `people`, `interactions` and the modules of methods are the pure rules, `web_api`,
`sockets`, `dispatching`, `control` and `emulator` the shell, `network` the verbs.
"""

from channels.emulators.errors import ControlError
from channels.emulators.faults import Fault, FaultKind, FaultScript
from channels.emulators.slack.deliveries import Delivery, DeliveryState, Timing
from channels.emulators.slack.emulator import SlackEmulator
from channels.emulators.slack.network import DEFAULT_USER
from channels.emulators.slack.people import Attachment
from channels.emulators.slack.records import (
    DEFAULT_EVENTS,
    DEFAULT_SCOPES,
    AppAccount,
    Channel,
    Installed,
    Message,
    Person,
    View,
    Workspace,
)

__all__ = [
    "DEFAULT_EVENTS",
    "DEFAULT_SCOPES",
    "DEFAULT_USER",
    "AppAccount",
    "Attachment",
    "Channel",
    "ControlError",
    "Delivery",
    "DeliveryState",
    "Fault",
    "FaultKind",
    "FaultScript",
    "Installed",
    "Message",
    "Person",
    "SlackEmulator",
    "Timing",
    "View",
    "Workspace",
]
