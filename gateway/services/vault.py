"""The vault: what an account was given at run time (tokens of installed workspaces), sealed before it is stored.

One per account. A value is bound to its place: a sealed text that somebody moved to another account or key
does not open there.
"""

import asyncio
from collections.abc import Callable, Sequence

import orjson
from cryptography.fernet import InvalidToken, MultiFernet

from channels.errors import AuthLost
from gateway.clock import Clock
from storage.ports import VaultStore


class VaultCipher:
    """The cipher all accounts share, made when the first of them needs it: making it may read or write a file."""

    def __init__(self, make: Callable[[], MultiFernet]) -> None:
        self._make = make
        self._lock = asyncio.Lock()
        self._made: MultiFernet | None = None

    async def get(self) -> MultiFernet:
        """The cipher. Raises what making it raises (SecretUnavailable); then the next call tries again."""
        async with self._lock:
            if self._made is None:
                self._made = await asyncio.to_thread(self._make)
            return self._made


class AccountVault:
    """`channels.port.Vault` for one account. `get` and `put` raise what making the cipher raises."""

    def __init__(
        self, store: VaultStore, cipher: VaultCipher, clock: Clock, org_id: str, kind: str, account: str
    ) -> None:
        self._org_id = org_id
        self._store = store
        self._cipher = cipher
        self._clock = clock
        self._kind = kind
        self._account = account

    async def get(self, key: str) -> str | None:
        sealed = await self._store.get(self._org_id, self._kind, self._account, key)
        if sealed is None:
            return None
        try:
            opened = orjson.loads((await self._cipher.get()).decrypt(sealed.encode()))
        except InvalidToken:
            opened = None
        if opened is None or opened[:-1] != [self._kind, self._account, key]:
            raise AuthLost(
                f"the vault key does not open what {self._kind}:{self._account} keeps under {key!r}: "
                "put the key back with which it was sealed (vault_key, or vault.key beside the store), "
                "or connect the account again"
            )
        value: str = opened[-1]
        return value

    async def put(self, key: str, value: str) -> None:
        plain = orjson.dumps([self._kind, self._account, key, value])
        sealed = (await self._cipher.get()).encrypt(plain).decode()
        await self._store.put(self._org_id, self._kind, self._account, key, sealed, self._clock.now_ms())

    async def delete(self, key: str) -> None:
        await self._store.delete(self._org_id, self._kind, self._account, key)

    async def keys(self) -> Sequence[str]:
        return await self._store.keys(self._org_id, self._kind, self._account)
