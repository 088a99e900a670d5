"""A command group whose `list` is what it does when nothing else is said: `threadgate threads --status all`."""

from typing import Any, Final

import typer
from typer.core import TyperGroup

DEFAULT: Final = "list"
LIMIT: Final = 50
"""Lines of a list unless told: a few windows."""


class _ListByDefault(TyperGroup):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] != "--help"):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


def listing_group(help_text: str) -> typer.Typer:
    """A group of commands about one kind of thing; its command `list` is the default."""
    app = typer.Typer(cls=_ListByDefault, help=help_text)

    @app.callback()
    def group() -> None: ...

    group.__doc__ = help_text
    return app
