"""A hub over a store of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hub_stage import HubStage

from gateway.clock import Clock
from gateway.content_keys import ContentSealer
from gateway.vault_key import cipher_beside
from storage.store import Store


@pytest.fixture
async def hubs(tmp_path: Path) -> AsyncIterator[HubStage]:
    clock = Clock()
    store = await Store.open(
        tmp_path,
        new_epoch="epo_1",
        new_log_id="epo_2",
        now_ms=clock.now_ms(),
        sealer=ContentSealer(cipher_beside(tmp_path)),
    )
    made = HubStage(store, clock)
    yield made
    await made.hub.close()
    await store.close()
