"""Whether the arguments of a call fit the tool, decided before anything happens. Pure.

Schemas of MCP servers are not ours. So references lead nowhere but into the schema itself (nothing is fetched), and
the rules that can take unbounded time (regular expressions, the comparison of all items) are left to the server.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

from gateway.agents.port import Json
from gateway.agents.tools.port import Schema
from protocol.canonical import canonical
from protocol.limits import KIB

ARGUMENTS_CHARS: Final = 64 * KIB
"""As canonical JSON. What a person approves must fit a message, and the journal keeps every call whole."""
PLACES_MAX: Final = 3
"""Mistakes that are named at once: enough to repair a call, short enough to be read."""
REASON_CHARS: Final = 300
"""Of one mistake: the message quotes what was given, which can be long."""
DIGITS_MAX: Final = 400
"""Of a number; doubles end at 309 digits. Arithmetic on longer ones takes noticeable time."""


class BadArguments(ValueError):
    """The arguments do not fit; the text tells the agent what is wrong."""


def parsed(arguments: Json) -> dict[str, Json]:
    """Arguments as an object. A text is read as JSON first, since models write them so.

    Raises BadArguments for everything that is no JSON object or too large.
    """
    if isinstance(arguments, str):
        arguments = _read(arguments)
    if not isinstance(arguments, dict):
        raise BadArguments(f"The arguments must be a JSON object, not {_kind(arguments)}.")
    try:
        text = canonical(arguments)
        text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise BadArguments(f"The arguments are not JSON: {_brief(str(error))}.") from error
    if len(text) > ARGUMENTS_CHARS:
        raise BadArguments(f"The arguments are too large: {len(text)} characters, {ARGUMENTS_CHARS} at most.")
    known: dict[str, Json] = json.loads(text)  # the very value that is journalled
    return known


def check(schema: Schema, arguments: dict[str, Json]) -> None:
    """Raises BadArguments that names what does not fit, and where."""
    validator = _Validator(dict(schema), registry=Registry())
    try:
        mistakes = [_told(mistake) for mistake in _first(validator.iter_errors(arguments))]
    except (Unresolvable, RecursionError, TypeError, ValueError, ArithmeticError) as error:
        reason = _brief(str(error)) or type(error).__name__
        raise BadArguments(f"The tool's own schema cannot be applied: {reason}.") from error
    if mistakes:
        raise BadArguments("The arguments do not fit the tool: " + "; ".join(mistakes) + ".")


def schema_problem(schema: Schema) -> str | None:
    """Why this is no usable schema of a tool; None when it is one."""
    if schema.get("type", "object") != "object":
        return "it does not describe an object"
    try:
        Draft202012Validator.check_schema(dict(schema))
    except SchemaError as error:
        return _brief(error.message)
    except (RecursionError, Unresolvable) as error:
        return _brief(str(error)) or type(error).__name__
    return None


def _read(text: str) -> Json:
    if len(text) > ARGUMENTS_CHARS:
        raise BadArguments(f"The arguments are too large: {len(text)} characters, {ARGUMENTS_CHARS} at most.")
    try:
        return json.loads(text or "{}", parse_constant=_refuse_constant, parse_int=_integer)
    except RecursionError as error:
        raise BadArguments("The arguments are not JSON: they are nested too deeply.") from error
    except json.JSONDecodeError as error:
        raise BadArguments(f"The arguments are not JSON: {error}.") from error


def _refuse_constant(name: str) -> float:
    raise BadArguments(f"The arguments are not JSON: {name} is no number there.")


def _integer(text: str) -> int:
    if len(text) > DIGITS_MAX:
        raise BadArguments(f"The arguments have a number of {len(text)} digits, {DIGITS_MAX} at most.")
    return int(text)


def _first(mistakes: Iterator[ValidationError]) -> list[ValidationError]:
    found = []
    for mistake in mistakes:
        found.append(mistake)
        if len(found) == PLACES_MAX:
            break
    return found


def _told(mistake: ValidationError) -> str:
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in mistake.absolute_path)
    return f"{_brief(place.lstrip('.'))}: {_brief(mistake.message)}" if place else _brief(mistake.message)


def _brief(text: str) -> str:
    text = text.rstrip(".")
    return text if len(text) <= REASON_CHARS else text[: REASON_CHARS - 1] + "…"


def _kind(value: Json) -> str:
    names = {type(None): "null", bool: "a truth value", list: "a list", str: "a text"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def _left_to_the_server(validator: Any, rule: Any, value: Any, schema: Any) -> None:
    return None


def _additional(validator: Any, rule: Any, value: Any, schema: Any) -> Any:
    """As the standard says, where no regular expression decides what is additional."""
    if "patternProperties" in schema:
        return None
    return Draft202012Validator.VALIDATORS["additionalProperties"](validator, rule, value, schema)


_Validator: Final = extend(
    Draft202012Validator,
    {
        "pattern": _left_to_the_server,
        "patternProperties": _left_to_the_server,
        "uniqueItems": _left_to_the_server,
        "unevaluatedProperties": _left_to_the_server,
        "unevaluatedItems": _left_to_the_server,
        "additionalProperties": _additional,
    },
)
