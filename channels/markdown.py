"""CommonMark with tables and strikethrough -> the document model. Never raises, whatever the text is.

The parser is markdown-it-py; only its tokens are used. Nothing a person should read is lost: raw HTML stays the
text it is, an image becomes a link to it, a link's title and a source that no link uses are told in words, cells
beyond a table's columns stay in the last one, what a fence says besides its language stands above it. Bare
addresses are left to the platforms. `[name](mention:id)` is a Mention. Rendering and splitting live elsewhere.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from markdown_it import MarkdownIt
from markdown_it.rules_block.table import escapedSplit
from markdown_it.token import Token

from channels.document import (
    Alignment,
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
from channels.text import well_formed

# Blocks nested deeper than this (a list counts two) are not parsed: markdown-it-py 4.3 would drop their text.
# Its own 20 is reached by ten nested lists; its recursion, and ours, stays far from Python's limit of 1000.
_BLOCK_DEPTH_MAX = 40
# The parser does not bound nested emphasis. Deeper marks are dropped, their text is kept.
_INLINE_DEPTH_MAX = 10

_MENTION_SCHEME = "mention:"
_CELL_SEPARATOR = " | "
_LANGUAGE = re.compile(r"[A-Za-z0-9_+.#-]{1,32}")

_parser = MarkdownIt(
    "commonmark",
    # Both options leave a trace of link definitions in the tokens; without them unused ones would be lost.
    {"maxNesting": _BLOCK_DEPTH_MAX, "inline_definitions": True, "store_labels": True},
).enable(["table", "strikethrough"])


def parse_markdown(text: str) -> Document:
    """The document that `text` describes. Text nested too deep to follow becomes one plain paragraph."""
    text = well_formed(text).replace("\0", "\ufffd")
    tokens = _parser.parse(text)
    if any(token.level >= _BLOCK_DEPTH_MAX - 1 for token in tokens):
        return Document((Paragraph(_lines(text.strip())),))
    _keep_surplus_cells(tokens, text)
    return Document(_read_blocks(_with_infos(_without_used_definitions(tokens)), closing=None))


def _with_infos(tokens: list[Token]) -> Iterator[Token]:
    """Before a fence that says more than a language, a token that holds what it says."""
    for token in tokens:
        info = " ".join(token.info.split())
        if token.type == "fence" and info and not _LANGUAGE.fullmatch(info):
            yield Token("info", "", 0, content=info)
        yield token


def _without_used_definitions(tokens: list[Token]) -> list[Token]:
    """All tokens but the link definitions whose links stand in the text; the first of one label counts."""
    if not any(token.type == "definition" for token in tokens):
        return tokens
    used = {child.meta.get("label") for token in tokens for child in token.children or ()}
    kept: list[Token] = []
    for token in tokens:
        if token.type == "definition" and token.meta["id"] in used:
            used.discard(token.meta["id"])
        else:
            kept.append(token)
    return kept


def _keep_surplus_cells(tokens: list[Token], text: str) -> None:
    """Put the cells that the parser leaves out, because their column has no header, into the last cell."""
    if not any(token.type == "table_open" for token in tokens):
        return
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    line, columns, cell = 0, 0, Token("", "", 0)
    for token in tokens:
        match token.type:
            case "table_open":
                line, columns = (token.map or [0])[0], 0
            case "th_open":
                columns += 1
            case "inline":
                cell = token
            case "tbody_open":
                line += 1  # from the header to the line of dashes
            case "tr_open" if columns:
                line += 1
            case "tr_close":
                surplus = _surplus(lines[line], columns)
                if surplus and cell.children is not None:
                    cell.children += _parser.parseInline(_CELL_SEPARATOR + surplus)[0].children or []


def _surplus(line: str, columns: int) -> str:
    cells = escapedSplit(line.lstrip(" \t>").rstrip())
    if cells and not cells[0]:
        cells.pop(0)
    if cells and not cells[-1]:
        cells.pop()
    return _CELL_SEPARATOR.join(cells[columns:])


def _read_blocks(tokens: Iterator[Token], closing: str | None) -> Blocks:
    """The blocks up to the token `closing`, which is consumed."""
    blocks: list[Block] = []
    for token in tokens:
        if token.type == closing:
            break
        block = _read_block(token, tokens)
        if block is not None:
            blocks.append(block)
    return tuple(blocks)


def _read_block(token: Token, tokens: Iterator[Token]) -> Block | None:
    match token.type:
        case "paragraph_open":
            return _paragraph(_read_inline(tokens, "paragraph_close"))
        case "definition":
            return Paragraph(_source(token))
        case "heading_open":
            spans = _read_inline(tokens, "heading_close")
            return Heading(spans, level=int(token.tag[1:])) if spans else None
        case "fence" | "code_block":
            language, *_ = token.info.split() or [""]
            return CodeBlock(
                token.content.removesuffix("\n"), language if _LANGUAGE.fullmatch(language) else ""
            )
        case "bullet_list_open":
            return _read_list(tokens, "bullet_list_close", start=None)
        case "ordered_list_open":
            return _read_list(tokens, "ordered_list_close", start=int(token.attrs.get("start", 1)))
        case "blockquote_open":
            children = _read_blocks(tokens, "blockquote_close")
            return Quote(children) if children else None
        case "table_open":
            return _read_table(tokens)
        case "hr":
            return Rule()
        case _:  # html_block and info, the only other leaves
            return _paragraph(_lines(token.content.strip("\n")))


def _paragraph(spans: Inlines) -> Paragraph | None:
    return Paragraph(spans) if spans else None


def _read_list(tokens: Iterator[Token], closing: str, start: int | None) -> ListBlock | None:
    items: list[Blocks] = []
    tight = True
    for token in tokens:
        if token.type == closing:
            break
        item, is_tight = _read_item(tokens)
        items.append(item)
        tight = tight and is_tight
    return ListBlock(tuple(items), start, tight)


def _read_item(tokens: Iterator[Token]) -> tuple[Blocks, bool]:
    """An item's blocks, and whether its paragraphs are marked tight (hidden, in the parser's word)."""
    blocks: list[Block] = []
    tight = True
    for token in tokens:
        if token.type == "list_item_close":
            break
        tight = tight and (token.type != "paragraph_open" or token.hidden)
        block = _read_block(token, tokens)
        if block is not None:
            blocks.append(block)
    return tuple(blocks), tight


def _read_table(tokens: Iterator[Token]) -> Table:
    alignments: list[Alignment] = []
    rows: list[list[Inlines]] = []
    for token in tokens:
        match token.type:
            case "table_close":
                break
            case "tr_open":
                rows.append([])
            case "th_open":
                style = str(token.attrs.get("style", "text-align:left"))
                alignments.append(Alignment(style.removeprefix("text-align:")))
                rows[-1].append(_read_inline(tokens, "th_close"))
            case "td_open":
                rows[-1].append(_read_inline(tokens, "td_close"))
    header, *body = (tuple(row) for row in rows)
    return Table(header, tuple(body), tuple(alignments))


def _read_inline(tokens: Iterator[Token], closing: str) -> Inlines:
    spans: Inlines = ()
    for token in tokens:
        if token.type == closing:
            break
        spans = _spans(token.children or [])
    return spans


@dataclass(slots=True)
class _OpenMark:
    """A mark whose end has not been read; `wrap` makes the span of its children, None keeps them bare.

    `after` is what the mark says besides its children.
    """

    wrap: Callable[[Inlines], Inline] | None
    after: Inlines = ()
    children: list[Inline] = field(default_factory=list)


def _spans(tokens: list[Token]) -> Inlines:
    """One stack instead of recursion: emphasis nests as deep as the text is long."""
    stack = [_OpenMark(None)]
    for token in tokens:
        if token.nesting == 1:
            wrap = _wrapper(token) if len(stack) <= _INLINE_DEPTH_MAX else None
            stack.append(_OpenMark(wrap, _titled(token, "")))
        elif token.nesting == -1:
            closed = stack.pop()
            stack[-1].children.extend((*_closed(closed), *closed.after))
        else:
            stack[-1].children.extend(_leaf(token))
    return _joined(stack[0].children)


def _closed(mark: _OpenMark) -> Inlines:
    children = _joined(mark.children)
    return (mark.wrap(children),) if mark.wrap else children


def _wrapper(token: Token) -> Callable[[Inlines], Inline]:
    match token.type:
        case "strong_open":
            return Strong
        case "em_open":
            return Emphasis
        case "s_open":
            return Strike
        case _:  # link_open
            return _link_wrapper(str(token.attrs.get("href", "")))


def _link_wrapper(url: str) -> Callable[[Inlines], Inline]:
    if url[: len(_MENTION_SCHEME)].lower() == _MENTION_SCHEME:
        user = url[len(_MENTION_SCHEME) :]
        return lambda children: Mention(" ".join(plain_text(children).split()) or user, user)
    return lambda children: Link(children or _lines(url), url)


def _titled(token: Token, shown: str) -> Inlines:
    """The words of a title, which nothing else would show."""
    title = " ".join(str(token.attrs.get("title", "")).split())
    return (Text(f" ({title})"),) if title and title != shown else ()


def _source(definition: Token) -> Inlines:
    """A link definition that no link uses, e.g. one of a list of sources."""
    label, url, title = (" ".join(str(definition.meta[key]).split()) for key in ("label", "url", "title"))
    target = (Text(" "), Link((Text(url),), url)) if url else ()
    return (Text(f"[{label}]:"), *target, *_lines(title and f" {title}"))


def _leaf(token: Token) -> Inlines:
    match token.type:
        case "softbreak" | "hardbreak":
            # People and models write one line per thought; joining lines as HTML does would lose that.
            return (LineBreak(),)
        case "code_inline":
            return (Code(token.content),)
        case "image":
            return _image(token)
        case _:  # text, html_inline
            return _lines(token.content)


def _image(token: Token) -> Inlines:
    url = str(token.attrs.get("src", ""))
    description = plain_text(_spans(token.children or [])).strip()
    shown = description or url
    return (*((Link(_lines(shown), url),) if shown else ()), *_titled(token, shown))


def _lines(text: str) -> Inlines:
    spans: list[Inline] = []
    for number, line in enumerate(text.split("\n")):
        if number:
            spans.append(LineBreak())
        if line:
            spans.append(Text(line))
    return tuple(spans)


def _joined(spans: list[Inline]) -> Inlines:
    """Adjacent texts as one, so that the same words always make the same model."""
    joined: list[Inline] = []
    for span in spans:
        if isinstance(span, Text) and joined and isinstance(joined[-1], Text):
            joined[-1] = Text(joined[-1].text + span.text)
        else:
            joined.append(span)
    return tuple(joined)
