"""What the stand-in answers: values, the script of them, and what it says by itself when there is no script.

Pure. An answer is what a model would produce, or what goes wrong in the middle of it; what goes wrong before it
(refused keys, rate limits, a slow or lost connection) is a fault (`channels/emulators/faults.py`).
"""

import json
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from channels.emulators.errors import ControlError
from channels.emulators.faults import DELAY_MAX_S

Json = dict[str, Any]

# What one answer may have: more than any client should read, less than a machine has.
PIECES_MAX = 1_000_000
SCRIPT_MAX = 10_000

_PIECE = re.compile(r"\s*\S+|\s+")
_USE = re.compile(r"use\s+(\S+)\s*(.*)", re.DOTALL)
_TOKENS = re.compile(r"tokens\s+(\d{1,6})")
_FINISH_REASONS = frozenset(("stop", "length", "tool_calls", "content_filter"))


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool call. `arguments` is sent as it stands, valid JSON or not; `id` None makes one."""

    name: str
    arguments: str = "{}"
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: a text in pieces, then tool calls, then the reason for its end.

    `text` is said `times` times. `first_delay_s` passes before the first byte, `delay_s` before each further piece.
    `cut_after` closes the connection after so many pieces of a stream; `ends_early` closes it there politely, without
    the end mark. `raw` is sent instead of everything, as the body of a stream. `refusal` is said instead of a text.
    `finish` None: what fits.
    """

    text: str = ""
    times: int = 1
    tool_uses: tuple[ToolUse, ...] = ()
    first_delay_s: float = 0.0
    delay_s: float = 0.0
    finish: str | None = None
    refusal: str | None = None
    reasoning: str = ""
    cut_after: int | None = None
    ends_early: bool = False
    raw: str | None = None

    def __post_init__(self) -> None:
        """Raises ControlError for a value out of range."""
        if not 1 <= self.times <= PIECES_MAX:
            raise ControlError(f"times must be 1 to {PIECES_MAX}")
        if not (0 <= self.first_delay_s <= DELAY_MAX_S and 0 <= self.delay_s <= DELAY_MAX_S):
            raise ControlError(f"delays must be 0 to {DELAY_MAX_S:g} seconds")
        if self.finish is not None and self.finish not in _FINISH_REASONS:
            raise ControlError(f"finish must be one of {', '.join(sorted(_FINISH_REASONS))}")
        if self.cut_after is not None and self.cut_after < 0:
            raise ControlError("cut_after must be at least 0")

    @property
    def finish_reason(self) -> str:
        """Why the answer ends."""
        if self.finish is not None:
            return self.finish
        return "tool_calls" if self.tool_uses else "stop"

    @property
    def piece_count(self) -> int:
        """How many pieces the text has: what it counts in tokens."""
        return sum(1 for _ in _PIECE.finditer(self.text)) * self.times

    def pieces(self) -> Iterator[str]:
        """The text as it is streamed: a word and the white space before it."""
        for _ in range(self.times):
            for found in _PIECE.finditer(self.text):
                yield found[0]


def tokens(count: int, delay_s: float = 0.0) -> Answer:
    """A text of so many pieces."""
    if not 0 <= count <= PIECES_MAX:
        raise ControlError(f"tokens must be 0 to {PIECES_MAX}")
    return Answer(" ".join(f"word-{number}" for number in range(1, count + 1)), delay_s=delay_s)


Composer = Callable[[Json], Answer]
"""Makes the answer to a request when the script has none."""


class AnswerScript:
    """The answers still to be given, in order; behind them, what `compose` says."""

    def __init__(self, compose: Composer) -> None:
        self._compose = compose
        self._answers: deque[Answer] = deque()

    def add(self, *answers: Answer) -> None:
        """Append answers. Raises ControlError when there are too many."""
        if len(self._answers) + len(answers) > SCRIPT_MAX:
            raise ControlError(f"a script has at most {SCRIPT_MAX} answers")
        self._answers.extend(answers)

    def always(self, answer: Answer) -> None:
        """Give this one whenever the script is empty."""
        self._compose = lambda request: answer

    def take(self, request: Json) -> Answer:
        """The answer to this request."""
        return self._answers.popleft() if self._answers else self._compose(request)

    @property
    def pending(self) -> int:
        """How many are still to be given."""
        return len(self._answers)

    def clear(self) -> None:
        """Forget them."""
        self._answers.clear()


def echo(request: Json) -> Answer:
    """Do what the last user message says, and say it back when it says nothing that could be done.

    `use TOOL {"json": "arguments"}` calls a tool, `tokens N` says N words, `say TEXT` says it; ` then ` puts several
    after each other. It depends on the request alone: the same conversation gets the same answer.
    """
    messages = request["messages"]
    last = max((i for i, message in enumerate(messages) if message["role"] == "user"), default=None)
    if last is None:
        return Answer("Nobody said anything.")
    turns = sum(message["role"] == "assistant" for message in messages[last + 1 :])
    said = text_of_message(messages[last])
    steps = said.split(" then ")
    if turns < len(steps) and (use := _USE.fullmatch(steps[turns].strip())):
        return Answer(tool_uses=(ToolUse(use[1], use[2].strip() or "{}", f"call_{last}_{turns}"),))
    if turns < len(steps) and (count := _TOKENS.fullmatch(steps[turns].strip())):
        return tokens(int(count[1]))
    if turns < len(steps) and steps[turns].strip().startswith("say "):
        return Answer(steps[turns].strip().removeprefix("say "))
    if turns:
        return Answer(f"The tool said: {text_of_message(messages[-1])}")
    return Answer(f"You said: {said}")


def text_of_message(message: Json) -> str:
    """The text of a message, whose content may be a text or parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if isinstance(part, dict) and "text" in part)
    return ""


def answer_of(body: Json) -> Answer:
    """An answer as the control side is told it. Raises ControlError."""
    fields = dict(body)
    uses = fields.pop("tool_uses", [])
    if "tokens" in fields:
        made = tokens(_integer(fields.pop("tokens")))
        fields["text"] = made.text
    if not isinstance(uses, list):
        raise ControlError("tool_uses must be a list")
    try:
        return Answer(tool_uses=tuple(_tool_use(use) for use in uses), **_checked(fields))
    except TypeError as error:
        raise ControlError(f"no such answer: {error}") from None


def _tool_use(body: Any) -> ToolUse:
    if not isinstance(body, dict) or not isinstance(body.get("name"), str):
        raise ControlError("a tool use needs a name")
    arguments = body.get("arguments", "{}")
    return ToolUse(
        body["name"], arguments if isinstance(arguments, str) else json.dumps(arguments), body.get("id")
    )


_FIELD_TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "times": (int,),
    "first_delay_s": (int, float),
    "delay_s": (int, float),
    "finish": (str, type(None)),
    "refusal": (str, type(None)),
    "reasoning": (str,),
    "cut_after": (int, type(None)),
    "ends_early": (bool,),
    "raw": (str, type(None)),
}


def _checked(fields: Json) -> Json:
    for name, value in fields.items():
        if name not in _FIELD_TYPES:
            raise ControlError(
                f"unknown field {name}; known are {', '.join(sorted(_FIELD_TYPES))}, tokens, tool_uses"
            )
        if not isinstance(value, _FIELD_TYPES[name]) or (
            isinstance(value, bool) and bool not in _FIELD_TYPES[name]
        ):
            raise ControlError(f"{name} has the wrong type")
    return fields


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ControlError("tokens must be a whole number")
    return value
