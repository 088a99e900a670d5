"""What bots do with rooms: guilds, channels, threads and direct messages. Pure.

Rules: resources/channel.mdx, resources/guild.mdx and topics/threads.mdx of discord-api-docs.
"""

from datetime import datetime

from channels.emulators.discord.acts import (
    AUTO_ARCHIVE_MINUTES,
    change_thread,
    delete_channel,
    enter_thread,
    open_thread,
)
from channels.emulators.discord.announcements import tell_channel
from channels.emulators.discord.bot_access import (
    joined_guild,
    live_message,
    may,
    need,
    need_active,
    visible_channel,
)
from channels.emulators.discord.exchange import NO_CONTENT, Answer, Ask
from channels.emulators.discord.forms import FormErrors, invalid_form, is_digits
from channels.emulators.discord.permissions import Permission
from channels.emulators.discord.records import SYSTEM_TYPES, Channel, ChannelType, Json
from channels.emulators.discord.refusals import Refusal, missing_permissions, unknown
from channels.emulators.discord.views import channel_view
from channels.emulators.discord.wire import (
    channel_to_wire,
    guild_to_wire,
    member_to_wire,
    thread_member_to_wire,
    user_to_wire,
)

NAME_MAX = 100
TOPIC_MAX = 1024
AUTO_ARCHIVE_CHOICES = (60, 1440, 4320, 10080)


def list_guilds(ask: Ask) -> Answer:
    """The guilds the bot is in, as short objects."""
    guilds = [one for one in ask.world.guilds.values() if ask.bot.id in one.members]
    return Answer(
        [
            {
                "id": str(one.id),
                "name": one.name,
                "icon": None,
                "owner": False,
                "permissions": str(int(one.everyone)),
                "features": [],
            }
            for one in guilds
        ]
    )


def get_guild(ask: Ask) -> Answer:
    guild = joined_guild(ask)
    counts: Json = {"approximate_member_count": len(guild.members)} if "with_counts" in ask.query else {}
    return Answer(guild_to_wire(guild) | counts)


def list_channels(ask: Ask) -> Answer:
    return Answer([channel_to_wire(one) for one in ask.world.channels_of(joined_guild(ask))])


def list_active_threads(ask: Ask) -> Answer:
    threads = ask.world.threads_of(joined_guild(ask))
    active = [one for one in threads if one.thread and not one.thread.archived and _sees(ask, one)]
    return Answer(_threads(ask, active))


def list_archived_threads(ask: Ask) -> Answer:
    """Public ones, the last archived first."""
    parent = visible_channel(ask)
    need(ask.world, ask.bot, parent, Permission.READ_MESSAGE_HISTORY)
    limit = ask.number("limit", 50, 1, 100)
    before = _instant(ask.query.get("before"))
    archived = [
        one
        for one in ask.world.threads_in(parent)
        if one.type is ChannelType.PUBLIC_THREAD
        and one.thread
        and one.thread.archived
        and (before is None or one.thread.archive_at < before)
    ]
    archived.sort(key=lambda one: one.thread.archive_at if one.thread else 0.0, reverse=True)
    return Answer(_threads(ask, archived[:limit]) | {"has_more": len(archived) > limit})


def get_member(ask: Ask) -> Answer:
    guild = joined_guild(ask)
    user_id = ask.id("u")
    if user_id not in ask.world.users:
        raise unknown("User")
    if user_id not in guild.members:
        raise unknown("Member")
    return Answer(member_to_wire(guild.members[user_id], ask.world.users[user_id]))


def get_channel(ask: Ask) -> Answer:
    return Answer(_channel(ask, visible_channel(ask)))


def edit_channel(ask: Ask) -> Answer:
    """Threads: name, archived, locked, auto_archive_duration; channels: name and topic."""
    world = ask.world
    channel = visible_channel(ask)
    body = {name: value for name, value in ask.fields().items() if value is not None}
    errors = FormErrors()
    if "name" in body:
        check_name(body["name"], errors)
    if channel.type is ChannelType.DM:
        raise Refusal(403, 50003, "Cannot execute action on a DM channel")
    if channel.thread is None:
        need(world, ask.bot, channel, Permission.MANAGE_CHANNELS)
        topic = errors.text(("topic",), body.get("topic", channel.topic or ""), 0, TOPIC_MAX)
        errors.check()
        channel.name, channel.topic = body.get("name", channel.name), topic or None
        tell_channel(world, "CHANNEL_UPDATE", channel)
        world.note("channel", channel.id, channel_view(world, channel))
        return Answer(_channel(ask, channel))
    if "auto_archive_duration" in body:
        _check_archiving(body["auto_archive_duration"], errors)
    for name in ("archived", "locked"):
        if name in body:
            errors.flag((name,), body[name])
    errors.check()
    _need_to_change(ask, channel, body)
    change_thread(
        world,
        channel,
        name=body.get("name"),
        archived=body.get("archived"),
        locked=body.get("locked"),
        auto_archive_minutes=body.get("auto_archive_duration"),
    )
    return Answer(_channel(ask, channel))


