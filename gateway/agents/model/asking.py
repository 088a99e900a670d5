"""One request to a model, as it streams: its text in pieces, then the whole response; bounded in size and time.

A task reads ahead of whoever tells the text, so pieces that came together are told together, and a slow reader does
not hold the provider's connection. It ends with the iteration over `pieces`, however that ends.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic_ai.direct import model_request_stream
from pydantic_ai.messages import (
    BaseToolCallPart,
    ModelMessage,
    ModelResponse,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPartDelta,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings as RequestSettings

from gateway.agents.model.failures import FAILURES, failure_of
from gateway.agents.model.text import sound
from gateway.agents.port import AgentFailure
from protocol.limits import TEXT_CHARS

UNSAID_CHARS: Final = 2 * TEXT_CHARS
"""Of what a response has beside its text (thoughts, arguments): 128,000 tokens. The library copies what it has with
every piece, so this bounds the time that takes, too."""
CALLS_MAX: Final = 64
"""Tool calls of one response; providers make up to a handful."""
GATHER_S: Final = 0.01
"""The longest a piece waits for others that arrived with it: nobody sees that, subscribers get deltas 40 ms apart."""
BEAT_S: Final = 5.0
"""A model that thinks aloud gives a sign of life this often."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `text_chars` is what of the answer is still free, `is_first` whether none of it is there."""

    messages: Sequence[ModelMessage]
    parameters: ModelRequestParameters
    settings: RequestSettings
    text_chars: int = TEXT_CHARS
    is_first: bool = True


class Asking:
    """One request. Iterate over `pieces` to its end, then there is the `response`."""

    def __init__(self, model: Model, question: Question, name: str, timeout_s: float) -> None:
        self._model = model
        self._question = question
        self._name = name
        self._timeout_s = timeout_s
        self._pieces: list[str] = []
        self._ready = asyncio.Event()
        self._text_chars = self._unsaid_chars = self._calls = 0
        self._beat_at = 0.0
        self.response: ModelResponse | None = None

    async def pieces(self) -> AsyncGenerator[str, None]:
        """The text as it comes; an empty piece is a sign of life. Raises AgentFailure."""
        reading = asyncio.create_task(self._read(), name="model answer")
        # Whoever reads is woken by every piece and by the end.
        reading.add_done_callback(lambda _: self._ready.set())
        try:
            while not reading.done() or self._pieces:
                await self._ready.wait()
                await self._gathered()
                self._ready.clear()
                text = self._take(is_last=reading.done())
                if text or not reading.done():
                    yield text
            failure = await reading
        finally:
            if not reading.done():
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
        if failure is not None:
            raise failure

    async def _gathered(self) -> None:
        """Let the reader take what has arrived: the library passes the loop's turn on after every single piece."""
        loop = asyncio.get_running_loop()
        until = loop.time() + GATHER_S
        count = 0
        while count < len(self._pieces) and loop.time() < until:
            count = len(self._pieces)
            await asyncio.sleep(0)

    def _take(self, *, is_last: bool) -> str:
        text = "".join(self._pieces)
        self._pieces.clear()
        if text and "\ud800" <= text[-1] <= "\udbff" and not is_last:
            # Half a character: the other half comes with the next piece.
            self._pieces.append(text[-1])
            text = text[:-1]
        return sound(text)

    async def _read(self) -> AgentFailure | None:
        """Read the answer to its end; what went wrong is returned, so that nothing of the provider hangs on to it."""
        question = self._question
        try:
            async with asyncio.timeout(self._timeout_s):
                async with model_request_stream(
                    self._model,
                    question.messages,
                    model_settings=question.settings,
                    model_request_parameters=question.parameters,
                ) as stream:
                    async for event in stream:
                        self._note(event)
                self.response = stream.get()
        except AgentFailure as failure:
            return failure
        except FAILURES as error:
            return failure_of(error, self._name)
        return None

    def _note(self, event: ModelResponseStreamEvent) -> None:
        text = ""
        unsaid = 0
        if isinstance(event, PartDeltaEvent):
            delta = event.delta
            if isinstance(delta, TextPartDelta):
                text = delta.content_delta
            elif isinstance(delta, ToolCallPartDelta):
                unsaid = len(str(delta.args_delta or ""))
            elif isinstance(delta, ThinkingPartDelta):
                unsaid = len(delta.content_delta or "")
        elif isinstance(event, PartStartEvent):
            text, unsaid = self._begun(event)
        self._count(text, unsaid)
        if text:
            self._pieces.append(text)
            self._ready.set()
        elif (now := asyncio.get_running_loop().time()) >= self._beat_at:
            self._beat_at = now + BEAT_S
            self._ready.set()

    def _begun(self, event: PartStartEvent) -> tuple[str, int]:
        part = event.part
        if isinstance(part, TextPart):
            return part.content, 0
        if isinstance(part, BaseToolCallPart):
            self._calls += 1
            return "", len(str(part.args or "")) + len(part.tool_name)
        return "", len(part.content) if isinstance(part, ThinkingPart) else 0

    def _count(self, text: str, unsaid: int) -> None:
        """Raises AgentFailure when it gets too much."""
        self._text_chars += len(text)
        self._unsaid_chars += unsaid
        if self._text_chars > self._question.text_chars:
            raise AgentFailure("too_large", f"The answer is longer than {TEXT_CHARS} characters.")
        if self._unsaid_chars > UNSAID_CHARS:
            raise AgentFailure("too_large", f"{self._name} wrote more than {UNSAID_CHARS} characters unsaid.")
        if self._calls > CALLS_MAX:
            raise AgentFailure("too_large", f"{self._name} made more than {CALLS_MAX} tool calls at once.")
