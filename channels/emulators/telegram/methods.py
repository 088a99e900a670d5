"""The Bot API methods: from arguments to calls on the world, and back to the wire.

Pure. `getUpdates` waits and therefore lives in `polling.py`. Webhooks are not delivered: `setWebhook` with an
address is refused with a text that says so, instead of accepting updates that would never arrive; the other
webhook methods report and delete what an account was created with.
"""

import json
import re
from collections.abc import Callable

from channels.emulators.telegram import bot_calls
from channels.emulators.telegram.arguments import Arguments
from channels.emulators.telegram.bot_calls import ReplyTarget
from channels.emulators.telegram.keyboards import parse_keyboard
from channels.emulators.telegram.records import BotAccount, Json
from channels.emulators.telegram.refusals import Refusal, bad_request, not_emulated
from channels.emulators.telegram.texts import parse_entities
from channels.emulators.telegram.updates import DEFAULT_KINDS
from channels.emulators.telegram.wire import full_chat_to_wire, me_to_wire, message_to_wire, user_to_wire
from channels.emulators.telegram.world import World

Method = Callable[[World, BotAccount, Arguments], object]

# https://core.telegram.org/bots/api#setmycommands: at most 100, 1-32 of a-z 0-9 _, description 1-256.
COMMANDS_MAX = 100
COMMAND_PATTERN = re.compile(r"/?[a-z0-9_]{1,32}")
DESCRIPTION_MAX = 256
_MEDIA_ACTIONS = ("video", "audio", "voice", "video_note")
CHAT_ACTIONS = frozenset(
    (
        *("cancel", "typing", "choose_sticker", "pick_up_location", "find_location"),
        *("upload_photo", "upload_document"),
        *(f"{verb}_{medium}" for verb in ("record", "upload") for medium in _MEDIA_ACTIONS),
    )
)


def call_method(world: World, bot: BotAccount, method: str, arguments: Arguments) -> object:
    """Do one call. Raises Refusal, also for a method that does not exist (names ignore case)."""
    function = METHODS.get(method.lower())
    if function is None:
        raise Refusal(404, "Not Found: method not found")
    return function(world, bot, arguments)


def get_me(world: World, bot: BotAccount, arguments: Arguments) -> object:
    return me_to_wire(bot)


def send_message(world: World, bot: BotAccount, arguments: Arguments) -> object:
    entities = _entities(arguments)
    reply = _reply(arguments)
    keyboard = parse_keyboard(arguments.parsed("reply_markup", "reply keyboard markup"))
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    message = bot_calls.send(
        world,
        bot,
        chat,
        arguments.text("text"),
        entities,
        thread_id=arguments.integer("message_thread_id") or None,
        reply=reply,
        keyboard=keyboard,
    )
    return message_to_wire(chat, message)


def edit_message_text(world: World, bot: BotAccount, arguments: Arguments) -> object:
    entities = _entities(arguments)
    keyboard = parse_keyboard(arguments.parsed("reply_markup", "reply keyboard markup"))
    _refuse_inline(arguments)
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    message = bot_calls.edit_text(
        world, bot, chat, arguments.message_id(), arguments.text("text"), entities, keyboard
    )
    return message_to_wire(chat, message)


def edit_message_reply_markup(world: World, bot: BotAccount, arguments: Arguments) -> object:
    keyboard = parse_keyboard(arguments.parsed("reply_markup", "reply keyboard markup"))
    _refuse_inline(arguments)
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    message = bot_calls.edit_keyboard(world, bot, chat, arguments.message_id(), keyboard)
    return message_to_wire(chat, message)


def delete_message(world: World, bot: BotAccount, arguments: Arguments) -> object:
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    bot_calls.delete(world, bot, chat, arguments.message_id())
    return True


def send_chat_action(world: World, bot: BotAccount, arguments: Arguments) -> object:
    action = arguments.text("action").lower()
    if action not in CHAT_ACTIONS:
        raise bad_request("wrong parameter action in request")
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    thread_id = bot_calls.check_thread(chat, arguments.integer("message_thread_id") or None)
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


def get_chat(world: World, bot: BotAccount, arguments: Arguments) -> object:
    return full_chat_to_wire(bot_calls.chat_for(world, bot, arguments.chat_id()))


def get_chat_member(world: World, bot: BotAccount, arguments: Arguments) -> object:
    user_id = arguments.integer("user_id")
    if user_id <= 0:
        raise bad_request("invalid user_id specified")
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    member = chat.bots.get(user_id) or chat.members.get(user_id)
    if member is not None:
        return {"user": user_to_wire(member), "status": "member"}
    known = world.user(user_id)
    if known is None:
        raise bad_request("invalid user_id specified")
    return {"user": user_to_wire(known), "status": "left"}


