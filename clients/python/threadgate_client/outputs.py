"""What the session tells the shell: values, in the order they happened.

The session never calls back; `client.py` acts on these and on nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from threadgate_client.answers import Head, Hello
from threadgate_client.errors import RequestRefused, ThreadgateError
from threadgate_client.items import Cursor, Lagging, Live, Reset, TextUpdate
from threadgate_client.records import Event

Item = Event | TextUpdate | Live | Lagging | Reset


@dataclass(frozen=True, slots=True)
class Ready:
    """The handshake succeeded: requests flow."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class Answered:
    """A request of the user has its result."""

    request_id: int
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """A request of the user was refused."""

    request_id: int
    error: RequestRefused


@dataclass(frozen=True, slots=True)
class Delivered:
    """A view moved to `cursor`; `item` is what the user sees of it, None when it only moved."""

    view_id: int
    item: Item | None
    cursor: Cursor | None


@dataclass(frozen=True, slots=True)
class HeadDelivered:
    """An inbox view has news."""

    view_id: int
    head: Head


@dataclass(frozen=True, slots=True)
class ViewEnded:
    """A view is over and forgotten; `error` says why, None after a Reset item that says it."""

    view_id: int
    error: ThreadgateError | None


@dataclass(frozen=True, slots=True)
class Broken:
    """The connection is of no use any more: drop it, then report it lost."""

    reason: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The gateway will not have us back: everything ends with this error."""

    error: ThreadgateError


@dataclass(frozen=True, slots=True)
class Asked:
    """The gateway asks an agent process something; `request_id` goes into the answer."""

    request_id: int | str
    method: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """The gateway tells an agent process something."""

    method: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection of an agent process is gone, and with it whatever was asked over it."""


Served = Asked | Told | Lost
"""What only agent processes are told."""
Output = Ready | Answered | Refused | Delivered | HeadDelivered | ViewEnded | Broken | Stopped | Served
