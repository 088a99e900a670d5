"""What people do in channels: write, edit, delete, react, share a file, come and go.

Pure. The control side and tests call these; interactions with apps are in `interactions.py`.
"""

from dataclasses import dataclass

from channels.emulators.errors import ControlError
from channels.emulators.slack import events
from channels.emulators.slack.conversations import take_reaction
from channels.emulators.slack.files import new_file, share
from channels.emulators.slack.mentions import marks_in, typed
from channels.emulators.slack.records import Channel, Json, Message, Person, Workspace
from channels.emulators.slack.wire import message_to_wire
from channels.emulators.slack.world import World


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file somebody shares."""

    name: str
    content: bytes
    mimetype: str | None = None


def say(
    world: World,
    channel: Channel,
    user: Person,
    text: str,
    *,
    thread_ts: str | None = None,
    is_broadcast: bool = False,
    attachments: tuple[Attachment, ...] = (),
) -> Message:
    """Write a message, with files or without; who is not a member becomes one. Raises ControlError."""
    world.add_person(channel.team, user)
    if not text and not attachments:
        raise ControlError("a message has a text or a file")
    if thread_ts is not None:
        root = live_message(channel, thread_ts)
        thread_ts = root.thread_ts or root.ts
    if user.id not in channel.members:
        join(world, channel, user.id)
    markup, blocks = _typed(world, channel, text)
    message = Message(
        ts=world.next_ts(),
        at=world.now(),
        user=user.id,
        text=markup,
        blocks=blocks,
        thread_ts=thread_ts,
        client_msg_id=world.new_id("client-"),
        mentions=marks_in(markup),
    )
    if attachments:
        files = []
        for one in attachments:
            file = new_file(world, channel.team.id, user.id, one.name, len(one.content))
            file.content, file.is_complete, file.title = one.content, True, one.name
            file.mimetype = one.mimetype or file.mimetype
            files.append(file)
        share(world, channel, message, files)
        return message
    if is_broadcast and thread_ts is not None:
        message.subtype = "thread_broadcast"
    world.post(channel, message)
    events.said(world, channel, message)
    return message


def edit(world: World, channel: Channel, ts: str, text: str) -> Message:
    """A person edits their own message. Raises ControlError."""
    message = _own_message(channel, ts)
    markup, blocks = _typed(world, channel, text)
    if markup == message.text:
        raise ControlError("the message says that already")
    before = message_to_wire(channel, message, world.base_url)
    message.mentions = marks_in(markup)
    world.revise(channel, message, markup, blocks, message.user)
    events.changed(world, channel, message, before)
    return message


def delete(world: World, channel: Channel, ts: str) -> Message:
    """A person deletes their own message. Raises ControlError."""
    message = _own_message(channel, ts)
    world.remove(channel, message)
    events.deleted(world, channel, message)
    return message


def react(
    world: World, channel: Channel, ts: str, user: Person, emoji: str, *, is_added: bool = True
) -> None:
    """Put a reaction on a message, or take it away. Raises ControlError."""
    world.add_person(channel.team, user)
    message = live_message(channel, ts)
    name = emoji.strip(":")
    has_it = user.id in message.reactions.get(name, ())
    if has_it is is_added:
        raise ControlError("the reaction is there already" if is_added else "there is no such reaction")
    if is_added:
        message.reactions.setdefault(name, []).append(user.id)
    else:
        take_reaction(message, name, user.id)
    world.show("reaction", channel, message)
    events.reacted(world, channel, message, user.id, name, is_added=is_added)


def join(world: World, channel: Channel, user_id: str, inviter: str | None = None) -> None:
    """Somebody, or a bot, becomes a member. Raises ControlError."""
    if channel.kind == "im":
        raise ControlError("a direct conversation belongs to its two members")
    if user_id in channel.members:
        raise ControlError(f"{user_id} is in {channel.id} already")
    if (channel.team.id, user_id) not in world.people and world.bot_user(user_id) is None:
        raise ControlError(f"no user {user_id}")
    channel.members.add(user_id)
    world.note("joined", channel, lambda: {"user": user_id})
    events.joined(world, channel, user_id, inviter)


def leave(world: World, channel: Channel, user_id: str) -> None:
    """Somebody, or a bot, is no longer a member. Raises ControlError."""
    if user_id not in channel.members:
        raise ControlError(f"{user_id} is not in {channel.id}")
    channel.members.discard(user_id)
    world.note("left", channel, lambda: {"user": user_id})


def channel_of(world: World, team: Workspace, name: str) -> Channel:
    """The channel a request names, by id or name. Raises ControlError."""
    channel = world.channel_named(team, name)
    if channel is None:
        raise ControlError(f"no channel {name} in {team.name}")
    return channel


def live_message(channel: Channel, ts: str) -> Message:
    """A message that people can still see. Raises ControlError."""
    message = channel.messages.get(ts)
    if message is None or message.deleted_at is not None:
        raise ControlError(f"no message {ts} in {channel.id}")
    return message


def _own_message(channel: Channel, ts: str) -> Message:
    message = live_message(channel, ts)
    if message.bot is not None:
        raise ControlError("people change only their own messages")
    return message


def _typed(world: World, channel: Channel, text: str) -> tuple[str, list[Json]]:
    def user_id(name: str) -> str | None:
        return world.user_named(channel.team, name)

    def channel_id(name: str) -> str | None:
        found = world.channel_named(channel.team, name)
        return None if found is None else found.id

    markup, elements = typed(text, user_id, channel_id)
    if not elements:
        return markup, []
    section = {"type": "rich_text_section", "elements": elements}
    return markup, [{"type": "rich_text", "block_id": world.new_id("b").lower(), "elements": [section]}]
