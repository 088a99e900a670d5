"""The emulated network's state: apps, workspaces, people, channels, and the few verbs that change them.

Pure: the clock is injected, nothing waits and nothing is written. What people do is in `people.py`, what apps
may do in the modules of methods; both change the world through these verbs. What apps are owed goes to
`deliveries`, visible effects to a list of changes that the shell drains to tell pages.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import count

from channels.emulators.errors import ControlError
from channels.emulators.slack.deliveries import Deliveries, Delivery, EnvelopeKind, Timing
from channels.emulators.slack.records import (
    AppAccount,
    Bot,
    Change,
    Channel,
    ChannelKind,
    Edit,
    Installed,
    Json,
    Message,
    Person,
    ResponseUrl,
    StoredFile,
    Trigger,
    View,
    Workspace,
)
from channels.emulators.slack.showing import message_view

# A trigger must be used within three seconds (https://docs.slack.dev/interactivity/handling-user-interaction).
TRIGGER_LIFE_S = 3.0
# Half an hour and five uses, same page.
RESPONSE_URL_LIFE_S = 1800.0
_CHANNEL_PREFIX: dict[ChannelKind, str] = {"channel": "C", "group": "G", "im": "D", "mpim": "G"}


class World:
    """Everything the emulator knows."""

    def __init__(
        self,
        apps: Sequence[AppAccount],
        workspaces: Sequence[Workspace],
        installed: Sequence[Installed],
        clock: Callable[[], float],
        timing: Timing,
    ) -> None:
        self.now = clock
        self.timing = timing
        self.base_url = ""
        self.apps = {app.id: app for app in apps}
        self.request_urls = {app.id: app.request_url for app in apps}
        self.workspaces = {team.id: team for team in workspaces}
        if not apps or len(self.apps) < len(apps) or len({app.app_token for app in apps}) < len(apps):
            raise ValueError("an emulator needs apps with different ids and app tokens")
        self.bots: dict[str, Bot] = {}
        self.retired_tokens: dict[str, str] = {}
        self.people: dict[tuple[str, str], Person] = {}
        self.channels: dict[str, Channel] = {}
        self.files: dict[str, StoredFile] = {}
        self.views: dict[str, View] = {}
        self.triggers: dict[str, Trigger] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self.deliveries = Deliveries(timing)
        self._ids = count(1)
        self._events = count(1)
        self._last_ts_us = 0
        self._changes: list[Change] = []
        for one in installed:
            self.install(self.apps[one.app_id], self.workspaces[one.team_id], one.scopes, one.token)

    # -- who is there -----------------------------------------------------------------------------------------

    def install(
        self, app: AppAccount, team: Workspace, scopes: frozenset[str] | None, token: str | None = None
    ) -> Bot:
        """Put an app into a workspace; a second time it keeps its bot user, and its token while that is good."""
        granted = set(app.scopes if scopes is None else scopes)
        token = token or f"xoxb-{next(self._ids)}-emulated"
        if token in self.bots or token in self.retired_tokens:
            raise ValueError("installations need different tokens")
        known = next((bot for bot in self.bots.values() if bot.app is app and bot.team is team), None)
        if known is None:
            self.bots[token] = Bot(app, team, token, self.new_id("U"), self.new_id("B"), granted)
            return self.bots[token]
        known.scopes |= granted
        if known.refusal:
            self.retired_tokens[known.token] = known.refusal
            del self.bots[known.token]
            known.token, known.refusal = token, ""
            self.bots[token] = known
        return known

    def bot_named(self, app_id: str | None = None, team_id: str | None = None) -> Bot:
        """The installation of an app in a workspace; the first one without names. Raises ControlError."""
        for bot in self.bots.values():
            if app_id in (None, bot.app.id) and team_id in (None, bot.team.id):
                return bot
        raise ControlError(f"no installation of app {app_id or '(any)'} in workspace {team_id or '(any)'}")

    def bot_user(self, user_id: str) -> Bot | None:
        """The installation whose bot user this is."""
        return next((bot for bot in self.bots.values() if bot.user_id == user_id), None)

    def bots_in(self, channel: Channel) -> Iterator[Bot]:
        """The bots that are members of a channel."""
        return (bot for bot in self.bots.values() if bot.user_id in channel.members)

    def add_person(self, team: Workspace, person: Person) -> Person:
        """Make somebody a member of a workspace, or give them another name."""
        if not re.fullmatch(r"[UW][A-Z0-9]+", person.id):
            raise ControlError("user ids are U or W and then capitals and digits")
        if self.bot_user(person.id) is not None:
            raise ControlError(f"{person.id} is a bot")
        self.people[(team.id, person.id)] = person
        return person

    def user_named(self, team: Workspace, name: str) -> str | None:
        """The user a person means by a name: a person of the workspace or an app's bot."""
        wanted = name.lower()
        for (team_id, user_id), person in self.people.items():
            if team_id == team.id and wanted in (person.name.lower(), user_id.lower()):
                return user_id
        for bot in self.bots.values():
            if bot.team is team and wanted in (bot.app.name.lower(), bot.user_id.lower()):
                return bot.user_id
        return None

    # -- where they talk --------------------------------------------------------------------------------------

    def open_channel(self, team: Workspace, kind: ChannelKind, name: str, members: set[str]) -> Channel:
        """Make a channel. Raises ControlError for a name that is taken."""
        if any(one.name == name and one.team is team for one in self.channels.values() if name):
            raise ControlError(f"there is a channel #{name}")
        channel = Channel(self.new_id(_CHANNEL_PREFIX[kind]), kind, name, team, self.now(), set(members))
        self.channels[channel.id] = channel
        self.note("channel", channel, lambda: {"id": channel.id, "name": channel.name})
        return channel

    def direct(self, bot: Bot, user_id: str) -> Channel:
        """The direct conversation of a person with a bot, opened when it is new."""
        for channel in self.channels.values():
            if channel.kind == "im" and channel.bot is bot and user_id in channel.members:
                return channel
        channel = self.open_channel(bot.team, "im", "", {bot.user_id, user_id})
        channel.bot = bot
        return channel

    def channel_named(self, team: Workspace, name: str) -> Channel | None:
        """A channel by its id or its name, with or without `#`."""
        channel = self.channels.get(name)
        if channel is not None and channel.team is team:
            return channel
        bare = name.removeprefix("#")
        return next((one for one in self.channels.values() if one.team is team and one.name == bare), None)

    # -- what is said -----------------------------------------------------------------------------------------

    def next_ts(self) -> str:
        """A new `ts`: later than every one before, whatever the clock says."""
        self._last_ts_us = max(self._last_ts_us + 1, int(self.now() * 1_000_000))
        seconds, microseconds = divmod(self._last_ts_us, 1_000_000)
        return f"{seconds}.{microseconds:06d}"

    def post(self, channel: Channel, message: Message) -> Message:
        """Put a message into a channel, or before one person's eyes when it is ephemeral."""
        if message.ephemeral_to is not None:
            channel.ephemerals[message.ts] = message
            self.note("ephemeral", channel, lambda: message_view(channel, message, self.base_url))
            return message
        channel.messages[message.ts] = message
        if message.thread_ts is not None and message.thread_ts != message.ts:
            channel.replies.setdefault(message.thread_ts, []).append(message.ts)
        self.show("message", channel, message)
        return message

    def revise(self, channel: Channel, message: Message, text: str, blocks: list[Json], editor: str) -> None:
        """Replace what a message shows, keeping what it showed before."""
        message.edits.append(Edit(self.now(), message.text, message.blocks))
        message.text, message.blocks = text, blocks
        message.edited = {"user": editor, "ts": self.next_ts()}
        self.show("edited", channel, message)

    def remove(self, channel: Channel, message: Message) -> None:
        """Delete a message for everyone; it stays in the full view."""
        message.deleted_at = self.now()
        self.show("deleted", channel, message)

    # -- what apps are owed -----------------------------------------------------------------------------------

    def emit(self, bot: Bot, event: Json) -> Delivery:
        """Owe an event to an installation, in the envelope of the Events API."""
        event_id = f"Ev{next(self._events):010d}"
        payload: Json = {
            "token": bot.app.verification_token,
            "team_id": bot.team.id,
            "context_team_id": bot.team.id,
            "context_enterprise_id": None,
            "api_app_id": bot.app.id,
            "event": event,
            "type": "event_callback",
            "event_id": event_id,
            "event_time": int(self.now()),
            "authorizations": [
                {
                    "enterprise_id": None,
                    "team_id": bot.team.id,
                    "user_id": bot.user_id,
                    "is_bot": True,
                    "is_enterprise_install": False,
                }
            ],
            "is_ext_shared_channel": False,
            "event_context": f"4-{event_id}",
        }
        return self.deliveries.add(bot.app.id, "events_api", payload, event_id)

    def interact(self, bot: Bot, kind: EnvelopeKind, payload: Json) -> Delivery:
        """Owe an interaction or a slash command to an installation."""
        return self.deliveries.add(bot.app.id, kind, payload)

    def new_trigger(self, bot: Bot, user_id: str) -> Trigger:
        """The right to open one modal within three seconds."""
        key = f"{next(self._ids)}.{bot.team.id[1:]}.{bot.app.id.lower()}"
        self.triggers[key] = Trigger(key, bot, user_id, self.now() + TRIGGER_LIFE_S)
        return self.triggers[key]

    def new_response_url(
        self, bot: Bot, channel: Channel, user_id: str, message: Message | None = None
    ) -> ResponseUrl:
        """An address for answers without a token."""
        key = f"{bot.team.id}/{next(self._ids)}/emulated"
        response_url = ResponseUrl(key, bot, channel, user_id, self.now() + RESPONSE_URL_LIFE_S)
        if message is not None:
            response_url.message_ts, response_url.thread_ts = message.ts, message.thread_ts
        self.response_urls[key] = response_url
        return response_url

    # -- bookkeeping ------------------------------------------------------------------------------------------

    def new_id(self, prefix: str) -> str:
        """An id of Slack's look."""
        return f"{prefix}{next(self._ids):010d}"

    def show(self, kind: str, channel: Channel, message: Message) -> None:
        """Tell pages how a message looks now."""
        self.note(kind, channel, lambda: message_view(channel, message, self.base_url))

    def note(self, kind: str, channel: Channel, detail: Callable[[], Json]) -> None:
        """Record a visible change; its detail is made only when somebody listens."""
        self._changes.append(Change(kind, channel.team.id, channel.id, detail))

    def drain_changes(self) -> list[Change]:
        """The changes since the last call."""
        changes, self._changes = self._changes, []
        return changes
