"""Options that every command shares, and what they lead to: settings, or the way to a running gateway."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, NoReturn, ParamSpec, TypeVar

import typer
from rich.console import Console

from channels.secrets import SecretUnavailable
from gateway import runtime_file
from gateway.settings import Settings, SettingsError, load
from storage.errors import StoreError

P = ParamSpec("P")
R = TypeVar("R")

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="THREADGATE_CONFIG",
        help="Configuration file.",
        show_default="XDG config directory",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Directory of the store.", show_default="XDG data directory"),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url", envvar="THREADGATE_URL", help="Address of the gateway.", show_default="the local one"
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="THREADGATE_TOKEN",
        help="Token to use.",
        show_default="the local gateway lets its user in",
    ),
]

errors = Console(stderr=True, highlight=False)


def settings_of(
    config: Path | None, data_dir: Path | None, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """The settings a command works with. Raises SettingsError."""
    return load(config, {"data_dir": data_dir, **(overrides or {})}, os.environ)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a gateway is and what lets us in."""

    url: str
    token: str


def endpoint_of(config: Path | None, data_dir: Path | None, url: str | None, token: str | None) -> Endpoint:
    """The gateway to talk to: the one named, or the one that runs on this data directory. Exits when there is none."""
    if url is not None and token is not None:
        return Endpoint(url, token)
    settings = settings_of(config, data_dir)
    running = runtime_file.read(settings.data_dir)
    if running is None:
        fail(
            f"No gateway runs on {settings.data_dir}.",
            "Start one with `threadgate serve`, or give --url and --token.",
        )
    if url is not None and url != running.url and token is None:
        fail(f"A token is needed for {url}.", "Give --token, or set THREADGATE_TOKEN.")
    return Endpoint(url or running.url, token or running.secret)


def fail(what: str, hint: str = "", code: int = 1) -> NoReturn:
    """Say what went wrong and what to do, and exit."""
    errors.print(f"[bold red]error:[/] {_plain(what)}", markup=True)
    if hint:
        errors.print(_plain(hint), style="dim")
    raise typer.Exit(code)


def explained(command: Callable[P, R]) -> Callable[P, R]:
    """Turn the errors a user can cause into a message and exit code 2, without a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except (SettingsError, StoreError, SecretUnavailable) as error:
            fail(str(error), code=2)
        except OSError as error:
            fail(f"{error.strerror or error}", code=2)

    return run


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
