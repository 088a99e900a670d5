"""The effect-counting tool server, with the time of every effect: a line of JSON in EFFECTS for each.

Its process id is in PID_FILE while it lives, for those who kill it.
"""

import importlib
import json
import os
import sys
import time
from pathlib import Path

SERVER = Path(__file__).parents[2] / "gateway" / "agents"


def append(effects: Path, name: str) -> None:
    """In one write. SIGKILL of this process loses nothing of it."""
    line = json.dumps({"name": name, "at_ms": time.time_ns() // 1_000_000}) + "\n"
    with effects.open("a") as file:
        file.write(line)


if __name__ == "__main__":
    Path(os.environ["PID_FILE"]).write_text(str(os.getpid()))
    sys.path.insert(0, str(SERVER))
    server = importlib.import_module("effect_server")
    server._append = append  # type: ignore[attr-defined]
    server.main()
