"""`threadgate token …`: make, list and revoke tokens, with the gateway running or stopped.

Running, the commands go through the protocol like everybody's; stopped, they open the store themselves
(`stopped_tokens.py`; its lock makes sure that only one process ever writes).
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from threadgate_client import Client, NotFound
from threadgate_client import Token as TokenRecord

from gateway import runtime_file
from gateway.cli.connecting import Endpoint, client_for, in_organization
from gateway.cli.failures import EXIT_UNUSABLE, explained, fail
from gateway.cli.options import Config, DataDir, Json, Org, settings_of
from gateway.cli.printing import local_time, print_json, print_table
from gateway.cli.refusals import answered
from gateway.cli.stopped import part
from gateway.settings import Settings, organizations_of
from protocol.errors import ErrorKind, Fault
from protocol.limits import PAGE_MAX
from protocol.methods import validated
from protocol.records import Role
from protocol.requests import TokenCreateParams
from storage.files import DATABASE_NAME, LOCK_NAME, is_locked
from storage.values import DEFAULT_ORG

T = TypeVar("T")
app = typer.Typer(help="Tokens that let programs and people in.", no_args_is_help=True)

_TTL = re.compile(r"^(\d+)([smhdw])$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


@app.command()
@explained
@answered
def create(
    role: Annotated[
        Role | None,
        typer.Option(
            help="What it may do: everything, use the gateway, only read, or answer as an agent …",
            show_default="needed without --rotates",
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    ttl: Annotated[
        str | None, typer.Option(help="How long it is valid, like 12h or 30d.", show_default="for ever")
    ] = None,
    agent: Annotated[
        str | None, typer.Option(help="With --role agent: the agent that processes with it answer for.")
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(help="The user it speaks for, by id.", show_default="a service account of its own"),
    ] = None,
    network: Annotated[
        list[str] | None, typer.Option(help="A CIDR range it may come from; may be given several times.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Requests a second it may make at most.")] = None,
    rotates: Annotated[
        str | None, typer.Option(help="The token whose place it takes; what is not given is as it was there.")
    ] = None,
    overlap: Annotated[
        str, typer.Option(help="With --rotates: how long the old one stays valid, like 10m or 2d.")
    ] = "1h",
    config: Config = None,
    data_dir: DataDir = None,
    org: Org = None,
) -> None:
    """Make a token and print its secret, nothing else. It is shown this once."""
    settings = settings_of(config, data_dir)
    if rotates is None:
        _check_agent(settings, role, agent)
    values: dict[str, Any] = {
        "role": role,
        "name": name,
        "ttl_s": _seconds("--ttl", ttl) if ttl is not None else None,
        "agent_id": agent,
        "user_id": user,
        "networks": network or None,
        "requests_per_s": rate,
        "rotates": rotates,
        "overlap_s": _seconds("--overlap", overlap),
    }
    wanted = _checked(values)

    async def over_wire(client: Client) -> str:
        answer = await client.request("token.create", wanted.model_dump(mode="json", exclude_none=True))
        return str(answer["secret"])

    try:
        print(_run(settings, over_wire, org, "create", wanted))
    except Fault as fault:
        fail(_told(fault), fault.data.get("hint", ""))


def _checked(values: dict[str, Any]) -> TokenCreateParams:
    try:
        return validated(TokenCreateParams, values)
    except Fault as fault:
        fail(_told(fault), code=2)


def _told(fault: Fault) -> str:
    """What is wrong, in words; which param it is about, where one is."""
    wrong = [f"{found['path']}: {found['message']}" for found in fault.data.get("errors", ())]
    return "; ".join(wrong) + "." if wrong else f"{fault.message}."


@app.command("list")
@explained
@answered
def list_(config: Config = None, data_dir: DataDir = None, org: Org = None, json: Json = False) -> None:
    """List the tokens, newest first. Secrets are not kept and cannot be shown."""

    async def over_wire(client: Client) -> list[TokenRecord]:
        return [token async for token in client.tokens.list(limit=PAGE_MAX)]

    settings = settings_of(config, data_dir)
    _need_store(settings)
    tokens = _run(settings, over_wire, org, "listed")
    if json:
        print_json(tokens)
        return
    rows = [
        (
            token.id,
            token.role,
            token.principal_id or "",
            local_time(token.created_at),
            _validity(token),
            local_time(token.last_used_at) or "never",
            _limits(token),
            token.name,
        )
        for token in tokens
    ]
    headings = ("id", "role", "speaks for", "created", "valid", "last used", "limits", "name")
    print_table(headings, rows, "No tokens.")


def _limits(token: TokenRecord) -> str:
    rate = [f"{token.requests_per_s:g}/s"] if token.requests_per_s is not None else []
    return " ".join([*token.networks, *rate])


def _validity(token: TokenRecord) -> str:
    if token.revoked_at is not None:
        return "revoked"
    if token.expires_at is None:
        return "for ever"
    return f"until {local_time(token.expires_at)}" if token.expires_at > datetime.now(UTC) else "expired"


@app.command()
@explained
@answered
def revoke(token_id: str, config: Config = None, data_dir: DataDir = None, org: Org = None) -> None:
    """Revoke a token; its connections end at once."""

    async def over_wire(client: Client) -> None:
        try:
            await client.tokens.revoke(token_id)
        except NotFound:
            _no_such(token_id)

    settings = settings_of(config, data_dir)
    _need_store(settings)
    try:
        _run(settings, over_wire, org, "revoke", token_id)
    except Fault as fault:
        if fault.data["kind"] != ErrorKind.NOT_FOUND:
            raise
        _no_such(token_id)
    print(f"revoked {token_id}")


def _run(
    settings: Settings,
    over_wire: Callable[[Client], Awaitable[T]],
    org: str | None,
    stopped: str,
    *given: object,
) -> T:
    """Through the gateway when it runs on this data directory, else by a function of `stopped_tokens.py`."""
    if (settings.data_dir / LOCK_NAME).exists() and is_locked(settings.data_dir):
        return asyncio.run(_over_wire(settings, over_wire, org))
    found: T = getattr(part("token"), stopped)(settings, _organization(settings, org), *given)
    return found


async def _over_wire(settings: Settings, use: Callable[[Client], Awaitable[T]], org: str | None) -> T:
    running = runtime_file.read(settings.data_dir)
    if running is None:
        fail("The gateway is starting or stopping.", "Try again in a moment.", EXIT_UNUSABLE)
    secret = in_organization(running.secret, org)
    async with client_for(Endpoint(running.url, lambda: secret)) as client:
        return await use(client)


def _need_store(settings: Settings) -> None:
    # Opening a store makes it: a mistyped directory must not be filled by asking what is in it.
    if not (settings.data_dir / DATABASE_NAME).exists():
        fail(f"There is no store in {settings.data_dir}.", "threadgate serve makes it.", EXIT_UNUSABLE)


def _check_agent(settings: Settings, role: Role | None, agent_id: str | None) -> None:
    """End with an error unless the agent is one that processes may answer for, and is named where it must be."""
    if role is None:
        fail("A token needs a role.", f"Give --role: one of {', '.join(Role)}.", code=2)
    if role is not Role.AGENT:
        if agent_id is not None:
            fail(
                f"A token of role {role.value} is for no agent.",
                "Use --agent with --role agent only.",
                code=2,
            )
        return
    served = [agent.id for agent in settings.agents if agent.kind == "remote"]
    known = (
        f"Use --agent with one of: {', '.join(served)}." if served else 'Configure one with kind = "remote".'
    )
    if agent_id is None:
        fail("A token of role agent needs the agent it answers for.", known, code=2)
    if agent_id not in served:
        fail(f"There is no agent {agent_id} of kind remote.", known, code=2)


def _no_such(token_id: str) -> NoReturn:
    fail(f"There is no token {token_id}.", "threadgate token list shows what there is.")


def _organization(settings: Settings, org: str | None) -> str:
    if org is not None and org not in organizations_of(settings):
        known = ", ".join(sorted(organizations_of(settings)))
        fail(f"There is no organization {org}.", f"The configuration has {known}.", EXIT_UNUSABLE)
    return org or DEFAULT_ORG


def _seconds(option: str, ttl: str) -> int:
    match = _TTL.match(ttl)
    if match is None or int(match[1]) == 0:
        fail(f"{option} {ttl} is not a time.", "Use a number and s, m, h, d or w, like 12h or 30d.", code=2)
    return int(match[1]) * _SECONDS[match[2]]
