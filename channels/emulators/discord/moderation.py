"""What moderators and owners do: members, permissions, channels, threads, and the applications' settings."""

from collections.abc import Callable

from channels.emulators.discord.acts import change_thread, create_channel, delete_channel
from channels.emulators.discord.announcements import (
    tell_channel,
    tell_guild_joined,
    tell_guild_left,
    tell_outage,
    tell_threads_of,
)
from channels.emulators.discord.gateway import Gateway
from channels.emulators.discord.intents import Intent
from channels.emulators.discord.permissions import NO_PERMISSIONS, Permission
from channels.emulators.discord.records import Channel, Guild, Overwrite
from channels.emulators.discord.sessions import Sessions
from channels.emulators.discord.views import channel_view, guild_view
from channels.emulators.discord.world import World
from channels.emulators.errors import ControlError


class Moderation:
    """Changes from above. `bot` None means the first one."""

    def __init__(
        self, world: World, sessions: Sessions, gateway: Gateway, spread: Callable[[], None]
    ) -> None:
        self._world = world
        self._sessions = sessions
        self._gateway = gateway
        self._spread = spread

    def remove_bot(self, guild_id: int, *, bot: str | None = None) -> None:
        """Take a bot out of a guild. Raises ControlError."""
        guild, one = self._guild(guild_id), self._world.bot_named(bot)
        if guild.members.pop(one.id, None) is None:
            raise ControlError("this bot is not in the guild")
        tell_guild_left(self._world, guild, one)
        self._note(guild)

    def add_bot(self, guild_id: int, *, bot: str | None = None) -> None:
        """Bring a bot (back) into a guild. Raises ControlError."""
        guild, one = self._guild(guild_id), self._world.bot_named(bot)
        if one.id in guild.members:
            raise ControlError("this bot is in the guild already")
        guild.members[one.id] = self._world.now()
        tell_guild_joined(self._world, guild, one)
        self._note(guild)

    def tell_outage(self, guild_id: int, *, is_over: bool = False) -> None:
        """Tell bots that a guild is unavailable, or available again. Raises ControlError."""
        tell_outage(self._world, self._guild(guild_id), is_over=is_over)
        self._spread()

    def set_permissions(
        self,
        channel_id: int,
        *,
        allow: Permission = NO_PERMISSIONS,
        deny: Permission = NO_PERMISSIONS,
        bot: str | None = None,
    ) -> None:
        """Overwrite what a bot may do in a channel; nothing allowed and denied takes the overwrite away."""
        world, one = self._world, self._world.bot_named(bot)
        channel = world.channel_named(channel_id)
        if channel.guild_id is None or channel.thread is not None:
            raise ControlError("permissions are set on the channels of a guild")
        saw = Permission.VIEW_CHANNEL in world.permissions_of(one.id, channel)
        if allow or deny:
            channel.overwrites[one.id] = Overwrite(allow, deny)
        else:
            channel.overwrites.pop(one.id, None)
        tell_channel(world, "CHANNEL_UPDATE", channel)
        if not saw and Permission.VIEW_CHANNEL in world.permissions_of(one.id, channel):
            tell_threads_of(world, channel, one)
        world.note("channel", channel.id, channel_view(world, channel))
        self._spread()

    def create_channel(self, guild_id: int, name: str, channel_id: int | None = None) -> Channel:
        """Add a text channel. Raises ControlError."""
        if channel_id in self._world.channels:
            raise ControlError(f"there is a channel {channel_id} already")
        channel = create_channel(self._world, self._guild(guild_id).id, name, channel_id)
        self._spread()
        return channel

    def delete_channel(self, channel_id: int) -> None:
        """Remove a channel with its threads, or a thread. Raises ControlError."""
        channel = self._world.channel_named(channel_id)
        if channel.guild_id is None:
            raise ControlError("direct messages cannot be deleted")
        delete_channel(self._world, channel)
        self._spread()

    def change_thread(
        self, thread_id: int, *, archived: bool | None = None, locked: bool | None = None
    ) -> None:
        """Archive, wake, lock or unlock a thread. Raises ControlError."""
        thread = self._world.channel_named(thread_id)
        if thread.thread is None:
            raise ControlError(f"{thread_id} is not a thread")
        change_thread(self._world, thread, archived=archived, locked=locked)
        self._spread()

    def close_dms(self, user_id: int, *, closed: bool = True) -> None:
        """Let somebody refuse direct messages of bots, or take them again. Raises ControlError."""
        self._world.user_named(user_id)
        if closed:
            self._world.closed_dms.add(user_id)
        else:
            self._world.closed_dms.discard(user_id)

    def revoke_token(self, *, bot: str | None = None) -> None:
        """Reset a bot's token: calls are unauthorized and its sockets are closed with 4004."""
        one = self._world.bot_named(bot)
        one.is_revoked = True
        self._gateway.close_connections(one, 4004, "Authentication failed.")
        for session in self._sessions.of(one):
            self._sessions.end(session)

    def restore_token(self, *, bot: str | None = None) -> None:
        """Let the old token work again, as if the new one had been configured."""
        self._world.bot_named(bot).is_revoked = False

    def set_intent(self, intent: Intent, *, enabled: bool, bot: str | None = None) -> None:
        """Enable or disable a privileged intent in the application's settings.

        Content disappears from REST answers and events at once; a session that asks for a disabled intent is
        refused with 4014 when it next identifies.
        """
        one = self._world.bot_named(bot)
        one.enabled = one.enabled | intent if enabled else one.enabled & ~intent

    def _guild(self, guild_id: int) -> Guild:
        if guild_id not in self._world.guilds:
            raise ControlError(f"there is no guild {guild_id}")
        return self._world.guilds[guild_id]

    def _note(self, guild: Guild) -> None:
        self._world.note("guild", None, guild_view(self._world, guild))
        self._spread()
