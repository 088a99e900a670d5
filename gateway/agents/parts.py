"""What every kind of agent is made with, beside its settings. Filled in by the composition root."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class AgentParts:
    """`directory` is where relative paths of the configuration begin: that of its file.

    `secret` resolves a reference (`env:NAME`, `file:/path`, or the secret itself); it raises AgentFailure with
    `missing_secret` and a text that names the reference, never a secret. It may read a file: call it while starting.
    """

    directory: Path
    secret: Callable[[SecretStr], str]

    def path(self, path: Path) -> Path:
        """A path of the configuration, made absolute."""
        return path if path.is_absolute() else self.directory / path
