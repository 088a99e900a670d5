"""The command tree: names, order and sections. What a command does is in its own file."""

from typing import Annotated, Final

import typer

from gateway.app import VERSION
from gateway.cli import audit, catalogue, doctor, runs, send, serve, tail, threads, tokens
from gateway.cli.chat import command as chat

RUN: Final = "Run"
TALK: Final = "Talk"
LOOK: Final = "Look and change"
CARE: Final = "Look after"

app = typer.Typer(
    name="threadgate",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"threadgate {VERSION}")
        raise typer.Exit


@app.callback()
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


app.command("serve", rich_help_panel=RUN)(serve.serve)
app.command("demo", rich_help_panel=RUN)(serve.demo)
app.command("emulate", rich_help_panel=RUN)(serve.emulate)
app.command("chat", rich_help_panel=TALK)(chat.chat)
app.command("send", rich_help_panel=TALK)(send.send)
app.command("tail", rich_help_panel=TALK)(tail.tail)
app.add_typer(threads.app, name="threads", rich_help_panel=LOOK)
app.add_typer(runs.app, name="runs", rich_help_panel=LOOK)
app.command("agents", rich_help_panel=LOOK)(catalogue.agents)
app.command("channels", rich_help_panel=LOOK)(catalogue.channels)
app.command("doctor", rich_help_panel=CARE)(doctor.doctor)
app.add_typer(tokens.app, name="token", rich_help_panel=CARE)
app.add_typer(audit.app, name="audit", rich_help_panel=CARE)


def main() -> None:
    """Run the command line."""
    app()
