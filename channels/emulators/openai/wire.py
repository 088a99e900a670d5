"""Chat completions as JSON: an answer whole, or as the chunks of a stream; and what the API refuses.

Pure. Shapes after https://platform.openai.com/docs/api-reference/chat (read 2026-11).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from channels.emulators.openai.answers import Answer, ToolUse, text_of_message

Json = dict[str, Any]

# Arguments are streamed in pieces, so that a client has to put them together: of at least so many characters, and
# in about so many pieces when they are long.
ARGUMENT_PIECE_CHARS = 8
ARGUMENT_PIECES = 64
# A rough count is enough: nobody bills by it. About four characters of English are one token.
CHARS_PER_TOKEN = 4
_ROLES = frozenset(("system", "developer", "user", "assistant", "tool"))
END = b"data: [DONE]\n\n"


class Refused(Exception):
    """A request the API refuses."""

    def __init__(self, status: int, message: str, kind: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.code = code

    def to_wire(self) -> Json:
        """The body of the error."""
        return {"error": {"message": str(self), "type": self.kind, "param": None, "code": self.code}}


@dataclass(frozen=True, slots=True)
class Heading:
    """What every chunk of an answer repeats. `number` makes ids unique, `created` is in seconds since 1970."""

    number: int
    created: int
    model: str

    @property
    def id(self) -> str:
        return f"chatcmpl-{self.number}"


def check_request(body: Any) -> Json:
    """The body of a request, if the API takes it. Raises Refused."""
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        raise Refused(400, "you must provide a model parameter", "invalid_request_error")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused(400, "'messages' is a non-empty array", "invalid_request_error")
    _check_messages(messages)
    return body


def _check_messages(messages: list[Any]) -> None:
    """Tool messages answer every call of the assistant message before them, and nothing else does."""
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise Refused(400, f"messages[{index}] has no known role", "invalid_request_error")
        if message["role"] == "tool":
            if message.get("tool_call_id") not in open_calls:
                raise Refused(
                    400,
                    f"messages[{index}]: messages with role 'tool' must be a response to a preceding message with "
                    "'tool_calls'",
                    "invalid_request_error",
                )
            open_calls.discard(message["tool_call_id"])
            continue
        if open_calls:
            raise Refused(
                400,
                f"tool_call_ids without a response: {', '.join(sorted(open_calls))}",
                "invalid_request_error",
            )
        calls = message.get("tool_calls") or []
        open_calls = {call["id"] for call in calls}
        if len(open_calls) < len(calls):
            raise Refused(400, f"messages[{index}] has duplicate tool call ids", "invalid_request_error")
    if open_calls:
        raise Refused(400, "the last tool calls have no response", "invalid_request_error")


def usage_of(request: Json, answer: Answer) -> Json:
    """What the answer costs in tokens: rough for the prompt, exact for pieces of text."""
    prompt = sum(len(text_of_message(message)) for message in request["messages"]) // CHARS_PER_TOKEN + 1
    said = answer.piece_count + sum(len(use.arguments) // CHARS_PER_TOKEN + 1 for use in answer.tool_uses)
    return {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}


def whole(heading: Heading, request: Json, answer: Answer) -> Json:
    """The answer as one object."""
    message: Json = {
        "role": "assistant",
        "content": "".join(answer.pieces()) or None,
        "refusal": answer.refusal,
    }
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_uses:
        message["tool_calls"] = [
            {
                "id": _call_id(heading, index, use),
                "type": "function",
                "function": {"name": use.name, "arguments": use.arguments},
            }
            for index, use in enumerate(answer.tool_uses)
        ]
    return {
        "id": heading.id,
        "object": "chat.completion",
        "created": heading.created,
        "model": heading.model,
        "choices": [
            {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}
        ],
        "usage": usage_of(request, answer),
    }


def frames(heading: Heading, request: Json, answer: Answer) -> Iterator[bytes]:
    """The answer as server-sent events, one for each piece; the end mark is not among them."""
    with_usage = bool((request.get("stream_options") or {}).get("include_usage"))
    head, tail = _around(heading, with_usage)

    def frame(delta: Json, finish: str | None = None) -> bytes:
        choice = (
            f'{{"index":0,"delta":{json.dumps(delta)},"logprobs":null,"finish_reason":{json.dumps(finish)}}}'
        )
        return f"{head}[{choice}]{tail}".encode()

    opening: Json = {"role": "assistant", "content": None if answer.tool_uses and not answer.text else ""}
    yield frame({**opening, "refusal": None})
    if answer.reasoning:
        yield frame({"reasoning_content": answer.reasoning})
    for piece in answer.pieces():
        yield frame({"content": piece})
    if answer.refusal is not None:
        yield frame({"refusal": answer.refusal})
    for delta in _tool_deltas(heading, answer.tool_uses):
        yield frame({"tool_calls": [delta]})
    yield frame({}, answer.finish_reason)
    if with_usage:
        usage = json.dumps(usage_of(request, answer))
        yield f'{head}[],"usage":{usage}}}\n\n'.encode()


def _around(heading: Heading, with_usage: bool) -> tuple[str, str]:
    """What stands before and behind the choices of every chunk."""
    shared = json.dumps(
        {
            "id": heading.id,
            "object": "chat.completion.chunk",
            "created": heading.created,
            "model": heading.model,
        }
    )
    usage = ',"usage":null' if with_usage else ""
    return f'data: {shared[:-1]},"choices":', f"{usage}}}\n\n"


def _tool_deltas(heading: Heading, uses: tuple[ToolUse, ...]) -> Iterator[Json]:
    """Name and id first, then the arguments in pieces; one call after the other, as the API does."""
    for index, use in enumerate(uses):
        yield {
            "index": index,
            "id": _call_id(heading, index, use),
            "type": "function",
            "function": {"name": use.name, "arguments": ""},
        }
        chars = max(ARGUMENT_PIECE_CHARS, len(use.arguments) // ARGUMENT_PIECES)
        for start in range(0, len(use.arguments), chars):
            piece = use.arguments[start : start + chars]
            yield {"index": index, "function": {"arguments": piece}}


def _call_id(heading: Heading, index: int, use: ToolUse) -> str:
    return use.id if use.id is not None else f"call_{heading.number}_{index}"
