"""`threadgate slack …`: what Slack needs to know of the app, to be pasted at api.slack.com/apps."""

import json
from typing import Annotated, Final

import typer

from channels.slack.manifest import DEFAULT_COMMAND, DEFAULT_NAME, app_manifest
from gateway.cli.failures import EXIT_UNUSABLE, explained, fail

_EXPERIENCES: Final = ("agent", "assistant", "none")

app = typer.Typer(help="Set up a Slack app.", no_args_is_help=True)


@app.callback()
def slack() -> None:
    """Set up a Slack app."""


@app.command()
@explained
def manifest(
    http: Annotated[
        str | None,
        typer.Option(
            help="Public https address of this gateway: Slack sends requests there instead of over sockets.",
            metavar="URL",
        ),
    ] = None,
    account: Annotated[str, typer.Option(help="The account's name in the configuration.")] = "slack",
    several: Annotated[
        str | None,
        typer.Option(
            help="Public https address of this gateway, when several workspaces may install the app."
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="How people see the app.")] = DEFAULT_NAME,
    command: Annotated[str, typer.Option(help="The slash command.")] = DEFAULT_COMMAND,
    experience: Annotated[
        str, typer.Option(help=f"Slack's experience for agents: {', '.join(_EXPERIENCES)}.")
    ] = "agent",
) -> None:
    """Print the app's manifest as JSON, with the least scopes that work."""
    if experience not in _EXPERIENCES:
        fail(f"--experience is one of {', '.join(_EXPERIENCES)}.", code=EXIT_UNUSABLE)
    if not command.startswith("/"):
        fail("--command begins with a slash.", code=EXIT_UNUSABLE)
    for address in (http, several):
        if address is not None and not address.startswith("https://"):
            fail(f"{address} is no https:// address.", "Slack reaches nothing else.", EXIT_UNUSABLE)
    hooks = f"/hooks/slack/{account}/"
    found = app_manifest(
        name=name,
        command=command,
        experience=experience,
        http_url=None if http is None else f"{http.rstrip('/')}{hooks}events",
        redirect_urls=() if several is None else (f"{several.rstrip('/')}{hooks}oauth_redirect",),
    )
    print(json.dumps(found, indent=2))
