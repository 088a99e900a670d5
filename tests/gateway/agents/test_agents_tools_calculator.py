"""The calculator: exact, bounded, and nothing but arithmetic."""

import math
import time
from contextlib import suppress
from decimal import Context, Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.agents.tools.arithmetic import BadExpression, evaluate

OPERATORS = {"+": Fraction.__add__, "-": Fraction.__sub__, "*": Fraction.__mul__}
decimals = st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12)
whole = st.integers(-(10**15), 10**15)
SOON_S = 5.0
"""On a busy machine; without bounds some of these take longer than the universe is old."""


@st.composite
def expressions(draw: st.DrawFn, depth: int = 4) -> tuple[str, Fraction]:
    """An expression in full parentheses, and what Python's own fractions make of it."""
    if depth == 0 or draw(st.booleans()):
        number = draw(decimals)
        return f"({number:f})", Fraction(number)
    left, left_value = draw(expressions(depth=depth - 1))
    right, right_value = draw(expressions(depth=depth - 1))
    sign = draw(st.sampled_from(sorted(OPERATORS)))
    return f"({left} {sign} {right})", OPERATORS[sign](left_value, right_value)


@settings(deadline=None)
@given(expressions())
def test_it_agrees_with_exact_fractions(expression: tuple[str, Fraction]) -> None:
    text, value = expression
    if len(text) <= 1000:
        found = evaluate(text)
        assert found.number == value
        assert found.is_exact
        if found.is_shown_whole:
            assert Fraction(str(found)) == value


