"""What runs wait for, through the ports: approvals and questions at once, answers, expiry, what is stuck."""

import pytest
from store_stage import CHAT, OTHER_ORG, ROOM, Scene, cancelled, claim, failed, refused

from protocol.errors import ErrorKind
from protocol.records import RunState
from storage.run_values import Answered, NewQuestion, RunReady
from storage.values import DEFAULT_ORG, ClaimedRun, OutboxChanged


async def asked(scene: Scene, *prompts: str, **choices) -> ClaimedRun:
    """A run that waits for answers."""
    run = await scene.started(**choices)
    await scene.wait(
        run, questions=[scene.question(prompt, key=prompt) for prompt in prompts or ("Which one?",)]
    )
    return run


async def resumed(scene: Scene, run: ClaimedRun) -> ClaimedRun:
    going_on = await scene.resume(run)
    assert going_on is not None
    return going_on


# --- parking ----------------------------------------------------------------------------------------


async def test_a_run_may_ask_for_several_things_at_once(scene: Scene) -> None:
    run = await scene.started()
    approvals = [scene.approval(key="one"), scene.approval(key="two")]
    groups = scene.store.engine.stats.groups
    await scene.wait(run, approvals, [scene.question("Which one?")])
    assert scene.store.engine.stats.groups == groups + 1
    events = (await scene.log(run.thread_id))[-3:]
    assert [event.kind for event in events] == ["approval.requested", "approval.requested", "run.waiting"]
    assert events[-1].data == {"reason": "approval", "prompt": "Which one?"}
    assert (await scene.store.runs.get(DEFAULT_ORG, run.id)).waiting_for == "approval"
    for approval in approvals:
        assert await scene.resume(run) is None
        await scene.store.approvals.decide(scene.act(), scene.decide(approval.id))
    assert (await scene.resume(run), scene.told(RunReady)) == (None, []), "a question is still open"
    await scene.say("the first", run.thread_id)
    assert scene.told(RunReady) == [RunReady(run.thread_id, run.id)]
    going_on = await resumed(scene, run)
    assert [(one.key, one.subject_hash, one.approved) for one in going_on.decisions] == [
        ("one", "0" * 64, True),
        ("two", "0" * 64, True),
    ]
    assert going_on.answers == (Answered("which", "the first", "ada"),)
    assert (await scene.store.runs.get(DEFAULT_ORG, run.id)).waiting_for is None


async def test_a_run_that_asks_a_question_waits_for_input(scene: Scene) -> None:
    run = await asked(scene)
    waiting = await scene.store.runs.get(DEFAULT_ORG, run.id)
    assert (waiting.state, waiting.waiting_for) == ("waiting", "input")
    assert (await scene.log(run.thread_id))[-1].data == {"reason": "input", "prompt": "Which one?"}
    assert await scene.store.runs.resumable(10) == []


async def test_a_question_is_shown_in_the_room(scene: Scene) -> None:
    run = await scene.started(origin=CHAT)
    question = scene.question(delivery_id="dlv_asks", shown='{"text": "Which one?"}')
    await scene.wait(run, questions=[question])
    row = await scene.next_delivery()
    assert (row.id, row.run_id, row.part, row.phase, row.content) == (
        "dlv_asks",
        run.id,
        1,
        "idle",
        question.shown,
    )
    assert scene.told(OutboxChanged) == [ROOM]


async def test_the_live_message_stays_while_the_run_waits(scene: Scene) -> None:
    run = await scene.started(origin=CHAT)
    live = await scene.store.outbox.open_live(run, "dlv_live", scene.now_ms)
    await scene.wait(run, questions=[scene.question(delivery_id="dlv_asks", shown="{}")])
    await scene.say("this", run.thread_id)
    again = await resumed(scene, run)
    assert (await scene.store.outbox.open_live(again, "dlv_other", scene.now_ms)).id == live.id


# --- answering --------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_busy", ["queue", "steer"])
async def test_the_next_message_answers(scene: Scene, on_busy: str) -> None:
    run = await asked(scene)
    sent = await scene.say("the second", run.thread_id, on_busy=on_busy, steerable=frozenset({"demo"}))
    assert (sent.run_id, sent.run_state, sent.queue_position) == (run.id, RunState.WAITING, 0)
    assert not sent.steered
    said = (await scene.log(run.thread_id))[-1]
    assert (said.kind, said.seq, said.run_id) == ("message.created", sent.seq, run.id)
    assert (await scene.audited())[-1] == "message.send"
    assert await scene.store.runs.waiting_threads(10) == []
    assert scene.told(RunReady) == [RunReady(run.thread_id, run.id)]
    again = await resumed(scene, run)
    assert again.answers == (Answered("Which one?", "the second", "ada"),)
    assert (await scene.log(run.thread_id))[-1].data == {"attempt": 1, "reason": "answered"}


