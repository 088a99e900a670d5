"""The gateway: cuts and resumes with the unmodified library, the handshake's rules on plain sockets."""

import discord
import pytest
from aiohttp import ClientSession, WSServerHandshakeError
from discord_emulator_cast import (
    ADA,
    ALL_INTENTS,
    GATE,
    GENERAL,
    RANDOM,
    SHY,
    WORKSHOP,
    Api,
    Clock,
    Connect,
    Watcher,
    Wire,
    until,
)

from channels.emulators.discord import (
    BotAccount,
    ControlError,
    DiscordEmulator,
    Intent,
    Permission,
    User,
)
from channels.emulators.discord.handshake import SENDS_MAX
from channels.emulators.discord.sessions import REPLAY_MAX, SESSION_LIFE_S, Session, Sessions


async def test_what_was_missed_in_a_cut_is_replayed(client: Watcher, emulator: DiscordEmulator) -> None:
    assert emulator.gateway.cut() == 1
    emulator.say("missed")
    emulator.say("as well")
    await client.told("resumed")
    emulator.say("fresh")
    await client.heard("missed", "as well", "fresh")
    assert emulator.gateway.upgrade_count == 2
    assert client.names() == ["ready", "resumed"]


@pytest.mark.parametrize("code", [4000, 4001, 4008])
async def test_after_most_close_codes_the_session_goes_on(
    client: Watcher, emulator: DiscordEmulator, code: int
) -> None:
    (session,) = emulator.sessions()
    emulator.gateway.close(code)
    emulator.say("missed")
    await client.told("resumed")
    await client.heard("missed")
    assert emulator.sessions() == [session]


@pytest.mark.parametrize("code", [4007, 4009])
async def test_after_some_close_codes_it_begins_again(
    client: Watcher, emulator: DiscordEmulator, code: int
) -> None:
    emulator.gateway.close(code)
    emulator.say("lost")
    await until(lambda: client.names().count("ready") == 2)
    emulator.say("fresh")
    await client.heard("fresh")


async def test_the_library_reconnects_when_asked_to(client: Watcher, emulator: DiscordEmulator) -> None:
    assert emulator.gateway.ask_to_reconnect() == 1
    emulator.say("missed")
    await client.told("resumed")
    await client.heard("missed")


async def test_an_invalid_session_is_resumed_when_it_may(client: Watcher, emulator: DiscordEmulator) -> None:
    assert emulator.gateway.invalidate(resumable=True) == 1
    await client.told("resumed")


async def test_an_invalid_session_is_over_when_it_may_not(client: Watcher, emulator: DiscordEmulator) -> None:
    (before,) = emulator.sessions()
    assert emulator.gateway.invalidate(resumable=False) == 1
    await until(lambda: client.names().count("ready") == 2)
    (after,) = emulator.sessions()
    assert after.id != before.id


async def test_a_revoked_token_ends_the_client(connect: Connect, emulator: DiscordEmulator, api: Api) -> None:
    client = await connect()
    emulator.moderation.revoke_token()
    await until(client.is_closed)
    assert (await api.call("GET", "/users/@me"))[0] == 401
    assert emulator.sessions() == []
    emulator.moderation.restore_token()
    assert (await api.call("GET", "/users/@me"))[0] == 200


async def test_events_are_held_back_and_released_out_of_order(
    client: Watcher, emulator: DiscordEmulator
) -> None:
    emulator.gateway.hold()
    for text in ("one", "two", "three"):
        emulator.say(text)
    assert emulator.gateway.held() == ["MESSAGE_CREATE"] * 3
    with pytest.raises(ControlError):
        emulator.gateway.release([0, 1])
    assert client.messages == []
    assert emulator.gateway.release([2, 0, 1]) == 3
    emulator.say("four")
    await client.heard("three", "one", "two", "four")


