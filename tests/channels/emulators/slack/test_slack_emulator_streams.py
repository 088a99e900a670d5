"""Streams and files with the unmodified client's own ways of sending them."""

from typing import Any

import pytest
from aiohttp import ClientSession
from slack_emulator_stage import ADA, Clock, client_of, code_of
from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.web.async_chat_stream import AsyncChatStream
from slack_sdk.web.async_client import AsyncWebClient

from channels.emulators.slack import SlackEmulator

META = {"event_type": "gate", "event_payload": {"op": "1"}}


@pytest.fixture
def root(emulator: SlackEmulator, general: str) -> str:
    return emulator.say("@threadgate tell me", channel=general).ts


async def begin(client: AsyncWebClient, channel: str, root: str, **more: Any) -> AsyncChatStream:
    """A stream of which something is seen already."""
    stream = await client.chat_stream(
        channel=channel,
        thread_ts=root,
        recipient_user_id=ADA.id,
        recipient_team_id="T0000000001",
        buffer_size=1,
        **more,
    )
    await stream.append(markdown_text="**one**")
    return stream


async def test_a_stream_grows_and_ends_as_a_message(
    emulator: SlackEmulator, client: AsyncWebClient, general: str, root: str
) -> None:
    stream = await begin(client, general, root)
    await stream.append(markdown_text=" two")
    message = emulator.messages(general)[-1]
    assert (message.text, message.stream and message.stream.is_open) == ("**one** two", True)

    button = {"type": "button", "action_id": "ok", "text": {"type": "plain_text", "text": "OK"}}
    blocks = [{"type": "actions", "elements": [button]}]
    await stream.stop(markdown_text=" three", blocks=blocks, metadata=META)

    assert message.ts == stream.ts
    assert (message.text, message.metadata, message.thread_ts) == ("**one** two three", META, root)
    assert [block["type"] for block in message.blocks] == ["markdown", "actions"]
    assert message.stream is not None
    assert (message.stream.is_open, message.edited) == (False, None)
    with pytest.raises(SlackApiError) as over:
        await client.chat_appendStream(channel=general, ts=message.ts, markdown_text="four")
    assert code_of(over.value) == "message_not_in_streaming_state"


async def test_tasks_are_replaced_by_id_and_their_details_grow(
    emulator: SlackEmulator, client: AsyncWebClient, general: str, root: str
) -> None:
    stream = await begin(client, general, root)
    task = {"type": "task_update", "id": "t1", "title": "Look", "status": "in_progress", "details": "a"}
    await stream.append(chunks=[task])
    await stream.append(chunks=[{**task, "status": "complete", "details": "b"}])

    shown = emulator.messages(general)[-1].blocks[-1]
    assert (shown["type"], shown["status"], shown["details"]) == ("task_card", "complete", "ab")
    with pytest.raises(SlackApiError) as wrong:
        await stream.append(chunks=[{**task, "status": "bored"}])
    assert code_of(wrong.value) == "invalid_chunks"


async def test_a_stream_ends_after_five_minutes_whatever_is_appended(
    emulator: SlackEmulator, client: AsyncWebClient, general: str, root: str, clock: Clock
) -> None:
    stream = await begin(client, general, root)
    clock.now += 299
    await stream.append(markdown_text=" two")
    clock.now += 1

    for call in (stream.append(markdown_text=" three"), stream.stop()):
        with pytest.raises(SlackApiError) as over:
            await call
        assert code_of(over.value) == "message_not_in_streaming_state"
    message = emulator.messages(general)[-1]
    assert (message.text, message.stream and message.stream.ended_by) == ("**one** two", "expiry")
    await client.chat_update(channel=general, ts=message.ts, text="one two three")
    assert message.text == "one two three"


async def test_an_open_stream_cannot_be_updated(client: AsyncWebClient, general: str, root: str) -> None:
    stream = await begin(client, general, root)

    with pytest.raises(SlackApiError) as conflict:
        await client.chat_update(channel=general, ts=str(stream.ts), text="x")

    assert code_of(conflict.value) == "streaming_state_conflict"


async def test_streams_can_be_ended_by_the_test_and_by_the_person(
    emulator: SlackEmulator, client: AsyncWebClient, general: str, root: str
) -> None:
    first = await begin(client, general, root)
    assert [one.ts for one in emulator.expire_streams()] == [first.ts]
    second = await begin(client, general, root)
    emulator.stop_session(general, root)

    for stream, code in ((first, "message_not_in_streaming_state"), (second, "stopped_by_user")):
        with pytest.raises(SlackApiError) as over:
            await stream.append(markdown_text="more")
        assert code_of(over.value) == code
    kinds = [one.payload["event"]["type"] for one in emulator.undelivered()]
    assert kinds[-1] == "agent_session_stopped"


