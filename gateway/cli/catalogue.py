"""`threadgate channels` and `threadgate agents`: what this gateway is connected to, and who answers."""

from threadgate_client import Client

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
            str(channel.deliveries_waiting),
            str(channel.deliveries_uncertain),
            channel.detail or "",
        )
        for channel in found
    ]
    headings = ("channel", "state", "last event", "waiting", "uncertain", "detail")
    print_table(headings, rows, "No channels: add a [[channels]] table to the configuration.")


@with_client()
async def agents(client: Client, json: Json = False) -> None:
    """List who answers."""
    found = await client.agents.list()
    if json:
        print_json(found)
        return
    default = (await client.server_info()).default_agent_id
    rows = [
        (
            agent.id,
            agent.kind,
            agent.state,
            "default" if agent.id == default else "",
            agent.description or agent.name,
        )
        for agent in found
    ]
    print_table(("agent", "kind", "state", "", "description"), rows, "No agents.")