async def test_events_are_lost_without_a_trace(client: Watcher, emulator: DiscordEmulator) -> None:
    emulator.gateway.lose(2, "MESSAGE_CREATE")
    emulator.say("lost")
    emulator.type_in(GENERAL)
    emulator.say("lost too")
    emulator.gateway.cut()
    await client.told("resumed")
    emulator.say("there")
    await client.heard("there")
    assert ("typing", ADA.id) in client.events
    assert [message.content async for message in client.channel().history()] == ["there", "lost too", "lost"]


async def test_an_event_is_told_twice(client: Watcher, emulator: DiscordEmulator) -> None:
    emulator.say("once")
    emulator.type_in(GENERAL)
    assert emulator.gateway.redeliver("MESSAGE_CREATE") == "MESSAGE_CREATE"
    first, second = await client.heard("once", "once")
    assert first.id == second.id
    with pytest.raises(ControlError):
        emulator.gateway.redeliver("THREAD_CREATE")


async def test_stopping_and_starting_again_keeps_the_session(
    client: Watcher, emulator: DiscordEmulator
) -> None:
    port = int(emulator.url.rpartition(":")[2])
    await emulator.stop()
    emulator.say("meanwhile")
    await emulator.start(port=port)
    await client.told("resumed")
    await client.heard("meanwhile")


async def test_ready_says_what_the_library_does_not_show(
    emulator: DiscordEmulator, http: ClientSession
) -> None:
    wire = await Wire.open(http, emulator)
    ready = await wire.ready()
    assert ready["guilds"] == [{"id": str(WORKSHOP), "unavailable": True}]
    assert ready["resume_gateway_url"] == f"{emulator.gateway_url}resume"
    assert ready["application"] == {"id": str(GATE.id), "flags": 1 << 19}
    await wire.socket.close()


async def test_frames_can_be_compressed(emulator: DiscordEmulator, http: ClientSession) -> None:
    wire = await Wire.open(http, emulator, "v=10&encoding=json&compress=zlib-stream")
    await wire.ready()
    emulator.say("hello")
    assert (await wire.next())["d"]["content"] == "hello"
    await wire.socket.close()


REFUSED = [
    ({"token": "wrong", "intents": 0}, 4004),
    ({"token": GATE.token, "intents": 1 << 17}, 4013),
    ({"token": GATE.token}, 4013),
    ({"token": GATE.token, "intents": int(Intent.GUILD_MEMBERS)}, 4014),
    ({"token": SHY.token, "intents": int(Intent.MESSAGE_CONTENT)}, 4014),
    ({"token": GATE.token, "intents": 0, "shard": [0, 2]}, 4010),
    ("nonsense", 4002),
]


@pytest.mark.parametrize(("data", "code"), REFUSED)
async def test_an_identify_that_is_refused(
    emulator: DiscordEmulator, http: ClientSession, data: object, code: int
) -> None:
    wire = await Wire.open(http, emulator)
    assert (await wire.next())["op"] == 10
    await wire.send(2, data)
    assert await wire.next() == {"closed": code}


@pytest.mark.parametrize(("query", "code"), [("v=9", 4012), ("v=10&encoding=etf", 4002)])
async def test_other_versions_and_encodings_are_not_spoken(
    emulator: DiscordEmulator, http: ClientSession, query: str, code: int
) -> None:
    wire = await Wire.open(http, emulator, query)
    assert await wire.next() == {"closed": code}


@pytest.mark.parametrize(("op", "code"), [(3, 4003), (2, 4005), (77, 4001)])
async def test_frames_at_the_wrong_time(
    emulator: DiscordEmulator, http: ClientSession, op: int, code: int
) -> None:
    wire = await Wire.open(http, emulator)
    if code == 4003:
        assert (await wire.next())["op"] == 10
    else:
        await wire.ready()
    await wire.send(op, {"token": GATE.token, "intents": 0})
    assert await wire.next() == {"closed": code}


