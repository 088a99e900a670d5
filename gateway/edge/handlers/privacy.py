"""Handlers of retention, legal holds and the erasure of people."""

from gateway.edge.dispatch import Call
from gateway.services.erasures import Erasures
from gateway.services.retention import Retention
from protocol.frames import Result
from protocol.privacy import DataEraseParams, RetentionRunParams


class Privacy:
    """What becomes of data."""

    def __init__(self, retention: Retention, erasures: Erasures) -> None:
        self._retention = retention
        self._erasures = erasures

    async def retention_run(self, call: Call, params: RetentionRunParams) -> Result:
        return await self._retention.run(call.act, dry_run=params.dry_run)

    async def data_erase(self, call: Call, params: DataEraseParams) -> Result:
        return await self._erasures.answer(call.act, params)
