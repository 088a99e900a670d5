"""Faults, the control side, the stream of changes, encodings and the separate process."""

import asyncio
import json
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import ClientSession
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup
from telegram.error import BadRequest, NetworkError, RetryAfter, TimedOut
from telegram_emulator_cast import FORUM, GATE, GROUP

from channels.emulators.feed import BACKLOG_MAX, Feed
from channels.emulators.telegram import ControlError, TelegramEmulator
from channels.emulators.telegram.records import Change

ADA = 1001


async def texts(emulator: TelegramEmulator) -> list[str]:
    return [message.text for message in emulator.messages(ADA)]


async def test_a_scripted_429_has_no_effect(bot: Bot, emulator: TelegramEmulator) -> None:
    emulator.say("hello")
    emulator.faults.add("429", "sendMessage", retry_after_s=7)
    with pytest.raises(RetryAfter) as refused:
        await bot.send_message(ADA, "one")
    assert refused.value.retry_after == timedelta(seconds=7)
    await bot.send_message(ADA, "two")
    assert await texts(emulator) == ["hello", "two"]


async def test_commit_then_drop_leaves_the_message(bot: Bot, emulator: TelegramEmulator) -> None:
    emulator.say("hello")
    emulator.faults.add("commit_then_drop", "sendMessage")
    with pytest.raises(NetworkError):
        await bot.send_message(ADA, "there")
    assert await texts(emulator) == ["hello", "there"]


@pytest.mark.parametrize("kind", ["drop", "refuse"])
async def test_a_cut_before_the_effect_leaves_nothing(
    bot: Bot, emulator: TelegramEmulator, kind: str
) -> None:
    emulator.say("hello")
    emulator.faults.add(kind, "sendMessage", count=2)
    for _ in range(2):
        with pytest.raises(NetworkError):
            await bot.send_message(ADA, "gone")
    await bot.send_message(ADA, "there")
    assert await texts(emulator) == ["hello", "there"]


async def test_a_slow_answer_times_out_with_the_message_created(bot: Bot, emulator: TelegramEmulator) -> None:
    emulator.say("hello")
    emulator.faults.add("slow", "sendMessage", delay_s=30)
    with pytest.raises(TimedOut):
        await bot.send_message(ADA, "there")
    assert await texts(emulator) == ["hello", "there"]


async def test_a_scripted_error_and_the_order_of_faults(bot: Bot, emulator: TelegramEmulator) -> None:
    emulator.say("hello")
    emulator.faults.add("error", "editMessageText", code=400, description="Bad Request: no edits today")
    emulator.faults.add("error", code=502, description="Bad Gateway")
    with pytest.raises(NetworkError, match="Bad Gateway"):
        await bot.send_message(ADA, "one")
    with pytest.raises(BadRequest, match="No edits today"):
        await bot.edit_message_text("two", ADA, 1)
    assert emulator.faults.pending() == []


@pytest.mark.parametrize(
    "script", [{"kind": "explode"}, {"kind": "drop", "count": 0}, {"kind": "slow", "delay_s": 1e9}]
)
def test_a_senseless_fault_is_refused(emulator: TelegramEmulator, script: dict[str, object]) -> None:
    with pytest.raises(ControlError):
        emulator.faults.add(**script)  # type: ignore[arg-type]


async def test_playing_a_person_over_http(bot: Bot, emulator: TelegramEmulator, http: ClientSession) -> None:
    ada = {"id": ADA, "first_name": "Ada", "username": "@ada"}
    async with http.post(f"{emulator.url}/control/messages", json={"text": "hello", "user": ada}) as answer:
        said = await answer.json()
    assert said == {"message_id": 1, "update_id": emulator.pending_updates()[0].id}
    sent = await bot.send_message(ADA, "hi")
    await bot.edit_message_text("hi Ada", ADA, sent.message_id)
    async with http.get(f"{emulator.url}/control/chats") as answer:
        (chat,) = await answer.json()
    assert (chat["id"], chat["type"], chat["bot"], chat["message_count"]) == (ADA, "private", "gate_bot", 2)
    async with http.get(f"{emulator.url}/control/chats/{ADA}/messages") as answer:
        _, reply = await answer.json()
    assert (reply["text"], reply["from"]["is_bot"], reply["deleted"]) == ("hi Ada", True, False)
    assert [edit["text"] for edit in reply["edits"]] == ["hi"]
    async with http.get(f"{emulator.url}/control/updates") as answer:
        updates = await answer.json()
    assert (updates["pending"], updates["confirmed_offset"]) == ([said["update_id"]], 0)


