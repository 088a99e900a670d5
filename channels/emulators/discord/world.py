"""The emulated network's state: who is there, which rooms exist, who may do what, what has to be told to whom.

Pure: the clock is injected, nothing waits and nothing is written. `acts.py` changes it; `bot_*.py`,
`interactions.py` and `people.py` decide who may. What bots and pages have to hear is left in two lists that
the shell drains.
"""

from collections.abc import Callable, Iterator, Sequence

from channels.emulators.discord.cdn import Cdn
from channels.emulators.discord.intents import Intent
from channels.emulators.discord.permissions import EVERYONE, NO_PERMISSIONS, Permission
from channels.emulators.discord.records import (
    Attachment,
    Bot,
    BotAccount,
    Change,
    Channel,
    ChannelType,
    Dispatch,
    Guild,
    GuildSeed,
    Interaction,
    Json,
    Message,
    Nonce,
    User,
)
from channels.emulators.discord.snowflakes import Snowflakes
from channels.emulators.errors import ControlError

# Discord says "the past few minutes" (resources/message.mdx#create-message); what was measured is about two.
NONCE_WINDOW_S = 120.0


class World:
    """Everything the emulator knows."""

    def __init__(
        self,
        bots: Sequence[BotAccount],
        guilds: Sequence[GuildSeed],
        people: Sequence[User],
        clock: Callable[[], float],
        nonce_window_s: float = NONCE_WINDOW_S,
    ) -> None:
        if not bots:
            raise ValueError("an emulator needs at least one bot")
        if len({bot.id for bot in bots}) < len(bots) or len({bot.token for bot in bots}) < len(bots):
            raise ValueError("bots need different ids and tokens")
        if not people:
            raise ValueError("an emulator needs at least one person")
        self.now = clock
        self.ids = Snowflakes(clock)
        self.cdn = Cdn(clock)
        self.nonce_window_s = nonce_window_s
        self.bots = {account.id: _bot_of(account) for account in bots}
        self.users = {user.id: user for user in [*people, *(bot.user for bot in self.bots.values())]}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.attachments: dict[int, Attachment] = {}
        self.interactions: dict[int, Interaction] = {}
        # By author and nonce, whatever the channel: the first message of that nonce and when it was sent.
        self.nonces: dict[tuple[int, str], Message] = {}
        # When each bot edited a message that was older than an hour.
        self.old_edits: dict[int, list[float]] = {}
        # People who take no direct messages from bots.
        self.closed_dms: set[int] = set()
        self._dispatches: list[Dispatch] = []
        self._changes: list[Change] = []
        for seed in guilds:
            self._plant(seed, people)

    def bot_of(self, token: str) -> Bot | None:
        """The bot with this token, unless the token was revoked."""
        for bot in self.bots.values():
            if bot.token == token and not bot.is_revoked:
                return bot
        return None

    def bot_named(self, name: str | int | None) -> Bot:
        """The bot with this username or id; the first one for None. Raises ControlError."""
        for bot in self.bots.values():
            if name is None or str(name) in (bot.user.username, str(bot.id)):
                return bot
        raise ControlError(f"no bot called {name}")

    def user_named(self, user_id: int) -> User:
        """Somebody known. Raises ControlError."""
        if user_id not in self.users:
            raise ControlError(f"nobody has the id {user_id}")
        return self.users[user_id]

    def channel_named(self, channel_id: int) -> Channel:
        """A room of any kind. Raises ControlError."""
        if channel_id not in self.channels:
            raise ControlError(f"there is no channel {channel_id}")
        return self.channels[channel_id]

    def guild_of(self, channel: Channel) -> Guild | None:
        """The guild of a room; None for a DM."""
        return None if channel.guild_id is None else self.guilds[channel.guild_id]

    def channels_of(self, guild: Guild) -> list[Channel]:
        """The channels of a guild, without its threads."""
        return [one for one in self.channels.values() if one.guild_id == guild.id and one.thread is None]

    def threads_of(self, guild: Guild) -> list[Channel]:
        """All threads of a guild, active and archived."""
        return [one for one in self.channels.values() if one.guild_id == guild.id and one.thread is not None]

    def threads_in(self, channel: Channel) -> list[Channel]:
        """The threads of one channel."""
        return [one for one in self.channels.values() if one.parent_id == channel.id]

    def dm_of(self, bot: Bot, user_id: int) -> Channel:
        """The direct messages between a bot and somebody, opened when they are new."""
        for channel in self.channels.values():
            if channel.recipients == (bot.id, user_id):
                return channel
        channel = Channel(self.ids.next(), ChannelType.DM, "", recipients=(bot.id, user_id))
        self.channels[channel.id] = channel
        return channel

    def permissions_of(self, user_id: int, channel: Channel) -> Permission:
        """What somebody may do in a room; nothing for who is not in it. Threads follow their parent channel."""
        guild = self.guild_of(channel)
        if guild is None:
            return EVERYONE if user_id in channel.recipients else NO_PERMISSIONS
        if user_id not in guild.members:
            return NO_PERMISSIONS
        governing = channel if channel.parent_id is None else self.channels[channel.parent_id]
        overwrite = governing.overwrites.get(user_id)
        allowed = guild.everyone
        if overwrite is not None:
            allowed = (allowed & ~overwrite.deny) | overwrite.allow
        is_outsider = (
            channel.thread is not None
            and channel.type is ChannelType.PRIVATE_THREAD
            and user_id not in channel.thread.members
            and Permission.MANAGE_THREADS not in allowed
        )
        # Without sight of a channel nothing else counts there (topics/permissions.mdx#implicit-permissions).
        return NO_PERMISSIONS if is_outsider or Permission.VIEW_CHANNEL not in allowed else allowed

    def audience(self, channel: Channel) -> Iterator[Bot]:
        """The bots that see a room."""
        for bot in self.bots.values():
            if Permission.VIEW_CHANNEL in self.permissions_of(bot.id, channel):
                yield bot

    def remembered(self, author_id: int, nonce: Nonce) -> Message | None:
        """The message that took this nonce, while the network remembers."""
        message = self.nonces.get((author_id, str(nonce)))
        is_remembered = message is not None and self.now() - message.at < self.nonce_window_s
        return message if is_remembered else None

    def tell(self, dispatch: Dispatch) -> None:
        """Leave an event for a bot's sessions."""
        self._dispatches.append(dispatch)

    def note(self, kind: str, channel_id: int | None, detail: Json) -> None:
        """Leave a visible change for pages."""
        self._changes.append(Change(kind, channel_id, detail))

    def drain_dispatches(self) -> list[Dispatch]:
        """The events since the last call."""
        dispatches, self._dispatches = self._dispatches, []
        return dispatches

    def drain_changes(self) -> list[Change]:
        """The changes since the last call."""
        changes, self._changes = self._changes, []
        return changes

    def _plant(self, seed: GuildSeed, people: Sequence[User]) -> None:
        members = [user.id for user in people]
        members += self.bots if seed.bots is None else seed.bots
        now = self.now()
        guild = Guild(seed.id, seed.name, people[0].id, seed.roles, dict.fromkeys(members, now))
        self.guilds[guild.id] = guild
        for position, channel in enumerate(seed.channels):
            self.channels[channel.id] = Channel(
                channel.id, ChannelType.TEXT, channel.name, guild_id=guild.id, position=position
            )


def _bot_of(account: BotAccount) -> Bot:
    enabled = Intent(0)
    if account.message_content:
        enabled |= Intent.MESSAGE_CONTENT
    if account.guild_members:
        enabled |= Intent.GUILD_MEMBERS
    if account.guild_presences:
        enabled |= Intent.GUILD_PRESENCES
    return Bot(account.token, User(account.id, account.username, account.display_name, True), enabled)
