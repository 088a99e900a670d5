"""What many methods read from their arguments in the same way: texts, replies, keyboards, versions.

Pure; raises Refusal for what the network would not take.
"""

from collections.abc import Callable

from channels.emulators.telegram.arguments import Arguments
from channels.emulators.telegram.bot_calls import Placement, ReplyTarget
from channels.emulators.telegram.keyboards import parse_keyboard
from channels.emulators.telegram.records import BotAccount, Content, Json
from channels.emulators.telegram.refusals import bad_request, not_emulated
from channels.emulators.telegram.texts import checked_caption, checked_text, parse_entities
from channels.emulators.telegram.world import World

Method = Callable[[World, BotAccount, Arguments], object]


def text_content(arguments: Arguments, too_long: str = "message is too long") -> Content:
    """`text` with `entities`. The server answers too long a text differently when it is an edit."""
    refuse_parse_mode(arguments.text("parse_mode"))
    entities = parse_entities(arguments.parsed("entities", "entities"))
    return Content(*checked_text(arguments.text("text"), entities, too_long))


def caption_of(arguments: Arguments) -> tuple[str, list[Json]]:
    """`caption` with `caption_entities`."""
    refuse_parse_mode(arguments.text("parse_mode"))
    entities = parse_entities(arguments.parsed("caption_entities", "caption entities"))
    return checked_caption(arguments.text("caption"), entities)


def refuse_parse_mode(value: object) -> None:
    """Markup is not parsed here: whoever sends it gets told, instead of a message full of asterisks."""
    parse_mode = str(value or "").lower()
    if parse_mode in ("markdown", "markdownv2", "html"):
        raise not_emulated("parse_mode (send entities)")
    if parse_mode not in ("", "none"):
        raise bad_request("unsupported parse_mode")


def placement_of(arguments: Arguments) -> Placement:
    """Where a message goes: topic, reply and keyboard."""
    return Placement(
        thread_id=arguments.integer("message_thread_id") or None,
        reply=_reply(arguments),
        keyboard=keyboard_of(arguments),
    )


def keyboard_of(arguments: Arguments) -> list[list[Json]] | None:
    """`reply_markup`."""
    return parse_keyboard(arguments.parsed("reply_markup", "reply keyboard markup"))


def refuse_inline(arguments: Arguments) -> None:
    """Messages of the inline mode have neither chat nor id."""
    if not arguments.text("chat_id") and not arguments.text("message_id"):
        raise not_emulated("inline messages")


def _reply(arguments: Arguments) -> ReplyTarget | None:
    raw = arguments.parsed("reply_parameters", "reply parameters")
    if raw is None:
        message_id = arguments.integer("reply_to_message_id")
        flag = arguments.flag("allow_sending_without_reply")
        return ReplyTarget(message_id, flag) if message_id > 0 else None
    if not isinstance(raw, dict):
        raise bad_request("object expected as reply parameters")
    if not raw:
        return None
    ephemeral_id = raw.get("ephemeral_message_id", 0)
    if isinstance(ephemeral_id, int) and ephemeral_id > 0:
        return ReplyTarget(0, True, ephemeral_id)
    if not isinstance(raw.get("message_id"), int):
        raise bad_request('can\'t find field "message_id"')
    if str(raw.get("chat_id", arguments.text("chat_id"))) != arguments.text("chat_id"):
        raise not_emulated("replies to another chat")
    if raw.get("quote"):
        raise not_emulated("quotes in replies")
    if raw["message_id"] <= 0:
        return None
    return ReplyTarget(raw["message_id"], bool(raw.get("allow_sending_without_reply")))
