"""An answer of a chat-completions endpoint, as it arrives: bytes in, pieces of text out. Pure, no I/O.

Two shapes: server-sent events (WHATWG HTML, section 9.2.6 "Interpreting an event stream") whose data are chunks of
a completion, and one whole JSON object. Both are read with models, so what is not of that shape is refused:
AgentFailure `bad_output`. How a request is made, and what becomes of its failure, is in `http.py`.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Final, Protocol

from pydantic import BaseModel, Field, ValidationError

from gateway.agents.port import AgentFailure
from protocol.limits import MIB
from protocol.records import Usage

LINE_BYTES: Final = MIB
"""The longest line of an event stream: a thousand times what endpoints send as one piece."""
SAYING_CHARS: Final = 300
"""As much of an endpoint's own words about an error is shown to people."""
DONE: Final = b"[DONE]"
"""The data of the last event."""
TOKENS_MAX: Final = 2**53
"""Counts beyond what every JSON reader can keep exactly are nonsense."""

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_KINDS: Final = (
    ("context_length", "context_too_long"),
    ("content_filter", "content_refused"),
    ("content_policy", "content_refused"),
)
"""Words in an error's `code` or `type`, and the kind of failure they mean."""

Tokens = Annotated[int, Field(ge=0, le=TOKENS_MAX)]


class _Said(BaseModel):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[Any] | None = None


class _Choice(BaseModel):
    index: int = 0
    delta: _Said | None = None
    message: _Said | None = None
    finish_reason: str | None = None


class _Tokens(BaseModel):
    prompt_tokens: Tokens = 0
    completion_tokens: Tokens = 0


class _Completion(BaseModel):
    choices: list[_Choice] | None = None
    usage: _Tokens | None = None
    error: Any = None


class Answer(Protocol):
    """One answer that is being read."""

    @property
    def text(self) -> str:
        """What was said so far."""
        ...

    @property
    def usage(self) -> Usage:
        """What it cost, as far as the endpoint has said so."""
        ...

    def feed(self, data: bytes) -> list[str]:
        """Read on; the pieces that became known. Raises AgentFailure."""
        ...

    def end(self) -> list[str]:
        """There are no more bytes. Raises AgentFailure, and Incomplete when the answer has no end."""
        ...


class Incomplete(Exception):
    """The bytes ended before the answer did."""


class StreamedAnswer:
    """An answer that comes as server-sent events."""

    def __init__(self) -> None:
        self._events = _EventData()
        self._completion = _Completing()
        self._is_done = False

    @property
    def text(self) -> str:
        return "".join(self._completion.pieces)

    @property
    def usage(self) -> Usage:
        return self._completion.usage

    def feed(self, data: bytes) -> list[str]:
        pieces: list[str] = []
        for event in self._events.feed(data):
            if self._is_done:
                break
            if event.strip() == DONE:
                self._is_done = True
            elif piece := self._completion.take(event):
                pieces.append(piece)
        return pieces

    def end(self) -> list[str]:
        if not self._is_done and self._completion.finish is None:
            raise Incomplete
        self._completion.close()
        return []


class WholeAnswer:
    """An answer that comes as one JSON object. Who feeds it bounds it."""

    def __init__(self) -> None:
        self._body = bytearray()
        self._completion = _Completing()

    @property
    def text(self) -> str:
        return "".join(self._completion.pieces)

    @property
    def usage(self) -> Usage:
        return self._completion.usage

    def feed(self, data: bytes) -> list[str]:
        self._body += data
        return []

    def end(self) -> list[str]:
        piece = self._completion.take(bytes(self._body))
        self._completion.close()
        return [piece]


def failure_in(body: bytes, fallback: str) -> tuple[str, str]:
    """The kind of failure and the endpoint's own words, from the body of a refusal; no words when it is not JSON."""
    try:
        error = _Completion.model_validate_json(body).error
    except ValidationError:
        return fallback, ""
    return _kind_of(error, fallback), _words_of(error)


class _EventData:
    """Server-sent events, down to what their `data` fields say. Comments and other fields say nothing."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._data: list[bytes] = []
        self._after_return = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The events that `chunk` completes. Raises AgentFailure too_large for an endless line."""
        for line in self._lines(chunk):
            if line:
                field, _, value = line.partition(b":")
                if field == b"data":
                    self._data.append(value.removeprefix(b" "))
            elif self._data:
                event, self._data = b"\n".join(self._data), []
                yield event

    def _lines(self, chunk: bytes) -> Iterator[bytes]:
        if self._after_return and chunk:  # the second half of a line's end that was cut in two
            chunk = chunk.removeprefix(b"\n")
            self._after_return = False
        self._after_return = self._after_return or chunk.endswith(b"\r")
        first, *others = _LINE_END.split(chunk)
        self._line += first
        for next_line in others:
            yield self._checked()
            self._line = bytearray(next_line)
        self._checked()

    def _checked(self) -> bytes:
        if len(self._line) > LINE_BYTES:
            raise AgentFailure(
                "too_large", f"The endpoint sent a line of more than {LINE_BYTES // MIB} MiB, and was cut off"
            )
        return bytes(self._line)


class _Completing:
    """What the chunks of one completion add up to."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.usage = Usage()
        self.finish: str | None = None

    def take(self, data: bytes) -> str:
        """One chunk, or the whole; the text in it. Raises AgentFailure."""
        try:
            completion = _Completion.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            where = ".".join(str(step) for step in first["loc"]) or "the whole"
            raise AgentFailure(
                "bad_output", f"The endpoint's answer is no chat completion ({where}: {first['type']})"
            ) from None
        if completion.error is not None:
            words = _words_of(completion.error) or "without saying why"
            raise AgentFailure(_kind_of(completion.error, "agent_error"), f"The endpoint failed: {words}")
        if completion.usage is not None:
            tokens = completion.usage
            self.usage = Usage(input_tokens=tokens.prompt_tokens, output_tokens=tokens.completion_tokens)
        return "".join(self._choose(choice) for choice in completion.choices or () if choice.index == 0)

    def close(self) -> None:
        """The answer is over. Raises AgentFailure when it says nothing."""
        if self.finish == "content_filter":
            raise AgentFailure("content_refused", "The endpoint's content filter stopped the answer")
        if not any(piece.strip() for piece in self.pieces):
            raise AgentFailure("bad_output", "The endpoint answered, but said nothing")

    def _choose(self, choice: _Choice) -> str:
        self.finish = choice.finish_reason or self.finish
        said = choice.delta or choice.message
        if said is None:
            return ""
        if said.tool_calls:
            raise AgentFailure(
                "bad_output",
                "The endpoint wants a tool to be called. An agent of kind http uses its own tools; "
                'a model that is to use the gateway\'s is of kind "model"',
            )
        if said.refusal:
            raise AgentFailure("content_refused", f"The endpoint refused: {_one_line(said.refusal)}")
        if said.content:
            self.pieces.append(said.content)
        return said.content or ""


def _kind_of(error: Any, fallback: str) -> str:
    if not isinstance(error, dict):
        return fallback
    said = f"{error.get('code')} {error.get('type')}"
    return next((kind for word, kind in _KINDS if word in said), fallback)


def _words_of(error: Any) -> str:
    words = error.get("message") if isinstance(error, dict) else error
    return _one_line(words) if isinstance(words, str) else ""


def _one_line(text: str) -> str:
    line = " ".join(text[: SAYING_CHARS * 2].split())
    return line if len(line) <= SAYING_CHARS else f"{line[: SAYING_CHARS - 1]}…"
