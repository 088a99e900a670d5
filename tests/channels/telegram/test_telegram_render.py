"""What Telegram is shown: golden messages, and promises kept for any text."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.document import Blocks, Document, Link, ListBlock, Paragraph, Quote, Table, Text
from channels.markdown import parse_markdown
from channels.messages import Rendered
from channels.plain import EMPTY_ANSWER
from channels.split import split_document
from channels.telegram.render import message_size, render_document, render_markdown
from channels.text import is_visible, utf16_length

BOUNDED = settings(max_examples=150, derandomize=True, deadline=None, database=None)
LIMIT_UTF16 = 4096

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=300)
_FRAGMENTS = (
    "# ", "**", "*", "~~", "`", "```\n", "```py\n", "\n", "\n\n", "- ", "1. ", "  ", "> ", "|", "|-|-|\n",
    "---\n", "[", "](http://x)", "](tg://user?id=1)", "![", "<b>", "@name", "😀", "字", "e\u0301", "\u200b",
    "\ud83d", "x", "word ", "long" * 40, "wide字" * 30, "😀" * 50, " " * 20, "\n" * 5,
)  # fmt: skip
MARKUP = st.lists(st.sampled_from(_FRAGMENTS), max_size=60).map("".join)
LONG_MARKUP = st.tuples(MARKUP, st.integers(1, 60)).map(lambda pair: pair[0] * pair[1])


def styled(rendered: Rendered) -> list[tuple[str, str]]:
    """Each entity's type and the text it covers, cut out by UTF-16 units as Telegram does."""
    units = rendered.text.encode("utf-16-le")
    return [
        (
            entity["type"],
            units[entity["offset"] * 2 : (entity["offset"] + entity["length"]) * 2].decode("utf-16-le"),
        )
        for entity in rendered.payload["entities"]
    ]


def one(markdown: str) -> Rendered:
    (rendered,) = render_markdown(markdown)
    return rendered


@pytest.mark.parametrize(
    ("markdown", "text", "entities"),
    [
        ("# Title\n\nwords", "Title\n\nwords", [("bold", "Title")]),
        ("# a **b**\n**c**", "a b\n\nc", [("bold", "a b"), ("bold", "c")]),
        ("a **b *c* d**", "a b c d", [("bold", "b c d"), ("italic", "c")]),
        ("~~a~~ `b`", "a b", [("strikethrough", "a"), ("code", "b")]),
        ("**a `b` c**", "a b c", [("bold", "a"), ("code", "b"), ("bold", "c")]),
        ("😀 **é😀** 字", "😀 é😀 字", [("bold", "é😀")]),
        ("- a\n- b\n  - c", "• a\n• b\n  • c", []),
        ("9. a\n10. b\n    - c", "9. a\n10. b\n    • c", []),
        ("- a\n\n  b\n\n- c", "• a\n\n  b\n\n• c", []),
        ("- a\n  ```\n  x\n    y\n  ```", "• a\nx\n  y", [("pre", "x\n  y")]),
        ("- ```\n  x\n  ```\n- b", "• \nx\n• b", [("pre", "x")]),
        ("> a\n> **b**", "a\nb", [("blockquote", "a\nb"), ("bold", "b")]),
        ("> a\n>> b\n>> c", "a\n\n> b\n> c", [("blockquote", "a\n\n> b\n> c")]),
        ("a\n\n---\n\nb", "a\n\n———\n\nb", []),
        ("<b>x</b>", "<b>x</b>", []),
        ("|abc|x|\n|:-:|-|\n|b||", "abc | x\n----+--\n b  |", [("pre", "abc | x\n----+--\n b  |")]),
        ("[`a`](http://x)", "a", [("text_link", "a")]),
        ("![pic](http://x/y.png)", "pic", [("text_link", "pic")]),
        (
            "|name|字|\n|:-|-:|\n|a|1|\n|bb|22|",
            "name | 字\n-----+---\na    |  1\nbb   | 22",
            [("pre", "name | 字\n-----+---\na    |  1\nbb   | 22")],
        ),
    ],
)
def test_golden(markdown: str, text: str, entities: list[tuple[str, str]]) -> None:
    rendered = one(markdown)
    assert rendered.text == text
    assert styled(rendered) == entities


def test_a_code_block_names_its_language() -> None:
    assert one("```rust\nfn f() {}\n```").payload["entities"] == [
        {"type": "pre", "offset": 0, "length": 9, "language": "rust"}
    ]


@pytest.mark.parametrize("url", ["http://x", "https://x/y?z=1", "tg://resolve?domain=x", "mailto:a@b.c"])
def test_links_telegram_opens_become_links(url: str) -> None:
    rendered = one(f"[a]({url})")
    assert rendered.payload["entities"] == [{"type": "text_link", "offset": 0, "length": 1, "url": url}]


@pytest.mark.parametrize("url", ["tg://user?id=42", "TG://USER?id=42", "ftp://x", "./file", "#part"])
def test_other_links_are_told_in_words(url: str) -> None:
    rendered = one(f"[a]({url})")
    assert rendered.payload["entities"] == []
    assert rendered.text.startswith("a (")


