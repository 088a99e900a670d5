"""What bots do with messages: send, read, edit, delete, react, type. Pure.

Rules: resources/message.mdx of discord-api-docs; refusals as in `refusals.py`.
"""

from dataclasses import replace
from urllib.parse import unquote

from channels.emulators.discord.acts import post, react, remove, revise, unreact
from channels.emulators.discord.announcements import tell_typing
from channels.emulators.discord.bot_access import (
    live_message,
    may,
    need,
    need_active,
    need_no_system,
    need_to_write,
    need_unlocked,
    visible_channel,
)
from channels.emulators.discord.drafts import Draft, read_draft
from channels.emulators.discord.exchange import NO_CONTENT, Answer, Ask
from channels.emulators.discord.forms import FormErrors, invalid_form
from channels.emulators.discord.intents import Intent
from channels.emulators.discord.mentions import ALL_ALLOWED
from channels.emulators.discord.permissions import Permission
from channels.emulators.discord.records import (
    SYSTEM_TYPES,
    Bot,
    Channel,
    Json,
    Message,
    MessageFlag,
    MessageType,
    Reference,
)
from channels.emulators.discord.refusals import Refusal, missing_access, unknown
from channels.emulators.discord.views import user_view
from channels.emulators.discord.wire import message_to_wire, user_to_wire, without_content
from channels.emulators.discord.world import World

HISTORY_MAX = 100
HISTORY_DEFAULT = 50
REACTIONS_MAX = 20
BULK_DELETE_MAX = 100
# Messages older than this are edited sparingly …
OLD_MESSAGE_S = 3600.0
# … at most this often in an hour. The real number is not published; this one is small enough to meet in a test.
OLD_EDITS_MAX = 10
_BULK_DELETE_AGE_S = 14 * 86_400


def create_message(ask: Ask) -> Answer:
    world, bot = ask.world, ask.bot
    channel = visible_channel(ask)
    need_to_write(world, bot, channel)
    draft = read_draft(ask.fields(), ask.uploads, ALL_ALLOWED)
    draft, kind, replied_to = _resolve_reference(world, bot, channel, draft)
    if draft.is_empty:
        raise Refusal(400, 50006, "Cannot send an empty message")
    if draft.uploads:
        need(world, bot, channel, Permission.ATTACH_FILES)
    if draft.enforces_nonce and draft.nonce is not None:
        first = world.remembered(bot.id, draft.nonce)
        if first is not None:
            if first.deleted_at is not None:
                raise unknown("Message")
            return Answer(
                readable(world, bot, world.channels[first.channel_id], first) | {"nonce": first.nonce}
            )
    message = post(world, channel, bot.id, draft, kind=kind, replied_to=replied_to)
    if draft.nonce is not None:
        world.nonces[bot.id, str(draft.nonce)] = message
    answer = readable(world, bot, channel, message)
    return Answer(answer if draft.nonce is None else answer | {"nonce": draft.nonce})


