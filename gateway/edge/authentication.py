"""Who is asking: from a secret to a caller with the scopes the server's own records give it.

A secret comes in `hello` or in an Authorization header, never from a URL. The process's own local token lets
commands on the same machine in: it lives in a file that only the gateway's user can read, as long as the
process does (docs/decisions/0004).
"""

import hmac
from dataclasses import dataclass, field

from gateway.clock import Clock
from gateway.rules.scopes import ROLE_SCOPES
from gateway.services.tokens import looks_valid, secret_hash
from protocol.errors import ErrorKind, Fault
from protocol.records import Actor, ActorKind, Role
from protocol.scopes import Scope
from storage.ports import IdentityStore
from storage.values import DEFAULT_ORG, Act, Bearer, Claim

LOCAL_ACTOR = Actor(id="local", kind=ActorKind.USER, name="local operator")
"""Whoever runs commands as the gateway's own user on its machine."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request, over what."""

    bearer: Bearer
    via: str
    scopes: frozenset[Scope] = field(default_factory=frozenset)

    def act(self, now_ms: int, claim: Claim | None = None) -> Act:
        """An act of this caller."""
        bearer = self.bearer
        return Act(bearer.org_id, bearer.actor, self.via, now_ms, claim, token_id=bearer.token_id)


class Authenticator:
    """Recognises secrets."""

    def __init__(self, identities: IdentityStore, clock: Clock, local_secret: str) -> None:
        self._identities = identities
        self._clock = clock
        self._local_hash = secret_hash(local_secret)
        self._revoked: set[str] = set()

    def revoked(self, token_id: str) -> None:
        """The token was revoked: an answer of the store that is still under way must not let it in."""
        self._revoked.add(token_id)

    async def authenticate(self, secret: str | None, via: str) -> Caller:
        """The caller a secret speaks for. Raises Fault unauthorized or expired."""
        if not secret:
            raise Fault(
                ErrorKind.UNAUTHORIZED,
                "A token is needed",
                hint="threadgate token create --role operator makes one",
            )
        if not secret.isascii():  # headers may bring bytes that are no text at all
            raise _not_valid()
        hashed = secret_hash(secret)
        if hmac.compare_digest(hashed, self._local_hash):
            bearer = Bearer("local", DEFAULT_ORG, LOCAL_ACTOR, Role.OWNER, None)
        elif looks_valid(secret):
            bearer = await self._known(hashed)
            if bearer.token_id in self._revoked:
                raise _not_valid()
        else:
            raise _not_valid()
        return Caller(bearer, via, ROLE_SCOPES[bearer.role])

    async def _known(self, hashed: str) -> Bearer:
        try:
            return await self._identities.authenticate(hashed, self._clock.now_ms())
        except Fault as fault:
            fault.is_about_credential = True
            raise


def _not_valid() -> Fault:
    return Fault(ErrorKind.UNAUTHORIZED, "The token is not valid", hint="Check that it was copied whole")
