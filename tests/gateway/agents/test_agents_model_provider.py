"""kind="model": from settings to a provider, keys, prices; and Anthropic's API through a minimal stand-in of it."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from agents_stage import MemoryJournal, attempt, make_context
from aiohttp import web
from model_stage import KEY, PARTS, Counter, over, running
from pydantic_ai.messages import ModelResponse
from pydantic_ai.usage import RequestUsage

from channels.emulators.loopback import LoopbackServer
from channels.emulators.openai import OpenAiEmulator
from gateway.agent_settings import ModelSettings
from gateway.agents.model.agent import create
from gateway.agents.model.prices import bill
from gateway.agents.model.provider import Target, target_of
from gateway.agents.port import AgentFailure


def settings(**more: Any) -> ModelSettings:
    return ModelSettings.model_validate({"id": "m", "kind": "model", **more})


@pytest.mark.parametrize(
    ("told", "target"),
    [
        ({"model": "openai:gpt-x"}, Target("openai", "gpt-x", "https://api.openai.com/v1", True)),
        (
            {"model": "openai:gpt-x", "base_url": "http://h/v1"},
            Target("openai", "gpt-x", "http://h/v1", False),
        ),
        (
            {"model": "anthropic:claude-x"},
            Target("anthropic", "claude-x", "https://api.anthropic.com", True),
        ),
        ({"model": "ollama:q:7b"}, Target("ollama", "q:7b", "http://127.0.0.1:11434/v1", False)),
        ({"model": "q:7b", "base_url": "http://h/v1"}, Target("compatible", "q:7b", "http://h/v1", False)),
        ({"model": "q", "base_url": "http://h/v1/"}, Target("compatible", "q", "http://h/v1", False)),
    ],
)
def test_the_settings_say_whom_to_ask(told: dict[str, Any], target: Target) -> None:
    assert target_of(settings(**told)) == target


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"model": "gpt-x"}, "has no known provider"),
        ({"model": "openai:"}, "names no model"),
        ({"model": "", "base_url": "http://h"}, "model is empty"),
        ({"model": "openai:x", "tools": ["hammer"]}, "hammer"),
    ],
)
def test_settings_that_cannot_work_are_refused_when_the_agent_is_made(
    told: dict[str, Any], says: str
) -> None:
    with pytest.raises(AgentFailure, match=says) as failed:
        create(settings(**told), PARTS)
    assert failed.value.kind == "bad_configuration"


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"model": "openai:gpt-x"}, "env:OPENAI_API_KEY"),
        ({"model": "anthropic:claude-x"}, "env:ANTHROPIC_API_KEY"),
        ({"model": "openai:gpt-x", "api_key": "env:NOT_THERE"}, "env:NOT_THERE"),
    ],
)
async def test_a_missing_key_is_named_when_the_agent_starts(
    told: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only what the configuration refers to is used, never what lies about in the environment.
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-environment")
    agent = create(settings(**told), PARTS)
    with pytest.raises(AgentFailure, match=says) as failed:
        await agent.start()
    assert failed.value.kind == "missing_secret"
    await agent.stop()


async def test_no_key_and_no_address_comes_out_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    async with OpenAiEmulator(key="none") as emulator:
        for model in ("demo", "openai:demo", "ollama:demo"):
            agent = create(settings(model=model, base_url=emulator.base_url), PARTS)
            async with running(agent):
                assert (await attempt(agent, make_context())).text == "You said: hello"


def test_only_the_provider_that_is_needed_is_loaded() -> None:
    program = """
