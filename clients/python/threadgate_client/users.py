"""Users and other principals, the chat identities linked to them, and a connection's newer credential.

Frozen and tolerant, like the values of `records.py`.
"""

from dataclasses import dataclass, field
from datetime import datetime

from threadgate_client import limits
from threadgate_client.fields import Fields
from threadgate_client.groups import Group, given
from threadgate_client.listings import Listing
from threadgate_client.records import Principal


@dataclass(frozen=True, slots=True)
class ChatLink:
    """Somebody of a chat network who counts as a user."""

    channel: str
    account: str
    sender_id: str
    name: str
    linked_at: datetime

    @classmethod
    def from_json(cls, value: object) -> "ChatLink":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "chat link")
        return cls(
            channel=wire.text("channel"),
            account=wire.text("account"),
            sender_id=wire.text("sender_id"),
            name=wire.text("name", ""),
            linked_at=wire.instant("linked_at"),
        )


@dataclass(frozen=True, slots=True)
class User:
    """A principal. `kind` is user, service, agent, device, or a newer one."""

    id: str
    kind: str
    name: str
    role: str
    created_at: datetime
    disabled_at: datetime | None = None
    links: tuple[ChatLink, ...] = ()

    @classmethod
    def from_json(cls, value: object) -> "User":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "user")
        return cls(
            id=wire.text("id"),
            kind=wire.text("kind"),
            name=wire.text("name", ""),
            role=wire.text("role"),
            created_at=wire.instant("created_at"),
            disabled_at=wire.maybe_instant("disabled_at"),
            links=wire.many("links", ChatLink.from_json),
        )


@dataclass(frozen=True, slots=True)
class LinkProgress:
    """begun: type `/link CODE` in a direct message to the bot, and give back the code it answers with. linked: done."""

    state: str
    code: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    link: ChatLink | None = None

    @classmethod
    def from_json(cls, value: object) -> "LinkProgress":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "link")
        return cls(
            state=wire.text("state"),
            code=wire.maybe_text("code"),
            expires_at=wire.maybe_instant("expires_at"),
            link=wire.maybe("link", ChatLink.from_json),
        )


@dataclass(frozen=True, slots=True)
class Access:
    """What a connection may from now on, and until when."""

    principal: Principal
    scopes: frozenset[str]
    auth_expires_at: datetime | None = None

    @classmethod
    def from_json(cls, value: object) -> "Access":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "access")
        return cls(
            principal=wire.one("principal", Principal.from_json),
            scopes=frozenset(wire.many("scopes", str)),
            auth_expires_at=wire.maybe_instant("auth_expires_at"),
        )


class Users(Group):
    """`user.*`."""

    def list(
        self, *, kind: str | None = None, limit: int = limits.PAGE_DEFAULT, cursor: str | None = None
    ) -> Listing[User]:
        """Principals, newest first; of one kind."""
        return self._listing("user.list", "users", User.from_json, cursor, kind=kind, limit=limit)

    async def create(
        self, name: str, role: str, *, kind: str = "user", idempotency_key: str | None = None
    ) -> User:
        """Make a user or a service account. Tokens for them are made with `tokens.create(user_id=…)`."""
        return await self._one(
            "user.save",
            "user",
            User.from_json,
            name=name,
            role=role,
            kind=kind,
            idempotency_key=idempotency_key,
        )

    async def update(
        self,
        user_id: str,
        *,
        name: str | None = None,
        role: str | None = None,
        disabled: bool | None = None,
        unlink: ChatLink | None = None,
        idempotency_key: str | None = None,
    ) -> User:
        """Change what is given, at once for open connections. `unlink` takes a chat identity away."""
        identity = None
        if unlink is not None:
            identity = {
                "channel": unlink.channel, "account": unlink.account, "sender_id": unlink.sender_id
            }  # fmt: skip
        return await self._one(
            "user.save",
            "user",
            User.from_json,
            user_id=user_id,
            name=name,
            role=role,
            disabled=disabled,
            unlink=identity,
            idempotency_key=idempotency_key,
        )

    async def link(self, code: str | None = None, *, idempotency_key: str | None = None) -> LinkProgress:
        """Begin to link a chat identity to yourself; with the code that the chat was shown, finish."""
        params = given({"code": code, "idempotency_key": idempotency_key})
        return LinkProgress.from_json(await self._engine.request("user.link", params))
