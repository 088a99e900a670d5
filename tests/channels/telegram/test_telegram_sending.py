"""Sending and editing against the emulator: what arrives, and what each failure tells the caller."""

import pytest
from channel_stage import MemorySink
from telegram.request import HTTPXRequest
from telegram_stage import ADA, GATE, make_adapter, make_emulator

from channels.capabilities import TextUnit
from channels.emulators.telegram import FaultKind, Message, TelegramEmulator
from channels.errors import (
    AuthLost,
    ChannelError,
    Gone,
    Permanent,
    RateLimited,
    UnknownOutcome,
    Unreachable,
)
from channels.messages import Finding, Mark, Operation, OutboundFile, Receipt, Reconciled, Rendered, RoomRef
from channels.telegram.adapter import TelegramAdapter
from channels.text import utf16_length

OPERATION = Operation("dlv_1", attempt=1)
FORUM = -1_000_000_000_500
GROUP = RoomRef("-500")


@pytest.fixture(autouse=True)
def introduced(emulator: TelegramEmulator) -> None:
    """Bots cannot write first: a person has."""
    emulator.say("hello")


def from_bot(emulator: TelegramEmulator, chat_id: int = 1001) -> list[Message]:
    return [message for message in emulator.messages(chat_id) if message.sender == GATE]


async def post(adapter: TelegramAdapter, text: str = "hi") -> Receipt:
    return await adapter.send(OPERATION, ADA, Rendered(text))


async def test_a_rendered_answer_arrives_with_its_styles(
    emulator: TelegramEmulator, adapter: TelegramAdapter
) -> None:
    (content,) = adapter.render("# Hi 😀\n\n**bold** `code` [link](http://x)\n\n```py\nx = 1\n```", ADA)
    receipt = await adapter.send(OPERATION, ADA, content)
    (message,) = from_bot(emulator)
    assert receipt == Receipt(str(message.id))
    assert message.text == content.text
    assert message.entities == content.payload["entities"]


async def test_long_answers_arrive_in_parts_and_whole(
    emulator: TelegramEmulator, adapter: TelegramAdapter
) -> None:
    words = [f"word{number}" for number in range(3000)]
    for content in adapter.render(" ".join(words), ADA):
        await adapter.send(OPERATION, ADA, content)
    assert " ".join(message.text for message in from_bot(emulator)).split() == words


async def test_a_name_in_an_answer_is_no_mention_when_it_arrives(
    emulator: TelegramEmulator, adapter: TelegramAdapter
) -> None:
    (content,) = adapter.render("ask @somebody or **@somebody**", ADA)
    await adapter.send(OPERATION, ADA, content)
    (message,) = from_bot(emulator)
    assert [entity["type"] for entity in message.entities] == ["bold"]


async def test_a_topic_is_answered_in_the_topic(emulator: TelegramEmulator, adapter: TelegramAdapter) -> None:
    emulator.say("@gate_bot hi", chat_id=FORUM, message_thread_id=77)
    room = RoomRef(str(FORUM), "77")
    await adapter.send(OPERATION, room, Rendered("in the topic"))
    await adapter.show_typing(room)
    assert [message.thread_id for message in from_bot(emulator, FORUM)] == [77]


async def test_a_placeholder_becomes_the_answer(emulator: TelegramEmulator, adapter: TelegramAdapter) -> None:
    receipt = await adapter.send(OPERATION, ADA, adapter.placeholder(ADA))
    (content,) = adapter.render("**done**", ADA)
    assert await adapter.edit(OPERATION, ADA, receipt.ref, content) == receipt
    (message,) = from_bot(emulator)
    assert (message.text, message.entities[0]["type"]) == ("done", "bold")


async def test_an_edit_that_changes_nothing_is_a_success(
    emulator: TelegramEmulator, adapter: TelegramAdapter
) -> None:
    receipt = await post(adapter, "same")
    assert await adapter.edit(OPERATION, ADA, receipt.ref, Rendered("same")) == receipt
    assert emulator.calls.select("editMessageText")[0].status == 400


