"""The methods about files: send one or an album, change file or caption, get a link to download.

Pure: from arguments to calls on the world, and back to the wire.
"""

from functools import partial

from channels.emulators.telegram import bot_calls
from channels.emulators.telegram.arguments import Arguments
from channels.emulators.telegram.ephemeral import deliver
from channels.emulators.telegram.media import KINDS, input_media, recaptioned, sent_media
from channels.emulators.telegram.parameters import Method, keyboard_of, placement_of, refuse_inline
from channels.emulators.telegram.records import BotAccount, FileKind
from channels.emulators.telegram.refusals import bad_request
from channels.emulators.telegram.wire import file_to_wire
from channels.emulators.telegram.world import World

# https://core.telegram.org/bots/api#sendmediagroup: "must include 2-10 items".
ALBUM_MIN = 2
ALBUM_MAX = 10


def send_file(kind: FileKind, world: World, bot: BotAccount, arguments: Arguments) -> object:
    placement = placement_of(arguments)
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    content = sent_media(world, bot, arguments, kind)
    message = deliver(world, bot, chat, arguments, content, placement)
    return world.message_for(bot, chat, message)


def send_media_group(world: World, bot: BotAccount, arguments: Arguments) -> object:
    placement = placement_of(arguments)
    raw = arguments.parsed("media", "input media")
    if not isinstance(raw, list):
        raise bad_request("expected an Array of InputMedia")
    if not ALBUM_MIN <= len(raw) <= ALBUM_MAX:
        raise bad_request(f"group send must include {ALBUM_MIN}-{ALBUM_MAX} items")
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    contents = [input_media(world, bot, arguments, one) for one in raw]
    kinds = {content.media.kind for content in contents if content.media is not None}
    # https://core.telegram.org/bots/api#sendmediagroup: documents and audio only among themselves.
    if len(kinds) > 1 and kinds & {"document", "audio"}:
        raise bad_request("Can't use the media of the specified type in the album")
    sent = bot_calls.send_all(world, bot, chat, contents, placement, world.new_group_id())
    return [world.message_for(bot, chat, message) for message in sent]


def edit_message_caption(world: World, bot: BotAccount, arguments: Arguments) -> object:
    keyboard = keyboard_of(arguments)
    refuse_inline(arguments)
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    message = bot_calls.own_message(bot, chat, arguments.message_id())
    content = recaptioned(message.content, arguments)
    message = bot_calls.edit_content(world, bot, chat, message.id, content, keyboard)
    return world.message_for(bot, chat, message)


def edit_message_media(world: World, bot: BotAccount, arguments: Arguments) -> object:
    keyboard = keyboard_of(arguments)
    refuse_inline(arguments)
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    message = bot_calls.own_message(bot, chat, arguments.message_id())
    content = input_media(world, bot, arguments, arguments.parsed("media", "input media"))
    message = bot_calls.edit_content(world, bot, chat, message.id, content, keyboard)
    return world.message_for(bot, chat, message)


def get_file(world: World, bot: BotAccount, arguments: Arguments) -> object:
    file, _ = world.files.find(bot, arguments.text("file_id"))
    path = world.files.open_link(bot, file, world.now())
    return {**file_to_wire(file, world.files, bot), "file_path": path}


FILE_METHODS: dict[str, Method] = {
    **{f"send{kind}": partial(send_file, kind) for kind in KINDS},
    "sendmediagroup": send_media_group,
    "editmessagecaption": edit_message_caption,
    "editmessagemedia": edit_message_media,
    "getfile": get_file,
}
