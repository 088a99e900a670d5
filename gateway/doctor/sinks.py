"""Whether the sinks of the audit log keep up, by the store: also while the gateway is stopped."""

from collections.abc import Iterator

from gateway.doctor.findings import Finding, ok, warning
from gateway.settings import Settings
from storage.errors import StoreError
from storage.files import DATABASE_NAME
from storage.inspection import inspect, trail_positions


def check_sinks(settings: Settings) -> Iterator[Finding]:
    """One finding for each sink of the configuration."""
    if not settings.audit.sinks or not (settings.data_dir / DATABASE_NAME).exists():
        return
    try:
        found = inspect(settings.data_dir)
        if found.schema_version != found.schema_known:
            return
        newest, positions = trail_positions(settings.data_dir)
    except StoreError:
        return  # told by the check of the store
    for sink in settings.audit.sinks:
        waiting = newest - positions.get(f"sink:{sink.name}", 0)
        if waiting > sink.spool_max:
            yield warning(
                "sink",
                f"{waiting} audit entries wait for the sink {sink.name}",
                "Look whether it can be reached: nothing is lost, everything is sent when it answers.",
            )
        else:
            yield ok("sink", f"The sink {sink.name} has the audit log up to entry {newest - waiting}")
