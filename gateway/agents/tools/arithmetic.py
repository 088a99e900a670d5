"""Arithmetic on texts such as `2 * (3 + 0.1)`: exact fractions, bounded in time and size. Pure.

Python's own parser reads the text, and nothing of it is ever executed: the tree is walked here, and whatever is not
a number, an operator or one of the named functions is refused. Everything is computed in fractions, so decimals are
exact; only roots, logarithms and their like are rounded, to 50 digits, and say so.
"""

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from typing import Final

TEXT_CHARS: Final = 1000
"""Of an expression. Also bounds how deeply it nests and how many operations it has."""
BITS_MAX: Final = 8192
"""Of a numerator or denominator, some 2,400 digits: every operation on such numbers takes microseconds."""
PLACES_MAX: Final = 1000
"""Digits that `round` can be asked for, and the largest exponent of a number that is written down."""
PRECISION: Final = 50
"""Significant digits of what cannot be exact."""
EXPONENT_MAX: Final = 5000
"""Of e: larger results have more than BITS_MAX bits."""
NEAR_ONE: Final = Fraction(1, 10**20)
"""Nearer to 1 than this, 50 digits of a logarithm say too little about a power."""
SHOWN: Final = 30
"""Of these the ones that are told; the others absorb rounding."""

_DECIMAL: Final = Context(prec=PRECISION)


class BadExpression(ValueError):
    """It cannot be computed; the text says why."""


@dataclass(frozen=True, slots=True)
class Value:
    """A number. `is_exact`: nothing was rounded on the way."""

    number: Fraction
    is_exact: bool = True

    def __str__(self) -> str:
        """As a decimal: all its digits when they end soon, else the first 30 significant ones."""
        if self.number.denominator == 1 and self.is_exact:
            return str(self.number.numerator)
        ended = _ended(self.number) if self.is_exact else None
        if ended is not None:
            return ended
        return _plain(_decimal(self.number, Context(prec=SHOWN)))

    @property
    def is_shown_whole(self) -> bool:
        """Whether the decimal is the number itself."""
        return self.is_exact and (self.number.denominator == 1 or _ended(self.number) is not None)


def evaluate(text: str) -> Value:
    """The value of an expression. Raises BadExpression."""
    text = text.strip()
    if len(text) > TEXT_CHARS:
        raise BadExpression(f"the expression is too long: {len(text)} characters, {TEXT_CHARS} at most")
    try:
        tree = ast.parse(text, mode="eval")
        return _Walk(text).value(tree.body)
    except (SyntaxError, ValueError, MemoryError) as error:
        if isinstance(error, BadExpression):
            raise
        raise BadExpression("it is not written as arithmetic, such as 2 * (3 + 0.5)") from error
    except RecursionError as error:
        raise BadExpression("it is nested too deeply") from error


