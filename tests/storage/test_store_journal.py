"""The journal of runs, through the port: a step is recorded before its effect, closed once, and found again."""

import hashlib
from dataclasses import replace

import pytest
from store_stage import OTHER_ORG, USAGE, Scene, refused

from protocol.canonical import canonical
from protocol.errors import ErrorKind
from storage.errors import StaleFence
from storage.values import DEFAULT_ORG, ClaimedRun

LIMIT = 1_000


async def taken_over(scene: Scene, run: ClaimedRun) -> ClaimedRun:
    taken = await scene.store.runs.take_over(run.id, "boot-2", scene.now_ms, scene.now_ms + 1, "restart")
    assert taken is not None
    return taken


async def told(scene: Scene, run: ClaimedRun) -> list[tuple[str, dict]]:
    """What the thread's log says of tools."""
    return [
        (event.kind, event.data) for event in await scene.log(run.thread_id) if event.kind.startswith("tool")
    ]


# --- opening ----------------------------------------------------------------------------------------


async def test_a_step_is_numbered_behind_the_reply(scene: Scene) -> None:
    run = await scene.started()
    first = await scene.open(run, scene.step("call-1"))
    second = await scene.open(run, scene.step("ask", "model", name="small-1", is_repeatable=True))
    assert (first.step, first.key, first.kind, first.name) == (2, "call-1", "tool", "read_file")
    assert (first.is_repeatable, first.attempt, first.outcome, first.result) == (False, 1, None, None)
    assert (first.opened_at_ms, first.closed_at_ms) == (scene.now_ms - 1, None)
    assert (second.step, second.is_repeatable) == (3, True)
    assert await scene.store.journal.steps(run.id) == [first, second]


async def test_a_tool_is_told_once_when_it_begins(scene: Scene) -> None:
    run = await scene.started()
    step = scene.step(is_repeatable=True)
    await scene.open(run, step)
    await scene.open(await taken_over(scene, run), step)
    await scene.open(run := await taken_over(scene, run), scene.step("ask", "model"))
    data = {"step": 2, "name": "read_file", "arguments": {"path": "notes.txt"}}
    assert await told(scene, run) == [("tool.started", data)]


@pytest.mark.parametrize("request_", ["plain", ["a", 1], {"path": "x"}, None])
async def test_a_request_without_arguments_is_told_whole(scene: Scene, request_: object) -> None:
    run = await scene.started()
    await scene.open(run, scene.step(request=request_))
    ((_, data),) = await told(scene, run)
    assert data["arguments"] == request_


async def test_large_arguments_are_told_by_their_digest(scene: Scene) -> None:
    run = await scene.started()
    fits, large = {"text": "x" * 4085}, {"text": "é" * 4085}
    await scene.open(run, scene.step("fits", request={"arguments": fits}))
    await scene.open(run, scene.step("large", request={"arguments": large}))
    text = canonical(large).encode()
    cut = {"sha256": hashlib.sha256(text).hexdigest(), "bytes": len(text)}
    assert len(canonical(fits)) == 4096
    assert [data["arguments"] for _, data in await told(scene, run)] == [fits, cut]


@pytest.mark.parametrize("number", [2**64, -(2**70), 10**400, 1e300])
async def test_numbers_of_any_size_can_be_told(scene: Scene, number: float) -> None:
    """A model writes what it likes: that must not stop the run."""
    run = await scene.started()
    await scene.open(run, scene.step(request={"arguments": {"count": number}}))
    await scene.close(run, result=canonical(number))
    ((_, data), _) = await told(scene, run)
    assert data["arguments"].keys() in ({"count"}, {"sha256", "bytes"})
    _, step = await scene.store.journal.read(DEFAULT_ORG, run.id, LIMIT)
    assert step.result == number or step.result["bytes"] == len(canonical(number))


async def test_what_may_be_repeated_is_begun_again_in_a_later_attempt(scene: Scene) -> None:
    run = await scene.started()
    step = scene.step(is_repeatable=True)
    first = await scene.open(run, step)
    again = await scene.open(await taken_over(scene, run), step)
    assert again == replace(first, attempt=2)


async def test_what_may_not_be_repeated_keeps_the_attempt_it_was_begun_in(scene: Scene) -> None:
    run = await scene.started()
    first = await scene.open(run)
    run = await taken_over(scene, run)
    assert await scene.open(run) == first
    await scene.store.journal.allow_repeat(run, "call-1")
    assert await scene.open(run) == replace(first, attempt=2, repeats=1)


async def test_a_person_allows_one_repetition_and_not_the_next(scene: Scene) -> None:
    run = await scene.started()
    await scene.open(run)
    await scene.store.journal.allow_repeat(run, "call-1")
    assert [step.is_repeatable for step in await scene.store.journal.steps(run.id)] == [True]
    again = await scene.open(run)  # in the same attempt: its process is alive, what it called is not
    assert (again.repeats, again.is_repeatable) == (1, False)
    later = await taken_over(scene, run)
    assert await scene.open(later) == again, "cut off again, it waits for another decision"
    await scene.store.journal.allow_repeat(later, "call-1")
    assert (await scene.open(later)).repeats == 2


