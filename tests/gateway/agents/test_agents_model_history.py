"""kind="model": what falls out of the window is summarised once, recorded with the run, and not paid for again."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from agents_stage import MemoryJournal, attempt, make_context
from model_stage import KEY, over, running

from channels.emulators.openai import Answer, OpenAiEmulator
from gateway.agents.model.history import INSTRUCTIONS, THREADS_MAX, Histories, Summary
from gateway.agents.model.history import KEY as SUMMARY
from gateway.agents.port import AgentFailure, RunContext
from storage.values import Said


def compose(request: dict[str, Any]) -> Answer:
    """An endpoint that knows a request for a summary, and numbers them by what they are about."""
    if INSTRUCTIONS in str(request["messages"][0]["content"]):
        return Answer("  So far <|im_end|>it went well.  ")
    return Answer("answer")


@pytest.fixture
async def emulator() -> AsyncIterator[OpenAiEmulator]:
    async with OpenAiEmulator(key=KEY, compose=compose) as made:
        yield made


def thread(count: int, thread_id: str = "thr_1", **more: Any) -> RunContext:
    """A run that answers the last of so many messages, `q1 a2 q3 a4 …`."""
    said = [
        Said(seq * 10, "user" if seq % 2 else "assistant", f"{'q' if seq % 2 else 'a'}{seq}")
        for seq in range(1, count + 1)
    ]

    async def read(limit: int) -> list[Said]:
        return said[-limit:]

    reader: Callable[[int], Awaitable[list[Said]]] = read
    return make_context(more.pop("journal", None), text=f"q{count}", thread_id=thread_id, said=reader, **more)


def told(request: dict[str, Any]) -> list[str]:
    """The words of a request, without the system message."""
    texts = []
    for message in request["messages"][1:]:
        content = message["content"]
        texts.append(content if isinstance(content, str) else content[0]["text"])
    return texts


WINDOW = {"history_messages": 4}
SUMMARISED = "[Summary of the earlier conversation, made by a model]\nSo far it went well."


async def test_what_fits_is_told_word_for_word(emulator: OpenAiEmulator) -> None:
    journal = MemoryJournal()
    async with running(over(emulator, **WINDOW)) as agent:
        await attempt(agent, thread(5, journal=journal))
    assert told(emulator.requests[0]) == ["q1", "a2", "q3", "a4", "q5"]
    assert SUMMARY not in journal.begun


async def test_what_falls_out_is_summarised_as_a_step_with_its_price(emulator: OpenAiEmulator) -> None:
    journal = MemoryJournal()
    async with running(over(emulator, **WINDOW)) as agent:
        await attempt(agent, thread(7, journal=journal))
    summary, answer = emulator.requests
    assert told(summary) == ["user: q1\n\nassistant: a2\n\nuser: q3\n\nassistant: a4"]
    assert told(answer) == [SUMMARISED, "q5", "a6", "q7"]
    assert journal.log[:2] == [f"begin:{SUMMARY}", f"finish:{SUMMARY}"]
    assert journal.ended[SUMMARY].result == {"upto": 40, "text": "So far <|im_end|>it went well."}
    assert journal.ended[SUMMARY].usage.cost_microusd > 0


async def test_a_summary_is_made_again_only_when_the_window_is_full_and_goes_on_from_the_last(
    emulator: OpenAiEmulator,
) -> None:
    async with running(over(emulator, **WINDOW)) as agent:
        await attempt(agent, thread(7))
        journal = MemoryJournal()
        await attempt(agent, thread(9, journal=journal))
        assert len(emulator.requests) == 3, "no second summary"
        assert journal.ended[SUMMARY].result["upto"] == 40
        assert journal.ended[SUMMARY].usage.cost_microusd == 0, "and none that is paid for"
        assert told(emulator.requests[-1]) == [SUMMARISED, "q5", "a6", "q7", "a8", "q9"]
        await attempt(agent, thread(11))
    summary = told(emulator.requests[3])[0]
    assert summary.startswith("[Summary of what was before]\nSo far")
    assert summary.endswith("user: q5\n\nassistant: a6\n\nuser: q7\n\nassistant: a8")
    assert told(emulator.requests[4])[1:] == ["q9", "a10", "q11"]


async def test_an_attempt_in_another_process_works_with_the_recorded_summary(
    emulator: OpenAiEmulator,
) -> None:
    journal = MemoryJournal()
    async with running(over(emulator, **WINDOW)) as agent:
        await attempt(agent, thread(7))
        given = await attempt(agent, thread(9, journal=journal))
    asked = len(emulator.requests)
    requests = {key: step.request for key, step in journal.begun.items()}
    async with running(over(emulator, **WINDOW)) as agent:
        again = await attempt(agent, thread(9, journal=journal, attempt=2))
    assert again.text == given.text
    assert len(emulator.requests) == asked
    assert {key: step.request for key, step in journal.begun.items()} == requests


async def test_threads_do_not_share_a_summary(emulator: OpenAiEmulator) -> None:
    async with running(over(emulator, **WINDOW)) as agent:
        await attempt(agent, thread(7, "thr_1"))
        await attempt(agent, thread(7, "thr_2"))
    assert len(emulator.requests) == 4


async def test_long_messages_fall_out_by_their_characters(emulator: OpenAiEmulator) -> None:
    async with running(over(emulator, history_chars=4, **WINDOW)) as agent:
        await attempt(agent, thread(5))
    assert told(emulator.requests[-1]) == [SUMMARISED, "a4", "q5"]


async def test_without_summaries_it_is_forgotten(emulator: OpenAiEmulator) -> None:
    async with running(over(emulator, summarise=False, **WINDOW)) as agent:
        await attempt(agent, thread(8))
    assert told(emulator.requests[0]) == [
        "[The conversation began before this.]",
        "a4",
        "q5",
        "a6",
        "q7",
        "q8",
    ]


async def test_no_history_at_all(emulator: OpenAiEmulator) -> None:
    async with running(over(emulator, history_messages=0)) as agent:
        await attempt(agent, thread(9))
    assert told(emulator.requests[0]) == ["q9"]


async def test_a_summary_that_fails_fails_the_attempt_and_is_made_in_the_next(
    emulator: OpenAiEmulator,
) -> None:
    journal = MemoryJournal()
    emulator.faults.add("error", code=503)
    emulator.say(Answer())
    async with running(over(emulator, **WINDOW)) as agent:
        for kind in ("provider_error", "bad_output"):
            with pytest.raises(AgentFailure) as failed:
                await attempt(agent, thread(7, journal=journal))
            assert (failed.value.kind, failed.value.passes) == (kind, True)
        given = await attempt(agent, thread(7, journal=journal))
    assert given.text == "answer"


async def test_a_recorded_summary_that_is_none(emulator: OpenAiEmulator) -> None:
    journal = MemoryJournal()
    async with running(over(emulator, **WINDOW)) as agent:
        await attempt(agent, thread(7, journal=journal))
        journal.ended.clear()
        await journal.finish(SUMMARY, {"upto": "x"})
        with pytest.raises(AgentFailure) as failed:
            await attempt(agent, thread(7, journal=journal))
    assert failed.value.kind == "journal_mismatch"


def test_summaries_are_kept_for_a_bounded_number_of_threads(emulator: OpenAiEmulator) -> None:
    histories = Histories(over(emulator).settings)
    for number in range(THREADS_MAX + 5):
        histories._remember(f"thr_{number}", Summary(1, "x"))
    assert len(histories._known) == THREADS_MAX
    assert "thr_0" not in histories._known
