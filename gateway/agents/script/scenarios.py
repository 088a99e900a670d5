"""The scenarios of a script as values, and the reading of the file, with errors that name scenario and step. Pure.

What a step does when it is played is in `agent.py`; docs/agents/script.md shows each of them.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gateway.agents.port import Json
from protocol.limits import MIB, TEXT_CHARS, TITLE_CHARS
from protocol.records import Usage

FILE_BYTES_MAX: Final = MIB
"""Of a script."""
DEPTH_MAX: Final = 8
"""Steps within steps within steps."""
STEPS_MAX: Final = 1000
"""Of one scenario."""
REPEATS_MAX: Final = 10_000
WAIT_MAX_S: Final = 86_400.0
RATE_MAX: Final = 10_000.0
"""Pieces per second; the loop's timers cannot do more."""
WORDS_MAX: Final = 100_000
MATCH_CHARS: Final = 1000
"""Of a message, in which a regular expression is looked for: a bad one takes long on long texts."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Words = Annotated[str, Field(max_length=TEXT_CHARS)]


class BadScript(ValueError):
    """The file is no script; the text says where and why."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Say(_Part):
    """A text, at once."""

    text: Words


class Stream(_Part):
    """A text word by word, or so many words of nothing in particular; `rate` in words per second."""

    text: Words = ""
    words: Annotated[int, Field(ge=0, le=WORDS_MAX)] = 0
    rate: Annotated[float, Field(gt=0, le=RATE_MAX)] = 50.0


class UseTool(_Part):
    """A call of a tool; what it gave is saved."""

    name: str
    arguments: Json = {}
    save_as: Name = "result"


class Approval(_Part):
    """A question that a person approves or not, and what happens then."""

    title: Annotated[str, Field(max_length=TITLE_CHARS)]
    body: Words = ""
    then: tuple["Step", ...] = ()
    otherwise: Annotated[tuple["Step", ...], Field(alias="else")] = ()


class Ask(_Part):
    """A question that a person answers; the answer is saved, empty when nobody gave one in time."""

    prompt: Words
    save_as: Name = "answer"


class Wait(_Part):
    """Nothing for so many seconds, with signs of life."""

    seconds: Annotated[float, Field(ge=0, le=WAIT_MAX_S)]


class GiveFile(_Part):
    """A file that belongs to the answer."""

    name: str
    media_type: str = "text/plain"
    text: Words


class Spend(_Part):
    """Usage to be counted."""

    usage: Usage


class Fail(_Part):
    """The end of the attempt; with `times` only the first ones, and then on as if nothing had been."""

    kind: Annotated[str, Field(pattern=r"^[a-z_]{1,64}$")] = "agent_error"
    message: Words = "The script was told to fail here."
    passes: bool = False
    retry_after_s: Annotated[float, Field(ge=0, le=WAIT_MAX_S)] | None = None
    times: Annotated[int, Field(ge=1, le=1000)] | None = None


class Hang(_Part):
    """No end and no sign of life."""


class TakeSteers(_Part):
    """Says what people said meanwhile."""


class Repeat(_Part):
    """The same steps several times; `{{round}}` counts them from 1."""

    times: Annotated[int, Field(ge=1, le=REPEATS_MAX)]
    steps: tuple["Step", ...]


Step: TypeAlias = (
    Say | Stream | UseTool | Approval | Ask | Wait | GiveFile | Spend | Fail | Hang | TakeSteers | Repeat
)
_KINDS: Final[Mapping[str, tuple[type[BaseModel], str | None]]] = {
    "say": (Say, "text"),
    "stream": (Stream, "text"),
    "tool": (UseTool, "name"),
    "approval": (Approval, "title"),
    "ask": (Ask, "prompt"),
    "wait": (Wait, "seconds"),
    "file": (GiveFile, None),
    "usage": (Spend, None),
    "fail": (Fail, "message"),
    "hang": (Hang, None),
    "steered": (TakeSteers, None),
    "repeat": (Repeat, None),
}
"""By its word in the file, with the field that a plain value is for."""
_INNER: Final[Mapping[str, tuple[str, ...]]] = {"approval": ("then", "else"), "repeat": ("steps",)}
"""Where steps have steps."""


class Match(_Part):
    """For which messages a scenario is; nothing of it given: for all of them."""

    pattern: Annotated[str, Field(max_length=500)] | None = None
    text: Words | None = None
    command: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")] | None = None

    def values(self, message: str) -> dict[str, str] | None:
        """None when it does not fit, else what it found: named groups, or `rest` behind a command."""
        message = message.strip()
        if self.text is not None and message != self.text:
            return None
        found: dict[str, str] = {}
        if self.command is not None:
            word, _, rest = message.partition(" ")
            if word.lower() not in (self.command, f"/{self.command}", f"!{self.command}"):
                return None
            found["rest"] = rest.strip()
        if self.pattern is not None:
            match = re.search(self.pattern, message[:MATCH_CHARS])
            if match is None:
                return None
            found |= {name: value or "" for name, value in match.groupdict().items()}
        return found


