"""What the tests of all adapters share: a store that keeps promises, and waiting until something is so."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from channels.messages import Cursor, Delivery, Inbound, Verdict

PATIENCE_S = 5.0


class MemorySink:
    """An inbox in memory that does what the port says: batch and cursors together, or nothing."""

    def __init__(self) -> None:
        self.stored: dict[str, Delivery] = {}
        self.cursor_values: dict[str, Cursor] = {}
        self.attempts: list[list[str]] = []
        self.failures: list[Exception] = []
        self.says: dict[str, str] = {}
        """What a delivery's sender is told, by delivery id."""
        self.gaps: list[tuple[int, int, str]] = []
        self.now_ms = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def cursors(self) -> Mapping[str, Cursor]:
        return dict(self.cursor_values)

    async def commit(self, batch: Sequence[Delivery], cursors: Mapping[str, str]) -> Sequence[Verdict]:
        self.attempts.append([delivery.delivery_id for delivery in batch])
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        for delivery in batch:
            self.stored.setdefault(delivery.delivery_id, delivery)
        for scope, value in cursors.items():
            self.cursor_values[scope] = Cursor(value, self.now_ms)
        return [Verdict(is_taken=True, says=self.says.get(delivery.delivery_id)) for delivery in batch]

    async def gap(self, since_ms: int, until_ms: int, reason: str) -> None:
        self.gaps.append((since_ms, until_ms, reason))

    @property
    def cursor_value(self) -> str | None:
        """The cursor of the account as a whole."""
        cursor = self.cursor_values.get("")
        return None if cursor is None else cursor.value

    @cursor_value.setter
    def cursor_value(self, value: str) -> None:
        self.cursor_values[""] = Cursor(value, self.now_ms)

    @property
    def texts(self) -> list[str]:
        return [delivery.text for delivery in self.stored.values() if isinstance(delivery, Inbound)]


class MemoryVault:
    """A vault without a lock."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    async def get(self, key: str) -> str | None:
        return self.values.get(key)

    async def put(self, key: str, value: str) -> None:
        self.values[key] = value

    async def delete(self, key: str) -> None:
        self.values.pop(key, None)

    async def keys(self) -> Sequence[str]:
        return sorted(self.values)


async def until(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds; a test that waits longer than PATIENCE_S has failed."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the emulator and the adapter have no event to wait for
            await asyncio.sleep(0.005)
