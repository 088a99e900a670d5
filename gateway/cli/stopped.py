"""What some commands do when no gateway runs: on the store itself, with the parts that the gateway is made of.

Those parts take longer to load than most commands take to run, so the modules of this table are loaded when they are
needed and not before, as `main.py` does with the commands.
"""

from importlib import import_module
from typing import Any, Final

_MODULES: Final = {
    "token": "gateway.cli.stopped_tokens",
    "export": "gateway.cli.stopped_export",
    "key": "gateway.cli.stopped_key",
}


def part(name: str) -> Any:
    """The module of that name."""
    return import_module(_MODULES[name])
