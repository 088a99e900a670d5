"""What the unmodified client gets: texts, tool calls, usage, whole and streamed, and what the API refuses."""

import json
from typing import Any

import pytest
from openai import AsyncOpenAI, AuthenticationError, BadRequestError

from channels.emulators.openai import Answer, OpenAiEmulator, ToolUse, tokens

HELLO: list[Any] = [{"role": "user", "content": "hello"}]


async def streamed(client: AsyncOpenAI, messages: list[Any], **more: Any) -> list[Any]:
    stream = await client.chat.completions.create(
        model="demo", messages=messages, stream=True, stream_options={"include_usage": True}, **more
    )
    return [chunk async for chunk in stream]


def text_of(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def calls_of(chunks: list[Any]) -> dict[int, tuple[str, str, str]]:
    """Index → id, name and arguments, put together as clients do."""
    calls: dict[int, tuple[str, str, str]] = {}
    for chunk in chunks:
        for delta in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
            call_id, name, arguments = calls.get(delta.index, ("", "", ""))
            calls[delta.index] = (
                delta.id or call_id,
                delta.function.name or name,
                arguments + (delta.function.arguments or ""),
            )
    return calls


async def test_unasked_it_says_back_what_it_was_told(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="anything", messages=HELLO)
    assert answer.choices[0].message.content == "You said: hello"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "anything"


async def test_a_stream_has_one_piece_per_word_and_ends_with_the_usage(
    client: AsyncOpenAI, emulator: OpenAiEmulator
) -> None:
    emulator.say(tokens(16))
    chunks = await streamed(client, HELLO)
    pieces = [chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(pieces) == 16
    assert text_of(chunks).split() == [f"word-{number}" for number in range(1, 17)]
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 16
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"


async def test_a_stream_without_usage_when_nobody_asks_for_it(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(model="demo", messages=HELLO, stream=True)
    assert all(chunk.usage is None and chunk.choices for chunk in [chunk async for chunk in stream])


async def test_several_tool_calls_are_streamed_with_their_arguments_in_pieces(
    client: AsyncOpenAI, emulator: OpenAiEmulator
) -> None:
    uses = (ToolUse("add", '{"left": 1, "right": 2}', "call_a"), ToolUse("clock", "{}", "call_b"))
    emulator.say(Answer("Let me see.", tool_uses=uses))
    chunks = await streamed(client, HELLO)
    assert text_of(chunks) == "Let me see."
    assert calls_of(chunks) == {
        0: ("call_a", "add", '{"left": 1, "right": 2}'),
        1: ("call_b", "clock", "{}"),
    }
    assert chunks[-2].choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("arguments", ['{"a": ', "NaN", "null", "[1]", '{"a": NaN}'])
async def test_arguments_are_sent_as_they_stand(
    client: AsyncOpenAI, emulator: OpenAiEmulator, arguments: str
) -> None:
    emulator.say(Answer(tool_uses=(ToolUse("add", arguments),)))
    assert calls_of(await streamed(client, HELLO))[0][2] == arguments


async def test_call_ids_may_be_the_same_on_demand(client: AsyncOpenAI, emulator: OpenAiEmulator) -> None:
    emulator.say(Answer(tool_uses=(ToolUse("add", id="same"), ToolUse("add", id="same"))))
    assert [call[0] for call in calls_of(await streamed(client, HELLO)).values()] == ["same", "same"]


async def test_reasoning_refusal_and_the_reason_for_the_end(
    client: AsyncOpenAI, emulator: OpenAiEmulator
) -> None:
    emulator.say(Answer(refusal="No.", reasoning="Hm."), Answer("cut", finish="length"))
    refused = (await client.chat.completions.create(model="demo", messages=HELLO)).choices[0]
    assert refused.message.refusal == "No."
    assert refused.message.to_dict()["reasoning_content"] == "Hm."
    chunks = await streamed(client, HELLO)
    assert chunks[-2].choices[0].finish_reason == "length"


async def test_the_conversation_decides_what_it_does_when_nothing_is_scripted(client: AsyncOpenAI) -> None:
    asked: list[Any] = [{"role": "user", "content": 'use add {"left": 1} then use clock then say done'}]
    first = calls_of(await streamed(client, asked))[0]
    assert first == calls_of(await streamed(client, asked))[0], "the same request gets the same answer"
    assert first[1:] == ("add", '{"left": 1}')
    for call in (first, ("call_2", "clock", "{}")):
        tool_call = {"id": call[0], "type": "function", "function": {"name": call[1], "arguments": call[2]}}
        asked += [
            {"role": "assistant", "tool_calls": [tool_call]},
            {"role": "tool", "tool_call_id": call[0], "content": "3"},
        ]
    assert calls_of(await streamed(client, asked[:3]))[0][1] == "clock"
    assert text_of(await streamed(client, asked)) == "done"


async def test_models_are_listed(client: AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == ["demo"]


async def test_a_wrong_key_is_refused() -> None:
    async with (
        OpenAiEmulator(key="right") as emulator,
        AsyncOpenAI(base_url=emulator.base_url, api_key="wrong", max_retries=0) as client,
    ):
        with pytest.raises(AuthenticationError) as refused:
            await client.chat.completions.create(model="demo", messages=HELLO)
        assert refused.value.code == "invalid_api_key"
        with pytest.raises(AuthenticationError):
            await client.models.list()
        assert [call.status for call in emulator.calls.select()] == [401, 401]


CALL = {"id": "one", "type": "function", "function": {"name": "add", "arguments": "{}"}}


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "nobody", "content": "hello"}],
        [*HELLO, {"role": "tool", "tool_call_id": "one", "content": "3"}],
        [*HELLO, {"role": "assistant", "tool_calls": [CALL]}],
        [*HELLO, {"role": "assistant", "tool_calls": [CALL]}, *HELLO],
        [*HELLO, {"role": "assistant", "tool_calls": [CALL, CALL]}],
    ],
    ids=["none", "role", "result without call", "call without result", "call then text", "same ids"],
)
async def test_a_conversation_that_makes_no_sense_is_refused(
    client: AsyncOpenAI, messages: list[Any]
) -> None:
    with pytest.raises(BadRequestError):
        await client.chat.completions.create(model="demo", messages=messages)


async def test_it_remembers_what_it_was_asked(client: AsyncOpenAI, emulator: OpenAiEmulator) -> None:
    await client.chat.completions.create(model="demo", messages=HELLO, temperature=0.5)
    assert emulator.requests[-1]["messages"] == HELLO
    assert emulator.requests[-1]["temperature"] == 0.5
    (call,) = emulator.calls.select("chat.completions")
    assert (call.bot, call.status) == ("demo", 200)
    assert json.loads(call.arguments["body"])["messages"] == HELLO
