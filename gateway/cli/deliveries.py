"""`threadgate deliveries …`: what is owed to rooms, and what an operator decides when nobody else can."""

from typing import Annotated

import typer
from threadgate_client import Client, Delivery

from gateway.cli.connecting import thread_named, with_client
from gateway.cli.groups import LIMIT, listing_group
from gateway.cli.options import Json
from gateway.cli.printing import local_time, print_json, print_table
from gateway.cli.threads import Limit, first
from protocol.limits import PAGE_MAX
from protocol.records import DeliveryState

app = listing_group("Messages owed to chat networks: list, send again, declare arrived.")

Which = Annotated[str, typer.Argument(metavar="DELIVERY", help="A delivery's id.")]


@app.command("list")
@with_client()
async def list_(
    client: Client,
    state: Annotated[
        DeliveryState | None,
        typer.Option(help="Only those in this state: failed and held ones wait for you.", show_default="all"),
    ] = None,
    channel: Annotated[
        str | None, typer.Option(help="Only those of this channel, like telegram:main.", show_default="all")
    ] = None,
    thread: Annotated[
        str | None, typer.Option(help="Only those of this thread: its id, or `last`.", show_default="all")
    ] = None,
    limit: Limit = LIMIT,
    json: Json = False,
) -> None:
    """List deliveries, newest first."""
    thread_id = await thread_named(client, thread) if thread is not None else None
    listing = client.deliveries.list(
        state=state.value if state else None,
        channel_id=channel,
        thread_id=thread_id,
        limit=min(limit, PAGE_MAX),
    )
    found = await first(listing, limit)
    if json:
        print_json(found)
        return
    rows = [
        (
            delivery.id,
            delivery.channel_id,
            delivery.room,
            _state(delivery),
            str(delivery.attempts),
            local_time(delivery.created_at),
            delivery.error or "",
            delivery.preview,
        )
        for delivery in found
    ]
    print_table(
        ("id", "channel", "room", "state", "attempts", "made", "error", "text"), rows, "No deliveries."
    )


@app.command()
@with_client()
async def retry(client: Client, delivery: Which) -> None:
    """Send one that failed, or of which nobody knows whether it arrived. It may then appear twice."""
    print(f"to be sent again: {(await client.deliveries.retry(delivery)).id}")


@app.command()
@with_client()
async def settle(client: Client, delivery: Which) -> None:
    """Declare that one arrived, so that it is not sent again: you have seen it in its room."""
    print(f"settled {(await client.deliveries.settle(delivery)).id}")


def _state(delivery: Delivery) -> str:
    return f"{delivery.state} (uncertain)" if delivery.uncertain else delivery.state
