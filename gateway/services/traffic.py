"""When a room may be written to: what accounts and rooms take, what platforms told us to wait, and breakers.

Nothing here knows what is sent. Durable deliveries wait here until their call may begin, in the order they came;
live views only ask, and step back when there is somebody waiting. Knowledge is in memory: what a delivery was told
to wait survives a restart in its row.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final

import structlog

from channels.capabilities import Rate
from channels.errors import AuthLost, ChannelError, RateLimited, UnknownOutcome, Unreachable
from channels.messages import RoomRef
from channels.port import Adapter
from gateway.clock import Clock
from gateway.rules.breaker import Breaker, BreakerState
from gateway.rules.rate import TokenBucket

log = structlog.get_logger()

PROBE_DEADLINE_S: Final = 20.0
"""A platform that takes longer to say who we are would not take messages in time either."""
STEP_BACK_S: Final = 0.5
"""How long a view waits when deliveries stand in line: about one of their calls."""
ROOMS_MAX: Final = 10_000
"""Rooms of an account whose rate is remembered; one that is forgotten has its whole burst again."""


@dataclass(slots=True)
class _Gate:
    """A bucket, where there is a rate, and until when nothing may pass. Times are monotonic seconds."""

    bucket: TokenBucket | None = None
    closed_until: float = 0.0

    def wait_s(self, rate: Rate | None, now: float) -> float:
        held_s = max(0.0, self.closed_until - now)
        if rate is None:
            return held_s
        if self.bucket is None or (self.bucket.per_s, self.bucket.burst) != (rate.per_s, rate.burst):
            self.bucket = TokenBucket.full(rate.per_s, rate.burst, now)
        return max(held_s, self.bucket.wait_s(now))

    def take(self, rate: Rate | None, now: float) -> None:
        if rate is not None and self.bucket is not None:
            self.bucket.take(now)


@dataclass(slots=True)
class _Account:
    gate: _Gate = field(default_factory=_Gate)
    rooms: dict[str, _Gate] = field(default_factory=dict)
    breaker: Breaker = field(default_factory=Breaker)
    line: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Deliveries that wait for the account, in the order they came: one at a time looks at the clock."""
    rate_limited: int = 0

    def room(self, room: RoomRef) -> _Gate:
        gate = self.rooms.get(room.room)
        if gate is None:
            if len(self.rooms) >= ROOMS_MAX:
                self.rooms.pop(next(iter(self.rooms)))
            gate = self.rooms[room.room] = _Gate()
        return gate


