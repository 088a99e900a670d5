"""Reading back, threads, the message-content intent, commands: what bots get to see and may change."""

from typing import Any

import pytest
from discord_emulator_cast import ADA, GATE, GENERAL, RANDOM, SHY, WORKSHOP, Api, Clock, Connect, Watcher

from channels.emulators.discord import ControlError, DiscordEmulator, Intent, Permission
from channels.emulators.discord.snowflakes import first_at, instant_of


def texts(messages: list[dict[str, Any]]) -> list[str]:
    return [message["content"] for message in messages]


async def read(api: Api, channel_id: int = GENERAL, **params: object) -> list[dict[str, Any]]:
    """GET the messages of a room."""
    given = {name: str(value) for name, value in params.items()}
    status, messages = await api.call("GET", f"/channels/{channel_id}/messages", params=given)
    assert status == 200
    return list(messages)


async def test_history_is_read_from_a_message_on(api: Api, emulator: DiscordEmulator) -> None:
    ids = [emulator.say(str(number)).id for number in range(10)]
    assert texts(await read(api, limit=3)) == ["9", "8", "7"]
    # The ones that follow most closely, and yet the newest first.
    assert texts(await read(api, after=ids[4], limit=3)) == ["7", "6", "5"]
    assert texts(await read(api, before=ids[4], limit=3)) == ["3", "2", "1"]
    assert texts(await read(api, around=ids[4], limit=3)) == ["5", "4", "3"]
    assert texts(await read(api, after=0, limit=2)) == ["1", "0"]
    assert len(await read(api)) == 10


async def test_a_client_catches_up_after_any_message(client: Watcher, emulator: DiscordEmulator) -> None:
    first = emulator.say("known")
    emulator.gateway.lose(150)
    for number in range(150):
        emulator.say(str(number))
    emulator.delete(GENERAL, emulator.messages()[-1].id)
    caught = [message async for message in client.channel().history(after=first, limit=None)]
    assert [message.content for message in caught] == [str(number) for number in range(149)]


async def test_instants_are_anchors(api: Api, emulator: DiscordEmulator, clock: Clock) -> None:
    emulator.say("before")
    clock.now += 60
    emulator.say("after")
    assert texts(await read(api, after=first_at(clock.now))) == ["after"]
    assert instant_of(first_at(clock.now)) == clock.now


@pytest.mark.parametrize(
    "params", [{"limit": "0"}, {"limit": "101"}, {"after": "x"}, {"after": "1", "before": "2"}]
)
async def test_history_with_senseless_numbers(api: Api, params: dict[str, str]) -> None:
    status, answer = await api.call("GET", f"/channels/{GENERAL}/messages", params=params)
    assert (status, answer["code"]) == (400, 50035)


async def test_without_the_permission_there_is_no_history(api: Api, emulator: DiscordEmulator) -> None:
    said = emulator.say("hello")
    emulator.moderation.set_permissions(GENERAL, deny=Permission.READ_MESSAGE_HISTORY)
    assert await read(api) == []
    assert (await api.call("GET", f"/channels/{GENERAL}/messages/{said.id}"))[1]["code"] == 50001
    reference = {"message_id": str(said.id)}
    assert (await api.send(content="x", message_reference=reference))[1]["code"] == 160002


async def test_without_the_content_intent_words_are_missing(
    connect: Connect, emulator: DiscordEmulator, api: Api
) -> None:
    shy = await connect(SHY, reads_content=False)
    emulator.upload("a.txt", b"x", content="nobody is named")
    named = emulator.say(f"dear <@{SHY.id}>")
    own = await shy.channel().send("my own words")
    emulator.say("answering you", reply_to=own.id)
    emulator.say("answering quietly", reply_to=own.id, pings_reply=False)
    emulator.say("in private", channel_id=emulator.dm(ADA, bot="shy").id)
    told = ["", f"dear <@{SHY.id}>", "my own words", "answering you", "", "in private"]
    messages = await shy.heard(*told)
    assert messages[0].attachments == []
    quiet = messages[4].reference
    assert quiet is not None and getattr(quiet.resolved, "content", None) == "my own words"
    _, fetched = await api.call("GET", f"/channels/{GENERAL}/messages", token=SHY.token)
    assert texts(fetched) == ["", "answering you", "my own words", f"dear <@{SHY.id}>", ""]
    assert named.content == f"dear <@{SHY.id}>"


