"""Cards converge: whatever happens to an approval, over whatever surface, its cards show it soon after, or after a
crash.

One task. The store knows which cards show something older; a commit only says when to look.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from channels.messages import RoomRef
from gateway.clock import Clock
from gateway.services import approval_faces
from gateway.services.channels import Channels, freeze
from protocol.ids import IdPrefix
from storage.approval_ports import ApprovalStore, CardsOf
from storage.approval_values import ApprovalChanged, CardEdit
from storage.errors import StoreUnavailable

log = structlog.get_logger()

AT_ONCE: Final = 50
"""Approvals whose cards are looked at in one read."""
LOOK_AGAIN_S: Final = 60.0
"""It is looked at least this often, should a signal be missed or the store not answer."""


class ApprovalCards:
    """Brings cards up to date. Start with `start`, end with `stop`."""

    def __init__(self, approvals: ApprovalStore, channels: Channels, clock: Clock) -> None:
        self._approvals = approvals
        self._channels = channels
        self._clock = clock
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin with what an earlier process left."""
        self._changed.set()
        self._task = asyncio.create_task(self._run(), name="approval cards")

    async def stop(self) -> None:
        """End; what is left is done at the next start. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def on_commit(self, signals: Sequence[object]) -> None:
        """The store's commit hook."""
        if any(isinstance(signal, ApprovalChanged) for signal in signals):
            self._changed.set()

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            try:
                await self._catch_up()
            except StoreUnavailable as error:
                log.warning("cards wait for the store", action="cards_wait", error=str(error))

    async def _catch_up(self) -> None:
        while found := await self._approvals.stale_cards(AT_ONCE):
            for stale in found:
                await self._show(stale)
            if len(found) < AT_ONCE:
                return

    async def _show(self, stale: CardsOf) -> None:
        edits = []
        for card in stale.cards:
            adapter = self._channels.find(card.channel, card.account)
            if adapter is None:
                continue  # the account is configured no more
            shown = approval_faces.shown(adapter, RoomRef(card.room, card.topic), stale.approval)
            edits.append(CardEdit(card.id, self._clock.new_id(IdPrefix.DELIVERY), freeze(shown)))
        await self._approvals.show(
            stale.org_id, stale.approval.id, stale.revision, edits, self._clock.now_ms()
        )
