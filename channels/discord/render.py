"""The document model -> Discord messages: text in Discord's Markdown, nobody called but by the allowlist. Pure.

Discord's dialect: headings of three levels (deeper ones are bold), no tables (aligned code), no images (links), no
rules, no quotes within quotes, no character references, and one kind of fence. So three backticks inside code
cannot be written: an invisible WORD JOINER stands between them, the one place where code is not kept to the byte.
Mentions are parsed by the server from the raw text: `allowed_mentions` in the payload is the lock, the broken-up
text what people see. Addresses stand in angle brackets, and previews are off.
"""

import re
from collections.abc import Sequence

from channels.discord.limits import CONTENT_MAX_CODEPOINTS, SUPPRESS_EMBEDS
from channels.document import CodeBlock, Document, Heading, Table
from channels.markdown import parse_markdown
from channels.marks import Mark
from channels.markup import WORD_JOINER, Line, MarkupWriter, code_span, escaped_line_start, heading_line
from channels.messages import Rendered
from channels.plain import EMPTY_ANSWER, RULE_TEXT, plain_document, table_lines
from channels.split import split_document
from channels.text import is_visible

_HEADING_MAX = 3
_FENCE = "```"
_MARKUP = re.compile(r"[\\`*_~|\[\]<]")
# What begins a person, a role or a room, as Discord writes them; the bracket may be in another piece of text.
_TOKEN = re.compile(r"(?<!\w)@(?=[!&]?\d)|(?<=<)[@#]")
_SNOWFLAKE = re.compile(r"[0-9]{15,20}")


def render_markdown(markdown: str, mentions: frozenset[str] = frozenset()) -> list[Rendered]:
    """The messages that show `markdown`, in order; at least one, none blank, none over the limit.

    `mentions` are the ids of the users that it may call. The payload holds `allowed_mentions` and `flags`.
    """
    document = parse_markdown(markdown)
    parts = split_document(document, CONTENT_MAX_CODEPOINTS, lambda part: message_size(part, mentions))
    rendered = [render_document(part, mentions) for part in parts if is_visible(plain_document(part))]
    return rendered or [_message(EMPTY_ANSWER, [])]


def render_document(document: Document, mentions: frozenset[str] = frozenset()) -> Rendered:
    """One message. The caller has seen to it that it fits."""
    writer = _DiscordWriter(mentions)
    return _message(writer.write(document), list(writer.called))


def message_size(document: Document, mentions: frozenset[str] = frozenset()) -> int:
    """What the document takes of CONTENT_MAX_CODEPOINTS."""
    return len(_DiscordWriter(mentions).write(document))


def _message(text: str, users: list[str]) -> Rendered:
    return Rendered(text, {"allowed_mentions": {"parse": [], "users": users}, "flags": SUPPRESS_EMBEDS})


class _DiscordWriter(MarkupWriter):
    BULLETS = ("- ", "* ")

    def __init__(self, mentions: frozenset[str]) -> None:
        super().__init__(mentions)
        self.called: dict[str, None] = {}  # in order, each once

    def escaped(self, text: str, at_line_start: bool) -> str:
        text = _MARKUP.sub(r"\\\g<0>", _TOKEN.sub(rf"\g<0>{WORD_JOINER}", text))
        if not at_line_start:
            return text
        return "\\" + text if text.startswith(">") else escaped_line_start(text)

    def code(self, text: str) -> str:
        if self.in_link:
            return self.words(text)  # brackets of code would end the label
        # Code between more than two backticks would be a block.
        fits = len(code_span(text)) - len(code_span(text).lstrip("`")) < len(_FENCE)
        return code_span(text if fits else re.sub("`(?=`)", "`" + WORD_JOINER, text))

    def fence(self, block: CodeBlock) -> list[Line]:
        text = re.sub("``(?=`)", "``" + WORD_JOINER, block.text)
        # Without content there would be no block, and the fence would begin one further on.
        lines = text.split("\n") if text.strip("\n") else [" "]
        opening = _FENCE + block.language
        return [Line(line, is_literal=True) for line in (opening, *lines, _FENCE)]

    def heading(self, heading: Heading) -> list[Line]:
        if heading.level > _HEADING_MAX:
            text = self.on_one_line(heading.children, without=frozenset({Mark.STRONG}))
            return [Line(f"**{text}**" if text else "")]
        return [Line(heading_line(heading.level, self.on_one_line(heading.children)))]

    def table(self, table: Table) -> list[Line]:
        return self.fence(CodeBlock("\n".join(table_lines(table))))

    def rule(self) -> str:
        return RULE_TEXT

    def call(self, user: str) -> str:
        if not _SNOWFLAKE.fullmatch(user):
            return ""
        self.called[user] = None
        return f"<@{user}>"

    def quoted(self, lines: Sequence[Line]) -> list[Line]:
        if self.in_quote:
            return [line if line.is_literal else Line(f"\\> {line.text}") for line in lines]
        return super().quoted(lines)
