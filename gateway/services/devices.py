"""Devices: who may connect with a key, what one asks for, and what operators do about it.

That the key is the device's own was proved before (`protocol/device_identity.py`). What it may follows from the store
alone: a stranger gets a pairing with a code, which somebody approves; a device that asks for more than it has gets
another one and goes on with what it has.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from gateway.clock import Clock
from gateway.rules.rate import TokenBucket
from gateway.rules.scopes import ROLE_SCOPES
from gateway.services.denials import Denials
from gateway.services.device_commands import check_commands
from gateway.services.device_connections import DeviceConnections
from gateway.services.pairings import new_code
from protocol.canonical import canonical
from protocol.device_identity import Connected, Proven, verified
from protocol.device_requests import DeviceListParams, DeviceListResult, DeviceResult
from protocol.devices import Device, DeviceCommand, DeviceProof, PairingAsked, PresentDevice
from protocol.errors import ErrorKind, Fault
from protocol.frames import RawJson
from protocol.ids import IdPrefix
from protocol.instants import to_instant
from protocol.records import Actor, ActorKind, Role
from protocol.requests import HelloParams
from protocol.scopes import Scope
from storage.device_ports import DeviceStore
from storage.device_values import DeviceOffer, KnownDevice, Standing
from storage.errors import StoreUnavailable
from storage.values import DEFAULT_ORG, Act

log = structlog.get_logger()

VIA: Final = "websocket"
"""The one way in for devices."""
PAIRING_LIFE_MS: Final = 10 * 60 * 1000
"""As long as the code of a device is valid: an operator is told of it by whoever holds the device."""
PENDING_MAX: Final = 3
"""Devices of an organization that may wait at the same time: an operator looks at each of them."""
PENDING_ADDRESS_MAX: Final = 2
"""… and of one address, so that one place cannot keep all others out."""
ASKS: Final = 4
ASKS_S: Final = 600.0
"""Pairings that one address may begin, and the time after which it has all of them again."""
ADDRESSES_MAX: Final = 1_000
"""Addresses that are remembered; one that is forgotten has all its pairings again."""
REJECTED_MS: Final = 60 * 60 * 1000
"""A device that was rejected may ask again after an hour: people change their minds, programs do not."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A device that may connect, all it may do, and the pairing it has for the scopes it wants besides."""

    device: KnownDevice
    scopes: frozenset[Scope]
    asked: PairingAsked | None = None

    @property
    def actor(self) -> Actor:
        """Who acts."""
        return device_actor(self.device)


def device_actor(device: KnownDevice) -> Actor:
    """A device as it acts."""
    return Actor(id=device.id, kind=ActorKind.DEVICE, name=device.name)


