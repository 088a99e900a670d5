"""Every emulator alone has the page at `/`; it loads nothing from elsewhere and never parses what people say."""

import re
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from channels.emulators.discord import BotAccount as DiscordBot
from channels.emulators.discord import DiscordEmulator
from channels.emulators.slack import SlackEmulator
from channels.emulators.telegram import BotAccount as TelegramBot
from channels.emulators.telegram import TelegramEmulator

# What turns text into markup or code.
SINKS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc|DOMParser"
)
KINDS = ("slack", "telegram", "discord")


def emulator_of(kind: str) -> SlackEmulator | TelegramEmulator | DiscordEmulator:
    if kind == "slack":
        return SlackEmulator()
    if kind == "telegram":
        return TelegramEmulator([TelegramBot(token="42:secret", id=42, username="gate_bot")])
    return DiscordEmulator([DiscordBot(token="secret", id=940_000_000_000_000_001, username="gate")])


@pytest.fixture(params=KINDS)
async def page(request: pytest.FixtureRequest) -> AsyncIterator[tuple[str, str]]:
    """The kind of a network, and where its emulator runs."""
    async with emulator_of(request.param) as emulator:
        yield request.param, emulator.url


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


async def test_it_knows_its_one_network(page: tuple[str, str], http: ClientSession) -> None:
    kind, url = page
    async with http.get(f"{url}/page/settings.json") as answer:
        settings = await answer.json()
    assert settings == {"networks": [{"kind": kind, "control": "/control"}], "events": "/control/events"}
    async with http.get(f"{url}/control/bots") as answer:
        assert len(await answer.json()) == 1


async def test_the_page_is_strict_about_what_it_loads(page: tuple[str, str], http: ClientSession) -> None:
    async with http.get(f"{page[1]}/") as answer:
        policy = answer.headers["Content-Security-Policy"]
        text = await answer.text()
    assert "unsafe" not in policy and "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert not re.search(r"<script>|<style|\son\w+=|style=|https?://", text)


async def test_all_of_it_is_there_and_builds_nothing_out_of_text(
    page: tuple[str, str], http: ClientSession
) -> None:
    waiting, seen = ["/"], set[str]()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        async with http.get(f"{page[1]}{path}") as answer:
            assert answer.status == 200, path
            text = await answer.text()
        assert not SINKS.search(text), path
        found = re.findall(r'(?:src=|href=|from )"(/[^"]+)"', text)
        waiting += [one for one in found if one not in seen and one not in waiting]
    assert {"/page/main.js", "/page/page.css", *(f"/page/{kind}.js" for kind in KINDS)} <= seen


@pytest.mark.parametrize("name", ["__init__.py", "..%2fcontrol.py", "nothing.js", "__pycache__"])
async def test_nothing_else_of_the_folder_is_served(
    page: tuple[str, str], http: ClientSession, name: str
) -> None:
    async with http.get(f"{page[1]}/page/{name}") as answer:
        assert answer.status == 404
