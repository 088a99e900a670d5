"""The document model -> lines of a Markdown-like markup, as far as the networks that take one agree.

`MarkupWriter` lays out blocks and decides which marks can be written at all; a network's own writer says how
words are escaped and what it has for headings, tables, code and mentions. Nothing here knows a network.

Theory of operation: what is inside a block is written first, as lines, and its container puts markers and
indentation before them. Lines of code may be literal: a network that does not take indentation away from code
gets them at the margin. Where marks of emphasis can stand is the business of `channels.marks`.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import ClassVar, NamedTuple
from urllib.parse import quote

from channels.document import (
    Block,
    Blocks,
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
    plain_text,
)
from channels.marks import Edge, Mark, Piece, with_delimiters
from channels.plain import address_to_tell

WORD_JOINER = "\u2060"
"""Takes no room, allows no line break, and keeps what stands around it from being one word."""

# A bare address in a text, without what usually follows one in a sentence.
_ADDRESS = re.compile(r"https?://[^\s<>\x00-\x20|\\`]+", re.IGNORECASE)
_AFTER_ADDRESS = ".,:;!?\"'*_~)]}"
_FOLLOWED_SCHEMES = ("http://", "https://")
# Names that call everybody in a room; also their beginnings, as the next piece of text may go on with the rest.
_EVERYBODY = ("everyone", "here", "channel", "group")
_BEGINNINGS = "|".join(name[:length] for name in _EVERYBODY for length in range(len(name)))
_BROADCAST = re.compile(rf"@(?=(?:{'|'.join(_EVERYBODY)})\b|(?:{_BEGINNINGS})\Z)", re.IGNORECASE)
_LINE_START = re.compile(r"[#+=-]|:(?=-)")
_NUMBER = re.compile(r"[0-9]{1,9}(?=[.)])")
_UNSAFE_IN_ADDRESS = re.compile(r"[\s<>()\\`|\"\x00-\x20\x7f]")
# `&lt;` would be read as a character reference; only its end can be encoded without changing a query.
_ENTITY_END = re.compile(r"(?<=\w);")


class Line(NamedTuple):
    """A line of markup; a literal one keeps its start when a list indents the others."""

    text: str
    is_literal: bool = False


class MarkupWriter(ABC):
    """Writes one document. The class attributes and the methods without an underscore are a network's own."""

    DELIMITERS: ClassVar[Mapping[Mark, Sequence[str]]] = {
        Mark.STRONG: ("**",),
        # The underscore first: next to asterisks it cannot be mistaken. Within a word only the asterisk works.
        Mark.EMPHASIS: ("_", "*"),
        Mark.STRIKE: ("~~",),
    }
    # Delimiters that mean nothing next to a letter or digit outside.
    WORD_BOUND: ClassVar[frozenset[str]] = frozenset("_")
    LINE_BREAK: ClassVar[str] = "\n"
    # Neighbouring lists take turns, so that they do not become one.
    BULLETS: ClassVar[tuple[str, ...]] = ("- ",)
    NUMBER_ENDS: ClassVar[tuple[str, ...]] = (". ",)

    def __init__(self, mentions: frozenset[str]) -> None:
        self.mentions = mentions
        self.depth = 0  # of lists and quotes around what is being written
        self.in_quote = False
        self.in_link = False
        self.in_cell = False
        self.is_one_line = False
        self.at_line_start = True

    def write(self, document: Document) -> str:
        """The markup of the whole document."""
        return "\n".join(line.text for line in self.blocks(document.blocks)).rstrip()

    # What a network says for itself.

    @abstractmethod
    def escaped(self, text: str, at_line_start: bool) -> str:
        """Words as markup that shows them as they are, and calls nobody."""

    @abstractmethod
    def code(self, text: str) -> str:
        """Literal characters within a line."""

    @abstractmethod
    def fence(self, block: CodeBlock) -> list[Line]:
        """Literal lines."""

    @abstractmethod
    def heading(self, heading: Heading) -> list[Line]:
        """A heading on one line."""

    @abstractmethod
    def table(self, table: Table) -> list[Line]:
        """A table, in the network's own form or as code."""

    @abstractmethod
    def rule(self) -> str:
        """A line across."""

    @abstractmethod
    def call(self, user: str) -> str:
        """What calls somebody of the allowlist; nothing when the id cannot be one of the network's."""

    def bare_address(self, url: str) -> str:
        """An address that shows itself and can be followed."""
        return f"<{address(url)}>"

    def labelled_address(self, label: str, url: str) -> str:
        """An address behind a label of markup."""
        return f"[{label}]({address(url)})"

    def quoted(self, lines: Sequence[Line]) -> list[Line]:
        """The lines of a quote, with its marks."""
        return [Line(f"> {line.text}" if line.text else ">") for line in lines]

    # Blocks.

    def blocks(self, blocks: Blocks, tight: bool = False) -> list[Line]:
        """The lines of blocks one below the other."""
        lines: list[Line] = []
        before: Block | None = None
        turn = 0
        for block in blocks:
            turn = turn + 1 if isinstance(block, ListBlock) and isinstance(before, ListBlock) else 0
            written = self._list(block, turn) if isinstance(block, ListBlock) else self._block(block)
            if not any(line.text for line in written):
                continue
            if before is not None and (not tight or _needs_blank(before, block)):
                lines.append(Line(""))
            lines += written
            before = block
        return lines

    def _block(self, block: Block) -> list[Line]:
        match block:
            case Paragraph(children):
                return [Line(text) for text in self.inline(children).split("\n")]
            case Heading():
                return self.heading(block)
            case CodeBlock():
                return self.fence(block)
            case Quote(children):
                return self._quote(children)
            case Table():
                return self.table(block)
            case Rule():
                return [Line(self.rule())]
            case ListBlock():
                return self._list(block, turn=0)

    def _quote(self, children: Blocks) -> list[Line]:
        outer, self.in_quote = self.in_quote, True
        self.depth += 1
        inner = self.blocks(children)
        self.depth -= 1
        self.in_quote = outer
        return self.quoted(inner)

    def _list(self, block: ListBlock, turn: int) -> list[Line]:
        lines: list[Line] = []
        self.depth += 1
        for number, item in enumerate(block.items):
            # Markers with nothing behind them would be read as a rule, or as the end of the text above.
            written = self.blocks(item, block.tight) or [Line(WORD_JOINER)]
            if number and not block.tight:
                lines.append(Line(""))
            if block.continued and number == 0:
                lines += written
                continue
            lines += _with_marker(self._marker(block, number, turn), written)
        self.depth -= 1
        return lines

    def _marker(self, block: ListBlock, number: int, turn: int) -> str:
        if block.start is None:
            return self.BULLETS[turn % len(self.BULLETS)]
        return f"{block.start + number}{self.NUMBER_ENDS[turn % len(self.NUMBER_ENDS)]}"

    # Spans.

    def inline(self, spans: Inlines, without: frozenset[Mark] = frozenset()) -> str:
        """The spans as markup; marks of `without` are left out."""
        outer, self.at_line_start = self.at_line_start, not (self.in_link or self.is_one_line)
        pieces = list(self._pieces(spans, without, count()))
        self.at_line_start = outer
        return with_delimiters(pieces, self.DELIMITERS, self.WORD_BOUND).strip()

    def words(self, text: str) -> str:
        """Text as markup; bare addresses stay addresses."""
        if self.at_line_start:
            text = text.lstrip(" \t")
        written: list[str] = []
        end = 0
        for match in () if self.in_link else _ADDRESS.finditer(text):
            url = _trimmed_address(match.group())
            if match.start() and text[match.start() - 1].isalnum():
                continue
            written += [self._escaped(text[end : match.start()]), self.bare_address(url)]
            self.at_line_start = False
            end = match.start() + len(url)
        written.append(self._escaped(text[end:]))
        return "".join(written)

    def _escaped(self, text: str) -> str:
        escaped = self.escaped(text, self.at_line_start)
        self.at_line_start = self.at_line_start and not escaped
        return calling_nobody(escaped)

    def _pieces(self, spans: Inlines, open_marks: frozenset[Mark], numbers: Iterator[int]) -> Iterator[Piece]:
        for span in spans:
            match span:
                case Strong(children):
                    yield from self._marked(Mark.STRONG, children, open_marks, numbers)
                case Emphasis(children):
                    yield from self._marked(Mark.EMPHASIS, children, open_marks, numbers)
                case Strike(children):
                    yield from self._marked(Mark.STRIKE, children, open_marks, numbers)
                case LineBreak():
                    yield " " if self.in_link or self.is_one_line else self.LINE_BREAK
                    self.at_line_start = not (self.in_link or self.is_one_line)
                case _:
                    yield self._leaf(span)

    def _marked(
        self, mark: Mark, children: Inlines, open_marks: frozenset[Mark], numbers: Iterator[int]
    ) -> Iterator[Piece]:
        if mark in open_marks:
            yield from self._pieces(children, open_marks, numbers)
            return
        number = next(numbers)
        yield Edge(mark, number, opens=True)
        yield from self._pieces(children, open_marks | {mark}, numbers)
        yield Edge(mark, number, opens=False)

    def _leaf(self, span: Inline) -> str:
        match span:
            case Text(text):
                return self.words(text)
            case Link():
                written = self._link(span)
            case Mention(name, user):
                may_call = user in self.mentions and not self.in_link
                written = (may_call and self.call(user)) or self.words(name)
            case _:
                written = self.code(plain_text((span,)))
        self.at_line_start = self.at_line_start and not written
        return written

    def _link(self, link: Link) -> str:
        """A link where it can be followed; elsewhere its label and, in words, its address."""
        if self.in_link:
            return self.inline(link.children)
        shown = plain_text(link.children).strip()
        told = address_to_tell(link)
        if not link.url.lower().startswith(_FOLLOWED_SCHEMES):
            label = self.inline(link.children)
            self.at_line_start = self.at_line_start and not label
            return label + (self.words(f" ({told})") if told else "")
        if not shown or not told:
            return self.bare_address(link.url)
        if "://" in shown:
            # A label that looks like another address misleads, and Discord would not make it a link.
            return f"{self.inline(link.children)} ({self.bare_address(link.url)})"
        return self.labelled_address(self._label(link.children), link.url)

    def _label(self, spans: Inlines) -> str:
        outer, self.in_link = self.in_link, True
        written = self.inline(spans)
        self.in_link = outer
        return written

    def on_one_line(self, spans: Inlines, without: frozenset[Mark] = frozenset()) -> str:
        """The spans where a line cannot break, e.g. in a heading."""
        outer, self.is_one_line = self.is_one_line, True
        written = self.inline(spans, without)
        self.is_one_line = outer
        return written