class _Walk:
    """Computes the tree of one text. The text is kept because floating point would spoil its decimals."""

    def __init__(self, text: str) -> None:
        self._text = text

    def value(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant():
                return self._constant(node)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self.value(operand)
                return Value(-inner.number, inner.is_exact)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.value(operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _bounded(_OPERATORS[type(op)](self.value(left), self.value(right)))
            case ast.BinOp(op=ast.BitXor()):
                raise BadExpression("^ is not an operator here; write ** for powers")
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
                return _bounded(_FUNCTIONS[name]([self.value(argument) for argument in arguments]))
            case ast.Name(id=name) if name in _CONSTANTS:
                return Value(_CONSTANTS[name], is_exact=False)
            case ast.Tuple():
                raise BadExpression(
                    "a comma only separates arguments of a function; write 1000.5 for a number"
                )
        raise BadExpression(
            "only numbers, + - * / // % ** ( ), the functions "
            f"{', '.join(sorted(_FUNCTIONS))} and the constants {', '.join(sorted(_CONSTANTS))} are known"
        )

    def _constant(self, node: ast.Constant) -> Value:
        if type(node.value) not in (int, float):
            raise BadExpression("only real numbers can be computed with")
        written = (ast.get_source_segment(self._text, node) or "").replace("_", "").lower()
        if written.startswith(("0x", "0o", "0b")):
            return _bounded(Value(Fraction(int(written, 0))))
        exponent = written.partition("e")[2]
        if exponent and abs(int(exponent)) > PLACES_MAX:
            raise BadExpression(f"exponents of numbers go up to {PLACES_MAX}")
        return _bounded(Value(Fraction(written)))


# --- operators -------------------------------------------------------------------------------------


def _add(left: Value, right: Value) -> Value:
    return Value(left.number + right.number, left.is_exact and right.is_exact)


def _subtract(left: Value, right: Value) -> Value:
    return Value(left.number - right.number, left.is_exact and right.is_exact)


def _multiply(left: Value, right: Value) -> Value:
    return Value(left.number * right.number, left.is_exact and right.is_exact)


def _divide(left: Value, right: Value) -> Value:
    return Value(left.number / _divisor(right), left.is_exact and right.is_exact)


def _divide_down(left: Value, right: Value) -> Value:
    return Value(Fraction(left.number // _divisor(right)), left.is_exact and right.is_exact)


def _remainder(left: Value, right: Value) -> Value:
    return Value(left.number % _divisor(right), left.is_exact and right.is_exact)


def _divisor(value: Value) -> Fraction:
    if not value.number:
        raise BadExpression("division by zero")
    return value.number


def _power(left: Value, right: Value) -> Value:
    base, exponent = left.number, right.number
    if not base and exponent < 0:
        raise BadExpression("division by zero")
    if exponent == Fraction(1, 2):
        return _root(left)
    if exponent.denominator == 1:
        if base in (-1, 0, 1):
            exponent = Fraction(_small_exponent(exponent.numerator))
        if _bits(base) * abs(exponent) <= 2 * BITS_MAX:
            exact = base**exponent.numerator
            if _bits(exact) <= BITS_MAX:
                return Value(exact, left.is_exact and right.is_exact)
    return left if not base else _rounded_power(base, exponent)


def _small_exponent(exponent: int) -> int:
    """One with the same power of -1, 0 and 1."""
    return 0 if exponent == 0 else 2 - exponent % 2


def _rounded_power(base: Fraction, exponent: Fraction) -> Value:
    if base < 0:
        raise BadExpression("a negative number has no such power that could be computed")
    if 0 < abs(base - 1) < NEAR_ONE:
        raise BadExpression("the number becomes too precise")
    logarithm = _DECIMAL.multiply(_decimal(exponent), _DECIMAL.ln(_decimal(base)))
    if abs(logarithm) > EXPONENT_MAX:
        raise BadExpression("the number becomes too large or too small")
    return _rounded(_DECIMAL.exp(logarithm))


_OPERATORS: Final[Mapping[type[ast.operator], Callable[[Value, Value], Value]]] = {
    ast.Add: _add,
    ast.Sub: _subtract,
    ast.Mult: _multiply,
    ast.Div: _divide,
    ast.FloorDiv: _divide_down,
    ast.Mod: _remainder,
    ast.Pow: _power,
}

# --- functions -------------------------------------------------------------------------------------


def _one(name: str, function: Callable[[Value], Value]) -> Callable[[list[Value]], Value]:
    def call(arguments: list[Value]) -> Value:
        if len(arguments) != 1:
            raise BadExpression(f"{name} takes one number")
        return function(arguments[0])

    return call


def _chosen(name: str, choose: Callable[[list[Fraction]], Fraction]) -> Callable[[list[Value]], Value]:
    def call(arguments: list[Value]) -> Value:
        if not arguments:
            raise BadExpression(f"{name} takes at least one number")
        numbers = [argument.number for argument in arguments]
        return Value(choose(numbers), all(argument.is_exact for argument in arguments))

    return call


def _round(arguments: list[Value]) -> Value:
    """Half away from zero, as people round."""
    if len(arguments) not in (1, 2):
        raise BadExpression("round takes a number, and how many decimal places to keep")
    places = arguments[1].number if len(arguments) == 2 else Fraction(0)
    if places.denominator != 1 or abs(places) > PLACES_MAX:
        raise BadExpression(f"round keeps a whole number of decimal places, up to {PLACES_MAX}")
    scale = Fraction(10) ** places.numerator
    scaled = abs(arguments[0].number) * scale
    rounded = Fraction(math.floor(scaled + Fraction(1, 2))) / scale
    return Value(rounded if arguments[0].number >= 0 else -rounded, arguments[0].is_exact)


def _root(value: Value) -> Value:
    if value.number < 0:
        raise BadExpression("a negative number has no square root")
    above, below = math.isqrt(value.number.numerator), math.isqrt(value.number.denominator)
    exact = Fraction(above, below)
    if exact * exact == value.number:
        return Value(exact, value.is_exact)
    return _rounded(_DECIMAL.sqrt(_decimal(value.number)))


def _logarithm(value: Value, compute: Callable[[Decimal], Decimal]) -> Value:
    if value.number <= 0:
        raise BadExpression("only positive numbers have a logarithm")
    return _rounded(compute(_decimal(value.number)))


def _exponential(value: Value) -> Value:
    if abs(value.number) > EXPONENT_MAX:
        raise BadExpression("the number becomes too large or too small")
    return _rounded(_DECIMAL.exp(_decimal(value.number)))


_FUNCTIONS: Final[Mapping[str, Callable[[list[Value]], Value]]] = {
    "abs": _one("abs", lambda value: Value(abs(value.number), value.is_exact)),
    "ceil": _one("ceil", lambda value: Value(Fraction(math.ceil(value.number)), value.is_exact)),
    "exp": _one("exp", _exponential),
    "floor": _one("floor", lambda value: Value(Fraction(math.floor(value.number)), value.is_exact)),
    "ln": _one("ln", lambda value: _logarithm(value, _DECIMAL.ln)),
    "log10": _one("log10", lambda value: _logarithm(value, _DECIMAL.log10)),
    "max": _chosen("max", max),
    "min": _chosen("min", min),
    "round": _round,
    "sqrt": _one("sqrt", _root),
}
_CONSTANTS: Final[Mapping[str, Fraction]] = {
    "e": Fraction("2.71828182845904523536028747135266249775724709369996"),
    "pi": Fraction("3.14159265358979323846264338327950288419716939937511"),
}
"""To 51 digits: OEIS A001113 and A000796."""

# --- bounds and shapes -----------------------------------------------------------------------------


def _bits(number: Fraction) -> int:
    return max(number.numerator.bit_length(), number.denominator.bit_length())


def _bounded(value: Value) -> Value:
    if _bits(value.number) > BITS_MAX:
        raise BadExpression("the number becomes too large or too precise")
    return value


def _decimal(number: Fraction, context: Context = _DECIMAL) -> Decimal:
    return context.divide(Decimal(number.numerator), Decimal(number.denominator))


def _rounded(number: Decimal) -> Value:
    return Value(Fraction(number), is_exact=False)


def _ended(number: Fraction) -> str | None:
    """All decimal digits of a number, None when they never end or are too many to be told."""
    places, rest = 0, number.denominator
    for prime in (2, 5):
        count = 0
        while rest % prime == 0:
            rest //= prime
            count += 1
        places = max(places, count)
    if rest != 1 or places > PRECISION:
        return None
    digits = str(abs(number.numerator) * 10**places // number.denominator).rjust(places + 1, "0")
    sign = "-" if number < 0 else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else sign + digits


def _plain(number: Decimal) -> str:
    """Without an exponent where that is readable, and without zeros that say nothing."""
    number = number.normalize(Context(prec=SHOWN))
    if number and not -SHOWN <= number.adjusted() <= SHOWN:
        return str(number)
    return format(number, "f")