async def test_questions_are_answered_in_the_order_they_were_asked(scene: Scene) -> None:
    """Also when ids, made within one millisecond, sort the other way."""
    run = await scene.started()
    ids = ("qst_c", "qst_a", "qst_b")
    questions = [NewQuestion(one, one, one, scene.now_ms + 9_000) for one in ids]
    await scene.wait(run, questions=questions)
    for text in ("1", "2", "3"):
        assert scene.told(RunReady) == []
        await scene.say(text, run.thread_id)
    answers = (await resumed(scene, run)).answers
    assert [(one.key, one.text) for one in answers] == list(zip(ids, "123", strict=True))


async def test_answers_of_earlier_waits_come_first(scene: Scene) -> None:
    run = await asked(scene, "z")
    await scene.say("first", run.thread_id)
    run = await resumed(scene, run)
    await scene.wait(run, questions=[scene.question("a", key="a")])
    await scene.say("second", run.thread_id)
    assert [(one.key, one.text) for one in (await resumed(scene, run)).answers] == [
        ("z", "first"),
        ("a", "second"),
    ]


async def test_what_comes_after_the_answer_is_queued(scene: Scene) -> None:
    run = await asked(scene)
    await scene.say("the answer", run.thread_id)
    behind = await scene.say("and then", run.thread_id)
    assert (behind.run_state, behind.queue_position) == (RunState.QUEUED, 1)


async def test_a_full_queue_does_not_keep_an_answer_out(scene: Scene) -> None:
    run = await scene.started()
    await scene.say("one more", run.thread_id)
    await scene.wait(run, questions=[scene.question()])
    sent = await scene.say("the answer", run.thread_id, queue_max=2)
    assert sent.run_id == run.id
    await refused(scene.say("another", run.thread_id, queue_max=2), ErrorKind.BUSY)


async def test_an_answer_can_come_from_a_chat_network(scene: Scene) -> None:
    await scene.receive(scene.delivery("begin"))
    ((thread_id, run_id),) = await scene.rows("SELECT thread_id, id FROM runs")
    run = await scene.claim(thread_id)
    await scene.wait(run, questions=[scene.question()])
    delivery = scene.delivery("mine", message=scene.message("mine", origin=CHAT, queue_max=1))
    assert await scene.receive(delivery) == 1
    assert await scene.rows("SELECT state, answer FROM questions") == [("answered", "mine")]
    assert (await resumed(scene, run)).answers == (Answered("which", "mine", "grace"),)
    assert await scene.rows("SELECT id FROM runs") == [(run_id,)]


async def test_rejecting_refuses_and_interrupting_cancels_the_question(scene: Scene) -> None:
    run = await asked(scene)
    await refused(scene.say("no", run.thread_id, on_busy="reject"), ErrorKind.BUSY)
    sent = await scene.say("forget it", run.thread_id, on_busy="interrupt")
    assert sent.run_id != run.id
    assert (await scene.store.runs.get(DEFAULT_ORG, run.id)).state == "cancelled"
    assert await scene.rows("SELECT state FROM questions") == [("cancelled",)]


async def test_a_waiting_run_that_only_wants_a_decision_takes_no_answer(scene: Scene) -> None:
    run = await scene.started()
    await scene.ask(run)
    sent = await scene.say("yes", run.thread_id)
    assert (sent.run_state, sent.queue_position) == (RunState.QUEUED, 1)


async def test_the_same_answer_again_is_the_same(scene: Scene) -> None:
    run = await asked(scene, "one", "two")
    first = await scene.say("mine", run.thread_id, claim=claim("key-1"))
    assert await scene.say("mine", run.thread_id, claim=claim("key-1")) == first
    assert await scene.rows("SELECT state FROM questions ORDER BY number") == [("answered",), ("open",)]


# --- expiry and endings -----------------------------------------------------------------------------


