"""Several workspaces: people install the app by themselves, each is answered with its own token, and may leave."""

from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from channel_stage import MemorySink, MemoryVault, until
from slack_sdk.oauth.installation_store.models.bot import Bot
from slack_stage import APP, TEAM, is_connected, make_adapter, make_emulator

from channels.emulators.slack import SlackEmulator, Workspace
from channels.errors import AuthLost
from channels.messages import HttpRequest, HttpResponse, Inbound, Operation, Rendered, RoomRef
from channels.slack.adapter import SlackAdapter
from channels.slack.installs import STATE_LIFE_S, SignedStates, VaultInstallationStore

SECOND = "T0000000002"
# The library still uses a class that its HTTP client is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")
OAUTH = {
    "bot_token": None,
    "client_id": APP.client_id,
    "client_secret": APP.client_secret,
    "public_url": "https://gate.example.org",
}


@pytest.fixture
async def emulator() -> AsyncIterator[SlackEmulator]:
    teams = [Workspace(), Workspace(SECOND, "Umbrella", "umbrella")]
    async with make_emulator(workspaces=teams, installed=[]) as running:
        yield running


@pytest.fixture
def vault() -> MemoryVault:
    return MemoryVault()


@pytest.fixture
async def adapter(
    emulator: SlackEmulator, vault: MemoryVault, sink: MemorySink
) -> AsyncIterator[SlackAdapter]:
    made = make_adapter(emulator, vault, **OAUTH)
    await made.start(sink)
    await until(lambda: is_connected(made))
    yield made
    await made.stop()


def get(path: str, query: dict[str, str] | None = None, cookie: str = "") -> HttpRequest:
    return HttpRequest("GET", path, {"cookie": cookie} if cookie else {}, query or {}, b"")


async def agreed(adapter: SlackAdapter, **more: str) -> tuple[dict[str, str], str]:
    """A person opens the page, is sent to Slack and agrees: what the browser brings back."""
    begun = await adapter.receive(get("install", more))
    assert begun.status == 302
    cookie = begun.headers["set-cookie"].partition(";")[0]
    async with (
        aiohttp.ClientSession() as browser,
        browser.get(begun.headers["location"], allow_redirects=False) as there,
    ):
        back = urlsplit(there.headers["Location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == (
        "https://gate.example.org/hooks/slack/acme/oauth_redirect"
    )
    return {name: values[0] for name, values in parse_qs(back.query).items()}, cookie


async def install(adapter: SlackAdapter, **more: str) -> HttpResponse:
    query, cookie = await agreed(adapter, **more)
    return await adapter.receive(get("oauth_redirect", query, cookie))


async def test_each_workspace_is_answered_with_its_own_token(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink, vault: MemoryVault
) -> None:
    assert (await install(adapter, team=TEAM)).status == 200
    assert (await install(adapter, team=SECOND)).status == 200
    assert await vault.keys() == [f"install:{TEAM}", f"install:{SECOND}"]
    for team in (TEAM, SECOND):
        emulator.say(f"hello from {team}", team_id=team)
        await until(lambda team=team: f"hello from {team}" in sink.texts)  # type: ignore[misc]
    for inbound in [one for one in sink.stored.values() if isinstance(one, Inbound)]:
        await adapter.send(Operation(inbound.delivery_id, 1), inbound.room, Rendered("hi"))
        channel = inbound.room.room.partition("/")[2]
        assert [one.text for one in emulator.messages(channel) if one.bot] == ["hi"]


async def test_tokens_outlive_a_restart(
    emulator: SlackEmulator, adapter: SlackAdapter, vault: MemoryVault
) -> None:
    await install(adapter, team=TEAM)
    channel = emulator.open_channel("general", team_id=TEAM)
    other = make_adapter(emulator, vault, **OAUTH)
    await other.send(Operation("dlv_1", 1), RoomRef(f"{TEAM}/{channel}"), Rendered("hi"))
    await other.probe()
    assert len(emulator.messages(channel)) == 1
    await other.stop()


async def test_a_state_is_good_once_and_only_in_the_browser_that_began(
    adapter: SlackAdapter, vault: MemoryVault
) -> None:
    query, cookie = await agreed(adapter)
    assert (await adapter.receive(get("oauth_redirect", query))).status == 400
    assert (await adapter.receive(get("oauth_redirect", {**query, "state": "forged"}, cookie))).status == 400
    forged = "slack-app-oauth-state=forged.9999999999.0"
    answered = await adapter.receive(get("oauth_redirect", {**query, "state": "forged.9999999999.0"}, forged))
    assert answered.status == 401
    assert await vault.keys() == []
    assert (await adapter.receive(get("oauth_redirect", query, cookie))).status == 200
    assert (await adapter.receive(get("oauth_redirect", query, cookie))).status == 401


async def test_no_is_an_answer(emulator: SlackEmulator, adapter: SlackAdapter, vault: MemoryVault) -> None:
    emulator.deny_installations()
    answered = await install(adapter)
    assert answered.status == 200 and b"access_denied" in answered.body
    assert await vault.keys() == []


async def test_pages_are_not_framed_nor_kept(adapter: SlackAdapter) -> None:
    answered = await install(adapter)
    assert answered.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in answered.headers["content-security-policy"]


async def test_a_workspace_that_leaves_is_forgotten(
    emulator: SlackEmulator, adapter: SlackAdapter, vault: MemoryVault
) -> None:
    await install(adapter, team=TEAM)
    await install(adapter, team=SECOND)
    channel = emulator.open_channel("general", team_id=TEAM)
    emulator.uninstall(team_id=TEAM)
    await until(lambda: f"install:{TEAM}" not in vault.values)
    with pytest.raises(AuthLost, match=TEAM):
        await adapter.send(Operation("dlv_1", 1), RoomRef(f"{TEAM}/{channel}"), Rendered("hi"))
    assert await vault.keys() == [f"install:{SECOND}"]


async def test_states_end() -> None:
    now = [1000.0]
    states = SignedStates("secret", lambda: now[0])
    state = await states.async_issue()
    now[0] += STATE_LIFE_S + 1
    assert not await states.async_consume(state)
    fresh = await states.async_issue()
    assert not await SignedStates("other", lambda: now[0]).async_consume(fresh)
    assert await states.async_consume(fresh)
    assert not await states.async_consume("")


async def test_a_bot_is_the_same_after_the_vault(vault: MemoryVault) -> None:
    bot = Bot(
        app_id="A1",
        team_id="T1",
        bot_token="xoxb-1",
        bot_id="B1",
        bot_user_id="U1",
        bot_scopes=["chat:write"],
        bot_refresh_token="xoxe-1",
        bot_token_expires_at=1_800_000_000,
        installed_at=1_700_000_000.5,
    )
    await VaultInstallationStore(vault).async_save_bot(bot)
    found = await VaultInstallationStore(vault).async_find_bot(enterprise_id=None, team_id="T1")
    assert found is not None and found.to_dict() == bot.to_dict()
    assert await VaultInstallationStore(vault).teams() == ["T1"]