def list_messages(ask: Ask) -> Answer:
    """Newest first, whatever the anchor; with `after` the ones that follow it most closely."""
    world = ask.world
    channel = visible_channel(ask)
    limit = ask.number("limit", HISTORY_DEFAULT, 1, HISTORY_MAX)
    anchors = [name for name in ("before", "after", "around") if name in ask.query]
    if len(anchors) > 1:
        raise invalid_form((anchors[0],), "MUTUALLY_EXCLUSIVE", "Only one of before, after and around.")
    anchor = ask.number(anchors[0], 0, 0, (1 << 63) - 1) if anchors else 0
    if not may(world, ask.bot, channel, Permission.READ_MESSAGE_HISTORY):
        # Without the permission there is simply nothing to read.
        return Answer([])
    live = [one for one in channel.messages.values() if one.deleted_at is None and one.ephemeral_to is None]
    if not anchors:
        chosen = live[-limit:]
    elif anchors[0] == "before":
        chosen = [one for one in live if one.id < anchor][-limit:]
    elif anchors[0] == "after":
        chosen = [one for one in live if one.id > anchor][:limit]
    else:
        older = [one for one in live if one.id < anchor][-(limit // 2) :]
        chosen = (older + [one for one in live if one.id >= anchor])[:limit]
    return Answer([readable(world, ask.bot, channel, one) for one in reversed(chosen)])


def get_message(ask: Ask) -> Answer:
    channel = visible_channel(ask)
    if not may(ask.world, ask.bot, channel, Permission.READ_MESSAGE_HISTORY):
        raise missing_access()
    return Answer(readable(ask.world, ask.bot, channel, live_message(ask, channel)))


def edit_message(ask: Ask) -> Answer:
    world, bot = ask.world, ask.bot
    channel = visible_channel(ask)
    message = live_message(ask, channel)
    if message.author_id != bot.id:
        raise Refusal(403, 50005, "Cannot edit a message authored by another user")
    need_no_system(message)
    need_active(channel)
    need_unlocked(world, bot, channel)
    draft = read_edit(ask, message)
    _count_old_edit(world, bot, message)
    revise(world, channel, message, draft)
    return Answer(readable(world, bot, channel, message))


def delete_message(ask: Ask) -> Answer:
    channel = visible_channel(ask)
    message = live_message(ask, channel)
    if message.author_id != ask.bot.id:
        if channel.guild_id is None:
            raise Refusal(403, 50003, "Cannot execute action on a DM channel")
        need(ask.world, ask.bot, channel, Permission.MANAGE_MESSAGES)
    remove(ask.world, channel, [message])
    return NO_CONTENT


def delete_messages(ask: Ask) -> Answer:
    """Several at once; ids that are not there are passed over."""
    world = ask.world
    channel = visible_channel(ask)
    need(world, ask.bot, channel, Permission.MANAGE_MESSAGES)
    errors = FormErrors()
    path = ("messages",)
    ids = [errors.snowflake(path, one) for one in errors.items(path, ask.fields().get("messages"))]
    errors.check()
    if not 2 <= len(ids) <= BULK_DELETE_MAX:
        raise Refusal(400, 50016, "Provided too few or too many messages to delete. Must provide at least 2.")
    found = [channel.messages[one] for one in ids if one in channel.messages]
    if any(world.now() - one.at > _BULK_DELETE_AGE_S for one in found):
        raise Refusal(400, 50034, "You can only bulk delete messages that are under 14 days old.")
    live = [one for one in found if one.deleted_at is None]
    if live:
        remove(world, channel, live)
    return NO_CONTENT


def start_typing(ask: Ask) -> Answer:
    channel = visible_channel(ask)
    need_to_write(ask.world, ask.bot, channel)
    tell_typing(ask.world, channel, ask.bot.id)
    ask.world.note("typing", channel.id, {"user": user_view(ask.bot.user), "at": ask.world.now()})
    return NO_CONTENT


def add_reaction(ask: Ask) -> Answer:
    world = ask.world
    channel = visible_channel(ask)
    message = live_message(ask, channel)
    need_active(channel)
    emoji = _emoji(ask)
    need(world, ask.bot, channel, Permission.READ_MESSAGE_HISTORY)
    if emoji not in message.reactions:
        need(world, ask.bot, channel, Permission.ADD_REACTIONS)
        if len(message.reactions) >= REACTIONS_MAX:
            raise Refusal(400, 30010, f"Maximum number of reactions reached ({REACTIONS_MAX})")
    react(world, channel, message, ask.bot.id, emoji)
    return NO_CONTENT


def remove_reaction(ask: Ask) -> Answer:
    channel = visible_channel(ask)
    message = live_message(ask, channel)
    need_active(channel)
    user_id = ask.bot.id if "u" not in ask.path else ask.id("u")
    if user_id != ask.bot.id:
        need(ask.world, ask.bot, channel, Permission.MANAGE_MESSAGES)
    unreact(ask.world, channel, message, user_id, _emoji(ask))
    return NO_CONTENT


def list_reactions(ask: Ask) -> Answer:
    channel = visible_channel(ask)
    who = live_message(ask, channel).reactions.get(_emoji(ask), [])
    limit = ask.number("limit", 25, 1, 100)
    after = ask.number("after", 0, 0, (1 << 63) - 1)
    chosen = [one for one in sorted(who) if one > after][:limit]
    return Answer([user_to_wire(ask.world.users[one]) for one in chosen])


def readable(world: World, bot: Bot, channel: Channel, message: Message) -> Json:
    """A message as REST answers a bot: bare when its application may not read content."""
    wire = message_to_wire(world, message, bot)
    is_open = channel.guild_id is None or Intent.MESSAGE_CONTENT in bot.enabled
    return wire if is_open else without_content(wire, bot)


def read_edit(ask: Ask, message: Message) -> Draft:
    """The body of an edit, checked against what the message is now. Raises Refusal."""
    draft = read_draft(ask.fields(), ask.uploads, ALL_ALLOWED, message.flags)
    becomes_v2 = draft.flags is not None and MessageFlag.IS_COMPONENTS_V2 in draft.flags & ~message.flags
    if becomes_v2 and (
        (draft.content is None and message.content) or (draft.embeds is None and message.embeds)
    ):
        raise invalid_form(
            ("flags",),
            "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
            "content and embeds must be emptied in the same edit",
        )
    shows = (
        message.content if draft.content is None else draft.content,
        message.embeds if draft.embeds is None else draft.embeds,
        message.components if draft.components is None else draft.components,
        message.attachments if draft.kept is None else draft.kept,
        draft.uploads,
    )
    if not any(shows):
        raise Refusal(400, 50006, "Cannot send an empty message")
    return draft


def _resolve_reference(
    world: World, bot: Bot, channel: Channel, draft: Draft
) -> tuple[Draft, MessageType, int | None]:
    """What a reply answers: the draft with the real channel, the message type and the author to notify."""
    if draft.reference is None:
        return draft, MessageType.DEFAULT, None
    if draft.reference.channel_id not in (0, channel.id):
        raise invalid_form(
            ("message_reference",), "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", "Message must be in the same channel"
        )
    if not may(world, bot, channel, Permission.READ_MESSAGE_HISTORY):
        raise Refusal(403, 160002, "Cannot reply without permission to read message history")
    target = channel.messages.get(draft.reference.message_id)
    if target is None or target.deleted_at is not None:
        if draft.may_lack_reference:
            return replace(draft, reference=None), MessageType.DEFAULT, None
        raise invalid_form(("message_reference",), "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
    if target.type in SYSTEM_TYPES:
        raise invalid_form(
            ("message_reference",),
            "REPLIES_CANNOT_REPLY_TO_SYSTEM_MESSAGE",
            "Cannot reply to a system message",
        )
    return replace(draft, reference=Reference(channel.id, target.id)), MessageType.REPLY, target.author_id


def _count_old_edit(world: World, bot: Bot, message: Message) -> None:
    now = world.now()
    if now - message.at < OLD_MESSAGE_S:
        return
    recent = [at for at in world.old_edits.get(bot.id, []) if now - at < OLD_MESSAGE_S]
    if len(recent) >= OLD_EDITS_MAX:
        text = "Maximum number of edits to messages older than 1 hour reached. Try again later."
        raise Refusal(429, 30046, text, retry_after_s=recent[0] + OLD_MESSAGE_S - now)
    world.old_edits[bot.id] = [*recent, now]


def _emoji(ask: Ask) -> str:
    emoji = unquote(ask.path["e"])
    # Words are no emoji; `name:id` is a custom one.
    is_custom = emoji.partition(":")[2].isdecimal()
    if not is_custom and (not emoji or (emoji.isascii() and not any(one in "0123456789#*" for one in emoji))):
        raise Refusal(400, 10014, "Unknown Emoji")
    return emoji
