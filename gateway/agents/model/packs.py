"""Context packs: their files, read in a thread and again when they have changed."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from gateway.agent_settings import PackSettings
from gateway.agents.model.prompt import Pack, in_order
from protocol.limits import MIB

log = structlog.get_logger()

FRESH_S: Final = 5.0
"""How long what was read is used without looking again: an edit is in force soon, and runs do not wait for a disk."""
PACK_BYTES: Final = MIB
"""Of one file. No model takes more, and it is sent with every request."""


@dataclass(frozen=True, slots=True)
class Read:
    """The packs there are, in their order, and the names of those that cannot be read, with the reason."""

    packs: Sequence[Pack] = ()
    missing: Mapping[str, str] = field(default_factory=dict)


class Packs:
    """The packs of one agent. `path_of` makes a path of the configuration absolute."""

    def __init__(
        self,
        settings: Sequence[PackSettings],
        path_of: Callable[[Path], Path],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._path_of = path_of
        self._clock = clock
        self._read = Read()
        self._fresh_until = float("-inf")

    async def current(self) -> Read:
        """The packs as they are now, or were a moment ago."""
        if self._settings and self._clock() >= self._fresh_until:
            read = await asyncio.to_thread(self._load)
            for name in sorted(set(read.missing) - set(self._read.missing)):
                log.warning(
                    "a context pack cannot be read",
                    action="pack_missing",
                    pack=name,
                    reason=read.missing[name],
                )
            self._read, self._fresh_until = read, self._clock() + FRESH_S
        return self._read

    def _load(self) -> Read:
        packs: list[Pack] = []
        missing: dict[str, str] = {}
        for settings in self._settings:
            try:
                with self._path_of(settings.path).open("rb") as file:
                    data = file.read(PACK_BYTES + 1)
                if len(data) > PACK_BYTES:
                    raise ValueError(f"it is larger than {PACK_BYTES} bytes")
                packs.append(Pack.of(settings, data.decode()))
            except OSError as error:
                missing[settings.name] = error.strerror or type(error).__name__
            except ValueError as error:
                missing[settings.name] = "it is not UTF-8" if isinstance(error, UnicodeError) else str(error)
        return Read(in_order(packs), missing)
