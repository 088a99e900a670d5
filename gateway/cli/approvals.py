"""`threadgate approvals …`: what waits for people; let it happen, or not, or otherwise."""

import json as json_text
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from threadgate_client import Approval, Client

from gateway.cli.connecting import with_client
from gateway.cli.groups import LIMIT, listing_group
from gateway.cli.options import Json
from gateway.cli.printing import local_time, one_line, print_fields, print_json, print_table
from gateway.cli.threads import Limit, first
from gateway.rules.deciding import CODE_CHARS
from gateway.rules.visible import pretty, visible
from protocol.approvals import ApprovalState
from protocol.limits import PAGE_MAX

app = listing_group("What people decide about: list, read, approve, deny, edit, send back, grant.")

_SPAN: Final = re.compile(r"(\d+)([smhd])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
Which = Annotated[str, typer.Argument(metavar="APPROVAL", help="An approval's id.")]
Reason = Annotated[str, typer.Option(help="Why; the agent and the room are told.")]


class GrantScope(StrEnum):
    """Where a grant holds."""

    THREAD = "thread"
    AGENT = "agent"


@app.command("list")
@with_client()
async def list_(
    client: Client,
    state: Annotated[
        ApprovalState | None, typer.Option(help="Only those in this state.", show_default="all")
    ] = None,
    mine: Annotated[bool, typer.Option("--mine", help="Only those that wait for your vote.")] = False,
    granted: Annotated[bool, typer.Option("--granted", help="Only those whose grant is alive.")] = False,
    limit: Limit = LIMIT,
    json: Json = False,
) -> None:
    """List approvals, newest first."""
    listing = client.approvals.list(
        state=state.value if state else None, mine=mine, granted=granted, limit=min(limit, PAGE_MAX)
    )
    approvals = await first(listing, limit)
    if json:
        print_json(approvals)
        return
    rows = [
        (
            found.id,
            found.kind,
            found.state,
            one_line(found.title),
            found.thread_id,
            local_time(found.created_at),
            _grant(found) if granted else _by(found),
        )
        for found in approvals
    ]
    last = "grant" if granted else "decided by"
    print_table(("id", "kind", "state", "what", "thread", "asked", last), rows, "No approvals.")


@app.command()
@with_client()
async def show(client: Client, approval: Which, json: Json = False) -> None:
    """Show one approval, with everything it is about."""
    found = await client.approvals.get(approval)
    if json:
        print_json(found)
        return
    print_fields([(name, value) for name, value in _fields(found) if value])
    print()
    print(visible(found.body))
    if found.edited is not None:
        print(f"\nEdited by {visible(found.edited.by.name)}. What is approved is this:\n")
        print(visible(pretty(dict(found.edited.subject))))
        print(f"\n{visible(found.edited.diff)}")


@app.command()
@with_client()
async def approve(client: Client, approval: Which, reason: Reason = "") -> None:
    """Let it happen, as it is now."""
    seen = await client.approvals.get(approval)
    _told(await client.approvals.approve(approval, reason=reason, subject_hash=seen.hash or None))


@app.command()
@with_client()
async def deny(client: Client, approval: Which, reason: Reason = "") -> None:
    """Do not let it happen."""
    _told(await client.approvals.deny(approval, reason=reason))


@app.command("request-changes")
@with_client()
async def request_changes(
    client: Client,
    approval: Which,
    reason: Annotated[str, typer.Argument(metavar="TEXT", help="What should be different.")],
) -> None:
    """Send it back: the agent is told what should be different."""
    _told(await client.approvals.request_changes(approval, reason))


@app.command()
@with_client()
async def edit(
    client: Client,
    approval: Which,
    arguments: Annotated[
        str, typer.Option("--arguments", help="The arguments, as JSON, or @FILE that holds them.")
    ],
    reason: Reason = "",
) -> None:
    """Let it happen with other arguments, and with exactly those."""
    seen = await client.approvals.get(approval)
    wanted = _read_arguments(arguments)
    _told(await client.approvals.edit(approval, wanted, reason=reason, subject_hash=seen.hash or None))


@app.command()
@with_client()
async def grant(
    client: Client,
    approval: Which,
    scope: Annotated[
        GrantScope, typer.Option("--for", help="In its thread, or wherever its agent works.")
    ] = GrantScope.THREAD,
    uses: Annotated[int | None, typer.Option(help="So many more times.")] = None,
    ttl: Annotated[str | None, typer.Option(help="So long: 30m, 8h, 7d.")] = None,
    reason: Reason = "",
) -> None:
    """Let it happen, and the like of it: so often, so long, or both. There is no grant without an end."""
    if uses is None and ttl is None:
        raise typer.BadParameter("give --uses or --ttl: a grant has an end")
    seen = await client.approvals.get(approval)
    ttl_s = _seconds(ttl) if ttl is not None else None
    _told(
        await client.approvals.grant(
            approval,
            scope=scope.value,
            uses=uses,
            ttl_s=ttl_s,
            reason=reason,
            subject_hash=seen.hash or None,
        )
    )


@app.command()
@with_client()
async def revoke(client: Client, approval: Which, reason: Reason = "") -> None:
    """End the grant that was given with it."""
    found = await client.approvals.revoke(approval, reason=reason)
    print(f"revoked the grant of {found.id}")


def _fields(found: Approval) -> list[tuple[str, str]]:
    rules = found.rules
    return [
        ("approval", found.id),
        ("kind", found.kind),
        ("state", found.state),
        ("what", one_line(found.title)),
        ("hash", found.hash[:CODE_CHARS]),
        ("risk", found.risk),
        ("policy", found.rule),
        ("decided among", ", ".join(rules.approvers) if rules is not None else ""),
        ("needs", f"{rules.quorum} people" if rules is not None and rules.quorum > 1 else ""),
        ("votes", "; ".join(f"{one_line(vote.actor.name)}: {vote.vote}" for vote in found.votes)),
        ("thread", found.thread_id),
        ("run", found.run_id),
        ("asked", local_time(found.created_at)),
        ("expires", local_time(found.expires_at)),
        ("decided by", _by(found)),
        ("reason", one_line(found.reason or "")),
        ("grant", _grant(found)),
        ("used", local_time(found.consumed_at) if found.consumed_at is not None else ""),
    ]


def _told(found: Approval) -> None:
    """What came of it: decided, or a vote that is counted."""
    if found.state != ApprovalState.PENDING:
        print(f"{found.state.replace('_', ' ')} {found.id}")
        return
    yes = [vote for vote in found.votes if (vote.vote, vote.subject_hash) == ("approve", found.hash)]
    needed = found.rules.quorum if found.rules is not None else 1
    print(f"your vote counts: {len(yes)} of {needed} approved {found.id}")


def _by(approval: Approval) -> str:
    return one_line(approval.decided_by.name) if approval.decided_by is not None else ""


def _grant(approval: Approval) -> str:
    given = approval.grant
    if given is None:
        return ""
    if given.revoked_at is not None:
        return f"revoked {local_time(given.revoked_at)}"
    uses = f"{given.uses_left} uses, " if given.uses_left is not None else ""
    where = given.thread_id or f"all threads of {given.agent_id}"
    return f"{uses}until {local_time(given.expires_at)}, in {where}"


def _read_arguments(given: str) -> dict[str, Any]:
    try:
        text = Path(given[1:]).read_text("utf-8") if given.startswith("@") else given
        value = json_text.loads(text)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"--arguments: {error}") from error
    if not isinstance(value, dict):
        raise typer.BadParameter("--arguments has to be a JSON object")
    return value


def _seconds(text: str) -> int:
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter("--ttl is a number and s, m, h or d: 30m, 8h, 7d")
    return int(found[1]) * _UNITS[found[2]]
