"""Whether what a device declares can be used: names, sizes, and schemas that can be applied. Pure, but slow: schemas of
strangers are judged on a thread, and only those of devices that somebody approved.
"""

from collections.abc import Sequence
from typing import Any, Final

from gateway.agents.tools.arguments import schema_problem
from protocol.canonical import canonical
from protocol.devices import DeviceCommand
from protocol.errors import invalid_params
from protocol.limits import KIB

SCHEMA_CHARS: Final = 16 * KIB
"""Of one schema: far more than any command needs, and an agent reads all of them."""
SCHEMA_DEPTH: Final = 16
"""Levels of one schema: what nests deeper costs time to apply."""


def check_commands(commands: Sequence[DeviceCommand]) -> None:
    """Raise Fault invalid_params that names each command that cannot be used, and why."""
    problems: list[dict[str, str]] = []
    seen: set[str] = set()
    for number, command in enumerate(commands):
        problem = "it is declared twice" if command.name in seen else _schema_problem(command.params_schema)
        seen.add(command.name)
        if problem is not None:
            problems.append({"path": f"commands.{number}", "message": f"{command.name}: {problem}"})
    if problems:
        raise invalid_params(problems)


def _schema_problem(schema: dict[str, Any]) -> str | None:
    try:
        size = len(canonical(schema))
    except (ValueError, TypeError, RecursionError):
        return "its schema is not JSON"
    if size > SCHEMA_CHARS:
        return f"its schema has more than {SCHEMA_CHARS} characters"
    if _depth(schema) > SCHEMA_DEPTH:
        return f"its schema is nested deeper than {SCHEMA_DEPTH} levels"
    problem = schema_problem(schema)
    return f"its schema cannot be used: {problem}" if problem is not None else None


def _depth(value: Any) -> int:
    """Levels of objects and lists; stops counting beyond the most that is allowed."""
    level, depth = [value], 0
    while depth <= SCHEMA_DEPTH:
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += one.values()
            elif isinstance(one, list):
                inner += one
        if not any(isinstance(one, dict | list) for one in level):
            return depth
        level, depth = inner, depth + 1
    return depth
