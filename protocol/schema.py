"""The committed schema files: served by the gateway, checked against the code, written by `make schema`.

    python -m protocol.schema --check     is every file what the code describes, and is v1 still v1?
    python -m protocol.schema --write     write them; refuses a change that breaks v1

The check changes nothing. The files are the only thing in this package that is read from disk; what is in
them comes from `bundle.py`, `asyncapi.py`, `openapi.py` and `compatibility.py`.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Final

from protocol.asyncapi import asyncapi
from protocol.bundle import Schema, bundle
from protocol.compatibility import breaches, snapshot
from protocol.openapi import openapi

DIRECTORY: Final = Path(__file__).parent / "schema"
SNAPSHOT: Final = "v1.snapshot.json"
REPAIR: Final = "make schema"
DOCUMENTS: Final[Mapping[str, Callable[[], Schema]]] = {
    "schema.json": bundle,
    "asyncapi.json": asyncapi,
    "openapi.json": openapi,
    SNAPSHOT: lambda: snapshot(bundle()),
}
"""File name → what makes its content."""


def load(name: str) -> bytes:
    """A committed file, for serving. Raises KeyError for a name that is none of DOCUMENTS."""
    if name not in DOCUMENTS:
        raise KeyError(name)
    return resources.files("protocol").joinpath("schema", name).read_bytes()


def render(document: Schema) -> bytes:
    """The bytes of a document: sorted, indented, one line end at the end."""
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def find_breaches(directory: Path) -> list[str]:
    """What the code breaks of the committed snapshot; nothing when there is none yet."""
    path = directory / SNAPSHOT
    return breaches(json.loads(path.read_bytes()), snapshot(bundle())) if path.is_file() else []


def find_drift(directory: Path) -> list[str]:
    """Names of the files that are not what the code describes."""
    return [
        name
        for name, make in DOCUMENTS.items()
        if not (directory / name).is_file() or (directory / name).read_bytes() != render(make())
    ]


def check(directory: Path) -> list[str]:
    """Everything that is wrong, in lines to print; changes nothing."""
    broken = find_breaches(directory)
    if broken:
        return [
            f"{directory.name}/{SNAPSHOT}: this change breaks v1, which may only grow:",
            *(f"  {breach}" for breach in broken),
            "Keep what was there, or add something new beside it.",
        ]
    drifted = find_drift(directory)
    return [f"{directory.name}/{name} differs from the code" for name in drifted] + (
        [f"Repair with: {REPAIR}"] if drifted else []
    )


def write(directory: Path) -> list[str]:
    """Write what differs. Returns lines to print and writes nothing when v1 would break."""
    if find_breaches(directory):
        return check(directory)
    directory.mkdir(exist_ok=True)
    for name in find_drift(directory):
        (directory / name).write_bytes(render(DOCUMENTS[name]()))
    return []


def main(arguments: Sequence[str] | None = None, directory: Path = DIRECTORY) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m protocol.schema", description="The committed schemas.")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="fail when a file is not what the code says")
    action.add_argument("--write", action="store_true", help="write the files; refuses to break v1")
    found = (check if parser.parse_args(arguments).check else write)(directory)
    if found:
        print("\n".join(found), file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
