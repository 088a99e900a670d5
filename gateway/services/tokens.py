"""Tokens: making them, recognising them. A secret is `tgate_`, 43 random characters and a checksum.

The prefix lets leak scanners find it, the checksum lets us refuse a mistyped one without asking the store.
Secrets are 256 random bits, so their SHA-256 needs no salt. They are shown once and never logged.
"""

import hashlib
import secrets
import zlib
from dataclasses import dataclass
from typing import Final

from gateway.clock import Clock
from protocol.errors import invalid_params
from protocol.ids import IdPrefix
from protocol.records import Role, Token
from storage.ports import IdentityStore
from storage.values import Act, NewToken

PREFIX: Final = "tgate_"
_RANDOM_BYTES: Final = 32
_CHECKSUM_CHARS: Final = 6


def new_secret() -> str:
    """A new secret."""
    body = secrets.token_urlsafe(_RANDOM_BYTES)
    return f"{PREFIX}{body}{_checksum(body)}"


def looks_valid(secret: str) -> bool:
    """Whether the text has the shape of a secret of ours."""
    body = secret.removeprefix(PREFIX)
    return body is not secret and _checksum(body[:-_CHECKSUM_CHARS]) == body[-_CHECKSUM_CHARS:]


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

    def __init__(self, identities: IdentityStore, clock: Clock) -> None:
        self._identities = identities
        self._clock = clock

    async def create(
        self, act: Act, role: Role, name: str, ttl_s: int | None, agent_id: str | None = None
    ) -> IssuedToken:
        """Make a token and the service account or user it speaks for; of role agent, for the agent it serves.

        Raises Fault invalid_params when an agent is named for another role, or none for that one.
        """
        if (role is Role.AGENT) != (agent_id is not None):
            needs = (
                "is needed for the role agent" if role is Role.AGENT else "belongs to the role agent alone"
            )
            raise invalid_params([{"path": "agent_id", "message": f"The agent {needs}"}])
        secret = new_secret()
        new = NewToken(
            id=self._clock.new_id(IdPrefix.TOKEN),
            principal_id=self._clock.new_id(IdPrefix.PRINCIPAL),
            name=name,
            role=role,
            secret_hash=secret_hash(secret),
            expires_at_ms=act.at_ms + ttl_s * 1000 if ttl_s is not None else None,
            agent_id=agent_id,
        )
        token, is_new = await self._identities.create_token(act, new)
        return IssuedToken(token, secret if is_new else None)