async def test_frames_that_are_too_large_or_too_many(emulator: DiscordEmulator, http: ClientSession) -> None:
    large = await Wire.open(http, emulator)
    await large.ready()
    await large.send(3, {"status": "x" * 4096})
    assert await large.next() == {"closed": 4002}
    chatty = await Wire.open(http, emulator)
    await chatty.ready()
    for _ in range(SENDS_MAX):
        await chatty.send(3, {})
    assert await chatty.next() == {"closed": 4008}


async def test_heartbeats_are_answered_and_missed(http: ClientSession) -> None:
    async with DiscordEmulator([GATE], heartbeat_interval_s=0.1) as emulator:
        wire = await Wire.open(http, emulator)
        assert (await wire.next())["d"] == {"heartbeat_interval": 100}
        await wire.send(1, None)
        assert (await wire.next())["op"] == 11
        await wire.send(2, {"token": GATE.token, "intents": 1})
        assert (await wire.next())["t"] == "READY"
        assert (await wire.next())["t"] == "GUILD_CREATE"
        assert await wire.next() == {"closed": 4009}
        assert emulator.sessions() == []


async def test_a_goodbye_ends_the_session_and_a_cut_does_not(
    emulator: DiscordEmulator, http: ClientSession, clock: Clock
) -> None:
    for code, left in ((1000, 0), (4000, 1)):
        wire = await Wire.open(http, emulator)
        await wire.ready()
        await wire.socket.close(code=code)
        await until(lambda: not any(one.sink for one in emulator.sessions()))
        assert len(emulator.sessions()) == left


async def resume(http: ClientSession, emulator: DiscordEmulator, session_id: str, seq: object) -> Wire:
    wire = await Wire.open(http, emulator)
    assert (await wire.next())["op"] == 10
    await wire.send(6, {"token": GATE.token, "session_id": session_id, "seq": seq})
    return wire


async def test_resuming_replays_in_order_and_then_says_so(
    emulator: DiscordEmulator, http: ClientSession
) -> None:
    wire = await Wire.open(http, emulator)
    session_id = (await wire.ready())["session_id"]
    await wire.socket.close(code=4000)
    emulator.say("one")
    emulator.say("two")
    again = await resume(http, emulator, session_id, 2)
    frames = [await again.next() for _ in range(3)]
    assert [(one["t"], one["s"]) for one in frames] == [
        ("MESSAGE_CREATE", 3),
        ("MESSAGE_CREATE", 4),
        ("RESUMED", 5),
    ]
    await again.socket.close()


async def test_who_was_replaced_ends_nothing(emulator: DiscordEmulator, http: ClientSession) -> None:
    first = await Wire.open(http, emulator)
    session_id = (await first.ready())["session_id"]
    second = await resume(http, emulator, session_id, 2)
    assert (await second.next())["t"] == "RESUMED"
    await first.socket.close(code=1000)
    emulator.say("hello")
    assert (await second.next())["d"]["content"] == "hello"
    await second.socket.close()


async def test_resumes_that_cannot_be(emulator: DiscordEmulator, http: ClientSession, clock: Clock) -> None:
    unknown = await resume(http, emulator, "nobody", 1)
    assert await unknown.next() == {"op": 9, "d": False, "s": None, "t": None}
    wire = await Wire.open(http, emulator)
    session_id = (await wire.ready())["session_id"]
    await wire.socket.close(code=4000)
    await until(lambda: not emulator.sessions()[0].sink)
    clock.now += SESSION_LIFE_S + 1
    late = await resume(http, emulator, session_id, 2)
    assert (await late.next())["op"] == 9
    other = await Wire.open(http, emulator)
    session_id = (await other.ready())["session_id"]
    ahead = await resume(http, emulator, session_id, 99)
    assert await ahead.next() == {"closed": 4007}
    for one in (unknown, late, other):
        await one.socket.close()


def test_a_replay_that_forgot_something_is_no_replay(emulator: DiscordEmulator) -> None:
    session = Session("s", emulator.world.bot_named(None), Intent.GUILDS)
    for number in range(REPLAY_MAX + 10):
        session.emit("TYPING_START", {"n": number})
    assert session.after(9) is None
    kept = session.after(10)
    assert kept is not None and len(kept) == REPLAY_MAX
    assert session.after(session.seq) == []


