"""Sending, editing and reacting against the emulator: what arrives, and what each failure tells the caller."""

import asyncio

import pytest
from channel_stage import MemorySink
from slack_stage import adapter_at, make_adapter, make_emulator, room

from channels.capabilities import Idempotency, StreamMode
from channels.emulators.slack import FaultKind, Message, SlackEmulator
from channels.errors import (
    AuthLost,
    ChannelError,
    Gone,
    Permanent,
    RateLimited,
    UnknownOutcome,
    Unreachable,
)
from channels.messages import Mark, Operation, Receipt, Rendered, RoomRef
from channels.slack.adapter import SlackAdapter

OPERATION = Operation("dlv_1", attempt=1)


@pytest.fixture
def direct(emulator: SlackEmulator) -> RoomRef:
    """The thread that a first message opens in a direct conversation."""
    said = emulator.say("hello")
    return room(emulator.direct(), said.ts)


def from_bot(emulator: SlackEmulator, where: RoomRef) -> list[Message]:
    return [one for one in emulator.messages(where.room.partition("/")[2]) if one.bot is not None]


async def post(adapter: SlackAdapter, where: RoomRef, text: str = "hi") -> Receipt:
    return await adapter.send(OPERATION, where, Rendered(text))


async def test_a_rendered_answer_arrives_in_its_thread_with_its_marker(
    emulator: SlackEmulator, adapter: SlackAdapter, direct: RoomRef
) -> None:
    (content,) = adapter.render("# Hi 😀\n\n**bold** `code`\n\n```py\nx = 1\n```", direct)
    receipt = await adapter.send(OPERATION, direct, content)
    (message,) = from_bot(emulator, direct)
    assert receipt == Receipt(message.ts)
    assert message.thread_ts == direct.topic
    assert message.text == content.text
    assert [block["type"] for block in message.blocks] == ["markdown"]
    assert message.blocks[0]["text"] == content.payload["blocks"][0]["text"]
    assert message.metadata == {"event_type": "threadgate_delivery", "event_payload": {"op": "dlv_1"}}
    (call,) = emulator.calls.select("chat.postMessage")
    assert call.arguments["unfurl_links"] in ("false", "False", "0")


async def test_without_a_topic_it_arrives_in_the_channel(
    emulator: SlackEmulator, adapter: SlackAdapter
) -> None:
    channel = emulator.open_channel("general")
    await post(adapter, room(channel))
    (message,) = from_bot(emulator, room(channel))
    assert message.thread_ts is None


@pytest.mark.parametrize(
    "text", ["<!channel> look", "<@U0ADA>", "`<!here>`", "<!subteam^S012|@all>", "@here"]
)
async def test_nobody_is_called_by_what_an_agent_writes(
    emulator: SlackEmulator, adapter: SlackAdapter, direct: RoomRef, text: str
) -> None:
    for content in adapter.render(text, direct):
        await adapter.send(OPERATION, direct, content)
    assert [message.mentions for message in from_bot(emulator, direct)] == [()]


async def test_a_placeholder_becomes_the_answer_and_keeps_its_marker(
    emulator: SlackEmulator, adapter: SlackAdapter, direct: RoomRef
) -> None:
    receipt = await adapter.send(OPERATION, direct, adapter.placeholder(direct))
    (content,) = adapter.render("**done**", direct)
    assert await adapter.edit(OPERATION, direct, receipt.ref, content) == receipt
    assert await adapter.edit(OPERATION, direct, receipt.ref, content) == receipt
    (message,) = from_bot(emulator, direct)
    assert (message.text, message.blocks[0]["text"]) == (content.text, "**done**")
    assert message.metadata is not None and message.metadata["event_payload"] == {"op": "dlv_1"}