import sys
import gateway.agents.model.agent
assert "openai" not in sys.modules and "anthropic" not in sys.modules, "loaded before anybody needs them"
from gateway.agents.model import openai_models
assert "anthropic" not in sys.modules, "loaded although nobody uses it"
"""
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root, timeout=60)


def response(model: str, url: str, tokens_in: int = 1000, tokens_out: int = 500) -> ModelResponse:
    usage = RequestUsage(input_tokens=tokens_in, output_tokens=tokens_out)
    return ModelResponse(parts=[], usage=usage, model_name=model, provider_url=url)


OPENAI = "https://api.openai.com/v1/"


def test_prices_come_from_the_list_unless_told() -> None:
    known = response("gpt-4o", OPENAI)
    # $2.50 and $10 per million, as genai-prices has it.
    assert bill(settings(model="openai:gpt-4o"), known).usage.cost_microusd == 2500 + 5000
    told = settings(model="openai:gpt-4o", input_price=1.0)
    assert bill(told, known).usage.cost_microusd == 1000 + 5000
    both = settings(model="x", base_url="http://h", input_price=0.5, output_price=0)
    assert bill(both, response("x", "http://h")).usage.cost_microusd == 500
    assert bill(both, response("x", "http://h")).is_priced


@pytest.mark.parametrize(("model", "url"), [("gpt-4o", "http://127.0.0.1/v1"), ("no-such-model", OPENAI)])
def test_what_is_on_no_list_costs_nothing_and_says_so(model: str, url: str) -> None:
    unknown = bill(settings(model="openai:x"), response(model, url))
    assert (unknown.usage.cost_microusd, unknown.usage.input_tokens, unknown.is_priced) == (0, 1000, False)


@asynccontextmanager
async def anthropic_stand_in(requests: list[Any]) -> AsyncIterator[str]:
    """The streaming messages API, as far as one tool call and a text: https://docs.anthropic.com/en/api/messages-streaming."""

    async def messages(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            error = {"type": "error", "error": {"type": "authentication_error", "message": f"not {KEY}"}}
            return web.json_response(error, status=401)
        body = await request.json()
        requests.append(body)
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        for event in _events(is_first=len(body["messages"]) == 1):
            await stream.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        await stream.write_eof()
        return stream

    server = LoopbackServer(lambda path: False)
    await server.start([web.post("/v1/messages", messages)], "127.0.0.1", 0)
    try:
        yield server.url
    finally:
        await server.stop()


def _events(is_first: bool) -> list[dict[str, Any]]:
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "claude-x",
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 1},
    }
    if is_first:
        block: dict[str, Any] = {"type": "tool_use", "id": "toolu_1", "name": "count", "input": {}}
        deltas: list[dict[str, Any]] = [
            {"type": "input_json_delta", "partial_json": piece} for piece in ('{"by"', ": 2}")
        ]
    else:
        block = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": piece} for piece in ("It is ", "done.")]
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *[{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas],
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use" if is_first else "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 7},
        },
        {"type": "message_stop"},
    ]


async def test_anthropics_api_with_a_tool() -> None:
    requests: list[Any] = []
    tool, journal = Counter(), MemoryJournal()
    async with anthropic_stand_in(requests) as url:
        stand_in: Any = type("At", (), {"base_url": url})
        async with running(
            over(stand_in, tool, model="anthropic:claude-x", instructions="Be brief.")
        ) as agent:
            given = await attempt(agent, make_context(journal))
            again = await attempt(agent, make_context(journal))
    assert given.text == again.text == "It is done."
    assert tool.effects == [{"by": 2}]
    assert len(requests) == 2
    assert "Be brief." in json.dumps(requests[0]["system"])
    assert requests[0]["tools"][0]["name"] == "count"
    assert requests[1]["messages"][-1]["content"][0]["tool_use_id"] == "toolu_1"
    assert journal.ended["model/1"].usage.output_tokens == 7


async def test_anthropic_refuses_a_wrong_key() -> None:
    async with anthropic_stand_in([]) as url:
        stand_in: Any = type("At", (), {"base_url": url})
        async with running(over(stand_in, model="anthropic:claude-x", api_key="sk-wrong")) as agent:
            with pytest.raises(AgentFailure) as failed:
                await attempt(agent, make_context())
    assert (failed.value.kind, failed.value.passes) == ("unauthorized", False)
    assert KEY not in str(failed.value)
