"""One run at one worker: what is said is taken in order, checked, joined, bounded, and read by whoever answers."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agents import executions
from gateway.agents.executions import Execution, Over, StepCall
from gateway.agents.port import AgentBeat, AgentFailure, AgentRewind, AgentText
from gateway.agents.worker_outputs import BadOutput, to_output
from protocol.errors import Fault
from protocol.requests import RunStepParams, RunStepResult
from protocol.workers import RunOutput

MIB = 1 << 20


def execution(output_bytes: int = 16 * MIB) -> Execution:
    return Execution("run_1", 7, output_bytes)


def say(to: Execution, index: int, type_: str = "text", size_bytes: int = 100, **fields: Any) -> None:
    to.take({"run_id": "run_1", "fence": 7, "index": index, "type": type_, **fields}, size_bytes)


async def everything(of: Execution) -> list[Any]:
    """What waits to be read."""
    found = []
    while (item := await of.next(0.0)) is not None:
        found.append(item)
    return found


def step(phase: str = "begin") -> RunStepParams:
    return RunStepParams.model_validate({"run_id": "run_1", "fence": 7, "key": "k", "phase": phase})


async def test_text_that_waits_is_joined() -> None:
    made = execution()
    for index, word in enumerate(["a", "b", "c"]):
        say(made, index, text=word)
    say(made, 3, "rewind", chars=1)
    say(made, 4, text="d")
    say(made, 5, "done")
    assert await everything(made) == [AgentText("abc"), AgentRewind(1), AgentText("d"), Over.OVER]


async def test_joined_pieces_stay_short() -> None:
    made = execution()
    for index in range(4):
        say(made, index, text="x" * (executions.JOINED_CHARS // 2))
    assert [len(item.text) for item in await everything(made)] == [executions.JOINED_CHARS] * 2


async def test_a_beat_is_told_only_when_nothing_else_is() -> None:
    made = execution()
    say(made, 0, "beat")
    say(made, 1, text="a")
    say(made, 2, "beat")
    assert await everything(made) == [AgentBeat(), AgentText("a")]


async def test_more_than_can_wait_is_too_large() -> None:
    made = execution(1 << 40)
    for index in range(5):
        say(made, index, text=str(index), size_bytes=MIB)
    *said, failure = await everything(made)
    assert (failure.kind, made.is_over) == ("too_large", True)
    assert said == [AgentText("0123")]


async def test_what_was_read_makes_room() -> None:
    made = execution(1 << 40)
    for index in range(20):
        say(made, index, text="x", size_bytes=MIB)
        assert await made.next(None) == AgentText("x")
    assert not made.is_over


async def test_nothing_counts_after_the_end() -> None:
    made = execution()
    say(made, 0, "done")
    say(made, 1, text="by the way")
    say(made, 2, "dance")
    assert await everything(made) == [Over.OVER]
    with pytest.raises(Fault):
        await made.step(step())


async def test_who_reads_waits_until_something_comes() -> None:
    made = execution()
    reading = asyncio.create_task(made.next(None))
    await asyncio.sleep(0)
    say(made, 0, text="now")
    assert await reading == AgentText("now")


async def test_a_step_waits_for_its_answer() -> None:
    made = execution()
    asking = asyncio.create_task(made.step(step()))
    call = await made.next(None)
    assert isinstance(call, StepCall)
    call.reply(RunStepResult(is_recorded=False))
    assert (await asking).is_recorded is False


async def test_a_lost_worker_begins_nothing_but_what_it_did_is_recorded() -> None:
    made = execution()
    beginning = asyncio.create_task(made.step(step("begin")))
    ending = asyncio.create_task(made.step(step("end")))
    await asyncio.sleep(0)
    made.fail(AgentFailure("worker_lost", "gone", passes=True))
    with pytest.raises(Fault):
        await beginning
    first, second, failure = await everything(made)
    assert isinstance(first, StepCall) and first.is_vain
    assert isinstance(second, StepCall) and not second.is_vain
    assert isinstance(failure, AgentFailure)
    made.close()
    second.reply(RunStepResult(is_recorded=True))
    assert (await ending).is_recorded


async def test_closing_answers_whoever_waits() -> None:
    made = execution()
    asking = asyncio.create_task(made.step(step()))
    await asyncio.sleep(0)
    made.close()
    with pytest.raises(Fault) as refused:
        await asking
    assert refused.value.data["kind"] == "not_found"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["index", "type", "text", "chars", "usage", "key", "title", "body", "facts", "error"]
)
TYPES = st.sampled_from(["text", "rewind", "usage", "ask", "question", "beat", "facts", "done", "failed"])


@given(st.lists(st.dictionaries(FIELDS, JSON | TYPES | st.integers(0, 3), max_size=6), max_size=12))
async def test_whatever_a_worker_sends_is_output_or_one_failure(sent: list[dict[str, Any]]) -> None:
    made = execution()
    for params in sent:
        made.take({"run_id": "run_1", "fence": 7, **params}, 100)
    items = await everything(made)
    ends = [item for item in items if isinstance(item, AgentFailure | Over)]
    assert len(ends) == (1 if made.is_over else 0)
    assert not ends or items[-1] is ends[0]


@given(TYPES, st.dictionaries(FIELDS.filter(lambda name: name not in ("index", "type")), JSON, max_size=6))
def test_an_output_is_something_of_the_port_or_refused(type_: str, fields: dict[str, Any]) -> None:
    params = {"run_id": "run_1", "fence": 7, "index": 0, "type": type_, **fields}
    try:
        wire = RunOutput.model_validate(params)
        assert to_output(wire)
    except (ValueError, BadOutput):
        pass
