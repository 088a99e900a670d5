"""`threadgate agents …`: who answers, how each fares, and reading them from the configuration again."""

from typing import Annotated

import typer
from threadgate_client import AgentInfo, Client, Reloaded

from gateway.cli.connecting import with_client
from gateway.cli.groups import listing_group
from gateway.cli.options import Json
from gateway.cli.printing import print_fields, print_json, print_table

app = listing_group("Who answers: list, show, read again from the configuration.")

Which = Annotated[str, typer.Argument(metavar="AGENT", help="An agent's id.")]


@app.command("list")
@with_client()
async def list_(client: Client, json: Json = False) -> None:
    """List who answers, and what is wrong with them."""
    found = await client.agents.list()
    if json:
        print_json(found)
        return
    default = (await client.server_info()).default_agent_id
    rows = [
        (
            agent.id,
            agent.kind,
            agent.version,
            agent.state,
            _running(agent),
            "default" if agent.id == default else "",
            "; ".join(_remarks(agent)) or agent.description or agent.name,
        )
        for agent in found
    ]
    print_table(("agent", "kind", "version", "state", "running", "", "about"), rows, "No agents.")


@app.command()
@with_client()
async def show(client: Client, agent: Which, json: Json = False) -> None:
    """Show one agent."""
    found = await client.agents.get(agent)
    if json:
        print_json(found)
        return
    print_fields(
        [
            ("agent", found.id),
            ("name", found.name),
            ("kind", found.kind),
            ("version", found.version),
            ("state", found.state),
            ("about", found.description),
            ("running", _running(found)),
            ("workers", "" if found.workers is None else str(found.workers)),
            ("breaker", found.breaker),
            ("fallback", found.fallback or ""),
            ("tools", ", ".join(found.tools)),
            ("scopes", ", ".join(found.scopes)),
            ("problem", found.problem or ""),
        ]
    )


@app.command()
@with_client()
async def reload(client: Client, json: Json = False) -> None:
    """Let the gateway read agents and routes from its configuration again. When they are not valid nothing changes."""
    done = await client.agents.reload()
    if json:
        print_json(done)
        return
    print("\n".join(told(done)) or "nothing has changed")


def _running(agent: AgentInfo) -> str:
    return str(agent.running) if agent.concurrent is None else f"{agent.running} of {agent.concurrent}"


def _remarks(agent: AgentInfo) -> list[str]:
    """Everything about an agent that somebody may have to act on."""
    remarks = [f"cannot answer: {agent.problem}"] if agent.problem else []
    if agent.breaker != "closed":
        instead = f", {agent.fallback} answers" if agent.fallback else ""
        remarks.append(f"left alone for a while, it failed too often ({agent.breaker}){instead}")
    if agent.workers == 0:
        remarks.append("no worker is connected")
    return remarks


def told(done: Reloaded) -> list[str]:
    """What a reload changed, a line for each sort of change."""
    lines = [
        f"{what}: {', '.join(ids)}"
        for what, ids in (("added", done.added), ("changed", done.changed), ("removed", done.removed))
        if ids
    ]
    if done.restart_needed:
        lines.append(
            f"changed in the file, but in force only after a restart: {', '.join(done.restart_needed)}"
        )
    return lines
