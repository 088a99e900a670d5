"""`threadgate audit …`: check the audit log, without trusting a running gateway."""

import typer
from rich import print as show

from gateway.cli.options import Config, DataDir, explained, fail, settings_of
from storage.store import verify_audit

app = typer.Typer(help="The audit log.", no_args_is_help=True)


@app.callback()
def _audit() -> None:
    """The audit log."""


@app.command()
@explained
def verify(config: Config = None, data_dir: DataDir = None) -> None:
    """Follow the hash chain from the first entry to the last; exit code 1 names the first entry that breaks it."""
    settings = settings_of(config, data_dir)
    place, found = verify_audit(settings.data_dir)
    if found is not None:
        fail(found.reason, f"Entries 1 to {place.seq} are as they were written.")
    show(f"{place.seq} entries, unbroken; the last hash is {place.hash}")
