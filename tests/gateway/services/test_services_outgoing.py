"""Answers under policies of the kind message: withheld until somebody approves, and never shown when nobody does."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_stage import TelegramStage, Wire
from policy_stage import AGENT, SCRIPT, PolicyStage, decide, pending

from channels.emulators.telegram import TelegramEmulator
from channels.messages import Addressed, Inbound, RoomRef, Sender
from gateway.services import reloading
from gateway.settings import load

ASK = '[[policies]]\nname = "say"\neffect = "require_approval"\nkind = ["message"]\n'
TELEGRAM_ONLY = f'{ASK}channel = ["telegram"]\n'
DENY = '[[policies]]\nname = "mute"\neffect = "deny"\nkind = ["message"]\nreason = "Office hours only."\n'
NOTICE = "This did not work: the answer is not shown: local operator did not approve it"
ANSWER = "one two three four five six"


@pytest.fixture(autouse=True)
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is applied by itself while a test asks for it."""
    monkeypatch.setattr(reloading, "WATCH_S", 3600.0)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[PolicyStage]:
    made = PolicyStage(tmp_path, ASK)
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def wire(stage: PolicyStage) -> Wire:
    return await stage.connect()


async def seen(wire: Wire) -> list[str]:
    """Pieces of answers that a follower was shown."""
    return [one["method"] for one in await wire.quiet() if one["method"] in ("delta", "snapshot")]


async def test_an_answer_is_asked_about_as_a_whole_and_nobody_sees_it_before(
    stage: PolicyStage, wire: Wire
) -> None:
    thread_id, run_id = await stage.say(wire, "/secret")
    await wire.call("thread.subscribe", thread_id=thread_id, from_="start")
    approval = await pending(wire)
    assert approval["title"] == "Answer of player"
    assert ANSWER in approval["body"]
    assert await seen(wire) == []
    assert ANSWER not in str(
        [event for event in await stage.log(thread_id) if "approval" not in event["kind"]]
    )
    await decide(wire)
    assert await stage.answer_of(thread_id, run_id) == ANSWER
    assert await seen(wire) == [], "it is shown as the message that it is, not in pieces"
    assert (await wire.call("run.replay", run_id=run_id))["replay"]["verified"]


async def test_leave_for_an_answer_is_waited_for_through_a_restart(stage: PolicyStage, wire: Wire) -> None:
    thread_id, run_id = await stage.say(wire, "/secret")
    await pending(wire)
    await stage.restart()
    await decide(await stage.connect())
    assert await stage.answer_of(thread_id, run_id) == ANSWER


async def test_an_answer_that_is_denied_is_never_shown(stage: PolicyStage, wire: Wire) -> None:
    thread_id, run_id = await stage.say(wire, "/secret")
    await decide(wire, "deny", reason="Names a customer.")
    answer = await stage.answer_of(thread_id, run_id)
    assert answer == "not_approved: the answer is not shown: local operator did not approve it"
    kinds = [event["kind"] for event in await stage.log(thread_id)]
    assert kinds.count("message.created") == 1, "the question alone"


async def test_what_a_policy_denies_is_not_even_begun(stage: PolicyStage, wire: Wire) -> None:
    await stage.change(wire, DENY)
    thread_id, run_id = await stage.say(wire, "/add 2+3")
    answer = await stage.answer_of(thread_id, run_id)
    assert answer == "policy_denied: a policy does not let it be said here: Office hours only."
    assert "tool.started" not in await stage.kinds(thread_id)
    assert await stage.verdicts() == {("deny", "mute"): 1.0}


async def test_what_is_forbidden_since_the_agent_began_is_not_said(stage: PolicyStage, wire: Wire) -> None:
    thread_id, run_id = await stage.say(wire, "/secret")
    approval = await pending(wire)
    await stage.change(wire, DENY)
    await wire.call("approval.decide", approval_id=approval["id"], decision="approve")
    assert (await stage.answer_of(thread_id, run_id)).startswith("policy_denied: ")


async def test_what_an_agent_read_may_decide_whether_it_is_asked(stage: PolicyStage, wire: Wire) -> None:
    await stage.change(wire, f"{ASK}tainted = true\n")
    thread_id, run_id = await stage.say(wire, "/add 2+3")
    assert (await stage.answer_of(thread_id, run_id)).startswith("It is ")
    await wire.call("thread.subscribe", thread_id=thread_id, from_="start")
    thread_id, run_id = await stage.say(wire, "/read")
    assert "It is " in (await pending(wire))["body"]


