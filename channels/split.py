"""Splitting a document into parts that a platform takes, on the model and never on its rendered text.

Theory of operation: a part is filled with as many whole blocks as fit. A block that would fit a part of its
own moves to the next part; one that never fits is cut inside: a list between items, a table between rows
(the header is repeated), code between lines (closed and opened again with its language), a text at a line
end, else at a space. Only at the start of a part, where more room cannot be had, is a cut forced: inside an
item, a row, a line of code, a word. A container so narrow inside that nothing fits gives up its frame, so
every step makes a part or makes the rest smaller. `measure` is the only one who knows units and markup: what
it accepted is what is returned, so no part is ever over the limit. White space at a cut is dropped.
"""

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace

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
    plain_text,
)

# Below this no frame with a character in it is sure to fit; every real platform allows far more.
LIMIT_MIN = 64
# How far back a cut looks for a character that does not belong to the one before it, e.g. an accent.
_CLUSTER_MAX = 16
_JOINERS = frozenset("\u200d\ufe0e\ufe0f")

Measure = Callable[[Document], int]
_Fits = Callable[[Blocks], bool]
# What a cut leaves: a head that fits (empty when nothing did) and the rest.
_Cut = tuple[Blocks, Blocks]


def split_document(document: Document, limit: int, measure: Measure) -> list[Document]:
    """Parts in order, each with `measure(part) <= limit`; empty for a document without content.

    `measure` must grow with what it is given, count at least one for every character, and allow one plain
    character within LIMIT_MIN.
    """
    if limit < LIMIT_MIN:
        raise ValueError(f"the limit of a part is at least {LIMIT_MIN}, not {limit}")

    def fits(blocks: Blocks) -> bool:
        # Without the first question every cut would measure all that is left: quadratic in long documents.
        return not _has_more_characters(blocks, limit) and measure(Document(blocks)) <= limit

    if document.blocks and fits(document.blocks):
        return [document]  # most answers are short, and one question is enough for them
    parts: list[Document] = []
    rest = document.blocks
    while rest:
        head, rest = _take(rest, fits, forced=True)
        if head:
            parts.append(Document(head))
        else:
            rest = (*_without_frame(rest[0]), *rest[1:])
    return parts


def _has_more_characters(blocks: Blocks, limit: int) -> bool:
    seen = 0
    for text in _texts(blocks):
        seen += len(text)
        if seen > limit:
            return True
    return False


def _texts(blocks: Blocks) -> Iterator[str]:
    """The characters of every leaf, read only as far as one asks."""
    for block in blocks:
        match block:
            case Paragraph(children) | Heading(children):
                yield from _span_texts(children)
            case CodeBlock(text):
                yield text
            case ListBlock(items):
                for item in items:
                    yield from _texts(item)
            case Quote(children):
                yield from _texts(children)
            case Table(header, rows):
                for row in (header, *rows):
                    for cell in row:
                        yield from _span_texts(cell)
            case Rule():
                pass


def _span_texts(spans: Inlines) -> Iterator[str]:
    return (plain_text((span,)) for span in spans)


def _take(blocks: Blocks, fits: _Fits, forced: bool) -> _Cut:
    """As many of `blocks` as fit, the last one cut when it would not fit a part of its own either."""
    count = _most(len(blocks), lambda n: fits(blocks[:n]))
    if count == len(blocks):
        return blocks, ()
    before, block, after = blocks[:count], blocks[count], blocks[count + 1 :]
    if not before or not fits((block,)):
        head, tail = _cut(block, lambda pieces: fits((*before, *pieces)), forced and not before)
        if head:
            return (*before, *head), (*tail, *after)
    if count > 1 and isinstance(before[-1], Heading):
        return before[:-1], blocks[count - 1 :]  # a heading stays with what it announces
    return before, blocks[count:]


def _cut(block: Block, fits: _Fits, forced: bool) -> _Cut:
    """Cut one block so that its head fits. An empty head means that it cannot be cut to fit."""
    match block:
        case Paragraph(children):
            head, tail = _cut_spans(children, lambda spans: fits((Paragraph(spans),)), forced)
            return _paragraphs(head), _paragraphs(tail)
        case Heading(children, level):
            head, tail = _cut_spans(children, lambda spans: fits((Heading(spans, level),)), forced)
            return ((Heading(head, level),) if head else ()), ((Heading(tail, level),) if tail else ())
        case CodeBlock():
            return _cut_code(block, fits, forced)
        case ListBlock():
            return _cut_list(block, fits, forced)
        case Quote(children):
            inner, rest = _take(children, lambda blocks: fits((Quote(blocks),)), forced)
            return ((Quote(inner),) if inner else ()), ((Quote(rest),) if rest else ())
        case Table():
            return _cut_table(block, fits, forced)
        case Rule():
            return (), (block,)


def _without_frame(block: Block) -> Blocks:
    """The content of a block of which not even the beginning fits: words weigh more than their frame."""
    match block:
        case Quote(children):
            return children
        case ListBlock(items):
            return tuple(child for item in items for child in item)
        case Table(header, rows):
            return tuple(part for row in (header, *rows) for part in _paragraphs(_row_spans(row)))
        case CodeBlock(text):
            return _paragraphs(tuple(_text_lines(text)))
        case Heading(children):
            return _paragraphs(children)
        case Paragraph(children):
            plain = tuple(_text_lines(plain_text(children)))
            if plain == children:
                raise ValueError("measure allows not even one plain character")
            return _paragraphs(plain)
        case Rule():
            return ()


def _paragraphs(spans: Inlines) -> Blocks:
    return (Paragraph(spans),) if spans else ()


