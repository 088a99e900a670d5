"""How a command fails: one line that says what, one that says what to do, and an exit code. Never a traceback.

Exit codes: 1 what was asked for did not succeed (a run failed, a token is unknown), 2 it could not even be
tried (usage, configuration, no gateway), 130 Ctrl-C.
"""

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Final, NoReturn, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from channels.secrets import SecretUnavailable
from gateway.cli.printing import clean
from gateway.settings import SettingsError
from storage.errors import StoreError

P = ParamSpec("P")
R = TypeVar("R")

EXIT_FAILED: Final = 1
EXIT_UNUSABLE: Final = 2
EXIT_INTERRUPTED: Final = 130
"""128 + SIGINT, as shells report it."""

errors = Console(stderr=True, highlight=False)


def fail(what: str, hint: str = "", code: int = EXIT_FAILED) -> NoReturn:
    """Say what went wrong and what to do, and exit."""
    errors.print(Text.assemble(("error: ", "bold red"), clean(what)), soft_wrap=True)
    if hint:
        errors.print(Text(clean(hint), style="dim"), soft_wrap=True)
    raise typer.Exit(code)


def note(text: str) -> None:
    """Say something beside the output."""
    errors.print(Text(clean(text), style="dim"), soft_wrap=True)


def explained(command: Callable[P, R]) -> Callable[P, R]:
    """Turn the errors a user can cause here into a message and an exit code, without a traceback.

    What a gateway refuses is `refusals.answered`.
    """

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except (SettingsError, StoreError, SecretUnavailable) as error:
            fail(str(error), code=EXIT_UNUSABLE)
        except BrokenPipeError:
            _forget_output()
            raise typer.Exit(EXIT_FAILED) from None
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            fail(f"{where}{error.strerror or error}", code=EXIT_UNUSABLE)
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None

    return run


def _forget_output() -> None:
    """Whoever read our output is gone (`| head`): do not complain about it again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
