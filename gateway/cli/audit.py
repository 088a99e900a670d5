"""`threadgate audit …`: check the audit log, without trusting a running gateway."""

import typer

from gateway.cli import audit_trails
from gateway.cli.failures import EXIT_FAILED, explained, fail
from gateway.cli.options import Config, DataDir, Json, settings_of
from gateway.cli.printing import print_json
from storage.store import verify_audit

app = typer.Typer(help="The audit log.", no_args_is_help=True)


audit_trails.add_to(app)


@app.callback()
def _audit() -> None:
    """The audit log."""


@app.command()
@explained
def verify(config: Config = None, data_dir: DataDir = None, json: Json = False) -> None:
    """Follow the hash chain from the first entry to the last; exit code 1 names the first entry that breaks it."""
    settings = settings_of(config, data_dir)
    place, found = verify_audit(settings.data_dir)
    if json:
        broken = {"seq": found.seq, "reason": found.reason} if found is not None else None
        print_json({"entries": place.seq, "hash": place.hash, "break": broken})
        if found is not None:
            raise typer.Exit(EXIT_FAILED)
        return
    if found is not None:
        good = (
            f"Entries 1 to {place.seq} are as they were written."
            if place.seq
            else "No entry before it is good."
        )
        fail(found.reason, good)
    print(f"{place.seq} entries, unbroken; the last hash is {place.hash}")