def set_my_commands(world: World, bot: BotAccount, arguments: Arguments) -> object:
    raw = arguments.parsed("commands", "commands")
    if raw is not None and not isinstance(raw, list):
        raise bad_request("expected an Array of BotCommand")
    commands = []
    for one in raw or []:
        if not isinstance(one, dict) or not all(
            isinstance(one.get(key), str) for key in ("command", "description")
        ):
            raise bad_request("can't parse BotCommand: expected an Object with command and description")
        if not COMMAND_PATTERN.fullmatch(one["command"]):
            raise bad_request("BOT_COMMAND_INVALID")
        if not 1 <= len(one["description"]) <= DESCRIPTION_MAX:
            raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
        commands.append({"command": one["command"].lstrip("/"), "description": one["description"]})
    if len(commands) > COMMANDS_MAX:
        raise bad_request("BOT_COMMANDS_TOO_MUCH")
    world.commands[_command_key(bot, arguments)] = commands
    return True


def get_my_commands(world: World, bot: BotAccount, arguments: Arguments) -> object:
    return world.commands.get(_command_key(bot, arguments), [])


def set_webhook(world: World, bot: BotAccount, arguments: Arguments) -> object:
    url = arguments.text("url")
    if not url:
        return delete_webhook(world, bot, arguments)
    if not url.startswith("https://"):
        raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
    raise not_emulated("delivery to webhooks (use getUpdates)")


def delete_webhook(world: World, bot: BotAccount, arguments: Arguments) -> object:
    world.webhooks[bot.id] = ""
    if arguments.flag("drop_pending_updates"):
        world.queues[bot.id].clear()
    return True


def get_webhook_info(world: World, bot: BotAccount, arguments: Arguments) -> object:
    queue = world.queues[bot.id]
    wire: Json = {
        "url": world.webhooks[bot.id],
        "has_custom_certificate": False,
        "pending_update_count": len(queue.pending(world.now())),
    }
    if queue.allowed != DEFAULT_KINDS:
        wire["allowed_updates"] = sorted(queue.allowed)
    return wire


METHODS: dict[str, Method] = {
    "getme": get_me,
    "sendmessage": send_message,
    "editmessagetext": edit_message_text,
    "editmessagereplymarkup": edit_message_reply_markup,
    "deletemessage": delete_message,
    "sendchataction": send_chat_action,
    "setmessagereaction": set_message_reaction,
    "answercallbackquery": answer_callback_query,
    "getchat": get_chat,
    "getchatmember": get_chat_member,
    "setmycommands": set_my_commands,
    "getmycommands": get_my_commands,
    "setwebhook": set_webhook,
    "deletewebhook": delete_webhook,
    "getwebhookinfo": get_webhook_info,
}


def _entities(arguments: Arguments) -> list[Json]:
    parse_mode = arguments.text("parse_mode").lower()
    if parse_mode in ("markdown", "markdownv2", "html"):
        raise not_emulated("parse_mode (send entities)")
    if parse_mode not in ("", "none"):
        raise bad_request("unsupported parse_mode")
    return parse_entities(arguments.parsed("entities", "entities"))


def _reply(arguments: Arguments) -> ReplyTarget | None:
    raw = arguments.parsed("reply_parameters", "reply parameters")
    if raw is None:
        message_id = arguments.integer("reply_to_message_id")
        may_be_missing = arguments.flag("allow_sending_without_reply")
    else:
        if not isinstance(raw, dict):
            raise bad_request("object expected as reply parameters")
        if not raw:
            return None
        if not isinstance(raw.get("message_id"), int):
            raise bad_request('can\'t find field "message_id"')
        if str(raw.get("chat_id", arguments.text("chat_id"))) != arguments.text("chat_id"):
            raise not_emulated("replies to another chat")
        if raw.get("quote"):
            raise not_emulated("quotes in replies")
        message_id = raw["message_id"]
        may_be_missing = bool(raw.get("allow_sending_without_reply"))
    return ReplyTarget(message_id, may_be_missing) if message_id > 0 else None


def _refuse_inline(arguments: Arguments) -> None:
    if not arguments.text("chat_id") and not arguments.text("message_id"):
        raise not_emulated("inline messages")


def _command_key(bot: BotAccount, arguments: Arguments) -> tuple[int, str, str]:
    scope = arguments.parsed("scope", "bot command scope") or {"type": "default"}
    return bot.id, json.dumps(scope, sort_keys=True), arguments.text("language_code")
