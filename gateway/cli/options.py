"""Options that every command shares, and the settings they lead to.

How a command reaches a running gateway is in `connecting.py`, how it fails in `failures.py`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.settings import Settings, load

WHERE: Final = "Which gateway"
"""The section of every --help that these options are in."""

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="THREADGATE_CONFIG",
        help="Configuration file, instead of threadgate/config.toml in the XDG configuration directory.",
        rich_help_panel=WHERE,
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Directory of the store, instead of threadgate in the XDG data directory.",
        rich_help_panel=WHERE,
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="THREADGATE_URL",
        help="Address of the gateway, instead of the one that runs on the data directory.",
        rich_help_panel=WHERE,
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="THREADGATE_TOKEN",
        help="Token to use; the local gateway lets its own user in without. Others can see the arguments of "
        "a program, so better set the variable.",
        rich_help_panel=WHERE,
    ),
]
Org = Annotated[
    str | None,
    typer.Option(
        "--org",
        envvar="THREADGATE_ORG",
        help="Organization to act in, instead of the default one. A token says itself which is its own.",
        rich_help_panel=WHERE,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def settings_of(
    config: Path | None, data_dir: Path | None, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """The settings a command works with. Raises SettingsError."""
    return load(config, {"data_dir": data_dir, **(overrides or {})}, os.environ)
