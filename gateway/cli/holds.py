"""`threadgate holds …`: what must be kept whatever anybody, or retention, wants to delete."""

from typing import Annotated, Any

import typer
from threadgate_client import Client

from gateway.cli.connecting import with_client
from gateway.cli.groups import listing_group
from gateway.cli.options import Json
from gateway.cli.printing import local_time, one_line, print_json, print_table
from protocol.ids import IdPrefix, has_prefix

app = listing_group("Legal holds: list them, put one on a person or a thread, release it.")

What = Annotated[
    str, typer.Argument(metavar="WHAT", help="A thread's id, NETWORK:ID of a person, or a user's id.")
]
Reason = Annotated[str, typer.Option(help="Why; kept with the hold.")]


@app.command("list")
@with_client()
async def list_(client: Client, json: Json = False) -> None:
    """List what must be kept."""
    holds = await client.data.holds()
    if json:
        print_json(holds)
        return
    rows = [
        (
            hold.id,
            hold.kind,
            hold.subject,
            local_time(hold.placed_at),
            one_line(hold.placed_by.name),
            one_line(hold.reason),
        )
        for hold in holds
    ]
    print_table(("hold", "kind", "subject", "since", "by", "reason"), rows, "No legal holds.")


@app.command()
@with_client()
async def add(client: Client, what: What, reason: Reason) -> None:
    """Keep a thread, or a person and the threads they wrote in."""
    hold = await client.data.hold(reason, **_named(what))
    print(f"held: {hold.kind} {hold.subject} ({hold.id})")


@app.command()
@with_client()
async def release(client: Client, what: What, reason: Reason) -> None:
    """Let go of it again."""
    hold = await client.data.release(reason, **_named(what))
    print(f"released: {hold.kind} {hold.subject} ({hold.id})")


def _named(what: str) -> dict[str, Any]:
    return {"thread_id": what} if has_prefix(what, IdPrefix.THREAD) else {"person": what}
