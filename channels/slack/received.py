"""What one envelope from Slack comes to: a delivery for the core, and what the adapter itself does once it is stored.

Plain immutable values; `inbound` and `interactions` make them.
"""

from dataclasses import dataclass

from channels.messages import Delivery
from channels.slack.places import Place


@dataclass(frozen=True, slots=True)
class BotIdentity:
    """Who we are in a workspace, as auth.test or an event's `authorizations` say."""

    team: str
    user_id: str
    bot_id: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """What users.info says of somebody. Only `is_guest` and `is_foreign` matter; the name is for showing."""

    name: str
    is_guest: bool = False
    is_foreign: bool = False


@dataclass(frozen=True, slots=True)
class Echoed:
    """Slack shows us our own message `ref` of operation `op`."""

    op: str
    ref: str


@dataclass(frozen=True, slots=True)
class Began:
    """Somebody began a conversation with the bot alone; its first text becomes the title."""

    place: Place
    user: str
    text: str


@dataclass(frozen=True, slots=True)
class Opened:
    """Somebody looks at an empty conversation with the bot."""

    place: Place


@dataclass(frozen=True, slots=True)
class FormWanted:
    """A button that asks for a reason was pressed; the trigger is good for three seconds."""

    place: Place
    user: str
    trigger_id: str
    message_ts: str | None
    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Answerable:
    """Somebody waits for an answer that only they see: a button of a message, a form, or a command."""

    place: Place
    user: str
    how: str
    """`message`, `form` (errors go into it) or `command`."""


@dataclass(frozen=True, slots=True)
class Left:
    """A workspace took its token back."""

    team: str
    is_uninstalled: bool


After = Echoed | Began | Opened | FormWanted | Answerable | Left


@dataclass(frozen=True, slots=True)
class Received:
    """One delivery. `cursor` is the `ts` up to which its room is known, `sent_at_ms` when Slack had it."""

    delivery: Delivery
    cursor: tuple[str, str] | None = None
    sent_at_ms: int | None = None
    after: After | None = None
