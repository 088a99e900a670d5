"""Installing an app in a second workspace: the redirect, the code, the token."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import ClientSession
from slack_emulator_stage import CALM, client_of, code_of
from slack_sdk.errors import SlackApiError

from channels.emulators.slack import AppAccount, SlackEmulator, Workspace

# The library still uses a class that its HTTP client is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")

APP = AppAccount()
BACK = "https://gate.example/slack/oauth_redirect"
SECOND = Workspace("T0000000002", "Umbrella", "umbrella")


@pytest.fixture
def emulator() -> SlackEmulator:
    return SlackEmulator([APP], [Workspace(), SECOND], timing=CALM)


async def sent_back(emulator: SlackEmulator, http: ClientSession, **more: str) -> dict[str, Any]:
    """What the redirect carries to the app."""
    query = {"client_id": APP.client_id, "scope": "chat:write", "state": "s1", "redirect_uri": BACK, **more}
    async with http.get(emulator.authorize_url, params=query, allow_redirects=False) as response:
        assert response.status == 302
        address = urlsplit(response.headers["Location"])
    assert f"{address.scheme}://{address.netloc}{address.path}" == BACK
    return {name: values[0] for name, values in parse_qs(address.query).items()}


async def test_an_app_is_installed_where_it_is_not_yet(emulator: SlackEmulator, http: ClientSession) -> None:
    async with emulator:
        back = await sent_back(emulator, http)
        answer = await client_of(emulator, "").oauth_v2_access(
            client_id=APP.client_id, client_secret=APP.client_secret, code=back["code"], redirect_uri=BACK
        )
        who = await client_of(emulator, answer["access_token"]).auth_test()

    assert back["state"] == "s1"
    assert (answer["team"]["id"], answer["scope"], who["team_id"]) == (SECOND.id, "chat:write", SECOND.id)
    assert who["user_id"] == answer["bot_user_id"] != emulator.bot(team_id="T0000000001").user_id


async def test_workspaces_do_not_see_each_other(emulator: SlackEmulator, http: ClientSession) -> None:
    async with emulator:
        back = await sent_back(emulator, http)
        answer = await client_of(emulator, "").oauth_v2_access(
            client_id=APP.client_id, client_secret=APP.client_secret, code=back["code"]
        )
        second = client_of(emulator, answer["access_token"])
        first_channel = emulator.open_channel("general", team_id="T0000000001")
        emulator.open_channel("general", team_id=SECOND.id)

        with pytest.raises(SlackApiError) as hidden:
            await second.chat_postMessage(channel=first_channel, text="x")
        emulator.say("hello", team_id=SECOND.id)

    assert code_of(hidden.value) == "channel_not_found"
    assert [one.payload["team_id"] for one in emulator.undelivered()] == []  # the new token has no im:history


async def test_a_code_is_exchanged_once_with_the_right_secret(
    emulator: SlackEmulator, http: ClientSession
) -> None:
    async with emulator:
        back = await sent_back(emulator, http, team=SECOND.id)
        client = client_of(emulator, "")
        good = {"client_id": APP.client_id, "client_secret": APP.client_secret, "code": back["code"]}
        wrongs = [
            ({"client_id": "1.2"}, "invalid_client_id"),
            ({"client_secret": "wrong"}, "bad_client_secret"),
            ({"code": "wrong"}, "invalid_code"),
            ({"redirect_uri": "https://evil.example/"}, "bad_redirect_uri"),
        ]
        for wrong, code in wrongs:
            with pytest.raises(SlackApiError) as refused:
                await client.oauth_v2_access(**{**good, **wrong})
            assert code_of(refused.value) == code
        assert (await client.oauth_v2_access(**good))["token_type"] == "bot"
        with pytest.raises(SlackApiError) as twice:
            await client.oauth_v2_access(**good)

    assert code_of(twice.value) == "invalid_code"


async def test_somebody_may_say_no(emulator: SlackEmulator, http: ClientSession) -> None:
    async with emulator:
        emulator.deny_installations()
        assert await sent_back(emulator, http) == {"error": "access_denied", "state": "s1"}
        assert "code" in await sent_back(emulator, http)


async def test_an_unknown_app_is_nobody_to_install(emulator: SlackEmulator, http: ClientSession) -> None:
    async with emulator:
        query = {"client_id": "1.2", "redirect_uri": BACK}
        async with http.get(emulator.authorize_url, params=query, allow_redirects=False) as response:
            assert response.status == 400


async def test_installing_again_after_an_uninstall_gives_a_new_token(
    emulator: SlackEmulator, http: ClientSession
) -> None:
    async with emulator:
        before = emulator.bot(team_id="T0000000001")
        old_token, user_id = before.token, before.user_id
        emulator.uninstall(team_id="T0000000001")
        back = await sent_back(emulator, http, team="T0000000001")
        answer = await client_of(emulator, "").oauth_v2_access(
            client_id=APP.client_id, client_secret=APP.client_secret, code=back["code"]
        )
        with pytest.raises(SlackApiError) as retired:
            await client_of(emulator, old_token).auth_test()

    assert (answer["bot_user_id"], answer["access_token"] != old_token) == (user_id, True)
    assert code_of(retired.value) == "account_inactive"
