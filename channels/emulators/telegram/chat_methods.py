"""The methods about the bot itself, chats, their members and topics, and command menus.

Pure: from arguments to calls on the world, and back to the wire.
"""

import json
import re

from channels.emulators.telegram import bot_calls, topics
from channels.emulators.telegram.arguments import Arguments
from channels.emulators.telegram.parameters import Method
from channels.emulators.telegram.records import BotAccount, Chat, User
from channels.emulators.telegram.refusals import bad_request
from channels.emulators.telegram.rooms import change_bot_role
from channels.emulators.telegram.wire import full_chat_to_wire, me_to_wire, member_to_wire, topic_to_wire
from channels.emulators.telegram.world import World

# https://core.telegram.org/bots/api#setmycommands: at most 100, 1-32 of a-z 0-9 _, description 1-256.
COMMANDS_MAX = 100
COMMAND_PATTERN = re.compile(r"/?[a-z0-9_]{1,32}")
DESCRIPTION_MAX = 256
EPHEMERAL_COMMANDS_SINCE = (10, 2)


def get_me(world: World, bot: BotAccount, arguments: Arguments) -> object:
    return me_to_wire(bot)


def get_chat(world: World, bot: BotAccount, arguments: Arguments) -> object:
    return full_chat_to_wire(bot_calls.chat_for(world, bot, arguments.chat_id(), writes=False))


def get_chat_member(world: World, bot: BotAccount, arguments: Arguments) -> object:
    user_id = arguments.integer("user_id")
    if user_id <= 0:
        raise bad_request("invalid user_id specified")
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    member = _anybody(world, chat, user_id)
    if member is None:
        raise bad_request("invalid user_id specified")
    return member_to_wire(member, chat.role_of(user_id))


def get_chat_administrators(world: World, bot: BotAccount, arguments: Arguments) -> object:
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    if chat.type == "private":
        raise bad_request("there are no administrators in the private chat")
    # "an Array of ChatMember objects that contains information about all chat administrators except other bots"
    everybody: list[BotAccount | User] = [*chat.members.values(), bot]
    admins = [one for one in everybody if chat.is_admin(one.id)]
    return [member_to_wire(one, chat.role_of(one.id)) for one in admins]


def get_chat_member_count(world: World, bot: BotAccount, arguments: Arguments) -> object:
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    people = [one for one in chat.members if chat.role_of(one) not in ("left", "kicked")]
    return len(people) + len(chat.bots)


def leave_chat(world: World, bot: BotAccount, arguments: Arguments) -> object:
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    if chat.type == "private":
        raise bad_request("chat member status can't be changed in private chats")
    change_bot_role(world, chat, bot, "left", bot)
    return True


def create_forum_topic(world: World, bot: BotAccount, arguments: Arguments) -> object:
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    name, color = arguments.text("name"), arguments.integer("icon_color")
    return topic_to_wire(topics.open_topic(world, bot, chat, name, color))


def edit_forum_topic(world: World, bot: BotAccount, arguments: Arguments) -> object:
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    topics.rename_topic(world, bot, chat, arguments.integer("message_thread_id"), arguments.text("name"))
    return True


def close_forum_topic(world: World, bot: BotAccount, arguments: Arguments) -> object:
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    topics.close_topic(world, bot, chat, arguments.integer("message_thread_id"), is_closed=True)
    return True


def reopen_forum_topic(world: World, bot: BotAccount, arguments: Arguments) -> object:
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    topics.close_topic(world, bot, chat, arguments.integer("message_thread_id"), is_closed=False)
    return True


def delete_forum_topic(world: World, bot: BotAccount, arguments: Arguments) -> object:
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    topics.remove_topic(world, bot, chat, arguments.integer("message_thread_id"))
    return True


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
        command = {"command": one["command"].lstrip("/"), "description": one["description"]}
        if one.get("is_ephemeral") and world.api_version >= EPHEMERAL_COMMANDS_SINCE:
            command["is_ephemeral"] = True
        commands.append(command)
    if len(commands) > COMMANDS_MAX:
        raise bad_request("BOT_COMMANDS_TOO_MUCH")
    world.commands[_command_key(bot, arguments)] = commands
    return True


def get_my_commands(world: World, bot: BotAccount, arguments: Arguments) -> object:
    return world.commands.get(_command_key(bot, arguments), [])


def delete_my_commands(world: World, bot: BotAccount, arguments: Arguments) -> object:
    world.commands.pop(_command_key(bot, arguments), None)
    return True


CHAT_METHODS: dict[str, Method] = {
    "getme": get_me,
    "getchat": get_chat,
    "getchatmember": get_chat_member,
    "getchatadministrators": get_chat_administrators,
    "getchatmembercount": get_chat_member_count,
    "leavechat": leave_chat,
    "createforumtopic": create_forum_topic,
    "editforumtopic": edit_forum_topic,
    "closeforumtopic": close_forum_topic,
    "reopenforumtopic": reopen_forum_topic,
    "deleteforumtopic": delete_forum_topic,
    "setmycommands": set_my_commands,
    "getmycommands": get_my_commands,
    "deletemycommands": delete_my_commands,
}


def _anybody(world: World, chat: Chat, user_id: int) -> BotAccount | User | None:
    here = chat.bots.get(user_id) or chat.members.get(user_id)
    return here or world.bots.get(user_id) or world.user(user_id)


def _command_key(bot: BotAccount, arguments: Arguments) -> tuple[int, str, str]:
    scope = arguments.parsed("scope", "bot command scope") or {"type": "default"}
    return bot.id, json.dumps(scope, sort_keys=True), arguments.text("language_code")
