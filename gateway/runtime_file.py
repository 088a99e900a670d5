"""The runtime file: how commands on the same machine find the running gateway and are let in.

It lies in the data directory, readable by its owner only, and lives as long as the process: it holds the
address and a random secret that exists nowhere else on disk and is forgotten with the process. Whoever can
read it could read the store itself (docs/decisions/0004).
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

NAME: Final = "gateway.json"


@dataclass(frozen=True, slots=True)
class Runtime:
    """Where a gateway listens and the secret that lets its own user in."""

    url: str
    pid: int
    secret: str


def write(data_dir: Path, runtime: Runtime) -> None:
    """Replace the file, readable by its owner only."""
    path = data_dir / NAME
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(runtime), file)
    draft.replace(path)


def read(data_dir: Path) -> Runtime | None:
    """The file of a gateway that runs or died; None when there is none or it cannot be read."""
    try:
        fields = json.loads((data_dir / NAME).read_text())
        return Runtime(url=fields["url"], pid=fields["pid"], secret=fields["secret"])
    except (OSError, ValueError, KeyError):
        return None


def remove(data_dir: Path) -> None:
    """The gateway ended in order."""
    (data_dir / NAME).unlink(missing_ok=True)