# --- rooms of a chat network ----------------------------------------------------------------------


class RoomStage(TelegramStage):
    """A gateway with a room, and policies."""

    def __init__(self, directory: Path, emulator: TelegramEmulator, policies: str, **channel: object) -> None:
        super().__init__(directory / "data", emulator, **channel)
        self.path = directory / "config.toml"
        self.path.write_text(AGENT + policies)
        (directory / "script.yaml").write_text(SCRIPT)

    async def start(self, **changes: object) -> None:
        self._given.update(changes)
        await self.start_with(load(self.path, self._given, {}))


@pytest.mark.parametrize(("decision", "shown"), [("approve", [ANSWER]), ("deny", None)])
async def test_a_room_sees_nothing_of_an_answer_before_it_is_approved(
    tmp_path: Path, emulator: TelegramEmulator, decision: str, shown: list[str] | None
) -> None:
    stage = RoomStage(tmp_path, emulator, TELEGRAM_ONLY)
    await stage.start()
    try:
        wire = await stage.connect()
        emulator.say("/secret")
        await pending(wire)
        assert stage.texts() == [], "neither the answer nor a card that shows it"
        await decide(wire, decision)
        await stage.settled(await stage.only_thread())
        assert stage.texts() == (shown or [NOTICE])
    finally:
        await stage.close()


@pytest.mark.parametrize("is_external", [True, False])
async def test_the_words_of_somebody_from_outside_are_those_of_a_stranger(
    tmp_path: Path, emulator: TelegramEmulator, is_external: bool
) -> None:
    stage = RoomStage(tmp_path, emulator, f"{ASK}tainted = true\n", allow_external=True)
    await stage.start()
    try:
        wire = await stage.connect()
        await said(stage, "first", "/mended", is_external=is_external)
        if is_external:
            await decide(wire)
        thread_id = await stage.only_thread()
        await stage.settled(thread_id)
        await said(stage, "second", "/secret")
        if is_external:
            approval = await decide(wire)
            assert ANSWER in approval["body"], "what was said before is part of what the agent reads"
        await stage.settled(thread_id, 2)
        told = [event for event in await stage.log(thread_id) if event["kind"] == "message.created"]
        assert told[-1]["data"]["message"]["content"] == [{"type": "text", "text": ANSWER}]
    finally:
        await stage.close()


async def said(stage: RoomStage, delivery_id: str, text: str, *, is_external: bool = False) -> None:
    """Somebody writes to the bot directly."""
    _, intake = stage.gateway._intakes[0]
    message = Inbound(
        delivery_id, RoomRef("1001"), delivery_id, Sender("1001", "Ada", is_external=is_external), text,
        Addressed.DIRECT, is_direct=True, occurred_at_ms=stage.clock.now_ms(), thread_key="1001",
    )  # fmt: skip
    await intake.commit([message], {})


# --- what people want changed ---------------------------------------------------------------------


async def test_what_people_want_changed_goes_back_to_an_agent_that_listens(
    stage: PolicyStage, wire: Wire
) -> None:
    thread_id, run_id = await stage.say(wire, "/mended")
    first = await decide(wire, "request_changes", reason="Say please.")
    assert "The first draft." in first["body"]
    second = await pending(wire)
    assert "local operator said meanwhile: Say please." in second["body"]
    assert second["supersedes"] == first["id"]
    await decide(wire)
    answer = await stage.answer_of(thread_id, run_id)
    assert answer.split() == [
        "The",
        "first",
        "draft.local",
        "operator",
        "said",
        "meanwhile:",
        "Say",
        "please.",
    ]
    assert (await wire.call("run.replay", run_id=run_id))["replay"]["verified"]


async def test_changes_may_be_wanted_again_and_each_is_told_once(stage: PolicyStage, wire: Wire) -> None:
    thread_id, run_id = await stage.say(wire, "/mended twice")
    await decide(wire, "request_changes", reason="Shorter.")
    await decide(wire, "request_changes", reason="Longer.")
    final = await decide(wire)
    assert [final["body"].count(reason) for reason in ("Shorter.", "Longer.")] == [1, 1]
    assert "Longer." in await stage.answer_of(thread_id, run_id)


async def test_an_agent_that_does_not_listen_ends_with_the_notice(stage: PolicyStage, wire: Wire) -> None:
    thread_id, run_id = await stage.say(wire, "/secret")
    await decide(wire, "request_changes", reason="Shorter.")
    answer = await stage.answer_of(thread_id, run_id)
    assert answer == "not_approved: the answer is not shown: local operator wants it to be different"
