"""The verbs that change the world: post, revise, remove, react, open and change threads. Pure.

They do what they are told; who may is decided before (`bot_*.py`, `interactions.py`, `people.py`). Each tells
bots and pages what happened.
"""

import mimetypes
import re
from collections.abc import Sequence

from channels.emulators.discord.announcements import (
    tell_channel,
    tell_deletion,
    tell_message,
    tell_reaction,
    tell_thread,
    tell_thread_joined,
)
from channels.emulators.discord.components import displayed_texts
from channels.emulators.discord.drafts import Draft
from channels.emulators.discord.mentions import find_mentions
from channels.emulators.discord.records import (
    NO_FLAGS,
    Attachment,
    Channel,
    ChannelType,
    Edit,
    Interaction,
    Message,
    MessageFlag,
    MessageType,
    Reference,
    ThreadState,
    Upload,
)
from channels.emulators.discord.views import channel_view, message_view
from channels.emulators.discord.world import World

# One day, what clients offer first.
AUTO_ARCHIVE_MINUTES = 1440
_CHANGEABLE = MessageFlag.SUPPRESS_EMBEDS | MessageFlag.IS_COMPONENTS_V2


def post(
    world: World,
    channel: Channel,
    author_id: int,
    draft: Draft,
    *,
    kind: MessageType = MessageType.DEFAULT,
    source: Interaction | None = None,
    replied_to: int | None = None,
    is_loading: bool = False,
) -> Message:
    """Write a message. `source` is the interaction it answers; `replied_to` the author of the referenced one."""
    flags = draft.flags or NO_FLAGS
    if source is None:
        # Only what answers somebody can be for that person alone.
        flags &= ~MessageFlag.EPHEMERAL
    components = draft.components or []
    texts = [draft.content or "", *displayed_texts(components)]
    message = Message(
        id=world.ids.next(),
        channel_id=channel.id,
        author_id=author_id,
        at=world.now(),
        content=draft.content or "",
        type=kind,
        embeds=draft.embeds or [],
        components=components,
        flags=flags | MessageFlag.LOADING if is_loading else flags,
        mentions=find_mentions(world, channel, author_id, texts, draft.allowed, replied_to),
        reference=draft.reference,
        nonce=draft.nonce,
        tts=draft.tts,
    )
    message.attachments = attach(world, channel, draft.uploads)
    if source is not None:
        message.interaction_id = source.id
        if MessageFlag.EPHEMERAL in flags:
            message.ephemeral_to = source.user_id
    enter_thread(world, channel, author_id)
    _append(world, channel, message)
    return message


def revise(world: World, channel: Channel, message: Message, draft: Draft) -> None:
    """Change what a message shows; what the draft leaves out stays. Mentions are found again, nobody is pinged."""
    message.edits.append(Edit(world.now(), message.content, message.embeds, message.components))
    if draft.content is not None:
        message.content = draft.content
    if draft.embeds is not None:
        message.embeds = draft.embeds
    if draft.components is not None:
        message.components = draft.components
    if draft.flags is not None:
        message.flags = message.flags & ~MessageFlag.SUPPRESS_EMBEDS | draft.flags & _CHANGEABLE
    message.flags &= ~MessageFlag.LOADING
    if draft.kept is not None:
        message.attachments = [one for one in message.attachments if one.id in draft.kept]
    message.attachments = [*message.attachments, *attach(world, channel, draft.uploads)]
    texts = [message.content, *displayed_texts(message.components)]
    message.mentions = find_mentions(world, channel, message.author_id, texts, draft.allowed, None)
    message.edited_at = world.now()
    tell_message(world, "MESSAGE_UPDATE", channel, message)
    world.note("edited", channel.id, message_view(world, message))


def remove(world: World, channel: Channel, messages: Sequence[Message]) -> None:
    """Delete messages for everyone; they stay in the full view."""
    for message in messages:
        message.deleted_at = world.now()
        if channel.thread is not None:
            channel.thread.message_count = max(0, channel.thread.message_count - 1)
    tell_deletion(world, channel, list(messages))
    for message in messages:
        world.note("deleted", channel.id, message_view(world, message))


def react(world: World, channel: Channel, message: Message, user_id: int, emoji: str) -> None:
    """Add somebody's reaction; twice is once."""
    who = message.reactions.setdefault(emoji, [])
    if user_id not in who:
        who.append(user_id)
        tell_reaction(world, channel, message, user_id, emoji, added=True)
        world.note("reaction", channel.id, message_view(world, message))


def unreact(world: World, channel: Channel, message: Message, user_id: int, emoji: str) -> None:
    """Take somebody's reaction away; nothing happens when there is none."""
    who = message.reactions.get(emoji, [])
    if user_id in who:
        who.remove(user_id)
        if not who:
            del message.reactions[emoji]
        tell_reaction(world, channel, message, user_id, emoji, added=False)
        world.note("reaction", channel.id, message_view(world, message))


