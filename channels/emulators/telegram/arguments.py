"""The arguments of one Bot API call.

As in the real server every argument is text, whatever the request's encoding was: JSON bodies are flattened
by `server.py`, nested values stay JSON. Numbers are read leniently (garbage is 0), nested JSON strictly.
"""

import json
import re
from collections.abc import Mapping

from channels.emulators.telegram.files import Upload
from channels.emulators.telegram.refusals import bad_request

_LEADING_INTEGER = re.compile(r"-?\d+")
_ATTACHED = "attach://"


class Arguments:
    """Typed access to the text arguments and the uploaded files."""

    def __init__(self, values: Mapping[str, str], uploads: Mapping[str, Upload] | None = None) -> None:
        self._values = values
        self._uploads = uploads or {}

    def text(self, name: str) -> str:
        """The argument, or nothing."""
        return self._values.get(name, "")

    def has(self, name: str) -> bool:
        """Whether the argument is there at all."""
        return name in self._values

    def integer(self, name: str, default: int = 0) -> int:
        """The number at the start of the argument; `default` without an argument, 0 for garbage."""
        value = self._values.get(name, "")
        if not value:
            return default
        match = _LEADING_INTEGER.match(value)
        return int(match.group()) if match else 0

    def flag(self, name: str) -> bool:
        """Whether the argument is one of the words for yes."""
        return self._values.get(name, "").strip().lower() in ("true", "yes", "1")

    def parsed(self, name: str, called: str) -> object:
        """The argument as JSON; None without one. Raises Refusal."""
        value = self._values.get(name, "")
        if not value:
            return None
        try:
            parsed: object = json.loads(value)
        except ValueError:
            raise bad_request(f"can't parse {called} JSON object") from None
        return parsed

    def upload(self, name: str, value: str | None = None) -> Upload | None:
        """The file sent as this argument, or the part that `attach://<part>` points to; None without one."""
        value = self.text(name) if value is None else value
        if value.startswith(_ATTACHED):
            return self._uploads.get(value.removeprefix(_ATTACHED))
        return None if value else self._uploads.get(name)

    def chat_id(self) -> int:
        """The chat; raises Refusal. Public @names do not exist here, so they are never found."""
        value = self._values.get("chat_id", "")
        if not value:
            raise bad_request("chat_id is empty")
        if not re.fullmatch(r"-?\d+", value):
            raise bad_request("chat not found")
        return int(value)

    def message_id(self) -> int:
        """The message; raises Refusal without one."""
        value = self.integer("message_id")
        if value <= 0:
            raise bad_request("message identifier is not specified")
        return value
