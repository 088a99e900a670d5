"""Which events happen and which apps get them: by membership, scope and subscription.

Pure. Payloads follow https://docs.slack.dev/reference/events. A message in a channel is an event for every app
that is in it, also for the app that wrote it; a mention of an app is a second event about the same message.
"""

from channels.emulators.slack.mentions import marks_in
from channels.emulators.slack.records import Bot, Channel, ChannelKind, Json, Message, StoredFile
from channels.emulators.slack.wire import message_to_wire
from channels.emulators.slack.world import World

_SUBSCRIPTION: dict[ChannelKind, tuple[str, str]] = {
    "channel": ("message.channels", "channels:history"),
    "group": ("message.groups", "groups:history"),
    "im": ("message.im", "im:history"),
    "mpim": ("message.mpim", "mpim:history"),
}
_SCOPES = {
    "app_mention": "app_mentions:read",
    "reaction_added": "reactions:read",
    "reaction_removed": "reactions:read",
    "file_shared": "files:read",
    "assistant_thread_started": "assistant:write",
}


def hears(bot: Bot, event_type: str, scope: str | None) -> bool:
    """Whether an installation gets events of this kind."""
    return not bot.refusal and event_type in bot.app.events and (scope is None or scope in bot.scopes)


def said(world: World, channel: Channel, message: Message) -> None:
    """A message was posted."""
    event = _in_channel(channel, message_to_wire(channel, message, world.base_url), message.ts)
    _to_listeners(world, channel, event)
    for bot in world.bots_in(channel):
        if channel.kind == "im" or bot.user_id not in marks_in(message.text) or message.bot is bot:
            continue  # in a direct conversation there is no app_mention
        if hears(bot, "app_mention", _SCOPES["app_mention"]):
            wanted = (
                *("user", "ts", "client_msg_id", "text", "team", "blocks", "thread_ts", "parent_user_id"),
                *("files", "bot_id", "app_id"),
            )
            short = {name: event[name] for name in wanted if name in event}
            place = {"channel": channel.id, "event_ts": message.ts}
            world.emit(bot, {"type": "app_mention", **short, **place})


def changed(world: World, channel: Channel, message: Message, before: Json) -> None:
    """A message looks different now; `before` is its old wire form."""
    ts = world.next_ts()
    event = {
        "type": "message",
        "subtype": "message_changed",
        "message": message_to_wire(channel, message, world.base_url),
        "previous_message": before,
        "hidden": True,
        "ts": ts,
    }
    _to_listeners(world, channel, _in_channel(channel, event, ts))


def deleted(world: World, channel: Channel, message: Message) -> None:
    """A message is gone."""
    ts = world.next_ts()
    event = {
        "type": "message",
        "subtype": "message_deleted",
        "previous_message": message_to_wire(channel, message, world.base_url),
        "hidden": True,
        "deleted_ts": message.ts,
        "ts": ts,
    }
    _to_listeners(world, channel, _in_channel(channel, event, ts))


def reacted(
    world: World, channel: Channel, message: Message, user: str, emoji: str, *, is_added: bool
) -> None:
    """Somebody put a reaction on a message or took it away."""
    kind = "reaction_added" if is_added else "reaction_removed"
    event = {
        "type": kind,
        "user": user,
        "reaction": emoji,
        "item": {"type": "message", "channel": channel.id, "ts": message.ts},
        "item_user": message.user,
        "event_ts": world.next_ts(),
    }
    for bot in world.bots_in(channel):
        if hears(bot, kind, _SCOPES[kind]):
            world.emit(bot, event)


def file_shared(world: World, channel: Channel, file: StoredFile) -> None:
    """A file became visible in a channel."""
    event = {
        "type": "file_shared",
        "channel_id": channel.id,
        "file_id": file.id,
        "user_id": file.owner,
        "file": {"id": file.id},
        "event_ts": world.next_ts(),
    }
    for bot in world.bots_in(channel):
        if hears(bot, "file_shared", _SCOPES["file_shared"]):
            world.emit(bot, event)


def joined(world: World, channel: Channel, user: str, inviter: str | None) -> None:
    """Somebody, or a bot, became a member."""
    event: Json = {
        "type": "member_joined_channel",
        "user": user,
        "channel": channel.id,
        "channel_type": "C" if channel.kind == "channel" else "G",
        "team": channel.team.id,
        "event_ts": world.next_ts(),
    }
    if inviter:
        event["inviter"] = inviter
    scope = "channels:read" if channel.kind == "channel" else "groups:read"
    for bot in world.bots_in(channel):
        if hears(bot, "member_joined_channel", scope):
            world.emit(bot, event)


def home_opened(world: World, bot: Bot, channel: Channel, user: str, tab: str, context: Json | None) -> None:
    """Somebody looks at an app's home; for agents the messages tab is where conversations are."""
    if not hears(bot, "app_home_opened", None):
        return
    event: Json = {
        "type": "app_home_opened",
        "user": user,
        "channel": channel.id,
        "tab": tab,
        "event_ts": world.next_ts(),
    }
    if context is not None and bot.app.messaging == "agent":
        event["context"] = context
    world.emit(bot, event)


def context_changed(world: World, bot: Bot, channel: Channel, user: str, entities: list[Json]) -> None:
    """Somebody with an agent open looks at something else."""
    if bot.app.messaging == "agent" and hears(bot, "app_context_changed", None):
        context = {"entities": entities} if entities else {}
        event = {"type": "app_context_changed", "user": user, "channel": channel.id, "context": context}
        world.emit(bot, {**event, "event_ts": world.next_ts()})


def assistant_started(world: World, bot: Bot, channel: Channel, user: str, thread_ts: str) -> None:
    """Somebody opened a thread with an app of the older kind."""
    kind = "assistant_thread_started"
    if bot.app.messaging == "assistant" and hears(bot, kind, _SCOPES[kind]):
        thread = {
            "user_id": user,
            "context": {"channel_id": None, "team_id": bot.team.id, "enterprise_id": None},
            "channel_id": channel.id,
            "thread_ts": thread_ts,
        }
        world.emit(bot, {"type": kind, "assistant_thread": thread, "event_ts": world.next_ts()})


def uninstalled(world: World, bot: Bot) -> None:
    """The app is out of the workspace; both events come, in any order."""
    tokens_revoked(world, bot)
    if "app_uninstalled" in bot.app.events:
        world.emit(bot, {"type": "app_uninstalled", "event_ts": world.next_ts()})


def tokens_revoked(world: World, bot: Bot) -> None:
    """The bot's token opens nothing any more."""
    if "tokens_revoked" in bot.app.events:
        tokens = {"oauth": [], "bot": [bot.user_id]}
        world.emit(bot, {"type": "tokens_revoked", "tokens": tokens, "event_ts": world.next_ts()})


def _to_listeners(world: World, channel: Channel, event: Json) -> None:
    subscription, scope = _SUBSCRIPTION[channel.kind]
    for bot in world.bots_in(channel):
        if hears(bot, subscription, scope):
            world.emit(bot, event)


def _in_channel(channel: Channel, event: Json, ts: str) -> Json:
    return {**event, "channel": channel.id, "event_ts": ts, "channel_type": channel.kind}
