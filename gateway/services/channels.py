"""The channel accounts that run: finding an adapter for a thread's room, and what an operator wants of each.

How they fare is in `health.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from channels.messages import Rendered, RoomRef
from channels.port import Adapter
from protocol.records import Origin
from storage.values import DEFAULT_ORG


@dataclass(frozen=True, slots=True)
class AccountPolicy:
    """What an operator decided for one account: the settings of the same names, and whose account it is."""

    on_unknown: Literal["repeat", "ask"] = "repeat"
    receipts: bool = True
    org_id: str = DEFAULT_ORG


class Channels:
    """All configured adapters by (kind, account)."""

    def __init__(
        self, adapters: Sequence[Adapter], policies: Mapping[tuple[str, str], AccountPolicy] | None = None
    ) -> None:
        self._adapters = {(adapter.kind, adapter.account): adapter for adapter in adapters}
        self._policies = policies or {}

    def all(self) -> list[Adapter]:
        """Every adapter, in the order of the configuration."""
        return list(self._adapters.values())

    def of_organization(self, org_id: str) -> list[Adapter]:
        """The adapters of an organization's accounts."""
        return [one for one in self.all() if self.policy(one.kind, one.account).org_id == org_id]

    def find(self, kind: str, account: str) -> Adapter | None:
        """The adapter of an account; None when the configuration has it no longer."""
        return self._adapters.get((kind, account))

    def policy(self, kind: str, account: str) -> AccountPolicy:
        """What is wanted of an account."""
        return self._policies.get((kind, account), AccountPolicy())

    def of(self, origin: Origin) -> tuple[Adapter, RoomRef] | None:
        """The adapter and room where a thread lives; None for a thread that began in a client."""
        if origin.channel is None or origin.account is None or origin.room is None:
            return None
        adapter = self.find(origin.channel, origin.account)
        return None if adapter is None else (adapter, RoomRef(origin.room, origin.topic))


def freeze(content: Rendered) -> str:
    """A rendered message as the outbox keeps it."""
    fields: dict[str, Any] = {"text": content.text, "payload": dict(content.payload)}
    if content.blob_id is not None:
        fields["blob_id"] = content.blob_id
    return orjson.dumps(fields).decode()


def thaw(content: str) -> Rendered:
    """The inverse of `freeze`."""
    fields: dict[str, Any] = orjson.loads(content)
    return Rendered(text=fields["text"], payload=fields["payload"], blob_id=fields.get("blob_id"))