async def test_only_an_open_step_can_be_allowed_again(scene: Scene) -> None:
    run = await scene.started()
    await refused(scene.store.journal.allow_repeat(run, "call-1"), ErrorKind.INVALID_STATE)
    await scene.open(run)
    await scene.close(run)
    await refused(scene.store.journal.allow_repeat(run, "call-1"), ErrorKind.INVALID_STATE)


# --- closing ----------------------------------------------------------------------------------------


async def test_a_closed_step_is_its_record(scene: Scene) -> None:
    run = await scene.started()
    await scene.open(run)
    await scene.close(
        run, outcome="error", result='{"error":"no such file"}', usage=USAGE, shown="No such file"
    )
    run = await taken_over(scene, run)
    closed = await scene.open(run)
    assert (closed.attempt, closed.outcome, closed.result) == (1, "error", '{"error":"no such file"}')
    assert (closed.closed_at_ms, closed.usage) == (scene.now_ms - 1, USAGE)
    data = {"step": 2, "name": "read_file", "outcome": "error", "preview": "No such file"}
    assert (await told(scene, run))[-1] == ("tool.finished", data)


async def test_closing_again_is_nothing_unless_it_says_otherwise(scene: Scene) -> None:
    run = await scene.started()
    await scene.open(run)
    await scene.close(run, usage=USAGE)
    before = await scene.dump()
    await scene.close(run, usage=USAGE)
    await refused(scene.close(run, result='"other"'), ErrorKind.INVALID_STATE)
    await refused(scene.close(run, outcome="error"), ErrorKind.INVALID_STATE)
    await refused(scene.close(run, "unknown"), ErrorKind.INVALID_STATE)
    assert await scene.dump() == before


@pytest.mark.parametrize("kind", ["model", "prompt", "note"])
async def test_only_tools_are_told(scene: Scene, kind) -> None:
    run = await scene.started()
    await scene.open(run, scene.step("one", kind))
    await scene.close(run, "one", shown="something")
    assert await told(scene, run) == []


async def test_who_lost_the_run_writes_nothing_into_its_journal(scene: Scene) -> None:
    run = await scene.started()
    await scene.open(run)
    await taken_over(scene, run)
    before = await scene.dump()
    late = (
        scene.open(run, scene.step("other")),
        scene.close(run),
        scene.store.journal.allow_repeat(run, "call-1"),
        scene.store.journal.take_steers(run, "steer-1", scene.now_ms),
        scene.store.journal.checkpoint(run.id, run.fence, "more"),
        scene.store.runs.note(run, {"pack": "notes"}),
        scene.wait(run, questions=[scene.question()]),
    )
    for attempt in late:
        with pytest.raises(StaleFence):
            await attempt
    assert await scene.dump() == before


# --- reading ----------------------------------------------------------------------------------------


async def test_a_journal_is_shown_with_its_reply(scene: Scene) -> None:
    run = await scene.started()
    await scene.open(run)
    await scene.close(run, usage=USAGE)
    await scene.open(run, scene.step("open", "model", request={"question": "x" * LIMIT}))
    reply, closed, still_open = await scene.store.journal.read(DEFAULT_ORG, run.id, LIMIT)
    assert (reply.step, reply.key, reply.kind, reply.request) == (
        1,
        "reply",
        "reply",
        {"message_id": run.reply_id},
    )
    assert (closed.request, closed.result) == ({"arguments": {"path": "notes.txt"}}, "done")
    assert (closed.outcome, closed.usage) == ("ok", USAGE)
    assert (still_open.outcome, still_open.result, still_open.closed_at) == (None, None, None)
    assert still_open.request["bytes"] == LIMIT + len('{"question":""}')


async def test_a_journal_belongs_to_its_organization(scene: Scene) -> None:
    run = await scene.started()
    await refused(scene.store.journal.read(OTHER_ORG, run.id, LIMIT), ErrorKind.NOT_FOUND)
    await refused(scene.store.journal.read(DEFAULT_ORG, "run_unknown", LIMIT), ErrorKind.NOT_FOUND)


# --- what the run's record says of how it was answered ------------------------------------------------


async def test_facts_are_added_to_those_that_are_known(scene: Scene) -> None:
    run = await scene.started()
    await scene.store.runs.note(run, {"worker": "a", "packs": ["one"]})
    await scene.store.runs.note(run, {"worker": "b"})
    noted = await scene.store.runs.get(DEFAULT_ORG, run.id)
    assert noted.facts == {"worker": "b", "packs": ["one"]}
