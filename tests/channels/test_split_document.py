"""Splitting on the model: every part fits, nothing said is lost, cuts fall where they hurt least.

Measured here by a plain renderer of its own: characters, fences and markers included.
"""

import pytest

from channels.document import (
    Alignment,
    Block,
    Blocks,
    Code,
    CodeBlock,
    Document,
    Heading,
    LineBreak,
    Link,
    ListBlock,
    Mention,
    Paragraph,
    Quote,
    Rule,
    Strong,
    Table,
    Text,
    plain_text,
)
from channels.split import LIMIT_MIN, split_document

LIMIT = 100


def shown(blocks: Blocks, indent: str = "") -> str:
    return "\n\n".join(indent + block_text(block) for block in blocks)


def block_text(block: Block) -> str:
    match block:
        case Paragraph(children) | Heading(children):
            return plain_text(children)
        case CodeBlock(text, language):
            return f"```{language}\n{text}\n```"
        case ListBlock(items):
            return "\n".join(shown(item, "  ") for item in items)
        case Quote(children):
            return shown(children, "> ")
        case Table(header, rows):
            return "\n".join(" | ".join(plain_text(cell) for cell in row) for row in (header, *rows))
        case Rule():
            return "---"


def measure(document: Document) -> int:
    return len(shown(document.blocks))


def split(*blocks: Block) -> list[Blocks]:
    parts = split_document(Document(blocks), LIMIT, measure)
    assert all(measure(part) <= LIMIT for part in parts)
    assert all(part.blocks for part in parts)
    return [part.blocks for part in parts]


def paragraph(text: str) -> Paragraph:
    return Paragraph((Text(text),))


def words(count: int, word: str = "word") -> str:
    return " ".join(f"{word}{number}" for number in range(count))


def test_what_fits_stays_in_one_part() -> None:
    blocks = (Heading((Text("h"),), 1), paragraph("a" * 40), CodeBlock("x", "py"), Rule())
    assert split(*blocks) == [blocks]


def test_an_empty_document_has_no_parts() -> None:
    assert split() == []


def test_a_block_that_fits_a_part_of_its_own_is_not_cut() -> None:
    first, second = paragraph("a" * 60), paragraph(words(10))
    assert split(first, second) == [(first,), (second,)]


def test_a_heading_goes_with_what_it_announces() -> None:
    first, heading, second = paragraph("a" * 70), Heading((Text("next"),), 2), paragraph("b " * 40 + "b")
    assert split(first, heading, second) == [(first,), (heading, second)]


