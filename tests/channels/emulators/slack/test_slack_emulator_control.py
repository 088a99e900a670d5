"""Faults of single calls, and the control side: everything people do and see, as JSON."""

import asyncio
import json
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ClientSession
from slack_emulator_stage import ADA, PATIENCE_S, code_of
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from channels.emulators.slack import SlackEmulator

BOB = {"id": "U0BOB", "name": "bob"}


class Remote:
    """The control side, by its paths."""

    def __init__(self, http: ClientSession, url: str) -> None:
        self._http = http
        self._url = f"{url}/control"

    async def get(self, path: str) -> Any:
        async with self._http.get(f"{self._url}/{path}") as response:
            return await response.json()

    async def post(self, path: str, **body: Any) -> Any:
        async with self._http.post(f"{self._url}/{path}", json=body) as response:
            return await response.json()


@pytest.fixture
async def remote(emulator: SlackEmulator, http: ClientSession) -> AsyncIterator[Remote]:
    yield Remote(http, emulator.url)


async def test_a_rate_limit_and_an_error_have_no_effect(
    emulator: SlackEmulator, client: AsyncWebClient, general: str
) -> None:
    emulator.faults.add("429", "chat.postMessage", retry_after_s=7)
    emulator.faults.add("error", "chat.postMessage", code=400, description="is_archived")
    emulator.faults.add("error", "chat.postMessage", code=500, description="internal_error")

    answers = []
    for _ in range(3):
        with pytest.raises(SlackApiError) as refused:
            await client.chat_postMessage(channel=general, text="x")
        answers.append((refused.value.response.status_code, code_of(refused.value)))

    assert answers == [(429, "ratelimited"), (200, "is_archived"), (500, "internal_error")]
    assert emulator.messages(general) == []
    assert [call.fault for call in emulator.calls.select("chat.postMessage")] == ["429", "error", "error"]


@pytest.mark.parametrize(("kind", "messages"), [("commit_then_drop", 1), ("drop", 0), ("refuse", 0)])
async def test_a_cut_connection_has_its_effect_or_not(
    emulator: SlackEmulator, client: AsyncWebClient, general: str, kind: str, messages: int
) -> None:
    emulator.faults.add(kind, "chat.postMessage")

    with pytest.raises(ClientConnectionError):
        await client.chat_postMessage(channel=general, text="x")

    assert len(emulator.messages(general)) == messages


async def test_a_slow_answer_has_its_effect_first(
    emulator: SlackEmulator, client: AsyncWebClient, general: str
) -> None:
    emulator.faults.add("slow", "chat.postMessage", delay_s=60)
    call = asyncio.create_task(client.chat_postMessage(channel=general, text="x"))
    async with asyncio.timeout(PATIENCE_S):
        while not emulator.messages(general):  # noqa: ASYNC110 - the effect has no event to offer
            await asyncio.sleep(0.005)

    assert not call.done()
    await emulator.stop()
    assert (await call)["ok"] is True


async def test_people_write_edit_react_and_delete(
    remote: Remote, emulator: SlackEmulator, general: str
) -> None:
    said = await remote.post("messages", channel=general, text="hello", user=BOB)
    reply = await remote.post("messages", channel=general, text="me too", thread_ts=said["ts"])
    await remote.post("edits", channel=general, ts=said["ts"], text="hello all")
    await remote.post("reactions", channel=general, ts=said["ts"], emoji="eyes")
    await remote.post("deletions", channel=general, ts=reply["ts"])

    first, second = await remote.get(f"channels/{general}/messages")
    assert (first["text"], first["edited"], first["edits"][0]["text"]) == ("hello all", True, "hello")
    assert first["reactions"] == [{"name": "eyes", "users": [ADA.id], "count": 1}]
    assert (second["thread_ts"], second["deleted"]) == (said["ts"], True)
    users = await remote.get("users")
    assert [one["id"] for one in users] == [ADA.id, "U0BOB"]
    assert (
        len(emulator.undelivered()) == 6
    )  # two messages, Bob's arrival, the edit, the reaction, the deletion


async def test_a_view_of_a_message_is_ready_to_be_shown(
    remote: Remote, client: AsyncWebClient, general: str, http: ClientSession
) -> None:
    button = {
        "type": "button",
        "action_id": "ok",
        "value": "1",
        "style": "primary",
        "text": {"type": "plain_text", "text": "OK"},
    }
    blocks = [{"type": "actions", "elements": [button]}]
    await client.chat_postMessage(channel=general, text="<!here>", blocks=blocks)
    await client.chat_postEphemeral(channel=general, user=ADA.id, text="psst")
    await client.files_upload_v2(channel=general, filename="a.txt", content="hello")

    posted, quiet, file = await remote.get(f"channels/{general}/messages")
    assert (posted["author"], posted["is_bot"], posted["streaming"]) == ("Threadgate", True, False)
    assert posted["mentions"] == ["!here"]
    (shown,) = posted["buttons"]
    assert (shown["text"], shown["action_id"], shown["value"], shown["style"]) == ("OK", "ok", "1", "primary")
    assert quiet["ephemeral_to"] == ADA.id
    async with http.get(file["files"][0]["url"]) as response:
        assert await response.read() == b"hello"
        assert response.headers["Content-Disposition"] == "attachment"


