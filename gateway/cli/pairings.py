"""`threadgate pairing …`: let in people of chat networks and devices that ask for it, or shut them out."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final

import typer
from threadgate_client import Client, Pairing

from gateway.cli.connecting import with_client
from gateway.cli.groups import LIMIT, listing_group
from gateway.cli.options import Json
from gateway.cli.printing import local_time, one_line, print_json, print_table
from gateway.cli.threads import Limit, first
from protocol.ids import IdPrefix, has_prefix
from protocol.limits import PAGE_MAX

app = listing_group("People and devices that ask to be let in: list them, let them in, shut them out.")

NAME_CHARS: Final = 40
Who = Annotated[str, typer.Argument(metavar="CODE", help="The code they were shown, or a pairing's id.")]


class State(StrEnum):
    """Which pairings to list."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    ALL = "all"


@app.command("list")
@with_client()
async def list_(
    client: Client,
    state: Annotated[State, typer.Option(help="Only those in this state.")] = State.PENDING,
    limit: Limit = LIMIT,
    json: Json = False,
) -> None:
    """List who asks to be let in, newest first. Names are their own word: ask them for the code."""
    pairings = await first(client.pairings.list(state=state.value, limit=min(limit, PAGE_MAX)), limit)
    if json:
        print_json(pairings)
        return
    rows = [
        (pairing.id, _where(pairing), pairing.state, _until(pairing), _who(pairing), _about(pairing))
        for pairing in pairings
    ]
    nobody = "Nobody waits to be let in." if state is State.PENDING else "No pairings."
    print_table(("pairing", "channel", "state", "valid", "who", "about"), rows, nobody)


@app.command()
@with_client()
async def approve(
    client: Client,
    who: Who,
    scope: Annotated[
        list[str] | None, typer.Option(help="A scope a device is to hold besides the minimum; several times.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What a device is called here.")] = None,
) -> None:
    """Let somebody in; people are told. Compare a device's fingerprint first: `threadgate pairing` shows it."""
    print(f"let in {_named(await client.pairings.approve(**_key(who), scopes=scope, name=name))}")


@app.command()
@with_client()
async def reject(client: Client, who: Who) -> None:
    """Shut somebody out, also who was let in before; they are told nothing."""
    print(f"shut out {_named(await client.pairings.reject(**_key(who)))}")


def _key(who: str) -> dict[str, Any]:
    return {"pairing_id": who} if has_prefix(who, IdPrefix.PAIRING) else {"code": who}


def _named(pairing: Pairing) -> str:
    return f"{one_line(pairing.name, NAME_CHARS)} ({pairing.subject}) on {_where(pairing)}"


def _who(pairing: Pairing) -> str:
    return pairing.device.fingerprint if pairing.device is not None else pairing.subject


def _about(pairing: Pairing) -> str:
    """What they say of themselves; of a device also what it can do and wants to have."""
    device = pairing.device
    if device is None:
        return one_line(pairing.name)
    parts = [one_line(pairing.name, NAME_CHARS), one_line(device.platform, NAME_CHARS), device.address]
    if device.is_widening:
        parts.append("asks for more")
    if device.commands:
        parts.append("can " + ", ".join(f"{name} ({risk})" for name, risk in device.commands))
    if device.scopes:
        parts.append("wants " + ", ".join(device.scopes))
    return "; ".join(part for part in parts if part)


def _where(pairing: Pairing) -> str:
    return f"{pairing.channel}:{pairing.account}" if pairing.channel else pairing.kind


def _until(pairing: Pairing) -> str:
    if pairing.state != State.PENDING:
        return f"decided {local_time(pairing.decided_at)}" if pairing.decided_at else ""
    left_s = (pairing.expires_at - datetime.now(UTC)).total_seconds()
    return f"{max(0.0, left_s) / 60:.0f} min"
