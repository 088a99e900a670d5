"""What bots may reach: rooms and messages by id, with the refusals for what they may not. Pure."""

from channels.emulators.discord.exchange import Ask
from channels.emulators.discord.permissions import Permission
from channels.emulators.discord.records import SYSTEM_TYPES, Bot, Channel, Guild, Message
from channels.emulators.discord.refusals import (
    Refusal,
    missing_access,
    missing_permissions,
    thread_is_archived,
    thread_is_locked,
    unknown,
)
from channels.emulators.discord.world import World


def visible_channel(ask: Ask) -> Channel:
    """The channel of the path. Raises Refusal 10003 or 50001."""
    channel = ask.world.channels.get(ask.id("c"))
    if channel is None:
        raise unknown("Channel")
    if Permission.VIEW_CHANNEL not in ask.world.permissions_of(ask.bot.id, channel):
        raise missing_access()
    return channel


def joined_guild(ask: Ask) -> Guild:
    """The guild of the path. Raises Refusal: to a stranger a guild does not exist."""
    guild = ask.world.guilds.get(ask.id("g"))
    if guild is None or ask.bot.id not in guild.members:
        raise unknown("Guild")
    return guild


def live_message(ask: Ask, channel: Channel) -> Message:
    """The message of the path. Ephemeral ones are out of reach here. Raises Refusal 10008."""
    message = channel.messages.get(ask.id("m"))
    if message is None or message.deleted_at is not None or message.ephemeral_to is not None:
        raise unknown("Message")
    return message


def may(world: World, bot: Bot, channel: Channel, permission: Permission) -> bool:
    """Whether a bot has a permission in a room."""
    return permission in world.permissions_of(bot.id, channel)


def need(world: World, bot: Bot, channel: Channel, permission: Permission) -> None:
    """Raises Refusal 50013 without this permission."""
    if not may(world, bot, channel, permission):
        raise missing_permissions()


def need_to_write(world: World, bot: Bot, channel: Channel) -> None:
    """Raises Refusal when a bot may not send here: permissions, locked threads, people who take no messages."""
    if channel.guild_id is None:
        if world.closed_dms & set(channel.recipients):
            raise Refusal(403, 50007, "Cannot send messages to this user")
        return
    if channel.thread is None:
        need(world, bot, channel, Permission.SEND_MESSAGES)
        return
    need(world, bot, channel, Permission.SEND_MESSAGES_IN_THREADS)
    need_unlocked(world, bot, channel)


def need_unlocked(world: World, bot: Bot, channel: Channel) -> None:
    """Raises Refusal for a locked thread, unless the bot moderates. Sending wakes a thread that is only archived."""
    state = channel.thread
    if state is None or not state.locked or may(world, bot, channel, Permission.MANAGE_THREADS):
        return
    raise Refusal(403, 50083, "Thread is archived") if state.archived else thread_is_locked()


def need_active(channel: Channel) -> None:
    """Raises Refusal 50083 for a thread in the archive: nothing in it can be changed."""
    if channel.thread is not None and channel.thread.archived:
        raise thread_is_archived()


def need_no_system(message: Message) -> None:
    """Raises Refusal 50021 for what the network itself wrote."""
    if message.type in SYSTEM_TYPES:
        raise Refusal(403, 50021, "Cannot execute action on a system message")