async def test_a_lost_answer_leaves_one_message_and_an_unknown_outcome(
    emulator: SlackEmulator, adapter: SlackAdapter, direct: RoomRef
) -> None:
    emulator.faults.add(FaultKind.COMMIT_THEN_DROP, "chat.postMessage")
    with pytest.raises(UnknownOutcome):
        await post(adapter, direct)
    assert len(from_bot(emulator, direct)) == 1
    assert len(emulator.calls.select("chat.postMessage")) == 1


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.REFUSE])
async def test_a_connection_cut_before_the_effect_looks_the_same_and_is_unknown_too(
    emulator: SlackEmulator, adapter: SlackAdapter, direct: RoomRef, kind: FaultKind
) -> None:
    emulator.faults.add(kind, "chat.postMessage")
    with pytest.raises(UnknownOutcome):
        await post(adapter, direct)
    assert from_bot(emulator, direct) == []


async def test_a_server_that_does_not_listen_was_certainly_not_reached() -> None:
    emulator = make_emulator()
    await emulator.start()
    url = emulator.api_url
    await emulator.stop()
    adapter = adapter_at(url)
    with pytest.raises(Unreachable):
        await post(adapter, room("D1"))
    await adapter.stop()


async def test_a_stopped_adapter_sends_nothing_for_certain(
    emulator: SlackEmulator, adapter: SlackAdapter, direct: RoomRef
) -> None:
    await adapter.stop()
    with pytest.raises(Unreachable):
        await post(adapter, direct)
    assert from_bot(emulator, direct) == []


async def test_a_rate_limit_says_how_long_and_what_for(
    emulator: SlackEmulator, adapter: SlackAdapter, direct: RoomRef
) -> None:
    emulator.faults.add(FaultKind.RATE_LIMIT, "chat.postMessage", retry_after_s=7)
    with pytest.raises(RateLimited) as raised:
        await post(adapter, direct)
    assert (raised.value.after_s, raised.value.scope) == (7.0, "room")
    assert from_bot(emulator, direct) == []
    emulator.faults.add(FaultKind.RATE_LIMIT, "reactions.add", retry_after_s=3)
    with pytest.raises(RateLimited) as raised:
        await adapter.react(direct, str(direct.topic), Mark.SEEN)
    assert (raised.value.after_s, raised.value.scope) == (3.0, "account")


@pytest.mark.parametrize("code", [500, 502, 503, 504])
async def test_a_server_error_leaves_the_outcome_unknown(
    emulator: SlackEmulator, adapter: SlackAdapter, direct: RoomRef, code: int
) -> None:
    emulator.faults.add(FaultKind.ERROR, "chat.postMessage", code=code, description="<html>")
    with pytest.raises(UnknownOutcome):
        await post(adapter, direct)


@pytest.mark.parametrize("code", ["channel_not_found", "not_in_channel"])
async def test_a_room_that_is_not_there_is_gone(
    emulator: SlackEmulator, adapter: SlackAdapter, code: str
) -> None:
    channel = "C404" if code == "channel_not_found" else emulator.open_channel("others", with_bots=False)
    with pytest.raises(Gone, match=code):
        await post(adapter, room(channel))


async def test_a_message_that_was_deleted_is_gone(
    emulator: SlackEmulator, adapter: SlackAdapter, direct: RoomRef
) -> None:
    with pytest.raises(Gone):
        await adapter.edit(OPERATION, direct, "1.000001", Rendered("hi"))
    with pytest.raises(Gone):
        await adapter.edit(OPERATION, direct, "file:F1", Rendered("hi"))
    with pytest.raises(Gone):
        await adapter.react(direct, "1.000001", Mark.DONE)


async def test_what_slack_refuses_will_never_be_taken(
    emulator: SlackEmulator, adapter: SlackAdapter, direct: RoomRef
) -> None:
    emulator.remove_scope("chat:write")
    with pytest.raises(Permanent, match="missing_scope") as raised:
        await post(adapter, direct)
    assert not isinstance(raised.value, Gone)
    assert any(missing.startswith("chat:write") for missing in adapter.health().missing)