class Traffic:
    """Owns the gates and breakers of all accounts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._accounts: dict[tuple[str, str], _Account] = {}
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Let nobody wait any longer."""
        self._stopping.set()

    async def clear(self, adapter: Adapter, room: RoomRef) -> bool:
        """Return True when a call that writes to the room may begin now, False when the gateway stops.

        Not to be waited for with the room's lock held: views would wait, too.
        """
        account = self._account(adapter)
        while not self._stopping.is_set():
            wait_s = self._room_wait_s(account, adapter, room)
            if wait_s:
                await self._pause(wait_s)
                continue
            async with account.line:
                await self._account_clears(account, adapter, room)
                if not self._stopping.is_set() and self._take(account, adapter, room) == 0:
                    return True
        return False

    def may_show(self, adapter: Adapter, room: RoomRef) -> float:
        """0 when a view may make a call that writes to the room now; else the seconds to wait before asking again."""
        account = self._account(adapter)
        if account.breaker.state is not BreakerState.CLOSED or account.line.locked():
            return STEP_BACK_S
        return self._take(account, adapter, room)

    def side_wait_s(self, adapter: Adapter, room: RoomRef) -> float:
        """The same for a call that shows no message (typing, a reaction): rates do not count those."""
        account, now = self._account(adapter), self._clock.monotonic()
        if account.breaker.state is not BreakerState.CLOSED:
            return STEP_BACK_S
        return max(0.0, account.gate.closed_until - now, account.room(room).closed_until - now)

    def answered(self, adapter: Adapter) -> None:
        """The platform did what it was asked."""
        account = self._account(adapter)
        account.breaker = account.breaker.answered()

    def failed(self, adapter: Adapter, room: RoomRef, error: ChannelError) -> None:
        """A call that writes to the room failed."""
        account, now = self._account(adapter), self._clock.monotonic()
        was = account.breaker.state
        match error:
            case RateLimited():
                account.rate_limited += 1
                gate = account.room(room) if error.scope == "room" else account.gate
                gate.closed_until = max(gate.closed_until, now + error.after_s)
                account.breaker = account.breaker.answered()
            case AuthLost():
                account.breaker = account.breaker.refused(now)
            case Unreachable() | UnknownOutcome():
                account.breaker = account.breaker.failed(room.room, now, self._clock.chance())
            case _:
                account.breaker = account.breaker.answered()
        self._tell(adapter, account, was, str(error))

    async def revive(self, adapter: Adapter) -> None:
        """Probe an account whose breaker's time is over, unless a delivery in line does: there may be none."""
        account = self._account(adapter)
        if account.line.locked():
            return
        async with account.line:
            if self._needs_probe(account):
                await self._probe(account, adapter)

    def breaker(self, adapter: Adapter) -> BreakerState:
        """Whether anything is sent over the account."""
        return self._account(adapter).breaker.state

    def rate_limited(self, adapter: Adapter) -> int:
        """How often the platform refused a call as one too many."""
        return self._account(adapter).rate_limited

    # --- parts --------------------------------------------------------------------------------

    def _account(self, adapter: Adapter) -> _Account:
        return self._accounts.setdefault((adapter.kind, adapter.account), _Account())

    def _room_wait_s(self, account: _Account, adapter: Adapter, room: RoomRef) -> float:
        return account.room(room).wait_s(adapter.capabilities(room).room_rate, self._clock.monotonic())

    def _take(self, account: _Account, adapter: Adapter, room: RoomRef) -> float:
        """Take one of the room and of the account, or nothing: then the seconds to wait."""
        capabilities, now, gate = adapter.capabilities(room), self._clock.monotonic(), account.room(room)
        wait_s = max(
            gate.wait_s(capabilities.room_rate, now), account.gate.wait_s(capabilities.account_rate, now)
        )
        if not wait_s:
            gate.take(capabilities.room_rate, now)
            account.gate.take(capabilities.account_rate, now)
        return wait_s

    async def _account_clears(self, account: _Account, adapter: Adapter, room: RoomRef) -> None:
        """Return when the account takes a call, or the gateway stops. The caller is first in line."""
        while not self._stopping.is_set():
            now = self._clock.monotonic()
            wait_s = max(
                account.breaker.wait_s(now), account.gate.wait_s(adapter.capabilities(room).account_rate, now)
            )
            if wait_s:
                await self._pause(wait_s)
            elif account.breaker.state is BreakerState.CLOSED:
                return
            else:
                await self._probe(account, adapter)

    def _needs_probe(self, account: _Account) -> bool:
        breaker = account.breaker
        return breaker.state is not BreakerState.CLOSED and breaker.wait_s(self._clock.monotonic()) == 0

    async def _probe(self, account: _Account, adapter: Adapter) -> None:
        """The one thing that is tried when a breaker's time is over: a question without an effect."""
        account.breaker = account.breaker.tried(self._clock.monotonic())
        was, why = account.breaker.state, "the account does not answer"
        is_answered = False
        try:
            async with asyncio.timeout(PROBE_DEADLINE_S):
                await adapter.probe()
            is_answered = True
        except AuthLost as error:
            account.breaker, why = account.breaker.refused(self._clock.monotonic()), str(error)
        except RateLimited:
            is_answered = True
        except (ChannelError, TimeoutError) as error:
            why = str(error) or why
        finally:
            now, chance = self._clock.monotonic(), self._clock.chance()
            account.breaker = account.breaker.probed(now, chance, is_answered=is_answered)
            self._tell(adapter, account, was, why)

    def _tell(self, adapter: Adapter, account: _Account, was: BreakerState, why: str) -> None:
        state = account.breaker.state
        if state is was:
            return
        place = {"channel": adapter.kind, "account": adapter.account}
        if state is BreakerState.OPEN:
            log.warning("nothing is sent for now", action="breaker_opened", **place, error=why)
        elif state is BreakerState.CLOSED:
            log.info("deliveries go on", action="breaker_closed", **place)

    async def _pause(self, for_s: float) -> None:
        try:
            async with asyncio.timeout(for_s):
                await self._stopping.wait()
        except TimeoutError:
            return
