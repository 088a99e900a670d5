"""The arguments of one Web API call, from a query, a form or JSON.

In a query or a form everything is text and nested values are JSON texts; in a JSON body they are values. Both
mean the same to Slack, and so they do here.
"""

import json
from collections.abc import Mapping

from channels.emulators.slack.records import Json
from channels.emulators.slack.refusals import Refusal


class Arguments:
    """Typed access to the arguments."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = {name: value for name, value in values.items() if value is not None}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str, default: str = "") -> str:
        """The argument as text."""
        value = self._values.get(name, default)
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return str(value).lower()
        return str(value) if isinstance(value, int | float) else json.dumps(value)

    def required(self, name: str) -> str:
        """The argument; raises Refusal without one."""
        value = self.text(name)
        if not value:
            raise Refusal("invalid_arguments", f"missing required field: {name}")
        return value

    def integer(self, name: str, default: int = 0) -> int:
        """The argument as a whole number. Raises Refusal."""
        text = self.text(name)
        if not text:
            return default
        try:
            return int(text)
        except ValueError:
            raise Refusal("invalid_arguments", f"must provide an integer [json-pointer:/{name}]") from None

    def flag(self, name: str) -> bool:
        """Whether the argument is one of the words for yes."""
        return self.text(name).lower() in ("true", "1")

    def nested(self, name: str, error: str) -> object:
        """The argument as JSON; None without one or for an empty text. Raises Refusal with `error`."""
        value = self._values.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        try:
            parsed: object = json.loads(value)
        except ValueError:
            raise Refusal(error) from None
        return parsed

    def objects(self, name: str, error: str) -> list[Json]:
        """The argument as a list of objects; empty without one. Raises Refusal with `error`."""
        value = self.nested(name, error)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise Refusal(error)
        return value

    def names(self, name: str) -> list[str]:
        """A list that is written with commas or as JSON."""
        value = self._values.get(name)
        if isinstance(value, list):
            return [str(one) for one in value]
        return [one.strip() for one in self.text(name).split(",") if one.strip()]

    def to_log(self) -> dict[str, str]:
        """For the log of calls, without a token."""
        return {name: self.text(name) for name in self._values if name not in ("token", "client_secret")}