def test_who_is_gone_for_long_gets_nothing_more(emulator: DiscordEmulator, clock: Clock) -> None:
    sessions = Sessions(clock)
    session = sessions.open(emulator.world.bot_named(None), Intent(ALL_INTENTS), sink := lambda frame: None)
    sessions.leave(session, sink)
    clock.now += SESSION_LIFE_S + 1
    assert sessions.find(session.id) is None
    assert sessions.of(session.bot) == []


async def test_upgrades_are_refused(emulator: DiscordEmulator, http: ClientSession) -> None:
    emulator.gateway.refuse_upgrades(1)
    with pytest.raises(WSServerHandshakeError) as refused:
        await Wire.open(http, emulator)
    assert refused.value.status == 503
    wire = await Wire.open(http, emulator)
    await wire.ready()
    await wire.socket.close()


async def test_sessions_get_only_what_they_asked_for(emulator: DiscordEmulator, http: ClientSession) -> None:
    wire = await Wire.open(http, emulator)
    await wire.ready(intents=int(Intent.GUILDS | Intent.DIRECT_MESSAGES))
    emulator.say("in the guild")
    emulator.say("in private", channel_id=emulator.dm(ADA).id)
    frame = await wire.next()
    # Without the content intent, too: direct messages are always readable.
    assert (frame["t"], frame["d"]["content"]) == ("MESSAGE_CREATE", "in private")
    await wire.socket.close()


async def test_rooms_out_of_sight_are_silent(client: Watcher, emulator: DiscordEmulator) -> None:
    thread = emulator.start_thread("old", channel_id=RANDOM)
    await client.told("thread_create", thread.id)
    emulator.moderation.set_permissions(RANDOM, deny=Permission.VIEW_CHANNEL)
    await client.told("channel_update", "random")
    emulator.say("secret", channel_id=RANDOM)
    emulator.say("public")
    new = emulator.start_thread("new", channel_id=RANDOM)
    emulator.moderation.set_permissions(RANDOM)
    # Sight comes back with the threads that were opened meanwhile.
    await client.told("thread_join", new.id)
    assert [message.content for message in client.messages] == ["old", "public"]
    assert client.channel(RANDOM).permissions_for(client.guilds[0].me).view_channel


async def test_members_are_listed_on_request(http: ClientSession) -> None:
    curious = BotAccount("curious", 940_000_000_000_000_009, "curious", guild_members=True)
    async with DiscordEmulator([curious]) as emulator:
        wire = await Wire.open(http, emulator)
        await wire.ready(curious, int(Intent.GUILDS | Intent.GUILD_MEMBERS))
        guild_id = str(next(iter(emulator.world.guilds)))
        await wire.send(8, {"guild_id": guild_id, "query": "", "limit": 0, "nonce": "n"})
        chunk = await wire.next()
        assert (chunk["t"], chunk["d"]["nonce"]) == ("GUILD_MEMBERS_CHUNK", "n")
        assert {one["user"]["username"] for one in chunk["d"]["members"]} == {"ada", "curious"}
        emulator.say("hello", user=User(7, "eve"))
        joined = await wire.next()
        assert (joined["t"], joined["d"]["user"]["id"]) == ("GUILD_MEMBER_ADD", "7")
        await wire.socket.close()


async def test_an_outage_is_not_a_farewell(client: Watcher, emulator: DiscordEmulator) -> None:
    emulator.moderation.tell_outage(WORKSHOP)
    await until(lambda: client.guilds[0].unavailable)
    emulator.moderation.tell_outage(WORKSHOP, is_over=True)
    await until(lambda: not client.guilds[0].unavailable)
    assert "guild_remove" not in client.names()
    assert isinstance(client.get_channel(GENERAL), discord.TextChannel)
