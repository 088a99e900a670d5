"""`threadgate retention …`: what is older than the configuration allows, and deleting it now."""

import typer
from threadgate_client import Client
from threadgate_client.privacy import Retained

from gateway.cli.connecting import with_client
from gateway.cli.options import Json
from gateway.cli.printing import local_time, print_json, print_table

app = typer.Typer(help="What is over its time: look, and delete it now.", no_args_is_help=True)


@app.callback()
def _retention() -> None:
    """What is over its time: look, and delete it now."""


@app.command()
@with_client()
async def plan(client: Client, json: Json = False) -> None:
    """Say what would be deleted, and what a legal hold keeps. Nothing changes."""
    _print(await client.data.retention(dry_run=True), json=json)


@app.command()
@with_client()
async def run(client: Client, json: Json = False) -> None:
    """Delete what is over its time, for good. The gateway does so by itself once a day."""
    _print(await client.data.retention(dry_run=False), json=json)


def _print(found: Retained, *, json: bool) -> None:
    if json:
        print_json(found)
        return
    what = "over its time" if found.dry_run else "deleted"
    rows = [
        (
            one.name,
            f"{one.days} days",
            local_time(one.cutoff),
            str(one.would_delete if found.dry_run else one.deleted),
            str(one.held),
        )
        for one in found.classes
    ]
    print_table(
        ("class", "kept for", "older than", what, "held"), rows, "Everything is kept for ever ([retention])."
    )
