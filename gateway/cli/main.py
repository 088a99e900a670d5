"""The command tree: names, order and sections. What a command does is in its own file.

Only the file of the command that was asked for is loaded: `chat` and `send` need no server, and without one
they start in half the time. Help loads them all.
"""

import gc
import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version as installed_version
from typing import Annotated, Final

import typer

RUN: Final = "Run"
TALK: Final = "Talk"
LOOK: Final = "Look and change"
CARE: Final = "Look after"


@dataclass(frozen=True, slots=True)
class _Entry:
    """A command, or a group of them, and where it is."""

    name: str
    section: str
    module: str
    attribute: str

    def add_to(self, app: typer.Typer) -> None:
        """Load it."""
        found = getattr(import_module(f"gateway.cli.{self.module}"), self.attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=self.name, rich_help_panel=self.section)
        else:
            app.command(self.name, rich_help_panel=self.section)(found)


ENTRIES: Final = (
    _Entry("serve", RUN, "serve", "serve"),
    _Entry("demo", RUN, "demo", "demo"),
    _Entry("emulate", RUN, "emulate", "emulate"),
    _Entry("device", RUN, "device", "app"),
    _Entry("chat", TALK, "chat.command", "chat"),
    _Entry("send", TALK, "send", "send"),
    _Entry("tail", TALK, "tail", "tail"),
    _Entry("threads", LOOK, "threads", "app"),
    _Entry("runs", LOOK, "runs", "app"),
    _Entry("approvals", LOOK, "approvals", "app"),
    _Entry("blobs", LOOK, "blobs", "app"),
    _Entry("agents", LOOK, "agents", "app"),
    _Entry("usage", LOOK, "usage", "usage"),
    _Entry("budgets", LOOK, "usage", "budgets"),
    _Entry("route", LOOK, "routes", "app"),
    _Entry("devices", LOOK, "devices", "app"),
    _Entry("deliveries", LOOK, "deliveries", "app"),
    _Entry("channels", LOOK, "channels", "channels"),
    _Entry("doctor", CARE, "doctor", "doctor"),
    _Entry("slack", CARE, "slack", "app"),
    _Entry("users", CARE, "users", "app"),
    _Entry("token", CARE, "tokens", "app"),
    _Entry("pairing", CARE, "pairings", "app"),
    _Entry("policy", CARE, "policies", "app"),
    _Entry("audit", CARE, "audit", "app"),
    _Entry("retention", CARE, "retention", "app"),
    _Entry("erase", CARE, "erase", "app"),
    _Entry("holds", CARE, "holds", "app"),
)


def main() -> None:
    """Run the command line."""
    asked = [entry for entry in ENTRIES if entry.name in sys.argv[1:2]]
    gc.disable()  # nothing made while loading is garbage: looking for some costs a tenth of the start
    app = command_line(asked or ENTRIES)
    gc.freeze()  # … and looking again at every full collection would stop the loop for longer
    gc.enable()
    app()


def command_line(entries: "tuple[_Entry, ...] | list[_Entry]" = ENTRIES) -> typer.Typer:
    """The command line with these entries."""
    app = typer.Typer(
        name="threadgate",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for entry in entries:
        entry.add_to(app)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"threadgate {installed_version('threadgate')}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
) -> None:
    """The gate between people and agents.

    Begin with `threadgate demo`, or `threadgate serve` and, in a second terminal, `threadgate chat`. Commands find
    the gateway of the same data directory by themselves; --url and --token reach any other.
    """
