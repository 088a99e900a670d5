"""Named SQL: each file of `queries/` holds statements under `-- name:` lines, with a comment of what they do.

No SQL is built from strings anywhere; a statement is asked for by name, and a wrong name fails at import.
"""

import re
from importlib import resources
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


class Queries:
    """The statements of one file, as attributes."""

    def __init__(self, family: str) -> None:
        text = resources.files("storage").joinpath("queries", f"{family}.sql").read_text("utf-8")
        _, *pieces = _NAME.split(text)
        self._family = family
        self._statements = {
            name: sql.strip().rstrip(";") for name, sql in zip(pieces[::2], pieces[1::2], strict=True)
        }
        # As plain attributes: a dozen of them are looked up for every message.
        self.__dict__.update(self._statements)

    def __getattr__(self, name: str) -> str:
        raise AttributeError(f"queries/{self._family}.sql has no statement named {name}")

    def names(self) -> list[str]:
        """All statement names of the file."""
        return list(self._statements)
