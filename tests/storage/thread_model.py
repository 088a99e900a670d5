"""Threads and their runs as plain values: what the ports promise, without a store.

Each method says what the real one must do: nothing returned means that it succeeds, an `ErrorKind` is the
refusal, `STALE` a lost run. A refusal changes nothing.
"""

from dataclasses import dataclass, field
from typing import Final

from protocol.errors import ErrorKind

STALE: Final = "stale"
Outcome = ErrorKind | str | None
QUEUE_MAX: Final = 3


@dataclass
class ModelRun:
    """A run; `place` is where it stands in the queue of its thread, `fence` who may write for it."""

    thread_id: str
    place: int
    state: str = "queued"
    attempt: int = 0
    fence: int = 0
    partial: str = ""

    @property
    def is_unfinished(self) -> bool:
        return self.state in {"queued", "running"}


@dataclass
class ModelThread:
    """A thread and the kinds of its events in order."""

    status: str = "active"
    log: list[str] = field(default_factory=lambda: ["thread.created"])


class Model:
    """Everything that was done, as the specification has it."""

    def __init__(self) -> None:
        self.threads: dict[str, ModelThread] = {}
        self.runs: dict[str, ModelRun] = {}

    def unfinished(self, thread_id: str) -> list[str]:
        """What a thread has to do, in the order it will: the running one first."""
        own = [name for name, run in self.runs.items() if run.thread_id == thread_id and run.is_unfinished]
        return sorted(own, key=lambda name: (self.runs[name].state == "queued", self.runs[name].place))

    # --- threads ----------------------------------------------------------------------------

    def create(self, thread_id: str) -> None:
        self.threads[thread_id] = ModelThread()

    def set_status(self, thread_id: str, status: str) -> Outcome:
        thread = self.threads[thread_id]
        if thread.status == "deleted":
            return ErrorKind.NOT_FOUND
        if thread.status != status:
            thread.status = status
            thread.log.append("thread.archived" if status == "archived" else "thread.restored")
        return None

    def delete(self, thread_id: str) -> Outcome:
        thread = self.threads[thread_id]
        if thread.status == "deleted":
            return ErrorKind.NOT_FOUND
        for name in self.unfinished(thread_id):
            self._close(name, "cancelled")
        thread.status, thread.log = "deleted", []
        return None

    def accept(self, thread_id: str, run_id: str, on_busy: str, *, restore: bool) -> Outcome:
        thread = self.threads[thread_id]
        if thread.status == "deleted":
            return ErrorKind.NOT_FOUND
        if thread.status == "archived" and not restore:
            return ErrorKind.INVALID_STATE
        ahead = self.unfinished(thread_id)
        if ahead and (on_busy == "reject" or (on_busy == "queue" and len(ahead) >= QUEUE_MAX)):
            return ErrorKind.BUSY
        if thread.status == "archived":
            self.set_status(thread_id, "active")
        if on_busy == "interrupt":
            for name in ahead:
                self._end(name, "cancelled")
        thread.log += ["message.created", "run.queued"]
        self.runs[run_id] = ModelRun(thread_id, len(thread.log))
        return None

    # --- runs -------------------------------------------------------------------------------

    def claim(self, thread_id: str) -> str | None:
        """The run that is started, if any."""
        ahead = self.unfinished(thread_id)
        if not ahead or self.runs[ahead[0]].state != "queued":
            return None
        self._own(ahead[0], "run.started")
        return ahead[0]

    def take_over(self, run_id: str) -> bool:
        if self.runs[run_id].state != "running":
            return False
        self._own(run_id, "run.resumed")
        return True

    def checkpoint(self, run_id: str, fence: int, text: str) -> Outcome:
        if self.runs[run_id].fence != fence:
            return STALE
        self.runs[run_id].partial = text
        return None

    def complete(self, run_id: str, fence: int) -> Outcome:
        if self.runs[run_id].fence != fence:
            return STALE
        self.threads[self.runs[run_id].thread_id].log.append("message.created")
        self._end(run_id, "completed")
        return None

    def end(self, run_id: str, fence: int, state: str, retry_id: str | None) -> Outcome:
        if self.runs[run_id].fence != fence:
            return STALE
        self._end(run_id, state)
        if retry_id is not None:
            self._queue_again(run_id, retry_id, self.runs[run_id].place)
        return None

    def cancel(self, run_id: str) -> Outcome:
        if not self.runs[run_id].is_unfinished:
            return ErrorKind.INVALID_STATE
        self._end(run_id, "cancelled")
        return None

    def retry(self, run_id: str, new_id: str) -> Outcome:
        run = self.runs[run_id]
        if run.is_unfinished:
            return ErrorKind.INVALID_STATE
        if self.threads[run.thread_id].status == "deleted":
            return ErrorKind.NOT_FOUND
        if len(self.unfinished(run.thread_id)) >= QUEUE_MAX:
            return ErrorKind.BUSY
        self._queue_again(run_id, new_id, len(self.threads[run.thread_id].log) + 1)
        return None

    # --- what they share --------------------------------------------------------------------

    def _own(self, run_id: str, kind: str) -> None:
        run = self.runs[run_id]
        run.state, run.attempt, run.fence = "running", run.attempt + 1, run.fence + 1
        self.threads[run.thread_id].log.append(kind)

    def _close(self, run_id: str, state: str) -> None:
        self.runs[run_id].state = state
        self.runs[run_id].fence += 1

    def _end(self, run_id: str, state: str) -> None:
        self._close(run_id, state)
        self.threads[self.runs[run_id].thread_id].log.append(f"run.{state}")

    def _queue_again(self, run_id: str, new_id: str, place: int) -> None:
        thread_id = self.runs[run_id].thread_id
        self.threads[thread_id].log.append("run.queued")
        self.runs[new_id] = ModelRun(thread_id, place)
