"""What the methods look up before they do anything, and how they refuse when it is not there."""

from collections.abc import Iterable

from channels.emulators.slack.arguments import Arguments
from channels.emulators.slack.records import Bot, Channel, ChannelKind, Json, Message
from channels.emulators.slack.refusals import Refusal, missing_scope
from channels.emulators.slack.world import World

# https://docs.slack.dev/messaging/message-metadata: names are text, the payload is an object.
_METADATA_FIELDS = ("event_type", "event_payload")
SCOPE_PREFIX: dict[ChannelKind, str] = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}


def need_scope(bot: Bot, *any_of: str) -> None:
    """Raises Refusal when the token has none of them."""
    if not bot.scopes.intersection(any_of):
        raise missing_scope(any_of, bot.scopes)


def visible_channel(world: World, bot: Bot, channel_id: str) -> Channel:
    """A channel of the bot's workspace that it can know of. Raises Refusal."""
    channel = world.channels.get(channel_id)
    is_known = channel is not None and channel.team is bot.team
    if channel is None or not is_known or (channel.kind != "channel" and bot.user_id not in channel.members):
        raise Refusal("channel_not_found")
    return channel


def joined_channel(world: World, bot: Bot, channel_id: str) -> Channel:
    """A channel the bot is a member of. Raises Refusal."""
    channel = visible_channel(world, bot, channel_id)
    if bot.user_id not in channel.members:
        raise Refusal("not_in_channel")
    return channel


def writable_channel(world: World, bot: Bot, target: str) -> Channel:
    """Where a message goes: a channel, or a person, which means the direct conversation. Raises Refusal."""
    if not target:
        raise Refusal("channel_not_found")
    if (bot.team.id, target) in world.people:
        return world.direct(bot, target)
    channel = world.channel_named(bot.team, target) if target.startswith("#") else None
    channel = channel or visible_channel(world, bot, target)
    if bot.user_id not in channel.members and "chat:write.public" not in bot.scopes:
        raise Refusal("not_in_channel")
    return channel


def message_of(channel: Channel, ts: str, error: str = "message_not_found") -> Message:
    """A message that is there. Raises Refusal."""
    message = channel.messages.get(ts)
    if message is None or message.deleted_at is not None:
        raise Refusal(error)
    return message


def thread_root(channel: Channel, arguments: Arguments) -> str | None:
    """The thread a new message goes to; a reply's own `ts` means its root. Raises Refusal."""
    ts = arguments.text("thread_ts")
    if not ts:
        return None
    message = channel.messages.get(ts)
    if message is None or (message.deleted_at is not None and not channel.replies.get(ts)):
        raise Refusal("thread_not_found")
    return message.thread_ts or message.ts


def metadata_of(arguments: Arguments) -> Json | None:
    """The metadata of a message. Raises Refusal."""
    metadata = arguments.nested("metadata", "invalid_metadata_format")
    if metadata is None:
        return None
    if not isinstance(metadata, dict):
        raise Refusal("invalid_metadata_format")
    event_type, payload = (metadata.get(name) for name in _METADATA_FIELDS)
    if not isinstance(event_type, str) or not event_type or not isinstance(payload, dict):
        raise Refusal("invalid_metadata_schema")
    return {"event_type": event_type, "event_payload": payload}


def paged(items: list[Json], arguments: Arguments, default: int, most: int) -> tuple[list[Json], str]:
    """One page and the cursor of the next one, empty at the end. Raises Refusal."""
    limit = arguments.integer("limit", default)
    if not 1 <= limit <= most:
        raise Refusal("invalid_limit")
    start = cursor_place(arguments)
    end = start + limit
    return items[start:end], f"place:{end}" if end < len(items) else ""


def cursor_place(arguments: Arguments) -> int:
    """Where a cursor of `paged` points. Raises Refusal."""
    cursor = arguments.text("cursor")
    if not cursor:
        return 0
    place = cursor.removeprefix("place:")
    if not cursor.startswith("place:") or not place.isdecimal():
        raise Refusal("invalid_cursor")
    return int(place)


def next_cursor(cursor: str) -> Json:
    """How the next page is told."""
    return {"response_metadata": {"next_cursor": cursor}}


def some_scope_of(bot: Bot, kinds: Iterable[ChannelKind], suffix: str) -> None:
    """Raises Refusal when none of the kinds of channels may be used."""
    need_scope(bot, *(f"{SCOPE_PREFIX[kind]}:{suffix}" for kind in kinds))
