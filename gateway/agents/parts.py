"""What every kind of agent is made with, beside its settings. Filled in by the composition root."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from gateway.agents.devices import DeviceHands
from gateway.agents.workers import WorkerPool


@dataclass(frozen=True, slots=True)
class AgentParts:
    """`directory` is where relative paths of the configuration begin: that of its file.

    `secret` resolves a reference (`env:NAME`, `file:/path`, or the secret itself); it raises AgentFailure with
    `missing_secret` and a text that names the reference, never a secret. It may read a file: call it while starting.
    `workers` are the connected agent processes, for kind remote; `devices` what devices do for agents.
    """

    directory: Path
    secret: Callable[[SecretStr], str]
    workers: WorkerPool = field(default_factory=WorkerPool)
    devices: DeviceHands | None = None

    def path(self, path: Path) -> Path:
        """A path of the configuration, made absolute."""
        return path if path.is_absolute() else self.directory / path
