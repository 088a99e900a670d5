"""Files that people send, and a bot that may not read what people write, against the emulator."""

from dataclasses import replace

import pytest
from aiohttp import web
from channel_stage import MemorySink, until
from discord_stage import GATE, MENTION, is_connected, make_adapter, make_emulator

from channels.discord.adapter import DiscordAdapter
from channels.discord.download import Downloads
from channels.emulators.discord import DEFAULT_CHANNEL, DiscordEmulator, FaultKind, Intent, Permission
from channels.errors import Gone, Permanent, TooLarge, Unreachable
from channels.messages import Attachment, Inbound

ROOM = DEFAULT_CHANNEL.id
CDN = "GET /attachments/{c}/{m}/{filename}"


async def connect(adapter: DiscordAdapter, sink: MemorySink) -> None:
    await adapter.start(sink)
    await until(lambda: is_connected(adapter))


async def fetched(adapter: DiscordAdapter, attachment: Attachment, limit_bytes: int = 1 << 20) -> bytes:
    return b"".join([chunk async for chunk in adapter.download(attachment, limit_bytes)])


@pytest.fixture
async def attachment(emulator: DiscordEmulator, adapter: DiscordAdapter, sink: MemorySink) -> Attachment:
    """A file that somebody sent, as the core gets it."""
    await connect(adapter, sink)
    said = emulator.upload("notes.txt", b"n" * 200_000, content=f"{MENTION} read this")
    await until(lambda: f"m:{said.id}" in sink.stored)
    inbound = sink.stored[f"m:{said.id}"]
    assert isinstance(inbound, Inbound)
    (found,) = inbound.attachments
    return found


async def test_a_file_is_told_and_fetched(adapter: DiscordAdapter, attachment: Attachment) -> None:
    assert (attachment.name, attachment.size_bytes) == ("notes.txt", 200_000)
    assert await fetched(adapter, attachment) == b"n" * 200_000


async def test_a_file_beyond_the_callers_limit_is_not_read_to_its_end(
    adapter: DiscordAdapter, attachment: Attachment
) -> None:
    with pytest.raises(TooLarge):
        await fetched(adapter, attachment, limit_bytes=199_999)


async def test_an_address_that_ran_out_is_replaced_by_a_fresh_one(
    emulator: DiscordEmulator, adapter: DiscordAdapter, attachment: Attachment
) -> None:
    old = replace(
        attachment,
        key={**attachment.key, "url": f"{emulator.url}/attachments/1/2/notes.txt?ex=1&is=0&hm=00&"},
    )
    assert await fetched(adapter, old) == b"n" * 200_000


async def test_a_file_whose_message_was_deleted_is_gone_when_its_address_ran_out(
    emulator: DiscordEmulator, adapter: DiscordAdapter, attachment: Attachment
) -> None:
    emulator.delete(ROOM, int(attachment.key["message"]))
    old = replace(attachment, key={**attachment.key, "url": f"{emulator.url}/attachments/1/2/x?ex=1"})
    with pytest.raises(Gone):
        await fetched(adapter, old)


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.discordapp.com.evil.test/attachments/1/2/x",
        "http://cdn.discordapp.com/attachments/1/2/x",
        "https://user@evil.test/x",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
    ],
)
async def test_files_are_read_from_discord_and_from_nowhere_else(adapter: DiscordAdapter, url: str) -> None:
    with pytest.raises(Permanent):
        await fetched(adapter, Attachment({"url": url}, "x"))


async def test_a_redirection_is_not_followed() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=302, headers={"Location": "/internal"})

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    downloads = Downloads(f"http://{host}:{port}/api/v10")
    with pytest.raises(Permanent):
        await anext(downloads.read(f"http://{host}:{port}/attachments/1/2/x", 10))
    assert asked == ["/attachments/1/2/x"]
    await downloads.close()
    await runner.cleanup()


@pytest.mark.parametrize(
    ("kind", "code", "expected"),
    [
        (FaultKind.ERROR, 500, Unreachable),
        (FaultKind.ERROR, 404, Gone),
        (FaultKind.ERROR, 400, Permanent),
    ],
)
async def test_what_a_failed_download_tells(
    emulator: DiscordEmulator,
    adapter: DiscordAdapter,
    attachment: Attachment,
    kind: FaultKind,
    code: int,
    expected: type[Exception],
) -> None:
    emulator.faults.add(kind, CDN, code=code)
    with pytest.raises(expected):
        await fetched(adapter, attachment)


# --- without the message-content intent -----------------------------------------------------------


async def test_without_the_intent_mentions_and_direct_messages_work_and_the_health_says_what_does_not(
    sink: MemorySink,
) -> None:
    async with make_emulator(replace(GATE, message_content=False)) as emulator:
        adapter = make_adapter(emulator)
        await connect(adapter, sink)
        assert any("Message Content" in one for one in adapter.health().missing)
        emulator.say("not for the bot")
        emulator.say(f"{MENTION} hello")
        emulator.say("psst", channel_id=emulator.dm().id)
        await until(lambda: sink.texts == ["", "hello", "psst"])
        await adapter.stop()


async def test_the_intent_is_not_asked_for_when_it_is_not_wanted(
    emulator: DiscordEmulator, sink: MemorySink
) -> None:
    adapter = make_adapter(emulator, message_content=False)
    await connect(adapter, sink)
    (session,) = emulator.sessions()
    assert Intent.MESSAGE_CONTENT not in session.intents
    await adapter.stop()


async def test_missing_rights_are_named_with_what_does_not_work(
    emulator: DiscordEmulator, sink: MemorySink
) -> None:
    guild = next(iter(emulator.world.guilds.values()))
    guild.everyone &= ~(Permission.ADD_REACTIONS | Permission.CREATE_PUBLIC_THREADS)
    adapter = make_adapter(emulator)
    await connect(adapter, sink)
    await until(lambda: len(adapter.health().missing) == 2)
    assert all("Workshop" in one for one in adapter.health().missing)
    said = emulator.say(f"{MENTION} hello")
    await until(lambda: f"m:{said.id}" in sink.stored)
    inbound = sink.stored[f"m:{said.id}"]
    # No thread can be opened, so the answer goes to the channel.
    assert isinstance(inbound, Inbound) and inbound.room.topic is None
    await adapter.stop()


async def test_two_bots_on_two_networks_live_in_one_process(sink: MemorySink) -> None:
    other_sink = MemorySink()
    async with make_emulator() as one, make_emulator() as other:
        first, second = make_adapter(one), make_adapter(other)
        await connect(first, sink)
        await connect(second, other_sink)
        one.say("here")
        other.say("there")
        await until(lambda: (sink.texts, other_sink.texts) == (["here"], ["there"]))
        await first.stop()
        await second.stop()