def test_a_link_that_is_no_address_is_told_in_words() -> None:
    rendered = render_document(Document((Paragraph((Link((Text("a"),), "http://["),)),)))
    assert (rendered.text, rendered.payload["entities"]) == ("a (http://[)", [])


@pytest.mark.parametrize(
    "markdown", ["@name", "hi @name!", "**@name**", "(@name)", "@**name**", "[x](@name)"]
)
def test_a_name_in_an_answer_calls_nobody(markdown: str) -> None:
    """Telegram's server would find `@name` itself; with a joiner in it there is nothing to find."""
    assert "@\u2060" in one(markdown).text
    assert "@name" not in one(markdown).text


@pytest.mark.parametrize("markdown", ["me@example.org", "`@name`", "```\n@name\n```", "a @ b"])
def test_other_uses_of_the_at_sign_are_untouched(markdown: str) -> None:
    assert "\u2060" not in one(markdown).text


@pytest.mark.parametrize("markdown", ["", " \n", "\u200b", "&nbsp;", "- \n- "])
def test_an_answer_that_shows_nothing_says_so(markdown: str) -> None:
    rendered = render_markdown(markdown)
    assert len(rendered) == 1
    assert is_visible(rendered[0].text)


def test_the_words_for_an_empty_answer() -> None:
    assert one("").text == EMPTY_ANSWER


def test_more_entities_than_the_platform_keeps_make_another_part() -> None:
    parts = render_markdown(" ".join(f"[{number}](http://x/{number})" for number in range(150)))
    assert len(parts) == 2
    assert sum(len(part.payload["entities"]) for part in parts) == 150


def test_long_code_stays_code_in_every_part() -> None:
    lines = [f"\tvalue_{number} = '😀' * {number}  # @name" for number in range(600)]
    code = "\n".join(lines)
    parts = render_markdown(f"Look:\n\n```py\n{code}\n```\n\nDone.")
    assert len(parts) > 3
    pieces = [text for part in parts for kind, text in styled(part) if kind == "pre"]
    assert "\n".join(pieces) == code
    languages = {e["language"] for part in parts for e in part.payload["entities"] if e["type"] == "pre"}
    assert languages == {"py"}


def check_message(rendered: Rendered) -> None:
    units = rendered.text.encode("utf-16-le")
    length = len(units) // 2
    assert 0 < length <= LIMIT_UTF16
    assert is_visible(rendered.text)
    assert len(rendered.payload["entities"]) <= 100
    for entity in rendered.payload["entities"]:
        start, end = entity["offset"], entity["offset"] + entity["length"]
        assert 0 <= start < end <= length
        assert units[start * 2 : end * 2].decode("utf-16-le")
    kinds = [(e["type"], e["offset"], e["offset"] + e["length"]) for e in rendered.payload["entities"]]
    literal = [span for span in kinds if span[0] in ("code", "pre")]
    for _, start, end in literal:
        inside = [k for k in kinds if k[0] != "blockquote" and k[1] < end and k[2] > start]
        assert len(inside) == 1, "code shares its place with another style"


@BOUNDED
@given(ANY_TEXT | MARKUP | LONG_MARKUP)
def test_every_message_is_one_the_platform_takes(text: str) -> None:
    parts = render_markdown(text)
    assert parts
    for part in parts:
        check_message(part)


@BOUNDED
@given(MARKUP, st.integers(200, 400))
def test_the_parts_say_what_the_whole_says(text: str, limit: int) -> None:
    # A link told in words tells its address in every part.
    document = parse_markdown(text.replace("tg://user?id=1", "http://y"))
    if repeats_on_a_cut(document.blocks):
        return
    whole = render_document(document).text
    parts = [render_document(part).text for part in split_document(document, limit, message_size)]
    assert all(utf16_length(part) <= limit for part in parts)
    assert visible("".join(parts)) == visible(whole)


def repeats_on_a_cut(blocks: Blocks, in_quote: bool = False) -> bool:
    """Table headers and the marks of inner quotes appear again in every part, rightly."""
    return any(
        isinstance(block, Table)
        or (isinstance(block, Quote) and (in_quote or repeats_on_a_cut(block.children, in_quote=True)))
        or (isinstance(block, ListBlock) and any(repeats_on_a_cut(item, in_quote) for item in block.items))
        for block in blocks
    )


def visible(text: str) -> str:
    return "".join(visible_characters(text))


def visible_characters(text: str) -> Iterator[str]:
    return (character for character in text if is_visible(character))


def test_only_the_allowlist_is_called() -> None:
    markdown = "[Ada](mention:42) [Bob](mention:43) [Eve](mention:x)"
    (rendered,) = render_markdown(markdown, frozenset({"42", "x"}))
    assert rendered.text == "Ada Bob Eve"
    assert rendered.payload["entities"] == [
        {"type": "text_link", "offset": 0, "length": 3, "url": "tg://user?id=42"}
    ]
