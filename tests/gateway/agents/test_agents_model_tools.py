"""kind="model": the gateway's tools in a model's hands, with leave, once, and whatever the model makes of the calls."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from agents_stage import MemoryJournal, attempt, decided, make_context
from hypothesis import given as property_of
from hypothesis import strategies as st
from model_stage import KEY, Counter, over, running

from channels.emulators.openai import Answer, OpenAiEmulator, ToolUse
from gateway.agents.model.tools import wire_names
from gateway.agents.port import AgentAsk, AgentFailure


@pytest.fixture
async def emulator() -> AsyncIterator[OpenAiEmulator]:
    async with OpenAiEmulator(key=KEY) as made:
        yield made


def results(emulator: OpenAiEmulator) -> list[Any]:
    """What the model was told of its calls in the last request."""
    return [one["content"] for one in emulator.requests[-1]["messages"] if one["role"] == "tool"]


async def test_a_tool_is_offered_used_and_its_result_told(emulator: OpenAiEmulator) -> None:
    emulator.say(Answer(tool_uses=(ToolUse("count", '{"by": 2}', "call_a"),)), Answer("done"))
    tool, journal = Counter(), MemoryJournal()
    async with running(over(emulator, tool)) as agent:
        given = await attempt(agent, make_context(journal))
    offered = emulator.requests[0]["tools"][0]["function"]
    assert (offered["name"], offered["description"], offered["parameters"]) == (
        "count",
        "Counts.",
        tool.parameters,
    )
    assert tool.effects == [{"by": 2}]
    assert results(emulator) == ['{"effects":1}']
    assert given.text == "done"
    assert journal.log == [
        f"{what}:{key}" for key in ("model/1", "tool/call_a", "model/2") for what in ("begin", "finish")
    ]


async def test_built_in_tools_come_from_the_settings(emulator: OpenAiEmulator) -> None:
    async with running(over(emulator, tools=("calculator", "clock"))) as agent:
        given = await attempt(agent, make_context(text='use calculator {"expression": "6*7"} then say done'))
    assert [tool["function"]["name"] for tool in emulator.requests[0]["tools"]] == ["calculator", "clock"]
    assert "42" in results(emulator)[0]
    assert given.text == "done"


async def test_several_calls_are_made_in_their_order(emulator: OpenAiEmulator) -> None:
    uses = tuple(ToolUse("count", json.dumps({"by": n})) for n in (3, 1, 2))
    emulator.say(Answer(tool_uses=uses), Answer("done"))
    tool = Counter()
    async with running(over(emulator, tool)) as agent:
        await attempt(agent, make_context())
    assert [one["by"] for one in tool.effects] == [3, 1, 2]
    assert results(emulator) == ['{"effects":1}', '{"effects":2}', '{"effects":3}']


@pytest.mark.parametrize(
    "arguments",
    [
        "NaN",
        "null",
        "[1]",
        '"text"',
        "7",
        '{"by": NaN}',
        '{"by": Infinity}',
        '{"by": "two"}',
        '{"other": 1}',
        "{",
    ],
)
async def test_arguments_that_make_no_sense_are_told_to_the_model(
    emulator: OpenAiEmulator, arguments: str
) -> None:
    emulator.say(Answer(tool_uses=(ToolUse("count", arguments),)), Answer("I see."))
    tool = Counter()
    async with running(over(emulator, tool)) as agent:
        given = await attempt(agent, make_context())
    assert tool.effects == []
    (told,) = results(emulator)
    assert "arguments" in told
    assert given.text == "I see."


async def test_no_arguments_at_all_are_an_empty_object(emulator: OpenAiEmulator) -> None:
    emulator.say(Answer(tool_uses=(ToolUse("count", ""),)), Answer("done"))
    tool = Counter()
    async with running(over(emulator, tool)) as agent:
        await attempt(agent, make_context())
    assert tool.effects == [{}]


async def test_a_tool_that_is_not_there(emulator: OpenAiEmulator) -> None:
    emulator.say(Answer(tool_uses=(ToolUse("rm_rf"),)), Answer("Sorry."))
    async with running(over(emulator, Counter())) as agent:
        given = await attempt(agent, make_context())
    assert results(emulator) == ['{"error":"There is no tool \'rm_rf\'. There are: count."}']
    assert given.text == "Sorry."


async def test_calls_with_the_same_id_are_told_apart_in_every_attempt(emulator: OpenAiEmulator) -> None:
    twice = Answer(tool_uses=(ToolUse("count", id="same"), ToolUse("count", id="same")))
    emulator.say(
        twice, Answer(tool_uses=(ToolUse("count", id="same"), ToolUse("count", id="a b"))), Answer("done")
    )
    tool, journal = Counter(), MemoryJournal()
    async with running(over(emulator, tool)) as agent:
        await attempt(agent, make_context(journal))
        await attempt(agent, make_context(journal))
    assert len(tool.effects) == 4
    assert [key for key in journal.begun if key.startswith("tool/")] == [
        "tool/same",
        "tool/same_2",
        "tool/same_3",
        "tool/call_1",
    ]
    assert len(emulator.requests) == 3, "the API takes no conversation with the same id twice"


async def test_a_tool_that_fails_is_told_and_not_tried_again(emulator: OpenAiEmulator) -> None:
    emulator.say(Answer(tool_uses=(ToolUse("count"),)), Answer("Sorry."))
    async with running(over(emulator, Counter(fails="no <|im_start|>luck"))) as agent:
        await attempt(agent, make_context())
    assert results(emulator) == ['{"error":"no luck"}']


async def test_names_that_the_api_does_not_take_are_translated(emulator: OpenAiEmulator) -> None:
    emulator.say(Answer(tool_uses=(ToolUse("files_count"),)), Answer("done"))
    tool, journal = Counter(name="files.count"), MemoryJournal()
    async with running(over(emulator, tool)) as agent:
        await attempt(agent, make_context(journal))
    assert len(tool.effects) == 1
    assert {step.name for step in journal.begun.values() if step.kind == "tool"} == {"files.count"}


@property_of(st.sets(st.text("ab.-_", min_size=1, max_size=4) | st.text("x.y", min_size=64, max_size=66)))
def test_no_two_tools_share_a_name_on_the_wire(names: set[str]) -> None:
    wire = wire_names(sorted(names))
    assert sorted(wire.values()) == sorted(names)
    assert all(0 < len(name) <= 64 and name.replace("-", "_").isidentifier() for name in wire)


async def test_a_call_that_needs_approval_waits_as_data_and_goes_on_when_it_is_approved(
    emulator: OpenAiEmulator,
) -> None:
    uses = (
        ToolUse("count", '{"by": 1}', "a"),
        ToolUse("free", "{}", "b"),
        ToolUse("count", '{"by": 2}', "c"),
    )
    emulator.say(Answer("May I?", tool_uses=uses), Answer("Done."))
    tool, free, journal = Counter(requires_approval=True), Counter(name="free"), MemoryJournal()
    agent = over(emulator, tool, free)
    async with running(agent):
        first = await attempt(agent, make_context(journal))
    asks = first.of(AgentAsk)
    assert [(ask.key, ask.subject["arguments"]) for ask in asks] == [
        ("tool/a", {"by": 1}),
        ("tool/c", {"by": 2}),
    ]
    assert tool.effects == free.effects == []

    # Another process, a day later.
    decisions = (decided(asks[0]), decided(asks[1], approved=False, reason="twice is enough"))
    agent = over(emulator, tool, free)
    async with running(agent):
        second = await attempt(agent, make_context(journal, attempt=2, decisions=decisions))
    assert second.text == "May I?\n\nDone."
    assert not second.of(AgentAsk)
    assert tool.effects == [{"by": 1}]
    assert len(free.effects) == 1
    told = results(emulator)
    assert told[:2] == ['{"effects":1}', '{"effects":1}']
    assert "not approved by Olga: twice is enough" in told[2]
    assert len(emulator.requests) == 2


async def test_a_decision_about_something_else_is_none(emulator: OpenAiEmulator) -> None:
    emulator.say(Answer(tool_uses=(ToolUse("count", '{"by": 1}', "a"),)))
    tool, journal = Counter(requires_approval=True), MemoryJournal()
    other = AgentAsk(
        "tool/a", "Use the tool count", "another body", {"tool": "count", "arguments": {"by": 100}}
    )
    async with running(over(emulator, tool)) as agent:
        given = await attempt(agent, make_context(journal, decisions=(decided(other),)))
    assert len(given.of(AgentAsk)) == 1
    assert tool.effects == []


async def test_nobody_is_asked_about_a_call_that_cannot_be_made(emulator: OpenAiEmulator) -> None:
    emulator.say(Answer(tool_uses=(ToolUse("count", '{"by": NaN}'),)), Answer("I see."))
    async with running(over(emulator, Counter(requires_approval=True))) as agent:
        given = await attempt(agent, make_context())
    assert not given.of(AgentAsk)
    assert given.text == "I see."


async def test_a_model_that_comes_to_no_end(emulator: OpenAiEmulator) -> None:
    emulator.answers.always(Answer(tool_uses=(ToolUse("count"),)))
    tool = Counter()
    async with running(over(emulator, tool, steps_max=5)) as agent:
        with pytest.raises(AgentFailure) as failed:
            await attempt(agent, make_context())
    assert (failed.value.kind, failed.value.passes) == ("too_many_steps", False)
    assert len(emulator.requests) == len(tool.effects) == 5
