"""Buttons, forms, commands and the agent's home against the emulator: what is taken, and what people are answered."""

import pytest
from channel_stage import MemorySink, until
from slack_stage import is_connected, make_adapter, make_emulator, room

from channels.emulators.slack import DEFAULT_USER, AppAccount, FaultKind, Person, SlackEmulator
from channels.messages import (
    Action,
    Addressed,
    Card,
    Ignored,
    Inbound,
    Operation,
    Pressed,
    Rendered,
    RoomRef,
    Verdict,
)
from channels.slack.adapter import SlackAdapter

CARD = Card(
    "Delete *everything*?",
    "The agent wants to run `rm -rf /` for <!channel>.",
    (
        Action("apr_1:yes", "Approve", "primary"),
        Action("apr_1:no", "Reject", "danger", asks_reason=True),
        Action("apr_1:later", "Later"),
    ),
)


@pytest.fixture
async def thread(emulator: SlackEmulator) -> RoomRef:
    channel = emulator.open_channel("general")
    return room(channel, emulator.say("hello", channel=channel).ts)


async def running(adapter: SlackAdapter, sink: MemorySink) -> None:
    """Slack does not repeat interactions: somebody must listen when they happen."""
    await adapter.start(sink)
    await until(lambda: is_connected(adapter))


def channel_of(where: RoomRef) -> str:
    return where.room.partition("/")[2]


async def shown(adapter: SlackAdapter, where: RoomRef) -> str:
    return (await adapter.send(Operation("dlv_1", 1), where, adapter.card(CARD, where))).ref


def pressed(sink: MemorySink) -> list[Pressed]:
    return [one for one in sink.stored.values() if isinstance(one, Pressed)]


class SayingSink(MemorySink):
    """Answers every delivery the same."""

    def __init__(self, says: str | None, *, is_taken: bool = True) -> None:
        super().__init__()
        self.verdict = Verdict(is_taken, says)

    async def commit(self, batch, cursors):  # type: ignore[no-untyped-def]  # as in the port
        verdicts = await super().commit(batch, cursors)
        return [self.verdict] * len(verdicts)


async def test_a_card_shows_its_buttons_and_calls_nobody(
    emulator: SlackEmulator, adapter: SlackAdapter, thread: RoomRef
) -> None:
    ref = await shown(adapter, thread)
    message = emulator.messages(channel_of(thread))[-1]
    assert message.ts == ref and message.mentions == ()
    header, *_, actions = message.blocks
    assert header["text"]["text"] == CARD.title
    buttons = [(one["text"]["text"], one["value"], one.get("style")) for one in actions["elements"]]
    assert buttons == [
        ("Approve", "apr_1:yes", "primary"),
        ("Reject", "apr_1:no", "danger"),
        ("Later", "apr_1:later", None),
    ]


async def test_a_settled_card_has_no_buttons_and_says_how_it_ended(
    emulator: SlackEmulator, adapter: SlackAdapter, thread: RoomRef
) -> None:
    ref = await shown(adapter, thread)
    settled = adapter.card(Card(CARD.title, CARD.body, outcome="Approved by **Ada**"), thread)
    await adapter.edit(Operation("dlv_1", 1), thread, ref, settled)
    message = emulator.messages(channel_of(thread))[-1]
    assert [block["type"] for block in message.blocks] == ["header", "markdown", "markdown"]
    assert "Approved by" in message.text and "Approved by" in message.blocks[-1]["text"]


async def test_a_press_is_stored_with_what_the_button_carries(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink, thread: RoomRef
) -> None:
    await running(adapter, sink)
    ref = await shown(adapter, thread)
    emulator.press(channel_of(thread), ref, "threadgate:0", user=Person("U0BOB", "bob"))
    await until(lambda: pressed(sink))
    (press,) = pressed(sink)
    assert (press.value, press.message_ref, press.room, press.reason) == ("apr_1:yes", ref, thread, None)
    assert (press.sender.id, press.sender.name) == ("U0BOB", "bob")
    await until(lambda: emulator.undelivered() == [])
    assert emulator.lost() == []


async def test_two_presses_are_two_and_a_repeated_one_is_the_same(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink, thread: RoomRef
) -> None:
    await running(adapter, sink)
    ref = await shown(adapter, thread)
    first = emulator.press(channel_of(thread), ref, "threadgate:0")
    emulator.press(channel_of(thread), ref, "threadgate:0")
    await until(lambda: len(pressed(sink)) == 2)
    emulator.redeliver(delivery_id=first.id)
    await until(
        lambda: len([one for attempt in sink.attempts for one in attempt if one.startswith("act:")]) == 3
    )
    assert len(pressed(sink)) == 2


async def test_what_the_core_says_to_a_press_is_seen_by_who_pressed(
    emulator: SlackEmulator, adapter: SlackAdapter, thread: RoomRef
) -> None:
    await running(adapter, SayingSink("You may not decide this.", is_taken=False))
    ref = await shown(adapter, thread)
    emulator.press(channel_of(thread), ref, "threadgate:0")
    await until(lambda: emulator.ephemerals(channel_of(thread)))
    (said,) = emulator.ephemerals(channel_of(thread))
    assert (said.ephemeral_to, said.thread_ts) == (DEFAULT_USER.id, thread.topic)
    assert "You may not decide this." in said.text


