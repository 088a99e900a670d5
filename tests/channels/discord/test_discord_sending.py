"""Sending, editing, reacting and uploading against the emulator: what arrives, and what failures tell."""

import time
from collections.abc import AsyncIterator

import pytest
from channel_stage import MemorySink, until
from discord_stage import (
    GATE,
    GENERAL,
    GUILD_ID,
    MENTION,
    from_bot,
    is_connected,
    make_adapter,
    make_emulator,
)

from channels.discord.adapter import DiscordAdapter
from channels.discord.rest import Refused
from channels.emulators.discord import (
    DEFAULT_CHANNEL,
    DiscordEmulator,
    FaultKind,
    Permission,
    RateLimits,
)
from channels.errors import (
    AuthLost,
    ChannelError,
    Gone,
    RateLimited,
    TooLarge,
    UnknownOutcome,
    Unreachable,
)
from channels.messages import (
    Action,
    Card,
    Finding,
    Mark,
    Operation,
    OutboundFile,
    Receipt,
    Rendered,
    RoomRef,
)

ROOM = DEFAULT_CHANNEL.id
SEND = "POST /channels/{c}/messages"
OPEN_THREAD = "POST /channels/{c}/messages/{m}/threads"
LONG_AGO_MS = 60 * 60 * 1000
FILE = OutboundFile("result.txt", "text/plain", b"42")