class Scenario(_Part):
    """What is played for which messages."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    match: Match = Match()
    steps: tuple[Step, ...]


Script: TypeAlias = tuple[Scenario, ...]
"""In the order of the file; the first one that fits is played."""


def read_script(data: bytes) -> Script:
    """A script of a file's bytes. Raises BadScript."""
    if len(data) > FILE_BYTES_MAX:
        raise BadScript(f"it has more than {FILE_BYTES_MAX} bytes")
    try:
        text = data.decode()
        _refuse_aliases(text)
        content = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise BadScript("it is not UTF-8") from error
    except BadScript:
        raise
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise BadScript(f"it is not YAML: {' '.join(str(error).split())[:300]}") from error
    if not isinstance(content, dict) or not isinstance(content.get("scenarios"), list):
        raise BadScript("it must be a mapping with a list `scenarios`")
    if unknown := set(map(str, content)) - {"scenarios", "default"}:
        raise BadScript(f"unknown at the top: {', '.join(sorted(unknown))}; there are scenarios and default")
    script = [_scenario(number, one) for number, one in enumerate(content["scenarios"], 1)]
    if "default" in content:
        script.append(_scenario(len(script) + 1, {"name": "default", "steps": content["default"]}))
    names = [scenario.name for scenario in script]
    if twice := {name for name in names if names.count(name) > 1}:
        raise BadScript(f"several scenarios are called {', '.join(sorted(twice))}")
    return tuple(script)


def _refuse_aliases(text: str) -> None:
    """Aliases make a small file into a huge one, and nobody needs them here."""
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1 if event.start_mark else "?"
            raise BadScript(f"line {line} uses an alias (*), which scripts may not have")


def _scenario(number: int, content: Any) -> Scenario:
    if not isinstance(content, dict):
        raise BadScript(f"scenario {number} must be a mapping with name, match and steps")
    name = content.get("name", f"scenario {number}")
    place = f"scenario {name!r}"
    steps = _steps(content.get("steps"), place, 0)
    match = content.get("match", {})
    if isinstance(match, str):
        match = {"pattern": match}
    scenario: Scenario = _valid(Scenario, {**content, "name": name, "match": match, "steps": ()}, place)
    _check_pattern(scenario.match.pattern, place)
    if (count := sum(map(_size, steps))) > STEPS_MAX:
        raise BadScript(f"{place} has {count} steps, {STEPS_MAX} at most")
    return scenario.model_copy(update={"steps": steps})


def _check_pattern(pattern: str | None, place: str) -> None:
    try:
        re.compile(pattern or "")
    except (re.error, RecursionError, OverflowError) as error:
        raise BadScript(f"{place}, match: not a regular expression: {error}") from error


def _steps(content: Any, place: str, depth: int) -> tuple[Step, ...]:
    if not isinstance(content, list):
        raise BadScript(f"{place}: steps must be a list")
    if depth > DEPTH_MAX:
        raise BadScript(f"{place}: steps are nested more than {DEPTH_MAX} deep")
    return tuple(_step(one, f"{place}, step {number}", depth) for number, one in enumerate(content, 1))


def _step(content: Any, place: str, depth: int) -> Step:
    if isinstance(content, str):
        content = {content: None}
    if not isinstance(content, dict) or len(content) != 1:
        raise BadScript(f"{place} must be one of {', '.join(_KINDS)}, with its values under it")
    ((word, given),) = content.items()
    if word not in _KINDS:
        raise BadScript(f"{place}: there is no step {word!r}; there are {', '.join(_KINDS)}")
    place = f"{place} ({word})"
    model, plain = _KINDS[word]
    if given is None:
        given = {}
    elif word == "usage":
        given = {"usage": given}
    elif not isinstance(given, dict):
        if plain is None:
            raise BadScript(f"{place} takes a mapping")
        given = {plain: given}
    inner = {
        name: _steps(given[name], f"{place} {name}", depth + 1)
        for name in _INNER.get(word, ())
        if name in given
    }
    made: Step = _valid(_ADAPTERS[model], {**given, **inner}, place)
    return made


def _valid(shape: "type[BaseModel] | TypeAdapter[Any]", content: Any, place: str) -> Any:
    try:
        return (
            shape.validate_python(content)
            if isinstance(shape, TypeAdapter)
            else shape.model_validate(content)
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadScript(
            f"{place}: {where}: {first['msg']}" if where else f"{place}: {first['msg']}"
        ) from error


def _size(step: Step) -> int:
    match step:
        case Approval(then=then, otherwise=otherwise):
            return 1 + sum(map(_size, then + otherwise))
        case Repeat(steps=steps):
            return 1 + sum(map(_size, steps))
    return 1


for _model in (Approval, Repeat, Scenario):
    _model.model_rebuild()
_ADAPTERS: Final[Mapping[type[BaseModel], TypeAdapter[Any]]] = {
    model: TypeAdapter(model) for model, _ in _KINDS.values()
}
