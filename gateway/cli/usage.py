"""`threadgate usage` and `threadgate budgets`: what was used, and how much there still may be."""

import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer
from threadgate_client import Budget, Client, UsageGroup

from gateway.cli.connecting import with_client
from gateway.cli.options import Json
from gateway.cli.printing import local_time, print_json, print_table
from gateway.rules.csv_cells import csv_line
from protocol.limits import PAGE_MAX

NUMBERS: Final = ("runs", "input_tokens", "output_tokens", "cost_microusd")
MICRO: Final = 1_000_000
"""Millionths of a dollar in one."""


@with_client()
async def usage(
    client: Client,
    by: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="day, agent, person, room, token, model and one tag:NAME, with commas between.",
        ),
    ] = "day",
    since: Annotated[str | None, typer.Option("--from", metavar="DAY", help="First day (UTC).")] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="DAY", help="Last day; today unless told.")
    ] = None,
    thread: Annotated[str | None, typer.Option(metavar="THREAD", help="Only of this thread.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, safe for spreadsheets.")] = False,
    json: Json = False,
) -> None:
    """What was used, this month unless told."""
    groupings = [one.strip() for one in by.split(",") if one.strip()]
    listing = client.usage.list(by=groupings, since=since, until=until, thread_id=thread, limit=PAGE_MAX)
    found = [group async for group in listing]
    if json:
        print_json(found)
        return
    places = [one.partition(":")[0] for one in groupings]
    if csv:
        _print_csv(places, found)
        return
    rows = [(*(_place(group, place) for place in places), *_numbers(group)) for group in found]
    headings = (*places, "runs", "input", "output", "US dollars")
    print_table(headings, rows, "Nothing was used.")


@with_client()
async def budgets(client: Client, json: Json = False) -> None:
    """How budgets stand, fullest first."""
    found = await client.usage.budgets()
    if json:
        print_json(found)
        return
    rows = [
        (
            budget.name,
            budget.key,
            _amount(budget, budget.used),
            _amount(budget, budget.reserved) if budget.reserved else "",
            _amount(budget, budget.limit),
            f"{(budget.used + budget.reserved) / max(1, budget.limit):.0%}",
            local_time(budget.resets_at),
        )
        for budget in found
    ]
    headings = ("budget", "of", "used", "reserved", "limit", "", "whole again")
    print_table(headings, rows, "No budgets are configured.")


def _print_csv(places: list[str], found: Iterable[UsageGroup]) -> None:
    columns = [*places, *NUMBERS]
    sys.stdout.write(csv_line(columns))
    for group in found:
        values: dict[str, Any] = asdict(group)
        sys.stdout.write(csv_line([values[column] for column in columns]))


def _place(group: UsageGroup, place: str) -> str:
    return str(getattr(group, place) or "-")


def _numbers(group: UsageGroup) -> tuple[str, ...]:
    tokens = (f"{group.input_tokens:,}", f"{group.output_tokens:,}")
    return (f"{group.runs:,}", *tokens, f"{group.cost_microusd / MICRO:,.4f}")


def _amount(budget: Budget, value: int) -> str:
    return f"${value / MICRO:,.2f}" if budget.of == "microusd" else f"{value:,} {budget.of}"
