"""Checkpoints and proofs of the audit log, as values. Checking them needs the log's public key and no gateway."""

from dataclasses import dataclass
from datetime import datetime

from threadgate_client.fields import Fields


@dataclass(frozen=True, slots=True)
class AuditCheckpoint:
    """How many entries the log had, signed. `note` is a C2SP tlog-checkpoint, `root` hexadecimal."""

    note: str
    size: int
    root: str
    at: datetime

    @classmethod
    def from_json(cls, value: object) -> "AuditCheckpoint":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "audit checkpoint")
        return cls(wire.text("note"), wire.number("size"), wire.text("root"), wire.instant("at"))


@dataclass(frozen=True, slots=True)
class AuditProof:
    """That one entry is in the log. `text` is a C2SP tlog-proof which holds the entry."""

    seq: int
    text: str

    @classmethod
    def from_json(cls, value: object) -> "AuditProof":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "audit proof")
        return cls(wire.number("seq"), wire.text("text"))