async def test_the_content_intent_can_be_taken_away(
    client: Watcher, emulator: DiscordEmulator, api: Api
) -> None:
    emulator.say("readable")
    emulator.moderation.set_intent(Intent.MESSAGE_CONTENT, enabled=False)
    emulator.say("not any more")
    await client.heard("readable", "")
    assert texts(await read(api)) == ["", ""]
    _, application = await api.call("GET", "/applications/@me")
    assert application["flags"] == 0
    emulator.moderation.set_intent(Intent.MESSAGE_CONTENT, enabled=True)
    assert texts(await read(api)) == ["not any more", "readable"]


async def test_a_message_has_one_thread(api: Api, emulator: DiscordEmulator) -> None:
    said = emulator.say("question")
    path = f"/channels/{GENERAL}/messages/{said.id}/threads"
    status, thread = await api.call("POST", path, {"name": "answers"})
    assert (status, thread["id"], thread["owner_id"]) == (201, str(said.id), str(GATE.id))
    status, answer = await api.call("POST", path, {"name": "answers"})
    assert (status, answer["code"]) == (400, 160004)
    emulator.moderation.change_thread(said.id, archived=True)
    assert (await api.call("POST", path, {"name": "answers"}))[1]["code"] == 160004
    _, parent = await api.call("GET", f"/channels/{GENERAL}/messages/{said.id}")
    assert parent["thread"]["name"] == "answers" and parent["flags"] & 32


@pytest.mark.parametrize(
    "fields", [{}, {"name": ""}, {"name": "x" * 101}, {"name": "x", "auto_archive_duration": 7}]
)
async def test_threads_need_proper_names(api: Api, emulator: DiscordEmulator, fields: dict[str, Any]) -> None:
    said = emulator.say("question")
    _, answer = await api.call("POST", f"/channels/{GENERAL}/messages/{said.id}/threads", fields)
    assert answer["code"] == 50035


async def test_archived_threads_sleep_until_somebody_writes(api: Api, emulator: DiscordEmulator) -> None:
    thread = emulator.start_thread("aside")
    _, sent = await api.send(thread.id, content="one")
    emulator.moderation.change_thread(thread.id, archived=True)
    path = f"/channels/{thread.id}/messages/{sent['id']}"
    for verb, where in (("PATCH", path), ("PUT", f"{path}/reactions/👍/@me")):
        status, answer = await api.call(verb, where, {"content": "two"})
        assert (status, answer["code"]) == (400, 50083)
    _, listed = await api.call("GET", f"/channels/{GENERAL}/threads/archived/public")
    assert [one["id"] for one in listed["threads"]] == [str(thread.id)] and not listed["has_more"]
    assert (await api.send(thread.id, content="two"))[0] == 200
    _, active = await api.call("GET", f"/guilds/{WORKSHOP}/threads/active")
    assert [one["id"] for one in active["threads"]] == [str(thread.id)]
    assert active["members"][0]["user_id"] == str(GATE.id)


async def test_locked_threads_are_for_moderators(api: Api, emulator: DiscordEmulator) -> None:
    thread = emulator.start_thread("aside")
    emulator.moderation.change_thread(thread.id, locked=True)
    assert (await api.send(thread.id, content="x"))[1]["code"] == 160005
    emulator.moderation.change_thread(thread.id, archived=True)
    assert (await api.send(thread.id, content="x"))[1]["code"] == 50083
    assert (await api.call("PATCH", f"/channels/{thread.id}", {"archived": False}))[1]["code"] == 50013
    with pytest.raises(ControlError, match="locked"):
        emulator.say("x", channel_id=thread.id)
    emulator.moderation.set_permissions(GENERAL, allow=Permission.MANAGE_THREADS)
    assert (await api.send(thread.id, content="x"))[0] == 200


async def test_threads_have_a_permission_of_their_own(api: Api, emulator: DiscordEmulator) -> None:
    thread = emulator.start_thread("aside")
    emulator.moderation.set_permissions(GENERAL, deny=Permission.SEND_MESSAGES)
    assert (await api.send(thread.id, content="x"))[0] == 200
    emulator.moderation.set_permissions(GENERAL, deny=Permission.SEND_MESSAGES_IN_THREADS)
    assert (await api.send(thread.id, content="x"))[1]["code"] == 50013
    emulator.moderation.set_permissions(GENERAL, deny=Permission.CREATE_PUBLIC_THREADS)
    said = emulator.say("question")
    path = f"/channels/{GENERAL}/messages/{said.id}/threads"
    assert (await api.call("POST", path, {"name": "x"}))[1]["code"] == 50013


