"""What bots are told: for each visible change the gateway event, once for every bot that may see it. Pure.

Which sessions get it is decided by `sessions.py`, by the intents they asked for.
"""

from channels.emulators.discord.intents import Intent
from channels.emulators.discord.records import Bot, Channel, Dispatch, Guild, Interaction, Json, Message
from channels.emulators.discord.wire import (
    channel_to_wire,
    emoji_to_wire,
    guild_create_to_wire,
    interaction_to_wire,
    member_to_wire,
    message_to_wire,
    thread_member_to_wire,
    without_content,
)
from channels.emulators.discord.world import World


def tell_message(world: World, event: str, channel: Channel, message: Message) -> None:
    """MESSAGE_CREATE or MESSAGE_UPDATE. The nonce comes back to its sender only, and only at creation."""
    for bot in world.audience(channel):
        if message.ephemeral_to is not None and message.author_id != bot.id:
            continue
        wire = gateway_message(world, channel, message, bot)
        if event == "MESSAGE_CREATE" and message.nonce is not None and message.author_id == bot.id:
            wire["nonce"] = message.nonce
        intent = Intent.GUILD_MESSAGES if "guild_id" in wire else Intent.DIRECT_MESSAGES
        bare = None if channel.guild_id is None else without_content(wire, bot)
        world.tell(Dispatch(bot.id, event, intent, wire, bare))


def gateway_message(world: World, channel: Channel, message: Message, bot: Bot) -> Json:
    """A message as events carry it: with guild and member. An ephemeral one is told like a direct message
    (events/gateway-events.mdx#message-create)."""
    wire = message_to_wire(world, message, bot)
    guild = world.guild_of(channel)
    if guild is None or message.ephemeral_to is not None:
        return wire
    wire["guild_id"] = str(guild.id)
    joined_at = guild.members.get(message.author_id)
    return wire if joined_at is None else wire | {"member": member_to_wire(joined_at)}


def tell_deletion(world: World, channel: Channel, messages: list[Message]) -> None:
    """MESSAGE_DELETE for one message, MESSAGE_DELETE_BULK for several."""
    wire: Json = {"channel_id": str(channel.id)} | _guild_id(channel)
    if len(messages) == 1:
        event, wire = "MESSAGE_DELETE", wire | {"id": str(messages[0].id)}
    else:
        event, wire = "MESSAGE_DELETE_BULK", wire | {"ids": [str(message.id) for message in messages]}
    _tell_room(world, channel, event, Intent.GUILD_MESSAGES, Intent.DIRECT_MESSAGES, wire)


def tell_reaction(
    world: World, channel: Channel, message: Message, user_id: int, emoji: str, added: bool
) -> None:
    """MESSAGE_REACTION_ADD or MESSAGE_REACTION_REMOVE."""
    wire: Json = {
        "user_id": str(user_id),
        "channel_id": str(channel.id),
        "message_id": str(message.id),
        "emoji": emoji_to_wire(emoji),
        "burst": False,
        "type": 0,
    } | _guild_id(channel)
    guild = world.guild_of(channel)
    if added:
        wire["message_author_id"] = str(message.author_id)
        if guild is not None:
            wire["member"] = member_to_wire(guild.members[user_id], world.users[user_id])
    event = "MESSAGE_REACTION_ADD" if added else "MESSAGE_REACTION_REMOVE"
    intents = (Intent.GUILD_MESSAGE_REACTIONS, Intent.DIRECT_MESSAGE_REACTIONS)
    _tell_room(world, channel, event, *intents, wire)


def tell_typing(world: World, channel: Channel, user_id: int) -> None:
    """TYPING_START."""
    wire: Json = {
        "channel_id": str(channel.id),
        "user_id": str(user_id),
        "timestamp": int(world.now()),
    } | _guild_id(channel)
    guild = world.guild_of(channel)
    if guild is not None:
        wire["member"] = member_to_wire(guild.members[user_id], world.users[user_id])
    intents = (Intent.GUILD_MESSAGE_TYPING, Intent.DIRECT_MESSAGE_TYPING)
    _tell_room(world, channel, "TYPING_START", *intents, wire)


def tell_channel(world: World, event: str, channel: Channel) -> None:
    """CHANNEL_CREATE, CHANNEL_UPDATE or CHANNEL_DELETE; every bot of the guild hears of it, blind or not."""
    guild = world.guild_of(channel)
    for bot in world.bots.values():
        if guild is not None and bot.id in guild.members:
            world.tell(Dispatch(bot.id, event, Intent.GUILDS, channel_to_wire(channel)))


