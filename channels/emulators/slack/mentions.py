"""Mentions: who a client would notify of a text, and how what a person types becomes Slack's markup.

Pure. An app's `text` and `mrkdwn` objects are markup: `<@U…>`, `<!channel>`, `<!here>`, `<!everyone>` and
`<!subteam^S…>` notify, escaped (`&lt;`) they do not. In standard Markdown (`markdown` blocks, `markdown_text`,
streams) the same marks count outside of code: code is literal there, which is assumed, not documented.
https://docs.slack.dev/messaging/formatting-message-text
"""

import re
from collections.abc import Callable, Iterable

from channels.emulators.slack.records import Json

_MARK = re.compile(r"<(?:@([UW][A-Z0-9]+)|!(channel|here|everyone)|!subteam\^(S[A-Z0-9]+))(?:\|[^<>]*)?>")
_WORD = re.compile(r"(?<![\w@])@(channel|here|everyone)\b")
_FENCE = re.compile(r"^( {0,3})(`{3,}|~{3,}).*?(?:^ {0,3}\2[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
# What a person types: a mark stays one, a name becomes one, an address becomes a link, the rest is escaped.
_TYPED = re.compile(
    r"(?P<mark><[@!#][^<>\s]+>)|(?<![\w@])@(?P<name>[\w.-]+)|(?<!\w)#(?P<channel>[\w-]+)|(?P<url>https?://[^\s<>]+)"
)


def marks_in(text: str) -> tuple[str, ...]:
    """Who is mentioned by markup: user ids, `!channel`, `!here`, `!everyone`, `!subteam^S…`; no doubles."""
    return tuple(dict.fromkeys(_named(match) for match in _MARK.finditer(text)))


def marks_in_markdown(text: str) -> tuple[str, ...]:
    """The same for standard Markdown: code does not count."""
    return marks_in(_SPAN.sub("", _FENCE.sub("", text)))


def marks_in_blocks(blocks: Iterable[Json]) -> tuple[str, ...]:
    """Who the blocks of a message mention: in markup texts, in Markdown and in rich text."""
    found: list[str] = []
    for block in blocks:
        if block.get("type") == "markdown":
            found.extend(marks_in_markdown(str(block.get("text", ""))))
        else:
            _collect(block, found)
    return tuple(dict.fromkeys(found))


def marks_in_words(text: str) -> tuple[str, ...]:
    """`@channel` and its kin as bare words: they count only with `link_names` or `parse=full`."""
    return tuple(dict.fromkeys(f"!{word}" for word in _WORD.findall(text)))


def escape(text: str) -> str:
    """The three characters that are control characters in markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def typed(
    text: str, user_id: Callable[[str], str | None], channel_id: Callable[[str], str | None]
) -> tuple[str, list[Json]]:
    """What a client sends for what a person typed: the markup, and the elements of its rich text section."""
    markup: list[str] = []
    elements: list[Json] = []
    end = 0
    for match in _TYPED.finditer(text):
        mark, element = _typed_one(match, user_id, channel_id)
        if element is None:
            continue
        _plain(text[end : match.start()], markup, elements)
        markup.append(mark)
        elements.append(element)
        end = match.end()
    _plain(text[end:], markup, elements)
    return "".join(markup), elements


def _plain(text: str, markup: list[str], elements: list[Json]) -> None:
    if text:
        markup.append(escape(text))
        elements.append({"type": "text", "text": text})


def _typed_one(
    match: re.Match[str], user_id: Callable[[str], str | None], channel_id: Callable[[str], str | None]
) -> tuple[str, Json | None]:
    if url := match["url"]:
        return f"<{url}>", {"type": "link", "url": url}
    if name := match["name"]:
        if name in ("channel", "here", "everyone"):
            return f"<!{name}>", {"type": "broadcast", "range": name}
        if (user := user_id(name)) is not None:
            return f"<@{user}>", {"type": "user", "user_id": user}
        return "", None
    if name := match["channel"]:
        if (channel := channel_id(name)) is not None:
            return f"<#{channel}|{name}>", {"type": "channel", "channel_id": channel}
        return "", None
    mark = match["mark"]
    inner = mark[2:-1].partition("|")[0]
    kinds = {"@": ("user", "user_id"), "!": ("broadcast", "range"), "#": ("channel", "channel_id")}
    kind, field = kinds[mark[1]]
    return mark, {"type": kind, field: inner}


def _named(match: re.Match[str]) -> str:
    user, broadcast, group = match.groups()
    return user or (f"!{broadcast}" if broadcast else f"!subteam^{group}")


def _collect(node: object, found: list[str]) -> None:
    if isinstance(node, list):
        for one in node:
            _collect(one, found)
    if not isinstance(node, dict):
        return
    kind = node.get("type")
    if kind == "mrkdwn":
        found.extend(marks_in(str(node.get("text", ""))))
    elif kind == "user":
        found.append(str(node.get("user_id")))
    elif kind == "broadcast":
        found.append(f"!{node.get('range')}")
    elif kind == "usergroup":
        found.append(f"!subteam^{node.get('usergroup_id')}")
    else:
        for value in node.values():
            _collect(value, found)
