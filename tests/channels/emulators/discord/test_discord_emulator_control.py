"""The control side over HTTP: playing people, looking inside, breaking things, the stream, the process."""

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from discord_emulator_cast import ADA, GATE, GENERAL, WORKSHOP, Api, Watcher, until

from channels.emulators.discord import DiscordEmulator

WHO = {"id": str(ADA.id), "username": "ada", "display_name": "Ada"}


@pytest.fixture
def control(emulator: DiscordEmulator, http: ClientSession) -> "Control":
    return Control(emulator, http)


class Control:
    """JSON in, JSON out."""

    def __init__(self, emulator: DiscordEmulator, http: ClientSession) -> None:
        self.url = f"{emulator.url}/control"
        self.http = http

    async def get(self, path: str) -> Any:
        async with self.http.get(f"{self.url}/{path}") as answer:
            assert answer.status == 200
            return await answer.json()

    async def post(self, path: str, status: int = 200, **body: object) -> Any:
        async with self.http.post(f"{self.url}/{path}", json=body) as answer:
            assert (answer.status, await answer.text())[0] == status
            return await answer.json()


async def test_a_conversation(client: Watcher, control: Control) -> None:
    (guild,) = await control.get("guilds")
    where = guild["channels"][0]["id"]
    file = {"filename": "a.txt", "content_base64": base64.b64encode(b"hello").decode()}
    said = await control.post("messages", content="look", user=WHO, channel_id=where, attachments=[file])
    (heard,) = await client.heard("look")
    await heard.reply("I see", nonce="n")
    await control.post("edits", channel_id=where, message_id=said["id"], content="look!")
    await control.post("reactions", channel_id=where, message_id=said["id"], emoji="👍", user=WHO)
    messages = await control.get(f"channels/{where}/messages")
    assert [one["content"] for one in messages] == ["look!", "I see"]
    first, second = messages
    assert first["edits"][0]["content"] == "look" and first["reactions"] == {"👍": [str(ADA.id)]}
    assert first["attachments"][0]["url"].startswith("http://127.0.0.1")
    assert (second["reply_to"], second["nonce"]) == (said["id"], "n")
    assert second["notified"] == {"users": [], "roles": [], "everyone": False}
    await control.post("deletions", channel_id=where, message_id=said["id"])
    assert (await control.get(f"channels/{where}/messages"))[0]["deleted"] is True


async def test_threads_and_direct_messages(client: Watcher, control: Control) -> None:
    room = await control.post("dms", user=WHO)
    await control.post("messages", content="psst", user=WHO, channel_id=room["id"])
    said = await control.post("messages", content="hello", user=WHO, channel_id=str(GENERAL))
    thread = await control.post(
        "threads", name="aside", user=WHO, channel_id=str(GENERAL), message_id=said["id"]
    )
    await control.post("messages", content="here", user=WHO, channel_id=thread["id"])
    await control.post("typing", user=WHO, channel_id=thread["id"])
    await client.heard("psst", "hello", "", "here")
    kinds = {one["id"]: one["type"] for one in await control.get("channels")}
    assert (kinds[room["id"]], kinds[thread["id"]]) == ("dm", "public_thread")
    (session,) = await control.get("sessions")
    assert session["connected"] and session["bot_id"] == str(GATE.id)


async def test_buttons_commands_and_modals(api: Api, control: Control) -> None:
    row = {"type": 1, "components": [{"type": 2, "style": 1, "label": "Yes", "custom_id": "yes"}]}
    _, sent = await api.send(content="Really?", components=[row])
    pressed = await control.post(
        "presses", channel_id=str(GENERAL), message_id=sent["id"], custom_id="yes", user=WHO
    )
    assert pressed["state"] == "waiting"
    interaction = api.emulator.world.interactions[int(pressed["id"])]
    field = {"type": 4, "custom_id": "why", "style": 1, "label": "Why"}
    modal = {"custom_id": "m", "title": "Why?", "components": [{"type": 1, "components": [field]}]}
    await api.call(
        "POST", f"/interactions/{interaction.id}/{interaction.token}/callback", {"type": 9, "data": modal}
    )
    (opened,) = await control.get("interactions")
    assert (opened["state"], opened["modal"]["title"]) == ("answered", "Why?")
    filled = await control.post("submissions", interaction_id=opened["id"], values={"why": "because"})
    assert filled["kind"] == "modal"
    await api.call("PUT", f"/applications/{GATE.id}/commands", [{"name": "ask", "description": "Ask"}])
    asked = await control.post("commands", name="ask", user=WHO, channel_id=str(GENERAL))
    assert asked["data"]["name"] == "ask"
    assert [one["username"] for one in await control.get("bots")] == ["gate", "shy"]
    assert "gate-secret" not in json.dumps(await control.get("bots"))


async def test_the_gateway_is_broken_over_http(
    client: Watcher, emulator: DiscordEmulator, control: Control
) -> None:
    await control.post("gateway", action="hold")
    emulator.say("one")
    emulator.say("two")
    assert (await control.post("gateway", action="held"))["result"] == ["MESSAGE_CREATE"] * 2
    await control.post("gateway", action="release", order=[1, 0])
    await client.heard("two", "one")
    await control.post("gateway", action="lose", count=1, event="MESSAGE_CREATE")
    emulator.say("lost")
    assert (await control.post("gateway", action="redeliver"))["result"] == "MESSAGE_CREATE"
    await client.heard("two", "one", "one")
    for number, action in enumerate(
        ({"action": "close", "code": 4000}, {"action": "cut"}, {"action": "reconnect"}), start=1
    ):
        await control.post("gateway", **action)
        await until(lambda number=number: client.names().count("resumed") == number)
    await control.post("gateway", action="invalidate", resumable=False)
    await until(lambda: client.names().count("ready") == 2)
    await control.post("gateway", action="refuse_upgrades", count=0)
    await control.post("gateway", 400, action="explode")


