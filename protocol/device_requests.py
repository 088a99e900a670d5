"""The params and results of `pairing.*`, `device.*` and `presence.list`.

Shapes only; `methods.py` has the table that names them, `devices.py` the things they are about.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from protocol import limits
from protocol.devices import (
    INVOKE_TIMEOUT_MAX_S,
    INVOKE_TIMEOUT_S,
    SCOPES_MAX,
    CommandName,
    Device,
    DeviceName,
    Invocation,
    Pairing,
    Present,
    PresentDevice,
)
from protocol.records import LAX, Id, Record
from protocol.requests import Mutation, Page
from protocol.scopes import Scope


class PairingListParams(Page):
    """Newest first; without `state` those that wait for a decision."""

    state: Literal["pending", "approved", "rejected", "expired", "all"] = "pending"


class PairingDecideParams(Mutation):
    """Which pairing: by its id, or by the code that was shown to who asks. Exactly one of them."""

    pairing_id: Id | None = None
    code: Annotated[str, Field(min_length=1, max_length=32)] | None = None


class PairingApproveParams(PairingDecideParams):
    """Of a device, also what it may and is called. Nobody gives a scope that they do not hold.

    Without `scopes` a device gets none besides those of every device; one that asks for more than it has needs them.
    `name` is made from the device's own word unless given.
    """

    scopes: Annotated[list[Annotated[Scope, LAX]], Field(max_length=SCOPES_MAX)] | None = None
    name: DeviceName | None = None


class PairingResult(Record):
    """One pairing."""

    pairing: Pairing


class PairingListResult(Record):
    """A page of pairings."""

    pairings: list[Pairing]
    next_cursor: str | None = None


class DeviceListParams(Page):
    """Newest first; without `state` those that are active."""

    state: Literal["active", "revoked", "replaced", "all"] = "active"


class DeviceListResult(Record):
    """A page of devices."""

    devices: list[Device]
    next_cursor: str | None = None


class DeviceParams(Record):
    """Which device."""

    device_id: Id


class DeviceChangeParams(Mutation):
    """Which device, to change something."""

    device_id: Id


class DeviceRenameParams(DeviceChangeParams):
    """What it is to be called."""

    name: DeviceName


class DeviceResult(Record):
    """One device."""

    device: Device


class DeviceInvokeParams(DeviceChangeParams):
    """Have a device do something, and wait for what comes of it for at most `timeout_s`.

    A device that is not connected is `unavailable` at once, or waited for with `wait`. With an `idempotency_key` the
    command is done once, however often this is asked: after an answer that was lost, ask again with the same key.
    Where policies want people asked, `approval_required` names an approval; once it is given, ask again with
    `approval_id`, which is good for one time.
    """

    command: CommandName
    params: dict[str, Any] = Field(default_factory=dict)
    timeout_s: Annotated[float, Field(gt=0, le=INVOKE_TIMEOUT_MAX_S, strict=False)] = INVOKE_TIMEOUT_S
    wait: bool = False
    approval_id: Id | None = None


class DeviceInvokeResult(Record):
    """What came of it: done, or failed with the reason."""

    invocation: Invocation


class PresenceListParams(Record):
    """Who is here."""

    limit: Annotated[int, Field(ge=1, le=limits.PAGE_MAX)] = limits.PAGE_MAX


class PresenceListResult(Record):
    """Who is connected, and every device, the newest first. `more`: there are others beyond the limit."""

    principals: list[Present]
    devices: list[PresentDevice]
    more: bool = False
