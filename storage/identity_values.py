"""The plain values of principals that go into the store and come out of it: users, tokens, codes that link.

No behaviour but an exception. What may be asked with them is in `identity_ports.py`.
"""

from dataclasses import dataclass

from protocol.errors import ErrorKind, Fault
from protocol.records import ActorKind, Role


class CredentialRefused(Fault):
    """A credential does not let its bearer in: 401, whatever its kind.

    `reason` is for the audit log and never shown; `org_id` and `token_id` are known where the credential is.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        hint: str,
        reason: str,
        org_id: str | None = None,
        token_id: str | None = None,
    ) -> None:
        super().__init__(kind, message, hint=hint)
        self.is_about_credential = True
        self.reason = reason
        self.org_id = org_id
        self.token_id = token_id


# --- signals: what commit hooks are told ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PrincipalChanged:
    """A principal has another role, or was disabled: what its connections may must be found out again."""

    principal_id: str
    is_disabled: bool


@dataclass(frozen=True, slots=True)
class TokenShortened:
    """A token expires earlier than it did: another one took its place."""

    token_id: str
    expires_at_ms: int


# --- users -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewUser:
    """A principal to make."""

    id: str
    kind: ActorKind
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class UserChange:
    """What to change of a principal; None stays. `had_role` is the role by which it was allowed: when the principal
    has another one by now, nothing is changed. `unlink` is a chat identity: channel, account, sender id."""

    user_id: str
    had_role: Role
    name: str | None = None
    role: Role | None = None
    is_disabled: bool | None = None
    unlink: tuple[str, str, str] | None = None


# --- links -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewLinkCode:
    """A code that a user types in a chat. A user has at most `open_max` at the same time."""

    id: str
    code: str
    expires_at_ms: int
    open_max: int


@dataclass(frozen=True, slots=True)
class WrongLinkCode:
    """The code of the chat that a user gave is none of theirs. `left`: guesses they have."""

    left: int
