"""From a request to its answer: rate → table → scope → params → handler → result or fault. One place for all.

Both ways in use it, so that WebSocket and HTTP cannot differ. Every failure becomes a `Fault` here; what is
not one is `internal`: the caller gets an incident id, the log gets the story.
"""

import asyncio
import hashlib
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from gateway.agents.workers import Worker
from gateway.clock import Clock
from gateway.edge.authentication import Caller
from gateway.hub.receiver import Receiver
from gateway.metrics import Metrics
from gateway.rules.rate import TokenBucket
from gateway.rules.scopes import require
from gateway.services.denials import Denials
from gateway.settings import LimitSettings
from protocol.errors import ErrorKind, Fault, method_not_found
from protocol.frames import Result
from protocol.ids import IdPrefix
from protocol.methods import METHODS, Method, params_of
from protocol.records import Record
from protocol.requests import Mutation
from storage.errors import StoreUnavailable
from storage.values import Act, Claim

log = structlog.get_logger()

STORE_RETRY_MS = 1000
"""Hint when the store does not take writes: it may be back when somebody freed the disk."""
BUCKETS_MAX = 10_000
"""Principals and tokens whose rate is remembered; a full bucket that is forgotten changes nothing."""
TOKEN_BURST_S = 2.0
"""What a token with a rate of its own may send at once after a pause, in seconds of that rate: as for principals."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and what to begin once it was written (a replay must not overtake it)."""

    result: Result
    then: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One request as a handler sees it.

    `receiver` is None when there is no connection to notify, `worker` when it is not that of an agent process.
    `renew` gives that connection another credential.
    """

    method: Method
    caller: Caller
    act: Act
    receiver: Receiver | None
    worker: Worker | None = None
    renew: Callable[[Caller], None] | None = None


class Handler(Protocol):
    """What answers one method. Raises Fault to refuse."""

    def __call__(self, call: Call, params: Any, /) -> Awaitable[Result | Reply]: ...


class Dispatcher:
    """The table of handlers behind the table of methods."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        denials: Denials,
        clock: Clock,
        limits: LimitSettings,
        metrics: Metrics,
    ) -> None:
        missing, unknown = METHODS.keys() - handlers.keys(), handlers.keys() - METHODS.keys()
        if missing or unknown:
            raise RuntimeError(
                f"methods without a handler: {sorted(missing)}; handlers without: {sorted(unknown)}"
            )
        self._handlers = handlers
        self._denials = denials
        self._clock = clock
        self._limits = limits
        self._metrics = metrics
        self._answered = {name: metrics.requests.labels(name, "ok") for name in METHODS}
        self._buckets: dict[str, TokenBucket] = {}

    async def call(
        self,
        caller: Caller,
        name: str,
        params: Mapping[str, Any],
        receiver: Receiver | None = None,
        worker: Worker | None = None,
        renew: Callable[[Caller], None] | None = None,
    ) -> Reply:
        """Answer one request. Raises Fault, and nothing else but cancellation."""
        method = METHODS.get(name)
        try:
            if worker is None:  # what agent processes send is paced by their connection
                self.take(caller)
            if method is None:
                raise method_not_found(name)
            await self._require(caller, method)
            values = params_of(method, params)
            act = caller.act(self._clock.now_ms(), _claim(caller, method, values))
            outcome = await self._handlers[name](Call(method, caller, act, receiver, worker, renew), values)
        except Fault as fault:
            self._metrics.requests.labels(method.name if method else "unknown", fault.data["kind"]).inc()
            raise
        except StoreUnavailable as error:
            log.warning("the store did not answer", action="store_unavailable", method=name, error=str(error))
            raise store_fault() from error
        except asyncio.CancelledError:
            raise
        except Exception as error:
            incident = self._clock.new_id(IdPrefix.INCIDENT)
            log.exception("a request broke", action="request_broke", method=name, incident=incident)
            raise Fault(ErrorKind.INTERNAL, "Something went wrong here", incident=incident) from error
        self._answered[name].inc()
        return outcome if isinstance(outcome, Reply) else Reply(outcome)

    def take(self, caller: Caller) -> None:
        """Count one request of a principal, over whatever it comes, and of a token with a rate of its own.

        Raises Fault rate_limited.
        """
        bearer, settings = caller.bearer, self._limits
        buckets = [self._bucket(bearer.actor.id, settings.requests_per_s, settings.request_burst)]
        if bearer.requests_per_s is not None:
            burst = max(1, math.ceil(bearer.requests_per_s * TOKEN_BURST_S))
            buckets.append(self._bucket(bearer.token_id, bearer.requests_per_s, burst))
        now = self._clock.monotonic()
        wait_s, slowest = max((bucket.wait_s(now), bucket.per_s) for bucket in buckets)
        if wait_s:
            raise Fault(
                ErrorKind.RATE_LIMITED,
                f"More than {slowest:g} requests a second",
                retry_after_ms=max(1, round(wait_s * 1000)),
            )
        for bucket in buckets:
            bucket.take(now)

    def _bucket(self, whose: str, per_s: float, burst: int) -> TokenBucket:
        bucket = self._buckets.get(whose)
        if bucket is None:
            if len(self._buckets) >= BUCKETS_MAX:
                self._buckets.pop(next(iter(self._buckets)))
            bucket = self._buckets[whose] = TokenBucket.full(per_s, burst, self._clock.monotonic())
        return bucket

    async def _require(self, caller: Caller, method: Method) -> None:
        try:
            require(caller.scopes, method.scope)
        except Fault:
            act = caller.act(self._clock.now_ms())
            await self._denials.scope(act, method.name, method.scope.value)
            raise


def store_fault() -> Fault:
    """What a caller is told when the store did not answer; why is in the log."""
    return Fault(ErrorKind.UNAVAILABLE, "The store does not take this now", retry_after_ms=STORE_RETRY_MS)


def _claim(caller: Caller, method: Method, params: Record) -> Claim | None:
    if not isinstance(params, Mutation) or params.idempotency_key is None:
        return None
    # A model writes its fields in one order, whatever order they came in: equal params are equal bytes.
    meaning = params.__pydantic_serializer__.to_json(params, exclude={"idempotency_key"}, by_alias=True)
    return Claim(
        caller.bearer.actor.id, method.name, params.idempotency_key, hashlib.sha256(meaning).hexdigest()[:32]
    )
