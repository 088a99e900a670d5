"""The SQLite engine: one writer thread with group commit, reader threads, commit hooks in order.

Theory of operation. Every port method is one function that runs on a database thread with plain data in and
out; none is held open across an await of the caller. The writer takes all writes that wait, runs them in one
transaction, commits once (`synchronous=FULL`: one fsync for the whole group), and hands the results and the
emitted signals to the loop in one callback: hooks first, in commit order, then the callers. A write that
raises before it changed anything costs nothing; one that raises later makes the group run again with a
savepoint around each write, so that it is undone alone. When the commit fails, nobody is told of success.

A saturated event loop starves threads: it gives up and retakes the GIL every few microseconds, and each
release restarts the waiting thread's switch timer. So while calls wait longer than NAP_AFTER_S, the loop
naps for NAP_S at a time (docs/decisions/0002). This is the only file of the product that imports sqlite3.
"""

import asyncio
import fcntl
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

import orjson

from storage import migrations
from storage.errors import StoreDamaged, StoreLocked, StoreUnavailable

P = ParamSpec("P")
T = TypeVar("T")
Row = sqlite3.Row

DATABASE_NAME: Final = "threadgate.db"
LOCK_NAME: Final = "lock"
GROUP_MAX: Final = 256
"""Writes committed together at most: bounds the latency of the first of them (about 20 ms of work)."""
READERS: Final = 2
"""Reader threads: one page of replay must not wait for another's full-text search."""
NAP_AFTER_S: Final = 0.002
NAP_S: Final = 0.0005
"""Measured in bench/: without the nap a saturated loop stops all writes; with it p99 stays below 30 ms."""
CHECKPOINT_PAGES: Final = 4000
"""Pages (4 KiB each) in the WAL before the writer moves them into the database: 16 MiB."""
STATEMENTS: Final = 256
"""Prepared statements kept per connection: more than the product has."""
CACHE_KIB: Final = 8 * 1024
"""Page cache per connection."""
BUSY_TIMEOUT_S: Final = 5.0
"""Only a backup tool could hold the file: wait this long for it."""


class Reader:
    """A read snapshot, as port functions see it."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

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

    __slots__ = ("_engine", "has_written", "signals")

    def __init__(self, connection: sqlite3.Connection, engine: "Engine") -> None:
        super().__init__(connection)
        self._engine = engine
        self.signals: list[object] = []
        self.has_written = False

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

    def __init__(self, directory: Path, loop: asyncio.AbstractEventLoop) -> None:
        self.path = directory / DATABASE_NAME
        self.stats = EngineStats()
        self.writable = True
        self.last_offset = 0
        self._loop = loop
        self._lock_file = _lock(directory)
        self._hooks: list[CommitHook] = []
        self._writes: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._reads: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._waiting: dict[int, float] = {}
        self._calls = 0
        self._nap_armed = False
        self._closed = False
        self._threads: list[threading.Thread] = []

    @classmethod
    async def open(cls, directory: Path) -> "Engine":
        """Open or create the database and bring its schema up to date.

        Blocks the loop for the migrations: it runs before anything is served. Raises StoreLocked, StoreTooNew
        or StoreDamaged, each with what to do.
        """
        engine = cls(directory, asyncio.get_running_loop())
        try:
            writer = _connect(engine.path)
            migrations.apply(writer, now_ms=time.time_ns() // 1_000_000)
            engine.last_offset = writer.execute(
                "SELECT coalesce(max(head_offset), 0) FROM threads"
            ).fetchone()[0]
            readers = [_connect(engine.path, query_only=True) for _ in range(READERS)]
        except sqlite3.DatabaseError as error:
            os.close(engine._lock_file)
            raise StoreDamaged(
                f"{engine.path} cannot be opened: {error}. Restore it from a backup."
            ) from error
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
        if not self._nap_armed:
            self._nap_armed = True
            self._loop.call_later(NAP_AFTER_S, self._nap)
        return future

    def _nap(self) -> None:
        oldest = next(iter(self._waiting.values()), None)
        if oldest is None:
            self._nap_armed = False
            return
        if self._loop.time() - oldest >= NAP_AFTER_S:
            self.stats.naps += 1
            time.sleep(NAP_S)
        self._loop.call_later(NAP_S, self._nap)

    def _finish_group(self, group: list[_Call], failure: BaseException | None) -> None:
        self.stats.groups += 1
        self.stats.group_size_last = len(group)
        self.writable = failure is None
        if failure is None:
            self.stats.writes += len(group)
            signals = [signal for call in group for signal in call.signals]
            if signals:
                for hook in self._hooks:
                    hook(signals)
        else:
            self.stats.failed_commits += 1
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
            self._post(self._finish_group, group, failure)
            if stop:
                break
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
        reader = Reader(connection)
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
            self._post(self._finish, call)
        connection.close()


def open_snapshot(directory: Path) -> sqlite3.Connection:
    """A read-only connection for offline tools (`doctor`, `audit verify`); works beside a running gateway.

    Raises StoreDamaged when there is no readable store.
    """
    path = directory / DATABASE_NAME
    if not path.exists():
        raise StoreDamaged(f"There is no store at {path}")
    try:
        return _connect(path, query_only=True)
    except sqlite3.DatabaseError as error:
        raise StoreDamaged(f"{path} cannot be opened: {error}") from error


@contextmanager
def snapshot(directory: Path) -> Iterator[sqlite3.Connection]:
    """Read a store offline, or beside a running gateway. Raises StoreDamaged for whatever cannot be read."""
    connection = open_snapshot(directory)
    try:
        yield connection
    except sqlite3.DatabaseError as error:
        raise StoreDamaged(f"{directory / DATABASE_NAME} cannot be read: {error}") from error
    finally:
        connection.close()


def check_integrity(directory: Path) -> list[str]:
    """SQLite's own quick check: an empty list when the file is sound, else its findings."""
    connection = open_snapshot(directory)
    try:
        findings = [str(row[0]) for row in connection.execute("PRAGMA quick_check(20)")]
    except sqlite3.DatabaseError as error:
        findings = [str(error)]
    finally:
        connection.close()
    return [] if findings == ["ok"] else findings


def is_locked(directory: Path) -> bool:
    """Whether a process (the gateway, usually) owns the data directory right now."""
    try:
        os.close(_lock(directory))
    except StoreLocked:
        return True
    return False


def _connect(path: Path, *, query_only: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,  # transactions are ours, explicit
        check_same_thread=False,  # made on the loop's thread, then used by one other thread alone
        cached_statements=STATEMENTS,
    )
    connection.row_factory = sqlite3.Row
    if query_only:
        connection.execute("PRAGMA query_only=ON")
    else:
        path.chmod(0o600)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    return connection


def _lock(directory: Path) -> int:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StoreLocked(
            f"Another threadgate already uses {directory}. Stop it, or choose another --data-dir."
        ) from None
    return descriptor


def to_text(value: object) -> str:
    """JSON as the store keeps it."""
    return orjson.dumps(value).decode()


def from_text(text: str) -> Any:
    """The inverse of `to_text`."""
    return orjson.loads(text)
