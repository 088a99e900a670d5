"""The document model -> plain text, for terminals, logs, previews and notifications. Also tables as aligned lines,
which networks without tables show in code. Pure; no network's limits or markup.
"""

from collections.abc import Iterator
from urllib.parse import unquote

from markdown_it.common.normalize_url import normalizeLink

from channels.document import (
    Alignment,
    Block,
    Blocks,
    CodeBlock,
    Document,
    Emphasis,
    Heading,
    Inline,
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
    plain_text,
)
from channels.markdown import parse_markdown
from channels.messages import Rendered
from channels.split import split_document
from channels.text import columns, is_visible

# What a bot answers when the agent's answer shows nothing: platforms refuse blank messages.
EMPTY_ANSWER = "(empty answer)"
RULE_TEXT = "———"
BULLET = "• "
_ELLIPSIS = "…"
# Columns of a table wider than this are not padded: on a phone such a line wraps anyway.
_COLUMN_PADDED_MAX = 40


def render_markdown(markdown: str, limit: int | None = None) -> list[Rendered]:
    """The parts of `limit` code points that tell `markdown`, in order; one part without a limit. None is blank."""
    document = parse_markdown(markdown)
    parts = [document] if limit is None else split_document(document, limit, message_size)
    texts = [text for part in parts if is_visible(text := plain_document(part))]
    return [Rendered(text) for text in texts] or [Rendered(EMPTY_ANSWER)]


def preview(markdown: str, limit: int) -> str:
    """`markdown` on one line of at most `limit` code points, e.g. for a list or a notification."""
    return shortened(" ".join(plain_document(parse_markdown(markdown)).split()), limit)


def shortened(text: str, limit: int) -> str:
    """`text` in at most `limit` code points, marked when something is missing."""
    return text if len(text) <= limit else text[: limit - len(_ELLIPSIS)].rstrip() + _ELLIPSIS


def plain_document(document: Document) -> str:
    """What one reads, with lists, quotes and tables laid out by characters. Links tell their address."""
    return "\n".join(_lines(document.blocks, blank=True)).rstrip()


def message_size(document: Document) -> int:
    """The length in code points."""
    return len(plain_document(document))


def address_to_tell(link: Link) -> str:
    """The address of a link that nobody can follow, unless it is what the link shows; then nothing."""
    shown, url = _decoded(plain_text(link.children).strip()), _decoded(link.url)
    return "" if shown in (url, url.removeprefix("mailto:")) else link.url


def _decoded(url: str) -> str:
    """One form for the ways of writing an address, encoded or not."""
    return unquote(normalizeLink(url))


def table_lines(table: Table) -> Iterator[str]:
    """A table as aligned lines for a monospaced screen: the header, a line of dashes, the rows."""
    rows = [[_cell_text(cell) for cell in row] for row in (table.header, *table.rows)]
    widths = [
        max((width for row in rows if (width := columns(row[column])) <= _COLUMN_PADDED_MAX), default=1)
        for column in range(len(table.alignments))
    ]
    for number, row in enumerate(rows):
        cells = (
            _padded(cell, width, alignment)
            for cell, width, alignment in zip(row, widths, table.alignments, strict=True)
        )
        yield " | ".join(cells).rstrip()
        if number == 0:
            yield "-+-".join("-" * width for width in widths)


def _cell_text(cell: Inlines) -> str:
    """A cell's words; in code nobody can follow a link, so its address is told."""
    return _span_texts(cell).replace("\n", " ")


def _padded(cell: str, width: int, alignment: Alignment) -> str:
    missing = max(width - columns(cell), 0)
    match alignment:
        case Alignment.LEFT:
            return cell + " " * missing
        case Alignment.RIGHT:
            return " " * missing + cell
        case Alignment.CENTER:
            return " " * (missing // 2) + cell + " " * (missing - missing // 2)


def _lines(blocks: Blocks, blank: bool) -> Iterator[str]:
    for number, block in enumerate(blocks):
        if number and blank:
            yield ""
        yield from _block_lines(block)


def _block_lines(block: Block) -> Iterator[str]:
    match block:
        case Paragraph(children) | Heading(children):
            yield from _span_texts(children).split("\n")
        case CodeBlock(text):
            yield from text.split("\n")
        case ListBlock():
            yield from _list_lines(block)
        case Quote(children):
            for line in _lines(children, blank=True):
                yield f"> {line}".rstrip()
        case Table():
            yield from table_lines(block)
        case Rule():
            yield RULE_TEXT


def _list_lines(block: ListBlock) -> Iterator[str]:
    for number, item in enumerate(block.items):
        if number and not block.tight:
            yield ""
        marker = BULLET if block.start is None else f"{block.start + number}. "
        if block.continued and number == 0:
            marker = ""
        indentation = " " * len(marker)
        first = marker
        for line in _lines(item, blank=not block.tight):
            yield (first + line).rstrip() if first == marker else indentation + line if line else ""
            first = indentation
        if first == marker and marker.strip():
            yield marker.rstrip()


def _span_texts(spans: Inlines) -> str:
    return "".join(_span_text(span) for span in spans)


def _span_text(span: Inline) -> str:
    match span:
        case Strong(children) | Emphasis(children) | Strike(children):
            return _span_texts(children)
        case Link(children):
            address = address_to_tell(span)
            return _span_texts(children) + (f" ({address})" if address else "")
        case Mention(name):
            return name
        case _:
            return plain_text((span,))
