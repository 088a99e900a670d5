"""Which agent answers what was said somewhere: the first `[[routes]]` table that fits. Pure.

There is one way through the rules, and it says on its way why each of them did not fit: an explanation that was
worked out beside the decision would one day explain another one. Where rules come from and what becomes of a choice
is in `gateway/services/routing.py`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.agent_settings import RouteSettings
from gateway.patterns import SEARCHED_CHARS

CLIENT: Final = "client"
"""What rules call clients of the protocol, where chat networks have their kind."""

_COMMAND: Final = re.compile(r"\s*[/!]([A-Za-z0-9_-]{1,32})(?=\s|\Z)")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message, as far as rules look at it. `is_mention`: it addresses the bot in a room by a mention."""

    channel: str
    account: str | None = None
    room: str | None = None
    is_mention: bool = False
    text: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A `[[routes]]` table, ready for use."""

    route: RouteSettings
    pattern: re.Pattern[str] | None


@dataclass(frozen=True, slots=True)
class Choice:
    """Who answers. `rule` counts from 1; None: no rule fits, the default agent answers.

    `text` is what the agent gets. `is_command`: a command chose, so the choice is for this message wherever it was
    said; any other choice is for a conversation that begins with it. `reasons` are sentences for people.
    """

    agent_id: str
    rule: int | None
    text: str
    is_command: bool
    reasons: tuple[str, ...]


def compiled(routes: Sequence[RouteSettings]) -> tuple[Rule, ...]:
    """Rules from settings, in their order."""
    return tuple(Rule(route, re.compile(route.pattern) if route.pattern else None) for route in routes)


def choose(
    rules: Sequence[Rule], arrival: Arrival, default_agent_id: str, unreleased: Mapping[str, str]
) -> Choice:
    """Who answers `arrival`. `unreleased` are the agents that chat networks do not talk to, with their state."""
    reasons = []
    for number, rule in enumerate(rules, start=1):
        misfits = [*_misfits(rule, arrival), *_closed(rule.route.agent, arrival, unreleased)]
        name = f"Rule {number} ({rule.route.agent})"
        if not misfits:
            reasons.append(f"{name} fits.")
            command = rule.route.command
            text = arrival.text if command is None else _behind_command(arrival.text)
            return Choice(rule.route.agent, number, text, command is not None, tuple(reasons))
        reasons.append(f"{name} does not fit: {'; '.join(misfits)}.")
    reasons.append(f"No rule fits, so the default agent {default_agent_id} answers.")
    reasons += [f"It cannot: {closed}." for closed in _closed(default_agent_id, arrival, unreleased)]
    return Choice(default_agent_id, None, arrival.text, False, tuple(reasons))


def command_of(text: str) -> str | None:
    """The command that a text begins with, in lower case; None for none."""
    found = _COMMAND.match(text)
    return found[1].lower() if found else None


def _behind_command(text: str) -> str:
    """What follows the command; the whole when nothing does, since an agent cannot answer nothing."""
    found = _COMMAND.match(text)
    assert found is not None, "the rule fits"
    return text[found.end() :].strip() or text


def _misfits(rule: Rule, arrival: Arrival) -> Iterator[str]:
    """Every condition of the rule that does not hold, in words."""
    route = rule.route
    for name, wanted, found in (
        ("channel", route.channel, arrival.channel),
        ("account", route.account, arrival.account),
        ("room", route.room, arrival.room),
    ):
        if wanted is not None and wanted != found:
            yield f"the {name} is {found or 'none'}, not {wanted}"
    if route.mention is not None and route.mention != arrival.is_mention:
        yield "the bot is mentioned" if arrival.is_mention else "the bot is not mentioned"
    if route.command is not None and command_of(arrival.text) != route.command:
        yield f"it does not begin with /{route.command} or !{route.command}"
    if rule.pattern is not None and not rule.pattern.search(arrival.text, 0, SEARCHED_CHARS):
        yield "its pattern is not found"


def _closed(agent_id: str, arrival: Arrival, unreleased: Mapping[str, str]) -> Iterator[str]:
    state = unreleased.get(agent_id)
    if state is not None and arrival.channel != CLIENT:
        yield f"{agent_id} is {state}, and chat networks talk to released agents only"
