"""`conversations.*`, `users.info` and `reactions.*`: look around, read back, react.

Pure. https://docs.slack.dev/reference/methods?family=conversations
"""

import re

from channels.emulators.slack import events
from channels.emulators.slack.arguments import Arguments
from channels.emulators.slack.lookups import (
    SCOPE_PREFIX,
    joined_channel,
    message_of,
    need_scope,
    next_cursor,
    paged,
    some_scope_of,
    visible_channel,
)
from channels.emulators.slack.records import Bot, Channel, ChannelKind, Json, Message
from channels.emulators.slack.refusals import Refusal
from channels.emulators.slack.wire import (
    bot_user_to_wire,
    channel_to_wire,
    message_to_wire,
    reactions_to_wire,
    tombstone,
    user_to_wire,
)
from channels.emulators.slack.world import World

HISTORY_LIMIT, HISTORY_MAX = 100, 999
REPLIES_LIMIT, REPLIES_MAX = 1000, 1000
LIST_LIMIT, LIST_MAX = 100, 1000
_KINDS: dict[str, ChannelKind] = {
    "public_channel": "channel",
    "private_channel": "group",
    "im": "im",
    "mpim": "mpim",
}
_TS = re.compile(r"\d+(\.\d+)?")
_EMOJI = re.compile(r"[a-z0-9_+'\-]+(::skin-tone-[2-6])?")


def history(world: World, bot: Bot, arguments: Arguments) -> Json:
    channel = _readable(world, bot, arguments)
    inside = [one for one in channel.messages.values() if _is_root(one) and _in_range(one, arguments)]
    # Newest first; with `oldest` alone the pages go forward from there, each newest first.
    goes_forward = "oldest" in arguments and "latest" not in arguments
    if not goes_forward:
        inside.reverse()
    page, cursor = _page(inside, arguments, HISTORY_LIMIT, HISTORY_MAX)
    if goes_forward:
        page.reverse()
    messages = [one for message in page for one in _history_line(channel, message, world, arguments)]
    return {"messages": messages, "has_more": bool(cursor), "pin_count": 0} | next_cursor(cursor)


def replies(world: World, bot: Bot, arguments: Arguments) -> Json:
    channel = _readable(world, bot, arguments)
    ts = arguments.required("ts")
    root = channel.messages.get(ts)
    if root is None or (root.deleted_at is not None and not channel.replies.get(ts)):
        raise Refusal("thread_not_found")
    inside = [
        reply
        for reply in (channel.messages[one] for one in channel.replies.get(ts, ()))
        if reply.deleted_at is None and _in_range(reply, arguments)
    ]
    page, cursor = _page(inside, arguments, REPLIES_LIMIT, REPLIES_MAX)
    # The root opens every page, as on the real network.
    messages = [*_history_line(channel, root, world, arguments)]
    messages += [one for reply in page for one in _history_line(channel, reply, world, arguments)]
    return {"messages": messages, "has_more": bool(cursor)} | next_cursor(cursor)


def info(world: World, bot: Bot, arguments: Arguments) -> Json:
    channel = visible_channel(world, bot, arguments.required("channel"))
    some_scope_of(bot, [channel.kind], "read")
    return {"channel": channel_to_wire(channel, bot)}


def open_direct(world: World, bot: Bot, arguments: Arguments) -> Json:
    if channel_id := arguments.text("channel"):
        channel = visible_channel(world, bot, channel_id)
    else:
        users = arguments.names("users")
        if not users:
            raise Refusal("users_list_not_supplied")
        if any((bot.team.id, user) not in world.people for user in users):
            raise Refusal("user_not_found")
        channel = _direct(world, bot, users)
    wire = channel_to_wire(channel, bot) if arguments.flag("return_im") else {"id": channel.id}
    return {"channel": wire}


def list_channels(world: World, bot: Bot, arguments: Arguments) -> Json:
    types = arguments.names("types") or ["public_channel"]
    if any(name not in _KINDS for name in types):
        raise Refusal("invalid_types")
    kinds = [_KINDS[name] for name in types]
    for kind in kinds:
        some_scope_of(bot, [kind], "read")
    found = [
        channel_to_wire(one, bot)
        for one in world.channels.values()
        if one.team is bot.team
        and one.kind in kinds
        and (one.kind == "channel" or bot.user_id in one.members)
    ]
    page, cursor = paged(found, arguments, LIST_LIMIT, LIST_MAX)
    return {"channels": page} | next_cursor(cursor)


def members(world: World, bot: Bot, arguments: Arguments) -> Json:
    channel = visible_channel(world, bot, arguments.required("channel"))
    some_scope_of(bot, [channel.kind], "read")
    page, cursor = paged([{"id": one} for one in sorted(channel.members)], arguments, LIST_LIMIT, LIST_MAX)
    return {"members": [one["id"] for one in page]} | next_cursor(cursor)


