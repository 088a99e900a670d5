"""What is wrong with a configuration, in words: the key as it stands in the file, and what is allowed there.

Pure. Values are never repeated: one of them may be a secret. Where a value came from is known in `settings.py`.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Place: TypeAlias = tuple[int | str, ...]
Table: TypeAlias = type[BaseModel]


@dataclass(frozen=True, slots=True)
class Problem:
    """One wrong key. `place` is empty when the whole is wrong; then the text begins with the key."""

    place: Place
    text: str


@dataclass(frozen=True, slots=True)
class _Found:
    """Where an error is: its key, the table this stands in, and the kinds that table was chosen from."""

    place: Place
    table: Table
    kinds: tuple[Table, ...] = ()


def problems_of(error: ValidationError, model: Table) -> list[Problem]:
    """Every key that is wrong, once each, in the order of the model."""
    found: dict[Place, list[str]] = {}
    errors = error.errors(include_url=False, include_input=False)
    for wrong in errors:
        if not _is_consequence(wrong, errors):
            where = _locate(wrong["loc"], model)
            place, text = _explain(wrong, where)
            found.setdefault(place, []).append(text)
    return [Problem(place, _sentence(place, " or ".join(texts))) for place, texts in found.items()]


def did_you_mean(given: str, known: list[str], prefix: str = "") -> str:
    """` ; did you mean …?`, when something known is close."""
    close = difflib.get_close_matches(given, known, n=1)
    return f"; did you mean {prefix}{close[0]}?" if close else ""


def _is_consequence(wrong: ErrorDetails, errors: list[ErrorDetails]) -> bool:
    """A list is not too short because its items are wrong."""
    depth = len(wrong["loc"])
    return wrong["type"] == "too_short" and any(
        len(other["loc"]) > depth and other["loc"][:depth] == wrong["loc"] for other in errors
    )


def _explain(wrong: ErrorDetails, where: _Found) -> tuple[Place, str]:
    if wrong["type"] == "union_tag_invalid":
        kinds = wrong["ctx"]["expected_tags"].replace("'", "")
        return (*where.place, "kind"), (
            f"it is one of {kinds}{did_you_mean(wrong['ctx']['tag'], kinds.split(', '))}"
        )
    if wrong["type"] == "extra_forbidden":
        return where.place, _unknown_key(str(where.place[-1]), where)
    text = wrong["msg"].removeprefix("Value error, ").replace("tuple", "list").replace("Tuple", "List")
    return where.place, text[:1].lower() + text[1:] if where.place else text


def _unknown_key(key: str, where: _Found) -> str:
    known = sorted(where.table.model_fields)
    others = [f'"{_kind(table)}"' for table in where.kinds if key in table.model_fields]
    have = "kind {} has it" if len(others) == 1 else "kinds {} have it"
    guess = f"; {have.format(' and '.join(others))}" if others else did_you_mean(key, known)
    return f"there is no such setting{guess} (there are {', '.join(known)})"


def _sentence(place: Place, text: str) -> str:
    return f"{'.'.join(str(step) for step in place)}: {text}" if place else text


def _locate(loc: Place, model: Table) -> _Found:
    """Follow an error's location through the model: pydantic also names the members of unions in it."""
    found = _Found((), model)
    within: tuple[Table, ...] = (model,)
    is_mapping = False
    for step in loc:
        if isinstance(step, int):
            found = _Found((*found.place, step), found.table, found.kinds)
        elif len(within) > 1:
            table = next((one for one in within if _kind(one) == step), within[0])
            found, within = _Found(found.place, table, within), (table,)
        elif within:
            kinds = found.kinds if found.table is within[0] else ()
            found = _Found((*found.place, step), within[0], kinds)
            field = within[0].model_fields.get(step)
            annotation = field.annotation if field is not None else None
            within, is_mapping = tuple(_tables(annotation)), _is_mapping(annotation)
        elif is_mapping:
            found = _Found((*found.place, step), found.table)
    return found


def _tables(annotation: Any) -> Iterator[Table]:
    """The tables that a value of this type consists of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    else:
        for inner in get_args(annotation):
            yield from _tables(inner)


def _is_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict


def _kind(table: Table) -> str:
    """The value of `kind` that makes a table this one; empty when it has none."""
    field = table.model_fields.get("kind")
    if field is None or get_origin(field.annotation) is not Literal:
        return ""
    return str(get_args(field.annotation)[0])
