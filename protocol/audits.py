"""Requests about the audit log beyond reading it: checkpoints and proofs. The log itself is `audit.list`."""

from typing import Annotated

from pydantic import Field

from protocol.records import Instant, Record


class AuditCheckpoint(Record):
    """A signed statement of how many entries the log has, and of the root of the tree over them.

    `note` is a C2SP tlog-checkpoint: keep it where whoever controls the gateway cannot reach it.
    """

    note: str
    size: int
    root: str
    """In hexadecimal."""
    at: Instant


class AuditCheckpointResult(Record):
    """The newest checkpoint, made now if entries were under none."""

    checkpoint: AuditCheckpoint


class AuditProveParams(Record):
    """Which entry."""

    seq: Annotated[int, Field(ge=1)]


class AuditProof(Record):
    """That one entry is in the log.

    `text` is a C2SP tlog-proof; it holds the entry and needs nothing but the public key.
    """

    seq: int
    text: str


class AuditProveResult(Record):
    """The proof."""

    proof: AuditProof