async def test_the_group_message_nobody_may_see_has_no_update(
    emulator: TelegramEmulator, http: ClientSession
) -> None:
    body = {"text": "psst", "user": {"id": 5, "first_name": "Bo"}, "chat_id": GROUP, "chat_title": "Team"}
    async with http.post(f"{emulator.url}/control/messages", json=body) as answer:
        assert await answer.json() == {"message_id": 1, "update_id": None}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "x", "user": {"id": 0, "first_name": "Zero"}},
        {"text": "  ", "user": {"id": 5, "first_name": "Bo"}},
        {"text": "x", "user": {"id": 5, "first_name": "Bo"}, "chat_id": 6},
        {"text": "x", "user": {"id": 5, "first_name": "Bo"}, "chat_id": FORUM, "chat_type": "group"},
        {"text": "x", "user": {"id": 5, "first_name": "Bo"}, "reply_to": 9},
        {"text": "x", "user": {"id": 5, "first_name": "Bo"}, "bot": "nobody"},
    ],
)
async def test_senseless_control_requests_are_refused(
    emulator: TelegramEmulator, http: ClientSession, body: dict[str, object]
) -> None:
    async with http.post(f"{emulator.url}/control/messages", json=body) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]
    assert emulator.pending_updates() == []


async def test_editing_and_pressing_over_http(
    bot: Bot, emulator: TelegramEmulator, http: ClientSession
) -> None:
    said = emulator.say("helo")
    keys = InlineKeyboardMarkup([[InlineKeyboardButton("Yes", callback_data="y")]])
    sent = await bot.send_message(ADA, "Really?", reply_markup=keys)
    edit = {"chat_id": ADA, "message_id": said.message_id, "text": "hello"}
    async with http.post(f"{emulator.url}/control/edits", json=edit) as answer:
        edited = await answer.json()
    ada = {"id": ADA, "first_name": "Ada"}
    press = {"chat_id": ADA, "message_id": sent.message_id, "data": "y", "user": ada}
    async with http.post(f"{emulator.url}/control/presses", json=press) as answer:
        pressed = await answer.json()
    update, last = emulator.pending_updates()[-2:]
    assert (update.id, update.kind) == (edited["update_id"], "edited_message")
    assert (last.kind, last.payload["id"]) == ("callback_query", pressed["callback_query_id"])
    async with http.post(f"{emulator.url}/control/presses", json={**press, "data": "n"}) as answer:
        assert (answer.status, await answer.json()) == (400, {"error": "there is no such button"})


async def test_faults_are_scripted_over_http(emulator: TelegramEmulator, http: ClientSession) -> None:
    url = f"{emulator.url}/control/faults"
    async with http.post(url, json={"kind": "slow", "method": "sendMessage", "delay_s": 2}) as answer:
        assert (await answer.json())["count"] == 1
    async with http.post(url, json={"kind": "slow", "delay": 2}) as answer:
        assert answer.status == 400
    async with http.get(url) as answer:
        assert [fault["kind"] for fault in await answer.json()] == ["slow"]
    async with http.delete(url) as answer:
        assert answer.status == 200
    assert emulator.faults.pending() == []


async def test_calls_are_logged_without_tokens(
    bot: Bot, emulator: TelegramEmulator, http: ClientSession
) -> None:
    emulator.say("hello")
    await bot.send_message(ADA, "one")
    with pytest.raises(BadRequest):
        await bot.send_message(999, "two")
    async with http.get(f"{emulator.url}/control/calls?method=sendmessage") as answer:
        text = await answer.text()
    first, second = json.loads(text)
    assert GATE.token.partition(":")[2] not in text
    assert (first["arguments"]["text"], first["status"], second["status"]) == ("one", 200, 400)
    async with http.get(f"{emulator.url}/control/calls?after={first['seq']}") as answer:
        assert [call["seq"] for call in await answer.json()] == [second["seq"]]