def users_info(world: World, bot: Bot, arguments: Arguments) -> Json:
    user_id = arguments.required("user")
    person = world.people.get((bot.team.id, user_id))
    if person is not None:
        return {"user": user_to_wire(person, bot.team.id)}
    found = world.bot_user(user_id)
    if found is None or found.team is not bot.team:
        raise Refusal("user_not_found")
    return {"user": bot_user_to_wire(found)}


def add_reaction(world: World, bot: Bot, arguments: Arguments) -> Json:
    channel, message, name = _reacted_to(world, bot, arguments)
    users = message.reactions.setdefault(name, [])
    if bot.user_id in users:
        raise Refusal("already_reacted")
    users.append(bot.user_id)
    world.show("reaction", channel, message)
    events.reacted(world, channel, message, bot.user_id, name, is_added=True)
    return {}


def remove_reaction(world: World, bot: Bot, arguments: Arguments) -> Json:
    channel, message, name = _reacted_to(world, bot, arguments)
    if bot.user_id not in message.reactions.get(name, ()):
        raise Refusal("no_reaction")
    take_reaction(message, name, bot.user_id)
    world.show("reaction", channel, message)
    events.reacted(world, channel, message, bot.user_id, name, is_added=False)
    return {}


def get_reactions(world: World, bot: Bot, arguments: Arguments) -> Json:
    channel = joined_channel(world, bot, arguments.required("channel"))
    message = message_of(channel, arguments.required("timestamp"))
    wire = message_to_wire(channel, message, world.base_url, with_metadata=False)
    wire["reactions"] = reactions_to_wire(message)
    return {"type": "message", "channel": channel.id, "message": wire}


def take_reaction(message: Message, name: str, user: str) -> None:
    """Take somebody's reaction away; an emoji that nobody uses any more disappears."""
    message.reactions[name].remove(user)
    if not message.reactions[name]:
        del message.reactions[name]


def _readable(world: World, bot: Bot, arguments: Arguments) -> Channel:
    channel = joined_channel(world, bot, arguments.required("channel"))
    need_scope(bot, f"{SCOPE_PREFIX[channel.kind]}:history")
    for name, error in (("oldest", "invalid_ts_oldest"), ("latest", "invalid_ts_latest")):
        if arguments.text(name) and not _TS.fullmatch(arguments.text(name)):
            raise Refusal(error)
    return channel


def _is_root(message: Message) -> bool:
    return message.thread_ts in (None, message.ts) or message.subtype == "thread_broadcast"


def _in_range(message: Message, arguments: Arguments) -> bool:
    oldest, latest = arguments.text("oldest"), arguments.text("latest")
    if arguments.flag("inclusive") and message.ts in (oldest, latest):
        return True
    place = _order(message.ts)
    return (not oldest or place > _order(oldest)) and (not latest or place < _order(latest))


def _order(ts: str) -> tuple[int, int]:
    seconds, _, rest = ts.partition(".")
    return int(seconds), int(rest.ljust(6, "0")[:6] or "0")


def _page(
    messages: list[Message], arguments: Arguments, default: int, most: int
) -> tuple[list[Message], str]:
    """One page; the cursor names the next message, so that new ones do not shift the pages."""
    limit = arguments.integer("limit", default)
    if limit < 1:
        raise Refusal("invalid_limit")
    start = 0
    if cursor := arguments.text("cursor"):
        ts = cursor.removeprefix("next_ts:")
        places = [place for place, message in enumerate(messages) if message.ts == ts]
        if not places:
            raise Refusal("invalid_cursor")
        start = places[0]
    end = start + min(limit, most)
    return messages[start:end], f"next_ts:{messages[end].ts}" if end < len(messages) else ""


def _history_line(channel: Channel, message: Message, world: World, arguments: Arguments) -> list[Json]:
    if message.deleted_at is None:
        with_metadata = arguments.flag("include_all_metadata")
        return [message_to_wire(channel, message, world.base_url, with_metadata)]
    has_replies = any(channel.messages[ts].deleted_at is None for ts in channel.replies.get(message.ts, ()))
    return [tombstone(channel, message)] if has_replies else []


def _direct(world: World, bot: Bot, users: list[str]) -> Channel:
    if len(users) == 1:
        need_scope(bot, "im:write")
        return world.direct(bot, users[0])
    need_scope(bot, "mpim:write")
    wanted = {bot.user_id, *users}
    for channel in world.channels.values():
        if channel.kind == "mpim" and channel.members == wanted:
            return channel
    return world.open_channel(bot.team, "mpim", f"mpdm-{'--'.join(sorted(users)).lower()}", wanted)


def _reacted_to(world: World, bot: Bot, arguments: Arguments) -> tuple[Channel, Message, str]:
    name = arguments.required("name")
    if not _EMOJI.fullmatch(name):
        raise Refusal("invalid_name")
    channel = joined_channel(world, bot, arguments.required("channel"))
    return channel, message_of(channel, arguments.required("timestamp")), name