async def test_people_use_apps(remote: Remote, emulator: SlackEmulator, client: AsyncWebClient) -> None:
    # Without a socket what a person waits for would be lost at once.
    emulator.hold_events()
    home = (await remote.post("homes"))["channel"]
    button = {"type": "button", "action_id": "ok", "text": {"type": "plain_text", "text": "OK"}}
    blocks = [{"type": "actions", "elements": [button]}]
    posted = await client.chat_postMessage(channel=home, text="?", blocks=blocks)
    await remote.post("presses", channel=home, ts=posted["ts"], action_id="ok", user=BOB)
    await remote.post("commands", command="/gate", text="status")
    await remote.post("contexts", entities=[{"type": "slack#/types/channel_id", "value": "C1"}])
    content = b64encode(b"hello").decode()
    await remote.post("messages", files=[{"name": "a.txt", "content_base64": content}])
    trigger = emulator.undelivered()[-4].payload["trigger_id"]
    view = {"type": "modal", "title": {"type": "plain_text", "text": "Hi"}, "blocks": []}
    opened = (await client.views_open(trigger_id=trigger, view=view))["view"]
    assert [one["id"] for one in await remote.get("views")] == [opened["id"]]
    await remote.post("submissions", view_id=opened["id"], values={})
    await remote.post("dismissals", view_id=opened["id"])

    deliveries = (await remote.get("deliveries"))["undelivered"]
    assert [one["type"] for one in deliveries] == [
        *("app_home_opened", "message", "block_actions", "/gate", "app_context_changed"),
        *("message", "file_shared", "view_submission"),
    ]
    assert await remote.get("views") == []


async def test_rooms_can_be_made_and_members_come_and_go(remote: Remote, emulator: SlackEmulator) -> None:
    made = (await remote.post("channels", name="plans", kind="group", user=BOB))["channel"]
    await remote.post("leaves", channel=made, user_id=emulator.bot().user_id)
    assert [one["members"] for one in await remote.get("channels") if one["id"] == made] == [["U0BOB"]]
    await remote.post("joins", channel=made, user_id=emulator.bot().user_id)
    (arrival,) = emulator.undelivered()

    assert arrival.payload["event"]["type"] == "member_joined_channel"
    assert [one["name"] for one in await remote.get("workspaces")] == ["Acme"]
    assert "token" not in json.dumps(await remote.get("bots"))


async def test_troubles_can_be_made(remote: Remote, emulator: SlackEmulator) -> None:
    await remote.post("hold")
    await remote.post("messages", text="hello")
    assert (await remote.get("deliveries"))["undelivered"][0]["state"] == "held"
    assert await remote.post("release") == {"released": 1}
    (delivery,) = emulator.undelivered()
    again = await remote.post("redeliver", event_id=delivery.event_id)
    assert again["event_id"] == delivery.event_id
    await remote.post("stop_redelivering")
    await remote.post("refuse_upgrades", count=2)
    await remote.post("drop_upgrades")
    await remote.post("hurry")
    assert await remote.post("disconnect") == {"sockets": 0}
    assert await remote.post("drop_sockets") == {"sockets": 0}
    assert await remote.post("expire_streams") == {"streams": []}
    await remote.post("remove_scope", scope="chat:write")
    await remote.post("revoke_token")

    assert emulator.bot().refusal == "token_revoked"
    assert "chat:write" not in emulator.bot().scopes
    assert await remote.get("sockets") == []


@pytest.mark.parametrize(
    ("path", "body", "problem"),
    [
        ("messages", {"text": ""}, "a message has a text or a file"),
        ("messages", {"text": "x", "channel": "nowhere"}, "no channel nowhere in Acme"),
        ("messages", {"text": "x", "user": "ada"}, "user must be an object with id and name"),
        ("messages", {"files": [{"name": "a", "content_base64": "!"}]}, "content_base64 is not Base64"),
        ("commands", {"command": "gate"}, "gate is not a command of Threadgate"),
        ("channels", {"name": "x", "kind": "im"}, "kind must be channel, group or mpim"),
        ("submissions", {"view_id": "V9"}, "no view V9"),
        ("redeliver", {"event_id": "Ev9"}, "no such delivery"),
        (
            "faults",
            {"kind": "nonsense"},
            "kind must be one of 429, error, commit_then_drop, drop, slow, refuse",
        ),
    ],
)
async def test_what_makes_no_sense_is_refused(
    remote: Remote, path: str, body: dict[str, Any], problem: str
) -> None:
    assert await remote.post(path, **body) == {"error": problem}


async def test_changes_are_told_as_they_happen(
    emulator: SlackEmulator, client: AsyncWebClient, general: str, http: ClientSession
) -> None:
    async with http.get(f"{emulator.url}/control/events") as stream:
        assert await stream.content.readline() == b": connected\n"
        root = emulator.say("hello", channel=general)
        opened = await client.chat_startStream(
            channel=general, thread_ts=root.ts, recipient_user_id=ADA.id, recipient_team_id="T0000000001"
        )
        await client.chat_appendStream(channel=general, ts=opened["ts"], markdown_text="hi")
        seen = []
        while len(seen) < 3:
            line = await asyncio.wait_for(stream.content.readline(), PATIENCE_S)
            if line.startswith(b"data: "):
                seen.append(json.loads(line[6:]))

    assert [(one["type"], one["detail"]["text"]) for one in seen] == [
        ("message", "hello"),
        ("message", ""),
        ("stream", "hi"),
    ]
    assert (seen[2]["channel"], seen[2]["detail"]["streaming"]) == (general, True)


async def test_as_a_process_it_prints_its_address_and_ends_when_asked(http: ClientSession) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "channels.emulators.slack", "--port", "0", "--second-workspace"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
    remote = Remote(http, line.decode().removeprefix("listening on ").strip())

    assert [one["name"] for one in await remote.get("workspaces")] == ["Acme", "Umbrella"]
    assert [one["name"] for one in await remote.get("channels")] == ["general"]
    process.terminate()
    assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0