def remove_channel(ask: Ask) -> Answer:
    """A DM is only closed, and opens again with the next message."""
    channel = visible_channel(ask)
    wire = _channel(ask, channel)
    if channel.type is not ChannelType.DM:
        is_thread = channel.thread is not None
        wanted = Permission.MANAGE_THREADS if is_thread else Permission.MANAGE_CHANNELS
        need(ask.world, ask.bot, channel, wanted)
        delete_channel(ask.world, channel)
    return Answer(wire)


def start_thread_from_message(ask: Ask) -> Answer:
    world = ask.world
    parent = visible_channel(ask)
    if parent.type is not ChannelType.TEXT:
        raise Refusal(400, 50024, "Cannot execute action on this channel type")
    message = live_message(ask, parent)
    name, minutes = _thread_fields(ask)
    need(world, ask.bot, parent, Permission.CREATE_PUBLIC_THREADS)
    if message.id in world.channels:
        raise Refusal(400, 160004, "A thread has already been created for this message")
    if message.type in SYSTEM_TYPES:
        raise Refusal(400, 50068, "Invalid message type")
    thread = open_thread(world, parent, ask.bot.id, name, starter=message, auto_archive_minutes=minutes)
    return Answer(_channel(ask, thread), 201)


def start_thread(ask: Ask) -> Answer:
    """Without a message: private unless the body says otherwise."""
    parent = visible_channel(ask)
    if parent.type is not ChannelType.TEXT:
        raise Refusal(400, 50024, "Cannot execute action on this channel type")
    name, minutes = _thread_fields(ask)
    errors = FormErrors()
    chosen = errors.choice(("type",), ask.fields().get("type", 12), (11, 12))
    errors.check()
    kind = ChannelType(chosen or ChannelType.PRIVATE_THREAD)
    is_public = kind is ChannelType.PUBLIC_THREAD
    wanted = Permission.CREATE_PUBLIC_THREADS if is_public else Permission.CREATE_PRIVATE_THREADS
    need(ask.world, ask.bot, parent, wanted)
    thread = open_thread(ask.world, parent, ask.bot.id, name, kind=kind, auto_archive_minutes=minutes)
    return Answer(_channel(ask, thread), 201)


def join_thread(ask: Ask) -> Answer:
    thread = visible_channel(ask)
    if thread.thread is None:
        raise Refusal(400, 50024, "Cannot execute action on this channel type")
    need_active(thread)
    enter_thread(ask.world, thread, ask.bot.id)
    return NO_CONTENT


def open_dm(ask: Ask) -> Answer:
    raw = str(ask.fields().get("recipient_id", ""))
    user = ask.world.users.get(int(raw)) if is_digits(raw) else None
    if user is None or user.id == ask.bot.id:
        raise Refusal(400, 50033, "Invalid Recipient(s)")
    return Answer(channel_to_wire(ask.world.dm_of(ask.bot, user.id), user=user))


def get_user(ask: Ask) -> Answer:
    user = ask.world.users.get(ask.id("u"))
    if user is None:
        raise unknown("User")
    return Answer(user_to_wire(user))


def check_name(name: object, errors: FormErrors) -> None:
    """The name of a channel or thread."""
    if not isinstance(name, str) or not 1 <= len(name.strip()) <= NAME_MAX:
        errors.add(("name",), "BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {NAME_MAX} in length.")


def _channel(ask: Ask, channel: Channel) -> Json:
    others = [one for one in channel.recipients if one != ask.bot.id]
    return channel_to_wire(channel, ask.bot, ask.world.users[others[0]] if others else None)


def _sees(ask: Ask, channel: Channel) -> bool:
    return may(ask.world, ask.bot, channel, Permission.VIEW_CHANNEL)


def _threads(ask: Ask, threads: list[Channel]) -> Json:
    members = [
        thread_member_to_wire(one.id, ask.bot.id, one.thread.members[ask.bot.id])
        for one in threads
        if one.thread and ask.bot.id in one.thread.members
    ]
    return {"threads": [channel_to_wire(one, ask.bot) for one in threads], "members": members}


def _thread_fields(ask: Ask) -> tuple[str, int]:
    body = ask.fields()
    errors = FormErrors()
    check_name(body.get("name"), errors)
    minutes = body.get("auto_archive_duration") or AUTO_ARCHIVE_MINUTES
    _check_archiving(minutes, errors)
    errors.check()
    return body["name"].strip(), minutes


def _check_archiving(minutes: object, errors: FormErrors) -> None:
    errors.choice(("auto_archive_duration",), minutes, AUTO_ARCHIVE_CHOICES)


def _need_to_change(ask: Ask, thread: Channel, body: Json) -> None:
    """Who may change what of a thread (topics/threads.mdx#editing--deleting-threads)."""
    state = thread.thread
    assert state is not None
    if may(ask.world, ask.bot, thread, Permission.MANAGE_THREADS):
        return
    only_wakes = set(body) == {"archived"} and body["archived"] is False
    if only_wakes and not state.locked:
        return
    if state.archived and body.get("archived") is not False:
        need_active(thread)
    if "locked" in body or state.locked or thread.owner_id != ask.bot.id:
        raise missing_permissions()


def _instant(raw: str | None) -> float | None:
    if raw is None:
        return None
    try:
        return datetime.fromisoformat(raw).timestamp()
    except ValueError:
        raise invalid_form(("before",), "DATETIME_TYPE_CONVERT", "Not a time.") from None
