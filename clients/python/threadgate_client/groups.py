"""What the groups of methods share: asking for one thing, or for pages of many."""

from collections.abc import Callable
from typing import Any, TypeVar

from threadgate_client.answers import Page
from threadgate_client.engine import Engine
from threadgate_client.fields import Fields
from threadgate_client.listings import Listing

T = TypeVar("T")


class Group:
    """Methods about one kind of thing."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def _one(self, method: str, key: str, read: Callable[[object], T], **params: Any) -> T:
        return Fields(await self._engine.request(method, given(params)), method).one(key, read)

    def _listing(
        self,
        method: str,
        key: str,
        read: Callable[[object], T],
        cursor: str | None,
        **params: Any,
    ) -> Listing[T]:
        async def fetch(at: str | None) -> Page[T]:
            return Page.from_json(
                await self._engine.request(method, given({**params, "cursor": at})), key, read
            )

        return Listing(fetch, cursor)


def given(params: dict[str, Any]) -> dict[str, Any]:
    """The params that have a value: absent and null mean the same, and absent is smaller."""
    return {name: value for name, value in params.items() if value is not None}
