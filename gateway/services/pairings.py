"""Pairing: an operator lets strangers and devices in, or shuts them out, by the code that they were shown or by its id.

A code is short, so wrong ones are counted: a principal has a few guesses, then it waits.
"""

import secrets
from typing import Final

from channels.messages import RoomRef
from gateway.clock import Clock
from gateway.rules.rate import TokenBucket
from gateway.services.admissions import Admissions
from gateway.services.channels import Channels, freeze
from gateway.services.notices import LET_IN
from protocol.device_requests import (
    PairingApproveParams,
    PairingDecideParams,
    PairingListParams,
    PairingListResult,
)
from protocol.errors import ErrorKind, Fault, invalid_params
from protocol.frames import RawJson
from protocol.ids import IdPrefix
from protocol.records import PairingState
from protocol.scopes import Scope
from storage.channel_values import PairingKey, PairingPlace
from storage.device_values import DeviceGrant
from storage.ports import PairingStore
from storage.values import Act, Notice

ALPHABET: Final = "ABCDEFGHJKMNPQRSTVWXYZ23456789"
"""Without I, L, O, U, 0 and 1, which are taken for one another or make words."""
CODE_CHARS: Final = 8
"""30^8, or 39 bits: with five guesses in ten minutes and ten minutes to live, nobody guesses one."""
LIFE_MS: Final = 10 * 60 * 1000
"""As long as a code is valid."""
PENDING_MAX: Final = 3
"""People of one account who may wait at the same time: an operator looks at each of them."""
GUESSES: Final = 5
GUESSES_S: Final = 600.0
"""Wrong codes a principal may give, and the time after which it has all of them again."""
GUESSERS_MAX: Final = 1_000
"""Principals whose guesses are remembered."""


def new_code() -> str:
    """A new code, as it is shown."""
    code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_CHARS))
    return f"{code[:4]}-{code[4:]}"


def normalized(code: str) -> str:
    """A code as people type it, in the form in which it is stored."""
    bare = "".join(char for char in code.upper() if char not in "- \t")
    return f"{bare[:4]}-{bare[4:]}"


class Pairings:
    """Use cases of pairing."""

    def __init__(self, store: PairingStore, channels: Channels, clock: Clock, admissions: Admissions) -> None:
        self._store = store
        self._admissions = admissions
        self._channels = channels
        self._clock = clock
        self._guesses: dict[str, TokenBucket] = {}

    async def page(self, org_id: str, params: PairingListParams) -> PairingListResult:
        """A page, newest first."""
        state = None if params.state == "all" else PairingState(params.state)
        found, cursor = await self._store.page(
            org_id, state, params.limit, params.cursor, self._clock.now_ms()
        )
        return PairingListResult(pairings=found, next_cursor=cursor)

    async def approve(self, act: Act, params: PairingApproveParams, held: frozenset[Scope]) -> RawJson:
        """Let somebody in and tell them, or a device with what it is given; `held` are the scopes of who does it.

        Raises Fault: not_found, expired, rate_limited, invalid_params; forbidden for a scope that is not `held`;
        policy_denied, and approval_required when others must decide, too; of a device invalid_state and conflict.
        """
        beyond = sorted(scope.value for scope in set(params.scopes or ()) - held)
        if beyond:
            raise Fault(
                ErrorKind.FORBIDDEN,
                f"Nobody gives a scope that they do not hold: {', '.join(beyond)}",
                hint="Ask somebody who holds it",
                scope=beyond[0],
            )
        grant = DeviceGrant(tuple(params.scopes) if params.scopes is not None else None, params.name)
        key = self._key(act, params)
        try:
            place = await self._store.place(act.org_id, key, act.at_ms)
            told = self._told(place)
            pairing = await self._store.find(act.org_id, key, act.at_ms)
            await self._admissions.check(act, pairing, place.room if place is not None else "", grant, told)
            answer = await self._store.approve(act, key, told, grant)
        except Fault as fault:
            self._count(act, key, is_wrong=fault.kind is ErrorKind.NOT_FOUND)
            raise
        self._count(act, key, is_wrong=False)
        return answer

    async def reject(self, act: Act, params: PairingDecideParams) -> RawJson:
        """Shut somebody out, and say nothing to them. Raises Fault as `approve` does."""
        key = self._key(act, params)
        try:
            answer = await self._store.reject(act, key)
        except Fault as fault:
            self._count(act, key, is_wrong=fault.kind is ErrorKind.NOT_FOUND)
            raise
        self._count(act, key, is_wrong=False)
        return answer

    def _told(self, place: PairingPlace | None) -> Notice | None:
        """What the person is told; None when their account is configured no more."""
        adapter = self._channels.find(place.channel, place.account) if place is not None else None
        if place is None or adapter is None:
            return None
        content = adapter.render(LET_IN, RoomRef(place.room, place.topic))[0]
        return Notice(self._clock.new_id(IdPrefix.DELIVERY), freeze(content))

    def _key(self, act: Act, params: PairingDecideParams) -> PairingKey:
        """Which pairing is meant; a code costs a guess, which a right one gets back."""
        if (params.pairing_id is None) == (params.code is None):
            raise invalid_params([{"path": "pairing_id", "message": "Give pairing_id or code, and not both"}])
        if params.code is None:
            return PairingKey(id=params.pairing_id)
        wait_s = self._bucket(act.actor.id).take(self._clock.monotonic())
        if wait_s:
            raise Fault(
                ErrorKind.RATE_LIMITED,
                "Too many codes were wrong",
                hint="Use pairing_id, from pairing.list",
                retry_after_ms=round(wait_s * 1000),
            )
        return PairingKey(code=normalized(params.code))

    def _count(self, act: Act, key: PairingKey, *, is_wrong: bool) -> None:
        if key.code is not None and not is_wrong:
            self._bucket(act.actor.id).give_back()

    def _bucket(self, principal_id: str) -> TokenBucket:
        bucket = self._guesses.get(principal_id)
        if bucket is None:
            if len(self._guesses) >= GUESSERS_MAX:
                self._guesses.pop(next(iter(self._guesses)))
            bucket = TokenBucket.full(GUESSES / GUESSES_S, GUESSES, self._clock.monotonic())
            self._guesses[principal_id] = bucket
        return bucket
