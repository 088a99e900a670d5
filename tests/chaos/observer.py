"""The observer: one client that follows every thread from its start, through all restarts, and never looks away."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from threadgate_client import RUN_ENDINGS, Client, Event, TextUpdate

from .ledger import Ledger


class Observer:
    """Collects what a subscriber sees. Gaps, repetitions and texts that do not fit are faults at once."""

    def __init__(
        self, client: Client, ledger: Ledger, heard: Callable[[Event], None] = lambda event: None
    ) -> None:
        """`heard` is called with every event, once it is in its view."""
        self.views: dict[str, list[Event]] = defaultdict(list)
        self.text_updates = 0
        self._client = client
        self._ledger = ledger
        self._heard = heard
        self._followers: dict[str, asyncio.Task[None]] = {}
        self._growing: dict[str, str] = {}
        self._questions: dict[str, str] = {}

    async def watch(self) -> None:
        """Follow every thread the inbox tells of, until cancelled."""
        try:
            async with self._client.inbox(0) as inbox:
                async for head in inbox:
                    if head.thread_id not in self._followers:
                        task = asyncio.create_task(self._follow(head.thread_id))
                        self._followers[head.thread_id] = task
        finally:
            for task in self._followers.values():
                task.cancel()
            await asyncio.gather(*self._followers.values(), return_exceptions=True)

    async def _follow(self, thread_id: str) -> None:
        view = self.views[thread_id]
        try:
            async with self._client.subscribe(thread_id, "start") as subscription:
                async for item in subscription:
                    if isinstance(item, Event):
                        self._take(view, item)
                    elif isinstance(item, TextUpdate):
                        self._grow(item)
            self._ledger.faults.append(f"the subscription of {thread_id} ended at {subscription.cursor}")
        except Exception as error:  # noqa: BLE001 - whatever ends a follower is a finding
            self._ledger.faults.append(f"the subscription of {thread_id} broke: {error!r}")

    def _take(self, view: list[Event], event: Event) -> None:
        if event.seq != len(view) + 1:
            self._ledger.faults.append(f"{event.thread_id}: seq {event.seq} came after {len(view)}")
        view.append(event)
        if event.run_id is not None and "message_id" in event.data:
            self._questions.setdefault(event.run_id, event.data["message_id"])
        if event.run_id is not None and event.kind in RUN_ENDINGS:
            self._ledger.ended.add(self._questions[event.run_id])
        message = event.message
        grown = self._growing.pop(message.id, "") if message is not None else ""
        if message is not None and not message.text.startswith(grown):
            self._ledger.faults.append(f"{message.id} did not become what was streamed: …{grown[-40:]!r}")
        self._heard(event)

    def _grow(self, update: TextUpdate) -> None:
        self.text_updates += 1
        before = self._growing.get(update.message_id, "")
        if not update.is_replaced and update.text_so_far != before + update.text_appended:
            self._ledger.faults.append(f"{update.message_id} grew by something else than its delta")
        self._growing[update.message_id] = update.text_so_far
