"""Regular expressions that operators write and that run over what anybody says: which of them are safe.

Python's engine tries one way after another, and a pattern such as `(a+)+b` has more ways to read a thousand
characters than there are atoms: one message would stop the gateway. So a pattern is judged before it is used, by an
upper bound of the steps it can take over the longest text that is searched. The ways to match multiply along a
sequence, add up over alternatives, and are raised to the power of a repetition around them; what follows is tried
once for each; and all that from every character where a match may begin. What may take too many steps is refused. The
bound is above the truth: some harmless patterns are refused, and their repetitions have to be given a bound
(`\\s{1,5}` instead of `\\s+`).
"""

import re
from re import _constants as op  # type: ignore[attr-defined]  # the library's own reading of a pattern: 3.11 to 3.14
from re import _parser  # type: ignore[attr-defined]
from typing import Any, Final, NamedTuple

SEARCHED_CHARS: Final = 1_000
"""As much of a text is searched: what tells where a message belongs stands at its beginning."""
STEPS_MAX: Final = 20_000_000
"""More steps than that are refused. Measured with random patterns within it over texts made for them, the slowest took
a third of a second; ordinary ones take a hundredth of that."""

DETECTOR_STEPS: Final = 500
"""Steps a pattern may take from one place of a text that is searched as a whole, however long: 50 million over
100,000 characters, half a second at worst. No endless repetition is within it, so what is found is short, too."""

_ENDLESS: Final = STEPS_MAX * SEARCHED_CHARS
"""Beyond every limit; numbers need not grow further."""
_SINGLE: Final = frozenset({op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN, op.AT, op.FAILURE})
_REPEATS: Final = frozenset({op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT})


def checked_pattern(pattern: str) -> str:
    """The pattern itself. Raises ValueError, which says what is wrong with it."""
    try:
        parsed = _parser.parse(pattern)
    except (re.error, OverflowError) as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    starts = 1 if _is_anchored(parsed) else SEARCHED_CHARS
    if starts * _of_sequence(parsed).steps > STEPS_MAX:
        raise ValueError(
            "may take far too long over a text that is made for it: repeat fewer things, give repetitions a bound "
            r"(`\s{1,5}` instead of `\s+`), and repeat nothing that repeats or has alternatives"
        )
    return pattern


def checked_detector(pattern: str) -> str:
    """The pattern itself, which may be run over texts of any length. Raises ValueError, which says what is wrong."""
    try:
        parsed = _parser.parse(checked_pattern(pattern))
    except (re.error, OverflowError) as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    if parsed.getwidth()[0] == 0:
        raise ValueError("may match nothing at all: it has to match one character at least")
    if _of_sequence(parsed).steps > DETECTOR_STEPS:
        raise ValueError(
            r"may take too long over a long text: give every repetition a bound (`\d{1,12}` instead of `\d+`)"
        )
    return pattern


def _is_anchored(parsed: Any) -> bool:
    """Whether a match can only begin where the text does."""
    return bool(
        parsed
        and not parsed.state.flags & re.MULTILINE
        and parsed[0] in ((op.AT, op.AT_BEGINNING), (op.AT, op.AT_BEGINNING_STRING))
    )


class _Cost(NamedTuple):
    """At most so many ways to match from one place, and steps to try them all."""

    ways: int
    steps: int


def _of_sequence(parsed: Any) -> _Cost:
    """What follows is tried once for every way of what comes before."""
    ways, steps = 1, 0
    for operator, argument in parsed:
        cost = _of_one(operator, argument)
        steps = min(steps + ways * cost.steps, _ENDLESS)
        ways = min(ways * cost.ways, _ENDLESS)
    return _Cost(ways, steps)


def _of_one(operator: Any, argument: Any) -> _Cost:
    if operator in _SINGLE:
        return _Cost(1, 1)
    if operator is op.SUBPATTERN:
        return _of_sequence(argument[-1])
    if operator is op.BRANCH:
        branches = [_of_sequence(branch) for branch in argument[1]]
        return _Cost(sum(one.ways for one in branches), len(branches) + sum(one.steps for one in branches))
    if operator in _REPEATS:
        fewest, most, body = argument
        return _of_repeat(_of_sequence(body), fewest, most)
    if operator in (op.ASSERT, op.ASSERT_NOT):
        return _of_sequence(argument[1])
    if operator is op.ATOMIC_GROUP:
        return _of_sequence(argument)
    raise ValueError("may not refer back to what it found")


def _of_repeat(body: _Cost, fewest: int, most: int) -> _Cost:
    most = min(most, SEARCHED_CHARS)
    if body.ways == 1:
        return _Cost(max(1, most - fewest + 1), max(1, most * body.steps))
    ways = min(body.ways ** min(most + 1, 64), _ENDLESS)
    return _Cost(ways, min(ways * (body.steps + 1), _ENDLESS))
