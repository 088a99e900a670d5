"""The tool servers that agents of the matrix use, as tables of the configuration, and what they did."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from .kinds import Effect, kill_all, read_effects, toml

PROGRAM: Final = Path(__file__).with_name("till.py")
SERVERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "till": {},
    "book": {"idempotent": ["pay"]},
    "safe": {"requires_approval": "all"},
}
"""Their one tool that matters, `pay`, may be called once, again and again, and with somebody's leave."""


class Tills:
    """The servers of one stage; gateways start and end them."""

    def __init__(self) -> None:
        self._place = Path()

    def tables(self, place: Path, **more: Mapping[str, Any]) -> str:
        """The `[[agents.mcp]]` tables, as TOML. `more` are settings by server."""
        self._place = place
        return "".join(
            "[[agents.mcp]]\n"
            + toml({"name": name, "command": [sys.executable, str(PROGRAM)], **table, **more.get(name, {})})
            + f"env = {{ EFFECTS = {json.dumps(str(place / 'effects'))}, "
            + f"PID_FILE = {json.dumps(str(self._pid_file(name)))} }}\n"
            for name, table in SERVERS.items()
        )

    def effects(self) -> list[Effect]:
        """All that were paid."""
        return read_effects(self._place / "effects")

    def kill(self) -> bool:
        """All servers that live."""
        files = [self._pid_file(name) for name in SERVERS]
        return kill_all([int(file.read_text()) for file in files if file.exists() and file.read_text()])

    def _pid_file(self, name: str) -> Path:
        return self._place / f"{name}.pid"
