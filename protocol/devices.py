"""Devices on the wire: their keys, what they ask for, what they can be told to do, and who is connected.

A device says `hello` with role `device` and a proof of its key (`device_identity.py` says how that is checked). Here
are the shapes, the pairings of strangers of every sort among them, and what the gateway asks of devices:
`command.invoke`. The params and results of methods are in `device_requests.py`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from protocol import limits
from protocol.records import LAX, Id, Instant, PairingState, Principal, Record

COMMANDS_MAX: Final = 64
"""Commands of one device: a person who approves it can still read the list."""
SCOPES_MAX: Final = 32
"""Scopes that a device may ask for at once; there are about as many."""
COMMAND_TEXT_CHARS: Final = 1000
"""What a command says about itself: a paragraph for agents and people."""
INVOKE_TIMEOUT_MAX_S: Final = 3600.0
"""The longest anybody waits for a device: an hour."""
INVOKE_TIMEOUT_S: Final = 30.0
"""How long anybody waits for a device unless told."""

CommandName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
DeviceName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$",
        description="What people and policies call the device; unique in its organization.",
    ),
]
Risk = Literal["low", "medium", "high"]
PublicKey = Annotated[
    str, Field(min_length=43, max_length=64, description="The raw 32 bytes in base64url without padding.")
]
Signature = Annotated[
    str, Field(min_length=86, max_length=128, description="The raw 64 bytes in base64url without padding.")
]
AskedScopes = Annotated[
    list[Annotated[str, Field(max_length=limits.NAME_CHARS)]],
    Field(max_length=SCOPES_MAX, default_factory=list),
]


class DeviceSuccessor(Record):
    """The key that takes the place of the one this hello is signed with.

    Both sign the same text: `signature` is made with the new key, `consent` with the present one (PROTOCOL.md §14).
    """

    public_key: PublicKey
    signature: Signature
    consent: Signature


class DeviceProof(Record):
    """Ed25519 proof of a device's key (PROTOCOL.md §3). `signed_at` is in milliseconds since 1970."""

    public_key: Annotated[str, Field(max_length=64)]
    signed_at: int
    signature: Annotated[str, Field(max_length=128)]
    successor: DeviceSuccessor | None = None


class DeviceCommand(Record):
    """Something a device can be told to do. `params_schema` is a JSON Schema (draft 2020-12) of an object.

    `risk` is the device's own word, which policies go by. `idempotent`: doing it twice does no harm.
    """

    name: CommandName
    description: Annotated[str, Field(max_length=COMMAND_TEXT_CHARS)] = ""
    params_schema: dict[str, Any] = Field(default_factory=lambda: {"type": "object"})
    risk: Risk = "medium"
    idempotent: bool = False


class CommandOutline(Record):
    """A command as the person who approves a device sees it."""

    name: str
    risk: Risk


class DeviceRequest(Record):
    """What a device asks for when it wants to be paired: all of it is its own word but the key and the address.

    `fingerprint` is that of its key, in groups for comparing by eye. `is_widening`: the device is paired already and
    asks for more than it has.
    """

    device_id: Id
    fingerprint: str
    platform: str
    address: str
    commands: list[CommandOutline]
    scopes: list[str]
    is_widening: bool


class Pairing(Record):
    """Somebody who asked to be let in. `subject` is who: the immutable id that a chat network gave a person, or the
    id of a device, which follows from its key.

    `name` is their own word for themselves and proves nothing; the code they were shown is what tells them apart.
    """

    id: Id
    kind: Literal["person", "device"]
    channel: str | None = None
    account: str | None = None
    subject: str
    name: str
    state: Annotated[PairingState, LAX]
    created_at: Instant
    expires_at: Instant
    decided_at: Instant | None = None
    device: DeviceRequest | None = None


class PairingAsked(Record):
    """A pairing as the device that asked for it is told: the code is for whoever approves it."""

    pairing_id: Id
    code: str
    expires_at: Instant


class Device(Record):
    """A paired device. `scopes` are those it holds besides what every device may.

    revoked: it never gets in again with this key · replaced: another key took its place, that of `replaced_by`.
    """

    id: Id
    name: DeviceName
    state: Literal["active", "revoked", "replaced"]
    fingerprint: str
    client: str
    platform: str
    scopes: list[str]
    commands: list[DeviceCommand]
    connected: bool
    created_at: Instant
    last_seen_at: Instant | None = None
    revoked_at: Instant | None = None
    replaced_by: str | None = None


class InvocationError(Record):
    """Why a command did not do what was asked. `kind` is the device's own word, `message` is safe to show."""

    kind: str
    message: str


class Invocation(Record):
    """A command that a device was, or is to be, told to do.

    requested: recorded, nothing was sent · sent: the device may be at it · done · failed: it was not done, or the
    device says that it went wrong · unknown: it was sent, and nobody knows what came of it.
    """

    id: Id
    device_id: Id
    command: str
    state: Literal["requested", "sent", "done", "failed", "unknown"]
    result: Any = None
    error: InvocationError | None = None
    created_at: Instant
    ended_at: Instant | None = None


class Present(Record):
    """A principal with open connections, and since when it has had any."""

    principal: Principal
    connections: int
    since: Instant


class PresentDevice(Record):
    """A paired device, here or not."""

    device_id: Id
    name: str
    connected: bool
    last_seen_at: Instant | None = None


class CommandInvokeParams(Record):
    """Do this. An `invocation_id` is done once, however often it is asked for: the answer is kept.

    `deadline` is when nobody waits for the answer any more. With `recall` nothing is done: the gateway lost the
    answer, or never got it, and asks what came of an earlier request. A device that never got that one says
    `not_found`; one that does not know what came of it, because it was cut off, says `unknown`.
    """

    invocation_id: Id
    command: str
    params: dict[str, Any]
    deadline: Instant
    recall: bool = False


class CommandInvokeResult(Record):
    """What came of it."""

    result: Any = None


DEVICE_REQUESTS: Final[Mapping[str, tuple[type[Record], type[Record]]]] = MappingProxyType(
    {"command.invoke": (CommandInvokeParams, CommandInvokeResult)}
)
"""What the gateway asks of devices: name → params and result."""