def operation(name: str = "dlv_1", age_ms: int = 0) -> Operation:
    return Operation(name, attempt=1, attempted_at_ms=time.time_ns() // 1_000_000 - age_ms)


async def post(adapter: DiscordAdapter, text: str = "hi", name: str = "dlv_1") -> Receipt:
    return await adapter.send(operation(name), GENERAL, Rendered(text))


async def test_an_answer_arrives_and_calls_nobody(emulator: DiscordEmulator, adapter: DiscordAdapter) -> None:
    (content,) = adapter.render("**bold** @everyone <@930000000000000001>", GENERAL)
    receipt = await adapter.send(operation(), GENERAL, content)
    (message,) = from_bot(emulator)
    assert receipt == Receipt(str(message.id))
    assert message.content == content.text
    assert (message.mentions.everyone, list(message.mentions.users)) == (False, [])


async def test_long_answers_arrive_in_parts_and_whole(
    emulator: DiscordEmulator, adapter: DiscordAdapter
) -> None:
    words = [f"word{number}" for number in range(1000)]
    for number, content in enumerate(adapter.render(" ".join(words), GENERAL)):
        await adapter.send(operation(f"dlv_{number}"), GENERAL, content)
    assert " ".join(message.content for message in from_bot(emulator)).split() == words


async def test_a_repeated_send_is_one_message(emulator: DiscordEmulator, adapter: DiscordAdapter) -> None:
    first = await post(adapter)
    assert await post(adapter) == first
    assert await post(adapter, name="dlv_2") != first
    assert len(from_bot(emulator)) == 2


async def test_an_answer_lost_after_the_effect_and_sent_again_is_one_message(
    emulator: DiscordEmulator, adapter: DiscordAdapter
) -> None:
    emulator.faults.add(FaultKind.COMMIT_THEN_DROP, SEND)
    with pytest.raises(UnknownOutcome):
        await post(adapter)
    assert (await adapter.reconcile(operation(), GENERAL, Rendered("hi"))).finding is Finding.ABSENT
    receipt = await post(adapter)
    assert [str(message.id) for message in from_bot(emulator)] == [receipt.ref]


async def test_what_another_attempt_said_is_told_as_deduplicated(
    emulator: DiscordEmulator, adapter: DiscordAdapter
) -> None:
    first = await adapter.send(operation(), GENERAL, adapter.placeholder(GENERAL))
    (answer,) = adapter.render("the **answer**", GENERAL)
    again = await adapter.send(operation(), GENERAL, answer)
    assert (first.certainty, again.certainty) == ("confirmed", "deduplicated")
    assert again.ref == first.ref
    await adapter.edit(operation(), GENERAL, again.ref, answer)
    assert (await adapter.send(operation(), GENERAL, answer)).certainty == "confirmed"
    assert len(from_bot(emulator)) == 1


async def test_a_message_deleted_before_it_is_sent_again_is_gone(
    emulator: DiscordEmulator, adapter: DiscordAdapter
) -> None:
    receipt = await post(adapter)
    emulator.delete(ROOM, int(receipt.ref))
    with pytest.raises(Gone):
        await post(adapter)


async def test_a_placeholder_becomes_the_answer(emulator: DiscordEmulator, adapter: DiscordAdapter) -> None:
    receipt = await adapter.send(operation(), GENERAL, adapter.placeholder(GENERAL))
    (content,) = adapter.render("**done**", GENERAL)
    for _ in range(2):
        assert await adapter.edit(operation(), GENERAL, receipt.ref, content) == receipt
    (message,) = from_bot(emulator)
    assert message.content == "**done**"


# --- threads --------------------------------------------------------------------------------------


async def test_answering_a_mention_opens_its_thread_once(
    emulator: DiscordEmulator, adapter: DiscordAdapter
) -> None:
    said = emulator.say(f"{MENTION} what is the answer?")
    room = RoomRef(str(ROOM), str(said.id))
    await adapter.show_typing(room)
    receipt = await adapter.send(operation(), room, Rendered("42"))
    await adapter.edit(operation(), room, receipt.ref, Rendered("43"))
    await adapter.send(operation("dlv_2"), room, Rendered("no, 42"))
    assert from_bot(emulator) == []
    assert [one.content for one in from_bot(emulator, said.id)] == ["43", "no, 42"]
    assert emulator.world.channels[said.id].name == "what is the answer?"
    assert len(emulator.calls.select(OPEN_THREAD)) == 1


async def test_a_thread_that_exists_already_is_used(
    emulator: DiscordEmulator, adapter: DiscordAdapter
) -> None:
    said = emulator.say(f"{MENTION} hello")
    emulator.start_thread("somebody's", message_id=said.id)
    await adapter.send(operation(), RoomRef(str(ROOM), str(said.id)), Rendered("hi"))
    assert [one.content for one in from_bot(emulator, said.id)] == ["hi"]


async def test_a_thread_opened_by_somebody_else_in_the_same_moment_is_used(
    emulator: DiscordEmulator, adapter: DiscordAdapter
) -> None:
    said = emulator.say(f"{MENTION} hello")
    room = RoomRef(str(ROOM), str(said.id))
    emulator.faults.add(FaultKind.COMMIT_THEN_DROP, OPEN_THREAD)
    with pytest.raises(UnknownOutcome):
        await adapter.send(operation(), room, Rendered("hi"))
    emulator.faults.add(
        FaultKind.ERROR, OPEN_THREAD, code=400, description="160004: A thread has already been created"
    )
    await adapter.send(operation(), room, Rendered("hi"))
    assert [one.content for one in from_bot(emulator, said.id)] == ["hi"]


async def test_a_thread_without_a_starter_is_written_into(
    emulator: DiscordEmulator, adapter: DiscordAdapter
) -> None:
    thread = emulator.start_thread("free")
    await adapter.send(operation(), RoomRef(str(ROOM), str(thread.id)), Rendered("hi"))
    assert [one.content for one in from_bot(emulator, thread.id)] == ["hi"]


async def test_a_thread_whose_message_is_gone_cannot_be_opened(
    emulator: DiscordEmulator, adapter: DiscordAdapter
) -> None:
    said = emulator.say(f"{MENTION} hello")
    emulator.delete(ROOM, said.id)
    with pytest.raises(Gone):
        await adapter.send(operation(), RoomRef(str(ROOM), str(said.id)), Rendered("hi"))


async def test_an_answer_in_a_thread_that_was_hidden_meanwhile_is_still_edited(
    emulator: DiscordEmulator, adapter: DiscordAdapter
) -> None:
    thread = emulator.start_thread("talk")
    room = RoomRef(str(ROOM), str(thread.id))
    receipt = await adapter.send(operation(), room, Rendered("…"))
    emulator.moderation.change_thread(thread.id, archived=True)
    await adapter.edit(operation(), room, receipt.ref, Rendered("done"))
    assert [one.content for one in from_bot(emulator, thread.id)] == ["done"]
    emulator.moderation.change_thread(thread.id, archived=True)
    await adapter.send(operation("dlv_2"), room, Rendered("more"))
    emulator.moderation.change_thread(thread.id, archived=True, locked=True)
    with pytest.raises(Refused):
        await adapter.edit(operation(), room, receipt.ref, Rendered("too late"))


# --- reconciling beyond the nonce -----------------------------------------------------------------


async def test_a_message_of_long_ago_is_found_by_what_it_says(
    emulator: DiscordEmulator, adapter: DiscordAdapter
) -> None:
    receipt = await post(adapter)
    emulator.say("hi")
    found = await adapter.reconcile(operation(age_ms=LONG_AGO_MS), GENERAL, Rendered("hi"))
    assert (found.finding, found.receipt) == (Finding.FOUND, Receipt(receipt.ref, "deduplicated"))
    other = await adapter.reconcile(operation(age_ms=LONG_AGO_MS), GENERAL, Rendered("something else"))
    assert other.finding is Finding.ABSENT


async def test_a_message_of_another_operation_is_not_taken_for_the_lost_one(
    emulator: DiscordEmulator, adapter: DiscordAdapter
) -> None:
    await post(adapter, "…", name="dlv_other")
    found = await adapter.reconcile(operation(age_ms=LONG_AGO_MS), GENERAL, Rendered("…"))
    assert found.finding is Finding.ABSENT


async def test_a_card_of_long_ago_is_found_by_its_buttons(
    emulator: DiscordEmulator, adapter: DiscordAdapter
) -> None:
    cards = [
        adapter.card(Card("Run it?", "`make`", (Action(f"apr_{number}:yes", "Yes"),)), GENERAL)
        for number in range(2)
    ]
    receipts = [
        await adapter.send(operation(f"dlv_{number}"), GENERAL, card) for number, card in enumerate(cards)
    ]
    after_a_restart = make_adapter(emulator)
    for card, receipt in zip(cards, receipts, strict=True):
        found = await after_a_restart.reconcile(operation(age_ms=LONG_AGO_MS), GENERAL, card)
        assert found.receipt is not None and found.receipt.ref == receipt.ref
    await after_a_restart.stop()


async def test_nothing_is_found_in_a_thread_that_was_never_opened(
    emulator: DiscordEmulator, adapter: DiscordAdapter
) -> None:
    said = emulator.say(f"{MENTION} hello")
    room = RoomRef(str(ROOM), str(said.id))
    found = await adapter.reconcile(operation(age_ms=LONG_AGO_MS), room, Rendered("hi"))
    assert found.finding is Finding.ABSENT


async def test_a_history_that_may_not_be_read_answers_nothing(
    emulator: DiscordEmulator, adapter: DiscordAdapter
) -> None:
    await post(adapter)
    emulator.moderation.set_permissions(ROOM, deny=Permission.READ_MESSAGE_HISTORY)
    hidden = await adapter.reconcile(operation(age_ms=LONG_AGO_MS), GENERAL, Rendered("hi"))
    emulator.moderation.set_permissions(ROOM, deny=Permission.VIEW_CHANNEL)
    blind = await adapter.reconcile(operation(age_ms=LONG_AGO_MS), GENERAL, Rendered("hi"))
    assert (hidden.finding, blind.finding) == (Finding.UNKNOWABLE, Finding.UNKNOWABLE)


async def test_a_question_that_fails_stays_open(emulator: DiscordEmulator, adapter: DiscordAdapter) -> None:
    emulator.faults.add(FaultKind.ERROR, "GET /channels/{c}/messages", code=503)
    with pytest.raises(UnknownOutcome):
        await adapter.reconcile(operation(age_ms=LONG_AGO_MS), GENERAL, Rendered("hi"))


# --- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "description", "expected"),
    [
        (401, "401: Unauthorized", AuthLost),
        (403, "50001: Missing Access", Gone),
        (403, "50013: Missing Permissions", Refused),
        (403, "50007: Cannot send messages to this user", Refused),
        (400, "50083: Thread is archived", Refused),
        (404, "10003: Unknown Channel", Gone),
        (404, "10008: Unknown Message", Gone),
        (400, "50035: Invalid Form Body", Refused),
        (413, "40005: Request entity too large", TooLarge),
        (400, "30046: Maximum number of edits reached", RateLimited),
        (503, "upstream connect error", UnknownOutcome),
    ],
)
async def test_refusals_say_what_may_be_done_next(
    emulator: DiscordEmulator,
    adapter: DiscordAdapter,
    code: int,
    description: str,
    expected: type[ChannelError],
) -> None:
    emulator.faults.add(FaultKind.ERROR, SEND, code=code, description=description)
    with pytest.raises(ChannelError) as raised:
        await post(adapter)
    assert isinstance(raised.value, expected)
    assert GATE.token not in str(raised.value)


