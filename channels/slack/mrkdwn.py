"""The document model -> mrkdwn, Slack's own markup, and the escaping of text that Slack reads as mrkdwn.

For the places that take no markdown block. mrkdwn has no escape for its marks: a pair of asterisks in words may be
shown as bold, which changes a look and never a meaning. Pure.
"""

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from channels.document import CodeBlock, Document, Heading, Table
from channels.markdown import parse_markdown
from channels.marks import Mark
from channels.markup import WORD_JOINER, Line, MarkupWriter, address, calling_nobody
from channels.messages import Rendered
from channels.plain import BULLET, EMPTY_ANSWER, RULE_TEXT, plain_document, table_lines
from channels.slack.limits import SECTION_MAX_UTF16
from channels.split import split_document
from channels.text import is_visible, utf16_length

_FENCE = "```"
_USER_ID = re.compile(r"[UW][A-Z0-9]{1,30}")


def render_mrkdwn(markdown: str, mentions: frozenset[str] = frozenset()) -> list[Rendered]:
    """The messages that show `markdown` as one section block each; at least one, none blank, none over the limit.

    `mentions` are the ids of the users that it may call.
    """
    document = parse_markdown(markdown)
    parts = split_document(document, SECTION_MAX_UTF16, lambda part: section_size(part, mentions))
    texts = [section_text(part, mentions) for part in parts if is_visible(plain_document(part))]
    return [Rendered(text, {"blocks": [_section(text)]}) for text in texts or [EMPTY_ANSWER]]


def section_text(document: Document, mentions: frozenset[str] = frozenset()) -> str:
    """The mrkdwn of one section. The caller has seen to it that it fits."""
    return _MrkdwnWriter(mentions).write(document)


def section_size(document: Document, mentions: frozenset[str] = frozenset()) -> int:
    """What the document takes of SECTION_MAX_UTF16."""
    return utf16_length(section_text(document, mentions))


def escaped(text: str) -> str:
    """Text that Slack shows as it is: its three control characters as it wants them, and no broadcast."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return calling_nobody(text)


def called(user: str) -> str:
    """What calls a user; nothing when this is no user's id."""
    return f"<@{user}>" if _USER_ID.fullmatch(user) else ""


def _section(text: str) -> dict[str, object]:
    # Verbatim: Slack shall not look for names and addresses of its own accord.
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _without_fences(text: str) -> str:
    """Two backticks at most in a row: three would begin or end a block of code."""
    return re.sub("``(?=`)", "``" + WORD_JOINER, text)


class _MrkdwnWriter(MarkupWriter):
    DELIMITERS: ClassVar[Mapping[Mark, Sequence[str]]] = {
        Mark.STRONG: ("*",),
        Mark.EMPHASIS: ("_",),
        Mark.STRIKE: ("~",),
    }
    WORD_BOUND: ClassVar[frozenset[str]] = frozenset("*_~")
    BULLETS: ClassVar[tuple[str, ...]] = (BULLET,)

    def escaped(self, text: str, at_line_start: bool) -> str:
        return _without_fences(escaped(text))

    def code(self, text: str) -> str:
        # There is no way to write a backtick within code.
        return self.words(text) if "`" in text else f"`{_escaped_code(text)}`"

    def fence(self, block: CodeBlock) -> list[Line]:
        lines = _escaped_code(_without_fences(block.text)).split("\n")
        return [Line(line, is_literal=True) for line in (_FENCE, *lines, _FENCE)]

    def heading(self, heading: Heading) -> list[Line]:
        text = self.on_one_line(heading.children, without=frozenset({Mark.STRONG}))
        return [Line(f"*{text}*" if text else "")]

    def table(self, table: Table) -> list[Line]:
        return self.fence(CodeBlock("\n".join(table_lines(table))))

    def rule(self) -> str:
        return RULE_TEXT

    def call(self, user: str) -> str:
        return called(user)

    def bare_address(self, url: str) -> str:
        return f"<{address(url).replace('&', '&amp;')}>"

    def labelled_address(self, label: str, url: str) -> str:
        return f"<{address(url).replace('&', '&amp;')}|{label}>"

    def quoted(self, lines: Sequence[Line]) -> list[Line]:
        mark = "&gt; " if self.in_quote else "> "
        return [line if line.is_literal and self.in_quote else Line(mark + line.text) for line in lines]


def _escaped_code(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
