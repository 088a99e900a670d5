"""`threadgate runs steps|doctor|replay`: what a run did, what holds unfinished ones up, and the same again."""

import json as json_text
from typing import Annotated

import typer
from threadgate_client import Client, RunFinding, RunStep

from gateway.cli.connecting import with_client
from gateway.cli.failures import EXIT_FAILED, note
from gateway.cli.options import Json
from gateway.cli.printing import local_time, print_fields, print_json, print_table

Which = Annotated[str, typer.Argument(metavar="RUN", help="A run's id.")]
OneOrAll = Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run's id.", show_default="all")]


@with_client()
async def steps(client: Client, run: Which, json: Json = False) -> None:
    """Show the journal of a run: what it did, in order, and what came of it."""
    found = await client.runs.steps(run)
    if json:
        print_json(found)
        return
    rows = [
        (
            str(step.step),
            step.kind,
            step.name,
            step.key,
            str(step.attempt),
            step.outcome or "open",
            _took(step),
            _value(step.request),
            _value(step.result),
        )
        for step in found
    ]
    headings = ("step", "kind", "name", "key", "attempt", "outcome", "took", "request", "result")
    print_table(headings, rows, "It has no steps.")


@with_client()
async def doctor(client: Client, run: OneOrAll = None, json: Json = False) -> None:
    """Say why unfinished runs are where they are. Exit code 1 when one is stuck."""
    told = await client.runs.diagnose(run)
    stuck = [finding for finding in told.findings if finding.is_stuck]
    if json:
        print_json(told)
    else:
        rows = [
            (
                finding.run_id,
                finding.agent_id,
                "STUCK" if finding.is_stuck else finding.state,
                local_time(finding.since),
                finding.reason,
            )
            for finding in told.findings
        ]
        print_table(("run", "agent", "state", "since", "reason"), rows, _nothing(run))
        _advise(stuck or list(told.findings[:1] if run is not None else ()))
        if told.more:
            note("There are more: only the oldest are shown.")
    if stuck:
        raise typer.Exit(EXIT_FAILED)


@with_client()
async def replay(client: Client, run: Which, json: Json = False) -> None:
    """Execute a completed run again with the answers of its journal, touching nothing outside.

    Exit code 1 when it did not do and say the same.
    """
    again = await client.runs.replay(run)
    if json:
        print_json(again)
    else:
        print_fields(
            [
                ("run", again.run_id),
                ("verified", "yes: it did and said the same" if again.verified else "no"),
                ("steps", str(again.steps)),
                ("recorded", again.recorded_hash),
                ("again", again.hash),
                *(("different", difference) for difference in again.differences),
            ]
        )
    if not again.verified:
        raise typer.Exit(EXIT_FAILED)


def _nothing(run: str | None) -> str:
    return "No run is unfinished." if run is None else "This run has ended: threadgate runs show tells how."


def _advise(findings: list[RunFinding]) -> None:
    """What to do, once each."""
    for hint in dict.fromkeys(finding.hint for finding in findings if finding.hint):
        note(hint)


def _took(step: RunStep) -> str:
    if step.closed_at is None:
        return ""
    return f"{(step.closed_at - step.opened_at).total_seconds():.2f} s"


def _value(value: object) -> str:
    """A request or a result on one line; a large one is known by its digest alone."""
    if value is None:
        return ""
    if isinstance(value, dict) and value.keys() == {"sha256", "bytes"}:
        return f"{value['bytes']} bytes, SHA-256 {value['sha256'][:12]}…"
    return value if isinstance(value, str) else json_text.dumps(value, ensure_ascii=False)
