"""What is due about approvals: reminders, escalations, expiry. One task that sleeps until the next of them.

Nothing is decided by a timer: the store goes by the stored times, also when nobody comes to look.
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

AT_ONCE: Final = 100
"""Approvals that are dealt with in one transaction."""
LOOK_AGAIN_S: Final = 60.0
"""It is looked at least this often: clocks are set, machines sleep."""


class ApprovalTimes:
    """Keeps the times of approvals. Start with `start`, end with `stop`."""

    def __init__(self, approvals: ApprovalStore, channels: Channels, clock: Clock) -> None:
        self._approvals = approvals
        self._channels = channels
        self._clock = clock
        self._watcher = Watcher("approval times", self._keep)

    async def start(self) -> None:
        """Begin with what became due while nothing ran."""
        self._watcher.start()

    async def stop(self) -> None:
        """End. Idempotent."""
        await self._watcher.stop()

    def on_commit(self, signals: Sequence[object]) -> None:
        """The store's commit hook: another time may be the next."""
        if any(isinstance(signal, ApprovalChanged) for signal in signals):
            self._watcher.wake()

    async def look(self) -> None:
        """Do what is due now. Raises StoreUnavailable."""
        now_ms = self._clock.now_ms
        while await self._approvals.expire(now_ms(), AT_ONCE) == AT_ONCE:
            pass
        while await self._approvals.escalate(now_ms(), AT_ONCE) == AT_ONCE:
            pass
        while found := await self._approvals.to_remind(now_ms(), AT_ONCE):
            for one in found:
                await self._approvals.remind(one.org_id, one.approval.id, self._reminders(one), now_ms())

    async def _keep(self) -> float:
        await self.look()
        due_ms = await self._approvals.next_due_ms()
        wait_s = LOOK_AGAIN_S if due_ms is None else (due_ms - self._clock.now_ms()) / 1000
        return min(max(wait_s, 0.0), LOOK_AGAIN_S)

    def _reminders(self, found: CardsOf) -> list[CardEdit]:
        """What the rooms of its cards are told."""
        reminders = []
        for card in found.cards:
            adapter = self._channels.find(card.channel, card.account)
            if adapter is not None:
                text = approval_faces.reminder(found.approval)
                content = adapter.render(text, RoomRef(card.room, card.topic))[0]
                reminders.append(CardEdit(card.id, self._clock.new_id(IdPrefix.DELIVERY), freeze(content)))
        return reminders
