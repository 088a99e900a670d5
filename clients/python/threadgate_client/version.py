"""The version of this package, as told to the gateway; `pyproject.toml` says the same (a test compares)."""

from typing import Final

VERSION: Final = "0.1.0"
