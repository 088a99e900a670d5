"""What goes wrong on demand, before an answer and in the middle of it, and the control side."""

import asyncio
from typing import Any

import pytest
from aiohttp import ClientSession
from openai import APIConnectionError, APIStatusError, APITimeoutError, AsyncOpenAI

from channels.emulators.errors import ControlError
from channels.emulators.openai import Answer, OpenAiEmulator, tokens

HELLO: list[Any] = [{"role": "user", "content": "hello"}]


async def said(client: AsyncOpenAI) -> str:
    stream = await client.chat.completions.create(model="demo", messages=HELLO, stream=True)
    return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])


@pytest.mark.parametrize("code", [400, 401, 500, 503])
async def test_a_status_of_choice(client: AsyncOpenAI, emulator: OpenAiEmulator, code: int) -> None:
    emulator.faults.add("error", "chat.completions", code=code, description="as told")
    with pytest.raises(APIStatusError, match="as told") as refused:
        await said(client)
    assert refused.value.status_code == code
    assert await said(client) == "You said: hello", "once"


async def test_a_rate_limit_says_when_to_come_back(client: AsyncOpenAI, emulator: OpenAiEmulator) -> None:
    emulator.faults.add("429", retry_after_s=7)
    with pytest.raises(APIStatusError) as refused:
        await said(client)
    assert (refused.value.status_code, refused.value.response.headers["retry-after"]) == (429, "7")


@pytest.mark.parametrize("kind", ["drop", "refuse"])
async def test_a_connection_that_is_lost(client: AsyncOpenAI, emulator: OpenAiEmulator, kind: str) -> None:
    emulator.faults.add(kind)
    with pytest.raises(APIConnectionError):
        await said(client)


async def test_a_slow_first_byte_and_a_stop_that_does_not_wait_for_it(
    client: AsyncOpenAI, emulator: OpenAiEmulator
) -> None:
    emulator.say(Answer("late", first_delay_s=600))
    with pytest.raises(APITimeoutError):
        await client.with_options(timeout=0.1).chat.completions.create(model="demo", messages=HELLO)
    async with asyncio.timeout(1.5):
        await emulator.stop()


async def test_a_delay_between_pieces(client: AsyncOpenAI, emulator: OpenAiEmulator) -> None:
    emulator.say(tokens(3, delay_s=0.02))
    began = asyncio.get_running_loop().time()
    assert await said(client) == "word-1 word-2 word-3"
    assert asyncio.get_running_loop().time() - began >= 0.06


async def test_a_stream_that_is_cut_in_the_middle(client: AsyncOpenAI, emulator: OpenAiEmulator) -> None:
    emulator.say(Answer("one two three four", cut_after=2, delay_s=0.001))
    stream = await client.chat.completions.create(model="demo", messages=HELLO, stream=True)
    got = []
    with pytest.raises(APIConnectionError):
        async for chunk in stream:
            got.append(chunk.choices[0].delta.content)
    assert got == ["", "one", " two"]


async def test_a_stream_that_ends_too_early_without_an_error(
    client: AsyncOpenAI, emulator: OpenAiEmulator
) -> None:
    emulator.say(Answer("one two three", cut_after=1, ends_early=True))
    assert await said(client) == "one"


async def test_an_empty_answer_an_endless_one_and_garbage(
    client: AsyncOpenAI, emulator: OpenAiEmulator
) -> None:
    emulator.say(Answer(), Answer("x" * 1000, times=300), Answer(raw="data: {not json\n\n"))
    assert await said(client) == ""
    assert len(await said(client)) == 300_000
    with pytest.raises(ValueError):
        await said(client)


async def test_the_script_over_http(
    client: AsyncOpenAI, emulator: OpenAiEmulator, http: ClientSession
) -> None:
    answers = [{"text": "one"}, {"tokens": 2}, {"tool_uses": [{"name": "add", "arguments": {"a": 1}}]}]
    async with http.post(f"{emulator.url}/control/answers", json={"answers": answers}) as told:
        assert await told.json() == {"pending": 3}
    assert [await said(client), await said(client)] == ["one", "word-1 word-2"]
    await http.delete(f"{emulator.url}/control/answers")
    await http.post(f"{emulator.url}/control/answers/always", json={"text": "always"})
    assert [await said(client), await said(client)] == ["always", "always"]
    async with http.get(f"{emulator.url}/control/calls", params={"method": "chat.completions"}) as calls:
        assert [call["status"] for call in await calls.json()] == [200] * 4


@pytest.mark.parametrize(
    "body",
    [
        {"answers": "no list"},
        {"answers": [{"unknown": 1}]},
        {"answers": [{"text": 1}]},
        {"answers": [{"times": 0}]},
        {"answers": [{"times": True}]},
        {"answers": [{"delay_s": -1}]},
        {"answers": [{"finish": "whatever"}]},
        {"answers": [{"tokens": "many"}]},
        {"answers": [{"tool_uses": [{}]}]},
        {"answers": [{"cut_after": -1}]},
    ],
)
async def test_a_script_that_makes_no_sense_is_refused(
    emulator: OpenAiEmulator, http: ClientSession, body: Any
) -> None:
    async with http.post(f"{emulator.url}/control/answers", json=body) as refused:
        assert refused.status == 400, await refused.text()
        assert "error" in await refused.json()


def test_a_script_is_bounded() -> None:
    emulator = OpenAiEmulator()
    with pytest.raises(ControlError):
        emulator.say(*[Answer()] * 10_001)


async def test_a_stop_and_a_start_keep_the_script(client: AsyncOpenAI) -> None:
    emulator = OpenAiEmulator()
    emulator.say(Answer("kept"))
    await emulator.start()
    await emulator.stop()
    await emulator.start()
    async with AsyncOpenAI(base_url=emulator.base_url, api_key="any", max_retries=0) as other:
        assert await said(other) == "kept"
    await emulator.stop()
