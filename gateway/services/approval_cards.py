"""Cards converge: whatever happens to an approval, over whatever surface, its cards show it soon after, or after a
crash.

One task. The store knows which cards show something older; a commit only says when to look.
"""

from collections.abc import Sequence
from typing import Final

from channels.messages import RoomRef
from gateway.clock import Clock
from gateway.services import approval_faces
from gateway.services.channels import Channels, freeze
from gateway.services.watcher import Watcher
from protocol.ids import IdPrefix
from storage.approval_ports import ApprovalStore, CardsOf
from storage.approval_values import ApprovalChanged, CardEdit

AT_ONCE: Final = 50
"""Approvals whose cards are looked at in one read."""
LOOK_AGAIN_S: Final = 60.0
"""It is looked at least this often, should a signal be missed."""


class ApprovalCards:
    """Brings cards up to date. Start with `start`, end with `stop`."""

    def __init__(self, approvals: ApprovalStore, channels: Channels, clock: Clock) -> None:
        self._approvals = approvals
        self._channels = channels
        self._clock = clock
        self._watcher = Watcher("approval cards", self._catch_up)

    async def start(self) -> None:
        """Begin with what an earlier process left."""
        self._watcher.start()

    async def stop(self) -> None:
        """End; what is left is done at the next start. Idempotent."""
        await self._watcher.stop()

    def on_commit(self, signals: Sequence[object]) -> None:
        """The store's commit hook."""
        if any(isinstance(signal, ApprovalChanged) for signal in signals):
            self._watcher.wake()

    async def _catch_up(self) -> float:
        while found := await self._approvals.stale_cards(AT_ONCE):
            for stale in found:
                await self._show(stale)
            if len(found) < AT_ONCE:
                break
        return LOOK_AGAIN_S

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