@pytest.mark.parametrize("kind", ["revoked", "uninstalled", "wrong"])
async def test_a_token_that_no_longer_works_is_auth_lost_and_shows(
    emulator: SlackEmulator, sink: MemorySink, direct: RoomRef, kind: str
) -> None:
    adapter = make_adapter(emulator, bot_token="xoxb-wrong" if kind == "wrong" else "xoxb-emulated-1")
    if kind == "revoked":
        emulator.revoke_token()
    elif kind == "uninstalled":
        emulator.uninstall()
    with pytest.raises(AuthLost) as raised:
        await post(adapter, direct)
    assert "xoxb" not in str(raised.value)
    assert "bot_token" in (adapter.health().detail or "")
    with pytest.raises(AuthLost):
        await adapter.probe()
    await adapter.stop()


async def test_probing_tells_which_scopes_are_missing(emulator: SlackEmulator, adapter: SlackAdapter) -> None:
    emulator.remove_scope("files:read")
    emulator.remove_scope("reactions:write")
    await adapter.probe()
    assert [one.partition(":")[0] for one in adapter.health().missing] == ["files", "reactions"]
    emulator.faults.add(FaultKind.DROP, "auth.test")
    with pytest.raises(ChannelError):
        await adapter.probe()


async def test_one_mark_replaces_the_other(
    emulator: SlackEmulator, adapter: SlackAdapter, direct: RoomRef
) -> None:
    assert direct.topic is not None
    shown = emulator.messages(direct.room.partition("/")[2])[0].reactions
    for mark, names in ((Mark.SEEN, ["eyes"]), (Mark.DONE, ["white_check_mark"]), (Mark.FAILED, ["warning"])):
        await adapter.react(direct, direct.topic, mark)
        await adapter.react(direct, direct.topic, mark)
        assert list(shown) == names
    await adapter.react(direct, direct.topic, None)
    await adapter.react(direct, direct.topic, None)
    assert shown == {}


async def test_a_mark_from_before_a_restart_is_replaced_too(
    emulator: SlackEmulator, adapter: SlackAdapter, direct: RoomRef
) -> None:
    assert direct.topic is not None
    await adapter.react(direct, direct.topic, Mark.SEEN)
    other = make_adapter(emulator)
    await other.react(direct, direct.topic, Mark.DONE)
    shown = emulator.messages(direct.room.partition("/")[2])[0].reactions
    assert list(shown) == ["white_check_mark"]
    await other.stop()


async def test_sends_to_many_rooms_at_once_each_arrive_once(
    emulator: SlackEmulator, adapter: SlackAdapter
) -> None:
    rooms = [room(emulator.open_channel(f"room-{number}")) for number in range(30)]
    await asyncio.gather(*(post(adapter, one) for one in rooms))
    assert [len(from_bot(emulator, one)) for one in rooms] == [1] * 30


def test_what_a_room_can_do(adapter: SlackAdapter) -> None:
    inside, outside = adapter.capabilities(room("D1", "1.000001")), adapter.capabilities(room("D1"))
    assert inside.idempotency is Idempotency.READBACK
    assert (inside.stream, outside.stream) == (StreamMode.NATIVE, StreamMode.EDIT)
    assert inside.stream_max_s is not None and inside.stream_max_s < 240
    assert inside.typing_refresh_s is not None and inside.typing_refresh_s < 120
    assert outside.typing_refresh_s is None
    assert inside.reactions and inside.actions_max == 25 and inside.file_max_bytes > 0


def test_every_part_of_an_answer_is_within_the_limit(adapter: SlackAdapter) -> None:
    where = room("D1")
    parts = adapter.render("word " * 10_000, where)
    assert len(parts) > 3
    assert all(
        len(part.payload["blocks"][0]["text"]) <= adapter.capabilities(where).text_max for part in parts
    )
