"""Markdown becomes the document model, whatever the text is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.document import (
    Alignment,
    Block,
    Blocks,
    Code,
    CodeBlock,
    Document,
    Emphasis,
    Heading,
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
from channels.markdown import parse_markdown

BOUNDED = settings(max_examples=150, derandomize=True, deadline=None, database=None)


def paragraph(text: str) -> Paragraph:
    return Paragraph((Text(text),))


def spans(markdown: str) -> Inlines:
    (block,) = parse_markdown(markdown).blocks
    assert isinstance(block, Paragraph)
    return block.children


@pytest.mark.parametrize(
    ("markdown", "block"),
    [
        ("words", paragraph("words")),
        ("### Title", Heading((Text("Title"),), level=3)),
        ("```python\na = 1\n\nb\n```", CodeBlock("a = 1\n\nb", "python")),
        ("    indented\n      more", CodeBlock("indented\n  more")),
        ("> quoted", Quote((paragraph("quoted"),))),
        ("---", Rule()),
        ("<div>\n<b>x</b>\n</div>", Paragraph((
            Text("<div>"), LineBreak(), Text("<b>x</b>"), LineBreak(), Text("</div>"),
        ))),
        ("- a\n- b", ListBlock(((paragraph("a"),), (paragraph("b"),)))),
        ("7. a\n8. b", ListBlock(((paragraph("a"),), (paragraph("b"),)), start=7)),
        ("- a\n\n- b", ListBlock(((paragraph("a"),), (paragraph("b"),)), tight=False)),
        ("- a\n  1. b", ListBlock(((paragraph("a"), ListBlock(((paragraph("b"),),), start=1)),))),
        ("|a|b|c|\n|-|:-:|-:|\n|1|2|", Table(
            ((Text("a"),), (Text("b"),), (Text("c"),)),
            (((Text("1"),), (Text("2"),), ()),),
            (Alignment.LEFT, Alignment.CENTER, Alignment.RIGHT),
        )),
    ],
)  # fmt: skip
def test_every_kind_of_block(markdown: str, block: Block) -> None:
    assert parse_markdown(markdown).blocks == (block,)


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("**a *b***", (Strong((Text("a "), Emphasis((Text("b"),)))),)),
        ("~~a~~", (Strike((Text("a"),)),)),
        ("`a*b*`", (Code("a*b*"),)),
        ("a\nb  \nc", (Text("a"), LineBreak(), Text("b"), LineBreak(), Text("c"))),
        ("[a](http://x/(y))", (Link((Text("a"),), "http://x/(y)"),)),
        ("[](http://x)", (Link((Text("http://x"),), "http://x"),)),
        ("![a *b*](http://x)", (Link((Text("a b"),), "http://x"),)),
        ("![](http://x)", (Link((Text("http://x"),), "http://x"),)),
        ("<https://x.y>", (Link((Text("https://x.y"),), "https://x.y"),)),
        ("a <b>c</b> &amp; \\*", (Text("a <b>c</b> & *"),)),
        ("[a](javascript:alert(1))", (Text("[a](javascript:alert(1))"),)),
    ],
)
def test_every_kind_of_span(markdown: str, expected: Inlines) -> None:
    assert spans(markdown) == expected


@pytest.mark.parametrize("markdown", ["", "  \n\n", "#", "![]()"])
def test_markup_without_content_makes_no_block(markdown: str) -> None:
    assert parse_markdown(markdown) == Document(())


@pytest.mark.parametrize(
    "markdown",
    [
        "> " * 100 + "deep",
        "- " * 100 + "deep",
        "1. " * 30 + "deep",
        "*a " * 500 + "deep" + "*" * 500,
        "![" * 2000 + "deep" + "](x)" * 2000,
        "[" * 2000 + "deep",
    ],
)
def test_nesting_beyond_reason_keeps_its_words(markdown: str) -> None:
    assert "deep" in "".join(all_text(parse_markdown(markdown).blocks))


def all_text(blocks: Blocks) -> list[str]:
    texts: list[str] = []
    for block in blocks:
        match block:
            case Paragraph(children) | Heading(children):
                texts.append(plain_text(children))
            case Quote(children):
                texts += all_text(children)
            case ListBlock(items):
                texts += [text for item in items for text in all_text(item)]
            case CodeBlock(text):
                texts.append(text)
            case _:
                texts.append("")
    return texts


@BOUNDED
@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_any_text_is_a_document(text: str) -> None:
    assert isinstance(parse_markdown(text), Document)


@BOUNDED
@given(st.text(st.sampled_from("*_~`[]()<>!#->|: \n\t1.ax\\&"), max_size=300))
def test_any_soup_of_markup_is_a_document(text: str) -> None:
    assert isinstance(parse_markdown(text), Document)


@pytest.mark.parametrize(
    ("markdown", "words"),
    [
        ("[1]: http://x 'Title'", "[1]: http://x Title"),
        ("a [1]\n\n[1]: http://x\n[2]: http://y", "a 1[2]: http://y"),
        ("[a](http://x 'why')", "a (why)"),
        ("![a](http://x 'why')", "a (why)"),
        ("```Here it is:\nx\n```", "Here it is:x"),
        ("```py title=a.py\nx\n```", "py title=a.pyx"),
        ("- [ ] todo\n- [x] done", "[ ] todo[x] done"),
        ("a[^1]\n\n[^1]: a note", "a[^1][^1]: a note"),
        ("<details>\nx <!-- y -->\n</details>", "<details>\nx <!-- y -->\n</details>"),
        ("&copy; &lt;b&gt;", "© <b>"),
        ("<https://x.y>", "https://x.y"),
        ("\\* a \\\nb", "* a \nb"),
    ],
)
def test_nothing_written_is_lost(markdown: str, words: str) -> None:
    assert "".join(all_text(parse_markdown(markdown).blocks)) == words


@pytest.mark.parametrize("container", ["", "> ", ">> ", "  "])
def test_cells_without_a_column_stay_in_the_last_one(container: str) -> None:
    rows = ("a|b", "-|-", "1|2|3 \\| **x**|", "4|5")
    (block,) = parse_markdown("\n".join(container + row for row in rows)).blocks
    while isinstance(block, Quote):
        (block,) = block.children
    assert isinstance(block, Table)
    assert [[plain_text(cell) for cell in row] for row in block.rows] == [["1", "2 | 3 | x"], ["4", "5"]]


def test_a_mention_is_written_as_a_link() -> None:
    assert spans("[Ada *L*](mention:U1)") == (Mention("Ada L", "U1"),)
