"""`threadgate token …`: make, list and revoke tokens, with the gateway running or stopped.

Running, the commands go through the protocol like everybody's; stopped, they open the store themselves (its
lock makes sure that only one process ever writes).
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, NoReturn, TypeVar

import typer
from threadgate_client import Client, NotFound
from threadgate_client import Token as TokenRecord

from gateway import runtime_file
from gateway.cli.connecting import Endpoint, client_for
from gateway.cli.failures import EXIT_UNUSABLE, explained, fail
from gateway.cli.options import Config, DataDir, Json, settings_of
from gateway.cli.printing import local_time, print_json, print_table
from gateway.cli.refusals import answered
from gateway.clock import Clock
from gateway.daemon import open_store
from gateway.edge.authentication import LOCAL_ACTOR
from gateway.services import tokens as service
from gateway.settings import Settings
from protocol.errors import ErrorKind, Fault
from protocol.limits import PAGE_MAX
from protocol.records import Role
from storage.files import DATABASE_NAME, LOCK_NAME, is_locked
from storage.store import Store
from storage.values import DEFAULT_ORG, Act

T = TypeVar("T")
app = typer.Typer(help="Tokens that let programs and people in.", no_args_is_help=True)

_TTL = re.compile(r"^(\d+)([smhdw])$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


@app.command()
@explained
@answered
def create(
    role: Annotated[
        Role,
        typer.Option(help="What it may do: everything, use the gateway, only read, or answer as an agent."),
    ],
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    ttl: Annotated[
        str | None, typer.Option(help="How long it is valid, like 12h or 30d.", show_default="for ever")
    ] = None,
    agent: Annotated[
        str | None, typer.Option(help="With --role agent: the agent that processes with it answer for.")
    ] = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Make a token and print its secret, nothing else. It is shown this once."""
    ttl_s = _seconds(ttl) if ttl is not None else None
    settings = settings_of(config, data_dir)
    _check_agent(settings, role, agent)

    async def over_wire(client: Client) -> str:
        issued = await client.tokens.create(role.value, name=name, ttl_s=ttl_s, agent_id=agent)
        return issued.secret or ""

    async def on_store(store: Store) -> str:
        tokens = service.Tokens(store.identities, Clock())
        issued = await tokens.create(_act(), role, name, ttl_s, agent)
        return issued.secret or ""

    print(_run(settings, over_wire, on_store))


@app.command("list")
@explained
@answered
def list_(config: Config = None, data_dir: DataDir = None, json: Json = False) -> None:
    """List the tokens, newest first. Secrets are not kept and cannot be shown."""

    async def over_wire(client: Client) -> list[TokenRecord]:
        return [token async for token in client.tokens.list(limit=PAGE_MAX)]

    async def on_store(store: Store) -> list[TokenRecord]:
        found: list[TokenRecord] = []
        cursor: str | None = None
        while True:
            page, cursor = await store.identities.list_tokens(DEFAULT_ORG, PAGE_MAX, cursor)
            found += [TokenRecord.from_json(token.model_dump(mode="json")) for token in page]
            if cursor is None:
                return found

    settings = settings_of(config, data_dir)
    _need_store(settings)
    tokens = _run(settings, over_wire, on_store)
    if json:
        print_json(tokens)
        return
    rows = [
        (token.id, token.role, local_time(token.created_at), _validity(token), token.name) for token in tokens
    ]
    print_table(("id", "role", "created", "valid", "name"), rows, "No tokens.")


def _validity(token: TokenRecord) -> str:
    if token.revoked_at is not None:
        return "revoked"
    if token.expires_at is None:
        return "for ever"
    return f"until {local_time(token.expires_at)}" if token.expires_at > datetime.now(UTC) else "expired"


@app.command()
@explained
@answered
def revoke(token_id: str, config: Config = None, data_dir: DataDir = None) -> None:
    """Revoke a token; its connections end at once."""

    async def over_wire(client: Client) -> None:
        try:
            await client.tokens.revoke(token_id)
        except NotFound:
            _no_such(token_id)

    async def on_store(store: Store) -> None:
        try:
            await store.identities.revoke_token(_act(), token_id)
        except Fault as fault:
            if fault.data["kind"] != ErrorKind.NOT_FOUND:
                raise
            _no_such(token_id)

    settings = settings_of(config, data_dir)
    _need_store(settings)
    _run(settings, over_wire, on_store)
    print(f"revoked {token_id}")


def _run(
    settings: Settings,
    over_wire: Callable[[Client], Awaitable[T]],
    on_store: Callable[[Store], Awaitable[T]],
) -> T:
    """Through the gateway when it runs on this data directory, else on the store itself."""
    is_running = (settings.data_dir / LOCK_NAME).exists() and is_locked(settings.data_dir)
    return asyncio.run(_over_wire(settings, over_wire) if is_running else _stopped(settings, on_store))


async def _over_wire(settings: Settings, use: Callable[[Client], Awaitable[T]]) -> T:
    running = runtime_file.read(settings.data_dir)
    if running is None:
        fail("The gateway is starting or stopping.", "Try again in a moment.", EXIT_UNUSABLE)
    secret = running.secret
    async with client_for(Endpoint(running.url, lambda: secret)) as client:
        return await use(client)


async def _stopped(settings: Settings, use: Callable[[Store], Awaitable[T]]) -> T:
    store = await open_store(settings, Clock())
    try:
        return await use(store)
    finally:
        await store.close()


def _need_store(settings: Settings) -> None:
    # Opening a store makes it: a mistyped directory must not be filled by asking what is in it.
    if not (settings.data_dir / DATABASE_NAME).exists():
        fail(f"There is no store in {settings.data_dir}.", "threadgate serve makes it.", EXIT_UNUSABLE)


def _check_agent(settings: Settings, role: Role, agent_id: str | None) -> None:
    """End with an error unless the agent is one that processes may answer for, and is named where it must be."""
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


def _act() -> Act:
    return Act(DEFAULT_ORG, LOCAL_ACTOR, "cli", Clock().now_ms())


def _seconds(ttl: str) -> int:
    match = _TTL.match(ttl)
    if match is None or int(match[1]) == 0:
        fail(f"--ttl {ttl} is not a time.", "Use a number and s, m, h, d or w, like 12h or 30d.", code=2)
    return int(match[1]) * _SECONDS[match[2]]
