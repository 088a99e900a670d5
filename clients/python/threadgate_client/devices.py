"""Devices as values: paired ones, what they can do, what they were told to do, and who is connected.

Frozen and tolerant, like those of `records.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from threadgate_client.fields import Fields
from threadgate_client.records import Principal


@dataclass(frozen=True, slots=True)
class DeviceCommand:
    """Something a device can be told to do; `params_schema` is a JSON Schema. `risk` is low, medium or high."""

    name: str
    description: str
    params_schema: Mapping[str, Any]
    risk: str
    idempotent: bool

    @classmethod
    def from_json(cls, value: object) -> "DeviceCommand":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "command")
        return cls(
            wire.text("name"),
            wire.text("description", ""),
            wire.mapping("params_schema"),
            wire.text("risk", "medium"),
            wire.flag("idempotent"),
        )


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A paired device. `state` is active, revoked, replaced, or a newer word."""

    id: str
    name: str
    state: str
    fingerprint: str
    client: str
    platform: str
    scopes: tuple[str, ...]
    commands: tuple[DeviceCommand, ...]
    connected: bool
    created_at: datetime
    last_seen_at: datetime | None = None
    revoked_at: datetime | None = None
    replaced_by: str | None = None

    @classmethod
    def from_json(cls, value: object) -> "DeviceInfo":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "device")
        return cls(
            id=wire.text("id"),
            name=wire.text("name"),
            state=wire.text("state"),
            fingerprint=wire.text("fingerprint", ""),
            client=wire.text("client", ""),
            platform=wire.text("platform", ""),
            scopes=wire.many("scopes", str),
            commands=wire.many("commands", DeviceCommand.from_json),
            connected=wire.flag("connected"),
            created_at=wire.instant("created_at"),
            last_seen_at=wire.maybe_instant("last_seen_at"),
            revoked_at=wire.maybe_instant("revoked_at"),
            replaced_by=wire.maybe_text("replaced_by"),
        )


@dataclass(frozen=True, slots=True)
class Invocation:
    """What a device was told to do. `state` is done or failed, then with `error_kind` and `error_message`."""

    id: str
    device_id: str
    command: str
    state: str
    created_at: datetime
    result: Any = None
    error_kind: str | None = None
    error_message: str | None = None
    ended_at: datetime | None = None

    @classmethod
    def from_json(cls, value: object) -> "Invocation":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "invocation")
        error = wire.maybe("error", lambda found: Fields(found, "error"))
        return cls(
            id=wire.text("id"),
            device_id=wire.text("device_id"),
            command=wire.text("command"),
            state=wire.text("state"),
            created_at=wire.instant("created_at"),
            result=value.get("result") if isinstance(value, Mapping) else None,
            error_kind=error.text("kind", "") if error is not None else None,
            error_message=error.text("message", "") if error is not None else None,
            ended_at=wire.maybe_instant("ended_at"),
        )


@dataclass(frozen=True, slots=True)
class Present:
    """A principal with open connections."""

    principal: Principal
    connections: int
    since: datetime

    @classmethod
    def from_json(cls, value: object) -> "Present":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "present")
        return cls(
            wire.one("principal", Principal.from_json), wire.number("connections", 1), wire.instant("since")
        )


@dataclass(frozen=True, slots=True)
class PresentDevice:
    """A paired device, here or not."""

    device_id: str
    name: str
    connected: bool
    last_seen_at: datetime | None

    @classmethod
    def from_json(cls, value: object) -> "PresentDevice":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "present device")
        return cls(
            wire.text("device_id"),
            wire.text("name", ""),
            wire.flag("connected"),
            wire.maybe_instant("last_seen_at"),
        )


@dataclass(frozen=True, slots=True)
class Presence:
    """Who is here. `more`: there are others."""

    principals: tuple[Present, ...]
    devices: tuple[PresentDevice, ...]
    more: bool = False

    @classmethod
    def from_json(cls, value: object) -> "Presence":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "presence")
        return cls(
            wire.many("principals", Present.from_json),
            wire.many("devices", PresentDevice.from_json),
            wire.flag("more"),
        )
