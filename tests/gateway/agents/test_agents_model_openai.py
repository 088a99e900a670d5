"""Requests to chat-completions endpoints: what the SDK no longer looks at is sent as the SDK would have sent it."""

from typing import Any

from openai import AsyncOpenAI
from pydantic_ai.direct import model_request_stream
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider
from pydantic_ai.tools import ToolDefinition

from channels.emulators.openai import OpenAiEmulator
from gateway.agents.model.connection import open_client
from gateway.agents.model.openai_models import PROFILE, compatible_model

CONVERSATION: list[ModelMessage] = [
    ModelRequest(parts=[SystemPromptPart("Be brief."), UserPromptPart("What is this?")]),
    ModelResponse(parts=[TextPart("I look."), ToolCallPart("look", {"at": [1, None, "ü"]}, "call_1")]),
    ModelRequest(parts=[ToolReturnPart("look", {"seen": True}, "call_1")]),
    ModelResponse(parts=[TextPart("A cat.")]),
    ModelRequest(parts=[UserPromptPart(["And this?", BinaryContent(b"\x89PNG", media_type="image/png")])]),
]
LOOK = ToolDefinition(
    name="look",
    description="Looks.",
    parameters_json_schema={"type": "object", "properties": {"at": {"type": "array"}}, "required": ["at"]},
)


async def sent(emulator: OpenAiEmulator, model: Model, parameters: ModelRequestParameters) -> dict[str, Any]:
    """The body of a request that a model makes for the conversation."""
    async with model_request_stream(model, CONVERSATION, model_request_parameters=parameters) as stream:
        async for _ in stream:
            pass
    return emulator.requests[-1]


async def test_what_is_sent_is_what_the_sdk_would_send() -> None:
    async with OpenAiEmulator() as emulator, open_client(60.0) as http:
        plain = AsyncOpenAI(base_url=emulator.base_url, api_key="none", http_client=http)
        provider = OpenAICompatibleProvider("compatible", openai_client=plain)
        theirs = OpenAIChatModel("demo", provider=provider, profile=PROFILE)
        ours = compatible_model("demo", emulator.base_url, None, http)
        for tools in ([LOOK], []):
            parameters = ModelRequestParameters(function_tools=tools)
            body = await sent(emulator, ours, parameters)
            assert body == await sent(emulator, theirs, parameters)
            assert len(body["messages"]) == len(CONVERSATION) + 1
            assert ("tools" in body) == bool(tools)


async def test_a_long_history_is_not_compared_with_every_type_of_message(monkeypatch: Any) -> None:
    compared: list[dict[str, Any]] = []

    async def compare(data: Any, _type: object) -> object:
        compared.append(data)
        return data

    monkeypatch.setattr("openai.resources.chat.completions.completions.async_maybe_transform", compare)
    async with OpenAiEmulator() as emulator, open_client(60.0) as http:
        model = compatible_model("demo", emulator.base_url, None, http)
        body = await sent(emulator, model, ModelRequestParameters(function_tools=[LOOK]))
    assert compared == []
    assert len(body["messages"]) == len(CONVERSATION) + 1
