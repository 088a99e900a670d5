"""What people do: write, edit, delete, react, type, start threads, join guilds. Pure.

The control side and tests call these. What people do to an application is in `people_interactions.py`.
"""

from dataclasses import dataclass

from channels.emulators.discord.acts import open_thread, post, react, remove, revise, unreact
from channels.emulators.discord.announcements import tell_member, tell_typing
from channels.emulators.discord.drafts import CONTENT_MAX, Draft
from channels.emulators.discord.mentions import ALL_ALLOWED
from channels.emulators.discord.permissions import Permission
from channels.emulators.discord.records import Channel, Message, MessageType, Reference, Upload, User
from channels.emulators.discord.views import user_view
from channels.emulators.discord.world import World
from channels.emulators.errors import ControlError


@dataclass(frozen=True, slots=True)
class Words:
    """Something a person writes. `reply_to` is a message of the same room."""

    content: str
    user: User
    reply_to: int | None = None
    uploads: tuple[Upload, ...] = ()
    pings_reply: bool = True


def admit(world: World, channel: Channel, user: User) -> None:
    """Make somebody known and a member of the room's guild. Raises ControlError for a foreign DM."""
    if user.id in world.bots and user != world.bots[user.id].user:
        raise ControlError(f"{user.id} is a bot of this network")
    world.users[user.id] = user
    guild = world.guild_of(channel)
    if guild is None:
        if user.id not in channel.recipients:
            raise ControlError("these direct messages belong to other people")
    elif user.id not in guild.members:
        guild.members[user.id] = world.now()
        tell_member(world, guild, user.id)


def say(world: World, channel: Channel, words: Words) -> Message:
    """Write a message; makes the person known and a member. Raises ControlError."""
    content = _checked(words.content, bool(words.uploads))
    admit(world, channel, words.user)
    _check_thread(world, channel, words.user)
    replied = None if words.reply_to is None else live_message(channel, words.reply_to)
    draft = Draft(
        allowed=ALL_ALLOWED,
        content=content,
        uploads=words.uploads,
        reference=None if replied is None else Reference(channel.id, replied.id),
    )
    return post(
        world,
        channel,
        words.user.id,
        draft,
        kind=MessageType.DEFAULT if replied is None else MessageType.REPLY,
        replied_to=replied.author_id if replied is not None and words.pings_reply else None,
    )


def edit(world: World, channel: Channel, message_id: int, content: str) -> Message:
    """A person edits their own message. Raises ControlError."""
    message = _own_message(world, channel, message_id)
    revise(world, channel, message, Draft(allowed=ALL_ALLOWED, content=_checked(content, True)))
    return message


def delete(world: World, channel: Channel, *message_ids: int) -> None:
    """Delete one message, or several at once as a moderator does. Raises ControlError."""
    if not message_ids:
        raise ControlError("name at least one message")
    remove(world, channel, [live_message(channel, one) for one in message_ids])


def add_reaction(world: World, channel: Channel, message_id: int, user: User, emoji: str) -> None:
    """React to a message. Raises ControlError."""
    admit(world, channel, user)
    react(world, channel, live_message(channel, message_id), user.id, emoji)


def remove_reaction(world: World, channel: Channel, message_id: int, user: User, emoji: str) -> None:
    """Take a reaction back. Raises ControlError."""
    unreact(world, channel, live_message(channel, message_id), user.id, emoji)


def type_in(world: World, channel: Channel, user: User) -> None:
    """Begin to type. Raises ControlError."""
    admit(world, channel, user)
    tell_typing(world, channel, user.id)
    world.note("typing", channel.id, {"user": user_view(user), "at": world.now()})


def start_thread(world: World, channel: Channel, user: User, name: str, message_id: int | None) -> Channel:
    """Open a public thread, from a message or without one. Raises ControlError."""
    if channel.guild_id is None or channel.thread is not None:
        raise ControlError("threads are opened in the channels of a guild")
    if not 1 <= len(name) <= 100:
        raise ControlError("a thread's name has 1 to 100 characters")
    admit(world, channel, user)
    starter = None if message_id is None else live_message(channel, message_id)
    if starter is not None and starter.id in world.channels:
        raise ControlError("this message has a thread already")
    return open_thread(world, channel, user.id, name, starter=starter)


def live_message(channel: Channel, message_id: int) -> Message:
    """A message that is there for people. Raises ControlError."""
    message = channel.messages.get(message_id)
    if message is None or message.deleted_at is not None:
        raise ControlError(f"there is no message {message_id} in channel {channel.id}")
    return message


def _own_message(world: World, channel: Channel, message_id: int) -> Message:
    message = live_message(channel, message_id)
    if message.author_id in world.bots:
        raise ControlError("people edit only their own messages")
    return message


def _checked(content: str, may_be_empty: bool) -> str:
    content = content.strip()
    if not content and not may_be_empty:
        raise ControlError("an empty message cannot be sent")
    if len(content) > CONTENT_MAX:
        raise ControlError(f"a message has at most {CONTENT_MAX} characters")
    return content


def _check_thread(world: World, channel: Channel, user: User) -> None:
    state = channel.thread
    moderates = Permission.MANAGE_THREADS in world.permissions_of(user.id, channel)
    if state is not None and state.locked and not moderates:
        raise ControlError("this thread is locked")
