"""`threadgate audit list|export|gaps`: look into the audit log, take it along, see what a receiver is missing."""

import asyncio
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import typer
from threadgate_client import AuditEntry, Client

from gateway.cli.audit_download import download
from gateway.cli.connecting import endpoint_of, running_on, with_client
from gateway.cli.failures import EXIT_FAILED, EXIT_UNUSABLE, explained, fail, note
from gateway.cli.options import Config, DataDir, Json, Token, Url, settings_of
from gateway.cli.printing import local_time, one_line, print_json, print_table
from gateway.cli.refusals import answered
from gateway.cli.stopped import part
from gateway.cli.threads import Limit, first
from gateway.rules.audit_gaps import NotALine, Received, place
from protocol.canonical import canonical
from protocol.limits import PAGE_MAX
from storage.files import DATABASE_NAME

_AGO: Final = re.compile(r"(\d{1,5})([mhdw])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LISTED: Final = 50


class ExportFormat(StrEnum):
    """How an export is written."""

    NDJSON = "ndjson"
    CSV = "csv"
    OCSF = "ocsf"


class Outcome(StrEnum):
    """How an act went."""

    SUCCESS = "success"
    FAILURE = "failure"


Actor = Annotated[
    str | None, typer.Option(help="Only acts of this actor: an id, or NETWORK:ID.", show_default="all")
]
Action = Annotated[
    str | None, typer.Option(help="Only this action, or all that begin so: approval.*", show_default="all")
]
Entity = Annotated[
    str | None,
    typer.Option(help="Only acts on this: an id, or KIND:ID like run_id:run_…", show_default="all"),
]
OutcomeIs = Annotated[Outcome | None, typer.Option("--outcome", help="Only those.", show_default="all")]
Via = Annotated[
    str | None, typer.Option(help="Only what came this way: http, websocket, cli …", show_default="all")
]
Since = Annotated[
    str | None,
    typer.Option(help="From then on: 2026-11-21, 2026-11-21T09:30Z, or 12h ago as 12h.", show_default="all"),
]
Until = Annotated[str | None, typer.Option(help="Before then, written the same.", show_default="now")]


@with_client()
async def list_(
    client: Client,
    actor: Actor = None,
    action: Action = None,
    entity: Entity = None,
    outcome: OutcomeIs = None,
    via: Via = None,
    since: Since = None,
    until: Until = None,
    content: Annotated[
        bool, typer.Option("--content", help="Also what entries commit to; that you looked is recorded.")
    ] = False,
    limit: Limit = _LISTED,
    json: Json = False,
) -> None:
    """List entries that fit, in order."""
    wanted = _filters(actor, action, entity, outcome, via, since, until)
    listing = client.audit.list(**wanted, content=content or None, limit=min(limit, PAGE_MAX))
    found = await first(listing, limit)
    if json:
        print_json(found)
        return
    rows = [
        (
            str(entry.seq),
            local_time(entry.at),
            entry.action,
            entry.outcome,
            entry.actor.name,
            " ".join(f"{kind}={value}" for kind, value in entry.subject.items()),
            *([_behind(entry)] if content else []),
        )
        for entry in found
    ]
    heads = ("seq", "at", "action", "outcome", "actor", "subject", *(["content"] if content else []))
    print_table(heads, rows, "No entries.")


def _behind(entry: AuditEntry) -> str:
    """What an entry commits to, on one line."""
    parts = [entry.address] if entry.address is not None else []
    return one_line(" ".join([*parts, canonical(entry.content) if entry.content is not None else ""]))


@explained
@answered
def export(
    form: Annotated[
        ExportFormat,
        typer.Option(
            "--format",
            help="ndjson is verbatim and can be verified; csv for tables; ocsf for security tools.",
        ),
    ] = ExportFormat.NDJSON,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A new file.", show_default="the standard output")
    ] = None,
    actor: Actor = None,
    action: Action = None,
    entity: Entity = None,
    outcome: OutcomeIs = None,
    via: Via = None,
    since: Since = None,
    until: Until = None,
    config: Config = None,
    data_dir: DataDir = None,
    url: Url = None,
    token: Token = None,
) -> None:
    """Write the audit log, or what fits, with the gateway running or stopped. The export itself is an entry."""
    wanted = _filters(actor, action, entity, outcome, via, since, until)
    settings = settings_of(config, data_dir) if url is None else None
    with _written(output) as file:
        if settings is not None and running_on(settings.data_dir) is None:
            if not (settings.data_dir / DATABASE_NAME).exists():
                fail(
                    f"There is no store in {settings.data_dir}.", "threadgate serve makes it.", EXIT_UNUSABLE
                )
            asyncio.run(part("export").export_from_store(settings, form.value, wanted, file))
        else:
            download(endpoint_of(config, data_dir, url, token), form.value, wanted, file)


@explained
def gaps(
    file: Annotated[Path, typer.Argument(help="What a sink wrote, or an export: NDJSON or OCSF.")],
    json: Json = False,
) -> None:
    """Say which entries are missing in what was received; exit code 1 when there are any."""
    received: defaultdict[str, Received] = defaultdict(Received)
    epoch = "1"
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                found = place(line)
            except NotALine as error:
                fail(f"{file}, line {number}: it {error}.", "Only what sinks and exports write is read.", 2)
            if found is not None:
                epoch = found[0] or epoch
                received[epoch].add(found[1])
    missing = {epoch: one.missing for epoch, one in received.items()}
    if json:
        told = {
            epoch: {
                "first": one.stretches[0][0],
                "last": one.stretches[-1][1],
                "repeated": one.repeated,
                "missing": one.missing,
            }
            for epoch, one in received.items()
        }
        print_json({"epochs": told})
    else:
        _tell(received)
    if any(missing.values()):
        raise typer.Exit(EXIT_FAILED)


def _tell(received: dict[str, Received]) -> None:
    if not received:
        note("No entries.")
    for epoch, one in received.items():
        behind = f" of epoch {epoch}" if len(received) > 1 else ""
        whole = f"{one.stretches[0][0]} to {one.stretches[-1][1]}{behind}"
        if not one.missing:
            print(f"entries {whole}, none missing")
        for start, end in one.missing:
            print(f"missing{behind}: {start}" if start == end else f"missing{behind}: {start} to {end}")


def add_to(app: typer.Typer) -> None:
    """Make these commands of the group."""
    app.command("list")(list_)
    app.command("export")(export)
    app.command("gaps")(gaps)


def _filters(
    actor: str | None,
    action: str | None,
    entity: str | None,
    outcome: Outcome | None,
    via: str | None,
    since: str | None,
    until: str | None,
) -> dict[str, Any]:
    """The filters that were given, as the protocol has them."""
    given = {
        "actor": actor,
        "action": action,
        "entity": entity,
        "outcome": outcome.value if outcome is not None else None,
        "via": via,
        "since": _instant("--since", since),
        "until": _instant("--until", until),
    }
    return {name: value for name, value in given.items() if value is not None}


def _instant(option: str, given: str | None) -> str | None:
    if given is None:
        return None
    if ago := _AGO.fullmatch(given):
        moment = datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    else:
        try:
            moment = datetime.fromisoformat(given).astimezone(UTC)
        except ValueError:
            fail(
                f"{option} {given} is no time.",
                "Use 2026-11-21, 2026-11-21T09:30Z, or 12h for 12 hours ago.",
                2,
            )
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@contextmanager
def _written(output: Path | None) -> Iterator[BinaryIO]:
    """Where the export goes. A file is new, for its owner alone, and gone again when it is not whole."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        output.unlink(missing_ok=True)
        raise
