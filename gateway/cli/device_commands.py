"""What the sample device can do: show a text, read files of a list of directories, run programs of a list.

Each is written so that what comes over the wire chooses only among what was named when the device was started.
"""

import asyncio
import base64
import os
import shutil
import signal
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from threadgate_client import CommandFailed

from gateway.cli.printing import clean
from protocol.limits import KIB

FILE_BYTES: Final = 128 * KIB
"""Of a file that is read: as a result it is at most half as much again."""
OUTPUT_BYTES: Final = 64 * KIB
"""Of a program's output; the rest is read and dropped."""
RUN_TIMEOUT_S: Final = 60.0
"""A program that takes longer is ended, with everything it started."""
NOTIFY_TIMEOUT_S: Final = 5.0
CHUNK_BYTES: Final = 16 * KIB


class Notifier:
    """Shows texts: on the desktop where there is one, else on the terminal."""

    def __init__(self) -> None:
        self._program = shutil.which("notify-send")

    async def notify(self, params: Mapping[str, Any]) -> dict[str, str]:
        """Show `text` under `title`; says how it was shown."""
        title, text = clean(params.get("title") or "Threadgate"), clean(params["text"])
        if self._program is not None and await _succeeds(self._program, "--", title, text):
            return {"shown": "desktop"}
        print(f"{title}: {text}", flush=True)
        return {"shown": "terminal"}


class FileReader:
    """Reads regular files below some directories, and follows no link on the way."""

    def __init__(self, roots: Sequence[Path]) -> None:
        """Raises OSError for a directory that is none."""
        self.roots = tuple(root.expanduser().resolve(strict=True) for root in roots)
        for root in self.roots:
            if not root.is_dir():
                raise NotADirectoryError(20, "is not a directory", str(root))

    def read(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Read `path`, absolute or below one of the directories.

        Raises CommandFailed: not_allowed, not_found, too_large. Says `text`, or `base64` for what is no UTF-8.
        """
        last = CommandFailed("It is not below a directory that is offered", kind="not_allowed")
        for root, parts in self._places(params["path"]):
            try:
                data = _read_below(root, parts)
            except FileNotFoundError:
                last = CommandFailed("There is no such file", kind="not_found")
                continue
            except OSError as error:  # a link, a directory, no right to it: all are refused alike
                last = CommandFailed(f"It cannot be read: {error.strerror}", kind="not_allowed")
                continue
            if len(data) > FILE_BYTES:
                raise CommandFailed(f"It has more than {FILE_BYTES} bytes", kind="too_large")
            try:
                return {"bytes": len(data), "text": data.decode()}
            except UnicodeDecodeError:
                return {"bytes": len(data), "base64": base64.b64encode(data).decode()}
        raise last

    def _places(self, path: str) -> list[tuple[Path, tuple[str, ...]]]:
        """Where the file could be: a directory, and the names below it."""
        given = Path(path)
        found = []
        for root in self.roots:
            if given.is_absolute() and not given.is_relative_to(root):
                continue
            parts = given.relative_to(root).parts if given.is_absolute() else given.parts
            if parts and ".." not in parts and "\0" not in path:
                found.append((root, parts))
        return found


def _read_below(root: Path, parts: tuple[str, ...]) -> bytes:
    """The bytes of a regular file, one more than allowed at most. Each name is opened in the directory before it, and
    none may be a link: what is changed meanwhile cannot lead out. Raises OSError."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in parts[:-1]:
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = inner
        # Without waiting: a named pipe would never open.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        file = os.open(parts[-1], flags, dir_fd=folder)
    finally:
        os.close(folder)
    with os.fdopen(file, "rb") as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise OSError(21, "is not a regular file")
        return opened.read(FILE_BYTES + 1)


@dataclass(frozen=True, slots=True)
class Program:
    """A program with its arguments, as they were named when the device was started."""

    argv: tuple[str, ...]
    timeout_s: float = RUN_TIMEOUT_S

    async def run(self) -> dict[str, Any]:
        """Run it, without input and never through a shell. Raises CommandFailed: not_found, timeout."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise CommandFailed(f"It cannot be run: {error.strerror}", kind="not_found") from error
        try:
            async with asyncio.timeout(self.timeout_s):
                output, is_cut = await _bounded_output(process)
                code = await process.wait()
        except TimeoutError:
            raise CommandFailed(f"It took longer than {self.timeout_s:g} s", kind="timeout") from None
        finally:
            await _end(process)
        return {"exit_code": code, "output": output.decode(errors="replace"), "is_cut": is_cut}


async def _bounded_output(process: asyncio.subprocess.Process) -> tuple[bytes, bool]:
    """The beginning of what it writes; the rest is read, so that it does not hang, and dropped."""
    assert process.stdout is not None
    kept = bytearray()
    is_cut = False
    while data := await process.stdout.read(CHUNK_BYTES):
        room = OUTPUT_BYTES - len(kept)
        kept += data[:room]
        is_cut = is_cut or len(data) > room
    return bytes(kept), is_cut


async def _end(process: asyncio.subprocess.Process) -> None:
    """End it and everything it started, also what outlived it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def _succeeds(*argv: str) -> bool:
    try:
        done = await Program(argv, NOTIFY_TIMEOUT_S).run()
    except CommandFailed:
        return False
    return bool(done["exit_code"] == 0)