async def test_a_lost_answer_leaves_one_message_and_an_unknown_outcome(
    emulator: TelegramEmulator, adapter: TelegramAdapter
) -> None:
    emulator.faults.add(FaultKind.COMMIT_THEN_DROP, "sendMessage")
    with pytest.raises(UnknownOutcome):
        await post(adapter)
    assert len(from_bot(emulator)) == 1
    assert len(emulator.calls.select("sendMessage")) == 1


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.REFUSE])
async def test_a_connection_cut_before_the_effect_looks_the_same_and_is_unknown_too(
    emulator: TelegramEmulator, adapter: TelegramAdapter, kind: FaultKind
) -> None:
    emulator.faults.add(kind, "sendMessage")
    with pytest.raises(UnknownOutcome):
        await post(adapter)
    assert from_bot(emulator) == []


async def test_a_server_that_does_not_listen_was_certainly_not_reached() -> None:
    emulator = make_emulator()
    await emulator.start()
    url = emulator.url
    await emulator.stop()
    adapter = make_adapter(url)
    with pytest.raises(Unreachable):
        await post(adapter)
    await adapter.stop()


async def test_a_rate_limit_says_how_long_and_for_which_room(
    emulator: TelegramEmulator, adapter: TelegramAdapter
) -> None:
    emulator.faults.add(FaultKind.RATE_LIMIT, "sendMessage", retry_after_s=7)
    with pytest.raises(RateLimited) as raised:
        await post(adapter)
    assert (raised.value.after_s, raised.value.scope) == (7.0, "room")
    assert from_bot(emulator) == []


@pytest.mark.parametrize(
    ("code", "description", "error"),
    [
        (400, "Bad Request: chat not found", Gone),
        (400, "Bad Request: message thread not found", Gone),
        (400, "Bad Request: TOPIC_DELETED", Gone),
        (403, "Forbidden: bot was blocked by the user", Gone),
        (400, "Bad Request: not enough rights to send text messages to the chat", Permanent),
        (401, "Unauthorized", AuthLost),
        (404, "Not Found", AuthLost),
        (500, "Internal Server Error", UnknownOutcome),
        (502, "Bad Gateway", UnknownOutcome),
    ],
)
async def test_what_a_refusal_means(
    emulator: TelegramEmulator,
    adapter: TelegramAdapter,
    code: int,
    description: str,
    error: type[ChannelError],
) -> None:
    emulator.faults.add(FaultKind.ERROR, "sendMessage", code=code, description=description)
    with pytest.raises(error) as raised:
        await post(adapter)
    assert type(raised.value) is error
    assert description.split(": ")[-1].lower() in str(raised.value).lower()


async def test_a_room_nobody_knows_is_gone(adapter: TelegramAdapter) -> None:
    with pytest.raises(Gone):
        await adapter.send(OPERATION, RoomRef("999"), Rendered("hi"))


async def test_a_message_that_was_deleted_is_gone(adapter: TelegramAdapter) -> None:
    with pytest.raises(Gone):
        await adapter.edit(OPERATION, ADA, "999", Rendered("hi"))


async def test_a_text_telegram_refuses_will_never_be_taken(adapter: TelegramAdapter) -> None:
    with pytest.raises(Permanent) as raised:
        await post(adapter, "x" * 4097)
    assert not isinstance(raised.value, Gone)


