"""How much of an answer being written can be shown for good: pieces that are never taken back.

Only the last line is looked at closely; whoever shows the pieces shows the whole answer again when it is complete,
so that a wrong guess is a blemish for seconds.
"""

import re
from typing import Final

HELD_CHARS: Final = 200
"""Markup that is not closed after so many characters is text that looks like markup."""
_FENCE: Final = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)
_UNDECIDED: Final = re.compile(r"[ \t]*(?:[`~#>*+=|_-]|\d{1,9}[.)]?)*[ \t]*")
"""A line of which nobody can tell yet what it becomes: a fence, a heading, a list, a rule."""
_MARKUP: Final = re.compile(r"\\.|(`+)|(\*+|_+|~~)|(\[)|(\]\([^)\s]*\))|(\](?!\())", re.DOTALL)
_TRAILING: Final = re.compile(r"[\\`*_~!\[\]]+$|\]\([^)]*$")


def settled_chars(text: str) -> int:
    """How many characters from the start say already what they will say in the end."""
    begin = text.rfind("\n") + 1
    line = text[begin:]
    if _UNDECIDED.fullmatch(line):
        return begin
    if len(_FENCE.findall(text[:begin])) % 2:
        return len(text)  # code is what it is
    end = _settled_in_line(line)
    return begin + (end if len(line) - end <= HELD_CHARS else len(line))


def _settled_in_line(line: str) -> int:
    """Up to the first markup that is not closed yet."""
    trailing = _TRAILING.search(line)
    open_at: dict[str, int] = {}
    code: str | None = None
    for found in _MARKUP.finditer(line):
        ticks, emphasis, bracket, target, plain_end = found.groups()
        if code is not None:
            if ticks == code:
                open_at.pop(code)
                code = None
        elif ticks:
            code = ticks
            open_at[ticks] = found.start()
        elif emphasis:
            _toggle(open_at, emphasis, line, found.start(), found.end())
        elif bracket:
            open_at.setdefault("[", found.start())
        elif target or plain_end:
            open_at.pop("[", None)
    ends = [*open_at.values(), trailing.start() if trailing else len(line)]
    return min(ends)


def _toggle(open_at: dict[str, int], mark: str, line: str, begin: int, end: int) -> None:
    if mark in open_at:
        del open_at[mark]
    elif end < len(line) and not line[end].isspace() and not (begin and line[begin - 1].isalnum()):
        open_at[mark] = begin  # what has a space behind it, or a word on both sides, opens nothing
