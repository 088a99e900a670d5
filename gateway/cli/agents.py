"""`threadgate agents …`: who answers, how each fares, and reading them from the configuration again."""

from typing import Annotated

import typer
from threadgate_client import AgentInfo, Client, Reloaded, Switched

from gateway.cli.connecting import with_client
from gateway.cli.failures import EXIT_UNUSABLE, fail
from gateway.cli.groups import listing_group
from gateway.cli.options import Json
from gateway.cli.printing import local_time, print_fields, print_json, print_table

app = listing_group("Who answers: list, show, stop at once, start again, read again from the configuration.")

Which = Annotated[str, typer.Argument(metavar="AGENT", help="An agent's id.")]
OneOrNone = Annotated[str | None, typer.Argument(metavar="AGENT", help="An agent's id.")]
All = Annotated[bool, typer.Option("--all", help="All agents.")]


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
            ("switched off", _switched_off(found)),
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


@app.command()
@with_client()
async def stop(
    client: Client,
    agent: OneOrNone = None,
    all_: All = False,
    reason: Annotated[str, typer.Option(help="Why; told to everybody who asks the agent something.")] = "",
    json: Json = False,
) -> None:
    """Switch an agent off, or --all: its runs end now, and nothing new is taken until somebody starts it again."""
    done = await client.agents.switch_off(_meant(agent, all_), reason=reason)
    _print_switched(done, json)


@app.command()
@with_client()
async def start(client: Client, agent: OneOrNone = None, all_: All = False, json: Json = False) -> None:
    """Switch an agent on again, or --all."""
    _print_switched(await client.agents.switch_on(_meant(agent, all_)), json)


def _switched_off(agent: AgentInfo) -> str:
    off = agent.switched_off
    return f"by {off.by}, {local_time(off.at)}: {off.reason}" if off is not None else ""


def _meant(agent: str | None, is_all: bool) -> str | None:
    if (agent is None) != is_all:
        fail("Which agent?", "Name one, or give --all.", EXIT_UNUSABLE)
    return agent


def _print_switched(done: Switched, json: bool) -> None:
    if json:
        print_json(done)
        return
    if done.cancelled_runs:
        print(f"{done.cancelled_runs} runs were ended")
    rows = [(_named(one.agent_id), one.by, local_time(one.at), one.reason) for one in done.switches]
    if rows:
        print_table(("switched off", "by", "since", "reason"), rows, "")
    else:
        print("no agent is switched off")


def _named(agent_id: str) -> str:
    return "all agents" if agent_id == "*" else agent_id


def _running(agent: AgentInfo) -> str:
    return str(agent.running) if agent.concurrent is None else f"{agent.running} of {agent.concurrent}"


def _remarks(agent: AgentInfo) -> list[str]:
    """Everything about an agent that somebody may have to act on."""
    remarks = [f"cannot answer: {agent.problem}"] if agent.problem else []
    if (off := agent.switched_off) is not None:
        remarks.append(f"switched off by {off.by}: {off.reason}")
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
