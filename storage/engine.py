"""The SQLite engine: one writer thread with group commit, reader threads, commit hooks in order.

Theory of operation. Every port method is one function that runs on a database thread with plain data in and
out; none is held open across an await of the caller. The writer takes all writes that wait, runs them in one
transaction, commits once (`synchronous=FULL`: one fsync for the whole group), and hands the results and the
emitted signals to the loop in one callback: hooks first, in commit order, then the callers. A write that
raises before it changed anything costs nothing; one that raises later makes the group run again with a
savepoint around each write, so that it is undone alone. When the commit fails, nobody is told of success.

A saturated event loop starves threads: it gives up and retakes the GIL every few microseconds, and each
release restarts the waiting thread's switch timer. So while calls wait longer than NAP_AFTER_S, the loop
naps until they have done something, if it is itself what is busy (docs/decisions/0002). The files are in `files.py`.
"""

import asyncio
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from storage import migrations
from storage.audit_ports import Sealer
from storage.budget_ports import BudgetRules
from storage.errors import ContentUnreadable, StoreUnavailable
from storage.files import DATABASE_NAME, connect, lock, refusal_to_open

P = ParamSpec("P")
T = TypeVar("T")
Row = sqlite3.Row

GROUP_MAX: Final = 256
"""Writes committed together at most: bounds the latency of the first of them (about 20 ms of work)."""
READERS: Final = 2
"""Reader threads: one page of replay must not wait for another's full-text search."""
NAP_AFTER_S: Final = 0.002
"""What waits longer than this is held up, by the disk or by the loop itself."""
NAP_S: Final = 0.004
"""The longest nap; it ends when a database thread has finished something. Measured in bench/."""
WATCH_S: Final = 0.001
"""How often the loop looks at what waits, while something waits; the finest its timers go."""
NAP_BUSY_SHARE: Final = 0.7
"""A loop that used less of the time than this gives the threads their turn by itself, in select()."""


class Reader:
    """A read snapshot, as port functions see it."""

    __slots__ = ("_connection", "_sealer")

    def __init__(self, connection: sqlite3.Connection, sealer: Sealer | None = None) -> None:
        self._connection = connection
        self._sealer = sealer

    @property
    def sealer(self) -> Sealer:
        """What seals and opens content behind audit entries. Raises ContentUnreadable where there is none."""
        if self._sealer is None:
            raise ContentUnreadable("The store was opened without the key of what audit entries commit to")
        return self._sealer

    def one(self, sql: str, **values: Any) -> Row | None:
        """The first row, or None."""
        row: Row | None = self._connection.execute(sql, values).fetchone()
        return row

    def all(self, sql: str, **values: Any) -> list[Row]:
        """All rows."""
        return self._connection.execute(sql, values).fetchall()

    def value(self, sql: str, **values: Any) -> Any:
        """The first column of the first row, or None."""
        row = self._connection.execute(sql, values).fetchone()
        return row[0] if row is not None else None


class Transaction(Reader):
    """One write, inside its savepoint. What it emits is handed to the hooks if and only if it commits."""

    __slots__ = ("_engine", "has_written", "hints", "signals")

    def __init__(self, connection: sqlite3.Connection, engine: "Engine") -> None:
        super().__init__(connection, engine.sealer)
        self._engine = engine
        self.hints = engine.hints
        """What earlier transactions found out, also those that were undone: to be checked before it is believed."""
        self.signals: list[object] = []
        self.has_written = False

    @property
    def budgets(self) -> BudgetRules | None:
        """What there may be of something; None without any budget."""
        return self._engine.budgets

    def run(self, sql: str, **values: Any) -> int:
        """Execute; return the number of rows changed."""
        self.has_written = True
        return self._connection.execute(sql, values).rowcount

    def emit(self, signal: object) -> None:
        """Tell the hooks about something, after the commit and in order."""
        self.signals.append(signal)

    def next_offset(self) -> int:
        """The next place in the log of the whole store. Gaps are possible, reuse is not."""
        self._engine.last_offset += 1
        return self._engine.last_offset


class CommitHook(Protocol):
    """Somebody who is told, on the loop, what was committed."""

    def __call__(self, signals: Sequence[object]) -> None:
        """Take the signals of one group commit, in order. Must not block and must not raise."""
        ...


@dataclass(slots=True)
class _Call:
    act: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    future: asyncio.Future[Any]
    number: int
    result: Any = None
    error: BaseException | None = None
    signals: list[object] = field(default_factory=list)


@dataclass(slots=True)
class EngineStats:
    """Counters for the metrics; written by the loop only."""

    groups: int = 0
    writes: int = 0
    reads: int = 0
    failed_commits: int = 0
    group_size_last: int = 0
    naps: int = 0


