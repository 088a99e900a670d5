"""The document model -> Slack messages: one native markdown block, and a plain text for notifications. Pure.

What is known about mentions in a markdown block: Slack reads its own `<…>` tokens there, and shows `&lt;` as the
character without reading it as a token again (measured by others: PostHog/posthog#95054). So angle brackets in
words are written as references. Whether tokens and references are read inside code is not known; so there the one
character that begins a token that calls somebody or hides an address is written as a reference, and every other
byte of code is left alone. At worst a person reads `&lt;@U1>` in code; nobody is called.
"""

import re

from channels.document import CodeBlock, Document, Heading, Inlines, Table, plain_text
from channels.markdown import parse_markdown
from channels.markup import Line, MarkupWriter, code_span, escaped_line_start, fence_around, heading_line
from channels.messages import Rendered
from channels.plain import EMPTY_ANSWER, plain_document, shortened, table_lines
from channels.slack.limits import (
    FALLBACK_MAX_CHARACTERS,
    MARKDOWN_MAX_UTF16,
    TABLE_CELLS_MAX_UTF16,
    TABLE_COLUMNS_MAX,
    TABLE_ROWS_MAX,
)
from channels.slack.mrkdwn import called, escaped
from channels.split import split_document
from channels.text import is_visible, utf16_length

# Within a word an underscore is no mark, and identifiers are easier to read without backslashes.
_MARKUP = re.compile(r"[\\`*\[\]~|]|(?<![^\W_])_|_(?![^\W_])")
_REFERENCE = re.compile(r"&(?=#?\w{1,32};)")
# What Slack might read as a token inside code: somebody, a room, everybody, an address behind a label.
_TOKEN = re.compile(
    r"<(?=[@#]\w|!(?:channel|here|everyone|group|subteam|date)\b|[a-z][a-z0-9+.-]*:[^\s<>|]*\|)",
    re.IGNORECASE,
)
_DASHES = {"left": "---", "center": ":-:", "right": "--:"}
# The references that escaping writes are the longest per character: `&amp;`.
_ESCAPE_MAX = 5


def render_markdown(markdown: str, mentions: frozenset[str] = frozenset()) -> list[Rendered]:
    """The messages that show `markdown`, in order; at least one, none blank, none over the limit.

    `mentions` are the ids of the users that it may call.
    """
    document = parse_markdown(markdown)
    parts = split_document(document, MARKDOWN_MAX_UTF16, lambda part: message_size(part, mentions))
    rendered = [render_document(part, mentions) for part in parts if is_visible(plain_document(part))]
    return rendered or [Rendered(EMPTY_ANSWER, {"blocks": [_markdown_block(EMPTY_ANSWER)]})]


def render_document(document: Document, mentions: frozenset[str] = frozenset()) -> Rendered:
    """One message. The caller has seen to it that it fits."""
    block = _markdown_block(_MarkdownWriter(mentions).write(document))
    return Rendered(fallback_text(plain_document(document)), {"blocks": [block]})


def message_size(document: Document, mentions: frozenset[str] = frozenset()) -> int:
    """What the document takes of MARKDOWN_MAX_UTF16; the rows and cells of its table count in proportion."""
    writer = _MarkdownWriter(mentions)
    length = utf16_length(writer.write(document))
    rows = writer.table_rows * MARKDOWN_MAX_UTF16 // TABLE_ROWS_MAX
    cells = writer.table_cells_utf16 * MARKDOWN_MAX_UTF16 // TABLE_CELLS_MAX_UTF16
    return max(length, rows, cells)


def fallback_text(text: str) -> str:
    """`text` for notifications, in at most FALLBACK_MAX_CHARACTERS; Slack reads it as mrkdwn, so it is escaped."""
    text = shortened(text, FALLBACK_MAX_CHARACTERS)
    while (surplus := len(escaped(text)) - FALLBACK_MAX_CHARACTERS) > 0:
        text = shortened(text, len(text) - max(surplus // _ESCAPE_MAX, 1))
    return escaped(text)


def _markdown_block(text: str) -> dict[str, str]:
    return {"type": "markdown", "text": text}


class _MarkdownWriter(MarkupWriter):
    # Two spaces keep the line break for a reader of standard Markdown, where a bare line end is a space.
    LINE_BREAK = "  \n"
    BULLETS = ("- ", "* ")
    NUMBER_ENDS = (". ", ") ")

    def __init__(self, mentions: frozenset[str]) -> None:
        super().__init__(mentions)
        self.table_rows = 0
        self.table_cells_utf16 = 0

    def escaped(self, text: str, at_line_start: bool) -> str:
        text = _MARKUP.sub(r"\\\g<0>", _REFERENCE.sub("&amp;", text))
        text = text.replace("<", "&lt;").replace(">", "&gt;")
        return escaped_line_start(text) if at_line_start else text

    def code(self, text: str) -> str:
        written = code_span(_TOKEN.sub("&lt;", text))
        return written.replace("|", "\\|") if self.in_cell else written

    def fence(self, block: CodeBlock) -> list[Line]:
        text = _TOKEN.sub("&lt;", block.text)
        fence = fence_around(text)
        return [Line(line) for line in (fence + block.language, *text.split("\n"), fence)]

    def heading(self, heading: Heading) -> list[Line]:
        return [Line(heading_line(heading.level, self.on_one_line(heading.children)))]

    def table(self, table: Table) -> list[Line]:
        """The first table of a message is native; Slack takes one. Others are aligned lines of code."""
        is_first = not self.table_rows and not self.depth
        if not is_first or len(table.header) > TABLE_COLUMNS_MAX:
            return self.fence(CodeBlock("\n".join(table_lines(table))))
        rows = (table.header, *table.rows)
        self.table_rows = len(rows)
        self.table_cells_utf16 = sum(utf16_length(plain_text(cell)) for row in rows for cell in row)
        header, *others = (Line(self._row(row)) for row in rows)
        dashes = " | ".join(_DASHES[alignment] for alignment in table.alignments)
        return [header, Line(f"| {dashes} |"), *others]

    def _row(self, row: tuple[Inlines, ...]) -> str:
        self.in_cell = True
        cells = " | ".join(self.on_one_line(cell) for cell in row)
        self.in_cell = False
        return f"| {cells} |"

    def rule(self) -> str:
        # Dashes are what Slack documents; in a list they would be read as its markers.
        return "___" if self.depth else "---"

    def call(self, user: str) -> str:
        return called(user)
