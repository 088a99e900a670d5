"""What Slack is sent: golden markdown blocks, safe fallbacks, mentions by allowlist."""

import pytest

from channels.markdown import parse_markdown
from channels.plain import EMPTY_ANSWER
from channels.slack.render import fallback_text, message_size, render_markdown

JOINER = "\u2060"


def block(markdown: str, mentions: frozenset[str] = frozenset()) -> str:
    (rendered,) = render_markdown(markdown, mentions)
    (only,) = rendered.payload["blocks"]
    assert only["type"] == "markdown"
    return str(only["text"])


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("# Title\n\nwords", "# Title\n\nwords"),
        ("###### a #", "###### a"),
        ("**a** *b* ~~c~~ `d`", "**a** _b_ ~~c~~ `d`"),
        ("a*b*c", "a*b*c"),
        ("snake_case _x", "snake_case \\_x"),
        ("a\nb", "a  \nb"),
        ("1. a\n2. b\n   - c", "1. a\n2. b\n   - c"),
        ("- a\n\n* b", "- a\n\n* b"),
        ("> a\n>> b", "> a\n>\n> > b"),
        ("- ```py\n  x\n  ```", "- ```py\n  x\n  ```"),
        ("````\n```\n````", "````\n```\n````"),
        ("---", "---"),
        ("|a|b|\n|-|-:|\n|`x\\|y`|\\||", "| a | b |\n| --- | --: |\n| `x\\|y` | \\| |"),
        ("[a](http://x/(y)?b=1&c=2)", "[a](http://x/%28y%29?b=1&c=2)"),
        ("see http://x/a_b.", "see <http://x/a_b>."),
        ("[a](ftp://x)", "a (ftp://x)"),
        ("[http://good](http://evil)", "<http://good> (<http://evil>)"),
        ("![pic](http://x/y.png)", "[pic](http://x/y.png)"),
        ("\\# a\n\\- b\n1\\. c", "\\# a  \n\\- b  \n1\\. c"),
        ("a < b && c &amp;lt;", "a &lt; b && c &amp;lt;"),
    ],
)
def test_golden(markdown: str, expected: str) -> None:
    assert block(markdown) == expected


@pytest.mark.parametrize("token", ["<!channel>", "<!here|x>", "<!subteam^S1>", "<@U123>", "<#C123|x>"])
def test_a_token_in_words_stays_words(token: str) -> None:
    assert "<" not in block(f"hi {token}")
    assert "<" not in render_markdown(f"hi {token}")[0].text


def test_the_name_of_everybody_is_broken_up_outside_code() -> None:
    assert block("@here `@here`") == f"@{JOINER}here `@here`"
    assert render_markdown("@channel")[0].text == f"@{JOINER}channel"


def test_code_is_kept_to_the_byte_but_for_the_beginning_of_a_token() -> None:
    code = "a && b < c; List<String> x; <!DOCTYPE html> <@p:x/> &lt;"
    assert block(f"```\n{code}\n```") == f"```\n{code.replace('<@', '&lt;@')}\n```"
    assert block("`<!here>`") == "`&lt;!here>`"


def test_only_the_allowlist_is_called_and_only_outside_code() -> None:
    markdown = "[Ada](mention:U1) [Bob](mention:U2) `[Ada](mention:U1)`"
    assert block(markdown, frozenset({"U1"})) == "<@U1> Bob `[Ada](mention:U1)`"
    assert render_markdown(markdown, frozenset({"U1"}))[0].text == "Ada Bob [Ada](mention:U1)"


@pytest.mark.parametrize("user", ["!channel", "U1> <!here", "u1", ""])
def test_what_is_no_user_id_is_never_called_even_from_the_allowlist(user: str) -> None:
    assert "<" not in block(f"[x](<mention:{user}>)", frozenset({user}))


def test_the_fallback_is_bounded_and_escaped() -> None:
    assert fallback_text("a & <b>") == "a &amp; &lt;b&gt;"
    text = fallback_text("&" * 9_000)
    assert 3_900 < len(text) <= 4_000 and text.endswith("…")


def test_a_message_has_one_native_table_and_no_larger_one_than_slack_takes() -> None:
    table = "|a|\n|-|\n" + "|x|\n" * 3
    assert block(f"{table}\ntext\n\n{table}").count("| --- |") == 1
    parts = render_markdown("|a|\n|-|\n" + "|x|\n" * 250)
    texts = [part.payload["blocks"][0]["text"] for part in parts]
    assert len(texts) == 3 and all(text.startswith("| a |\n| --- |") for text in texts)
    assert all(len(text.split("\n")) - 1 <= 100 for text in texts)
    wide = "|" + "a|" * 21 + "\n|" + "-|" * 21
    assert block(wide).startswith("```\n")


def test_long_code_is_closed_and_opened_again_with_its_language() -> None:
    lines = [f"\tvalue_{number} = '😀'  # <b>" for number in range(900)]
    parts = render_markdown("```py\n" + "\n".join(lines) + "\n```")
    texts = [str(part.payload["blocks"][0]["text"]) for part in parts]
    assert len(texts) > 1
    assert all(text.startswith("```py\n") and text.endswith("\n```") for text in texts)
    assert "\n".join(text[6:-4] for text in texts).split("\n") == lines


def test_nothing_to_show_says_so() -> None:
    assert block("&nbsp;") == EMPTY_ANSWER == render_markdown("")[0].text
    assert message_size(parse_markdown("ab")) == 2
