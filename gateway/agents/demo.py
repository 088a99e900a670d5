"""The demo agent: the offline default, deterministic, without any network.

Commands: `say TEXT`, `stream N [RATE]`, `sleep S`, `fail`, `long N`, `approve TEXT`, `ask QUESTION`,
`file NAME [WORDS…]`. A message with files is answered with what they are, anything else with what the gateway knows
of the thread. It has no steps: whatever happens, it says the same again.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Iterator
from typing import Final

from gateway.agent_settings import AgentSettings
from gateway.agents.parts import AgentParts
from gateway.agents.port import (
    AgentAdapter,
    AgentAsk,
    AgentFailure,
    AgentFile,
    AgentOutput,
    AgentQuestion,
    AgentText,
    GivenFile,
    Recovery,
    RunContext,
)

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


def create(settings: AgentSettings, parts: AgentParts) -> AgentAdapter:
    """The factory of kind="demo"."""
    return DemoAgent(settings)


class DemoAgent:
    """`gateway.agents.port.AgentAdapter` for kind="demo"."""

    recovery: Recovery = "resume"
    is_steerable = False

    def __init__(self, settings: AgentSettings) -> None:
        self.settings = settings

    async def start(self) -> None:
        """It is always ready."""

    async def stop(self) -> None:
        """It holds nothing."""

    async def answer(self, context: RunContext) -> AsyncIterator[AgentOutput]:
        if context.files:
            for given in context.files:
                yield AgentText(await _look_at(given))
            return
        command, rest = _command(context.text)
        match command:
            case "approve":
                for output in _with_leave(rest or "something", context):
                    yield output
            case "ask":
                yield _with_an_answer(rest or "What do you say?", context)
            case "file":
                file = _file(rest)
                yield file
                yield AgentText(f"Here is {file.name}.")
            case _:
                pieces, rate = await _compose(command, rest, context)
                async for piece in _at_rate(pieces, rate):
                    yield AgentText(piece)


def _command(text: str) -> tuple[str, str]:
    """The command of a message, in lower case, and what follows it."""
    command, _, rest = text.strip().partition(" ")
    return command.lower().lstrip("/"), rest.strip()


async def _compose(command: str, rest: str, context: RunContext) -> tuple[Iterator[str], float]:
    """The pieces of the answer and how many of them to say per second."""
    match command:
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


def _file(rest: str) -> AgentFile:
    """What `file NAME [WORDS…]` asks for."""
    name, _, words = rest.partition(" ")
    said = words.strip() or "A file of the demo agent."
    return AgentFile(name or "demo.txt", "text/plain", f"{said}\n".encode())


async def _look_at(file: GivenFile) -> str:
    """One line about a file somebody sent."""
    if file.error is not None:
        return f"- `{file.name}` did not arrive: {file.error}\n"
    digest = hashlib.sha256(await file.read()).hexdigest()[:DIGEST_CHARS]
    return f"- `{file.name}`: {file.media_type}, {file.size_bytes} bytes, SHA-256 {digest}…\n"


def _with_leave(action: str, context: RunContext) -> Iterator[AgentOutput]:
    """Ask first, then say what came of it. Nothing is really done: this is a demo."""
    yield AgentText(f"I would like to do this: {action}\n\n")
    ask = AgentAsk(
        "approve",
        "Approve an action of the demo agent",
        f"It would like to do this:\n\n> {action}",
        {"action": action},
    )
    decided = context.decided(ask)
    if decided is None:
        yield ask
        return
    reason = f" ({decided.reason})" if decided.reason else ""
    outcome = "Approved" if decided.approved else "Not approved"
    end = "so I did it" if decided.approved else "so I left it"
    yield AgentText(f"{outcome} by {decided.by}{reason}, {end}.")


def _with_an_answer(prompt: str, context: RunContext) -> AgentOutput:
    """Ask, then repeat what was said to it."""
    question = AgentQuestion("ask", prompt)
    answered = context.answered(question)
    if answered is None:
        return question
    return AgentText(
        "Nobody answered in time." if answered.text is None else f"{answered.by} said: {answered.text}"
    )


def _number(text: str, usage: str, largest: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number <= largest:
        raise AgentFailure("bad_command", f"Use `{usage}` with a number between 0 and {largest:g}.")
    return number


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
        "Try `say hello`, `stream 40`, `long 3`, `sleep 2`, `approve a release`, `ask Which one?`, "
        "`file notes.txt` or `fail`."
    )
