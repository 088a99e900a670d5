"""Plain text for terminals, logs and notifications."""

import pytest

from channels.plain import EMPTY_ANSWER, preview, render_markdown, shortened


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("# a **b** *c* ~~d~~ `e`", "a b c d e"),
        ("1. a\n2. b\n   - c\n\n     d", "1. a\n2. b\n   • c\n\n     d"),
        ("- \n- a", "•\n• a"),
        ("> a\n>> b", "> a\n>\n> > b"),
        ("```py\n  x\n```", "  x"),
        ("[a](http://x) <http://y> <m@x.y>", "a (http://x) http://y m@x.y"),
        ("<https://x/%C3%A9>", "https://x/é"),
        ("[Ada](mention:U1)", "Ada"),
        ("|a|b|\n|-|-:|\n|[x](http://z)|1|", "a            | b\n-------------+--\nx (http://z) | 1"),
        ("a\n\n---\n\nb", "a\n\n———\n\nb"),
        ("", EMPTY_ANSWER),
    ],
)
def test_golden(markdown: str, expected: str) -> None:
    assert [part.text for part in render_markdown(markdown)] == [expected]


def test_parts_are_made_only_for_a_limit() -> None:
    assert len(render_markdown("word " * 500)) == 1
    assert all(len(part.text) <= 100 for part in render_markdown("word " * 500, 100))


def test_a_preview_is_one_short_line() -> None:
    assert preview("# Title\n\n- one\n- two", 100) == "Title • one • two"
    assert preview("a " * 50, 10) == "a a a a a…"
    assert shortened("abc", 3) == "abc" and shortened("abcd", 3) == "ab…"
