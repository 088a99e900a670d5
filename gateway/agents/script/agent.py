"""The agent of kind script: plays the first scenario that fits the message, step by step, over the run's journal.

Every step has its place in the scenario (`2`, `3.then.1`, `4.2.1` in the second round) as its key, so an attempt that
follows a crash or a decision finds what was done. What the steps are is in `scenarios.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

from gateway.agent_settings import ScriptSettings
from gateway.agents.parts import AgentParts
from gateway.agents.port import (
    AgentAsk,
    AgentBeat,
    AgentFailure,
    AgentFile,
    AgentOutput,
    AgentQuestion,
    AgentText,
    AgentUsage,
    Json,
    Recovery,
    RunContext,
)
from gateway.agents.port import Step as JournalStep
from gateway.agents.script.scenarios import (
    Approval,
    Ask,
    BadScript,
    Fail,
    GiveFile,
    Hang,
    Repeat,
    Say,
    Scenario,
    Script,
    Spend,
    Step,
    Stream,
    TakeSteers,
    UseTool,
    Wait,
    read_script,
)
from gateway.agents.script.texts import BadValue, fill, fill_all
from gateway.agents.tools.toolbox import Toolbox, Toolset
from gateway.agents.tools.use import leave, told, use

BEAT_S: Final = 1.0
"""Between two signs of life while waiting; far below any sensible `silence_s`."""


def create(settings: ScriptSettings, parts: AgentParts) -> "ScriptAgent":
    """The agent; its file is read by `start`. Raises AgentFailure (`bad_configuration`)."""
    return ScriptAgent(settings, parts)


class ScriptAgent:
    """`gateway.agents.port.AgentAdapter` for kind="script"."""

    recovery: Final[Recovery] = "resume"
    is_steerable: Final = True

    def __init__(self, settings: ScriptSettings, parts: AgentParts) -> None:
        self.settings = settings
        self._path = parts.path(settings.script)
        self._toolbox = Toolbox.of(settings, parts)
        self._script: Script = ()

    async def start(self) -> None:
        """Read the script and begin to connect to its servers. Raises AgentFailure (`bad_configuration`)."""
        try:
            self._script = read_script(await asyncio.to_thread(self._path.read_bytes))
        except OSError as error:
            raise AgentFailure(
                "bad_configuration", f"The script {self._path} cannot be read: {error.strerror}"
            ) from error
        except BadScript as error:
            raise AgentFailure(
                "bad_configuration", f"The script {self._path} cannot be played: {error}"
            ) from error
        await self._toolbox.start()

    async def stop(self) -> None:
        """End the servers of its tools. Idempotent."""
        await self._toolbox.stop()

    async def answer(self, context: RunContext) -> AsyncIterator[AgentOutput]:
        """Play the scenario. Raises AgentFailure where the script says so, and when it cannot be played."""
        for scenario in self._script:
            found = scenario.match.values(context.text)
            if found is not None:
                break
        else:
            raise AgentFailure(
                "agent_error", "No scenario of the script fits this message, and it has no default."
            )
        values = {"text": context.text, "by": context.requested_by, **found}
        tools = await self._toolbox.tools(context.journal, context.org_id)
        play = _Play(scenario, context, tools, values, self.settings.step_timeout_s)
        async for output in play.steps(scenario.steps, ""):
            yield output


class _Play:
    """One attempt at one scenario."""

    def __init__(
        self,
        scenario: Scenario,
        context: RunContext,
        tools: Toolset,
        values: dict[str, Json],
        timeout_s: float,
    ) -> None:
        self._scenario = scenario
        self._context = context
        self._tools = tools
        self._values = values
        self._timeout_s = timeout_s
        self._is_over = False

    async def steps(self, steps: Sequence[Step], prefix: str) -> AsyncIterator[AgentOutput]:
        """Play these, until the attempt is over because a person must do something first."""
        for number, step in enumerate(steps, 1):
            place = f"{prefix}{number}"
            try:
                async for output in self._step(step, place):
                    yield output
            except BadValue as error:
                raise AgentFailure(
                    "bad_configuration", f"Scenario {self._scenario.name!r}, step {place}: {error}."
                ) from error
            if self._is_over:
                return

    def _step(self, step: Step, place: str) -> AsyncIterator[AgentOutput]:
        match step:
            case Say() | GiveFile() | Spend():
                return _once(self._output(step))
            case Stream():
                return self._stream(step, place)
            case UseTool():
                return self._use(step, place)
            case Approval():
                return self._approval(step, place)
            case Ask():
                return self._ask(step, place)
            case Wait(seconds=seconds):
                return self._wait(seconds, place)
            case GiveFile(name=name, media_type=media_type, text=text):
                return _once(
                    AgentFile(self._fill(name), media_type, self._fill(text).encode(errors="replace"))
                )
            case Spend(usage=usage):
                return _once(AgentUsage(usage))
            case Fail() | Hang():
                return self._fail(step, place)
            case TakeSteers():
                return self._steered(place)
            case Repeat():
                return self._repeat(step, place)

    def _output(self, step: Say | GiveFile | Spend) -> AgentOutput:
        match step:
            case Say(text=text):
                return AgentText(self._fill(text))
            case GiveFile(name=name, media_type=media_type, text=text):
                return AgentFile(self._fill(name), media_type, self._fill(text).encode(errors="replace"))
            case Spend(usage=usage):
                return AgentUsage(usage)

    def _fill(self, text: str) -> str:
        return fill(text, self._values)

    async def _stream(self, step: Stream, place: str) -> AsyncIterator[AgentOutput]:
        """At its rate the first time it is told to the end, at once in every attempt after."""
        note = JournalStep(f"stream/{place}", "note", "stream", {"rate": step.rate}, repeatable=True)
        is_told = await self._context.journal.begin(note) is not None
        async for piece in _at_rate(
            _pieces(self._fill(step.text), step.words), None if is_told else step.rate
        ):
            yield AgentText(piece)
        if not is_told:
            await self._context.journal.finish(note.key, None)

    async def _use(self, step: UseTool, place: str) -> AsyncIterator[AgentOutput]:
        tool = self._tools.named(self._fill(step.name))
        arguments = fill_all(step.arguments, self._values)
        ask = leave(tool, place, arguments, self._context)
        if ask is not None:
            self._is_over = True
            yield ask
            return
        self._values[step.save_as] = told(await use(tool, place, arguments, self._context, self._timeout_s))
        yield AgentBeat()

    async def _approval(self, step: Approval, place: str) -> AsyncIterator[AgentOutput]:
        ask = AgentAsk(
            key=f"approval/{place}",
            title=self._fill(step.title),
            body=self._fill(step.body) or self._fill(step.title),
            subject={"scenario": self._scenario.name, "step": place},
        )
        decided = self._context.decided(ask)
        if decided is None:
            self._is_over = True
            yield ask
            return
        self._values |= {"decided_by": decided.by, "reason": decided.reason}
        steps, name = (step.then, "then") if decided.approved else (step.otherwise, "else")
        async for output in self.steps(steps, f"{place}.{name}."):
            yield output

    async def _ask(self, step: Ask, place: str) -> AsyncIterator[AgentOutput]:
        question = AgentQuestion(f"ask/{place}", self._fill(step.prompt))
        answered = self._context.answered(question)
        if answered is None:
            self._is_over = True
            yield question
            return
        self._values[step.save_as] = answered.text or ""

    async def _wait(self, seconds: float, place: str) -> AsyncIterator[AgentOutput]:
        note = JournalStep(f"wait/{place}", "note", "wait", {"seconds": seconds}, repeatable=True)
        if await self._context.journal.begin(note) is not None:
            return
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            yield AgentBeat()
            await asyncio.sleep(min(left, BEAT_S))
        await self._context.journal.finish(note.key, None)

    async def _fail(self, step: Fail | Hang, place: str) -> AsyncIterator[AgentOutput]:
        if isinstance(step, Hang):
            await asyncio.Event().wait()
            return
        failure = AgentFailure(
            step.kind, self._fill(step.message), passes=step.passes, retry_after_s=step.retry_after_s
        )
        if step.times is None:
            raise failure
        for number in range(1, step.times + 1):
            note = JournalStep(f"fail/{place}/{number}", "note", "fail", {"kind": step.kind}, repeatable=True)
            if await self._context.journal.begin(note) is None:
                await self._context.journal.finish(note.key, None)
                raise failure
        yield AgentBeat()

    async def _steered(self, place: str) -> AsyncIterator[AgentOutput]:
        for steered in await self._context.journal.steered(f"steer/{place}"):
            yield AgentText(f"{steered.by} said meanwhile: {steered.text}\n")

    async def _repeat(self, step: Repeat, place: str) -> AsyncIterator[AgentOutput]:
        for number in range(1, step.times + 1):
            self._values["round"] = number
            async for output in self.steps(step.steps, f"{place}.{number}."):
                yield output
            if self._is_over:
                return


async def _once(output: AgentOutput) -> AsyncIterator[AgentOutput]:
    yield output


def _pieces(text: str, words: int) -> Iterator[str]:
    """The words of a text with the space behind each, then so many counted ones."""
    start = 0
    while start < len(text):
        end = text.find(" ", start) + 1 or len(text)
        yield text[start:end]
        start = end
    for number in range(1, words + 1):
        yield f"word-{number} "


async def _at_rate(pieces: Iterator[str], rate: float | None) -> AsyncIterator[str]:
    """Give pieces out at `rate` per second by the clock, so that delays do not add up; all at once without one."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number, piece in enumerate(pieces):
        ahead = began + number / rate - loop.time() if rate else 0
        if ahead > 0:
            await asyncio.sleep(ahead)
        yield piece
