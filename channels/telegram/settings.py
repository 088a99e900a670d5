"""What an operator may set for one Telegram bot. Values that are facts live in `capabilities`.

The descriptions are the documentation: it is generated from them.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, model_validator

from channels.settings import AccountSettings, Address
from channels.telegram.capabilities import POLL_TIMEOUT_MAX_S, POLL_TIMEOUT_S


class TelegramSettings(AccountSettings):
    """One `[[channels]]` table with `kind = "telegram"`: one bot."""

    kind: Literal["telegram"] = Field(description="The chat network of this table.")
    token: Annotated[SecretStr, Field(min_length=1)] = Field(
        description="The bot's token from @BotFather, better by reference: env:NAME reads an environment "
        "variable, file:/path a file."
    )
    api_base_url: Address = Field(
        default="https://api.telegram.org",
        description="The Bot API server: the part of its addresses before /bot<token>. "
        "Change it for a Bot API server of your own or the emulator.",
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
    mode: Literal["poll", "webhook"] = Field(
        default="poll",
        description="How messages come in. poll: the gateway asks for them and needs no open port; webhook: Telegram "
        "posts them to webhook_url, one at a time for each chat.",
    )
    webhook_url: Address | Literal[""] = Field(
        default="",
        description='For mode "webhook": where Telegram reaches the gateway, https:// on port 443, 80, '
        "88 or 8443; the path of the hook is put behind it. The secret that posts carry is made and kept here.",
    )

    @model_validator(mode="after")
    def _webhook_has_an_address(self) -> Self:
        if self.mode == "webhook" and not self.webhook_url:
            raise ValueError('mode "webhook" needs webhook_url')
        return self