async def test_a_button_that_wants_a_reason_opens_a_form(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink, thread: RoomRef
) -> None:
    await running(adapter, sink)
    ref = await shown(adapter, thread)
    emulator.press(channel_of(thread), ref, "threadgate:reason:1")
    await until(emulator.views)
    assert pressed(sink) == []
    (view,) = emulator.views()
    emulator.submit(view.id, {"text": "Too dangerous"})
    await until(lambda: pressed(sink))
    (press,) = pressed(sink)
    assert (press.value, press.reason, press.message_ref) == ("apr_1:no", "Too dangerous", ref)
    assert press.room == thread
    await until(lambda: emulator.views() == [])


async def test_a_reason_may_be_left_out(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink, thread: RoomRef
) -> None:
    await running(adapter, sink)
    emulator.press(channel_of(thread), await shown(adapter, thread), "threadgate:reason:1")
    await until(emulator.views)
    emulator.submit(emulator.views()[0].id)
    await until(lambda: pressed(sink))
    assert pressed(sink)[0].reason == ""


async def test_a_form_that_is_not_taken_says_why_and_stays_open(
    emulator: SlackEmulator, adapter: SlackAdapter, thread: RoomRef
) -> None:
    await running(adapter, SayingSink("It is decided already.", is_taken=False))
    emulator.press(channel_of(thread), await shown(adapter, thread), "threadgate:reason:1")
    await until(emulator.views)
    (view,) = emulator.views()
    emulator.submit(view.id, {"text": "no"})
    await until(lambda: view.errors)
    assert view.errors == {"reason": "It is decided already."}
    assert emulator.views() == [view]


async def test_a_form_that_cannot_be_opened_is_told(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink, thread: RoomRef
) -> None:
    await running(adapter, sink)
    ref = await shown(adapter, thread)
    emulator.faults.add(FaultKind.DROP, "views.open")
    emulator.press(channel_of(thread), ref, "threadgate:reason:1")
    await until(lambda: emulator.ephemerals(channel_of(thread)))
    assert "press the button again" in emulator.ephemerals(channel_of(thread))[0].text


async def test_a_command_is_a_message_and_is_answered_for_one_person(
    emulator: SlackEmulator, adapter: SlackAdapter
) -> None:
    sink = SayingSink("Working on **it**.")
    channel = emulator.open_channel("general")
    await running(adapter, sink)
    emulator.slash("/threadgate", "what is up", channel=channel)
    await until(lambda: emulator.ephemerals(channel))
    (inbound,) = [one for one in sink.stored.values() if isinstance(one, Inbound)]
    assert (inbound.addressed, inbound.text, inbound.message_ref) == (Addressed.COMMAND, "what is up", None)
    assert (inbound.room, inbound.room_title, inbound.is_direct) == (room(channel), "general", False)
    (said,) = emulator.ephemerals(channel)
    assert said.ephemeral_to == DEFAULT_USER.id and "Working on" in said.text


async def test_foreign_interactions_are_acknowledged_and_ignored(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink, thread: RoomRef
) -> None:
    await running(adapter, sink)
    button = {
        "type": "button",
        "action_id": "other",
        "text": {"type": "plain_text", "text": "x"},
        "value": "1",
    }
    content = Rendered("x", {"blocks": [{"type": "actions", "elements": [button]}]})
    ref = (await adapter.send(Operation("dlv_2", 1), thread, content)).ref
    emulator.press(channel_of(thread), ref, "other")
    await until(
        lambda: "not a button of ours" in {getattr(one, "reason", "") for one in sink.stored.values()}
    )
    await until(lambda: emulator.undelivered() == [])


async def test_the_first_message_names_the_conversation(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    await running(adapter, sink)
    root = emulator.say("Please compare\nthe two contracts " + "at length " * 20)
    threads = emulator.channel(emulator.direct()).agent_threads
    await until(lambda: root.ts in threads and threads[root.ts].title)
    assert threads[root.ts].title.startswith("Please compare the two contracts")
    assert len(threads[root.ts].title) <= 80
    assert threads[root.ts].session_status == "active"
    reply = emulator.say("more", thread_ts=root.ts)
    await until(lambda: "more" in sink.texts)
    assert reply.ts not in threads


@pytest.mark.parametrize("experience", ["agent", "assistant"])
async def test_prompts_are_suggested_when_somebody_opens_the_conversation(
    sink: MemorySink, experience: str
) -> None:
    prompts = [{"title": "News", "message": "What is new?"}]
    async with make_emulator(apps=[AppAccount(messaging=experience)]) as emulator:
        adapter = make_adapter(emulator, experience=experience, prompts=prompts)
        await running(adapter, sink)
        channel = emulator.open_home()
        threads = emulator.channel(channel).agent_threads
        await until(lambda: any(one.prompts for one in threads.values()))
        assert [one.prompts for one in threads.values() if one.prompts] == [prompts]
        await adapter.stop()


async def test_where_sessions_are_refused_the_older_call_sets_the_title(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    emulator.faults.add(FaultKind.ERROR, "agents.sessions.setStatus", code=404, description="unknown_method")
    await running(adapter, sink)
    root = emulator.say("hello")
    threads = emulator.channel(emulator.direct()).agent_threads
    await until(lambda: root.ts in threads and threads[root.ts].title == "hello")
    assert emulator.calls.select("assistant.threads.setTitle")


async def test_a_revoked_token_shows_at_once(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    await running(adapter, sink)
    emulator.uninstall()
    await until(lambda: "removed" in (adapter.health().detail or ""))
    reasons = [one.reason for one in sink.stored.values() if isinstance(one, Ignored)]
    await until(lambda: emulator.undelivered() == [])
    assert set(reasons) <= {"app_uninstalled", "tokens_revoked"}
