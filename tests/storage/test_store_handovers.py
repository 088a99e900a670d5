"""Threads that people take over, through the ports: who holds one, what its agent leaves alone, what they say."""

from typing import Any

import pytest
from store_stage import CHAT, ROOM, Scene, actor, cancelled, claim, read, refused

from protocol.errors import ErrorKind
from protocol.records import RunState
from protocol.requests import MessageSendResult
from storage.values import DEFAULT_ORG, Notice, OutboxChanged


async def assign(
    scene: Scene, thread_id: str, who: str | None, agent_id: str | None = None, notice: Notice | None = None
) -> dict[str, Any]:
    holder = actor(who) if who is not None else None
    answer = await scene.store.handovers.assign(scene.act("grace"), thread_id, holder, agent_id, notice)
    return read(answer)["thread"]


async def speak(scene: Scene, thread_id: str, text: str = "I am here", who: str = "ada", **choices: Any):
    act = scene.act(who, claim=choices.pop("claim", None))
    values: dict[str, Any] = {
        "message_id": scene.new_id("msg"),
        "run_id": scene.new_id("run"),
        "parts": (),
        **choices,
    }
    answer = await scene.store.handovers.speak(
        act, thread_id, values["message_id"], values["run_id"], text, values["parts"]
    )
    return MessageSendResult.model_validate_json(bytes(answer))


# --- who holds a thread -----------------------------------------------------------------------------


async def test_a_person_takes_a_thread_over(scene: Scene) -> None:
    thread_id = await scene.thread()
    assert "assignee" not in (await scene.store.threads.get(DEFAULT_ORG, thread_id)).model_dump(
        exclude_none=True
    )
    thread = await assign(scene, thread_id, "ada")
    assert thread["assignee"] == actor("ada").model_dump(mode="json")
    assert (await scene.store.threads.get(DEFAULT_ORG, thread_id)).assignee == actor("ada")
    event = (await scene.log(thread_id))[-1]
    assert (event.kind, event.actor.name) == ("thread.updated", "grace")
    assert event.data == {"assignee": actor("ada").model_dump(mode="json")}
    assert (await scene.audited())[-1] == "thread.assign"


async def test_a_thread_is_given_back(scene: Scene) -> None:
    thread_id = await scene.thread()
    await assign(scene, thread_id, "ada")
    thread = await assign(scene, thread_id, None)
    assert (thread.get("assignee"), thread["agent_id"]) == (None, "demo")
    assert (await scene.log(thread_id))[-1].data == {"returned_by": actor("grace").model_dump(mode="json")}
    assert (await scene.audited())[-1] == "thread.return"


async def test_a_thread_is_given_to_another_agent(scene: Scene) -> None:
    thread_id = await scene.thread()
    await assign(scene, thread_id, "ada")
    thread = await assign(scene, thread_id, None, "other")
    assert (thread.get("assignee"), thread["agent_id"]) == (None, "other")
    returned = {"returned_by": actor("grace").model_dump(mode="json"), "agent_id": "other"}
    assert (await scene.log(thread_id))[-1].data == returned


async def test_what_is_so_already_changes_nothing(scene: Scene) -> None:
    thread_id = await scene.thread(origin=CHAT)
    before = await scene.dump()
    await assign(scene, thread_id, None, "demo", scene.notice())
    assert await scene.dump() == before
    await assign(scene, thread_id, "ada")
    before = await scene.dump()
    await assign(scene, thread_id, "ada", notice=scene.notice())
    assert await scene.dump() == before


async def test_the_room_is_told(scene: Scene) -> None:
    thread_id = await scene.thread(origin=CHAT)
    notice = scene.notice("Ada is here")
    await assign(scene, thread_id, "ada", notice=notice)
    row = await scene.next_delivery()
    assert (row.id, row.content, row.thread_id, row.run_id) == (
        notice.delivery_id,
        notice.content,
        thread_id,
        None,
    )
    assert scene.told(OutboxChanged) == [ROOM]


async def test_a_thread_without_a_room_tells_nobody(scene: Scene) -> None:
    await assign(scene, await scene.thread(), "ada", notice=scene.notice())
    assert await scene.rows("SELECT * FROM outbox") == []


async def test_an_unknown_thread_is_not_found(scene: Scene) -> None:
    await refused(assign(scene, "thr_unknown", "ada"), ErrorKind.NOT_FOUND)
    await refused(speak(scene, "thr_unknown"), ErrorKind.NOT_FOUND)


