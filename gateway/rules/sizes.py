"""Sizes of files as people read them."""

from typing import Final

_STEP: Final = 1024
_UNITS: Final = ("KiB", "MiB", "GiB")


def size_text(size_bytes: int) -> str:
    """`640 bytes`, `3.2 MiB`: two digits that matter."""
    if size_bytes < _STEP:
        return f"{size_bytes} byte{'' if size_bytes == 1 else 's'}"
    size = float(size_bytes)
    for unit in _UNITS:
        size /= _STEP
        if size < _STEP or unit == _UNITS[-1]:
            break
    return f"{size:.1f}".removesuffix(".0") + f" {unit}"