def tell_thread(world: World, event: str, thread: Channel, *, newly_created: bool = False) -> None:
    """THREAD_CREATE, THREAD_UPDATE or THREAD_DELETE."""
    for bot in world.audience(thread):
        wire = channel_to_wire(thread, bot)
        if newly_created:
            wire["newly_created"] = True
        if event == "THREAD_DELETE":
            wire = {key: wire[key] for key in ("id", "guild_id", "parent_id", "type")}
        world.tell(Dispatch(bot.id, event, Intent.GUILDS, wire))


def tell_thread_joined(world: World, thread: Channel, bot: Bot) -> None:
    """THREAD_MEMBERS_UPDATE to a bot that was added to a thread."""
    assert thread.thread is not None
    members = thread.thread.members
    added = thread_member_to_wire(thread.id, bot.id, members[bot.id])
    wire: Json = {"id": str(thread.id), "member_count": len(members), "added_members": [added]}
    world.tell(Dispatch(bot.id, "THREAD_MEMBERS_UPDATE", Intent.GUILDS, wire | _guild_id(thread)))


def tell_threads_of(world: World, channel: Channel, bot: Bot) -> None:
    """THREAD_LIST_SYNC to a bot that came to see a channel."""
    active = [one for one in world.threads_in(channel) if one.thread and not one.thread.archived]
    wire: Json = {
        "channel_ids": [str(channel.id)],
        "threads": [channel_to_wire(one) for one in active],
        "members": [
            thread_member_to_wire(one.id, bot.id, one.thread.members[bot.id])
            for one in active
            if one.thread and bot.id in one.thread.members
        ],
    } | _guild_id(channel)
    world.tell(Dispatch(bot.id, "THREAD_LIST_SYNC", Intent.GUILDS, wire))


def tell_guild_joined(world: World, guild: Guild, bot: Bot) -> None:
    """GUILD_CREATE to a bot that was added."""
    world.tell(Dispatch(bot.id, "GUILD_CREATE", Intent.GUILDS, guild_create_to_wire(world, guild, bot)))


def tell_guild_left(world: World, guild: Guild, bot: Bot) -> None:
    """GUILD_DELETE to a bot that was removed."""
    world.tell(Dispatch(bot.id, "GUILD_DELETE", Intent.GUILDS, {"id": str(guild.id)}))


def tell_outage(world: World, guild: Guild, *, is_over: bool) -> None:
    """GUILD_DELETE or GUILD_CREATE with `unavailable`, to every bot of the guild."""
    for bot in world.bots.values():
        if bot.id in guild.members and is_over:
            wire = guild_create_to_wire(world, guild, bot) | {"unavailable": False}
            world.tell(Dispatch(bot.id, "GUILD_CREATE", Intent.GUILDS, wire))
        elif bot.id in guild.members:
            wire = {"id": str(guild.id), "unavailable": True}
            world.tell(Dispatch(bot.id, "GUILD_DELETE", Intent.GUILDS, wire))


def tell_member(world: World, guild: Guild, user_id: int) -> None:
    """GUILD_MEMBER_ADD."""
    wire = member_to_wire(guild.members[user_id], world.users[user_id]) | {"guild_id": str(guild.id)}
    for bot in world.bots.values():
        if bot.id in guild.members and bot.id != user_id:
            world.tell(Dispatch(bot.id, "GUILD_MEMBER_ADD", Intent.GUILD_MEMBERS, wire))


def tell_interaction(world: World, interaction: Interaction) -> None:
    """INTERACTION_CREATE; needs no intent. The message in it is the bot's own, so nothing is held back."""
    channel = world.channels[interaction.channel_id]
    message = channel.messages.get(interaction.message_id or 0)
    wire = None if message is None else message_to_wire(world, message, world.bots[interaction.bot_id])
    payload = interaction_to_wire(world, interaction, wire)
    world.tell(Dispatch(interaction.bot_id, "INTERACTION_CREATE", Intent(0), payload))


def _tell_room(
    world: World, channel: Channel, event: str, in_guild: Intent, in_dm: Intent, wire: Json
) -> None:
    for bot in world.audience(channel):
        intent = in_dm if channel.guild_id is None else in_guild
        world.tell(Dispatch(bot.id, event, intent, wire))


def _guild_id(channel: Channel) -> Json:
    return {} if channel.guild_id is None else {"guild_id": str(channel.guild_id)}
