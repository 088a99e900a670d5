"""`threadgate token …`: make, list and revoke tokens, with the gateway running or stopped.

Running, the commands go through the protocol like everybody's; stopped, they open the store themselves (its
lock makes sure that only one process ever writes).
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from threadgate_client import Client

from gateway import runtime_file
from gateway.cli.options import Config, DataDir, explained, fail, settings_of
from gateway.clock import Clock
from gateway.daemon import open_store
from gateway.edge.authentication import LOCAL_ACTOR
from gateway.services import tokens as service
from gateway.settings import Settings
from protocol.errors import Fault
from protocol.limits import PAGE_MAX
from protocol.records import Role, Token
from storage.engine import is_locked
from storage.ports import Act
from storage.store import DEFAULT_ORG, Store

T = TypeVar("T")
app = typer.Typer(help="Tokens that let programs and people in.", no_args_is_help=True)

_TTL = re.compile(r"^(\d+)([smhdw])$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


@app.command()
@explained
def create(
    role: Annotated[Role, typer.Option(help="What it may do.")],
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    ttl: Annotated[
        str | None, typer.Option(help="How long it is valid, like 12h or 30d.", show_default="for ever")
    ] = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Make a token and print its secret, nothing else. It is shown this once."""
    ttl_s = _seconds(ttl) if ttl is not None else None

    async def over_wire(client: Client) -> str:
        issued = await client.tokens.create(role.value, name=name, ttl_s=ttl_s)
        return issued.secret or ""

    async def on_store(store: Store) -> str:
        issued = await service.Tokens(store.identities, Clock()).create(_act(), role, name, ttl_s)
        return issued.secret or ""

    print(_run(settings_of(config, data_dir), over_wire, on_store))


@app.command("list")
@explained
def list_(config: Config = None, data_dir: DataDir = None) -> None:
    """List the tokens, newest first. Secrets are not kept and cannot be shown."""

    async def over_wire(client: Client) -> list[tuple[str, ...]]:
        return [
            _row(token.id, token.name, token.role, token.created_at, token.expires_at, token.revoked_at)
            async for token in client.tokens.list()
        ]

    async def on_store(store: Store) -> list[tuple[str, ...]]:
        found: list[Token] = []
        cursor: str | None = None
        while True:
            page, cursor = await store.identities.list_tokens(DEFAULT_ORG, PAGE_MAX, cursor)
            found += page
            if cursor is None:
                return [
                    _row(
                        token.id, token.name, token.role, token.created_at, token.expires_at, token.revoked_at
                    )
                    for token in found
                ]

    table = Table("id", "name", "role", "created", "expires", "revoked")
    for row in _run(settings_of(config, data_dir), over_wire, on_store):
        table.add_row(*row)
    Console().print(table)


def _row(token_id: str, name: str, role: str, *instants: datetime | str | None) -> tuple[str, ...]:
    # The client has instants as datetimes, the store as text; both read the same to the second.
    return token_id, name, str(role), *(str(instant or "").replace(" ", "T")[:19] for instant in instants)


@app.command()
@explained
def revoke(token_id: str, config: Config = None, data_dir: DataDir = None) -> None:
    """Revoke a token; its connections end at once."""

    async def over_wire(client: Client) -> None:
        await client.tokens.revoke(token_id)

    async def on_store(store: Store) -> None:
        await store.identities.revoke_token(_act(), token_id)

    _run(settings_of(config, data_dir), over_wire, on_store)
    print(f"revoked {token_id}")


def _run(
    settings: Settings,
    over_wire: Callable[[Client], Awaitable[T]],
    on_store: Callable[[Store], Awaitable[T]],
) -> T:
    """Through the gateway when it runs on this data directory, else on the store itself."""
    return asyncio.run(
        _over_wire(settings, over_wire) if is_locked(settings.data_dir) else _stopped(settings, on_store)
    )


async def _over_wire(settings: Settings, use: Callable[[Client], Awaitable[T]]) -> T:
    running = runtime_file.read(settings.data_dir)
    if running is None:
        fail("The gateway is starting or stopping.", "Try again in a moment.")
    async with Client(running.url, token=running.secret, name="threadgate-cli") as client:
        return await use(client)


async def _stopped(settings: Settings, use: Callable[[Store], Awaitable[T]]) -> T:
    store = await open_store(settings, Clock())
    try:
        return await use(store)
    except Fault as fault:
        fail(fault.message)
    finally:
        await store.close()


def _act() -> Act:
    return Act(DEFAULT_ORG, LOCAL_ACTOR, "cli", Clock().now_ms())


def _seconds(ttl: str) -> int:
    match = _TTL.match(ttl)
    if match is None or int(match[1]) == 0:
        fail(f"--ttl {ttl} is not a time.", "Use a number and s, m, h, d or w, like 12h or 30d.", code=2)
    return int(match[1]) * _SECONDS[match[2]]