async def test_a_rate_limit_is_reported_and_not_waited_for(
    emulator: DiscordEmulator, adapter: DiscordAdapter
) -> None:
    emulator.faults.add(FaultKind.RATE_LIMIT, SEND, retry_after_s=7)
    began = time.monotonic()
    with pytest.raises(RateLimited) as limited:
        await post(adapter)
    assert (limited.value.after_s, limited.value.scope) == (7.0, "room")
    assert time.monotonic() - began < 1.0
    assert len(emulator.calls.select(SEND)) == 1
    await post(adapter)


async def test_an_exhausted_bucket_is_reported_before_it_is_asked_and_answers_are_not_held_back() -> None:
    async with DiscordEmulator([GATE], rate_limits=RateLimits(sends=2, sends_window_s=30.0)) as emulator:
        adapter = make_adapter(emulator)
        began = time.monotonic()
        for number in range(2):
            await post(adapter, name=f"dlv_{number}")
        with pytest.raises(RateLimited) as limited:
            await post(adapter, name="dlv_3")
        assert time.monotonic() - began < 2.0
        assert limited.value.scope == "room" and 20 < limited.value.after_s <= 30
        assert len(emulator.calls.select(SEND)) == 2
        await adapter.stop()


async def test_the_limit_of_the_whole_bot_is_the_accounts() -> None:
    async with DiscordEmulator([GATE], rate_limits=RateLimits(total_per_s=2)) as emulator:
        adapter = make_adapter(emulator)
        with pytest.raises(RateLimited) as limited:
            for number in range(4):
                await post(adapter, name=f"dlv_{number}")
        assert limited.value.scope == "account"
        await adapter.stop()


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.REFUSE])
async def test_a_connection_cut_before_the_effect_looks_the_same_and_is_unknown_too(
    emulator: DiscordEmulator, adapter: DiscordAdapter, kind: FaultKind
) -> None:
    await adapter.probe()
    emulator.faults.add(kind, SEND)
    with pytest.raises(UnknownOutcome):
        await post(adapter)
    assert from_bot(emulator) == []