def calling_nobody(text: str) -> str:
    """`text` in which no `@here` or the like is one word any more."""
    return _BROADCAST.sub("@" + WORD_JOINER, text)


def escaped_line_start(text: str) -> str:
    """Text whose beginning is not read as a heading, a list, an underline or the columns of a table."""
    if match := _NUMBER.match(text):
        return f"{match.group()}\\{text[match.end() :]}"
    return "\\" + text if _LINE_START.match(text) else text


def heading_line(level: int, text: str) -> str:
    """A heading; number signs at the ends of `text` would be taken for its own."""
    if text.startswith("#"):
        text = "\\" + text
    return f"{'#' * level} {text}{WORD_JOINER if text.endswith('#') else ''}" if text else ""


def code_span(text: str) -> str:
    """Code between backticks: as many as nowhere inside."""
    runs = {len(run) for run in re.findall("`+", text)}
    ticks = "`" * next(length for length in count(1) if length not in runs)
    is_padded = (
        text[:1] == "`" or text[-1:] == "`" or (text[:1] == text[-1:] == " " and text.strip(" ") != "")
    )
    return f"{ticks} {text} {ticks}" if is_padded else ticks + text + ticks


def fence_around(text: str) -> str:
    """A fence that no line of `text` closes."""
    return "`" * max((len(run) + 1 for run in re.findall("`{3,}", text)), default=3)


