"""mrkdwn, where Slack takes no markdown block."""

import pytest

from channels.slack.mrkdwn import render_mrkdwn

JOINER = "\u2060"


def section(markdown: str, mentions: frozenset[str] = frozenset()) -> str:
    (rendered,) = render_mrkdwn(markdown, mentions)
    (only,) = rendered.payload["blocks"]
    assert only["type"] == "section"
    assert only["text"] == {"type": "mrkdwn", "text": rendered.text, "verbatim": True}
    return rendered.text


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("# a **b**", "*a b*"),
        ("**a** *b* ~~c~~ `d`", "*a* _b_ ~c~ `d`"),
        ("a**b**c", "abc"),
        ("[t](http://x?a=1&b=2)", "<http://x?a=1&amp;b=2|t>"),
        ("http://x?a=1&b=2", "<http://x?a=1&amp;b=2>"),
        ("[t|u](http://x|y)", "<http://x%7Cy|t|u>"),
        ("a & <b> `c & <d>`", "a &amp; &lt;b&gt; `c &amp; &lt;d&gt;`"),
        ("`` a`b ``", "a`b"),
        ("```py\na < b\n```", "```\na &lt; b\n```"),
        ("````\n```\n````", f"```\n``{JOINER}`\n```"),
        ("\\`\\`\\`", f"``{JOINER}`"),
        ("- a\n  1. b", "• a\n  1. b"),
        ("> a\n> > b", "> a\n> \n> &gt; b"),
        ("|a|\n|-|\n|b|", "```\na\n-\nb\n```"),
        ("@h**e**re", f"@{JOINER}here"),
        ("@here <!here>", f"@{JOINER}here &lt;!here&gt;"),
    ],
)
def test_golden(markdown: str, expected: str) -> None:
    assert section(markdown) == expected


def test_only_the_allowlist_is_called() -> None:
    assert section("[Ada](mention:U1) [Bob](mention:U2)", frozenset({"U1"})) == "<@U1> Bob"


def test_a_section_holds_no_more_than_slack_takes() -> None:
    parts = render_mrkdwn("&" * 2_000)
    assert [len(part.text) <= 3_000 for part in parts] == [True] * len(parts)
    assert "".join(part.text for part in parts) == "&amp;" * 2_000
