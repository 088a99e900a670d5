"""What an operator may set for one Telegram bot. Values that are facts live in `capabilities`.

The descriptions are the documentation: it is generated from them.
"""

from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints

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
