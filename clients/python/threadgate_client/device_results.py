"""What a device remembers of commands it was told to do, so that none is done twice, also after a crash.

A file of lines: one when a command begins, one when it ends, each on the disk before anything else happens. A command
that began and has no end was cut off: nobody knows what came of it, and that is what is said. This module does file
I/O: call it from a thread, one call at a time.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FILE_NAME: Final = "invocations.jsonl"
KEPT: Final = 512
"""Commands that are remembered; a gateway asks about those of the last day."""
KEPT_CHARS: Final = 8 * 1024 * 1024
"""Of all their results together; the oldest go first."""
LINES_MAX: Final = 4 * KEPT
"""Lines after which the file is written anew with what is kept."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a command: a result, or an error of this kind. Neither: it was cut off."""

    result: Any = None
    error: Mapping[str, str] | None = None
    is_over: bool = True

    def to_json(self) -> dict[str, Any]:
        """As a line of the file has it."""
        if not self.is_over:
            return {}
        return {"result": self.result} if self.error is None else {"error": dict(self.error)}


CUT_OFF: Final = Done(is_over=False)


class Results:
    """The memory of one device."""

    def __init__(self, directory: Path) -> None:
        """Read the file, or begin one. Raises OSError."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = directory / FILE_NAME
        self._known: dict[str, Done] = {}
        self._sizes: dict[str, int] = {}
        self._chars = 0
        self._lines = 0
        if self._path.exists():
            with self._path.open(encoding="utf-8", errors="replace") as lines:
                self._read(lines)
        self._rewrite()

    def __len__(self) -> int:
        return len(self._known)

    def of(self, invocation_id: str) -> Done | None:
        """What came of a command; None for one that never came here."""
        return self._known.get(invocation_id)

    def begin(self, invocation_id: str) -> None:
        """It is about to be done."""
        self._put(invocation_id, CUT_OFF, 0)
        self._append({"id": invocation_id})

    def end(self, invocation_id: str, done: Done) -> None:
        """It was done."""
        line = {"id": invocation_id, **done.to_json()}
        self._put(invocation_id, done, len(json.dumps(line)))
        self._append(line)

    def _read(self, lines: Iterable[str]) -> None:
        for line in lines:
            try:
                value = json.loads(line)
            except ValueError:
                continue  # the last one of a process that was cut off
            if not isinstance(value, dict) or not isinstance(value.get("id"), str):
                continue
            error = value.get("error")
            is_over = "result" in value or isinstance(error, dict)
            done = Done(value.get("result"), error if isinstance(error, dict) else None, is_over)
            self._put(value["id"], done, len(line))

    def _put(self, invocation_id: str, done: Done, chars: int) -> None:
        self._forget(invocation_id)
        self._known[invocation_id], self._sizes[invocation_id] = done, chars
        self._chars += chars
        while len(self._known) > 1 and (len(self._known) > KEPT or self._chars > KEPT_CHARS):
            self._forget(next(iter(self._known)))

    def _forget(self, invocation_id: str) -> None:
        if self._known.pop(invocation_id, None) is not None:
            self._chars -= self._sizes.pop(invocation_id)

    def _append(self, value: Mapping[str, Any]) -> None:
        if self._lines >= LINES_MAX:
            self._rewrite()
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(value) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._lines += 1

    def _rewrite(self) -> None:
        """Write what is kept, whole or not at all."""
        made = self._path.with_name(f".{FILE_NAME}.new")
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            for invocation_id, done in self._known.items():
                file.write(json.dumps({"id": invocation_id, **done.to_json()}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        made.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        self._lines = len(self._known)
