"""Retention: once a day, and when somebody asks, what is older than the settings allow is deleted, in small batches.

A batch is one transaction with its audit entry; between two of them everybody else has their turn. What a legal hold
covers, and threads with work to do, are passed over and looked at again the next day.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Final

import structlog

from gateway.clock import Clock
from gateway.governance_settings import RetentionSettings
from gateway.metrics import Sample
from gateway.rules.retention import Bound, plan
from protocol.frames import RawJson
from protocol.instants import to_instant
from protocol.privacy import RetentionFinding, RetentionRunResult
from storage.errors import StoreError
from storage.privacy_ports import RetentionStore
from storage.values import GATEWAY, Act

log = structlog.get_logger()

FIRST_S: Final = 15 * 60.0
"""After the start: a gateway that is started often still gets to it, and the start itself is not slowed down."""
EVERY_S: Final = 24 * 60 * 60.0
BATCH: Final = 20
"""Things deleted in one transaction: twenty threads of a hundred messages take some 50 ms of the writer."""
PAGE: Final = 200
"""Things found in one look."""


class Retention:
    """Use case of retention, and the chore that runs it daily."""

    def __init__(self, store: RetentionStore, settings: RetentionSettings, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._deleted: Counter[str] = Counter()
        self._lock = asyncio.Lock()

    def samples(self) -> Iterable[Sample]:
        """How much was deleted because its time was over, since the start."""
        for name, count in sorted(self._deleted.items()):
            yield (
                "threadgate_retention_deleted",
                "Things deleted when their time was over",
                count,
                {"class": name},
            )

    async def keep(self) -> None:
        """Run daily, until cancelled; for all organizations."""
        wait_s = FIRST_S
        while True:
            await asyncio.sleep(wait_s)
            wait_s = EVERY_S
            if not plan(self._settings, self._clock.now_ms()):
                continue
            try:
                for org_id in await self._store.organizations():
                    await self.run(Act(org_id, GATEWAY, "retention", self._clock.now_ms()), dry_run=False)
            except StoreError as error:
                log.warning("retention waits for the store", action="retention_failed", error=str(error))
                wait_s = FIRST_S

    async def run(self, act: Act, *, dry_run: bool) -> RawJson:
        """Count, and without `dry_run` delete, what is over its time in the act's organization.

        Returns a RetentionRunResult.
        """
        async with self._lock:
            if (answer := await self._store.answered(act)) is not None:
                return answer
            found = [await self._enforce(act, bound, dry_run) for bound in plan(self._settings, act.at_ms)]
        deleted = {one.name: one.deleted for one in found if one.deleted}
        self._deleted.update(deleted)
        if deleted:
            log.info("what was over its time is deleted", action="retention_done", deleted=deleted)
        return await self._store.finish(act, RetentionRunResult(dry_run=dry_run, classes=found))

    async def _enforce(self, act: Act, bound: Bound, dry_run: bool) -> RetentionFinding:
        due, deleted, held = 0, 0, 0
        place: int | None = 0
        while place is not None:
            batch = await self._store.look(act.org_id, bound.name, bound.cutoff_ms, place, PAGE)
            due, held, place = due + len(batch.due), held + batch.held, batch.place
            for begin in range(0, 0 if dry_run else len(batch.due), BATCH):
                keys = batch.due[begin : begin + BATCH]
                deleted += await self._store.delete(act, bound.name, bound.cutoff_ms, keys)
        return RetentionFinding(
            name=bound.name,
            days=bound.days,
            cutoff=to_instant(bound.cutoff_ms),
            would_delete=due,
            deleted=deleted,
            held=held,
        )
