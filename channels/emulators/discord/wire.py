"""How the API writes users, guilds, channels, messages and interactions. Pure conversion; decides nothing.

Shapes: resources/*.mdx and events/gateway-events.mdx of discord-api-docs, with every field that discord.py
2.7.1 insists on. The fuller view of the control side is in `views.py`.
"""

from datetime import UTC, datetime

from channels.emulators.discord.intents import application_flags
from channels.emulators.discord.records import (
    Attachment,
    Bot,
    Channel,
    ChannelType,
    Guild,
    Interaction,
    Json,
    Message,
    MessageType,
    Reference,
    RoleSeed,
    User,
)
from channels.emulators.discord.world import World

# The limit of guilds without boosts (reference.mdx#uploading-files).
ATTACHMENT_MAX_BYTES = 10 << 20
_NO_COLORS = {"primary_color": 0, "secondary_color": None, "tertiary_color": None}
_CONTENT_FIELDS: Json = {"content": "", "embeds": [], "attachments": [], "components": []}


def time_to_wire(at: float) -> str:
    """ISO 8601 with microseconds and offset, as the API writes times."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")


def user_to_wire(user: User) -> Json:
    """A user object."""
    wire: Json = {
        "id": str(user.id),
        "username": user.username,
        "discriminator": "0",
        "global_name": user.display_name,
        "avatar": None,
        "public_flags": 0,
    }
    return wire | {"bot": True} if user.is_bot else wire


def member_to_wire(joined_at: float, user: User | None = None) -> Json:
    """A guild member object; `user` is left out where the payload has it already."""
    wire: Json = {
        "nick": None,
        "avatar": None,
        "roles": [],
        "joined_at": time_to_wire(joined_at),
        "deaf": False,
        "mute": False,
        "flags": 0,
        "pending": False,
    }
    return wire if user is None else wire | {"user": user_to_wire(user)}


def role_to_wire(role: RoleSeed, permissions: int, position: int) -> Json:
    """A role object."""
    return {
        "id": str(role.id),
        "name": role.name,
        "permissions": str(permissions),
        "position": position,
        "color": 0,
        "colors": _NO_COLORS,
        "hoist": False,
        "managed": False,
        "mentionable": role.is_mentionable,
        "flags": 0,
    }


def guild_to_wire(guild: Guild) -> Json:
    """A guild object as `GET /guilds/{id}` answers it."""
    everyone = role_to_wire(RoleSeed(guild.id, "@everyone"), guild.everyone, 0)
    return {
        "id": str(guild.id),
        "name": guild.name,
        "icon": None,
        "owner_id": str(guild.owner_id),
        "roles": [everyone, *(role_to_wire(role, 0, n) for n, role in enumerate(guild.roles, start=1))],
        "emojis": [],
        "stickers": [],
        "features": [],
        "verification_level": 0,
        "default_message_notifications": 0,
        "explicit_content_filter": 0,
        "mfa_level": 0,
        "nsfw_level": 0,
        "premium_tier": 0,
        "premium_subscription_count": 0,
        "preferred_locale": "en-US",
        "afk_timeout": 300,
        "afk_channel_id": None,
        "system_channel_id": None,
        "system_channel_flags": 0,
        "rules_channel_id": None,
        "vanity_url_code": None,
        "description": None,
        "banner": None,
        "premium_progress_bar_enabled": False,
    }


def guild_create_to_wire(world: World, guild: Guild, bot: Bot) -> Json:
    """What a session learns of a guild. Guilds known before carry `unavailable: false` too, new ones do not."""
    users = [world.users[user_id] for user_id in guild.members]
    seen = [one for one in world.threads_of(guild) if bot in world.audience(one)]
    return {
        **guild_to_wire(guild),
        "joined_at": time_to_wire(guild.members[bot.id]),
        "large": False,
        "member_count": len(users),
        # Without the members intent only the bot itself (and who is in a voice channel) is listed.
        "members": [member_to_wire(guild.members[bot.id], bot.user)],
        "channels": [channel_to_wire(one) for one in world.channels_of(guild)],
        "threads": [channel_to_wire(one, bot) for one in seen if one.thread and not one.thread.archived],
        "presences": [],
        "voice_states": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def channel_to_wire(channel: Channel, viewer: Bot | None = None, user: User | None = None) -> Json:
    """A channel object. `viewer` adds its membership of a thread; `user` is the recipient of a DM."""
    wire: Json = {
        "id": str(channel.id),
        "type": int(channel.type),
        "last_message_id": None if channel.last_message_id is None else str(channel.last_message_id),
        "flags": 0,
    }
    if channel.type is ChannelType.DM:
        return wire | {"recipients": [] if user is None else [user_to_wire(user)]}
    wire |= {"guild_id": str(channel.guild_id), "name": channel.name, "rate_limit_per_user": 0}
    if channel.thread is None:
        overwrites = [
            {"id": str(who), "type": 1, "allow": str(int(one.allow)), "deny": str(int(one.deny))}
            for who, one in channel.overwrites.items()
        ]
        return wire | {
            "position": channel.position,
            "permission_overwrites": overwrites,
            "topic": channel.topic,
            "nsfw": False,
            "parent_id": None,
        }
    state = channel.thread
    wire |= {
        "parent_id": str(channel.parent_id),
        "owner_id": str(channel.owner_id),
        # The network stops counting at 50 (topics/threads.mdx#thread-fields).
        "member_count": min(50, len(state.members)),
        "message_count": state.message_count,
        "total_message_sent": state.total_sent,
        "thread_metadata": {
            "archived": state.archived,
            "locked": state.locked,
            "auto_archive_duration": state.auto_archive_minutes,
            "archive_timestamp": time_to_wire(state.archive_at),
            "create_timestamp": time_to_wire(state.created_at),
        },
    }
    if viewer is not None and viewer.id in state.members:
        wire["member"] = thread_member_to_wire(channel.id, viewer.id, state.members[viewer.id])
    return wire


def thread_member_to_wire(thread_id: int, user_id: int, joined_at: float) -> Json:
    """A thread member object."""
    return {
        "id": str(thread_id),
        "user_id": str(user_id),
        "join_timestamp": time_to_wire(joined_at),
        "flags": 0,
    }


def attachment_to_wire(world: World, attachment: Attachment) -> Json:
    """An attachment object with a fresh address."""
    url = world.cdn.url_of(attachment)
    wire: Json = {
        "id": str(attachment.id),
        "filename": attachment.filename,
        "size": len(attachment.data),
        "url": url,
        "proxy_url": url,
    }
    if attachment.content_type is not None:
        wire["content_type"] = attachment.content_type
    return wire if attachment.description is None else wire | {"description": attachment.description}


def message_to_wire(world: World, message: Message, viewer: Bot | None, with_reference: bool = True) -> Json:
    """A message object as REST answers it. `viewer` is the bot whose own reactions are marked."""
    wire: Json = {
        "id": str(message.id),
        "channel_id": str(message.channel_id),
        "author": user_to_wire(world.users[message.author_id]),
        "type": int(message.type),
        "content": message.content,
        "timestamp": time_to_wire(message.at),
        "edited_timestamp": None if message.edited_at is None else time_to_wire(message.edited_at),
        "tts": message.tts,
        "pinned": False,
        "flags": int(message.flags),
        "mention_everyone": message.mentions.everyone,
        "mentions": [user_to_wire(world.users[one]) for one in message.mentions.users],
        "mention_roles": [str(one) for one in message.mentions.roles],
        "attachments": [attachment_to_wire(world, one) for one in message.attachments],
        "embeds": message.embeds,
        "components": message.components,
    }
    if message.reactions:
        wire["reactions"] = [_reaction(emoji, who, viewer) for emoji, who in message.reactions.items()]
    if message.id in world.channels:
        wire["thread"] = channel_to_wire(world.channels[message.id])
    if message.interaction_id is not None:
        wire |= _interaction_source(world, world.interactions[message.interaction_id], message)
    if message.reference is not None:
        wire |= _reference(world, message.reference, message, viewer, with_reference)
    return wire


def without_content(wire: Json, bot: Bot) -> Json:
    """A guild message as an application without the message-content intent gets it: bare, unless the bot
    wrote it or is named in it (events/gateway.mdx#message-content-intent)."""
    named = any(user["id"] == str(bot.id) for user in wire["mentions"])
    seen = wire if named or wire["author"]["id"] == str(bot.id) else wire | _CONTENT_FIELDS
    referenced = seen.get("referenced_message")
    return seen | {"referenced_message": without_content(referenced, bot)} if referenced else seen


def interaction_to_wire(world: World, interaction: Interaction, message: Json | None) -> Json:
    """What INTERACTION_CREATE carries; `message` is the one whose component was used."""
    channel = world.channels[interaction.channel_id]
    user = world.users[interaction.user_id]
    guild = world.guild_of(channel)
    permissions = str(int(world.permissions_of(user.id, channel)))
    wire: Json = {
        "id": str(interaction.id),
        "application_id": str(interaction.bot_id),
        "type": {"command": 2, "component": 3, "modal": 5}[interaction.kind],
        "token": interaction.token,
        "version": 1,
        "data": interaction.data,
        "channel_id": str(channel.id),
        "channel": channel_to_wire(channel, user=user) | {"permissions": permissions},
        "app_permissions": str(int(world.permissions_of(interaction.bot_id, channel))),
        "locale": "en-US",
        "entitlements": [],
        "authorizing_integration_owners": {"0": "0" if guild is None else str(guild.id)},
        "context": 1 if guild is None else 0,
        "attachment_size_limit": ATTACHMENT_MAX_BYTES,
    }
    if message is not None:
        wire["message"] = message
    if guild is None:
        return wire | {"user": user_to_wire(user)}
    return wire | {
        "guild_id": str(guild.id),
        "guild": {"id": str(guild.id), "locale": "en-US", "features": []},
        "guild_locale": "en-US",
        "member": member_to_wire(guild.members[user.id], user) | {"permissions": permissions},
    }


def application_to_wire(bot: Bot, owner: User, guild_count: int) -> Json:
    """An application object as its own bot gets it."""
    return {
        "id": str(bot.id),
        "name": bot.user.display_name or bot.user.username,
        "icon": None,
        "description": "",
        "summary": "",
        "bot_public": False,
        "bot_require_code_grant": False,
        "verify_key": "0" * 64,
        "flags": application_flags(bot.enabled),
        "owner": user_to_wire(owner),
        "team": None,
        "interactions_endpoint_url": None,
        "approximate_guild_count": guild_count,
        "bot": user_to_wire(bot.user),
    }


def emoji_to_wire(emoji: str) -> Json:
    """A partial emoji: a character, or `name:id` for a custom one."""
    name, _, custom_id = emoji.partition(":")
    return {"id": custom_id or None, "name": name}


def _reaction(emoji: str, who: list[int], viewer: Bot | None) -> Json:
    return {
        "emoji": emoji_to_wire(emoji),
        "count": len(who),
        "count_details": {"normal": len(who), "burst": 0},
        "me": viewer is not None and viewer.id in who,
        "me_burst": False,
        "burst_colors": [],
    }


def _interaction_source(world: World, interaction: Interaction, message: Message) -> Json:
    metadata: Json = {
        "id": str(interaction.id),
        "type": {"command": 2, "component": 3, "modal": 5}[interaction.kind],
        "user": user_to_wire(world.users[interaction.user_id]),
        "authorizing_integration_owners": {},
    }
    if message.id in interaction.follow_ups and interaction.original_id is not None:
        metadata["original_response_message_id"] = str(interaction.original_id)
    if interaction.message_id is not None:
        metadata["interacted_message_id"] = str(interaction.message_id)
    return {
        "application_id": str(interaction.bot_id),
        "webhook_id": str(interaction.bot_id),
        "interaction_metadata": metadata,
    }


def _reference(
    world: World, reference: Reference, message: Message, viewer: Bot | None, with_message: bool
) -> Json:
    channel = world.channels[reference.channel_id]
    pointer = {"type": 0, "channel_id": str(channel.id), "message_id": str(reference.message_id)}
    if channel.guild_id is not None:
        pointer["guild_id"] = str(channel.guild_id)
    wire: Json = {"message_reference": pointer}
    if with_message and message.type in (MessageType.REPLY, MessageType.THREAD_STARTER):
        target = channel.messages.get(reference.message_id)
        is_there = target is not None and target.deleted_at is None
        wire["referenced_message"] = (
            message_to_wire(world, target, viewer, with_reference=False) if target and is_there else None
        )
    return wire
