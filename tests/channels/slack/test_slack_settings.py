"""What may be set for a Slack app, and what is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from channels.slack.settings import SlackSettings

SOCKET = {"kind": "slack", "account": "acme", "bot_token": "xoxb-secret", "app_token": "xapp-secret"}
HTTP = {
    "kind": "slack",
    "account": "acme",
    "mode": "http",
    "bot_token": "xoxb-secret",
    "signing_secret": "secret",
}
SEVERAL = {
    "kind": "slack",
    "account": "acme",
    "app_token": "xapp-secret",
    "client_id": "1.2",
    "client_secret": "secret",
    "public_url": "https://gate.example.org",
}


@pytest.mark.parametrize("values", [SOCKET, HTTP, SEVERAL])
def test_the_least_one_must_say(values: dict[str, Any]) -> None:
    settings = SlackSettings.model_validate(values)
    assert settings.api_base_url == "https://slack.com/api"
    assert (settings.experience, settings.dm_policy, settings.prompts) == ("agent", "pairing", [])


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({**SOCKET, "bot_token": None}, "either bot_token"),
        ({**SEVERAL, "bot_token": "xoxb-secret"}, "either bot_token"),
        ({**SOCKET, "app_token": None}, "needs app_token"),
        ({**HTTP, "signing_secret": None}, "needs signing_secret"),
        ({**SEVERAL, "client_secret": None}, "needs client_secret"),
        ({**SEVERAL, "public_url": None}, "public_url"),
        ({**SOCKET, "mode": "rtm"}, "mode"),
        ({**SOCKET, "bot_token": ""}, "bot_token"),
        ({**SOCKET, "allow": ["ada"]}, "allow"),
        ({**SOCKET, "rooms": ["general"]}, "rooms"),
        ({**SOCKET, "rooms": ["C0123"]}, "rooms"),
        ({**SOCKET, "prompts": [{"title": "x", "message": "y"}] * 5}, "prompts"),
        ({**SOCKET, "prompts": [{"title": "", "message": "y"}]}, "prompts"),
        ({**SOCKET, "experience": "x"}, "experience"),
        ({**SOCKET, "tokn": "x"}, "tokn"),
    ],
)
def test_what_makes_no_sense_is_refused(values: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        SlackSettings.model_validate(values)


def test_people_and_rooms_are_named_by_their_ids() -> None:
    settings = SlackSettings.model_validate(
        {**SOCKET, "allow": ["U0ADA", "W0BOB"], "rooms": ["T01/C02", "T01/G03"]}
    )
    assert settings.rooms == ["T01/C02", "T01/G03"]


@pytest.mark.parametrize("values", [SOCKET, HTTP, SEVERAL])
def test_no_secret_is_shown(values: dict[str, Any]) -> None:
    settings = SlackSettings.model_validate(values)
    assert "secret" not in (repr(settings) + settings.model_dump_json()).replace("_secret", "")


def test_every_setting_is_described() -> None:
    assert [name for name, field in SlackSettings.model_fields.items() if not field.description] == []
