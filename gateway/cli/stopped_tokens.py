"""The commands of `tokens.py` on the store itself, when no gateway runs."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from threadgate_client import Token as TokenRecord

from gateway.cli.serve import configure_log
from gateway.clock import Clock
from gateway.daemon import open_store
from gateway.edge.authentication import LOCAL_ACTOR
from gateway.rules.scopes import ROLE_SCOPES
from gateway.services.tokens import Tokens
from gateway.settings import Settings
from protocol.limits import PAGE_MAX
from protocol.records import Role
from protocol.requests import TokenCreateParams
from storage.store import Store
from storage.values import Act

T = TypeVar("T")


def create(settings: Settings, org_id: str, wanted: TokenCreateParams) -> str:
    """Make a token; returns its secret. Raises Fault."""

    async def on_store(store: Store) -> str:
        tokens = Tokens(store.identities, store.users, Clock())
        issued = await tokens.issue(_act(org_id), ROLE_SCOPES[Role.OWNER], wanted)
        return issued.secret or ""

    return _run(settings, on_store)


def listed(settings: Settings, org_id: str) -> list[TokenRecord]:
    """All tokens of an organization, newest first."""

    async def on_store(store: Store) -> list[TokenRecord]:
        found: list[TokenRecord] = []
        cursor: str | None = None
        while True:
            page, cursor = await store.identities.list_tokens(org_id, PAGE_MAX, cursor)
            found += [TokenRecord.from_json(token.model_dump(mode="json")) for token in page]
            if cursor is None:
                return found

    return _run(settings, on_store)


def revoke(settings: Settings, org_id: str, token_id: str) -> None:
    """Revoke a token. Raises Fault not_found."""

    async def on_store(store: Store) -> None:
        await store.identities.revoke_token(_act(org_id), token_id)

    _run(settings, on_store)


def _act(org_id: str) -> Act:
    return Act(org_id, LOCAL_ACTOR, "cli", Clock().now_ms())


def _run(settings: Settings, use: Callable[[Store], Awaitable[T]]) -> T:
    async def on_store() -> T:
        store = await open_store(settings, Clock())
        try:
            return await use(store)
        finally:
            await store.close()

    configure_log(settings)  # opening a store may log, and what is printed here is a secret and nothing else
    return asyncio.run(on_store())
