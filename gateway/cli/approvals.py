"""`threadgate approvals …`: what agents ask for; let it happen, or not."""

from typing import Annotated

import typer
from threadgate_client import Approval, Client

from gateway.cli.connecting import with_client
from gateway.cli.groups import LIMIT, listing_group
from gateway.cli.options import Json
from gateway.cli.printing import local_time, print_fields, print_json, print_table
from gateway.cli.threads import Limit, first
from protocol.approvals import ApprovalState
from protocol.limits import PAGE_MAX

app = listing_group("What agents ask people to decide: list, read, approve, deny.")

Which = Annotated[str, typer.Argument(metavar="APPROVAL", help="An approval's id.")]
Reason = Annotated[str, typer.Option(help="Why; the agent and the room are told.")]


@app.command("list")
@with_client()
async def list_(
    client: Client,
    state: Annotated[
        ApprovalState | None, typer.Option(help="Only those in this state.", show_default="all")
    ] = None,
    limit: Limit = LIMIT,
    json: Json = False,
) -> None:
    """List approvals, newest first."""
    listing = client.approvals.list(state=state.value if state else None, limit=min(limit, PAGE_MAX))
    approvals = await first(listing, limit)
    if json:
        print_json(approvals)
        return
    rows = [
        (found.id, found.state, found.title, found.thread_id, local_time(found.created_at), _by(found))
        for found in approvals
    ]
    print_table(("id", "state", "what", "thread", "asked", "decided by"), rows, "No approvals.")


@app.command()
@with_client()
async def show(client: Client, approval: Which, json: Json = False) -> None:
    """Show one approval, with everything it is about."""
    found = await client.approvals.get(approval)
    if json:
        print_json(found)
        return
    print_fields(
        [
            ("approval", found.id),
            ("state", found.state),
            ("what", found.title),
            ("thread", found.thread_id),
            ("run", found.run_id),
            ("asked", local_time(found.created_at)),
            ("expires", local_time(found.expires_at)),
            ("decided by", _by(found)),
            ("reason", found.reason or ""),
        ]
    )
    print()
    print(found.body)


@app.command()
@with_client()
async def approve(client: Client, approval: Which, reason: Reason = "") -> None:
    """Let it happen."""
    print(f"approved {(await client.approvals.approve(approval, reason=reason)).id}")


@app.command()
@with_client()
async def deny(client: Client, approval: Which, reason: Reason = "") -> None:
    """Do not let it happen."""
    print(f"denied {(await client.approvals.deny(approval, reason=reason)).id}")


def _by(approval: Approval) -> str:
    return approval.decided_by.name if approval.decided_by is not None else ""
