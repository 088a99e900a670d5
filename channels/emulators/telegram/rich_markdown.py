"""Markdown to the blocks of a rich message, as far as a page needs them: the emulator's own plain reading.

Pure. The real server's parser is not published. Read here are headings, fenced code, lists, quotes, tables,
rules and paragraphs; what stands inside a line stays as it was written, because how the server nests RichText
is not something a test should come to rely on.
"""

import re

from channels.emulators.telegram.records import Json

_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*")
_FENCE = re.compile(r"(`{3,}|~{3,})\s*(\S*).*")
_ITEM = re.compile(r"\s*([-*+]|\d{1,9}[.)])\s+(.*)")
_RULE = re.compile(r"\s*([-*_])(\s*\1){2,}\s*")
_TABLE_RULE = re.compile(r"\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*")


def blocks_of(markdown: str) -> list[Json]:
    """The blocks, in order."""
    lines, blocks, at = markdown.split("\n"), list[Json](), 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        block, at = _next_block(lines, at)
        blocks.append(block)
    return blocks


def _next_block(lines: list[str], at: int) -> tuple[Json, int]:
    line = lines[at]
    if fence := _FENCE.fullmatch(line):
        return _code(lines, at, fence)
    if heading := _HEADING.fullmatch(line):
        return {"type": "heading", "text": heading[2], "size": len(heading[1])}, at + 1
    if _RULE.fullmatch(line):
        return {"type": "divider"}, at + 1
    if line.lstrip().startswith(">"):
        return _quote(lines, at)
    if "|" in line and at + 1 < len(lines) and "-" in lines[at + 1] and _TABLE_RULE.fullmatch(lines[at + 1]):
        return _table(lines, at)
    if _ITEM.fullmatch(line):
        return _list(lines, at)
    end = at + 1
    while end < len(lines) and not _starts_block(lines[end]):
        end += 1
    return {"type": "paragraph", "text": "\n".join(one.strip() for one in lines[at:end])}, end


def _starts_block(line: str) -> bool:
    is_marked = any(one.fullmatch(line) for one in (_FENCE, _HEADING, _RULE, _ITEM))
    return not line.strip() or is_marked or line.lstrip().startswith(">")


def _code(lines: list[str], at: int, fence: re.Match[str]) -> tuple[Json, int]:
    end = at + 1
    while end < len(lines) and not lines[end].strip().startswith(fence[1]):
        end += 1
    block: Json = {"type": "pre", "text": "\n".join(lines[at + 1 : end])}
    return ({**block, "language": fence[2]} if fence[2] else block), end + 1


def _quote(lines: list[str], at: int) -> tuple[Json, int]:
    end = at
    while end < len(lines) and lines[end].lstrip().startswith(">"):
        end += 1
    inner = "\n".join(line.lstrip()[1:].removeprefix(" ") for line in lines[at:end])
    return {"type": "blockquote", "blocks": blocks_of(inner)}, end


def _list(lines: list[str], at: int) -> tuple[Json, int]:
    items = []
    while at < len(lines) and (item := _ITEM.fullmatch(lines[at])):
        label = item[1] if item[1][0].isdigit() else "•"
        items.append({"label": label, "blocks": [{"type": "paragraph", "text": item[2]}]})
        at += 1
    return {"type": "list", "items": items}, at


def _table(lines: list[str], at: int) -> tuple[Json, int]:
    end = at + 2
    while end < len(lines) and "|" in lines[end]:
        end += 1
    rows = [lines[at], *lines[at + 2 : end]]
    cells = [
        [
            {
                "align": "left",
                "valign": "top",
                "text": cell.strip(),
                **({"is_header": True} if row == 0 else {}),
            }
            for cell in line.strip().strip("|").split("|")
        ]
        for row, line in enumerate(rows)
    ]
    return {"type": "table", "cells": cells}, end
