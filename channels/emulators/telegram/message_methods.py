"""The methods about messages of text: send, edit, delete, draft, react, answer a button.

Pure: from arguments to calls on the world, and back to the wire.
"""

from channels.emulators.telegram import bot_calls
from channels.emulators.telegram.arguments import Arguments
from channels.emulators.telegram.drafts import show_draft
from channels.emulators.telegram.ephemeral import deliver
from channels.emulators.telegram.parameters import (
    Method,
    keyboard_of,
    placement_of,
    refuse_inline,
    refuse_parse_mode,
    text_content,
)
from channels.emulators.telegram.records import BotAccount, Content
from channels.emulators.telegram.refusals import bad_request, not_emulated
from channels.emulators.telegram.rich import rich_content
from channels.emulators.telegram.texts import checked_text, parse_entities
from channels.emulators.telegram.world import World

# https://core.telegram.org/bots/api#deletemessages: "1-100".
DELETE_MANY_MAX = 100
_MEDIA_ACTIONS = ("video", "audio", "voice", "video_note")
CHAT_ACTIONS = frozenset(
    (
        *("cancel", "typing", "choose_sticker", "pick_up_location", "find_location"),
        *("upload_photo", "upload_document"),
        *(f"{verb}_{medium}" for verb in ("record", "upload") for medium in _MEDIA_ACTIONS),
    )
)
# An empty draft means "Thinking…" since then; before, it was as wrong as an empty message.
EMPTY_DRAFT_SINCE = (10, 0)
RICH_SINCE = (10, 1)


def send_message(world: World, bot: BotAccount, arguments: Arguments) -> object:
    placement = placement_of(arguments)
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    message = deliver(world, bot, chat, arguments, text_content(arguments), placement)
    return world.message_for(bot, chat, message)


def send_message_draft(world: World, bot: BotAccount, arguments: Arguments) -> object:
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    refuse_parse_mode(arguments.text("parse_mode"))
    entities = parse_entities(arguments.parsed("entities", "entities"))
    content = Content()
    if arguments.text("text").strip() or world.api_version < EMPTY_DRAFT_SINCE:
        content = Content(*checked_text(arguments.text("text"), entities, "message is too long"))
    thread_id = arguments.integer("message_thread_id") or None
    show_draft(world, bot, chat, arguments.integer("draft_id"), content, thread_id)
    return True


def edit_message_text(world: World, bot: BotAccount, arguments: Arguments) -> object:
    keyboard = keyboard_of(arguments)
    refuse_inline(arguments)
    # A server without rich messages does not know the argument and misses the text.
    is_rich = arguments.has("rich_message") and world.api_version >= RICH_SINCE
    content = rich_content(world, arguments) if is_rich else text_content(arguments, "MESSAGE_TOO_LONG")
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    message = bot_calls.own_message(bot, chat, arguments.message_id())
    if message.content.media is not None:
        raise bad_request("there is no text in the message to edit")
    message = bot_calls.edit_content(world, bot, chat, message.id, content, keyboard)
    return world.message_for(bot, chat, message)


def edit_message_reply_markup(world: World, bot: BotAccount, arguments: Arguments) -> object:
    keyboard = keyboard_of(arguments)
    refuse_inline(arguments)
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    message = bot_calls.edit_keyboard(world, bot, chat, arguments.message_id(), keyboard)
    return world.message_for(bot, chat, message)


def delete_message(world: World, bot: BotAccount, arguments: Arguments) -> object:
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    bot_calls.delete(world, bot, chat, arguments.message_id())
    return True


def delete_messages(world: World, bot: BotAccount, arguments: Arguments) -> object:
    raw = arguments.parsed("message_ids", "message_ids")
    if not raw:
        raise bad_request("message identifiers are not specified")
    if not isinstance(raw, list):
        raise bad_request("expected an Array of message identifiers")
    if len(raw) > DELETE_MANY_MAX:
        raise bad_request("too many message identifiers specified")
    if not all(isinstance(one, int) and one > 0 for one in raw):
        raise bad_request("invalid message identifier specified")
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    bot_calls.delete_all(world, bot, chat, raw)
    return True


def send_chat_action(world: World, bot: BotAccount, arguments: Arguments) -> object:
    action = arguments.text("action").lower()
    if action not in CHAT_ACTIONS:
        raise bad_request("wrong parameter action in request")
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    thread_id = bot_calls.check_thread(bot, chat, arguments.integer("message_thread_id") or None)
    world.note("action", chat, {"action": action, "by": bot.id, "message_thread_id": thread_id})
    return True


def set_message_reaction(world: World, bot: BotAccount, arguments: Arguments) -> object:
    raw = arguments.parsed("reaction", "reaction types")
    if raw is not None and not isinstance(raw, list):
        raise bad_request("expected an Array of ReactionType")
    emoji = []
    for one in raw or []:
        if not isinstance(one, dict) or one.get("type") not in ("emoji", "custom_emoji", "paid"):
            raise bad_request("can't parse ReactionType: invalid reaction type specified")
        if one["type"] != "emoji":
            raise not_emulated(f"reactions of type {one['type']}")
        emoji.append(str(one.get("emoji", "")))
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    bot_calls.react(world, bot, chat, arguments.message_id(), emoji)
    return True


def answer_callback_query(world: World, bot: BotAccount, arguments: Arguments) -> object:
    bot_calls.answer_callback(
        world,
        bot,
        arguments.text("callback_query_id"),
        arguments.text("text"),
        arguments.flag("show_alert"),
    )
    return True


MESSAGE_METHODS: dict[str, Method] = {
    "sendmessage": send_message,
    "sendmessagedraft": send_message_draft,
    "editmessagetext": edit_message_text,
    "editmessagereplymarkup": edit_message_reply_markup,
    "deletemessage": delete_message,
    "deletemessages": delete_messages,
    "sendchataction": send_chat_action,
    "setmessagereaction": set_message_reaction,
    "answercallbackquery": answer_callback_query,
}
