"""The plain values about devices that go into the store and come out of it. No behaviour."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from protocol.devices import DeviceCommand
from protocol.scopes import Scope

InvocationState: TypeAlias = Literal["requested", "sent", "done", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class KnownDevice:
    """A paired device. `scopes` are those it was given besides what every device may."""

    id: str
    org_id: str
    name: str
    client: str
    platform: str
    scopes: frozenset[Scope]
    commands: tuple[DeviceCommand, ...]

    def command(self, name: str) -> DeviceCommand | None:
        """What it declared under this name."""
        return next((one for one in self.commands if one.name == name), None)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the store knows of a key. `device` is there when it is paired and active.

    revoked, replaced: it never gets in again · rejected: not until `rejected_at_ms` is long ago · unknown.
    `pending_id` is the pairing it asked for that waits for a decision, for the scopes in `asked`.
    """

    state: Literal["active", "revoked", "replaced", "rejected", "unknown"]
    device: KnownDevice | None = None
    rejected_at_ms: int | None = None
    pending_id: str | None = None
    asked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class DeviceOffer:
    """A pairing that a device asks for. `commands` are outlines as the wire has them; only a hash of `code` is kept.

    At most `pending_max` devices of an organization wait at the same time, and `address_max` of one address.
    """

    id: str
    code: str
    expires_at_ms: int
    device_id: str
    public_key: str
    name: str
    platform: str
    address: str
    commands: tuple[dict[str, str], ...]
    scopes: tuple[str, ...]
    pending_max: int
    address_max: int


@dataclass(frozen=True, slots=True)
class AskedPairing:
    """The pairing that a device has now: the one it had, or the offered one."""

    id: str
    expires_at_ms: int


@dataclass(frozen=True, slots=True)
class DeviceGrant:
    """What whoever approves a device chooses; None where they say nothing."""

    scopes: tuple[Scope, ...] | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class NewInvocation:
    """A command to invoke once. `claim` names who asked with which key, `request_hash` tells equal requests apart."""

    id: str
    device_id: str
    claim: str
    request_hash: str
    command: str
    params: dict[str, Any]
    deadline_ms: int


@dataclass(frozen=True, slots=True)
class InvocationRow:
    """What a device was told to do, and what came of it."""

    id: str
    org_id: str
    device_id: str
    command: str
    params: dict[str, Any]
    state: InvocationState
    result: Any
    error_kind: str | None
    error_message: str | None
    created_at_ms: int
    deadline_ms: int
    ended_at_ms: int | None


@dataclass(frozen=True, slots=True)
class InvocationOutcome:
    """How an invocation ended."""

    state: Literal["done", "failed", "unknown"]
    result: Any = None
    error_kind: str | None = None
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceChanged:
    """A signal: open connections of this device must end.

    revoked: it may not come back · access: what it may has changed · replaced: another key took its place.
    """

    device_id: str
    change: Literal["revoked", "access", "replaced"]
