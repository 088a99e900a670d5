"""Handlers of checkpoints and proofs of the audit log."""

from gateway.edge.dispatch import Call
from gateway.services.audit_checkpoints import Checkpointing
from protocol import audits as wire
from protocol.frames import Result
from protocol.requests import NoParams


class Auditing:
    """What auditors ask for."""

    def __init__(self, checkpoints: Checkpointing) -> None:
        self._checkpoints = checkpoints

    async def audit_checkpoint(self, call: Call, params: NoParams) -> Result:
        made = await self._checkpoints.make()
        checkpoint = wire.AuditCheckpoint(note=made.note, size=made.size, root=made.root, at=made.at)
        return wire.AuditCheckpointResult(checkpoint=checkpoint)

    async def audit_prove(self, call: Call, params: wire.AuditProveParams) -> Result:
        text = await self._checkpoints.prove(call.act.org_id, params.seq)
        return wire.AuditProveResult(proof=wire.AuditProof(seq=params.seq, text=text))
