"""`threadgate channels`: what this gateway is connected to, and how each account fares."""

from threadgate_client import Channel, Client

from gateway.cli.connecting import with_client
from gateway.cli.options import Json
from gateway.cli.printing import local_time, print_json, print_table


@with_client()
async def channels(client: Client, json: Json = False) -> None:
    """List the chat networks and how each account fares."""
    found = await client.channels.list()
    if json:
        print_json(found)
        return
    rows = [
        (
            channel.id,
            channel.state,
            local_time(channel.last_event_at),
            _seconds(channel.lag_ms),
            str(channel.deliveries_waiting),
            str(channel.deliveries_uncertain),
            str(channel.deliveries_held),
            str(channel.deliveries_failed),
            _remarks(channel),
        )
        for channel in found
    ]
    headings = (
        "channel",
        "state",
        "last event",
        "lag",
        "waiting",
        "uncertain",
        "held",
        "failed",
        "detail",
    )
    print_table(headings, rows, "No channels: add a [[channels]] table to the configuration.")


def _seconds(lag_ms: int | None) -> str:
    return f"{lag_ms / 1000:.1f} s" if lag_ms is not None else ""


def _remarks(channel: Channel) -> str:
    """Everything about a channel that somebody may have to act on."""
    remarks = [channel.detail] if channel.detail else []
    if channel.breaker != "closed":
        remarks.append(f"sending is suspended ({channel.breaker})")
    remarks += [f"missing: {missing}" for missing in channel.missing]
    if channel.last_gap is not None:
        since, until = local_time(channel.last_gap.since), local_time(channel.last_gap.until)
        remarks.append(f"messages between {since} and {until} may be lost: {channel.last_gap.reason}")
    return "; ".join(remarks)
