"""The connection of an agent process: requests to it, what it tells, and who may open one.

What a worker's outputs mean is decided in `gateway/agents/`; frames and their limits are the connection's, as for
everybody. A worker is bounded three ways: what waits to be written to it is that of any connection, what it sends is
read no faster than `FRAMES_PER_S`, and what waits of one run to be read has a largest size.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.agents.workers import Worker, WorkerPool, WorkerRefused
from gateway.edge.asking import Asking
from gateway.edge.authentication import Caller
from gateway.edge.send_queue import SendQueue
from gateway.hub.notes import text_frame
from gateway.rules.rate import TokenBucket
from protocol.connection import NotificationReceived, Received, ResponseReceived
from protocol.errors import CloseCode, ErrorKind, Fault
from protocol.frames import encode_notification
from protocol.records import Record, Role
from protocol.requests import HelloParams

FRAMES_PER_S: Final = 100.0
"""Frames a second for each run the worker takes at once: four times the deltas that a fast model makes (25/s)."""
FRAMES_MIN_PER_S: Final = 2000.0
"""What every worker may send a second: tokens of a quick local answer come in bursts."""

PACE_S: Final = 0.02
"""The shortest pause of reading: timers are no finer than a millisecond, and each costs more than a frame."""


class WorkerLink:
    """`gateway.agents.workers.WorkerConnection` over a socket."""

    def __init__(
        self,
        connection_id: str,
        hello: HelloParams,
        queue: SendQueue,
        close: Callable[[CloseCode, str], None],
    ) -> None:
        self.id = connection_id
        self.name = hello.client.name
        self._queue = queue
        self._close = close
        self._asking = Asking(queue, WorkerRefused)
        self._loop = asyncio.get_running_loop()
        concurrent = hello.worker.concurrent if hello.worker is not None else 1
        per_s = max(FRAMES_MIN_PER_S, FRAMES_PER_S * concurrent)
        self._bucket = TokenBucket.full(per_s, round(per_s), self._loop.time())
        self._concurrent = concurrent
        self.worker: Worker | None = None

    def join(self, pool: WorkerPool, org_id: str, agent_id: str) -> None:
        """Serve an agent from now on; when it was taken away this very moment, the connection ends."""
        try:
            self.worker = pool.join(org_id, agent_id, self, self._concurrent)
        except Fault as fault:
            self.dismiss(fault.message)

    def leave(self, pool: WorkerPool) -> None:
        """The connection ends. Idempotent."""
        if self._asking.is_closed:
            return
        self._asking.close()
        if self.worker is not None:
            pool.leave(self.worker)

    # --- to the process -----------------------------------------------------------------------

    async def request(self, method: str, params: Record, timeout_s: float) -> Mapping[str, Any]:
        """Ask the process and wait for its answer. Raises WorkerRefused."""
        return await self._asking.request(method, params, timeout_s)

    def notify(self, method: str, params: Record) -> None:
        """Tell the process something small."""
        if not self._asking.is_closed:
            self._queue.write(text_frame(encode_notification(method, params)))

    def dismiss(self, reason: str) -> None:
        """Close the connection: its access is not what it was."""
        self._close(CloseCode.ACCESS_CHANGED, reason)

    # --- from the process ---------------------------------------------------------------------

    async def pace(self) -> None:
        """Return when the next frame may be read: who sends too fast is read later, nobody else is."""
        wait_s = self._bucket.take(self._loop.time())
        if wait_s:
            await asyncio.sleep(max(wait_s, PACE_S))
            self._bucket.take(self._loop.time())

    def receive(self, received: Received | None, size_bytes: int) -> None:
        """Take what came beside requests."""
        match received:
            case ResponseReceived(response):
                self._asking.answered(response)
            case NotificationReceived(notification):
                if notification.method == "run.output" and self.worker is not None:
                    self.worker.take_output(notification.params, size_bytes)
            case _:
                pass


def check_role(hello: HelloParams, caller: Caller, pool: WorkerPool) -> None:
    """Raise Fault forbidden unless the credential is one for the role it connects with."""
    is_agent = caller.bearer.role is Role.AGENT
    if hello.role == "agent":
        if not is_agent or caller.bearer.agent_id is None:
            raise Fault(
                ErrorKind.FORBIDDEN,
                "An agent process needs a token of role agent",
                hint="threadgate token create --role agent --agent ID makes one",
            )
        pool.check(caller.bearer.agent_id)
    elif is_agent:
        raise Fault(
            ErrorKind.FORBIDDEN,
            "A token of role agent is for agent processes",
            hint='Say hello with role "agent", or use a token of another role',
        )
