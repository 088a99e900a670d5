"""The chat networks: their accounts, what is delivered to them, and how they fare.

What comes in from them is judged by intakes, which need the other subjects and are made in `front.py`.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import structlog
from cryptography.fernet import MultiFernet

from channels.messages import HealthState
from channels.port import Adapter
from channels.registry import ChannelSettings, create_adapter
from gateway.clock import Clock
from gateway.services.attachments import Attachments
from gateway.services.blobs import BlobReader
from gateway.services.channels import AccountPolicy, Channels
from gateway.services.delivery import Deliveries
from gateway.services.health import ChannelHealth
from gateway.services.live import LiveMessages
from gateway.services.receipts import Receipts
from gateway.services.vault import AccountVault, VaultCipher
from gateway.settings import Settings, channel_settings
from gateway.vault_key import cipher_from, vault_cipher
from storage.store import Store

ADAPTER_STOP_S: Final = 5.0
"""Time an adapter gets to finish a commit and close its connections."""
DELIVERY_STOP_S: Final = 5.0
"""Time a delivery in flight gets to be recorded; one that is cut off is reconciled at the next start."""
RECEIPT_STOP_S: Final = 1.0
"""Time a reaction gets to be shown."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Rooms:
    """What this subject is made of, and its part of a start and of a stop."""

    adapters: tuple[tuple[ChannelSettings, Adapter], ...]
    channels: Channels
    deliveries: Deliveries
    attachments: Attachments
    live: LiveMessages
    receipts: Receipts
    health: ChannelHealth

    async def finish(self) -> None:
        """Say what is being said, and close. After everybody who says something."""
        await self.live.close(DELIVERY_STOP_S)
        await self.receipts.close(RECEIPT_STOP_S)
        await self.deliveries.stop(DELIVERY_STOP_S)
        await asyncio.gather(*(_stop(adapter) for _, adapter in self.adapters))

    def missing(self) -> Iterator[str]:
        """What keeps the gateway from being ready."""
        for _, adapter in self.adapters:
            if adapter.health().state is HealthState.STARTING:
                yield f"the channel {adapter.kind}:{adapter.account} is starting"


def rooms(settings: Settings, store: Store, clock: Clock) -> Rooms:
    """Make it. Raises SecretUnavailable for a configured vault key that is none."""
    vaults = VaultCipher(_cipher(settings))

    def vault(of: ChannelSettings) -> AccountVault:
        return AccountVault(store.vault, vaults, clock, of.org, of.kind, of.account)

    adapters = tuple((of, create_adapter(of, vault(of))) for of in channel_settings(settings))
    policies: dict[tuple[str, str], AccountPolicy] = {
        (of.kind, of.account): AccountPolicy(of.on_unknown, of.receipts, of.org) for of, _ in adapters
    }
    channels = Channels([adapter for _, adapter in adapters], policies)
    deliveries = Deliveries(store.outbox, channels, clock, read_blob=BlobReader(store.blobs))
    return Rooms(
        adapters,
        channels,
        deliveries,
        Attachments(store.blobs, store.threads, channels, clock, limit_bytes=settings.limits.blob_bytes),
        LiveMessages(store.outbox, channels, deliveries, clock),
        Receipts(channels, deliveries.traffic, clock),
        ChannelHealth(channels, store.outbox, deliveries.traffic, clock),
    )


def _cipher(settings: Settings) -> Callable[[], MultiFernet]:
    """How the vault's cipher is made: late, but a configured key that is none is refused at once."""
    if settings.vault_key is not None:
        cipher_from(settings.vault_key)
    return lambda: vault_cipher(settings.vault_key, settings.data_dir)


async def _stop(adapter: Adapter) -> None:
    try:
        async with asyncio.timeout(ADAPTER_STOP_S):
            await adapter.stop()
    except TimeoutError:
        log.warning("an adapter did not stop in time", action="adapter_stop_timeout", channel=adapter.kind)
