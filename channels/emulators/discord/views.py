"""What the control side shows: everything a page needs to draw guilds, rooms and messages. Pure conversion.

Ids are texts, because scripts cannot count that far. Messages show also what was edited away and deleted.
"""

from channels.emulators.discord.records import (
    Bot,
    Channel,
    ChannelType,
    Guild,
    Interaction,
    Json,
    Message,
    MessageFlag,
    User,
)
from channels.emulators.discord.wire import attachment_to_wire
from channels.emulators.discord.world import World

# Interactions must be answered in this time, or people are shown that the application failed.
FIRST_RESPONSE_S = 3.0


def user_view(user: User) -> Json:
    """Somebody."""
    return {
        "id": str(user.id),
        "username": user.username,
        "display_name": user.display_name or user.username,
        "is_bot": user.is_bot,
    }


def bot_view(bot: Bot) -> Json:
    """An application; its token is not shown."""
    return user_view(bot.user) | {
        "privileged_intents": [one.name for one in bot.enabled],
        "is_revoked": bot.is_revoked,
        "commands": {str(guild_id): commands for guild_id, commands in bot.commands.items()},
    }


def guild_view(world: World, guild: Guild) -> Json:
    """A guild with its channels; threads are listed with the channels they belong to."""
    return {
        "id": str(guild.id),
        "name": guild.name,
        "members": [user_view(world.users[one]) for one in guild.members],
        "roles": [{"id": str(role.id), "name": role.name} for role in guild.roles],
        "channels": [channel_view(world, channel) for channel in world.channels_of(guild)],
        "threads": [channel_view(world, thread) for thread in world.threads_of(guild)],
    }


def channel_view(world: World, channel: Channel) -> Json:
    """A room of any kind."""
    view: Json = {
        "id": str(channel.id),
        "type": ChannelType(channel.type).name.lower(),
        "name": channel.name,
        "guild_id": None if channel.guild_id is None else str(channel.guild_id),
        "parent_id": None if channel.parent_id is None else str(channel.parent_id),
        "recipients": [user_view(world.users[one]) for one in channel.recipients],
        "message_count": len(channel.messages),
        "bots": [str(bot.id) for bot in world.audience(channel)],
    }
    if channel.thread is not None:
        view |= {"archived": channel.thread.archived, "locked": channel.thread.locked}
    return view


def message_view(world: World, message: Message) -> Json:
    """A message with everything that happened to it. `notified` is who got a ping."""
    flags = message.flags
    thread = world.channels.get(message.id)
    return {
        "id": str(message.id),
        "channel_id": str(message.channel_id),
        "author": user_view(world.users[message.author_id]),
        "at": message.at,
        "type": message.type.name.lower(),
        "content": message.content,
        "embeds": message.embeds,
        "components": message.components,
        "attachments": [attachment_to_wire(world, one) for one in message.attachments],
        "is_loading": MessageFlag.LOADING in flags,
        "is_components_v2": MessageFlag.IS_COMPONENTS_V2 in flags,
        "nonce": None if message.nonce is None else str(message.nonce),
        "notified": {
            "users": [str(one) for one in message.mentions.users],
            "roles": [str(one) for one in message.mentions.roles],
            "everyone": message.mentions.everyone,
        },
        "reply_to": None if message.reference is None else str(message.reference.message_id),
        "thread_id": None if thread is None else str(thread.id),
        "reactions": {emoji: [str(one) for one in who] for emoji, who in message.reactions.items()},
        "edited_at": message.edited_at,
        "edits": [
            {"at": edit.at, "content": edit.content, "embeds": edit.embeds, "components": edit.components}
            for edit in message.edits
        ],
        "deleted_at": message.deleted_at,
        "deleted": message.deleted_at is not None,
        "ephemeral_to": None if message.ephemeral_to is None else str(message.ephemeral_to),
        "interaction_id": None if message.interaction_id is None else str(message.interaction_id),
    }


def interaction_view(world: World, interaction: Interaction) -> Json:
    """What a person did and what came of it: `waiting`, `answered`, or `failed` when nobody answered in time."""
    is_late = world.now() - interaction.at > FIRST_RESPONSE_S
    state = "answered" if interaction.acknowledged_at is not None else "failed" if is_late else "waiting"
    return {
        "id": str(interaction.id),
        "bot_id": str(interaction.bot_id),
        "kind": interaction.kind,
        "channel_id": str(interaction.channel_id),
        "message_id": None if interaction.message_id is None else str(interaction.message_id),
        "user": user_view(world.users[interaction.user_id]),
        "at": interaction.at,
        "data": interaction.data,
        "state": state,
        "response_type": interaction.response_type,
        "original_id": None if interaction.original_id is None else str(interaction.original_id),
        "modal": interaction.modal,
    }
