"""`threadgate doctor`: everything that can be checked, with a fix for everything that is wrong."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import typer
from rich.table import Table
from rich.text import Text

from gateway.cli.failures import EXIT_FAILED, explained
from gateway.cli.options import Config, DataDir, Json, settings_of
from gateway.cli.printing import clean, console, print_json, show
from gateway.doctor.configuration import check_configuration, explain_settings
from gateway.doctor.files import check_files
from gateway.doctor.findings import Finding, Level
from gateway.doctor.running import check_clock, check_exposure, check_process
from gateway.doctor.sinks import check_sinks
from gateway.doctor.store import check_store
from gateway.settings import Settings, SettingsError, default_config_path, default_data_dir

_STYLES: Final = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "bold red"}


@explained
def doctor(config: Config = None, data_dir: DataDir = None, json: Json = False) -> None:
    """Check configuration, files, store, process and clock; say what is wrong and how to mend it.

    Works with the gateway running or stopped, and changes nothing. Exit code: 0 without errors, 1 with any.
    """
    findings = list(_look(config, data_dir))
    is_healthy = all(finding.level is not Level.ERROR for finding in findings)
    if json:
        print_json({"ok": is_healthy, "findings": findings})
    else:
        _print(findings)
    if not is_healthy:
        raise typer.Exit(EXIT_FAILED)


def _look(config: Path | None, data_dir: Path | None) -> Iterator[Finding]:
    settings: Settings | None = None
    try:
        settings = settings_of(config, data_dir)
    except SettingsError as problem:
        yield from explain_settings(problem)
    else:
        yield from check_configuration(settings, config or default_config_path(os.environ))
    directory = settings.data_dir if settings else data_dir or default_data_dir(os.environ)
    yield from check_files(directory)
    yield from check_store(directory, settings.audit.signing_key if settings else None)
    yield from check_process(directory, settings)
    if settings is not None:
        yield from check_sinks(settings)
        yield check_exposure(settings)
    yield check_clock()


def _print(findings: list[Finding]) -> None:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        what = Text(clean(finding.what))
        if finding.fix:
            what.append(f"\n→ {clean(finding.fix)}", style="bold")
        table.add_row(Text(finding.level.value, style=_STYLES[finding.level]), finding.check, what)
    show(table)
    errors = sum(finding.level is Level.ERROR for finding in findings)
    warnings = sum(finding.level is Level.WARNING for finding in findings)
    console.print(f"\n{len(findings)} checks, {errors} errors, {warnings} warnings")
