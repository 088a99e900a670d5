"""What an operator may set for one Slack app. Values that are facts live in `capabilities`.

The descriptions are the documentation: it is generated from them.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from channels.settings import AccountSettings, Address
from channels.slack.capabilities import PROMPTS_MAX

Experience = Literal["agent", "assistant", "none"]
Secret = Annotated[SecretStr, Field(min_length=1)]


class Prompt(BaseModel):
    """A suggestion that people see in an empty conversation with the bot."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: Annotated[str, StringConstraints(min_length=1, max_length=75)]
    message: Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class SlackSettings(AccountSettings):
    """One `[[channels]]` table with `kind = "slack"`: one Slack app, in one workspace or in several.

    `threadgate slack manifest` prints what to paste at api.slack.com/apps when making the app.
    """

    kind: Literal["slack"] = Field(description="The chat network of this table.")
    mode: Literal["socket", "http"] = Field(
        default="socket",
        description="How Slack reaches the gateway. socket: the gateway connects to Slack, nothing must be reachable "
        "from outside; http: Slack sends requests to /hooks/slack/<account>/events of this gateway.",
    )
    bot_token: Secret | None = Field(
        default=None,
        description="The bot's token (xoxb-…) of the one workspace it is in, better by reference: env:NAME reads an "
        "environment variable, file:/path a file. Leave it out when client_id is set.",
    )
    app_token: Secret | None = Field(
        default=None,
        description='The app-level token (xapp-…, scope connections:write) for mode "socket"; by reference as well.',
    )
    signing_secret: Secret | None = Field(
        default=None,
        description='The app\'s signing secret, which proves that requests come from Slack, for mode "http"; by '
        "reference as well.",
    )
    client_id: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="The app's client id, when several workspaces may install it: people begin at "
        "/hooks/slack/<account>/install. Their tokens are kept encrypted in the store.",
    )
    client_secret: Secret | None = Field(
        default=None, description="The app's client secret, with client_id; by reference as well."
    )
    public_url: Address | None = Field(
        default=None,
        description="The address under which people reach this gateway, like https://gate.example.org; needed with "
        "client_id, for the way back from Slack.",
    )
    api_base_url: Address = Field(
        default="https://slack.com/api",
        description="The Web API: the part of its addresses before /<method>. Change it for the emulator.",
    )
    experience: Experience = Field(
        default="agent",
        description="Which of Slack's experiences for agents the app has. agent: the current one, each message in a "
        "direct conversation opens a thread; assistant: the older one; none: a direct conversation is one thread.",
    )
    prompts: Annotated[list[Prompt], Field(max_length=PROMPTS_MAX)] = Field(
        default_factory=list,
        description="Up to four suggestions in an empty conversation, each with title (shown) and message (sent).",
    )
    allow: list[Annotated[str, StringConstraints(pattern=r"^[UW][A-Z0-9]{2,30}$")]] = Field(
        default_factory=list,
        description="Slack member ids (U… or W…, from a profile's menu) that may always write. Names do not work: they "
        "can change hands.",
    )
    rooms: list[Annotated[str, StringConstraints(pattern=r"^[TE][A-Z0-9]{2,30}/[CG][A-Z0-9]{2,30}$")]] = (
        Field(
            default_factory=list,
            description="Channels the bot works in, as workspace/channel (T…/C…, both in a channel's address in a "
            "browser); every channel it is in when empty. Private chats are not rooms in this sense.",
        )
    )

    @model_validator(mode="after")
    def _has_credentials(self) -> Self:
        if (self.bot_token is None) == (self.client_id is None):
            raise ValueError("set either bot_token (one workspace) or client_id (several), not both")
        if self.client_id is not None and (self.client_secret is None or self.public_url is None):
            raise ValueError("client_id needs client_secret and public_url")
        if self.mode == "socket" and self.app_token is None:
            raise ValueError('mode "socket" needs app_token')
        if self.mode == "http" and self.signing_secret is None:
            raise ValueError('mode "http" needs signing_secret')
        return self
