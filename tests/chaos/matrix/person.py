"""The person who stands by: decides what is asked for, answers what is asked, through the protocol."""

import asyncio
import secrets
from collections.abc import Coroutine
from typing import Any

from threadgate_client import Client, Event, InvalidState

from ..ledger import Ledger
from .cells import Cell

UNKNOWN = "It may have happened already"
"""How the gateway names what a person is asked about a step of unknown outcome."""


class Person:
    """Acts on every event it hears of, once. `hold` makes it keep its answers back until `go_on`."""

    def __init__(self, client: Client, ledger: Ledger) -> None:
        self.manner = Cell(())
        self.asked = 0
        """Steps of unknown outcome it was asked about."""
        self._client = client
        self._ledger = ledger
        self._acts: set[asyncio.Task[None]] = set()
        self._may = asyncio.Event()
        self._may.set()

    def hold(self) -> None:
        """Say nothing for now."""
        self._may.clear()

    def go_on(self) -> None:
        """Say what was kept back, and speak freely."""
        self._may.set()

    def hear(self, event: Event) -> None:
        """An event of any thread."""
        if event.kind == "approval.requested":
            self._act(self._decide(event.data["approval"]))
        elif event.kind == "run.waiting" and event.data["reason"] == "input":
            self._act(self._reply(event.thread_id))

    async def end(self) -> None:
        """Go away."""
        for task in self._acts:
            task.cancel()
        await asyncio.gather(*self._acts, return_exceptions=True)

    async def _decide(self, approval: dict[str, Any]) -> None:
        is_unknown = UNKNOWN in approval["title"]
        self.asked += is_unknown
        yes = self.manner.repeats if is_unknown else self.manner.approves
        decide = self._client.approvals.approve if yes else self._client.approvals.deny
        await self._may.wait()
        try:
            await decide(approval["id"], idempotency_key=secrets.token_hex(16))
        except InvalidState as error:  # it ended meanwhile: then nobody waits for this any more
            if (await self._client.approvals.get(approval["id"])).state != "cancelled":
                self._ledger.faults.append(f"{approval['id']} could not be decided: {error}")

    async def _reply(self, thread_id: str) -> None:
        await self._may.wait()
        await self._client.send("The blue one", thread_id, idempotency_key=secrets.token_hex(16))

    def _act(self, what: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(what)
        self._acts.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._acts.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._ledger.faults.append(f"the person who stands by failed: {error!r}")