async def test_a_deleted_thread_is_held_by_nobody(scene: Scene) -> None:
    thread_id = await scene.thread()
    await assign(scene, thread_id, "ada")
    await scene.store.threads.delete(scene.act(), thread_id)
    assert await scene.rows("SELECT assignee FROM threads") == [(None,)]


# --- its agent leaves it alone ----------------------------------------------------------------------


@pytest.mark.parametrize("on_busy", ["queue", "reject", "steer", "interrupt"])
async def test_a_message_in_a_held_thread_starts_no_agent(scene: Scene, on_busy: str) -> None:
    run = await scene.started()
    await assign(scene, run.thread_id, "ada")
    held = cancelled("a person has taken over")
    sent = await scene.say("hello?", run.thread_id, held=held, on_busy=on_busy, queue_max=1)
    assert (sent.run_state, sent.queue_position) == (RunState.CANCELLED, 0)
    assert (await scene.kinds(run.thread_id))[-3:] == ["message.created", "run.queued", "run.cancelled"]
    assert (await scene.store.runs.get(DEFAULT_ORG, sent.run_id)).state == "cancelled"
    assert (await scene.store.runs.get(DEFAULT_ORG, run.id)).state == "running", "what had begun goes on"
    assert await scene.store.runs.waiting_threads(10) == []


async def test_a_message_from_a_chat_network_is_held_too(scene: Scene) -> None:
    await scene.receive(scene.delivery("one"))
    ((thread_id,),) = await scene.rows("SELECT id FROM threads")
    await assign(scene, thread_id, "ada")
    message = scene.message("two", origin=CHAT, held=cancelled("held"), queue_max=1)
    assert await scene.receive(scene.delivery(message=message)) == 1
    assert (await scene.kinds(thread_id))[-1] == "run.cancelled"


async def test_a_held_thread_that_is_given_back_is_answered_again(scene: Scene) -> None:
    thread_id = await scene.thread()
    await assign(scene, thread_id, "ada")
    await assign(scene, thread_id, None, "other")
    await scene.say("hello", thread_id, held=cancelled())
    assert (await scene.claim(thread_id)).agent_id == "other"


# --- speaking ---------------------------------------------------------------------------------------


async def test_whoever_holds_a_thread_answers_in_it(scene: Scene) -> None:
    run = await scene.started(origin=CHAT)
    await scene.answer(run)
    await assign(scene, run.thread_id, "ada")
    parts = scene.parts("I am", "here")
    sent = await speak(scene, run.thread_id, parts=parts)
    message, completed = (await scene.log(run.thread_id))[-2:]
    assert (message.kind, message.seq, message.run_id) == ("message.created", sent.seq, sent.run_id)
    said = message.data["message"]
    assert (said["role"], said["author"]["name"], said["content"][0]["text"]) == (
        "assistant",
        "ada",
        "I am here",
    )
    assert (completed.kind, completed.data["message_id"]) == ("run.completed", sent.message_id)
    made = await scene.store.runs.get(DEFAULT_ORG, sent.run_id)
    assert (
        (made.state, made.agent_id, made.attempt) == (sent.run_state, "demo", 0) == ("completed", "demo", 0)
    )
    assert (await scene.audited())[-1] == "message.send"
    rows = await scene.rows("SELECT id, part FROM outbox WHERE run_id = :id ORDER BY part", id=sent.run_id)
    assert rows == [(parts[0].id, 1), (parts[1].id, 2)]
    assert [one.role for one in await scene.store.threads.said(run.thread_id, 2**53, 10)][-1] == "assistant"


async def test_speaking_does_not_wait_for_a_run(scene: Scene) -> None:
    run = await scene.started()
    await assign(scene, run.thread_id, "ada")
    await speak(scene, run.thread_id)
    await scene.answer(run)


async def test_only_who_holds_a_thread_speaks_in_it(scene: Scene) -> None:
    thread_id = await scene.thread()
    await refused(speak(scene, thread_id), ErrorKind.INVALID_STATE)
    await assign(scene, thread_id, "ada")
    await refused(speak(scene, thread_id, who="grace"), ErrorKind.FORBIDDEN)
    await scene.store.threads.archive(scene.act(), thread_id)
    await refused(speak(scene, thread_id), ErrorKind.INVALID_STATE)


async def test_the_same_words_again_are_said_once(scene: Scene) -> None:
    thread_id = await scene.thread()
    await assign(scene, thread_id, "ada")
    first = await speak(scene, thread_id, claim=claim("key-1", method="thread.say"))
    before = await scene.dump()
    assert await speak(scene, thread_id, claim=claim("key-1", method="thread.say")) == first
    assert await scene.dump() == before
