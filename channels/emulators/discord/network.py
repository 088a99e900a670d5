"""The network as people see it: what they do, what moderators do, what happens to the gateway, what can be seen.

Everything of the emulator but its listening; tests call the methods, the control side maps requests to them.
"""

from collections.abc import Callable, Mapping, Sequence

from channels.emulators.discord import people, people_interactions
from channels.emulators.discord.gateway import Gateway
from channels.emulators.discord.moderation import Moderation
from channels.emulators.discord.people import Words
from channels.emulators.discord.records import (
    Channel,
    ChannelSeed,
    GuildSeed,
    Interaction,
    Message,
    Upload,
    User,
)
from channels.emulators.discord.sessions import Session, Sessions
from channels.emulators.discord.tampering import Tampering
from channels.emulators.discord.world import World
from channels.emulators.feed import Feed

# Snowflakes of early 2022, so that everything made later is larger.
DEFAULT_USER = User(930_000_000_000_000_001, "ada", "Ada")
DEFAULT_CHANNEL = ChannelSeed(920_000_000_000_000_001, "general")
DEFAULT_GUILD = GuildSeed(910_000_000_000_000_001, "Workshop", (DEFAULT_CHANNEL,))


class Network:
    """A world with the gateway's sessions. `moderation` changes guilds, threads, permissions and settings;
    `gateway` breaks sockets and events."""

    def __init__(self, world: World, resume_url: Callable[[], str], heartbeat_interval_s: float) -> None:
        self.world = world
        self._sessions = Sessions(world.now)
        self._sockets = Gateway(world, self._sessions, resume_url, heartbeat_interval_s, self._spread)
        self._feed: Feed | None = None
        self.gateway = Tampering(world, self._sessions, self._sockets)
        self.moderation = Moderation(world, self._sessions, self._sockets, self._spread)

    def dm(self, user: User = DEFAULT_USER, *, bot: str | None = None) -> Channel:
        """The direct messages between somebody and a bot, opened when they are new."""
        self.world.users.setdefault(user.id, user)
        return self.world.dm_of(self.world.bot_named(bot), user.id)

    def say(
        self,
        content: str,
        *,
        user: User = DEFAULT_USER,
        channel_id: int = DEFAULT_CHANNEL.id,
        reply_to: int | None = None,
        uploads: Sequence[Upload] = (),
        pings_reply: bool = True,
    ) -> Message:
        """Write as a person, by default in the default channel. Raises ControlError."""
        words = Words(content, user, reply_to, tuple(uploads), pings_reply)
        message = people.say(self.world, self.world.channel_named(channel_id), words)
        self._spread()
        return message

    def upload(
        self,
        filename: str,
        data: bytes,
        *,
        content: str = "",
        user: User = DEFAULT_USER,
        channel_id: int = DEFAULT_CHANNEL.id,
    ) -> Message:
        """Send a file as a person. Raises ControlError."""
        uploads = [Upload(0, filename, data)]
        return self.say(content, user=user, channel_id=channel_id, uploads=uploads)

    def edit(self, channel_id: int, message_id: int, content: str) -> Message:
        """Edit a person's message. Raises ControlError."""
        message = people.edit(self.world, self.world.channel_named(channel_id), message_id, content)
        self._spread()
        return message

    def delete(self, channel_id: int, *message_ids: int) -> None:
        """Delete one message, or several at once. Raises ControlError."""
        people.delete(self.world, self.world.channel_named(channel_id), *message_ids)
        self._spread()

    def react(
        self,
        channel_id: int,
        message_id: int,
        emoji: str,
        *,
        user: User = DEFAULT_USER,
        takes_back: bool = False,
    ) -> None:
        """Add somebody's reaction, or take it back. Raises ControlError."""
        act = people.remove_reaction if takes_back else people.add_reaction
        act(self.world, self.world.channel_named(channel_id), message_id, user, emoji)
        self._spread()

    def type_in(self, channel_id: int, *, user: User = DEFAULT_USER) -> None:
        """Begin to type as a person. Raises ControlError."""
        people.type_in(self.world, self.world.channel_named(channel_id), user)
        self._spread()

    def start_thread(
        self,
        name: str,
        *,
        user: User = DEFAULT_USER,
        channel_id: int = DEFAULT_CHANNEL.id,
        message_id: int | None = None,
    ) -> Channel:
        """Open a thread as a person. Raises ControlError."""
        channel = self.world.channel_named(channel_id)
        thread = people.start_thread(self.world, channel, user, name, message_id)
        self._spread()
        return thread

    def press(
        self,
        channel_id: int,
        message_id: int,
        custom_id: str,
        *,
        user: User = DEFAULT_USER,
        values: Sequence[str] = (),
    ) -> Interaction:
        """Press a button, or choose `values` of a select. Raises ControlError."""
        interaction = people_interactions.press(
            self.world, self.world.channel_named(channel_id), message_id, custom_id, user, list(values)
        )
        self._spread()
        return interaction

    def slash(
        self,
        name: str,
        options: Mapping[str, object] | None = None,
        *,
        user: User = DEFAULT_USER,
        channel_id: int = DEFAULT_CHANNEL.id,
        bot: str | None = None,
    ) -> Interaction:
        """Run a command that the bot registered; subcommands follow after spaces. Raises ControlError."""
        interaction = people_interactions.slash(
            self.world,
            self.world.bot_named(bot),
            self.world.channel_named(channel_id),
            user,
            name,
            dict(options or {}),
        )
        self._spread()
        return interaction

    def submit(self, interaction_id: int, values: Mapping[str, str]) -> Interaction:
        """Fill in the modal that an interaction opened, by custom ids. Raises ControlError."""
        interaction = people_interactions.submit(self.world, interaction_id, dict(values))
        self._spread()
        return interaction

    def messages(self, channel_id: int = DEFAULT_CHANNEL.id) -> list[Message]:
        """Everything in a room, oldest first, with edits, deleted and ephemeral ones; nothing for no room."""
        channel = self.world.channels.get(channel_id)
        return [] if channel is None else list(channel.messages.values())

    def sessions(self, *, bot: str | None = None) -> list[Session]:
        """A bot's gateway sessions that are connected or can be resumed."""
        return self._sessions.of(self.world.bot_named(bot))

    def _spread(self) -> None:
        """Tell sessions and pages what changed; pages hear nothing while the emulator does not run."""
        self._sessions.deliver(self.world.drain_dispatches())
        changes = self.world.drain_changes()
        if self._feed is not None:
            self._feed.publish([change.to_wire() for change in changes])