async def test_nobody_answering_in_time_settles_a_question(scene: Scene) -> None:
    run = await asked(scene)
    at = (await scene.rows("SELECT expires_at FROM questions"))[0][0]
    assert await scene.store.runs.expire_questions(at - 1, 10) == 0
    assert await scene.store.runs.expire_questions(at, 10) == 1
    assert await scene.store.runs.expire_questions(at, 10) == 0
    assert scene.told(RunReady) == [RunReady(run.thread_id, run.id)]
    assert [found.id for found in await scene.store.runs.resumable(10)] == [run.id]
    assert (await resumed(scene, run)).answers == (Answered("Which one?", None, ""),)


async def test_a_bounded_number_expires_at_once(scene: Scene) -> None:
    await asked(scene, "a", "b", "c")
    assert await scene.store.runs.expire_questions(scene.now_ms + 10**9, 2) == 2
    assert await scene.store.runs.expire_questions(scene.now_ms + 10**9, 2) == 1


async def test_a_run_that_ends_waits_for_nothing(scene: Scene) -> None:
    run = await scene.started()
    approval = scene.approval()
    await scene.wait(run, [approval], [scene.question()])
    await scene.store.runs.cancel(scene.act(), run.id, cancelled())
    assert await scene.rows("SELECT state FROM questions") == [("cancelled",)]
    assert (await scene.store.approvals.get(DEFAULT_ORG, approval.id)).state == "cancelled"
    ended = await scene.store.runs.get(DEFAULT_ORG, run.id)
    assert (ended.state, ended.waiting_for) == ("cancelled", None)
    assert await scene.store.runs.expire_questions(scene.now_ms + 10**9, 9) == 0
    assert scene.told(RunReady) == []


async def test_deleting_a_thread_leaves_nothing_to_decide_or_answer(scene: Scene) -> None:
    run = await scene.started()
    approval = scene.approval()
    await scene.wait(run, [approval], [scene.question()])
    await scene.store.threads.delete(scene.act(), run.thread_id)
    assert await scene.rows("SELECT * FROM questions") == []
    assert await scene.rows("SELECT * FROM events WHERE thread_id = :id", id=run.thread_id) == []
    assert (await scene.store.approvals.get(DEFAULT_ORG, approval.id)).state == "cancelled"


# --- progress ---------------------------------------------------------------------------------------


async def test_progress_says_what_each_unfinished_run_waits_for(scene: Scene) -> None:
    run = await scene.started()
    queued = await scene.say("and then", run.thread_id)
    await scene.open(run)
    first, second = await scene.store.runs.progress(DEFAULT_ORG, None, 10)
    assert (first.run_id, first.state, first.attempt, first.lease_owner) == (run.id, "running", 1, "boot-1")
    assert first.open_steps == (("call-1", "read_file", scene.now_ms),)
    assert (first.ahead, first.waits_for, first.next_expiry_ms) == (0, (), None)
    assert (second.run_id, second.state, second.ahead, second.lease_owner) == (
        queued.run_id,
        "queued",
        1,
        None,
    )
    approval, question = scene.approval(), scene.question(expires_at_ms=scene.now_ms + 5)
    await scene.wait(run, [approval], [question])
    (waiting,) = await scene.store.runs.progress(DEFAULT_ORG, run.id, 10)
    assert waiting.waits_for == (f"approval {approval.id} (Publish)", "an answer to: Which one?")
    assert (waiting.next_expiry_ms, waiting.lease_owner) == (question.expires_at_ms, None)


async def test_progress_knows_whose_files_are_under_way(scene: Scene) -> None:
    sent = await scene.say_with(scene.arriving())
    (found,) = await scene.store.runs.progress(DEFAULT_ORG, sent.run_id, 10)
    assert (found.files_awaited, found.ahead) == (True, 0)


async def test_a_run_that_ended_is_no_progress(scene: Scene) -> None:
    run = await scene.started()
    await scene.end(run, failed())
    assert await scene.store.runs.progress(DEFAULT_ORG, run.id, 10) == []
    assert await scene.store.runs.progress(DEFAULT_ORG, None, 10) == []
    await refused(scene.store.runs.progress(OTHER_ORG, run.id, 10), ErrorKind.NOT_FOUND)


async def test_progress_is_bounded_and_oldest_first(scene: Scene) -> None:
    sent = [await scene.say(text) for text in "abc"]
    found = await scene.store.runs.progress(DEFAULT_ORG, None, 2)
    assert [one.run_id for one in found] == [one.run_id for one in sent[:2]]