@pytest.mark.parametrize(
    ("recipient", "code"),
    [
        ({}, "missing_recipient_user_id"),
        ({"recipient_user_id": "U0ADA"}, "missing_recipient_team_id"),
        ({"recipient_user_id": "U0BOB", "recipient_team_id": "T0000000001"}, "user_not_in_channel"),
    ],
)
async def test_in_a_channel_the_recipient_must_be_named(
    client: AsyncWebClient, general: str, root: str, recipient: dict[str, str], code: str
) -> None:
    with pytest.raises(SlackApiError) as refused:
        await client.chat_startStream(channel=general, thread_ts=root, markdown_text="a", **recipient)

    assert code_of(refused.value) == code


async def test_in_a_direct_conversation_it_need_not_be(
    emulator: SlackEmulator, client: AsyncWebClient
) -> None:
    root = emulator.say("tell me").ts

    answer = await client.chat_startStream(channel=emulator.direct(), thread_ts=root)
    await client.chat_stopStream(channel=answer["channel"], ts=answer["ts"], markdown_text="<!channel>")

    message = emulator.messages(emulator.direct())[-1]
    assert (message.text, message.mentions) == ("<!channel>", ("!channel",))


async def test_a_file_is_uploaded_in_three_steps_and_shown_in_the_thread(
    emulator: SlackEmulator, client: AsyncWebClient, general: str, root: str
) -> None:
    answer = await client.files_upload_v2(
        channel=general, thread_ts=root, filename="a.txt", content="hello", initial_comment="see"
    )

    message = emulator.messages(general)[-1]
    assert (message.text, message.subtype, message.thread_ts) == ("see", "file_share", root)
    assert [file.content for file in message.files] == [b"hello"]
    file_id = answer["file"]["id"]
    assert (await client.files_info(file=file_id))["file"]["shares"]["public"][general][0][
        "thread_ts"
    ] == root
    with pytest.raises(SlackApiError) as twice:
        await client.files_completeUploadExternal(files=[{"id": file_id, "title": "a"}], channel_id=general)
    assert code_of(twice.value) == "file_not_found"
    await client.files_delete(file=file_id)
    with pytest.raises(SlackApiError) as deleted:
        await client.files_info(file=file_id)
    assert code_of(deleted.value) == "file_deleted"


async def test_the_bytes_must_be_as_many_as_announced(
    emulator: SlackEmulator, client: AsyncWebClient
) -> None:
    opened = await client.files_getUploadURLExternal(filename="a.txt", length=5)
    async with ClientSession() as http, http.post(opened["upload_url"], data=b"hell") as response:
        assert response.status == 400

    with pytest.raises(SlackApiError) as missing:
        await client.files_completeUploadExternal(files=[{"id": opened["file_id"]}])
    assert code_of(missing.value) == "file_not_found"


async def test_a_persons_file_is_an_event_and_its_bytes_need_the_token(
    emulator: SlackEmulator, client: AsyncWebClient, general: str, http: ClientSession
) -> None:
    emulator.upload("a.png", b"\x89PNG", channel=general, text="look")

    share, shared = (one.payload["event"] for one in emulator.undelivered())
    assert (share["subtype"], shared["type"]) == ("file_share", "file_shared")
    url = share["files"][0]["url_private"]
    async with http.get(url, headers={"Authorization": f"Bearer {client.token}"}) as response:
        assert (await response.read(), response.content_type) == (b"\x89PNG", "image/png")
    async with http.get(url) as response:
        assert (response.status, response.content_type) == (200, "text/html")
    emulator.remove_scope("files:read")
    async with http.get(url, headers={"Authorization": f"Bearer {client.token}"}) as response:
        assert response.content_type == "text/html"


async def test_a_failed_upload_says_so(emulator: SlackEmulator, client: AsyncWebClient, general: str) -> None:
    emulator.faults.add("error", "upload", code=503)

    with pytest.raises(SlackRequestError, match="503"):
        await client.files_upload_v2(channel=general, filename="a.txt", content="hello")

    assert emulator.messages(general) == []
    assert client_of(emulator).token == client.token