def _cut_code(block: CodeBlock, fits: _Fits, forced: bool) -> _Cut:
    lines = block.text.split("\n")

    def upto(count: int) -> CodeBlock:
        return replace(block, text="\n".join(lines[:count]))

    count = _most(len(lines), lambda n: fits((upto(n),)))
    if count:
        return (upto(count),), (replace(block, text="\n".join(lines[count:])),)
    first = lines[0]
    length = _most(len(first), lambda n: fits((replace(block, text=first[:n]),))) if forced else 0
    if not length:
        return (), (block,)
    space = first.rfind(" ", 1, length)
    end = space + 1 if space >= length // 2 else _cluster_start(first, length)
    tail = "\n".join((first[end:], *lines[1:]))
    return (replace(block, text=first[:end]),), (replace(block, text=tail),)


def _cut_list(block: ListBlock, fits: _Fits, forced: bool) -> _Cut:
    items = block.items
    count = _most(len(items), lambda n: fits((replace(block, items=items[:n]),)))
    if count:
        start = None if block.start is None else block.start + count
        rest = replace(block, items=items[count:], start=start, continued=False)
        return (replace(block, items=items[:count]),), (rest,)
    if not forced:
        return (), (block,)
    head, tail = _take(items[0], lambda blocks: fits((replace(block, items=(blocks,)),)), forced)
    if not head:
        return (), (block,)
    return (replace(block, items=(head,)),), (replace(block, items=(tail, *items[1:]), continued=True),)


def _cut_table(block: Table, fits: _Fits, forced: bool) -> _Cut:
    rows = block.rows
    count = _most(len(rows), lambda n: fits((replace(block, rows=rows[:n]),)))
    if count:
        return (replace(block, rows=rows[:count]),), (replace(block, rows=rows[count:]),)
    if not forced:
        return (), (block,)
    # A row that does not fit below its header is told as a text, and its header above it.
    told = tuple(part for row in (block.header, *rows[:1]) for part in _paragraphs(_row_spans(row)))
    rest: Blocks = (replace(block, rows=rows[1:]),) if len(rows) > 1 else ()
    head, tail = _take(told, fits, forced)
    return head, (*tail, *rest)


def _row_spans(row: tuple[Inlines, ...]) -> Inlines:
    spans: list[Inline] = []
    for number, cell in enumerate(row):
        spans.extend((Text(" | "), *cell) if number else cell)
    return tuple(spans)


def _cut_spans(spans: Inlines, fits: Callable[[Inlines], bool], forced: bool) -> tuple[Inlines, Inlines]:
    """Cut a line of text; the head may be empty, when not one character fits."""
    text = plain_text(spans)
    length = _most(len(text), lambda n: fits(_slice(spans, 0, n)))
    if not length:
        return (), spans
    end = _text_end(text, length) or (_cluster_start(text, length) if forced else 0)
    if not end:
        return (), spans
    start = end
    while start < len(text) and text[start].isspace():
        start += 1
    # The head loses the white space at its end, but not all of it: a part must not be empty.
    kept = len(text[:end].rstrip()) or end
    return _slice(spans, 0, kept), _slice(spans, start, len(text))


def _text_end(text: str, length: int) -> int:
    """Where a text of at most `length` characters may end: at a line end, else a space; 0 for nowhere.

    Only the second half is looked at, so that parts are at least half full.
    """
    if length == len(text) or text[length].isspace():
        return length
    half = length // 2
    newline = text.rfind("\n", half, length)
    if newline > 0:
        return newline
    return next((end for end in range(length, half, -1) if text[end - 1].isspace()), 0)


def _cluster_start(text: str, end: int) -> int:
    """The nearest cut at or before `end` that leaves accents and joined emoji with their base."""
    for cut in range(end, max(end - _CLUSTER_MAX, 0), -1):
        if not (unicodedata.combining(text[cut]) or text[cut] in _JOINERS or text[cut - 1] in _JOINERS):
            return cut
    return end


def _slice(spans: Inlines, start: int, end: int) -> Inlines:
    """The spans of the characters `start` to `end`, counted as `plain_text` does."""
    return tuple(_slices(spans, start, end))


def _slices(spans: Inlines, start: int, end: int) -> Iterator[Inline]:
    position = 0
    for span in spans:
        if position >= end:
            return
        size = len(plain_text((span,)))
        begin, stop = max(start - position, 0), min(end - position, size)
        position += size
        if begin >= stop:
            continue
        yield span if (begin, stop) == (0, size) else _cut_span(span, begin, stop)


def _cut_span(span: Inline, start: int, end: int) -> Inline:
    match span:
        case Text(text):
            return Text(text[start:end])
        case Code(text):
            return Code(text[start:end])
        case LineBreak():  # one character, so there is nothing to cut
            return span
        case Mention(name, user):  # one call is enough
            return Text(name[start:end]) if start else Mention(name[:end], user)
        case Strong(children) | Emphasis(children) | Strike(children):
            return type(span)(_slice(children, start, end))
        case Link(children, url):
            return Link(_slice(children, start, end), url)


def _text_lines(text: str) -> Iterator[Inline]:
    for number, line in enumerate(text.split("\n")):
        if number:
            yield LineBreak()
        if line:
            yield Text(line)


def _most(count: int, fits: Callable[[int], bool]) -> int:
    """The largest n up to `count` with `fits(n)`, 0 when not even 1; doubling first, then halving.

    Doubling keeps every question near the size of a part, however long the document is.
    """
    good, step = 0, 1
    while good < count:
        tried = min(good + step, count)
        if fits(tried):
            good, step = tried, step * 2
            continue
        bad = tried
        while bad - good > 1:
            middle = (good + bad) // 2
            good, bad = (middle, bad) if fits(middle) else (good, middle)
        return good
    return good
