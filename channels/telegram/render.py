"""The document model -> Telegram messages: text with entities at exact UTF-16 offsets. No parse modes.

Headings are bold, tables are aligned monospaced blocks, nested lists are indented. Nobody is called but by a
Mention of the allowlist: the server finds `@name` in any text and calls that person, so an invisible character
keeps it from being one, and links that stand for a person are shown as text. Pure.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from math import ceil
from typing import NamedTuple
from urllib.parse import urlsplit

from channels.document import (
    Block,
    Blocks,
    Code,
    CodeBlock,
    Document,
    Emphasis,
    Heading,
    Inline,
    Inlines,
    LineBreak,
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
)
from channels.markdown import parse_markdown
from channels.messages import Rendered
from channels.plain import BULLET, EMPTY_ANSWER, RULE_TEXT, address_to_tell, table_lines
from channels.split import split_document
from channels.telegram.capabilities import ENTITIES_MAX, TEXT_MAX_UTF16
from channels.text import is_visible, utf16_length

_NESTED_QUOTE = "> "
# So that ENTITIES_MAX of them fill a message.
_ENTITY_WEIGHT = ceil(TEXT_MAX_UTF16 / ENTITIES_MAX)
# An @ that begins a word, or may turn out to when the next span follows; `name@host` begins none.
_MENTION = re.compile(r"(?<!\w)@(?=\w|\Z)")
# WORD JOINER: takes no room, allows no line break, and is no letter of a username.
_NO_MENTION = "@\u2060"
_LITERAL = frozenset({"code", "pre"})
_LINK_SCHEMES = frozenset({"http", "https", "tg", "mailto"})
# A link to a user is what a bot may send for a mention; the server knows it by this address (Client.cpp, td).
_USER_ID = re.compile(r"[0-9]{1,19}")
_USER_LINK = "tg://user?id="


class _Mark(NamedTuple):
    """A style that is on: an entity type, with the address of a link or the language of a code block."""

    type: str
    url: str | None = None
    language: str | None = None


class _Run(NamedTuple):
    """Where one mark is on, in code points of the text."""

    mark: _Mark
    start: int
    end: int


def render_markdown(markdown: str, mentions: frozenset[str] = frozenset()) -> list[Rendered]:
    """The messages that show `markdown`, in order; at least one, none blank, none over the limit.

    `mentions` are the ids of the users that it may call.
    """
    document = parse_markdown(markdown)
    parts = split_document(document, TEXT_MAX_UTF16, lambda part: message_size(part, mentions))
    rendered = [render_document(part, mentions) for part in parts]
    return [part for part in rendered if is_visible(part.text)] or [Rendered(EMPTY_ANSWER, {"entities": []})]


def render_document(document: Document, mentions: frozenset[str] = frozenset()) -> Rendered:
    """One message. The caller has seen to it that it fits."""
    text, runs = _write(document, mentions)
    offsets = range(len(text) + 1) if text.isascii() else _utf16_offsets(text)
    entities: list[dict[str, str | int]] = []
    for mark, start, end in runs:
        offset = offsets[start]
        entity: dict[str, str | int] = {"type": mark.type, "offset": offset, "length": offsets[end] - offset}
        if mark.url:
            entity["url"] = mark.url
        if mark.language:
            entity["language"] = mark.language
        entities.append(entity)
    return Rendered(text, {"entities": entities})


def message_size(document: Document, mentions: frozenset[str] = frozenset()) -> int:
    """What the document takes of TEXT_MAX_UTF16; entities count too, as the platform limits their number."""
    text, runs = _write(document, mentions)
    return max(utf16_length(text), len(runs) * _ENTITY_WEIGHT)


def _utf16_offsets(text: str) -> list[int]:
    """For every code point, and the end, how many UTF-16 units stand before it."""
    return list(accumulate((2 if ord(character) > 0xFFFF else 1 for character in text), initial=0))


def _write(document: Document, mentions: frozenset[str]) -> tuple[str, list[_Run]]:
    writer = _Writer(mentions)
    writer.blocks(document.blocks, "\n\n")
    # The platform cuts white space off the end, and entities that reach into it with it.
    text = "".join(writer.pieces).rstrip()
    runs = [trimmed for run in _merged(writer.runs) if (trimmed := _trimmed(run, text))]
    return text, sorted(runs, key=lambda run: (run.start, -run.end))


def _merged(runs: list[_Run]) -> list[_Run]:
    """Neighbours of one mark as one run."""
    merged: list[_Run] = []
    last_by_mark: dict[_Mark, int] = {}
    for run in runs:
        index = last_by_mark.get(run.mark)
        if index is not None and merged[index].end == run.start:
            merged[index] = merged[index]._replace(end=run.end)
        else:
            last_by_mark[run.mark] = len(merged)
            merged.append(run)
    return merged


def _trimmed(run: _Run, text: str) -> _Run | None:
    """The run within the text and, unless its spaces mean something, without white space at its ends."""
    mark, start, end = run
    end = min(end, len(text))
    if mark.type not in _LITERAL:
        while start < end and text[start].isspace():
            start += 1
        while start < end and text[end - 1].isspace():
            end -= 1
    return _Run(mark, start, end) if start < end else None


@dataclass(slots=True)
class _Writer:
    """Text so far and the runs of the marks it was written under; a new line begins with `prefix`."""

    mentions: frozenset[str]
    pieces: list[str] = field(default_factory=list)
    length: int = 0
    runs: list[_Run] = field(default_factory=list)
    marks: list[_Mark] = field(default_factory=list)
    prefix: str = ""
    in_quote: bool = False

    def write(self, text: str) -> None:
        """Characters under the current marks."""
        end = self.length + len(text)
        self.runs.extend(_Run(mark, self.length, end) for mark in self.marks)
        self.pieces.append(text)
        self.length = end

    def new_line(self, lines: str = "\n") -> None:
        """On to the next line, or below a blank one."""
        self.write(lines + self.prefix)

    @contextmanager
    def marked(self, mark: _Mark) -> Iterator[None]:
        """With `mark` on, unless it is on already: entities of one type may not nest."""
        if any(open_mark.type == mark.type for open_mark in self.marks):
            yield
            return
        self.marks.append(mark)
        yield
        self.marks.remove(mark)

    @contextmanager
    def alone(self, mark: _Mark) -> Iterator[None]:
        """With only `mark` and the quote on: code cannot be combined with other styles."""
        marks, self.marks = self.marks, [m for m in self.marks if m.type == "blockquote"]
        with self.marked(mark):
            yield
        self.marks = marks

    @contextmanager
    def indented(self, prefix: str) -> Iterator[None]:
        """With `prefix` at the start of every further line."""
        before, self.prefix = self.prefix, self.prefix + prefix
        yield
        self.prefix = before

    def blocks(self, blocks: Blocks, separator: str) -> None:
        for number, block in enumerate(blocks):
            if number:
                # Literal lines start at the margin: the indentation would look like theirs.
                self.write(separator) if _is_literal(block) else self.new_line(separator)
            self.block(block)

    def block(self, block: Block) -> None:
        match block:
            case Paragraph(children):
                self.spans(children)
            case Heading(children):
                with self.marked(_Mark("bold")):
                    self.spans(children)
            case CodeBlock(text, language):
                self.literal(text, language)
            case ListBlock():
                self.list(block)
            case Quote(children):
                self.quote(children)
            case Table():
                self.literal("\n".join(table_lines(block)), "")
            case Rule():
                self.write(RULE_TEXT)

    def literal(self, text: str, language: str) -> None:
        """Lines as they are: no indentation of the surroundings may get into code."""
        with self.alone(_Mark("pre", language=language or None)):
            self.write(text)

    def quote(self, children: Blocks) -> None:
        if self.in_quote:
            # Quote entities may not nest.
            self.write(_NESTED_QUOTE)
            with self.indented(_NESTED_QUOTE):
                self.blocks(children, "\n\n")
            return
        self.in_quote = True
        with self.marked(_Mark("blockquote")):
            self.blocks(children, "\n\n")
        self.in_quote = False

    def list(self, block: ListBlock) -> None:
        separator = "\n" if block.tight else "\n\n"
        for number, item in enumerate(block.items):
            if number:
                self.new_line(separator)
            marker = BULLET if block.start is None else f"{block.start + number}. "
            if not (block.continued and number == 0):
                self.write(marker + "\n" if item and _is_literal(item[0]) else marker)
            with self.indented(" " * len(marker)):
                self.blocks(item, separator)

    def spans(self, spans: Inlines) -> None:
        for span in spans:
            self.span(span)

    def span(self, span: Inline) -> None:
        match span:
            case Text(text):
                self.words(text)
            case Code(text):
                self.code(text)
            case LineBreak():
                self.new_line()
            case Strong(children):
                with self.marked(_Mark("bold")):
                    self.spans(children)
            case Emphasis(children):
                with self.marked(_Mark("italic")):
                    self.spans(children)
            case Strike(children):
                with self.marked(_Mark("strikethrough")):
                    self.spans(children)
            case Link():
                self.link(span)
            case Mention():
                self.mention(span)

    def words(self, text: str) -> None:
        """Text in which nobody is mentioned."""
        self.write(_MENTION.sub(_NO_MENTION, text))

    def code(self, text: str) -> None:
        """Code cannot be a link as well; where it would be, the address matters more than the look."""
        if any(mark.type == "text_link" for mark in self.marks):
            self.write(text)
            return
        with self.alone(_Mark("code")):
            self.write(text)

    def link(self, link: Link) -> None:
        if _is_allowed(link.url):
            with self.marked(_Mark("text_link", url=link.url)):
                self.spans(link.children)
            return
        self.spans(link.children)
        if address := address_to_tell(link):
            self.words(f" ({address})")

    def mention(self, mention: Mention) -> None:
        if mention.user not in self.mentions or not _USER_ID.fullmatch(mention.user):
            self.words(mention.name)
            return
        with self.marked(_Mark("text_link", url=_USER_LINK + mention.user)):
            self.words(mention.name)


def _is_literal(block: Block) -> bool:
    return isinstance(block, CodeBlock | Table)


def _is_allowed(url: str) -> bool:
    """Addresses Telegram opens. `tg://user` is none of them: the server turns it into a mention."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in _LINK_SCHEMES and not (parts.scheme == "tg" and parts.netloc.lower() == "user")