async def test_changes_are_streamed(bot: Bot, emulator: TelegramEmulator, http: ClientSession) -> None:
    async with http.get(f"{emulator.url}/control/events") as stream:
        assert stream.content_type == "text/event-stream"
        emulator.say("hello")
        await bot.send_chat_action(ADA, "typing")
        sent = await bot.send_message(ADA, "one")
        await bot.edit_message_text("two", ADA, sent.message_id)
        events = []
        while len(events) < 4:
            line = await asyncio.wait_for(stream.content.readline(), 2)
            if line.startswith(b"data: "):
                events.append(json.loads(line[6:]))
    assert [event["type"] for event in events] == ["message", "action", "message", "edited"]
    assert {event["chat_id"] for event in events} == {ADA}
    assert events[-1]["detail"]["edits"][0]["text"] == "one"


async def test_a_listener_that_falls_behind_is_cut_off() -> None:
    feed = Feed()
    slow = feed.listen()
    change = Change("message", 1, "gate_bot", {})
    feed.publish([change] * (BACKLOG_MAX + 10))
    events = [slow.get_nowait() for _ in range(slow.qsize())]
    assert len(events) == BACKLOG_MAX + 1 and events[-1] is None


@pytest.mark.parametrize("method", ["sendMessage", "SENDMESSAGE"])
@pytest.mark.parametrize("encoding", ["json", "data", "params", "multipart"])
async def test_every_encoding_is_understood(
    emulator: TelegramEmulator, http: ClientSession, method: str, encoding: str
) -> None:
    emulator.say("hello")
    fields = {"chat_id": str(ADA), "text": "ünicode"}
    url = f"{emulator.url}/bot{GATE.token}/{method}"
    if encoding == "multipart":
        boundary = "b0undary"
        parts = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        )
        request = http.post(
            url,
            data=f"{parts}--{boundary}--\r\n".encode(),
            headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
        )
    else:
        request = http.request("GET" if encoding == "params" else "POST", url, **{encoding: fields})  # type: ignore[arg-type]
    async with request as answer:
        assert (await answer.json())["result"]["text"] == "ünicode"


async def test_errors_have_the_shape_of_the_network(emulator: TelegramEmulator, http: ClientSession) -> None:
    async with http.get(f"{emulator.url}/bot{GATE.token}/flyToTheMoon") as answer:
        assert answer.status == 404
        body = await answer.json()
    assert body == {"ok": False, "error_code": 404, "description": "Not Found: method not found"}
    async with http.get(f"{emulator.url}/bot42:wrong/getMe") as answer:
        assert (answer.status, (await answer.json())["description"]) == (401, "Unauthorized")


async def test_foreign_pages_cannot_use_the_control_side(
    emulator: TelegramEmulator, http: ClientSession
) -> None:
    async with http.get(f"{emulator.url}/control/chats", headers={"Host": "evil.example"}) as answer:
        assert answer.status == 403
    async with http.post(f"{emulator.url}/control/messages", data="{}") as answer:
        assert answer.status == 415


async def test_only_loopback_is_served() -> None:
    with pytest.raises(ValueError, match="loopback"):
        await TelegramEmulator([GATE]).start(host="0.0.0.0")


async def test_stopping_answers_who_waits_and_starting_again_keeps_everything(
    bot: Bot, emulator: TelegramEmulator, http: ClientSession
) -> None:
    emulator.say("hello")
    polling = asyncio.create_task(bot.get_updates(offset=emulator.pending_updates()[0].id + 1, timeout=40))
    async with http.get(f"{emulator.url}/control/events") as stream:
        await stream.content.readline()
        for _ in range(100):
            if emulator.calls.select("getUpdates"):
                break
            await asyncio.sleep(0.01)
        await asyncio.wait_for(emulator.stop(), 1.5)
    assert await polling == ()
    await emulator.start()
    assert await texts(emulator) == ["hello"]


async def test_it_runs_as_its_own_process(http: ClientSession) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "channels.emulators.telegram", "--port", "0", "--token", GATE.token),
        *("--api-version", "10.0", "--private-topics"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[4],
    )
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 10)).decode()
    url = line.removeprefix("listening on ").strip()
    async with http.get(f"{url}/bot{GATE.token}/getMe") as answer:
        me = (await answer.json())["result"]
    assert (me["id"], me["has_topics_enabled"]) == (42, True)
    async with http.get(f"{url}/bot{GATE.token}/sendRichMessage") as answer:
        assert answer.status == 404
    process.terminate()
    _, complaints = await asyncio.wait_for(process.communicate(), 10)
    assert (process.returncode, complaints) == (0, b"")
