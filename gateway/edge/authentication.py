"""Who is asking: from a secret to a caller with the scopes the server's own records give it.

A secret comes in `hello` or in an Authorization header, never from a URL. The process's own local token lets
commands on the same machine in: it lives in a file that only the gateway's user can read, as long as the
process does (docs/decisions/0004). Who holds it chooses the organization: `SECRET@org_id`.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.clock import Clock
from gateway.rules.networks import admits
from gateway.rules.scopes import effective
from gateway.services.denials import Denials
from gateway.services.tokens import looks_valid, secret_hash
from protocol.errors import ErrorKind, Fault
from protocol.records import Actor, ActorKind, Role
from protocol.scopes import Scope
from storage.identity_ports import IdentityStore
from storage.identity_values import CredentialRefused, PrincipalChanged
from storage.values import DEFAULT_ORG, Act, Bearer, Claim, TokenRevoked

LOCAL_ACTOR = Actor(id="local", kind=ActorKind.USER, name="local operator")
"""Whoever runs commands as the gateway's own user on its machine."""
LOCAL_TOKEN: Final = "local"
"""Stands for the process's own token, which is not in the store."""
USED_MAX: Final = 100_000
"""Tokens whose last use is remembered until it is written: a few megabytes at most."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request, over what, from which address (that of the socket's peer)."""

    bearer: Bearer
    via: str
    scopes: frozenset[Scope] = field(default_factory=frozenset)
    peer: str | None = None

    def act(self, now_ms: int, claim: Claim | None = None) -> Act:
        """An act of this caller."""
        bearer = self.bearer
        token_id = bearer.token_id if bearer.token_id != LOCAL_TOKEN else None
        return Act(bearer.org_id, bearer.actor, self.via, now_ms, claim, self.peer, token_id)


class Authenticator:
    """Recognises secrets. `organizations` are those in which the local operator may act."""

    def __init__(
        self,
        identities: IdentityStore,
        denials: Denials,
        clock: Clock,
        local_secret: str,
        organizations: frozenset[str] = frozenset({DEFAULT_ORG}),
    ) -> None:
        self._identities = identities
        self._denials = denials
        self._clock = clock
        self._local_hash = secret_hash(local_secret)
        self._organizations = organizations
        self._changes = 0
        self._used: dict[str, int] = {}

    def on_commit(self, signals: Sequence[object]) -> None:
        """The store's commit hook: an answer of the store that is under way may be older than this change."""
        if any(isinstance(signal, TokenRevoked | PrincipalChanged) for signal in signals):
            self._changes += 1

    async def authenticate(self, secret: str | None, via: str, peer: str | None) -> Caller:
        """The caller a secret speaks for. Raises Fault unauthorized or expired; that is recorded.

        Nothing is awaited between the last look at the store and the return: who is let in by an answer that a
        revocation made old would otherwise be found by nobody.
        """
        if not secret:
            raise Fault(
                ErrorKind.UNAUTHORIZED,
                "A token is needed",
                hint="threadgate token create --role operator makes one",
            )
        try:
            bearer = await self._recognise(secret)
            if not admits(bearer.networks, peer):
                raise _not_valid("network", bearer)
        except CredentialRefused as refused:
            await self._denials.credential(refused.org_id, peer, via, refused.reason, refused.token_id)
            raise
        self.used(bearer)
        return Caller(bearer, via, effective(bearer.role, bearer.principal_role), peer)

    def used(self, bearer: Bearer) -> None:
        """A token is used just now; written later, with others."""
        if bearer.token_id != LOCAL_TOKEN and (bearer.token_id in self._used or len(self._used) < USED_MAX):
            self._used[bearer.token_id] = self._clock.now_ms()

    async def note_used(self) -> None:
        """Write when tokens were last used; called once a minute. Raises StoreUnavailable."""
        used, self._used = self._used, {}
        if used:
            await self._identities.note_used(used)

    async def _recognise(self, secret: str) -> Bearer:
        if not secret.isascii():  # headers may bring bytes that are no text at all
            raise _not_valid("malformed")
        local, _, org_id = secret.partition("@")
        if hmac.compare_digest(secret_hash(local), self._local_hash):
            if org_id and org_id not in self._organizations:
                raise CredentialRefused(
                    ErrorKind.UNAUTHORIZED,
                    "There is no such organization",
                    hint="There is no such organization: name one of the configuration",
                    reason="organization",
                )
            return Bearer(LOCAL_TOKEN, org_id or DEFAULT_ORG, LOCAL_ACTOR, Role.OWNER, None)
        if not looks_valid(secret):
            raise _not_valid("malformed")
        hashed = secret_hash(secret)
        while True:
            seen = self._changes
            bearer = await self._identities.authenticate(hashed, self._clock.now_ms())
            if seen == self._changes:
                return bearer


def _not_valid(reason: str, bearer: Bearer | None = None) -> CredentialRefused:
    """A secret that is none, or (with its bearer) one that comes from elsewhere than it may."""
    if bearer is None:
        hint = "Check that it was copied whole"
        return CredentialRefused(ErrorKind.UNAUTHORIZED, "The token is not valid", hint=hint, reason=reason)
    return CredentialRefused(
        ErrorKind.UNAUTHORIZED,
        "The token is not valid from this address",
        hint="It may be used from its own networks alone; token.list shows them",
        reason=reason,
        org_id=bearer.org_id,
        token_id=bearer.token_id,
    )