async def test_a_slow_answer_is_given_up_as_unknown(emulator: DiscordEmulator) -> None:
    adapter = make_adapter(emulator, request_timeout_s=0.3)
    await adapter.probe()
    emulator.faults.add(FaultKind.SLOW, SEND, delay_s=5.0)
    with pytest.raises(UnknownOutcome):
        await post(adapter)
    await adapter.stop()


async def test_nothing_was_sent_when_already_the_login_failed(emulator: DiscordEmulator) -> None:
    adapter = make_adapter(emulator)
    emulator.faults.add(FaultKind.ERROR, "GET /users/@me", code=503)
    with pytest.raises(Unreachable):
        await post(adapter)
    assert emulator.calls.select(SEND) == []
    await post(adapter)
    await adapter.stop()


async def test_a_server_that_is_not_there_was_certainly_not_reached() -> None:
    emulator = make_emulator()
    await emulator.start()
    adapter = make_adapter(emulator)
    other = make_adapter(emulator)
    await other.probe()
    await emulator.stop()
    for one in (adapter, other):
        with pytest.raises(Unreachable):
            await post(one)
        await one.stop()
        with pytest.raises(Unreachable):
            await post(one)


async def test_a_token_that_is_lost_shows_in_the_health(
    emulator: DiscordEmulator, adapter: DiscordAdapter, sink: MemorySink
) -> None:
    await adapter.start(sink)
    await until(lambda: is_connected(adapter))
    emulator.faults.add(FaultKind.ERROR, "GET /users/@me", code=401, description="401: Unauthorized")
    with pytest.raises(AuthLost):
        await adapter.probe()
    assert not is_connected(adapter)
    assert "token" in (adapter.health().detail or "")
    await adapter.probe()
    assert is_connected(adapter)