async def test_an_answer_that_cannot_be_read_leaves_the_outcome_unknown(
    emulator: TelegramEmulator, adapter: TelegramAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(*_: object, **__: object) -> tuple[int, bytes]:
        return 200, b'{"ok": true, "result": {"message_id": 1}}'

    monkeypatch.setattr(HTTPXRequest, "do_request", answer)
    with pytest.raises(UnknownOutcome, match="unreadable answer"):
        await post(adapter)


async def test_a_stopped_adapter_sends_nothing_for_certain(
    emulator: TelegramEmulator, adapter: TelegramAdapter
) -> None:
    await adapter.stop()
    with pytest.raises(Unreachable):
        await post(adapter)
    assert from_bot(emulator) == []


async def test_sending_works_while_a_long_poll_waits(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    await adapter.start(sink)
    await post(adapter)
    assert len(from_bot(emulator)) == 1


async def test_every_part_of_an_answer_is_within_the_limit_of_its_room(adapter: TelegramAdapter) -> None:
    limits = adapter.capabilities(ADA)
    parts = adapter.render("😀" * 5000, ADA)
    assert limits.text_unit is TextUnit.UTF16
    assert [utf16_length(part.text) <= limits.text_max for part in parts] == [True] * 3


async def test_what_became_of_a_send_cannot_be_known(adapter: TelegramAdapter) -> None:
    assert await adapter.reconcile(OPERATION, ADA, Rendered("x")) == Reconciled(Finding.UNKNOWABLE)


# --- groups that move -------------------------------------------------------------------------------


async def test_a_group_that_became_another_chat_is_answered_there(
    emulator: TelegramEmulator, adapter: TelegramAdapter
) -> None:
    emulator.say("@gate_bot hi", chat_id=-500)
    new_id = emulator.migrate(-500)
    receipt = await adapter.send(OPERATION, GROUP, adapter.placeholder(GROUP))
    await adapter.edit(OPERATION, GROUP, receipt.ref, Rendered("the answer"))
    await adapter.react(GROUP, receipt.ref, Mark.DONE)
    await adapter.show_typing(GROUP)
    file = await adapter.upload(OPERATION, GROUP, Rendered(""), OutboundFile("a.txt", "text/plain", b"a"))
    answer, uploaded = (message for message in from_bot(emulator, new_id) if message.service is None)
    assert receipt.ref == f"{new_id}/{answer.id}"
    assert file.ref == f"{new_id}/{uploaded.id}"
    assert (answer.text, answer.reactions) == ("the answer", {GATE.id: ["👍"]})


async def test_a_message_from_before_the_move_is_gone_so_that_the_answer_is_posted_anew(
    emulator: TelegramEmulator, adapter: TelegramAdapter
) -> None:
    emulator.say("@gate_bot hi", chat_id=-500)
    receipt = await adapter.send(OPERATION, GROUP, adapter.placeholder(GROUP))
    new_id = emulator.migrate(-500)
    with pytest.raises(Gone, match=str(new_id)):
        await adapter.edit(OPERATION, GROUP, receipt.ref, Rendered("the answer"))


async def test_an_answer_lost_behind_the_move_is_unknown(
    emulator: TelegramEmulator, adapter: TelegramAdapter
) -> None:
    emulator.say("@gate_bot hi", chat_id=-500)
    new_id = emulator.migrate(-500)
    # The first call goes as it goes: it is refused with the new id. The second one is the one that breaks.
    emulator.faults.add(FaultKind.SLOW, "sendMessage", delay_s=0.0)
    emulator.faults.add(FaultKind.COMMIT_THEN_DROP, "sendMessage")
    with pytest.raises(UnknownOutcome):
        await adapter.send(OPERATION, GROUP, Rendered("hi"))
    assert [message.text for message in from_bot(emulator, new_id) if message.service is None] == ["hi"]


# --- reactions --------------------------------------------------------------------------------------


async def test_a_mark_is_the_only_reaction_and_can_be_taken_away(
    emulator: TelegramEmulator, adapter: TelegramAdapter
) -> None:
    (message,) = emulator.messages(1001)
    for mark, shown in (
        (Mark.SEEN, ["👀"]),
        (Mark.DONE, ["👍"]),
        (Mark.FAILED, ["😢"]),
        (Mark.FAILED, ["😢"]),
    ):
        await adapter.react(ADA, str(message.id), mark)
        assert message.reactions == {GATE.id: shown}
    await adapter.react(ADA, str(message.id), None)
    assert message.reactions == {}


async def test_a_message_that_is_gone_takes_no_mark(adapter: TelegramAdapter) -> None:
    with pytest.raises(Gone):
        await adapter.react(ADA, "999", Mark.SEEN)
