"""The methods that change and delete ephemeral messages (Bot API 10.2). Sending is part of every send method.

Pure: from arguments to calls on the world. All answer true, as nobody knows what the person got to see.
"""

from channels.emulators.telegram import bot_calls
from channels.emulators.telegram.arguments import Arguments
from channels.emulators.telegram.ephemeral import delete_ephemeral, edit_ephemeral, own_ephemeral
from channels.emulators.telegram.media import input_media, recaptioned
from channels.emulators.telegram.parameters import Method, keyboard_of, text_content
from channels.emulators.telegram.records import BotAccount
from channels.emulators.telegram.rich import rich_content
from channels.emulators.telegram.world import World

# Rich ephemeral messages came with 10.3 (library sources; not seen in the documentation itself).
RICH_EPHEMERAL_SINCE = (10, 3)


def edit_text(world: World, bot: BotAccount, arguments: Arguments) -> object:
    keyboard = keyboard_of(arguments)
    is_rich = arguments.has("rich_message") and world.api_version >= RICH_EPHEMERAL_SINCE
    content = rich_content(world, arguments) if is_rich else text_content(arguments)
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    edit_ephemeral(world, bot, chat, _ids(arguments), content, keyboard)
    return True


def edit_caption(world: World, bot: BotAccount, arguments: Arguments) -> object:
    keyboard = keyboard_of(arguments)
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    message = own_ephemeral(bot, chat, _ids(arguments))
    edit_ephemeral(world, bot, chat, _ids(arguments), recaptioned(message.content, arguments), keyboard)
    return True


def edit_media(world: World, bot: BotAccount, arguments: Arguments) -> object:
    keyboard = keyboard_of(arguments)
    content = input_media(
        world, bot, arguments, arguments.parsed("media", "input media"), takes_uploads=False
    )
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    edit_ephemeral(world, bot, chat, _ids(arguments), content, keyboard)
    return True


def edit_reply_markup(world: World, bot: BotAccount, arguments: Arguments) -> object:
    keyboard = keyboard_of(arguments)
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    edit_ephemeral(world, bot, chat, _ids(arguments), None, keyboard)
    return True


def delete(world: World, bot: BotAccount, arguments: Arguments) -> object:
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    delete_ephemeral(world, bot, chat, _ids(arguments))
    return True


EPHEMERAL_METHODS: dict[str, Method] = {
    "editephemeralmessagetext": edit_text,
    "editephemeralmessagecaption": edit_caption,
    "editephemeralmessagemedia": edit_media,
    "editephemeralmessagereplymarkup": edit_reply_markup,
    "deleteephemeralmessage": delete,
}


def _ids(arguments: Arguments) -> tuple[int, int]:
    return arguments.integer("receiver_user_id"), arguments.integer("ephemeral_message_id")