# --- files and reactions --------------------------------------------------------------------------


async def test_a_file_arrives_once_with_its_caption(
    emulator: DiscordEmulator, adapter: DiscordAdapter
) -> None:
    emulator.faults.add(FaultKind.COMMIT_THEN_DROP, SEND)
    content = Rendered("the result", blob_id="blb_1")
    with pytest.raises(UnknownOutcome):
        await adapter.upload(operation(), GENERAL, content, FILE)
    receipt = await adapter.upload(operation(), GENERAL, content, FILE)
    (message,) = from_bot(emulator)
    (attached,) = message.attachments
    assert (message.content, attached.filename, attached.data) == ("the result", "result.txt", b"42")
    found = await adapter.reconcile(operation(age_ms=LONG_AGO_MS), GENERAL, content)
    assert found.receipt is not None and found.receipt.ref == receipt.ref


async def test_a_file_beyond_the_limit_is_not_sent(
    emulator: DiscordEmulator, adapter: DiscordAdapter
) -> None:
    limit = adapter.capabilities(GENERAL).file_max_bytes
    with pytest.raises(TooLarge):
        await adapter.upload(
            operation(), GENERAL, Rendered(""), OutboundFile("big", "text/plain", b"x" * (limit + 1))
        )
    assert emulator.calls.select(SEND) == []


async def test_one_reaction_of_the_bot_stands_at_a_time(
    emulator: DiscordEmulator, adapter: DiscordAdapter
) -> None:
    said = emulator.say(f"{MENTION} hello")
    emulator.react(ROOM, said.id, "🎉")
    shown = []
    for mark in (Mark.SEEN, Mark.SEEN, Mark.DONE, None):
        await adapter.react(RoomRef(str(ROOM), str(said.id)), str(said.id), mark)
        shown.append([emoji for emoji, who in said.reactions.items() if GATE.id in who])
    assert shown == [["👀"], ["👀"], ["✅"], []]
    assert "🎉" in said.reactions


@pytest.fixture
async def outsider(emulator: DiscordEmulator) -> AsyncIterator[DiscordAdapter]:
    """The adapter of a bot that was removed from the guild."""
    made = make_adapter(emulator)
    await made.probe()
    emulator.moderation.remove_bot(GUILD_ID)
    yield made
    await made.stop()


async def test_rooms_of_a_guild_that_was_left_are_gone(outsider: DiscordAdapter) -> None:
    with pytest.raises(Gone):
        await post(outsider)
    with pytest.raises(Gone):
        await outsider.show_typing(GENERAL)