@settings(deadline=None)
@given(decimals, decimals.filter(bool))
def test_division_and_remainder_agree_with_exact_fractions(left: Decimal, right: Decimal) -> None:
    a, b = Fraction(left), Fraction(right)
    for sign, value in (("/", a / b), ("//", Fraction(a // b)), ("%", a % b)):
        assert evaluate(f"({left:f}) {sign} ({right:f})").number == value


@settings(deadline=None)
@given(whole, st.integers(1, 10**9))
def test_digits_that_do_not_end_are_rounded_to_thirty_and_said_to_be(top: int, bottom: int) -> None:
    found = evaluate(f"{top} / {bottom}")
    expected = Context(prec=30).divide(Decimal(top), Decimal(bottom))
    assert found.is_shown_whole == (Fraction(str(found)) == Fraction(top, bottom))
    if not found.is_shown_whole:
        assert Decimal(str(found)) == expected


@settings(deadline=None)
@given(st.decimals(min_value=-(10**6), max_value=10**6, places=8, allow_nan=False), st.integers(0, 6))
def test_rounding_is_half_away_from_zero(number: Decimal, places: int) -> None:
    expected = number.quantize(Decimal(1).scaleb(-places), rounding="ROUND_HALF_UP")
    assert evaluate(f"round({number:f}, {places})").number == Fraction(expected)


@settings(deadline=None)
@given(st.integers(0, 10**40))
def test_roots_of_squares_are_exact(number: int) -> None:
    found = evaluate(f"sqrt({number} ** 2)")
    assert (found.number, found.is_exact) == (number, True)


@settings(deadline=None)
@given(st.floats(0.001, 1e6), st.floats(-20, 20))
def test_powers_and_logarithms_agree_with_floating_point(base: float, exponent: float) -> None:
    power = float(evaluate(f"{base!r} ** ({exponent!r})").number)
    assert math.isclose(power, base**exponent, rel_tol=1e-9)
    assert math.isclose(float(evaluate(f"ln({base!r})").number), math.log(base), rel_tol=1e-9, abs_tol=1e-12)


@pytest.mark.parametrize(
    ("text", "result", "is_exact"),
    [
        ("0.1 + 0.2", "0.3", True),
        ("2 + 3 * 4", "14", True),
        ("-2 ** 2", "-4", True),
        ("2 ** -2", "0.25", True),
        ("(-8) ** 3", "-512", True),
        ("0 ** 0", "1", True),
        ("(-1) ** 99999999999", "-1", True),
        ("1 ** (10 ** 400)", "1", True),
        ("-7 // 2", "-4", True),
        ("7 % -3", "-2", True),
        ("1 / 3", "0.333333333333333333333333333333", False),
        ("1/3 + 2/3", "1", True),
        ("sqrt(2)", "1.41421356237309504880168872421", False),
        ("sqrt(0.25)", "0.5", True),
        ("4 ** 0.5", "2", True),
        ("max(1, 2.5, 2)", "2.5", True),
        ("min(3, -1)", "-1", True),
        ("abs(-0.5)", "0.5", True),
        ("floor(-0.5) + ceil(0.5)", "0", True),
        ("round(1234.5, -2)", "1200", True),
        ("exp(0)", "1", False),
        ("log10(1000)", "3", False),
        ("ln(e)", "1", False),
        ("2 * pi", "6.28318530717958647692528676656", False),
        ("1_000 * 0x10 + 1e3", "17000", True),
        ("2 ** 100", "1267650600228229401496703205376", True),
        ("1e-60", "1E-60", False),
        ("1000 * (1 + 0.03 / 12) ** 12", "1030.415956913507320092087421703398227691650390625", True),
        ("1000 * (1 + 0.03 / 12) ** 120", "1349.35354719083334806827445942", False),
    ],
)
def test_what_comes_out(text: str, result: str, is_exact: bool) -> None:
    found = evaluate(text)
    assert (str(found), found.is_shown_whole) == (result, is_exact)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1 / 0", "division by zero"),
        ("1 % 0", "division by zero"),
        ("1 // (1 - 1)", "division by zero"),
        ("0 ** -1", "division by zero"),
        ("9 ** 9 ** 9", "too large"),
        ("9 ** 9 ** 9 ** 9", "too large"),
        ("10 ** 5000", "too large"),
        ("2 ** 8192 * 2", "too large"),
        ("1.5 ** 99999999", "too large"),
        ("exp(10 ** 9)", "too large"),
        ("(1 + 10 ** -900) ** (10 ** 900)", "too precise"),
        ("1e1000000000", "exponents of numbers go up to 1000"),
        ("sqrt(-1)", "no square root"),
        ("(-2) ** 0.3", "no such power"),
        ("ln(0)", "only positive numbers"),
        ("round(1, 0.5)", "whole number of decimal places"),
        ("round(1, 10 ** 9)", "up to 1000"),
        ("round(1, 2, 3)", "round takes"),
        ("sqrt()", "sqrt takes one number"),
        ("max()", "at least one"),
        ("1,000 + 1", "comma"),
        ("2 ^ 3", "write ** for powers"),
        ("", "not written as arithmetic"),
        ("2 +", "not written as arithmetic"),
        ("5 %", "not written as arithmetic"),
        ("1\x00", "not written as arithmetic"),
        ("(" * 300 + "1" + ")" * 300, ""),
        ("-" * 999 + "1", ""),
        ("1+" * 500 + "1", "too long"),
        ("9" * 990 + "**" + "9", "too large"),
        ("True + 1", "only real numbers"),
        ("1j", "only real numbers"),
        ("'a' * 9", "only real numbers"),
        ("...", "only real numbers"),
        ("x", "only numbers"),
        ("__import__('os')", "only numbers"),
        ("(1).__class__", "only numbers"),
        ("[1][0]", "only numbers"),
        ("lambda: 1", "only numbers"),
        ("(x := 1)", "only numbers"),
        ("1 if 1 else 2", "only numbers"),
        ("1 < 2", "only numbers"),
        ("not 1", "only numbers"),
        ("~1", "only numbers"),
        ("1 << 99", "only numbers"),
        ("max(*[1])", "only numbers"),
        ("round(number=1)", "only numbers"),
        ("f'{1}'", "only numbers"),
    ],
)
def test_what_cannot_be_computed_is_said_at_once(text: str, complaint: str) -> None:
    began = time.monotonic()
    try:
        evaluate(text)
    except BadExpression as error:
        assert complaint in str(error)
    else:
        assert complaint == "", "it was computed"
    assert time.monotonic() - began < SOON_S


@settings(deadline=None)
@given(st.text(alphabet="0123456789.+-*/%()e_ ,sqrtmaxlnpi", max_size=60))
def test_any_text_is_computed_or_refused_in_time(text: str) -> None:
    began = time.monotonic()
    with suppress(BadExpression):
        str(evaluate(text))
    assert time.monotonic() - began < SOON_S
