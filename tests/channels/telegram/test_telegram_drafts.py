"""Drafts against the emulator: a preview in private chats, and edits where there is none."""

import pytest
from channel_stage import MemorySink
from telegram_stage import ADA, GATE, make_adapter

from channels.capabilities import StreamMode
from channels.emulators.telegram import BotAccount, FaultKind, TelegramEmulator
from channels.errors import AuthLost, RateLimited, StreamEnded, UnknownOutcome
from channels.messages import Operation, Rendered, RoomRef
from channels.telegram.adapter import TelegramAdapter

OPERATION = Operation("run_1", attempt=1)
GROUP = RoomRef("-500")


@pytest.fixture(autouse=True)
def introduced(emulator: TelegramEmulator) -> None:
    """Bots cannot write first: a person has."""
    emulator.say("hello")


async def test_a_draft_grows_and_vanishes_with_the_answer(
    emulator: TelegramEmulator, adapter: TelegramAdapter
) -> None:
    assert adapter.capabilities(ADA).stream is StreamMode.DRAFT
    for text in ("**on", "**one** t", "**one** two"):
        await adapter.draft(OPERATION, ADA, adapter.render(text, ADA)[-1])
    draft = emulator.draft(1001)
    assert draft is not None
    assert (draft.content.text, draft.versions) == ("one two", 3)
    assert draft.content.entities == [{"type": "bold", "offset": 0, "length": 3}]
    assert [message.sender for message in emulator.messages(1001) if message.sender == GATE] == []
    await adapter.send(OPERATION, ADA, adapter.placeholder(ADA))
    assert emulator.draft(1001) is None


async def test_another_answer_is_another_draft(emulator: TelegramEmulator, adapter: TelegramAdapter) -> None:
    await adapter.draft(OPERATION, ADA, Rendered("one"))
    await adapter.draft(Operation("run_2", attempt=1), ADA, Rendered("two"))
    draft = emulator.draft(1001)
    assert draft is not None and (draft.content.text, draft.versions) == ("two", 1)


async def test_groups_have_no_drafts_and_that_says_nothing_about_private_chats(
    emulator: TelegramEmulator, adapter: TelegramAdapter
) -> None:
    assert adapter.capabilities(GROUP).stream is StreamMode.EDIT
    with pytest.raises(StreamEnded):
        await adapter.draft(OPERATION, GROUP, Rendered("one"))
    assert emulator.calls.select("sendMessageDraft") == []
    assert adapter.capabilities(ADA).stream is StreamMode.DRAFT


async def test_a_bot_that_may_not_show_drafts_goes_on_with_edits() -> None:
    bot = BotAccount(GATE.token, GATE.id, "gate_bot", may_stream_drafts=False)
    async with TelegramEmulator([bot]) as emulator:
        emulator.say("hello")
        adapter = make_adapter(emulator.url)
        with pytest.raises(StreamEnded):
            await adapter.draft(OPERATION, ADA, Rendered("one"))
        assert adapter.capabilities(ADA).stream is StreamMode.EDIT
        await adapter.stop()


async def test_a_server_without_the_method_is_no_refused_token(
    emulator: TelegramEmulator, adapter: TelegramAdapter
) -> None:
    emulator.faults.add(FaultKind.ERROR, "sendMessageDraft", code=404, description="Not Found")
    with pytest.raises(StreamEnded):
        await adapter.draft(OPERATION, ADA, Rendered("one"))
    assert adapter.capabilities(ADA).stream is StreamMode.EDIT


async def test_a_refused_token_is_one_here_too(emulator: TelegramEmulator, adapter: TelegramAdapter) -> None:
    emulator.faults.add(FaultKind.ERROR, "sendMessageDraft", code=401, description="Unauthorized")
    with pytest.raises(AuthLost):
        await adapter.draft(OPERATION, ADA, Rendered("one"))
    assert adapter.capabilities(ADA).stream is StreamMode.DRAFT


@pytest.mark.parametrize(
    ("kind", "error"), [(FaultKind.RATE_LIMIT, RateLimited), (FaultKind.DROP, UnknownOutcome)]
)
async def test_a_draft_that_stumbles_is_no_end_of_drafts(
    emulator: TelegramEmulator, adapter: TelegramAdapter, kind: FaultKind, error: type[Exception]
) -> None:
    emulator.faults.add(kind, "sendMessageDraft")
    with pytest.raises(error):
        await adapter.draft(OPERATION, ADA, Rendered("one"))
    await adapter.draft(OPERATION, ADA, Rendered("one"))
    draft = emulator.draft(1001)
    assert draft is not None and draft.content.text == "one"


async def test_a_draft_goes_to_the_topic_of_a_private_chat(sink: MemorySink) -> None:
    bot = BotAccount(GATE.token, GATE.id, "gate_bot", has_topics=True, users_create_topics=True)
    async with TelegramEmulator([bot]) as emulator:
        emulator.say("hello")
        topic = emulator.open_topic(1001, "Plans")
        adapter = make_adapter(emulator.url)
        await adapter.draft(OPERATION, RoomRef("1001", str(topic.id)), Rendered("one"))
        draft = emulator.draft(1001)
        assert draft is not None and draft.thread_id == topic.id
        await adapter.stop()
