"""The erasure of a person: looked at before, done in steps, certified at the end; and the legal holds that forbid it.

A process that dies in between goes on at its next start: every step may be done again. The certificate says what was
erased and carries the proof that the audit log says the same; the log verifies as before.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from gateway.clock import Clock
from gateway.rules.run_states import TRANSITIONS, RunEvent
from protocol.errors import Fault, invalid_params
from protocol.frames import RawJson, Result
from protocol.ids import IdPrefix
from protocol.instants import to_instant
from protocol.privacy import DataEraseParams, DataEraseResult
from storage.erasure_certificate import TYPE, VERSION
from storage.errors import StoreError
from storage.privacy_ports import ErasureStore, HoldStore
from storage.privacy_values import Going, HoldKind, Subject, Traces
from storage.values import GATEWAY, Act, Ending

log = structlog.get_logger()

CANCEL: Final = Ending(TRANSITIONS[RunEvent.CANCEL], "What it answers was erased")
SLICE: Final = 20_000
"""Events looked at in one read: some 20 ms."""
BATCH: Final = 100
"""Messages or events changed in one transaction."""
DELIVERIES: Final = 5_000
"""Deliveries of chat networks looked at in one transaction."""
WHO: Final = "Give `person`, or for a hold `person` or `thread_id`, and not both"

Prover = Callable[[str, int], Awaitable[str]]
"""(org_id, seq) -> the proof that this entry is in the audit log, under a signed checkpoint. Raises Fault."""


class Erasures:
    """Use cases of erasure and of legal holds."""

    def __init__(
        self,
        store: ErasureStore,
        holds: HoldStore,
        empty_log: Callable[[], Awaitable[None]],
        prove: Prover,
        clock: Clock,
    ) -> None:
        """`empty_log` moves what the store's write-ahead log holds into the store."""
        self._store = store
        self._holds = holds
        self._empty_log = empty_log
        self._prove = prove
        self._clock = clock

    async def answer(self, act: Act, params: DataEraseParams) -> Result:
        """Do what the params say. Raises Fault: invalid_params, not_found, invalid_state (a legal hold)."""
        if params.action == "list":
            return DataEraseResult(holds=await self._holds.open(act.org_id))
        kind, subject = _target(params)
        if params.action == "preview":
            return await self._preview(act, subject)
        if not params.reason.strip():
            raise invalid_params([{"path": "reason", "message": "Say why: it is kept with what is done"}])
        match params.action:
            case "hold":
                hold_id = self._clock.new_id(IdPrefix.HOLD)
                return await self._holds.place(act, hold_id, kind, subject, params.reason)
            case "release":
                return await self._holds.release(act, kind, subject, params.reason)
            case "erase":
                return await self._erase(act, subject, params.reason)

    async def go_on(self) -> None:
        """Finish what an earlier process began; what cannot be finished now, the next start tries again."""
        try:
            for going in await self._store.going():
                act = Act(going.org_id, GATEWAY, "erasure", self._clock.now_ms())
                await self._finish(act, going)
        except StoreError as error:
            log.warning("erasures wait for the store", action="erasure_waits", error=str(error))

    async def _finish(self, act: Act, going: Going) -> None:
        try:
            subject = await self._store.subject(going.org_id, going.person, going.id)
            await self._erase_all(act, subject)
        except Fault as fault:  # a legal hold came in between
            log.warning(
                "an erasure cannot be finished",
                action="erasure_waits",
                erasure_id=going.id,
                error=fault.message,
            )

    async def _preview(self, act: Act, person: str) -> DataEraseResult:
        subject = await self._store.subject(act.org_id, person, "")
        traces = await self._traces(act, subject)
        return DataEraseResult(counts=await self._store.count(act.org_id, subject, traces))

    async def _erase(self, act: Act, person: str, reason: str) -> Result:
        subject = await self._store.subject(act.org_id, person, self._clock.new_id(IdPrefix.ERASURE))
        if act.actor.id in subject.ids:
            raise invalid_params(
                [{"path": "person", "message": "Nobody erases themselves: ask another owner"}]
            )
        try:
            await self._traces(act, subject)  # a hold on anything is found before anything is gone
            certificate = await self._store.begin(act, subject, reason)
        except Fault as fault:
            if (hold_id := fault.data.get("hold_id")) is not None:
                await self._store.refused(act, subject, hold_id)
            raise
        if certificate is not None:
            return DataEraseResult(counts=certificate["counts"], certificate=certificate)
        return await self._erase_all(act, subject)

    async def _erase_all(self, act: Act, subject: Subject) -> RawJson:
        traces = await self._traces(act, subject)
        shared = list(traces.shared)
        for thread_id in traces.alone:
            if not await self._store.erase_thread(act, subject, thread_id):
                shared.append(thread_id)
        for thread_id in shared:
            while await self._store.erase_in_thread(act, subject, thread_id, CANCEL, BATCH):
                pass
        place: int | None = 0
        while place is not None:
            place = await self._store.erase_deliveries(act, subject, place, DELIVERIES)
        await self._store.erase_person(act, subject)
        seq, counts, begun_at_ms = await self._store.certify(act, subject)
        is_first = True
        while await self._store.scrub(is_first=is_first):
            is_first = False
        certificate: dict[str, Any] = {
            "type": TYPE,
            "v": VERSION,
            "erasure_id": subject.erasure_id,
            "begun_at": to_instant(begun_at_ms),
            "done_at": to_instant(self._clock.now_ms()),
            "counts": counts,
            "audit_seq": seq,
            "proof": await self._prove(act.org_id, seq),
        }
        answer = await self._store.finish(act, subject, certificate)
        await self._empty_log()
        log.info("a person was erased", action="person_erased", erasure_id=subject.erasure_id, counts=counts)
        return answer

    async def _traces(self, act: Act, subject: Subject) -> Traces:
        """Every thread with a trace of the person. Raises Fault invalid_state when a hold covers one of them."""
        found: dict[str, None] = {}
        last = await self._store.last_place()
        for after in range(0, last, SLICE):
            upto = min(after + SLICE, last)
            found |= dict.fromkeys(await self._store.threads(act.org_id, subject, after, upto))
        return await self._store.traces(act.org_id, subject, list(found))


def _target(params: DataEraseParams) -> tuple[HoldKind, str]:
    """What it is about."""
    if params.person is not None and params.thread_id is None:
        return "person", params.person
    if params.thread_id is not None and params.person is None and params.action in ("hold", "release"):
        return "thread", params.thread_id
    raise invalid_params([{"path": "person", "message": WHO}])
