"""Sealed values by account and key. Sealing and opening is the caller's: the store never sees a secret."""

from collections.abc import Mapping

from storage.engine import Engine, Reader, Transaction
from storage.queries import Queries

_SQL = Queries("vault")


class Vaults:
    """`storage.ports.VaultStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def get(self, org_id: str, channel: str, account: str, key: str) -> str | None:
        return await self._engine.read(_get, {**_place(org_id, channel, account), "key": key})

    async def put(self, org_id: str, channel: str, account: str, key: str, sealed: str, now_ms: int) -> None:
        place = _place(org_id, channel, account)
        await self._engine.write(_run, _SQL.put, {**place, "key": key, "sealed": sealed, "now": now_ms})

    async def delete(self, org_id: str, channel: str, account: str, key: str) -> None:
        await self._engine.write(_run, _SQL.delete, {**_place(org_id, channel, account), "key": key})

    async def keys(self, org_id: str, channel: str, account: str) -> list[str]:
        return await self._engine.read(_keys, _place(org_id, channel, account))


def _place(org_id: str, channel: str, account: str) -> dict[str, str]:
    return {"org_id": org_id, "channel": channel, "account": account}


def _get(tx: Reader, place: dict[str, str]) -> str | None:
    sealed: str | None = tx.value(_SQL.get, **place)
    return sealed


def _run(tx: Transaction, statement: str, values: Mapping[str, str | int]) -> None:
    tx.run(statement, **values)


def _keys(tx: Reader, place: dict[str, str]) -> list[str]:
    return [row["key"] for row in tx.all(_SQL.keys, **place)]
