"""What Discord is sent: golden messages in its dialect, mentions by allowlist, no previews."""

import pytest

from channels.discord.render import render_markdown
from channels.messages import Rendered
from channels.plain import EMPTY_ANSWER

JOINER = "\u2060"
ADA = "123456789012345678"


def one(markdown: str, mentions: frozenset[str] = frozenset()) -> Rendered:
    (rendered,) = render_markdown(markdown, mentions)
    return rendered


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("# a\n\n### b\n\n#### c **d**", "# a\n\n### b\n\n**c d**"),
        ("**a** *b* ~~c~~ `d`", "**a** _b_ ~~c~~ `d`"),
        ("snake_case", "snake\\_case"),
        ("||spoiler|| \\*a\\* \\~\\~b\\~\\~", "\\|\\|spoiler\\|\\| \\*a\\* \\~\\~b\\~\\~"),
        ("\\> a\n-# b\n\\- c\n1\\. d\n\\>>> e", "\\> a\n\\-# b\n\\- c\n1\\. d\n\\>>> e"),
        ("a\nb", "a\nb"),
        ("3. a\n4. b\n   - c", "3. a\n4. b\n   - c"),
        ("> a\n>> b", "> a\n>\n> \\> b"),
        ("- a\n  ```py\n  x\n  ```\n- b", "- a\n```py\nx\n```\n- b"),
        ("> ```\n> x\n> ```", "> ```\n> x\n> ```"),
        ("---", "———"),
        ("|a|b|\n|-|-:|\n|1|22|", "```\na |  b\n--+---\n1 | 22\n```"),
        ("[a](http://x/(y))", "[a](http://x/%28y%29)"),
        ("see http://x/a_b.", "see <http://x/a_b>."),
        ("[a](ftp://x)", "a (ftp://x)"),
        ("[http://good](http://evil)", "<http://good> (<http://evil>)"),
        ("![pic](http://x/y.png)", "[pic](http://x/y.png)"),
        ("<:name:1> <t:1> </x:1>", "\\<:name:1> \\<t:1> \\</x:1>"),
        ("&amp;lt; & &lt;", "&lt; & \\<"),
        ("`` a`b ``", "``a`b``"),
        ("```` a``b`c ````", f"``a`{JOINER}`b`c``"),
        ("````\n```\n````", f"```\n``{JOINER}`\n```"),
        ("```\n```\n\nx", "```\n \n```\n\nx"),
    ],
)
def test_golden(markdown: str, expected: str) -> None:
    assert one(markdown).text == expected


@pytest.mark.parametrize(
    "token", ["@everyone", "@here", f"<@{ADA}>", f"<@!{ADA}>", f"<@&{ADA}>", f"<#{ADA}>"]
)
def test_a_mention_in_words_stays_words(token: str) -> None:
    rendered = one(f"hi {token}")
    assert token not in rendered.text
    assert rendered.text.replace(JOINER, "").replace("\\", "") == f"hi {token}"
    assert rendered.payload == {"allowed_mentions": {"parse": [], "users": []}, "flags": 4}


def test_code_is_kept_and_the_payload_calls_nobody_from_it() -> None:
    rendered = one(f"`@everyone <@{ADA}>`", frozenset({ADA}))
    assert rendered.text == f"`@everyone <@{ADA}>`"
    assert rendered.payload["allowed_mentions"] == {"parse": [], "users": []}


def test_only_the_allowlist_is_called() -> None:
    rendered = one(f"[Ada](mention:{ADA}) [Bob](mention:{ADA}9)", frozenset({ADA}))
    assert rendered.text == f"<@{ADA}> Bob"
    assert rendered.payload["allowed_mentions"] == {"parse": [], "users": [ADA]}


@pytest.mark.parametrize("user", ["&1", "1", "everyone", ""])
def test_what_is_no_user_id_is_never_called_even_from_the_allowlist(user: str) -> None:
    assert one(f"[x](mention:{user})", frozenset({user})).payload["allowed_mentions"]["users"] == []


def test_long_code_is_closed_and_opened_again_with_its_language() -> None:
    lines = [f"\tvalue_{number} = '😀'  # @here" for number in range(200)]
    parts = render_markdown("```py\n" + "\n".join(lines) + "\n```")
    assert len(parts) > 2
    assert all(part.text.startswith("```py\n") and part.text.endswith("\n```") for part in parts)
    assert "\n".join(part.text[6:-4] for part in parts).split("\n") == lines


def test_long_lists_are_numbered_on() -> None:
    parts = render_markdown("\n".join(f"{number}. {'word ' * 20}" for number in range(1, 61)))
    numbers = [int(line.split(".")[0]) for part in parts for line in part.text.split("\n")]
    assert len(parts) > 2 and numbers == list(range(1, 61))


def test_the_limit_counts_code_points() -> None:
    assert [len(part.text) for part in render_markdown("😀" * 3_000)] == [2_000, 1_000]


def test_nothing_to_show_says_so() -> None:
    assert one("").text == EMPTY_ANSWER
