"""What an operator may set for one Discord bot. Values that are facts live in `capabilities`.

The descriptions are the documentation: it is generated from them.
"""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from channels.settings import AccountSettings, Address

# A snowflake: an unsigned 64-bit number, written without leading zeros.
_Id = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,19}$")]


def _checked_gateway(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError("is a ws:// or wss:// address")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("has no user, query or fragment")
    return value.rstrip("/")


class DiscordSettings(AccountSettings):
    """One `[[channels]]` table with `kind = "discord"`: one bot."""

    kind: Literal["discord"] = Field(description="The chat network of this table.")
    token: Annotated[SecretStr, Field(min_length=1)] = Field(
        description="The bot's token from the developer portal, better by reference: env:NAME reads an "
        "environment variable, file:/path a file."
    )
    api_base_url: Address = Field(
        default="https://discord.com/api/v10",
        description="Where the REST API is, with its version. Change it for the emulator.",
    )
    gateway_url: Annotated[str, AfterValidator(_checked_gateway)] = Field(
        default="wss://gateway.discord.gg",
        description="Where the bot connects to receive. Change it for the emulator.",
    )
    allow: list[_Id] = Field(
        default_factory=list,
        description="Discord user ids (numbers as strings; Copy User ID in developer mode) that may always write. "
        "Names do not work: they can change hands.",
    )
    rooms: list[_Id] = Field(
        default_factory=list,
        description="Ids of the channels the bot works in, with their threads; every channel it sees when empty. "
        "Direct messages are not rooms in this sense.",
    )
    approvers: list[_Id] = Field(
        default_factory=list,
        description="Discord user ids of the people who may decide what an agent asks to do; when empty, whoever "
        "asked the agent decides.",
    )
    reply_in_threads: bool = Field(
        default=True,
        description="Whether a mention in a channel is answered in a thread at that message. Otherwise the answer "
        "stands in the channel and goes on by replies.",
    )
    message_content: bool = Field(
        default=True,
        description="Whether to ask for the Message Content intent when the application has it. Without it the bot "
        "reads only direct messages, mentions and commands.",
    )
