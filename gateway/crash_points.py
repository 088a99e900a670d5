"""Crash points: named places where a test may end the process, as `kill -9` at that very instant would.

A random kill rarely meets the few microseconds that matter, between a call to a platform and its record, say.
`THREADGATE_CRASH_AT=NAME:COUNT` ends the process when the place is reached for the COUNT-th time. It is
refused unless the data directory holds a file that only the crash tests make, so that a stray variable cannot
stop a gateway that people use. Not armed, a crash point is one comparison of two strings.
"""

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from gateway.settings import CRASH_VARIABLE, ENV_PREFIX, SettingsError

log = structlog.get_logger()

VARIABLE: Final = f"{ENV_PREFIX}{CRASH_VARIABLE}"
MARKER: Final = "crash-points-allowed"
"""The file that a data directory made for crash tests holds."""

POINTS: Final = (
    "inbox.before_commit",
    "store.committed",
    "inbox.after_commit",
    "file.fetched",
    "file.settled",
    "run.claimed",
    "run.taken_over",
    "run.resumed",
    "run.checkpointed",
    "step.before_open",
    "step.opened",
    "step.before_close",
    "step.closed",
    "approval.before_ask",
    "approval.after_ask",
    "file.kept",
    "run.before_complete",
    "run.after_complete",
    "run.before_end",
    "run.after_end",
    "delivery.doubted",
    "delivery.before_placeholder",
    "delivery.after_placeholder",
    "delivery.placeholder_recorded",
    "delivery.before_send",
    "delivery.after_send",
    "delivery.before_edit",
    "delivery.after_edit",
    "delivery.recorded",
)
"""All of them, in the order one message meets them."""


@dataclass(slots=True)
class _Plan:
    """Where to end, and how many times to pass there before; no name means never."""

    name: str = ""
    count: int = 0


_plan: Final = _Plan()


def arm(environ: Mapping[str, str], data_dir: Path) -> None:
    """Read the plan; without one nothing happens, ever. Raises SettingsError when it cannot be followed."""
    plan = environ.get(VARIABLE)
    if plan is None:
        return
    if not (data_dir / MARKER).is_file():
        raise SettingsError(f"{VARIABLE} is for crash tests: {data_dir} is no data directory made for them")
    name, _, count = plan.partition(":")
    if name not in POINTS or not count.isdecimal() or int(count) == 0:
        raise SettingsError(
            f"{VARIABLE} is NAME:COUNT with a count from 1 and a name of: {', '.join(POINTS)}"
        )
    _plan.name, _plan.count = name, int(count)
    log.warning("this process will end itself", action="crash_point_armed", point=name, count=_plan.count)


def is_armed(name: str) -> bool:
    """Whether the plan names this place."""
    return _plan.name == name


def reached(name: str) -> None:
    """The place `name` is reached: go on, or never return."""
    if _plan.name != name:
        return
    _plan.count -= 1
    if _plan.count == 0:
        os.kill(os.getpid(), signal.SIGKILL)