class Devices:
    """Use cases of devices, but for what they are told to do."""

    def __init__(
        self, store: DeviceStore, connections: DeviceConnections, denials: Denials, clock: Clock
    ) -> None:
        self._store = store
        self._connections = connections
        self._denials = denials
        self._clock = clock
        self._codes: dict[str, PairingAsked] = {}
        self._asks: dict[str, TokenBucket] = {}
        self._notes: set[asyncio.Task[None]] = set()
        connections.on_leave(self._left)

    # --- connecting ---------------------------------------------------------------------------

    async def prove(self, proof: DeviceProof, here: Connected, peer: str | None) -> Proven:
        """The device that a proof is of. Raises Fault unauthorized; that is recorded."""
        try:
            return verified(proof, here)
        except Fault as fault:
            await self._denials.credential(None, peer, VIA, f"device {fault.data['reason']}", None)
            raise

    async def admit(self, proven: Proven, hello: HelloParams, peer: str | None) -> Admission:
        """Let a device in that has proved its key.

        Raises Fault: pairing_required with the pairing, forbidden (rejected), unauthorized (revoked), rate_limited,
        invalid_params for commands that cannot be used, conflict for a successor that is another device's key.
        """
        now_ms, address = self._clock.now_ms(), peer or "unknown"
        standing = await self._store.standing(proven.device_id, now_ms - REJECTED_MS, now_ms)
        if standing.device is None:
            raise await self._refusal(proven, hello, address, standing)
        device = standing.device
        act = Act(device.org_id, device_actor(device), VIA, now_ms, address=address)
        if proven.successor_id is not None and proven.successor_key is not None:
            device = await self._store.rotate(act, device.id, proven.successor_id, proven.successor_key)
            act = Act(device.org_id, device_actor(device), VIA, now_ms, address=address)
        if hello.role == "device":
            await self._declare(act, device, hello)
        await self._store.seen(device.id, now_ms)
        asked = None
        if proven.successor_id is None:
            asked = await self._widening(act, proven, hello, address, standing)
        return Admission(device, ROLE_SCOPES[Role.DEVICE] | device.scopes, asked)

    def _left(self, device_id: str) -> None:
        """Its connection is over: remember when."""
        task = asyncio.create_task(self._note(device_id), name=f"last seen {device_id}")
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def _note(self, device_id: str) -> None:
        try:
            await self._store.seen(device_id, self._clock.now_ms())
        except StoreUnavailable as error:
            log.info("a departure was not noted", action="device_departure_lost", error=str(error))

    async def close(self) -> None:
        """Let what is being noted be noted."""
        await asyncio.gather(*self._notes)

    async def _declare(self, act: Act, device: KnownDevice, hello: HelloParams) -> None:
        """Keep what it can do and what it is, when that changed."""
        commands = tuple(hello.commands)
        client, platform = hello.client.name, hello.client.platform
        if _text(commands) == _text(device.commands) and (client, platform) == (
            device.client,
            device.platform,
        ):
            return
        await asyncio.to_thread(check_commands, commands)
        await self._store.declare(act, device.id, commands, client, platform)

    async def _refusal(self, proven: Proven, hello: HelloParams, address: str, standing: Standing) -> Fault:
        """Why a device may not connect; a stranger gets a pairing."""
        match standing.state:
            case "revoked" | "replaced":
                await self._denials.credential(None, address, VIA, f"device {standing.state}", None)
                return Fault(
                    ErrorKind.UNAUTHORIZED,
                    "The device was revoked"
                    if standing.state == "revoked"
                    else "The device has another key now",
                    hint="Pair it again, with another key",
                    reason=standing.state,
                )
            case "rejected":
                until_ms = (standing.rejected_at_ms or 0) + REJECTED_MS
                return Fault(
                    ErrorKind.FORBIDDEN,
                    "Somebody decided not to let this device in",
                    hint="Ask an operator; it may ask again later",
                    reason="rejected",
                    retry_after_ms=max(1, until_ms - self._clock.now_ms()),
                )
        act = Act(DEFAULT_ORG, _stranger(proven, hello), VIA, self._clock.now_ms(), address=address)
        asked = await self._ask(act, proven, hello, address, standing)
        fault = Fault(
            ErrorKind.PAIRING_REQUIRED,
            "This device is not known yet",
            hint=f"threadgate pairing approve {asked.code}",
        )
        fault.data |= asked.model_dump()
        return fault

    async def _widening(
        self, act: Act, proven: Proven, hello: HelloParams, address: str, standing: Standing
    ) -> PairingAsked | None:
        """The pairing of a device that asks for more than it has; None when it does not, or may not ask now."""
        assert standing.device is not None, "a stranger widens nothing"
        wanted = _known_scopes(hello.scopes) - standing.device.scopes - ROLE_SCOPES[Role.DEVICE]
        if not wanted or standing.rejected_at_ms is not None:
            return None
        try:
            return await self._ask(act, proven, hello, address, standing)
        except Fault as fault:  # it goes on with what it has, and asks again when it connects again
            log.info("a device may not ask now", action="device_ask_refused", error=str(fault))
            return None

    async def _ask(
        self, act: Act, proven: Proven, hello: HelloParams, address: str, standing: Standing
    ) -> PairingAsked:
        """Its pairing: the one it has, with the code it was told, or a new one. Raises Fault rate_limited."""
        scopes = _known_scopes(hello.scopes)
        remembered = self._codes.get(proven.device_id)
        if (
            remembered is not None
            and remembered.pairing_id == standing.pending_id
            and standing.asked == {scope.value for scope in scopes}
        ):
            return remembered
        if standing.pending_id is None:
            self._take(address)
        offer = DeviceOffer(
            id=self._clock.new_id(IdPrefix.PAIRING),
            code=new_code(),
            expires_at_ms=act.at_ms + PAIRING_LIFE_MS,
            device_id=proven.device_id,
            public_key=proven.public_key,
            name=hello.client.name,
            platform=hello.client.platform,
            address=address,
            commands=tuple({"name": one.name, "risk": one.risk} for one in hello.commands),
            scopes=tuple(sorted(scope.value for scope in scopes)),
            pending_max=PENDING_MAX,
            address_max=PENDING_ADDRESS_MAX,
        )
        pairing = await self._store.ask(act, offer)
        asked = PairingAsked(
            pairing_id=pairing.id, code=offer.code, expires_at=to_instant(pairing.expires_at_ms)
        )
        now = to_instant(act.at_ms)
        self._codes = {key: one for key, one in self._codes.items() if one.expires_at > now}
        self._codes[proven.device_id] = asked
        return asked

    def _take(self, address: str) -> None:
        """Count a pairing that an address begins. Raises Fault rate_limited."""
        now = self._clock.monotonic()
        bucket = self._asks.pop(address, None) or TokenBucket.full(ASKS / ASKS_S, ASKS, now)
        if len(self._asks) >= ADDRESSES_MAX:
            self._asks.pop(next(iter(self._asks)))
        self._asks[address] = bucket
        wait_s = bucket.take(now)
        if wait_s:
            raise Fault(
                ErrorKind.RATE_LIMITED,
                "Too many devices from there ask to be let in",
                retry_after_ms=round(wait_s * 1000) + 1,
            )

    # --- looking and changing -----------------------------------------------------------------

    async def page(self, org_id: str, params: DeviceListParams) -> DeviceListResult:
        """A page, newest first. Raises Fault conflict."""
        state = None if params.state == "all" else params.state
        found, cursor = await self._store.page(org_id, state, params.limit, params.cursor)
        return DeviceListResult(devices=[self._with_presence(one) for one in found], next_cursor=cursor)

    async def get(self, org_id: str, device_id: str) -> DeviceResult:
        """One device. Raises Fault not_found."""
        return DeviceResult(device=self._with_presence(await self._store.get(org_id, device_id)))

    async def revoke(self, act: Act, device_id: str) -> DeviceResult:
        """Shut it out for good. Raises Fault not_found, idempotency_conflict."""
        return self._answer(await self._store.revoke(act, device_id))

    async def rename(self, act: Act, device_id: str, name: str) -> DeviceResult:
        """Call it otherwise. Raises Fault not_found, invalid_state, conflict, idempotency_conflict."""
        return self._answer(await self._store.rename(act, device_id, name))

    async def present(self, org_id: str, limit: int) -> list[PresentDevice]:
        """The newest active devices, here or not."""
        found, _ = await self._store.page(org_id, "active", limit, None)
        return [
            PresentDevice(
                device_id=one.id,
                name=one.name,
                connected=self._connections.find(one.id) is not None,
                last_seen_at=one.last_seen_at,
            )
            for one in found
        ]

    def _answer(self, answer: RawJson) -> DeviceResult:
        return DeviceResult(device=self._with_presence(DeviceResult.model_validate_json(answer).device))

    def _with_presence(self, device: Device) -> Device:
        return device.model_copy(update={"connected": self._connections.find(device.id) is not None})


def _known_scopes(names: Sequence[str]) -> frozenset[Scope]:
    """Those of these scopes that exist here; a newer device may know others."""
    known = {scope.value: scope for scope in Scope}
    return frozenset(known[name] for name in names if name in known)


def _stranger(proven: Proven, hello: HelloParams) -> Actor:
    return Actor(id=proven.device_id, kind=ActorKind.DEVICE, name=hello.client.name)


def _text(commands: Sequence[DeviceCommand]) -> str:
    declared: list[dict[str, Any]] = [command.model_dump(mode="json") for command in commands]
    try:
        return canonical(declared)
    except (ValueError, RecursionError):
        return ""  # nothing that is stored: `check_commands` says what is wrong with it
