"""What services may ask of the store about principals: tokens, users, and who of a chat network is which user.

The rules that hold for every port stand in `ports.py`, the values in `values.py` and `identity_values.py`.
"""

from collections.abc import Mapping
from typing import Protocol

from protocol.frames import RawJson
from protocol.records import Actor, Role, Token
from protocol.users import ChatLink, User, UserLinkResult
from storage.identity_values import NewLinkCode, NewUser, UserChange, WrongLinkCode
from storage.values import Act, Bearer, NewToken


class IdentityStore(Protocol):
    """Tokens and the principals they speak for."""

    async def authenticate(self, secret_hash: str, now_ms: int) -> Bearer:
        """Whom the secret speaks for. Raises CredentialRefused: unauthorized (unknown, revoked, its principal is
        disabled) or expired."""
        ...

    async def create_token(self, act: Act, token: NewToken) -> tuple[Token, bool]:
        """Make a token; False when an identical request made it before (its secret cannot be shown again).

        Raises Fault: not_found (the principal, the token to rotate), invalid_state (it is disabled, or not valid any
        more).
        """
        ...

    async def find_token(self, org_id: str, token_id: str) -> Token:
        """One token. Raises Fault not_found."""
        ...

    async def list_tokens(
        self, org_id: str, limit: int, cursor: str | None
    ) -> tuple[list[Token], str | None]:
        """A page, newest first."""
        ...

    async def revoke_token(self, act: Act, token_id: str) -> RawJson:
        """Revoke, at once; revoking again changes nothing. Returns a TokenResult."""
        ...

    async def note_used(self, used: Mapping[str, int]) -> None:
        """When tokens were last used, by id, in milliseconds."""
        ...

    async def forget_answers(self, before_ms: int) -> int:
        """Drop stored answers older than `before_ms`, a bounded number at once; returns how many."""
        ...


class UserStore(Protocol):
    """Organizations and their principals."""

    async def organizations(self) -> list[str]:
        """The ids of all organizations."""
        ...

    async def get(self, org_id: str, user_id: str) -> User:
        """One principal. Raises Fault not_found."""
        ...

    async def page(
        self, org_id: str, kind: str | None, limit: int, cursor: str | None
    ) -> tuple[list[User], str | None]:
        """A page, newest first."""
        ...

    async def create(self, act: Act, user: NewUser) -> RawJson:
        """Make a principal. Returns a UserResult."""
        ...

    async def save(self, act: Act, change: UserChange) -> RawJson:
        """Change a principal, at once for its open connections. Returns a UserResult.

        Raises Fault: not_found (also a chat identity that is not linked to it), conflict (its role is another by now).
        """
        ...


class LinkStore(Protocol):
    """Who of a chat network is which user. What is typed in a chat comes through `InboxStore.commit`."""

    async def principal_of(
        self, org_id: str, channel: str, account: str, sender_id: str
    ) -> tuple[Actor, Role] | None:
        """The user that somebody of a chat network is, as an actor of kind user, and their role.

        None for who is linked to nobody, and for a user who is disabled. In a transaction, use
        `storage.chat_links.principal_of`.
        """
        ...

    async def begin(self, act: Act, code: NewLinkCode) -> tuple[UserLinkResult, bool]:
        """Give the acting user a code to type in a chat; the result has none. False when an identical request made it.

        Raises Fault invalid_state: it is no user, or has as many open codes as it may.
        """
        ...

    async def finish(self, act: Act, code: str) -> ChatLink | WrongLinkCode:
        """Link the chat identity that was shown this code to the acting user. A wrong one is counted and recorded.

        Raises Fault invalid_state when that identity is linked to somebody else.
        """
        ...

    async def forget_codes(self, now_ms: int) -> int:
        """Drop codes that ran out; returns how many."""
        ...