def open_thread(
    world: World,
    parent: Channel,
    owner_id: int,
    name: str,
    *,
    starter: Message | None = None,
    kind: ChannelType = ChannelType.PUBLIC_THREAD,
    auto_archive_minutes: int = AUTO_ARCHIVE_MINUTES,
) -> Channel:
    """Open a thread; started from a message it has that message's id, forever."""
    now = world.now()
    thread = Channel(
        id=world.ids.next() if starter is None else starter.id,
        type=kind,
        name=name,
        guild_id=parent.guild_id,
        parent_id=parent.id,
        owner_id=owner_id,
        thread=ThreadState(False, False, auto_archive_minutes, now, now, {owner_id: now}),
    )
    world.channels[thread.id] = thread
    tell_thread(world, "THREAD_CREATE", thread, newly_created=True)
    world.note("thread", thread.id, channel_view(world, thread))
    if starter is not None:
        starter.flags |= MessageFlag.HAS_THREAD
        tell_message(world, "MESSAGE_UPDATE", parent, starter)
        reference = Reference(parent.id, starter.id)
        _append_system(world, thread, starter.author_id, MessageType.THREAD_STARTER, "", reference)
    elif kind is ChannelType.PUBLIC_THREAD:
        reference = Reference(thread.id, thread.id)
        _append_system(world, parent, owner_id, MessageType.THREAD_CREATED, name, reference)
    return thread


def change_thread(
    world: World,
    thread: Channel,
    *,
    name: str | None = None,
    archived: bool | None = None,
    locked: bool | None = None,
    auto_archive_minutes: int | None = None,
) -> None:
    """Rename, archive, lock or open a thread again; None leaves a thing as it is."""
    state = thread.thread
    assert state is not None
    if name is not None:
        thread.name = name
    if archived is not None and archived != state.archived:
        state.archived, state.archive_at = archived, world.now()
    if locked is not None:
        state.locked = locked
    if auto_archive_minutes is not None:
        state.auto_archive_minutes, state.archive_at = auto_archive_minutes, world.now()
    tell_thread(world, "THREAD_UPDATE", thread)
    world.note("thread", thread.id, channel_view(world, thread))


def enter_thread(world: World, channel: Channel, user_id: int) -> None:
    """Writing in a thread joins it and wakes it from the archive; nothing happens elsewhere."""
    state = channel.thread
    if state is None:
        return
    if state.archived:
        change_thread(world, channel, archived=False)
    if user_id not in state.members:
        state.members[user_id] = world.now()
        if user_id in world.bots:
            tell_thread_joined(world, channel, world.bots[user_id])


def create_channel(world: World, guild_id: int, name: str, channel_id: int | None = None) -> Channel:
    """Add a text channel to a guild."""
    position = len(world.channels_of(world.guilds[guild_id]))
    new_id = world.ids.next() if channel_id is None else channel_id
    channel = Channel(new_id, ChannelType.TEXT, name, guild_id=guild_id, position=position)
    world.channels[channel.id] = channel
    tell_channel(world, "CHANNEL_CREATE", channel)
    world.note("channel", channel.id, channel_view(world, channel))
    return channel


def delete_channel(world: World, channel: Channel) -> None:
    """Remove a channel with its threads, or a single thread, for good."""
    if channel.thread is not None:
        tell_thread(world, "THREAD_DELETE", channel)
    else:
        tell_channel(world, "CHANNEL_DELETE", channel)
    for thread in world.threads_in(channel):
        del world.channels[thread.id]
    del world.channels[channel.id]
    world.note("channel_deleted", channel.id, {"id": str(channel.id)})


def attach(world: World, channel: Channel, uploads: Sequence[Upload]) -> list[Attachment]:
    """Store files under ids of their own."""
    attachments = []
    for upload in uploads:
        # The network keeps letters, digits, dots, dashes and underscores of a name.
        filename = re.sub(r"[^\w.-]+", "_", upload.filename) or "file"
        content_type = mimetypes.guess_type(filename)[0]
        attachment = Attachment(
            world.ids.next(), channel.id, filename, content_type, upload.data, upload.description
        )
        world.attachments[attachment.id] = attachment
        attachments.append(attachment)
    return attachments


def _append_system(
    world: World, channel: Channel, author_id: int, kind: MessageType, text: str, reference: Reference
) -> None:
    message = Message(
        world.ids.next(), channel.id, author_id, world.now(), text, type=kind, reference=reference
    )
    _append(world, channel, message)


def _append(world: World, channel: Channel, message: Message) -> None:
    channel.messages[message.id] = message
    if message.ephemeral_to is None:
        channel.last_message_id = message.id
        if channel.thread is not None and message.type is not MessageType.THREAD_STARTER:
            channel.thread.message_count += 1
            channel.thread.total_sent += 1
    tell_message(world, "MESSAGE_CREATE", channel, message)
    world.note("message", channel.id, message_view(world, message))
