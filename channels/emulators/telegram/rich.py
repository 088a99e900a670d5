"""Rich messages (Bot API 10.1; blocks since 10.2): sendRichMessage, sendRichMessageDraft and their content.

Pure. Known from library sources generated from the documentation: exactly one of `html`, `markdown` and
`blocks`; a thinking block in drafts only; a message carries `rich_message.blocks` instead of a text. From third
parties, not verified: 32,768 characters, 500 blocks, 50 media. Not known: the errors' wordings (ours say what is
wrong), in which unit the text is counted (characters here), the server's own Markdown (see `rich_markdown.py`).
Refused by name: html and media.
"""

from collections.abc import Iterator

from channels.emulators.telegram import bot_calls
from channels.emulators.telegram.arguments import Arguments
from channels.emulators.telegram.drafts import show_draft
from channels.emulators.telegram.ephemeral import deliver
from channels.emulators.telegram.parameters import Method, placement_of
from channels.emulators.telegram.records import BotAccount, Content, Json
from channels.emulators.telegram.refusals import bad_request, not_emulated
from channels.emulators.telegram.rich_markdown import blocks_of
from channels.emulators.telegram.world import World

CHARACTERS_MAX = 32_768
BLOCKS_MAX = 500
BLOCKS_SINCE = (10, 2)
# The blocks without media of InputRichBlock, 10.2.
_TEXT_BLOCKS = frozenset(
    (
        *("paragraph", "heading", "pre", "footer", "divider", "mathematical_expression", "anchor"),
        *("list", "blockquote", "pullquote", "table", "details"),
    )
)
_MEDIA_BLOCKS = frozenset(
    ("collage", "slideshow", "map", "animation", "audio", "photo", "video", "voice_note")
)


def send_rich_message(world: World, bot: BotAccount, arguments: Arguments) -> object:
    content, placement = rich_content(world, arguments), placement_of(arguments)
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    message = deliver(world, bot, chat, arguments, content, placement)
    return world.message_for(bot, chat, message)


def send_rich_message_draft(world: World, bot: BotAccount, arguments: Arguments) -> object:
    content = rich_content(world, arguments, is_draft=True)
    chat = bot_calls.chat_for(world, bot, arguments.chat_id())
    thread_id = arguments.integer("message_thread_id") or None
    show_draft(world, bot, chat, arguments.integer("draft_id"), content, thread_id)
    return True


def rich_content(world: World, arguments: Arguments, *, is_draft: bool = False) -> Content:
    """The `rich_message` argument. Raises Refusal."""
    raw = arguments.parsed("rich_message", "rich message")
    if not isinstance(raw, dict):
        raise bad_request("can't parse InputRichMessage: expected an Object")
    forms = [one for one in ("html", "markdown", "blocks") if raw.get(one)]
    if len(forms) != 1:
        raise bad_request("exactly one of html, markdown and blocks must be used in a rich message")
    if forms == ["html"] or raw.get("media"):
        raise not_emulated(f"rich messages with {'html' if forms == ['html'] else 'media'}")
    if forms == ["blocks"] and world.api_version < BLOCKS_SINCE:
        raise bad_request("rich message must be non-empty")
    source = raw[forms[0]]
    blocks = blocks_of(str(source)) if forms == ["markdown"] else _checked_blocks(source, is_draft)
    plain = "\n".join(_lines(blocks))
    length = len(source) if isinstance(source, str) else len(plain)
    if not blocks:
        raise bad_request("rich message must be non-empty")
    if length > CHARACTERS_MAX:
        raise bad_request(f"rich message is too long: more than {CHARACTERS_MAX} characters")
    if sum(1 for _ in _nested(blocks)) > BLOCKS_MAX:
        raise bad_request(f"rich message has too many blocks: more than {BLOCKS_MAX}")
    rich: Json = {"blocks": blocks, **({"is_rtl": True} if raw.get("is_rtl") else {})}
    return Content(plain, rich=rich)


RICH_METHODS: dict[str, Method] = {
    "sendrichmessage": send_rich_message,
    "sendrichmessagedraft": send_rich_message_draft,
}


def _checked_blocks(raw: object, is_draft: bool) -> list[Json]:
    if not isinstance(raw, list) or not all(isinstance(one, dict) for one in raw):
        raise bad_request("can't parse InputRichMessage: blocks must be an Array of InputRichBlock")
    blocks: list[Json] = raw
    for block in _nested(blocks):
        kind = block.get("type")
        if kind in _MEDIA_BLOCKS:
            raise not_emulated(f"rich blocks of type {kind}")
        if kind == "thinking" and is_draft:
            continue
        if kind not in _TEXT_BLOCKS:
            raise bad_request(f"can't parse InputRichBlock: unallowed type {kind}")
    return blocks


def _nested(blocks: list[Json]) -> Iterator[Json]:
    for block in blocks:
        yield block
        yield from _nested([one for one in block.get("blocks") or [] if isinstance(one, dict)])
        for item in block.get("items") or []:
            yield from _nested(item.get("blocks") or [])


def _lines(blocks: list[Json]) -> Iterator[str]:
    """The plain form: what a page without rich messages and a test that looks for words can use."""
    for block in blocks:
        if block.get("text"):
            yield _plain(block["text"])
        for row in block.get("cells") or []:
            yield " | ".join(_plain(cell.get("text", "")) for cell in row)
        for item in block.get("items") or []:
            first, *others = [*_lines(item.get("blocks") or []), ""]
            yield f"{item.get('label', '•')} {first}"
            yield from others
        yield from _lines(block.get("blocks") or [])


def _plain(text: object) -> str:
    """The words of a RichText: a text, a list of them, or an object around one."""
    if isinstance(text, list):
        return "".join(map(_plain, text))
    if isinstance(text, dict):
        return _plain(text.get("text", ""))
    return str(text)