class Engine:
    """The database of one data directory. Create with `await Engine.open(...)`; close with `await close()`."""

    def __init__(
        self, directory: Path, loop: asyncio.AbstractEventLoop, sealer: Sealer | None = None
    ) -> None:
        self.sealer = sealer
        self.hints: dict[Hashable, str] = {}
        self.path = directory / DATABASE_NAME
        self.stats = EngineStats()
        self.writable = True
        self.budgets: BudgetRules | None = None
        """Set once, before anything is written."""
        self.last_offset = 0
        self._loop = loop
        self._lock_file = lock(directory)
        self._hooks: list[CommitHook] = []
        self._writes: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._reads: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._waiting: dict[int, float] = {}
        self._calls = 0
        self._is_watching = False
        self._looked_at = 0.0
        self._used_s = 0.0
        self._progress = threading.Event()
        self._closed = False
        self._is_log_full = False
        self._threads: list[threading.Thread] = []

    @classmethod
    async def open(cls, directory: Path, sealer: Sealer | None = None) -> "Engine":
        """Open or create the database and bring its schema up to date.

        Blocks the loop for the migrations: it runs before anything is served. Raises StoreLocked, StoreTooNew,
        StoreDamaged or StoreUnavailable, each with what to do.
        """
        engine = cls(directory, asyncio.get_running_loop(), sealer)
        try:
            writer = connect(engine.path)
            migrations.apply(writer, now_ms=time.time_ns() // 1_000_000)
            engine.last_offset = writer.execute(
                "SELECT coalesce(max(head_offset), 0) FROM threads"
            ).fetchone()[0]
            readers = [connect(engine.path, query_only=True) for _ in range(READERS)]
        except sqlite3.DatabaseError as error:
            os.close(engine._lock_file)
            raise refusal_to_open(engine.path, error) from error
        except BaseException:
            os.close(engine._lock_file)
            raise
        engine._start("store-writer", engine._write_loop, writer)
        for number, reader in enumerate(readers):
            engine._start(f"store-reader-{number}", engine._read_loop, reader)
        return engine

    def add_hook(self, hook: CommitHook) -> None:
        """Call `hook` after every commit, after those added before it."""
        self._hooks.append(hook)

    async def write(
        self, act: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `act` in a transaction; durable when this returns.

        Raises what `act` raised (nothing of it was stored) or StoreUnavailable. Cancelling the caller does not
        undo the write: it may or may not have happened, as after a lost connection.
        """
        return await self._submit(self._writes, act, args, kwargs)

    async def read(self, act: Callable[Concatenate[Reader, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `act` on a consistent snapshot. Raises what `act` raised or StoreUnavailable."""
        self.stats.reads += 1
        return await self._submit(self._reads, act, args, kwargs)

    async def truncate_log(self) -> None:
        """Empty the write-ahead log into the database after the next commit without readers of older states.

        What was deleted stands in the log, too, until then. Returns after the first try.
        """
        self._is_log_full = True
        await self.write(_nothing)

    async def close(self) -> None:
        """Finish what waits, close the readers, then the writer. Later calls raise StoreUnavailable."""
        if self._closed:
            return
        self._closed = True
        writer, *readers = self._threads
        for _ in readers:
            self._reads.put(None)
        for thread in readers:
            await asyncio.to_thread(thread.join)
        self._writes.put(None)
        await asyncio.to_thread(writer.join)
        os.close(self._lock_file)

    # --- on the loop --------------------------------------------------------------------------

    def _submit(
        self,
        lane: "queue.SimpleQueue[_Call | None]",
        act: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> "asyncio.Future[T]":
        future: asyncio.Future[T] = self._loop.create_future()
        if self._closed:
            future.set_exception(StoreUnavailable("The store is closed: the gateway is shutting down"))
            return future
        self._calls += 1
        self._waiting[self._calls] = self._loop.time()
        lane.put(_Call(act, args, kwargs, future, self._calls))
        if not self._is_watching:
            self._is_watching = True
            self._loop.call_later(NAP_AFTER_S, self._watch)
        return future

    def _watch(self) -> None:
        """While calls wait: nap when the oldest waits too long and the loop itself is what is busy."""
        oldest = next(iter(self._waiting.values()), None)
        now = self._loop.time()
        if oldest is None:
            self._is_watching = False
            return
        used_before, looked_at = self._used_s, self._looked_at
        self._looked_at = 0.0
        if now - oldest >= NAP_AFTER_S:
            # The thread's CPU time is asked for only here: it is a system call, and a dear one on some machines.
            self._used_s, self._looked_at = time.thread_time(), now
            if looked_at and self._used_s - used_before >= NAP_BUSY_SHARE * (now - looked_at):
                self.stats.naps += 1
                self._progress.clear()
                self._progress.wait(NAP_S)
        self._loop.call_later(WATCH_S, self._watch)

    def _finish_group(self, group: list[_Call], failure: BaseException | None) -> None:
        self.stats.groups += 1
        self.stats.group_size_last = len(group)
        self.writable = failure is None
        if failure is None:
            self.stats.writes += len(group)
            signals = [signal for call in group for signal in call.signals]
        else:
            self.stats.failed_commits += 1
            signals = []
        try:
            for hook in self._hooks if signals else ():
                hook(signals)
        finally:  # what is durable is answered for, even if a hook breaks its promise not to raise
            for call in group:
                self._finish(call, failure)

    def _finish(self, call: _Call, failure: BaseException | None = None) -> None:
        self._waiting.pop(call.number, None)
        if call.future.done():
            return  # the caller was cancelled; the outcome stands without it
        error = failure or call.error
        if error is not None:
            call.future.set_exception(error)
        else:
            call.future.set_result(call.result)

    def _post(self, callback: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            return  # the loop is gone: nobody is left to be told

    # --- on the database threads --------------------------------------------------------------

    def _start(
        self, name: str, target: Callable[[sqlite3.Connection], None], connection: sqlite3.Connection
    ) -> None:
        thread = threading.Thread(target=target, args=(connection,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _write_loop(self, connection: sqlite3.Connection) -> None:
        while (first := self._writes.get()) is not None:
            group, stop = [first], False
            while len(group) < GROUP_MAX:
                try:
                    call = self._writes.get_nowait()
                except queue.Empty:
                    break
                if call is None:
                    stop = True
                    break
                group.append(call)
            failure = self._commit_group(connection, group)
            if self._is_log_full and failure is None:
                self._is_log_full = not _is_truncated(connection)
            self._progress.set()
            self._post(self._finish_group, group, failure)
            if stop:
                break
        with suppress(sqlite3.Error):  # no room for it: the WAL keeps every commit for the next start
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()

    def _commit_group(self, connection: sqlite3.Connection, group: list[_Call]) -> StoreUnavailable | None:
        offset = self.last_offset
        try:
            if not self._run_group(connection, group, with_savepoints=False):
                connection.execute("ROLLBACK")
                self.last_offset = offset
                self._run_group(connection, group, with_savepoints=True)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self.last_offset = offset
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            return StoreUnavailable(f"The store did not take the write: {error}")
        return None

    def _run_group(
        self, connection: sqlite3.Connection, group: list[_Call], *, with_savepoints: bool
    ) -> bool:
        """Run the group in a new transaction; False when it must be run again with savepoints."""
        connection.execute("BEGIN IMMEDIATE")
        for call in group:
            if with_savepoints:
                connection.execute("SAVEPOINT act")
            is_clean = self._run_call(connection, call)
            if with_savepoints:
                if not is_clean:
                    connection.execute("ROLLBACK TO act")
                connection.execute("RELEASE act")
            elif not is_clean:
                return False
        return True

    def _run_call(self, connection: sqlite3.Connection, call: _Call) -> bool:
        """Run one write; False when it raised after it had changed something."""
        transaction = Transaction(connection, self)
        call.error, call.signals = None, []
        try:
            call.result = call.act(transaction, *call.args, **call.kwargs)
        except sqlite3.IntegrityError as error:
            call.error = error
        except sqlite3.Error:
            raise  # the disk, not the request: the whole group fails
        except Exception as error:  # noqa: BLE001 - handed to the caller, who awaits it
            call.error = error
        else:
            call.signals = transaction.signals
        return call.error is None or not transaction.has_written

    def _read_loop(self, connection: sqlite3.Connection) -> None:
        reader = Reader(connection, self.sealer)
        while (call := self._reads.get()) is not None:
            try:
                connection.execute("BEGIN")
                call.result = call.act(reader, *call.args, **call.kwargs)
            except sqlite3.Error as error:
                call.error = StoreUnavailable(f"The store could not be read: {error}")
            except Exception as error:  # noqa: BLE001 - handed to the caller, who awaits it
                call.error = error
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._progress.set()
            self._post(self._finish, call)
        connection.close()


def _nothing(tx: Transaction) -> None:
    """A write that writes nothing."""


def _is_truncated(connection: sqlite3.Connection) -> bool:
    """Move the log into the database and empty it, unless somebody still reads what is in it."""
    with suppress(sqlite3.Error):
        is_busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not is_busy
    return False
