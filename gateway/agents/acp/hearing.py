"""What an agent says in its turn, as outputs of the run: text, files, and for the rest a sign of life. Pure.

Agents say several things in one turn, with work in between; here they become one text with paragraphs.
"""

import base64
import binascii
from typing import Final

from acp.schema import (
    AgentMessageChunk,
    AudioContentBlock,
    EmbeddedResourceContentBlock,
    ImageContentBlock,
    ResourceContentBlock,
    TextContentBlock,
    UsageUpdate,
)
from acp.schema import Usage as Tokens

from gateway.agents.port import AgentBeat, AgentFile, AgentOutput, AgentText
from protocol.records import Usage

PARAGRAPH: Final = "\n\n"
MICROUSD: Final = 1_000_000
STOPPED: Final = {
    "max_tokens": "*The agent stopped here: it reached the limit of its tokens.*",
    "max_turn_requests": "*The agent stopped here: it reached the limit of its model calls.*",
}
"""What is said behind an answer that is not whole, by the reason of the stop."""


class Hearing:
    """The answer of one prompt as it is said."""

    def __init__(self) -> None:
        self.cost_usd: float | None = None
        self._pieces: list[str] = []
        self._message_id: str | None = None
        self._is_apart = False
        self._files = 0

    @property
    def text(self) -> str:
        """All that was said."""
        return "".join(self._pieces)

    def chunk(self, chunk: AgentMessageChunk) -> AgentOutput:
        """The next piece of a message."""
        if chunk.message_id is not None and chunk.message_id != self._message_id:
            self._is_apart = self._is_apart or self._message_id is not None
            self._message_id = chunk.message_id
        match chunk.content:
            case TextContentBlock(text=text):
                return self._say(text)
            case ResourceContentBlock(name=name, uri=uri):
                return self._say(f"{name} ({uri})")
            case EmbeddedResourceContentBlock(resource=resource):
                return self._say(resource.uri)
            case ImageContentBlock() | AudioContentBlock() as block:
                return self._file(block)

    def pause(self) -> None:
        """Something else happened: what is said next is a paragraph of its own."""
        self._is_apart = True

    def stop(self, reason: str) -> AgentOutput | None:
        """The prompt is over; what is to be said behind the answer."""
        if reason not in STOPPED:
            return None
        self.pause()
        return self._say(STOPPED[reason])

    def priced(self, update: UsageUpdate) -> None:
        """What the session has cost so far."""
        if update.cost is not None and update.cost.currency == "USD":
            self.cost_usd = update.cost.amount

    def usage(self, tokens: Tokens | None, cost_before_usd: float | None) -> Usage:
        """What the prompt consumed, as far as the agent told; a session's cost before it may not be known."""
        cost = 0.0
        if self.cost_usd is not None and cost_before_usd is not None:
            cost = max(0.0, self.cost_usd - cost_before_usd)
        return Usage(
            input_tokens=tokens.input_tokens if tokens is not None else 0,
            output_tokens=tokens.output_tokens if tokens is not None else 0,
            cost_microusd=round(cost * MICROUSD),
        )

    def _say(self, text: str) -> AgentOutput:
        if not text:
            return AgentBeat()
        if self._is_apart and self._pieces and not self._pieces[-1].endswith(PARAGRAPH):
            text = PARAGRAPH + text
        self._is_apart = False
        self._pieces.append(text)
        return AgentText(text)

    def _file(self, block: ImageContentBlock | AudioContentBlock) -> AgentOutput:
        try:
            data = base64.b64decode(block.data, validate=True)
        except (binascii.Error, ValueError):
            return self._say("(a file that could not be read)")
        self._files += 1
        return AgentFile(f"{block.type}-{self._files}", block.mime_type, data)
