"""The command tree."""

import typer

from gateway.cli import audit, serve, talk, tokens

app = typer.Typer(
    name="threadgate",
    help="The gate between people and agents.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)
app.command("demo")(serve.demo)
app.command("emulate")(serve.emulate)
app.command("chat")(talk.chat)
app.command("send")(talk.send)
app.command("tail")(talk.tail)
app.command("threads")(talk.threads)
app.command("runs")(talk.runs)
app.add_typer(tokens.app, name="token")
app.add_typer(audit.app, name="audit")


def main() -> None:
    """Run the command line."""
    app()
