"""Users and other principals of an organization, chat identities that are linked to them, and renewed credentials.

The params and results of `user.*` and `auth.refresh`, and the records in them. Tokens are in `records.py`.
"""

from typing import Annotated, Literal

from pydantic import Field

from protocol import limits
from protocol.records import LAX, ActorKind, Id, Instant, Principal, Record, Role
from protocol.requests import Credentials, Mutation, Page

Name = Annotated[str, Field(min_length=1, max_length=limits.NAME_CHARS)]


class ChatIdentity(Record):
    """Somebody of a chat network, by the immutable ids that it gave; names are never identity."""

    channel: Name
    account: Name
    sender_id: Name


class ChatLink(ChatIdentity):
    """A chat identity that counts as a user. `name` is what they were called there when it was linked."""

    name: str
    linked_at: Instant


class User(Record):
    """A principal of an organization: a person, or a machine that acts for one (service, agent, device).

    A token may at most what its principal's role may, whatever its own role. Who is disabled is let in nowhere.
    """

    id: Id
    kind: Annotated[ActorKind, LAX]
    name: str
    role: Annotated[Role, LAX]
    created_at: Instant
    disabled_at: Instant | None = None
    links: list[ChatLink] = []  # noqa: RUF012 - the model copies it


class UserListParams(Page):
    """Newest first; all kinds unless one is named."""

    kind: Literal["user", "service", "agent", "device"] | None = None


class UserListResult(Record):
    """A page of principals."""

    users: list[User]
    next_cursor: str | None = None


class UserSaveParams(Mutation):
    """Make a user or a service account (without `user_id`: `name` and `role` are needed), or change what is given.

    `disabled` shuts out, or lets in again. `unlink` takes one linked chat identity away.
    """

    user_id: Id | None = None
    kind: Annotated[
        Literal["user", "service"] | None, Field(description="Of a new one; a user unless told.")
    ] = None
    name: Name | None = None
    role: Annotated[Role, LAX] | None = None
    disabled: bool | None = None
    unlink: ChatIdentity | None = None


class UserResult(Record):
    """One principal."""

    user: User


class UserLinkParams(Mutation):
    """Without a code: begin to link a chat identity to yourself. With the code that the chat was shown: finish."""

    code: Annotated[str, Field(min_length=1, max_length=32)] | None = None


class UserLinkResult(Record):
    """begun: type `/link CODE` in a direct message to the bot, which answers with the code to finish with. The code is
    shown this once: the answer to a repeated request with the same key has none. linked: `link` is done."""

    state: Literal["begun", "linked"]
    code: str | None = None
    expires_at: Instant | None = None
    link: ChatLink | None = None


class AuthRefreshParams(Record):
    """A newer credential of the same principal, for the connection that sends it."""

    auth: Credentials


class AuthRefreshResult(Record):
    """What the connection may from now on, and until when."""

    principal: Principal
    scopes: list[str]
    auth_expires_at: Instant | None = None
