"""Promises that every renderer keeps, for any text: it fits, it says everything, it calls nobody, it reads back."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels import plain
from channels.discord import render as discord
from channels.document import (
    Block,
    Blocks,
    Code,
    CodeBlock,
    Document,
    Emphasis,
    Heading,
    Inlines,
    Link,
    ListBlock,
    Mention,
    Paragraph,
    Quote,
    Rule,
    Strike,
    Strong,
    Table,
    Text,
    plain_text,
)
from channels.markdown import parse_markdown
from channels.messages import Rendered
from channels.slack import mrkdwn
from channels.slack import render as slack
from channels.split import split_document
from channels.telegram import render as telegram
from channels.text import is_visible, utf16_length

BOUNDED = settings(max_examples=60, derandomize=True, deadline=None, database=None)
NOBODY: frozenset[str] = frozenset()
WORD_JOINER = "\u2060"

_FRAGMENTS = (
    "# ", "##### ", "**", "*", "_", "__", "~~", "~", "`", "``", "```", "```\n", "````\n", "```py\n", "~~~\n",
    "\n", "\n\n", "- ", "* ", "+ ", "1. ", "7) ", "  ", "    ", "\t", "> ", ">", "|", " | ", "\n|-|-|\n", "||",
    "[", "](http://x/y_z)", "](javascript:x)", "](mention:U123)", "](mention:123456789012345678)", "![", "]: http://z",
    "http://x.y/a_b*c", "https://x.y/@here.", "<http://x.y>", "<b>", "</b>", "<!-- x -->", "<", ">", "&lt;", "&amp;",
    "&", "\\", "\\\n", "  \n", "---\n", "===\n", "-# ", ":-", "#", "a", "b c", "word", "1", ".", "!", '"', "é", "😀",
    "字", "\u202e", "\u05d0\u05d1", "e\u0301", "\ud800", "\x00", "\u2028", "\u00a0",
    "<!channel>", "<!here|x>", "<!subteam^S1>", "<@U123>", "<@123456789012345678>", "<@&1>", "<#C1>", "@here",
    "@everyone", "@channel", "@name", "<:a:1>", "<t:1>", "</x:1>", "[ ] ", "[^1]",
)  # fmt: skip
MARKUP = st.lists(st.sampled_from(_FRAGMENTS), max_size=50).map("".join)
DEEP = st.tuples(st.sampled_from(("> ", "- ", "1. ", "  ")), st.integers(1, 25), MARKUP).map(
    lambda parts: parts[0] * parts[1] + parts[2]
)
WIDE = st.tuples(MARKUP, st.integers(1, 60)).map(
    lambda parts: "|a|b|\n|-|-|\n" + f"|{parts[0].strip()}|x|\n".replace("\n", " ") * parts[1]
)
LONG = st.tuples(MARKUP, st.integers(2, 120)).map(lambda parts: (parts[0] + "\n\n") * parts[1])
HOSTILE = st.text(st.characters(exclude_categories=()), max_size=200) | MARKUP | DEEP | WIDE | LONG


@dataclass(frozen=True)
class Network:
    """A renderer and its limit, as the platform counts."""

    render: Callable[[str], list[Rendered]]
    sent: Callable[[Rendered], str]
    size: Callable[[str], int]
    limit: int
    message_size: Callable[[Document], int]


NETWORKS = {
    "slack": Network(
        slack.render_markdown, lambda part: str(part.payload["blocks"][0]["text"]), utf16_length, 12_000,
        slack.message_size,
    ),
    "mrkdwn": Network(
        mrkdwn.render_mrkdwn, lambda part: str(part.payload["blocks"][0]["text"]["text"]), utf16_length, 3_000,
        mrkdwn.section_size,
    ),
    "discord": Network(
        discord.render_markdown, lambda part: part.text, len, 2_000, discord.message_size,
    ),
    "telegram": Network(
        telegram.render_markdown, lambda part: part.text, utf16_length, 4_096, telegram.message_size,
    ),
    "plain": Network(
        lambda text: plain.render_markdown(text, 500), lambda part: part.text, len, 500, plain.message_size,
    ),
}  # fmt: skip
EACH = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


@EACH
@BOUNDED
@given(HOSTILE)
def test_every_part_fits_and_shows_something(network: Network, text: str) -> None:
    parts = network.render(text)
    assert parts
    for part in parts:
        sent = network.sent(part)
        assert 0 < network.size(sent) <= network.limit
        assert is_visible(part.text) and is_visible(sent)
        assert sent.encode() and part.text.encode()


@EACH
@BOUNDED
@given(MARKUP | DEEP | LONG, st.integers(80, 400))
def test_the_parts_say_what_the_document_says(network: Network, text: str, limit: int) -> None:
    document = parse_markdown(text)
    if any(isinstance(block, Table) for block in every_block(document.blocks)):
        return  # headers are repeated; test_split_document says how
    parts = split_document(document, limit, network.message_size)
    assert all(network.message_size(part) <= limit for part in parts)
    assert visible("".join(map(words_of, parts))) == visible(words_of(document))


@EACH
@BOUNDED
@given(MARKUP | WIDE)
def test_what_is_sent_reaches_from_the_first_word_to_the_last(network: Network, text: str) -> None:
    text = f"alpha {text}\n\nomega"
    sent = "".join(network.sent(part) for part in network.render(text))
    assert sent.index("alpha") < sent.rindex("omega")


SLACK_TOKEN = re.compile(r"<(?:[@#]\w|!(?:channel|here|everyone|subteam|group|date)\b)", re.IGNORECASE)
BROADCAST = re.compile(r"@(?:here|channel|everyone|group)\b", re.IGNORECASE)


@BOUNDED
@given(HOSTILE)
def test_slack_calls_nobody(text: str) -> None:
    for part in slack.render_markdown(text):
        markdown = NETWORKS["slack"].sent(part)
        assert not SLACK_TOKEN.search(markdown)
        assert not BROADCAST.search(words_outside_code(markdown))
        assert not SLACK_TOKEN.search(part.text) and not BROADCAST.search(part.text)
        assert "<" not in part.text and len(part.text) <= 4_000
    for part in mrkdwn.render_mrkdwn(text):
        sent = NETWORKS["mrkdwn"].sent(part)
        assert not SLACK_TOKEN.search(sent)
        assert "`" in sent or not BROADCAST.search(sent)
        assert all(token.startswith("<http") for token in re.findall("<[^>]*>?", sent))


@BOUNDED
@given(HOSTILE)
def test_discord_calls_nobody(text: str) -> None:
    for part in discord.render_markdown(text):
        assert part.payload == {"allowed_mentions": {"parse": [], "users": []}, "flags": 4}
        outside = words_outside_code(part.text)
        assert not re.search(r"<[@#][\w&!]", outside)
        assert "`" in part.text or not re.search(r"(?<!\\)<(?!https?:)", part.text)
        assert not BROADCAST.search(outside)


@BOUNDED
@given(HOSTILE)
def test_telegram_calls_nobody(text: str) -> None:
    for part in telegram.render_markdown(text):
        assert not any("user" in str(entity.get("url", "")).lower() for entity in part.payload["entities"])
        assert not any(entity["type"] == "text_mention" for entity in part.payload["entities"])


@BOUNDED
@given(MARKUP | DEEP)
def test_slack_markdown_reads_back_as_the_document(text: str) -> None:
    document = parse_markdown(text)
    tables = [block for block in every_block(document.blocks) if isinstance(block, Table)]
    if len(tables) > 1 or any(block not in document.blocks for block in tables):
        return  # these become aligned code
    if depth(document.blocks) > 15:
        return  # the reader gives up earlier with a word in the innermost item
    for part in split_document(document, 11_000, slack.message_size):
        markdown = slack.render_document(part).payload["blocks"][0]["text"]
        again = parse_markdown(markdown)
        assert read(again) == read(part)
        assert code_of(again.blocks) == code_of(part.blocks)
        assert kinds(again.blocks) == kinds(part.blocks)


@BOUNDED
@given(MARKUP)
def test_discord_markdown_reads_back_as_the_document(text: str) -> None:
    # Character references mean nothing on Discord, so a reader that knows them would read something else.
    document = parse_markdown(text.replace("&", "+"))
    nested = [block for outer in document.blocks for block in every_block(children_of(outer))]
    if any(isinstance(block, CodeBlock | Table | Quote) for block in nested):
        return  # code stands at the margin, inner quotes are words
    for part in split_document(document, 2_000, discord.message_size):
        if any(isinstance(block, Table) for block in part.blocks):
            continue
        again = parse_markdown(discord.render_document(part).text)
        assert read(again) == read(part)


def read(document: Document) -> str:
    """What a person sees, apart from white space, joiners and the encoding of addresses."""
    text = unquote(plain.plain_document(document)).replace(WORD_JOINER, "").replace("&lt;", "<")
    return visible(text).replace(">", "")  # the marks of a quote depend on its empty lines


def code_of(blocks: Blocks) -> list[str]:
    return [block.text.replace("&lt;", "<") for block in every_block(blocks) if isinstance(block, CodeBlock)]


def kinds(blocks: Blocks) -> list[str]:
    """The kinds of blocks, inside out; paragraphs aside, as an empty line in raw HTML makes two of one."""
    return [
        type(block).__name__
        for block in every_block(blocks)
        if not isinstance(block, Paragraph) and shows(block)
    ]


def shows(block: Block) -> bool:
    return isinstance(block, Rule | CodeBlock) or is_visible(plain.plain_document(Document((block,))))


def words_of(document: Document) -> str:
    return "".join(leaf for block in every_block(document.blocks) for leaf in leaves(block))


def leaves(block: Block) -> Iterator[str]:
    match block:
        case Paragraph(children) | Heading(children):
            yield plain_text(children)
        case CodeBlock(text):
            yield text


def every_block(blocks: Blocks) -> Iterator[Block]:
    for block in blocks:
        yield block
        yield from every_block(children_of(block))


def depth(blocks: Blocks) -> int:
    return max((1 + depth(children_of(block)) for block in blocks), default=0)


def children_of(block: Block) -> Blocks:
    match block:
        case Quote(children):
            return children
        case ListBlock(items):
            return tuple(child for item in items for child in item)
        case _:
            return ()


def words_outside_code(markdown: str) -> str:
    """The words a reader of Markdown sees outside code."""
    return "\n".join(text for block in every_block(parse_markdown(markdown).blocks) for text in _words(block))


def _words(block: Block) -> Iterator[str]:
    match block:
        case Paragraph(children) | Heading(children):
            yield "".join(_span_words(children))
        case Table(header, rows):
            yield from ("".join(_span_words(cell)) for row in (header, *rows) for cell in row)


def _span_words(spans: Inlines) -> Iterator[str]:
    for span in spans:
        match span:
            case Strong(children) | Emphasis(children) | Strike(children) | Link(children):
                yield from _span_words(children)
            case Text(text) | Mention(text):
                yield text
            case Code():
                yield " "


def visible(text: str) -> str:
    return "".join(character for character in text if is_visible(character))
