"""The files in a bot's call: uploaded now, attached by name, or known by their id; and the captions below.

Pure. Files by web address are refused by name: the emulator never fetches anything from anywhere.
"""

from typing import get_args

from channels.emulators.telegram.arguments import Arguments
from channels.emulators.telegram.parameters import caption_of, refuse_parse_mode
from channels.emulators.telegram.records import BotAccount, Content, FileKind, Json, Media
from channels.emulators.telegram.refusals import bad_request, not_emulated
from channels.emulators.telegram.texts import checked_caption, parse_entities
from channels.emulators.telegram.world import World

KINDS: tuple[FileKind, ...] = get_args(FileKind)
# The arguments that describe a file of each kind (https://core.telegram.org/bots/api#sendaudio and beside it).
_NUMBERS = {"voice": ("duration",), "audio": ("duration",), "video": ("duration", "width", "height")}
_WORDS = {"audio": ("performer", "title"), "sticker": ("emoji",)}


def sent_media(world: World, bot: BotAccount, arguments: Arguments, kind: FileKind) -> Content:
    """The content of sendPhoto and its siblings. Raises Refusal."""
    caption = ("", list[Json]()) if kind == "sticker" else caption_of(arguments)
    media = _file(world, bot, arguments, kind, kind, arguments.text(kind), _facts(kind, arguments))
    if media is None:
        raise bad_request(f"there is no {kind} in the request")
    return Content(*caption, media)


def input_media(
    world: World, bot: BotAccount, arguments: Arguments, raw: object, *, takes_uploads: bool = True
) -> Content:
    """An `InputMedia` object. Raises Refusal."""
    if not isinstance(raw, dict):
        raise bad_request("can't parse InputMedia: expected an Object")
    kind = raw.get("type")
    if kind not in KINDS or kind in ("voice", "sticker"):
        raise bad_request("can't parse InputMedia: invalid type specified")
    refuse_parse_mode(raw.get("parse_mode"))
    caption = checked_caption(str(raw.get("caption") or ""), parse_entities(raw.get("caption_entities")))
    value = str(raw.get("media") or "")
    if not takes_uploads and value.startswith("attach://"):
        raise bad_request("a new file can't be uploaded")
    described = Arguments({name: str(one) for name, one in raw.items() if isinstance(one, int | str)})
    media = _file(world, bot, arguments, kind, "", value, _facts(kind, described))
    if media is None:
        raise bad_request("can't parse InputMedia: media not found")
    return Content(*caption, media)


def recaptioned(content: Content, arguments: Arguments) -> Content:
    """The same file with the caption of the arguments. Raises Refusal for a message without a file."""
    if content.media is None:
        raise bad_request("there is no caption in the message to edit")
    return Content(*caption_of(arguments), content.media)


def _file(
    world: World, bot: BotAccount, arguments: Arguments, kind: FileKind, field: str, value: str, facts: Json
) -> Media | None:
    upload = arguments.upload(field, value)
    if upload is not None:
        return world.files.add(kind, upload, facts)
    if not value or value.startswith("attach://"):
        return None
    if value.startswith(("http://", "https://")):
        raise not_emulated("files by web address")
    file, media = world.files.find(bot, value)
    if file.kind != kind:
        raise bad_request(f"can't use file of type {file.kind.capitalize()} as {kind.capitalize()}")
    return media


def _facts(kind: FileKind, arguments: Arguments) -> Json:
    numbers = {
        name: max(0, arguments.integer(name)) for name in _NUMBERS.get(kind, ()) if arguments.has(name)
    }
    return numbers | {name: arguments.text(name) for name in _WORDS.get(kind, ()) if arguments.text(name)}
