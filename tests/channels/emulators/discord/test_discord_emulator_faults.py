"""What goes wrong on purpose: scripted faults of calls, and rate limits."""

import aiohttp
import discord
import pytest
from aiohttp import ClientSession
from discord_emulator_cast import GATE, GENERAL, GUILD, RANDOM, Api, Clock, Watcher

from channels.emulators.discord import DiscordEmulator, RateLimits

SEND = "POST /channels/{c}/messages"


def texts(emulator: DiscordEmulator) -> list[str]:
    return [message.content for message in emulator.messages()]


async def test_commit_then_drop_leaves_the_message_and_the_nonce_finds_it(
    client: Watcher, emulator: DiscordEmulator
) -> None:
    emulator.faults.add("commit_then_drop", SEND)
    with pytest.raises(aiohttp.ClientError):
        await client.channel().send("there", nonce="n")
    assert texts(emulator) == ["there"]
    again = await client.channel().send("there", nonce="n")
    assert again.id == emulator.messages()[0].id and len(emulator.messages()) == 1


@pytest.mark.parametrize("kind", ["drop", "refuse"])
async def test_a_cut_before_the_effect_leaves_nothing(
    client: Watcher, emulator: DiscordEmulator, kind: str
) -> None:
    emulator.faults.add(kind, SEND)
    with pytest.raises((aiohttp.ClientError, OSError)):
        await client.channel().send("gone")
    assert texts(emulator) == []


async def test_a_429_has_no_effect_and_is_waited_out(client: Watcher, emulator: DiscordEmulator) -> None:
    emulator.faults.add("429", SEND, retry_after_s=1)
    await client.channel().send("there")
    assert texts(emulator) == ["there"]
    assert [call.status for call in emulator.calls.select(SEND)] == [429, 200]


async def test_a_long_429_is_an_error_for_who_asked_for_that(
    client: Watcher, emulator: DiscordEmulator
) -> None:
    client.http.max_ratelimit_timeout = 30.0
    emulator.faults.add("429", SEND, retry_after_s=60)
    with pytest.raises(discord.RateLimited) as refused:
        await client.channel().send("gone")
    assert refused.value.retry_after == 60


async def test_a_scripted_error_may_name_its_code(client: Watcher, emulator: DiscordEmulator) -> None:
    emulator.faults.add("error", SEND, code=403, description="50013: Missing Permissions")
    with pytest.raises(discord.Forbidden) as refused:
        await client.channel().send("gone")
    assert (refused.value.code, refused.value.text) == (50013, "Missing Permissions")
    assert texts(emulator) == []


async def test_a_slow_answer_comes_too_late(api: Api, emulator: DiscordEmulator) -> None:
    emulator.faults.add("slow", SEND, delay_s=30)
    url = f"{emulator.api_base_url}/channels/{GENERAL}/messages"
    with pytest.raises(TimeoutError):
        await api.session.post(
            url,
            json={"content": "there"},
            headers={"Authorization": f"Bot {GATE.token}"},
            timeout=aiohttp.ClientTimeout(total=0.1),
        )
    assert texts(emulator) == ["there"]


async def test_attachments_fail_too(client: Watcher, emulator: DiscordEmulator) -> None:
    emulator.upload("a.txt", b"hello")
    (heard,) = await client.heard("")
    emulator.faults.add("error", "GET /attachments/{c}/{m}/{filename}", code=503)
    with pytest.raises(discord.HTTPException):
        await heard.attachments[0].read()
    assert await heard.attachments[0].read() == b"hello"


async def test_answers_carry_the_headers_that_libraries_read(api: Api) -> None:
    await api.send(content="hello")
    assert api.headers["Content-Type"] == "application/json"
    assert api.headers["X-RateLimit-Limit"] and api.headers["X-RateLimit-Bucket"] and api.headers["Via"]


async def test_rooms_have_limits_of_their_own(http: ClientSession, clock: Clock) -> None:
    async with DiscordEmulator([GATE], [GUILD], clock=clock) as emulator:
        api = Api(emulator, http)
        for number in range(5):
            assert (await api.send(content=str(number)))[0] == 200
        assert api.headers["X-RateLimit-Remaining"] == "0"
        status, answer = await api.send(content="too much")
        assert (status, answer["global"], answer["retry_after"]) == (429, False, 5.0)
        assert api.headers["Retry-After"] == "5.0" and api.headers["X-RateLimit-Scope"] == "user"
        assert (await api.send(RANDOM, content="elsewhere"))[0] == 200
        clock.now += 5
        assert (await api.send(content="later"))[0] == 200
        assert len(emulator.messages()) == 6


async def test_a_bot_has_a_limit_for_everything(http: ClientSession, clock: Clock) -> None:
    limits = RateLimits(sends=None, others=None, total_per_s=3)
    async with DiscordEmulator([GATE], [GUILD], clock=clock, rate_limits=limits) as emulator:
        api = Api(emulator, http)
        for _ in range(3):
            assert (await api.call("GET", "/users/@me"))[0] == 200
        status, answer = await api.send(content="x")
        assert (status, answer["global"]) == (429, True)
        assert api.headers["X-RateLimit-Global"] == "true"
