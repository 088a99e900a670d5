"""Fields of control bodies that only this network has: ids, which scripts can only carry as texts, and flags."""

from channels.emulators.discord.records import Json
from channels.emulators.errors import ControlError


def id_of(body: Json, name: str) -> int:
    """An id, as a text of digits or a number. Raises ControlError."""
    value = body.get(name)
    if isinstance(value, bool) or not str(value).isdecimal():
        raise ControlError(f"{name} must be an id")
    return int(str(value))


def optional_id_of(body: Json, name: str) -> int | None:
    """An id that may be missing or null. Raises ControlError."""
    return None if body.get(name) is None else id_of(body, name)


def flag_of(body: Json, name: str, *, default: bool = False) -> bool:
    """True or false. Raises ControlError."""
    value = body.get(name, default)
    if not isinstance(value, bool):
        raise ControlError(f"{name} must be true or false")
    return value
