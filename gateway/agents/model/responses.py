"""A conversation as the journal keeps it: what identifies a request, and a response as JSON and back. Pure."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessage,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

from gateway.agents.model.text import sound
from gateway.agents.port import AgentFailure, Json
from protocol.canonical import canonical, digest

_RESPONSE: Final = TypeAdapter(ModelResponse)
_CALL_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
"""Ids of providers are like this; others are replaced: they are keys of the journal and travel in further requests."""


def digest_of(messages: Iterable[ModelMessage], parameters: ModelRequestParameters) -> str:
    """What a request is told apart by: everything the model is told, and nothing of when."""
    return digest(_told(messages, parameters))


def chars_of(messages: Iterable[ModelMessage], parameters: ModelRequestParameters) -> int:
    """About how long a request is; files count next to nothing."""
    return len(canonical(_told(messages, parameters)))


def _told(messages: Iterable[ModelMessage], parameters: ModelRequestParameters) -> Json:
    instructions = [part.content for part in parameters.instruction_parts or ()]
    told = [[message.kind, *map(_identity, message.parts)] for message in messages]
    return [instructions, [_tool(tool) for tool in parameters.function_tools], told]


def record_of(response: ModelResponse) -> Json:
    """A tidied response for the journal."""
    return _RESPONSE.dump_python(response, mode="json", exclude_none=True)


def response_of(record: Json) -> ModelResponse:
    """A response out of the journal. Raises AgentFailure (`journal_mismatch`) when the record is none."""
    try:
        return _RESPONSE.validate_python(record)
    except ValidationError as error:
        raise AgentFailure(
            "journal_mismatch", "A recorded answer of the model cannot be read; it is of another version."
        ) from error


def tidied(response: ModelResponse, taken: set[str]) -> ModelResponse:
    """The response with texts that can be encoded, and with tool call ids that no other call of the run has.

    `taken` gets the ids. Which id a call gets depends only on those before it. What nobody here reads is left out:
    details of the provider, files the model made.
    """
    kept_parts = [part for part in response.parts if isinstance(part, TextPart | ThinkingPart | ToolCallPart)]
    parts = [_tidied(part, index, taken) for index, part in enumerate(kept_parts)]
    details = (response.provider_details or {}).get("refusal")
    kept = {"refusal": sound(details)} if isinstance(details, str) else None
    return replace(response, parts=parts, provider_details=kept)


def text_of(response: ModelResponse) -> str:
    """What of a response people are told."""
    return "".join(part.content for part in response.parts if isinstance(part, TextPart))


def calls_of(response: ModelResponse) -> list[ToolCallPart]:
    """The tool calls of a response, in their order."""
    return [part for part in response.parts if isinstance(part, ToolCallPart)]


def _tidied(
    part: TextPart | ThinkingPart | ToolCallPart[Any], index: int, taken: set[str]
) -> TextPart | ThinkingPart | ToolCallPart[Any]:
    if isinstance(part, ToolCallPart):
        call: ToolCallPart[Any] = part
        # As text, which can say NaN: a record turns it into null, and null is something else.
        args = call.args if call.args is None or isinstance(call.args, str) else json.dumps(call.args)
        call_id = _free_id(call.tool_call_id, index, taken)
        return replace(call, tool_name=sound(call.tool_name), args=args and sound(args), tool_call_id=call_id)
    return replace(part, content=sound(part.content))


def _free_id(wanted: str, index: int, taken: set[str]) -> str:
    wanted = wanted if _CALL_ID.fullmatch(wanted) else f"call_{index}"
    free, number = wanted, 1
    while free in taken:
        number += 1
        free = f"{wanted}_{number}"
    taken.add(free)
    return free


def _identity(part: ModelRequestPart | ModelResponsePart) -> Json:
    if isinstance(part, UserPromptPart):
        content: Sequence[object] = [part.content] if isinstance(part.content, str) else part.content
        return [part.part_kind, *map(_content_identity, content)]
    if isinstance(part, ToolReturnPart):
        return [part.part_kind, part.tool_call_id, part.tool_name, part.outcome, part.model_response_str()]
    if isinstance(part, ToolCallPart):
        return [part.part_kind, part.tool_call_id, part.tool_name, part.args_as_json_str()]
    if isinstance(part, TextPart | ThinkingPart):
        return [part.part_kind, part.content]
    return [part.part_kind]


def _content_identity(content: object) -> Json:
    if isinstance(content, BinaryContent):
        return [content.media_type, hashlib.sha256(content.data).hexdigest()]
    return content if isinstance(content, str) else type(content).__name__


def _tool(tool: ToolDefinition) -> Json:
    return [tool.name, tool.description, tool.parameters_json_schema]