async def test_private_threads_are_for_their_members(api: Api, emulator: DiscordEmulator) -> None:
    _, thread = await api.call("POST", f"/channels/{GENERAL}/threads", {"name": "aside"})
    assert thread["type"] == 12
    assert (await api.call("GET", f"/channels/{thread['id']}"))[0] == 200
    assert (await api.call("GET", f"/channels/{thread['id']}", token=SHY.token))[1]["code"] == 50001


async def test_channels_change_with_permission(api: Api, emulator: DiscordEmulator) -> None:
    path = f"/channels/{RANDOM}"
    assert (await api.call("PATCH", path, {"topic": "t"}))[1]["code"] == 50013
    emulator.moderation.set_permissions(RANDOM, allow=Permission.MANAGE_CHANNELS)
    assert (await api.call("PATCH", path, {"topic": "t"}))[1]["topic"] == "t"
    emulator.start_thread("aside", channel_id=RANDOM)
    assert (await api.call("DELETE", path))[0] == 200
    assert [one.name for one in emulator.world.channels.values()] == ["general"]


async def test_guilds_members_and_users(api: Api) -> None:
    _, guild = await api.call("GET", f"/guilds/{WORKSHOP}", params={"with_counts": "true"})
    assert (guild["name"], guild["approximate_member_count"], len(guild["roles"])) == ("Workshop", 4, 2)
    _, channels = await api.call("GET", f"/guilds/{WORKSHOP}/channels")
    assert [one["name"] for one in channels] == ["general", "random"]
    _, member = await api.call("GET", f"/guilds/{WORKSHOP}/members/{ADA.id}")
    assert member["user"]["global_name"] == "Ada"
    assert (await api.call("GET", f"/guilds/{WORKSHOP}/members/1"))[1]["code"] == 10013


async def test_the_gateway_is_found(api: Api, emulator: DiscordEmulator) -> None:
    assert await api.call("GET", "/gateway", token=None) == (200, {"url": emulator.gateway_url})
    _, answer = await api.call("GET", "/gateway/bot")
    assert (answer["url"], answer["shards"]) == (emulator.gateway_url, 1)


COMMAND = {"name": "ask", "description": "Ask"}


async def test_commands_are_overwritten_and_kept(api: Api) -> None:
    path = f"/applications/{GATE.id}/commands"
    _, (first,) = await api.call("PUT", path, [COMMAND])
    _, commands = await api.call(
        "PUT", path, [{**COMMAND, "description": "Ask me"}, {"name": "Look", "type": 3}]
    )
    assert [one["name"] for one in commands] == ["ask", "Look"]
    assert (commands[0]["id"], commands[0]["description"]) == (first["id"], "Ask me")
    assert commands[0]["version"] != first["version"]
    status, again = await api.call("POST", path, COMMAND)
    assert (status, again["id"]) == (200, first["id"])
    assert (await api.call("DELETE", f"{path}/{first['id']}"))[0] == 204
    assert (await api.call("GET", f"{path}/{first['id']}"))[1]["code"] == 10063
    in_guild = f"/applications/{GATE.id}/guilds/{WORKSHOP}/commands"
    assert (await api.call("POST", in_guild, COMMAND))[1]["guild_id"] == str(WORKSHOP)


SENSELESS = [
    [{"name": "Ask", "description": "x"}],
    [{"name": "a b", "description": "x"}],
    [{"name": "ask"}],
    [COMMAND, COMMAND],
    [{**COMMAND, "type": 9}],
    [
        {
            **COMMAND,
            "options": [
                {"type": 3, "name": "a", "description": "x"},
                {"type": 3, "name": "b", "description": "x", "required": True},
            ],
        }
    ],
]


@pytest.mark.parametrize("commands", SENSELESS)
async def test_commands_that_are_refused(api: Api, commands: object) -> None:
    status, answer = await api.call("PUT", f"/applications/{GATE.id}/commands", commands)
    assert (status, answer["code"]) == (400, 50035)


async def test_commands_have_limits(api: Api, clock: Clock) -> None:
    path = f"/applications/{GATE.id}/commands"
    many = [{**COMMAND, "name": f"c{number}"} for number in range(101)]
    assert (await api.call("PUT", path, many))[1]["code"] == 30032
    assert (await api.call("PUT", path, many[:100]))[0] == 200
    others = [{**COMMAND, "name": f"d{number}"} for number in range(100)]
    assert (await api.call("PUT", path, others))[0] == 200
    status, answer = await api.call("PUT", path, [COMMAND])
    assert (status, answer["code"]) == (429, 30034)
    clock.now += 86_400
    assert (await api.call("PUT", path, [COMMAND]))[0] == 200
    assert (await api.call("GET", "/applications/1/commands"))[1]["code"] == 50001
