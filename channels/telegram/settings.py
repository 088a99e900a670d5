"""What an operator may set for one Telegram bot. Values that are facts live in `capabilities`.

The descriptions are the documentation: it is generated from them.
"""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)

from channels.telegram.capabilities import POLL_TIMEOUT_MAX_S, POLL_TIMEOUT_S


def _checked_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is an http:// or https:// address")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("has no user, query or fragment")
    return value.rstrip("/")


class TelegramSettings(BaseModel):
    """One `[[channels]]` table with `kind = "telegram"`: one bot."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["telegram"] = Field(description="The chat network of this table.")
    account: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,32}$")] = Field(
        description="Your name for this bot, unique among the channels: 1 to 32 of a-z, 0-9, _ and -. "
        "It is stored with every message, so keep it when the token changes."
    )
    token: Annotated[SecretStr, Field(min_length=1)] = Field(
        description="The bot's token from @BotFather, better by reference: env:NAME reads an environment "
        "variable, file:/path a file."
    )
    api_base_url: Annotated[str, AfterValidator(_checked_address)] = Field(
        default="https://api.telegram.org",
        description="The Bot API server: the part of its addresses before /bot<token>. "
        "Change it for a Bot API server of your own or the emulator.",
    )
    dm_policy: Literal["pairing", "allowlist", "open"] = Field(
        default="pairing",
        description="Who may write to the bot in private. pairing: unknown people get a code that an "
        "operator confirms; allowlist: only the people in allow, others get silence; open: everyone.",
    )
    allow: list[Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,18}$")]] = Field(
        default_factory=list,
        description="Telegram user ids (numbers as strings) that may always write. Usernames do not work: "
        "they can change hands.",
    )
    poll_timeout_s: Annotated[int, Field(ge=1, le=POLL_TIMEOUT_MAX_S)] = Field(
        default=POLL_TIMEOUT_S,
        description="How many seconds one request waits for new messages. Lower it only when a proxy cuts "
        "waiting connections earlier.",
    )

    @model_validator(mode="after")
    def _allowlist_lets_someone_in(self) -> Self:
        if self.dm_policy == "allowlist" and not self.allow:
            raise ValueError('dm_policy "allowlist" needs at least one user id in allow')
        return self