def address(url: str) -> str:
    """An address as it may stand in markup: what would end it, or be read as something else, is encoded."""
    url = _UNSAFE_IN_ADDRESS.sub(lambda match: quote(match.group(), safe=""), url)
    return _ENTITY_END.sub("%3B", _BROADCAST.sub("%40", url))


def _trimmed_address(url: str) -> str:
    """Without the characters that end the sentence and not the address."""
    while url[-1] in _AFTER_ADDRESS and not (url[-1] == ")" and url.count("(") >= url.count(")")):
        url = url[:-1]
    return url


def _needs_blank(before: Block, block: Block) -> bool:
    """Whether `block` right below `before` would be read as a part of it."""
    match block:
        case Paragraph():
            return isinstance(before, Paragraph | Quote | ListBlock | Table)
        case ListBlock(_, start):
            # Only a list that starts with 1 may interrupt a paragraph.
            return not isinstance(before, Paragraph) or start not in (None, 1)
        case Quote():
            return isinstance(before, Quote)
        case Table() | Rule():
            return True
        case CodeBlock() | Heading():
            return False


def _with_marker(marker: str, lines: Sequence[Line]) -> list[Line]:
    """An item's lines: the marker before the first one, its width before the others."""
    if not lines or lines[0].is_literal:
        return [Line(marker.rstrip()), *lines]
    indentation = " " * len(marker)
    first, *others = lines
    return [
        Line(marker + first.text),
        *(line if line.is_literal or not line.text else Line(indentation + line.text) for line in others),
    ]
