"""`threadgate runs …`: what agents did and do; stop it, or do it again. Journals are in `run_journals.py`."""

import json as json_text
from datetime import UTC, datetime
from typing import Annotated

import typer
from threadgate_client import Client, Run, RunState

from gateway.cli import run_journals
from gateway.cli.connecting import thread_named, with_client
from gateway.cli.groups import LIMIT, listing_group
from gateway.cli.options import Json
from gateway.cli.printing import local_time, print_fields, print_json, print_table
from gateway.cli.threads import Limit, first
from protocol.limits import PAGE_MAX

app = listing_group("Runs of agents: list, read, stop, do again; their journals, and what holds them up.")

Which = Annotated[str, typer.Argument(metavar="RUN", help="A run's id.")]


@app.command("list")
@with_client()
async def list_(
    client: Client,
    thread: Annotated[
        str | None, typer.Option(help="Only those of this thread: its id, or `last`.", show_default="all")
    ] = None,
    state: Annotated[
        RunState | None, typer.Option(help="Only those in this state.", show_default="all")
    ] = None,
    limit: Limit = LIMIT,
    json: Json = False,
) -> None:
    """List runs, newest first."""
    thread_id = await thread_named(client, thread) if thread is not None else None
    listing = client.runs.list(
        thread_id=thread_id, state=state.value if state else None, limit=min(limit, PAGE_MAX)
    )
    runs = await first(listing, limit)
    if json:
        print_json(runs)
        return
    rows = [
        (run.id, run.thread_id, run.agent_id, run.state, local_time(run.queued_at), _took(run), _error(run))
        for run in runs
    ]
    print_table(("id", "thread", "agent", "state", "queued", "took", "error"), rows, "No runs.")


@app.command()
@with_client()
async def show(client: Client, run: Which, json: Json = False) -> None:
    """Show one run."""
    found = await client.runs.get(run)
    if json:
        print_json(found)
        return
    print_fields(
        [
            ("run", found.id),
            ("thread", found.thread_id),
            ("agent", found.agent_id),
            ("version", found.agent_version or ""),
            ("state", found.state),
            ("waits for", found.waiting_for or ""),
            ("retry of", found.retry_of or ""),
            ("attempt", str(found.attempt)),
            ("queued", local_time(found.queued_at)),
            ("took", _took(found)),
            ("error", _error(found)),
            ("tokens", _tokens(found)),
            *((name, _fact(fact)) for name, fact in found.facts.items()),
            ("sealed", found.journal_hash or ""),
        ]
    )


@app.command()
@with_client()
async def cancel(
    client: Client, run: Which, reason: Annotated[str, typer.Option(help="Why, for the record.")] = ""
) -> None:
    """Stop a run, whatever it is doing."""
    print(f"cancelled {(await client.runs.cancel(run, reason=reason)).id}")


@app.command()
@with_client()
async def retry(client: Client, run: Which) -> None:
    """Queue a new run with the same input, and print its id."""
    print((await client.runs.retry(run)).id)


app.command()(run_journals.steps)
app.command()(run_journals.doctor)
app.command()(run_journals.replay)


def _took(run: Run) -> str:
    if run.started_at is None:
        return ""
    seconds = ((run.ended_at or datetime.now(UTC)) - run.started_at).total_seconds()
    text = f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return text if run.ended_at else f"{text} so far"


def _error(run: Run) -> str:
    return f"{run.error.kind}: {run.error.message}" if run.error else ""


def _tokens(run: Run) -> str:
    usage = run.usage
    if not usage.input_tokens and not usage.output_tokens:
        return ""
    return f"{usage.input_tokens} in, {usage.output_tokens} out, {usage.cost_microusd / 1e6:.4f} USD"


def _fact(fact: object) -> str:
    return fact if isinstance(fact, str) else json_text.dumps(fact, ensure_ascii=False)
