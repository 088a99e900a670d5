"""Everything that tests, the demo and the control side can do to the network, as methods.

People's doings, a look at what came of them, and the troubles a network can make: sockets that go, events that
come twice, late or never, tokens and scopes that are taken away. The faults of single calls are in `faults`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from channels.emulators.calls import CallLog
from channels.emulators.errors import ControlError
from channels.emulators.faults import FaultScript
from channels.emulators.feed import Feed
from channels.emulators.loopback import LOOPBACK_HOSTS
from channels.emulators.slack import accounts, events, interactions, people, streams
from channels.emulators.slack.agents import drop_stale_status
from channels.emulators.slack.deliveries import Delivery, DeliveryState, Tally, Timing
from channels.emulators.slack.dispatching import Dispatcher
from channels.emulators.slack.people import Attachment
from channels.emulators.slack.records import (
    AppAccount,
    Bot,
    Channel,
    ChannelKind,
    Installed,
    Json,
    Message,
    Person,
    View,
    Workspace,
)
from channels.emulators.slack.sockets import Socket
from channels.emulators.slack.tiers import Tiers
from channels.emulators.slack.world import World

DEFAULT_USER = Person("U0ADA", "ada", "Ada")


def check_local(url: str) -> None:
    """The emulator calls nobody but this machine. Raises ControlError."""
    if url and urlsplit(url).hostname not in LOOPBACK_HOSTS:
        raise ControlError("a request URL must be on loopback")


class Network:
    """The verbs. `app_id` and `team_id` may be left out: then the first installation that fits is meant."""

    def __init__(
        self,
        apps: Sequence[AppAccount],
        workspaces: Sequence[Workspace],
        installed: Sequence[Installed],
        clock: Callable[[], float],
        timing: Timing,
        has_rate_limits: bool,
    ) -> None:
        for app in apps:
            check_local(app.request_url)
        self.world = World(apps, workspaces, installed, clock, timing)
        self.tiers = Tiers(has_rate_limits)
        self.faults = FaultScript()
        self.calls = CallLog()
        self.dispatcher: Dispatcher | None = None
        self.feed: Feed | None = None

    # -- who and where ----------------------------------------------------------------------------------------

    def bot(self, app_id: str | None = None, team_id: str | None = None) -> Bot:
        """An installation. Raises ControlError."""
        return self.world.bot_named(app_id, team_id)

    def team(self, team_id: str | None = None) -> Workspace:
        """A workspace; the first one without an id. Raises ControlError."""
        for team in self.world.workspaces.values():
            if team_id in (None, team.id):
                return team
        raise ControlError(f"no workspace {team_id}")

    def channel(self, name: str, *, team_id: str | None = None) -> Channel:
        """A channel by id or name. Raises ControlError."""
        found = self.world.channels.get(name)
        if found is not None and team_id in (None, found.team.id):
            return found
        return people.channel_of(self.world, self.team(team_id), name)

    def open_channel(
        self,
        name: str,
        *,
        kind: ChannelKind = "channel",
        team_id: str | None = None,
        members: Iterable[Person] = (DEFAULT_USER,),
        with_bots: bool = True,
    ) -> str:
        """Make a channel with people and, unless told otherwise, every bot of the workspace; its id."""
        if kind == "im":
            raise ControlError("direct conversations open by themselves")
        team = self.team(team_id)
        everybody = {self.world.add_person(team, person).id for person in members}
        if with_bots:
            everybody |= {bot.user_id for bot in self.world.bots.values() if bot.team is team}
        channel = self.world.open_channel(team, kind, name.removeprefix("#"), everybody)
        self.spread()
        return channel.id

    def direct(
        self, user: Person = DEFAULT_USER, *, app_id: str | None = None, team_id: str | None = None
    ) -> str:
        """The direct conversation of a person with an app; its id."""
        bot = self.bot(app_id, team_id)
        self.world.add_person(bot.team, user)
        return self.world.direct(bot, user.id).id

    # -- what people do ---------------------------------------------------------------------------------------

    def say(
        self,
        text: str,
        *,
        user: Person = DEFAULT_USER,
        channel: str | None = None,
        thread_ts: str | None = None,
        is_broadcast: bool = False,
        files: Sequence[Attachment] = (),
        app_id: str | None = None,
        team_id: str | None = None,
    ) -> Message:
        """Write, by default to the app directly. `@name`, `#channel` and addresses become what a client makes
        of them. Raises ControlError."""
        where = self.direct(user, app_id=app_id, team_id=team_id) if channel is None else channel
        message = people.say(
            self.world,
            self.channel(where, team_id=team_id),
            user,
            text,
            thread_ts=thread_ts,
            is_broadcast=is_broadcast,
            attachments=tuple(files),
        )
        self.spread()
        return message

    def upload(
        self,
        name: str,
        content: bytes,
        *,
        mimetype: str | None = None,
        text: str = "",
        user: Person = DEFAULT_USER,
        channel: str | None = None,
        thread_ts: str | None = None,
    ) -> Message:
        """Share a file, by default with the app directly. Raises ControlError."""
        file = Attachment(name, content, mimetype)
        return self.say(text, user=user, channel=channel, thread_ts=thread_ts, files=[file])

    def edit(self, channel: str, ts: str, text: str) -> Message:
        """Edit a person's message. Raises ControlError."""
        message = people.edit(self.world, self.channel(channel), ts, text)
        self.spread()
        return message

    def delete(self, channel: str, ts: str) -> Message:
        """Delete a person's message. Raises ControlError."""
        message = people.delete(self.world, self.channel(channel), ts)
        self.spread()
        return message

    def react(
        self, channel: str, ts: str, emoji: str, *, user: Person = DEFAULT_USER, is_added: bool = True
    ) -> None:
        """Put a reaction on a message, or take it away. Raises ControlError."""
        people.react(self.world, self.channel(channel), ts, user, emoji, is_added=is_added)
        self.spread()

    def press(
        self, channel: str, ts: str, action_id: str, *, user: Person = DEFAULT_USER, option: str | None = None
    ) -> Delivery:
        """Press a button of an app's message, or choose an option. Raises ControlError."""
        delivery = interactions.press(self.world, self.channel(channel), ts, action_id, user, option)
        self.spread()
        return delivery

    def submit(self, view_id: str, values: Mapping[str, str | Json] | None = None) -> Delivery:
        """Submit a modal; `values` by action id. Raises ControlError."""
        delivery = interactions.submit(self.world, self.view(view_id), values or {})
        self.spread()
        return delivery

    def dismiss(self, view_id: str) -> Delivery | None:
        """Close a modal without submitting it. Raises ControlError."""
        delivery = interactions.dismiss(self.world, self.view(view_id))
        self.spread()
        return delivery

    def slash(
        self,
        command: str,
        text: str = "",
        *,
        user: Person = DEFAULT_USER,
        channel: str | None = None,
        app_id: str | None = None,
        team_id: str | None = None,
    ) -> Delivery:
        """Run a slash command, by default in the direct conversation. Raises ControlError."""
        bot = self.bot(app_id, team_id)
        where = self.direct(user, app_id=app_id, team_id=team_id) if channel is None else channel
        place = self.channel(where, team_id=bot.team.id)
        delivery = interactions.run_command(self.world, bot, place, user, command, text)
        self.spread()
        return delivery

    def open_home(
        self,
        *,
        user: Person = DEFAULT_USER,
        tab: str = "messages",
        entities: list[Json] | None = None,
        app_id: str | None = None,
        team_id: str | None = None,
    ) -> str:
        """Open the app's home or conversation; the id of the latter. Raises ControlError."""
        if tab not in ("home", "messages", "about"):
            raise ControlError("tab must be home, messages or about")
        channel = interactions.open_home(self.world, self.bot(app_id, team_id), user, tab, entities)
        self.spread()
        return channel.id

    def look_at(
        self,
        entities: list[Json],
        *,
        user: Person = DEFAULT_USER,
        app_id: str | None = None,
        team_id: str | None = None,
    ) -> None:
        """Look at something else while the agent is open."""
        bot = self.bot(app_id, team_id)
        channel = self.channel(self.direct(user, app_id=app_id, team_id=team_id))
        events.context_changed(self.world, bot, channel, user.id, entities)
        self.spread()

    def stop_session(self, channel: str, thread_ts: str, *, user: Person = DEFAULT_USER) -> None:
        """Press Stop on the agent working in a thread. Raises ControlError."""
        place = self.channel(channel)
        bot = next(self.world.bots_in(place), None)
        if bot is None:
            raise ControlError(f"no app in {channel}")
        interactions.stop_session(self.world, bot, place, thread_ts, user)
        self.spread()

    def join(self, channel: str, user_id: str, *, inviter: str | None = None) -> None:
        """Somebody, or a bot by its user id, becomes a member. Raises ControlError."""
        people.join(self.world, self.channel(channel), user_id, inviter)
        self.spread()

    def leave(self, channel: str, user_id: str) -> None:
        """Somebody, or a bot by its user id, is taken out. Raises ControlError."""
        people.leave(self.world, self.channel(channel), user_id)
        self.spread()

    # -- a look inside ----------------------------------------------------------------------------------------

    def messages(self, channel: str) -> list[Message]:
        """Everything in a channel, oldest first, with deleted ones and without ephemeral ones."""
        place = self.channel(channel)
        drop_stale_status(self.world, place)
        for message in place.messages.values():
            streams.close_if_expired(self.world, place, message)
        return list(place.messages.values())

    def ephemerals(self, channel: str) -> list[Message]:
        """What single people were shown in a channel."""
        return list(self.channel(channel).ephemerals.values())

    def view(self, view_id: str) -> View:
        """A modal or home by its id. Raises ControlError."""
        if view_id not in self.world.views:
            raise ControlError(f"no view {view_id}")
        return self.world.views[view_id]

    def views(self, *, only_open: bool = True) -> list[View]:
        """Modals and homes, oldest first."""
        return [view for view in self.world.views.values() if view.is_open or not only_open]

    @property
    def sockets(self) -> list[Socket]:
        """The open sockets, oldest first."""
        return [] if self.dispatcher is None else self.dispatcher.sockets.all()

    @property
    def tickets_shown(self) -> list[str]:
        """The tickets of all tries to open a socket, good or not."""
        return [] if self.dispatcher is None else list(self.dispatcher.sockets.attempts)

    def undelivered(self) -> list[Delivery]:
        """What no app has acknowledged yet, held back or on its way."""
        return self.world.deliveries.open()

    def finished(self) -> list[Delivery]:
        """The last deliveries that were acknowledged or lost."""
        return self.world.deliveries.finished()

    def lost(self) -> list[Delivery]:
        """Those of them that Slack gave up on."""
        return [one for one in self.finished() if one.state is DeliveryState.LOST]

    @property
    def tally(self) -> Tally:
        """How many deliveries were acknowledged, lost and repeated."""
        return self.world.deliveries.tally

    # -- troubles ---------------------------------------------------------------------------------------------

    def hold_events(self) -> None:
        """Keep everything new back until it is released."""
        self.world.deliveries.is_holding = True

    def release_events(self, ids: Iterable[int] | None = None, *, keeps_holding: bool = False) -> int:
        """Let held deliveries go, in the order given; without ids all of them, and nothing is held any more
        unless `keeps_holding`. How many."""
        released = self.world.deliveries.release(ids)
        if ids is None and not keeps_holding:
            self.world.deliveries.is_holding = False
        self.spread()
        return len(released)

    def redeliver(self, event_id: str | None = None, *, delivery_id: int | None = None) -> Delivery:
        """Send something once more although it arrived. Raises ControlError."""
        known = [*self.finished(), *self.undelivered()]
        for delivery in reversed(known):
            if delivery.id == delivery_id or (event_id is not None and delivery.event_id == event_id):
                again = self.world.deliveries.redeliver(delivery)
                self.spread()
                return again
        raise ControlError("no such delivery")

    def stop_redelivering(self, *, stops: bool = True) -> None:
        """From now on what is missed once is lost; `stops` False takes it back."""
        self.world.deliveries.is_repeating = not stops

    def hurry(self) -> None:
        """Do planned repetitions now."""
        self.world.deliveries.hurry()
        self.spread()

    def refuse_upgrades(self, times: int = 1) -> None:
        """Answer the next upgrades with an HTTP error; their tickets stay good."""
        self._running().sockets.upgrades_to_refuse = times

    def drop_upgrades(self, times: int = 1) -> None:
        """Close the connection of the next upgrades without an answer."""
        self._running().sockets.upgrades_to_drop = times

    def disconnect(self, reason: str = "refresh_requested", number: int | None = None) -> int:
        """Send sockets the disconnect frame; how many. Raises ControlError."""
        return self._running().sockets.disconnect(reason, number)

    def drop_sockets(self, number: int | None = None) -> int:
        """Cut sockets without a word; how many."""
        return self._running().sockets.drop(number)

    def expire_streams(self) -> list[Message]:
        """End every open stream as if its time were over."""
        ended = streams.expire_streams(self.world)
        self.spread()
        return ended

    def revoke_token(self, app_id: str | None = None, team_id: str | None = None) -> None:
        """Take an installation's token away; the app gets `tokens_revoked`."""
        accounts.revoke(self.world, self.bot(app_id, team_id))
        self.spread()

    def uninstall(self, app_id: str | None = None, team_id: str | None = None) -> None:
        """Take an app out of a workspace; it gets `tokens_revoked` and `app_uninstalled`."""
        accounts.uninstall(self.world, self.bot(app_id, team_id))
        self.spread()

    def set_scopes(
        self, scopes: Iterable[str], app_id: str | None = None, team_id: str | None = None
    ) -> None:
        """Replace the scopes of an installation's token."""
        self.bot(app_id, team_id).scopes = set(scopes)

    def remove_scope(self, scope: str, app_id: str | None = None, team_id: str | None = None) -> None:
        """Take one scope away. Raises ControlError when it was not there."""
        bot = self.bot(app_id, team_id)
        if scope not in bot.scopes:
            raise ControlError(f"the token has no {scope}")
        bot.scopes.discard(scope)

    async def set_request_url(self, url: str, app_id: str | None = None) -> None:
        """Deliver to an app by HTTP from now on, after it returned the challenge; an empty text goes back to
        sockets. Raises ControlError."""
        app = self.world.apps.get(app_id or next(iter(self.world.apps)))
        if app is None:
            raise ControlError(f"no app {app_id}")
        check_local(url)
        if url:
            await self._running().verify_url(app, url)
        self.world.request_urls[app.id] = url
        self.spread()

    def spread(self) -> None:
        """Tell pages and the dispatcher what changed; only forget when the emulator does not run."""
        changes = self.world.drain_changes()
        if self.feed is not None and self.dispatcher is not None:
            if self.feed.has_listeners:
                self.feed.publish([change.to_wire() for change in changes])
            self.dispatcher.wake()

    def _running(self) -> Dispatcher:
        if self.dispatcher is None:
            raise ControlError("the emulator does not run")
        return self.dispatcher
