"""Routes: the first rule that fits decides, and says why the others did not."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.agent_settings import RouteSettings
from gateway.patterns import SEARCHED_CHARS, checked_pattern
from gateway.rules.routing import Arrival, Choice, choose, command_of, compiled

AGENTS = st.sampled_from(["ops", "support", "draft", "away"])
UNRELEASED = {"draft": "draft", "away": "suspended"}
CHANNELS = st.sampled_from(["slack", "telegram", "client"])
NAMES = st.none() | st.sampled_from(["a", "b"])
ROUTES = st.builds(
    RouteSettings,
    agent=AGENTS,
    channel=st.none() | CHANNELS,
    account=NAMES,
    room=NAMES,
    mention=st.none() | st.booleans(),
    command=st.none() | st.sampled_from(["ops", "ask"]),
    pattern=st.none() | st.sampled_from(["refund", r"(?i)\binvoices?\b"]),
)
TEXTS = st.sampled_from(["", "hello", "/ops restart", "!ASK refund", "an Invoice", "/opsx", "ops", "//ops x"])
ARRIVALS = st.builds(
    Arrival, channel=CHANNELS, account=NAMES, room=NAMES, is_mention=st.booleans(), text=TEXTS | st.text()
)


def route(*routes: RouteSettings, **arrival: object) -> Choice:
    said = Arrival(**{"channel": "slack", **arrival})  # type: ignore[arg-type]
    return choose(compiled(routes), said, "default", UNRELEASED)


def fits(rule: RouteSettings, said: Arrival) -> bool:
    """What the settings promise, said once more in another way."""
    wanted = [(rule.channel, said.channel), (rule.account, said.account), (rule.room, said.room)]
    has_words = re.match(rf"\s*[/!]{rule.command}(\s|\Z)", said.text, re.IGNORECASE | re.ASCII)
    return (
        all(want in (None, is_) for want, is_ in wanted)
        and rule.mention in (None, said.is_mention)
        and (rule.command is None or has_words is not None)
        and (rule.pattern is None or re.search(rule.pattern, said.text[:SEARCHED_CHARS]) is not None)
        and (said.channel == "client" or rule.agent not in UNRELEASED)
    )


@given(routes=st.lists(ROUTES, max_size=6), said=ARRIVALS)
def test_the_first_rule_that_fits_decides_and_every_one_before_it_says_why_not(
    routes: list[RouteSettings], said: Arrival
) -> None:
    choice = choose(compiled(routes), said, "default", UNRELEASED)
    number = next((place for place, one in enumerate(routes, start=1) if fits(one, said)), None)
    assert choice.rule == number
    assert choice.agent_id == (routes[number - 1].agent if number else "default")
    assert len(choice.reasons) >= (number or len(routes) + 1)
    for place, reason in enumerate(choice.reasons[: (number or len(routes) + 1) - 1], start=1):
        assert reason.startswith(f"Rule {place} ({routes[place - 1].agent}) does not fit: ")


@given(routes=st.lists(ROUTES, max_size=6), said=ARRIVALS)
def test_chat_networks_are_never_routed_to_what_is_not_released(
    routes: list[RouteSettings], said: Arrival
) -> None:
    choice = choose(compiled(routes), said, "default", UNRELEASED)
    assert said.channel == "client" or choice.agent_id not in UNRELEASED


@given(said=ARRIVALS)
def test_only_a_command_takes_something_away_from_the_text(said: Arrival) -> None:
    plain = RouteSettings(agent="ops", pattern="refund")
    assert choose(compiled([plain]), said, "default", {}).text == said.text
    by_command = choose(compiled([RouteSettings(agent="ops", command="ops")]), said, "default", {})
    assert by_command.is_command == (by_command.rule == 1)
    assert said.text.strip().endswith(by_command.text.strip())


@pytest.mark.parametrize(
    ("text", "agent_gets"),
    [
        ("/ops restart", "restart"),
        ("!ops restart", "restart"),
        ("  /OPS\n restart now ", "restart now"),
        ("/ops", "/ops"),
        ("/ops  ", "/ops  "),
    ],
)
def test_the_agent_gets_what_stands_behind_the_command(text: str, agent_gets: str) -> None:
    choice = route(RouteSettings(agent="ops", command="ops"), text=text)
    assert (choice.agent_id, choice.text, choice.is_command) == ("ops", agent_gets, True)


@pytest.mark.parametrize("text", ["", "/", "ops", "/ops2 x", "x /ops", "/ops@other_bot x", "//ops", "/o ps"])
def test_what_is_not_the_command(text: str) -> None:
    assert route(RouteSettings(agent="ops", command="ops"), text=text).rule is None


def test_a_command_is_read_in_lower_case() -> None:
    assert command_of("!Stop now") == "stop" and command_of("stop") is None


def test_the_explanation_names_every_condition_that_does_not_hold() -> None:
    choice = route(
        RouteSettings(
            agent="ops", channel="telegram", account="a", room="R", mention=True, command="ops", pattern="x"
        ),
        RouteSettings(agent="draft"),
        RouteSettings(agent="support", mention=False),
        RouteSettings(agent="ops"),
        room="C1",
        text="hello",
    )
    assert choice.reasons == (
        "Rule 1 (ops) does not fit: the channel is slack, not telegram; the account is none, not a; the room is "
        "C1, not R; the bot is not mentioned; it does not begin with /ops or !ops; its pattern is not found.",
        "Rule 2 (draft) does not fit: draft is draft, and chat networks talk to released agents only.",
        "Rule 3 (support) fits.",
    )


def test_a_default_that_cannot_answer_is_said() -> None:
    choice = choose((), Arrival("slack"), "away", UNRELEASED)
    assert choice.agent_id == "away" and "suspended" in choice.reasons[-1]


def test_only_the_beginning_of_a_text_is_searched() -> None:
    rule = RouteSettings(agent="ops", pattern="x")
    assert route(rule, text="a" * (SEARCHED_CHARS - 1) + "x").rule == 1
    assert route(rule, text="a" * SEARCHED_CHARS + "x").rule is None


# --- patterns that could stop the gateway -----------------------------------------------------------


@pytest.mark.parametrize(
    "pattern",
    [
        "refund|invoice",
        r"(?i)\b(refund|invoice)s?\b",
        r"order\s{1,5}#?\d+",
        "^deploy .* to prod",
        r"^\w+: \w+",
        r"https?://\S+",
        r"\d{4}-\d{2}-\d{2}",
        "(ab)+",
        "(?!draft)x",
    ],
)
def test_ordinary_patterns_may_be_used(pattern: str) -> None:
    assert RouteSettings(agent="ops", pattern=pattern).pattern == pattern


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+b", "(a|ab)*c", r"(\w+\s?)*x", "(a?){40}a{40}", ".*a.*b", r"(a*)*", r"(.)\1+", "(?:(?:a+)?)+"],
)
def test_patterns_that_could_take_for_ever_are_refused(pattern: str) -> None:
    with pytest.raises(ValidationError):
        RouteSettings(agent="ops", pattern=pattern)


@pytest.mark.parametrize("pattern", ["(", "[", "*", "(?P<x", "a{99999999999}", "(?z)"])
def test_what_is_no_pattern_is_refused_with_the_reason(pattern: str) -> None:
    with pytest.raises(ValueError, match="is not a regular expression: "):
        checked_pattern(pattern)


_LEAVES = st.sampled_from(["a", "b", ".", r"\w", "[ab]", r"\b", "^"])
_QUANTIFIERS = st.sampled_from(["*", "+", "?", "{1,5}", "*?", "{0,20}", "{3}", "{100}"])
PATTERNS = st.recursive(
    _LEAVES,
    lambda inner: (
        st.builds("{}{}".format, inner, inner)
        | st.builds("(?:{}|{})".format, inner, inner)
        | st.builds("(?:{}){}".format, inner, _QUANTIFIERS)
    ),
    max_leaves=8,
)
SLOWEST_S = 5.0
"""Ten times what was ever measured on an idle machine; a pattern that is not bounded takes years."""


@given(pattern=PATTERNS, tail=st.sampled_from(["x", "y$", ""]))
def test_whatever_is_not_refused_is_soon_through(pattern: str, tail: str) -> None:
    try:
        found = re.compile(checked_pattern(pattern + tail))
    except ValueError:
        return
    for text in ("a" * SEARCHED_CHARS, "ab" * (SEARCHED_CHARS // 2), "b" * 500 + "a" * 500):
        begun = time.process_time()
        found.search(text)
        assert time.process_time() - begun < SLOWEST_S
