"""What every channel account can be told, whatever its network: names, who may speak, how doubt is treated.

The descriptions are the documentation: it is generated from them. A network's own settings are beside its
adapter.
"""

from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator


def _checked_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is an http:// or https:// address")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("has no user, query or fragment")
    return value.rstrip("/")


Address = Annotated[str, AfterValidator(_checked_address)]
"""An http(s) address without a slash at its end."""

DmPolicy = Literal["pairing", "allowlist", "open"]


DEFAULT_ORGANIZATION: Final = "org_default"
"""The organization that is there without being configured; the store begins with it."""


class AccountSettings(BaseModel):
    """One `[[channels]]` table: one bot or workspace token."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = Field(description="The chat network of this table.")
    account: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,32}$")] = Field(
        description="Your name for this account, unique among the channels of its kind: 1 to 32 of a-z, 0-9, _ "
        "and -. It is stored with every message, so keep it when the token changes."
    )
    org: Annotated[str, StringConstraints(pattern=r"^org_[a-z0-9][a-z0-9_-]{0,31}$")] = Field(
        default=DEFAULT_ORGANIZATION,
        description="The organization that everything belongs to which arrives through this account. Keep it: what has "
        "arrived stays where it is.",
    )
    dm_policy: DmPolicy = Field(
        default="pairing",
        description="Who may talk to the bot. pairing: unknown people get a code that an operator confirms; "
        "allowlist: only the people in allow, others get silence; open: everyone. It holds in rooms too, where "
        "strangers always get silence.",
    )
    allow: list[str] = Field(
        default_factory=list,
        description="Ids of people on this network who may always talk. Names do not work: they can change hands.",
    )
    allow_external: bool = Field(
        default=False,
        description="Whether people from outside the organization that owns a room (shared channels, guests) may "
        'talk when dm_policy is "open".',
    )
    rooms: list[str] = Field(
        default_factory=list,
        description="Ids of the rooms (groups, channels) the bot works in; every room it is in when empty. "
        "Private chats are not rooms in this sense.",
    )
    mention_required: bool = Field(
        default=True,
        description="Whether in rooms the bot answers only when it is mentioned, replied to or commanded.",
    )
    messages_per_minute: int = Field(
        default=120,
        ge=1,
        le=100_000,
        description="Messages one person may write in one room within a minute; more are not taken, and they are told. "
        "It ends what two programs would otherwise say to each other for ever.",
    )
    approvers: list[str] = Field(
        default_factory=list,
        description="Ids of people on this network who may decide what an agent asks to do; when empty, whoever asked "
        "the agent decides.",
    )
    receipts: bool = Field(
        default=True,
        description="Whether the bot shows with reactions that it has seen and answered a message.",
    )
    on_unknown: Literal["repeat", "ask"] = Field(
        default="repeat",
        description="What happens to a delivery when nobody can find out whether it arrived. repeat: it is sent again; "
        "ask: it waits for an operator (threadgate deliveries). Either way it is counted and shown.",
    )

    @model_validator(mode="after")
    def _allowlist_lets_someone_in(self) -> Self:
        if self.dm_policy == "allowlist" and not self.allow:
            raise ValueError('dm_policy "allowlist" needs at least one user id in allow')
        return self