def test_a_long_paragraph_ends_its_parts_at_spaces() -> None:
    text = words(60)
    parts = split(paragraph(text))
    assert " ".join(shown(part) for part in parts) == text
    assert all(len(shown(part)) > LIMIT // 2 for part in parts[:-1])


def test_a_line_end_is_a_better_cut_than_a_space() -> None:
    block = Paragraph((Text("a b " * 15 + "end"), LineBreak(), Text("c d " * 20)))
    parts = split(block)
    assert shown(parts[0]).endswith("end")


def test_a_word_longer_than_a_part_is_cut_anywhere_but_not_before_an_accent() -> None:
    text = "e\u0301" * 150
    parts = split(paragraph(text))
    assert "".join(shown(part) for part in parts) == text
    assert not any(shown(part).startswith("\u0301") for part in parts)


def test_styles_and_links_go_on_in_the_next_part() -> None:
    block = Paragraph((Strong((Link((Text(words(30)),), "http://x"),)),))
    parts = split(block)
    assert len(parts) > 1
    for ((cut,),) in [[part] for part in parts]:
        assert isinstance(cut, Paragraph)
        (strong,) = cut.children
        assert isinstance(strong, Strong)
        (link,) = strong.children
        assert isinstance(link, Link) and link.url == "http://x"


def test_code_is_cut_between_lines_and_keeps_its_language() -> None:
    lines = [f"    line {number}" for number in range(40)]
    parts = split(paragraph("before"), CodeBlock("\n".join(lines), "py"), paragraph("after"))
    cuts = [block for part in parts for block in part if isinstance(block, CodeBlock)]
    assert len(cuts) > 2
    assert {cut.language for cut in cuts} == {"py"}
    assert "\n".join(cut.text for cut in cuts).split("\n") == lines


def test_a_code_line_longer_than_a_part_loses_nothing() -> None:
    line = "value = " + "x" * 250 + " + " + "y z" * 60
    cuts = [block for part in split(CodeBlock(line)) for block in part]
    assert "".join(cut.text for cut in cuts if isinstance(cut, CodeBlock)) == line


def test_a_list_is_cut_between_items_and_numbered_on() -> None:
    block = ListBlock(tuple((paragraph(words(5)),) for _ in range(8)), start=3)
    parts = split(block)
    lists = [cut for part in parts for cut in part if isinstance(cut, ListBlock)]
    assert [item for cut in lists for item in cut.items] == list(block.items)
    counted = 3
    for cut in lists:
        assert cut.start == counted and not cut.continued
        counted += len(cut.items)


def test_an_item_longer_than_a_part_goes_on_without_a_marker() -> None:
    block = ListBlock(((paragraph(words(30)),), (paragraph("second"),)), start=1)
    lists = [cut for part in split(block) for cut in part if isinstance(cut, ListBlock)]
    assert [cut.continued for cut in lists] == [False, *[True] * (len(lists) - 1)]
    assert {cut.start for cut in lists} == {1}
    assert lists[-1].items[-1] == (paragraph("second"),)


def test_every_part_of_a_table_has_the_header() -> None:
    header = ((Text("name"),), (Text("value"),))
    rows = tuple(((Text(f"row {n}"),), (Text(str(n)),)) for n in range(30))
    block = Table(header, rows, (Alignment.LEFT, Alignment.RIGHT))
    tables = [cut for part in split(block) for cut in part if isinstance(cut, Table)]
    assert len(tables) > 2
    assert {table.header for table in tables} == {header}
    assert tuple(row for table in tables for row in table.rows) == rows


def test_a_row_wider_than_a_part_is_told_as_text_with_its_header() -> None:
    block = Table(
        ((Text("key"),), (Text("text"),)), (((Text("k"),), (Text(words(40)),)),), (Alignment.LEFT,) * 2
    )
    text = " ".join(shown(part) for part in split(block))
    assert all(word in text for word in ("key", "text", "word0", "word39"))


def test_a_frame_too_deep_for_its_content_gives_way() -> None:
    block: Block = paragraph(words(20))
    for _ in range(60):
        block = Quote((block,))
    text = "".join(shown(part) for part in split(block))
    assert text.replace("> ", "").replace(" ", "") == words(20).replace(" ", "")


def test_a_long_heading_goes_on_as_a_heading() -> None:
    parts = split(Heading((Text(words(30)),), 2))
    assert all(isinstance(block, Heading) and block.level == 2 for part in parts for block in part)
    assert " ".join(shown(part) for part in parts) == words(30)


def test_a_long_quote_goes_on_as_a_quote() -> None:
    parts = split(Quote((paragraph(words(5)), paragraph(words(30)))))
    assert len(parts) > 2
    assert all(isinstance(block, Quote) for part in parts for block in part)


def test_literal_characters_in_a_line_are_cut_as_literal_characters() -> None:
    parts = split(Paragraph((Code("x" * 250),)))
    assert "".join(plain_text(block.children) for part in parts for block in part) == "x" * 250
    assert all(isinstance(span, Code) for part in parts for block in part for span in block.children)


@pytest.mark.parametrize(
    "block",
    [
        CodeBlock("\n".join(["c" * 80] * 3)),
        ListBlock(((paragraph("i" * 80),), (paragraph("j" * 80),))),
        Table(((Text("h"),),), ((((Text("r" * 80)),),),) * 3, (Alignment.LEFT,)),
        paragraph("w" * 150),
    ],
)
def test_what_cannot_be_cut_gently_starts_in_a_part_of_its_own(block: Block) -> None:
    before = paragraph("b" * 60)
    assert split(before, block)[0] == (before,)


@pytest.mark.parametrize(
    "block",
    [
        CodeBlock("one\ntwo"),
        ListBlock(((paragraph("one"),), (paragraph("two"),))),
        Table(((Text("one"),),), (((Text("two"),),),), (Alignment.LEFT,)),
        Quote((paragraph("one"), paragraph("two"))),
        Heading((Text("one"), LineBreak(), Text("two")), 1),
        Paragraph((Strong((Text("one"), LineBreak(), Text("two"))),)),
    ],
)
def test_a_frame_heavier_than_a_part_leaves_its_words(block: Block) -> None:
    def without_frames(document: Document) -> int:
        plain = all(
            isinstance(block, Paragraph)
            and all(isinstance(span, Text | LineBreak) for span in block.children)
            for block in document.blocks
        )
        return measure(document) if plain else LIMIT + 1

    parts = split_document(Document((block,)), LIMIT, without_frames)
    assert " ".join(shown(part.blocks) for part in parts).split() == ["one", "two"]


def test_a_rule_heavier_than_a_part_is_left_out() -> None:
    parts = split_document(
        Document((paragraph("a"), Rule(), paragraph("b"))),
        LIMIT,
        lambda document: LIMIT + 1 if Rule() in document.blocks else measure(document),
    )
    assert [shown(part.blocks) for part in parts] == ["a", "b"]


def test_a_tower_of_accents_is_cut_all_the_same() -> None:
    text = "a" + "\u0301" * 300
    assert "".join(shown(part) for part in split(paragraph(text))) == text


def test_a_limit_below_reason_is_refused() -> None:
    with pytest.raises(ValueError, match="at least"):
        split_document(Document((paragraph("a"),)), LIMIT_MIN - 1, measure)


def test_a_measure_that_allows_nothing_is_an_error_and_not_an_endless_loop() -> None:
    with pytest.raises(ValueError, match="not even one"):
        split_document(Document((paragraph("a"),)), LIMIT, lambda document: LIMIT + 1)


def test_a_name_that_is_cut_calls_once() -> None:
    parts = split(Paragraph((Mention(words(30), "U1"),)))
    spans = [
        span for part in parts for block in part if isinstance(block, Paragraph) for span in block.children
    ]
    assert len(spans) > 1 and [isinstance(span, Mention) for span in spans] == [True] + [False] * (
        len(spans) - 1
    )