async def test_moderators_act_over_http(client: Watcher, api: Api, control: Control) -> None:
    made = await control.post("moderation", action="create_channel", guild_id=str(WORKSHOP), name="ideas")
    await client.told("channel_create", "ideas")
    await control.post(
        "moderation", action="set_permissions", channel_id=made["result"], deny=["SEND_MESSAGES"]
    )
    assert (await api.send(int(made["result"]), content="x"))[1]["code"] == 50013
    await control.post("moderation", action="delete_channel", channel_id=made["result"])
    thread = api.emulator.start_thread("aside")
    await control.post("moderation", action="change_thread", thread_id=str(thread.id), archived=True)
    await client.told("thread_update", True)
    await control.post("moderation", action="set_intent", intent="MESSAGE_CONTENT", enabled=False)
    await control.post("moderation", action="outage", guild_id=str(WORKSHOP))
    await control.post("moderation", action="remove_bot", guild_id=str(WORKSHOP))
    await control.post("moderation", action="add_bot", guild_id=str(WORKSHOP))
    await control.post("moderation", action="close_dms", user_id=str(ADA.id))
    await control.post("moderation", action="revoke_token")
    await until(client.is_closed)
    await control.post("moderation", action="restore_token")
    assert (await api.call("GET", "/applications/@me"))[1]["flags"] == 0


SENSELESS: list[tuple[str, dict[str, Any]]] = [
    ("messages", {}),
    ("messages", {"content": "x", "user": {"id": "0", "username": "z"}, "channel_id": str(GENERAL)}),
    ("messages", {"content": " ", "user": WHO, "channel_id": str(GENERAL)}),
    ("messages", {"content": "x", "user": WHO, "channel_id": "1"}),
    ("messages", {"content": "x", "user": WHO, "channel_id": str(GENERAL), "reply_to": "1"}),
    ("messages", {"content": "x", "user": {**WHO, "id": str(GATE.id)}, "channel_id": str(GENERAL)}),
    ("edits", {"channel_id": str(GENERAL), "message_id": "1", "content": "x"}),
    ("deletions", {"channel_id": str(GENERAL), "message_ids": "1"}),
    ("threads", {"name": "", "user": WHO, "channel_id": str(GENERAL)}),
    ("gateway", {"action": "release", "order": ["x"]}),
    ("gateway", {"action": "lose", "count": 0}),
    ("gateway", {"action": "cut", "bot": "nobody"}),
    ("moderation", {"action": "set_permissions", "channel_id": str(GENERAL), "allow": ["FLY"]}),
    ("moderation", {"action": "set_intent", "intent": "FLY", "enabled": True}),
    ("moderation", {"action": "remove_bot", "guild_id": "1"}),
]


@pytest.mark.parametrize(("path", "body"), SENSELESS)
async def test_senseless_requests_are_refused(
    control: Control, emulator: DiscordEmulator, path: str, body: dict[str, Any]
) -> None:
    assert (await control.post(path, 400, **body))["error"]
    assert emulator.messages() == []


async def test_changes_are_streamed(emulator: DiscordEmulator, api: Api, http: ClientSession) -> None:
    async with http.get(f"{emulator.url}/control/events") as stream:
        said = emulator.say("hello")
        _, sent = await api.send(content="one")
        await api.call("PATCH", f"/channels/{GENERAL}/messages/{sent['id']}", {"content": "two"})
        await api.call("POST", f"/channels/{GENERAL}/typing")
        emulator.react(GENERAL, said.id, "👍")
        emulator.delete(GENERAL, said.id)
        events: list[dict[str, Any]] = []
        while len(events) < 6:
            line = await asyncio.wait_for(stream.content.readline(), 2)
            if line.startswith(b"data: "):
                events.append(json.loads(line[6:]))
    kinds = [event["type"] for event in events]
    assert kinds == ["message", "message", "edited", "typing", "reaction", "deleted"]
    assert {event["channel_id"] for event in events} == {str(GENERAL)}
    assert events[2]["detail"]["edits"][0]["content"] == "one"


async def test_calls_are_logged_without_tokens(
    api: Api, emulator: DiscordEmulator, http: ClientSession
) -> None:
    await api.send(content="one")
    row = {"type": 1, "components": [{"type": 2, "style": 1, "label": "Yes", "custom_id": "yes"}]}
    _, sent = await api.send(content="Really?", components=[row])
    pressed = emulator.press(GENERAL, int(sent["id"]), "yes")
    await api.call("POST", f"/interactions/{pressed.id}/{pressed.token}/callback", {"type": 6})
    async with http.get(f"{emulator.url}/control/calls") as answer:
        text = await answer.text()
    calls = json.loads(text)
    assert [call["status"] for call in calls] == [200, 200, 204]
    assert calls[0]["arguments"] == {"c": str(GENERAL), "content": "one"}
    assert GATE.token not in text and pressed.token not in text


async def test_it_runs_as_its_own_process(http: ClientSession) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "channels.emulators.discord", "--port", "0", "--token", GATE.token),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[4],
    )
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 10)).decode()
    url = line.removeprefix("listening on ").strip()
    headers = {"Authorization": f"Bot {GATE.token}"}
    async with http.get(f"{url}/api/v10/users/@me", headers=headers) as answer:
        assert (await answer.json())["username"] == "threadgate"
    process.terminate()
    _, complaints = await asyncio.wait_for(process.communicate(), 10)
    assert (process.returncode, complaints) == (0, b"")


async def test_only_loopback_is_served() -> None:
    with pytest.raises(ValueError, match="loopback"):
        await DiscordEmulator([GATE]).start(host="0.0.0.0")
