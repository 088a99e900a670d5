"""The data directory and the files in it: there, ours, and nobody else's to read."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway import audit_key, runtime_file, vault_key
from gateway.doctor.findings import Finding, error, ok, warning
from storage.files import DATABASE_NAME

OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
"""The permission bits of group and world: none may be set."""
DISK_ERROR_BYTES: Final = 100 * 1024**2
"""Less than this is gone within minutes of use; then the gateway takes nothing in."""
DISK_WARNING_BYTES: Final = 1024**3
"""About 3,500,000 messages at 290 bytes each, and room for a backup's copy to fail in."""
_PRIVATE: Final = (
    *(DATABASE_NAME, f"{DATABASE_NAME}-wal", f"{DATABASE_NAME}-shm", runtime_file.NAME),
    *(vault_key.KEY_NAME, vault_key.PSEUDONYM_KEY_NAME, audit_key.KEY_NAME),
)


def check_files(data_dir: Path) -> Iterator[Finding]:
    """Directory, permissions, owner and space."""
    if not data_dir.exists():
        yield warning(
            "directory", f"{data_dir} does not exist yet", "threadgate serve makes it at its first start."
        )
        yield _space(next(parent for parent in data_dir.absolute().parents if parent.exists()))
        return
    if not data_dir.is_dir():
        yield error("directory", f"{data_dir} is not a directory", "Name another with --data-dir.")
        return
    yield _private("directory", data_dir, 0o700)
    for name in _PRIVATE:
        path = data_dir / name
        if path.exists():
            yield _private("file", path, 0o600)
    if not os.access(data_dir, os.W_OK | os.X_OK):
        yield error("directory", f"{data_dir} cannot be written to", f"chmod u+rwx {data_dir}")
    yield _space(data_dir)


def _private(check: str, path: Path, wanted: int) -> Finding:
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.geteuid():
        return error(
            check,
            f"{path} belongs to the user {found.st_uid}, and this is the user {os.geteuid()}",
            f"Run as that user, or: chown -R {os.geteuid()} {path}",
        )
    if mode & OTHERS:
        return error(
            check, f"{path} can be used by other users (mode {mode:04o})", f"chmod {wanted:04o} {path}"
        )
    return ok(check, f"{path} is private (mode {mode:04o})")


def _space(directory: Path) -> Finding:
    space = os.statvfs(directory)
    free = space.f_bavail * space.f_frsize
    what = f"{free / 1024**3:.1f} GiB free on the disk of {directory}"
    if free < DISK_ERROR_BYTES:
        return error("disk", what, "Make room now: a gateway without space takes no messages.")
    if free < DISK_WARNING_BYTES:
        return warning("disk", what, "Make room.")
    return ok("disk", what)
