"""The demo agent: the offline default, deterministic, without any network.

Commands: `say TEXT`, `stream N [RATE]`, `sleep S`, `fail`, `long N`, `approve TEXT`, `file NAME [WORDS…]`. A
message with files is answered with what they are, anything else with what the gateway knows of the thread. Because
it is deterministic it can always continue: the pieces an earlier attempt said are skipped.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Iterator
from typing import Final

from gateway.agents.port import (
    AgentAsk,
    AgentFailure,
    AgentFile,
    AgentOutput,
    AgentText,
    GivenFile,
    RunContext,
)
from protocol.records import Agent

STREAM_RATE: Final = 50.0
"""Words per second of `stream` unless told: about a fast model."""
HELP_RATE: Final = 200.0
LONG_RATE: Final = 100.0
"""Pieces per second of the other answers: visibly streamed, soon over."""
RATE_MAX: Final = 10_000.0
"""Words per second; the loop's timers cannot do more."""
AT_ONCE: Final = 1e9
WORDS_MAX: Final = 20_000
PARAGRAPHS_MAX: Final = 200
SLEEP_MAX_S: Final = 3600.0
"""Bounds, so that a demo cannot be asked for gigabytes or for days."""
DIGEST_CHARS: Final = 12
"""Of a file's hash: enough to compare two by eye."""
HISTORY: Final = 20
"""Messages the help text looks back on."""

_PIECE: Final = re.compile(r"\S+\s*|\s+")


class DemoAgent:
    """`gateway.agents.port.AgentAdapter` for kind="demo"."""

    def __init__(self, record: Agent, *, retries_interrupted: bool) -> None:
        self.record = record
        self.can_continue = True
        self.retries_interrupted = retries_interrupted

    async def answer(self, context: RunContext) -> AsyncIterator[AgentOutput]:
        if context.files:
            lines = [await _look_at(file) for file in context.files]
            for line in _behind(iter(lines), context.partial):
                yield AgentText(line)
            return
        if (action := _action(context.text)) is not None:
            async for output in _with_leave(action, context):
                yield output
            return
        if (file := _file(context.text)) is not None:
            yield file
            async for piece in _at_rate(_behind(iter([f"Here is {file.name}."]), context.partial), AT_ONCE):
                yield AgentText(piece)
            return
        pieces, rate = await _compose(context)
        async for piece in _at_rate(_behind(pieces, context.partial), rate):
            yield AgentText(piece)


async def _compose(context: RunContext) -> tuple[Iterator[str], float]:
    """The pieces of the answer and how many of them to say per second."""
    command, _, rest = context.text.strip().partition(" ")
    rest = rest.strip()
    match command.lower().lstrip("/"):
        case "say":
            return iter([rest]), AT_ONCE
        case "stream":
            count_text, _, rate_text = rest.partition(" ")
            count = int(_number(count_text, "stream N [RATE]", WORDS_MAX))
            rate = _number(rate_text, "stream N [RATE]", RATE_MAX) if rate_text else STREAM_RATE
            return (f"word-{n}" + (" " if n < count else "") for n in range(1, count + 1)), rate
        case "sleep":
            seconds = _number(rest, "sleep S", SLEEP_MAX_S)
            await asyncio.sleep(seconds)
            return iter([f"Slept {seconds:g} s."]), AT_ONCE
        case "fail":
            raise AgentFailure("agent_error", "The demo agent was asked to fail, and it did.")
        case "long":
            return _paragraphs(int(_number(rest, "long N", PARAGRAPHS_MAX))), LONG_RATE
        case _:
            return iter(_PIECE.findall(await _help(context))), HELP_RATE


def _file(text: str) -> AgentFile | None:
    """What `file NAME [WORDS…]` asks for; None for every other command."""
    command, _, rest = text.strip().partition(" ")
    if command.lower().lstrip("/") != "file":
        return None
    name, _, words = rest.strip().partition(" ")
    said = words.strip() or "A file of the demo agent."
    return AgentFile(name or "demo.txt", "text/plain", f"{said}\n".encode())


async def _look_at(file: GivenFile) -> str:
    """One line about a file somebody sent."""
    if file.error is not None:
        return f"- `{file.name}` did not arrive: {file.error}\n"
    digest = hashlib.sha256(await file.read()).hexdigest()[:DIGEST_CHARS]
    return f"- `{file.name}`: {file.media_type}, {file.size_bytes} bytes, SHA-256 {digest}…\n"


def _action(text: str) -> str | None:
    """What `approve TEXT` is about; None for every other command."""
    command, _, rest = text.strip().partition(" ")
    return rest.strip() or "something" if command.lower().lstrip("/") == "approve" else None


async def _with_leave(action: str, context: RunContext) -> AsyncIterator[AgentOutput]:
    """Ask first, then say what came of it. Nothing is really done: this is a demo."""
    said = [f"I would like to do this: {action}\n\n"]
    if context.decisions:
        decided = context.decisions[0]
        reason = f" ({decided.reason})" if decided.reason else ""
        outcome = "Approved" if decided.approved else "Not approved"
        end = "so I did it" if decided.approved else "so I left it"
        said.append(f"{outcome} by {decided.by}{reason}, {end}.")
    for piece in _behind(iter(said), context.partial):
        yield AgentText(piece)
    if not context.decisions:
        yield AgentAsk("Approve an action of the demo agent", f"It would like to do this:\n\n> {action}")


def _number(text: str, usage: str, largest: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number <= largest:
        raise AgentFailure("bad_command", f"Use `{usage}` with a number between 0 and {largest:g}.")
    return number


def _behind(pieces: Iterator[str], said: str) -> Iterator[str]:
    """What of `pieces` was not said yet by an earlier attempt."""
    for piece in pieces:
        if said.startswith(piece):
            said = said[len(piece) :]
        else:
            yield piece.removeprefix(said)
            said = ""


async def _at_rate(pieces: Iterator[str], rate: float) -> AsyncIterator[str]:
    """Give pieces out at `rate` per second by the clock, not by naps, so that delays do not add up."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number, piece in enumerate(pieces):
        ahead = began + number / rate - loop.time()
        if ahead > 0:
            await asyncio.sleep(ahead)
        yield piece


def _paragraphs(count: int) -> Iterator[str]:
    yield f"# {count} paragraphs\n\n"
    for number in range(1, count + 1):
        yield (
            f"**Paragraph {number}.** The gate keeps what was said, in order, and says it once; "
            f"this is *sentence two* of paragraph {number}, with `inline code` and a "
            "[link](https://example.org/).\n\n"
        )
    yield "| step | what happens |\n|---|---|\n| 1 | a message is stored |\n| 2 | a run answers |\n\n"
    yield '```python\ndef answer(text: str) -> str:\n    return f"you said {text!r}"\n```\n'


async def _help(context: RunContext) -> str:
    said = await context.said(HISTORY)
    mine = sum(message.role == "assistant" for message in said)
    title = f"“{context.thread_title}”" if context.thread_title else "not named yet"
    return (
        f"I am the demo agent. This thread is {title}, it came from {context.origin}, and of its last "
        f"{len(said)} messages {mine} are mine.\n\n"
        "Try `say hello`, `stream 40`, `long 3`, `sleep 2`, `approve a release`, `file notes.txt` or `fail`."
    )
