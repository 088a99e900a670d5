"""Tokens: making them, recognising them. A secret is `tgate_`, 43 random characters and a checksum.

The prefix lets leak scanners find it, the checksum lets us refuse a mistyped one without asking the store.
Secrets are 256 random bits, so their SHA-256 needs no salt. They are shown once and never logged.
"""

import hashlib
import hmac
import secrets
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway.clock import Clock
from gateway.rules.networks import canonical_networks
from gateway.rules.scopes import ROLE_SCOPES, require_grant
from protocol.errors import Fault, invalid_params
from protocol.ids import IdPrefix
from protocol.instants import from_instant
from protocol.records import ActorKind, Role, Token
from protocol.requests import TokenCreateParams
from protocol.scopes import Scope
from storage.identity_ports import IdentityStore, UserStore
from storage.values import Act, NewToken

PREFIX: Final = "tgate_"
_RANDOM_BYTES: Final = 32
_BODY_CHARS: Final = 43
"""32 bytes in base64 without padding (RFC 4648 §5)."""
_CHECKSUM_CHARS: Final = 6


def new_secret() -> str:
    """A new secret."""
    body = secrets.token_urlsafe(_RANDOM_BYTES)
    return f"{PREFIX}{body}{_checksum(body)}"


def looks_valid(secret: str) -> bool:
    """Whether the text has the shape of a secret of ours. Compares in constant time."""
    body = secret.removeprefix(PREFIX)
    if body is secret or not body.isascii() or len(body) != _BODY_CHARS + _CHECKSUM_CHARS:
        return False
    return hmac.compare_digest(_checksum(body[:_BODY_CHARS]), body[_BODY_CHARS:])


def secret_hash(secret: str) -> str:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"[:_CHECKSUM_CHARS]


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token and its secret; None when an identical request got it before."""

    token: Token
    secret: str | None


class Tokens:
    """Use cases of tokens."""

    def __init__(self, identities: IdentityStore, users: UserStore, clock: Clock) -> None:
        self._identities = identities
        self._users = users
        self._clock = clock

    async def issue(self, act: Act, held: frozenset[Scope], wanted: TokenCreateParams) -> IssuedToken:
        """Make a token: for a user, in the place of another token, or for a service account made with it.

        `held` are the scopes of who asks: nobody hands out others. Raises Fault: invalid_params, forbidden, not_found,
        invalid_state.
        """
        secret = new_secret()
        if wanted.rotates is not None:
            new = await self._in_place_of(act, held, wanted, wanted.rotates, secret)
        else:
            new = await self._new(act, held, wanted, secret)
        token, is_new = await self._identities.create_token(act, new)
        return IssuedToken(token, secret if is_new else None)

    async def _new(
        self, act: Act, held: frozenset[Scope], wanted: TokenCreateParams, secret: str
    ) -> NewToken:
        role = wanted.role
        if role is None:
            raise _invalid("role", "It is needed, unless the token rotates another one")
        if role is Role.DEVICE:
            raise _invalid("role", "Devices are known by their keys, not by tokens")
        if (role is Role.AGENT) != (wanted.agent_id is not None):
            needs = (
                "is needed for the role agent" if role is Role.AGENT else "belongs to the role agent alone"
            )
            raise _invalid("agent_id", f"The agent {needs}")
        require_grant(held, ROLE_SCOPES[role])
        kind: ActorKind | None = ActorKind.AGENT if role is Role.AGENT else ActorKind.SERVICE
        if wanted.user_id is not None:
            user = await self._users.get(act.org_id, wanted.user_id)
            if user.kind is ActorKind.DEVICE:
                raise _invalid("user_id", "Devices are known by their keys, not by tokens")
            if (user.kind is ActorKind.AGENT) != (role is Role.AGENT):
                raise _invalid("role", "Tokens of role agent are for agents, and agents have no others")
            require_grant(held, ROLE_SCOPES[user.role])  # to speak for somebody is to be them
            kind = None
        return NewToken(
            id=self._clock.new_id(IdPrefix.TOKEN),
            principal_id=wanted.user_id or self._clock.new_id(IdPrefix.PRINCIPAL),
            name=wanted.name,
            role=role,
            secret_hash=secret_hash(secret),
            expires_at_ms=act.at_ms + wanted.ttl_s * 1000 if wanted.ttl_s is not None else None,
            agent_id=wanted.agent_id,
            principal_kind=kind,
            networks=_networks(wanted.networks or ()),
            requests_per_s=wanted.requests_per_s,
        )

    async def _in_place_of(
        self, act: Act, held: frozenset[Scope], wanted: TokenCreateParams, old_id: str, secret: str
    ) -> NewToken:
        old = await self._identities.find_token(act.org_id, old_id)
        for name in ("role", "user_id", "agent_id"):
            if getattr(wanted, name) is not None:
                raise _invalid(name, "It is that of the token whose place is taken")
        assert old.principal_id is not None, "every token has a principal"
        user = await self._users.get(act.org_id, old.principal_id)
        require_grant(held, ROLE_SCOPES[old.role] | ROLE_SCOPES[user.role])
        return NewToken(
            id=self._clock.new_id(IdPrefix.TOKEN),
            principal_id=old.principal_id,
            name=wanted.name or old.name,
            role=old.role,
            secret_hash=secret_hash(secret),
            expires_at_ms=_end(act.at_ms, wanted.ttl_s, old),
            agent_id=old.agent_id,
            principal_kind=None,
            networks=_networks(old.networks if wanted.networks is None else wanted.networks),
            requests_per_s=wanted.requests_per_s or old.requests_per_s,
            rotates=old_id,
            overlap_until_ms=act.at_ms + wanted.overlap_s * 1000,
        )


def _end(now_ms: int, ttl_s: int | None, old: Token) -> int | None:
    """A token that takes the place of one that expires lives as long as that one did, unless told."""
    if ttl_s is not None:
        return now_ms + ttl_s * 1000
    if old.expires_at is None:
        return None
    return now_ms + from_instant(old.expires_at) - from_instant(old.created_at)


def _networks(given: Iterable[str]) -> tuple[str, ...]:
    try:
        return canonical_networks(given)
    except ValueError as error:
        raise _invalid("networks", str(error)) from None


def _invalid(path: str, message: str) -> Fault:
    return invalid_params([{"path": path, "message": message}])
