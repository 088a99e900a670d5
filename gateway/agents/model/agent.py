"""The agent of kind="model": an attempt from the messages to the last word, over the journal.

The loop of model and tools is ours and short: steering, approvals and the journal are in its middle, and the library's
own costs several milliseconds of processor time per run (docs/decisions/0007-the-model-loop-is-ours.md).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from pydantic_ai.messages import ModelMessage, ModelRequest, ModelRequestPart, ModelResponse, UserPromptPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings as RequestSettings

from gateway.agent_settings import ModelSettings
from gateway.agents.model.asking import Question
from gateway.agents.model.given import content_of
from gateway.agents.model.history import Histories
from gateway.agents.model.journalled import JournalledRequest
from gateway.agents.model.packs import Packs
from gateway.agents.model.prompt import conversation, instruction_parts, pack_facts, steering
from gateway.agents.model.provider import Connected, connect, target_of
from gateway.agents.model.responses import calls_of
from gateway.agents.model.text import cut
from gateway.agents.model.tools import ModelTools
from gateway.agents.parts import AgentParts
from gateway.agents.port import (
    AgentBeat,
    AgentFacts,
    AgentFailure,
    AgentOutput,
    AgentText,
    Recovery,
    RunContext,
)
from gateway.agents.tools.toolbox import Toolbox
from protocol.limits import KIB, TEXT_CHARS

ANSWER_CHARS: Final = TEXT_CHARS - KIB
"""Of what the model says in a run: a message, less what is added here."""
BETWEEN: Final = "\n\n"
"""Stands between what is said before a tool call and after it."""
REFUSAL_CHARS: Final = 500
"""Of what a model says about why it refuses."""


def create(settings: ModelSettings, parts: AgentParts) -> "ModelAgent":
    """An agent of the configuration. Raises AgentFailure (`bad_configuration`, `missing_secret`)."""
    target_of(settings)
    packs = Packs(settings.context_packs, parts.path)
    return ModelAgent(settings, Toolbox.of(settings, parts), packs, lambda: connect(settings, parts))


class ModelAgent:
    """`gateway.agents.port.AgentAdapter` for kind="model". `open_model` may block; it runs when the agent starts."""

    recovery: Recovery = "resume"
    is_steerable = True

    def __init__(
        self, settings: ModelSettings, toolbox: Toolbox, packs: Packs, open_model: Callable[[], Connected]
    ) -> None:
        self.settings = settings
        self._toolbox = toolbox
        self._packs = packs
        self._open_model = open_model
        self._histories = Histories(settings)
        self._connected: Connected | None = None
        self._request_settings = RequestSettings()
        if settings.temperature is not None:
            self._request_settings["temperature"] = settings.temperature
        if settings.max_tokens is not None:
            self._request_settings["max_tokens"] = settings.max_tokens

    async def start(self) -> None:
        """Load the provider's module, read its key, start the tools. Raises AgentFailure."""
        self._connected = await asyncio.to_thread(self._open_model)
        await self._toolbox.start()

    async def stop(self) -> None:
        """Close the connections and end the tools. Idempotent."""
        connected, self._connected = self._connected, None
        await self._toolbox.stop()
        if connected is not None:
            await connected.http.aclose()

    async def answer(self, context: RunContext) -> AsyncIterator[AgentOutput]:
        if self._connected is None:
            raise AgentFailure("agent_unavailable", f"Agent {self.settings.id} is not running.", passes=True)
        model = self._connected.model
        toolset = await self._toolbox.tools(context.journal, context.org_id)
        packs = await self._packs.current()
        if self.settings.context_packs:
            yield AgentFacts(pack_facts(packs.packs, packs.missing))
        if toolset.missing:
            yield AgentFacts({"missing_tools": dict(toolset.missing)})
        tools = ModelTools(toolset, context, self.settings.step_timeout_s)
        instructions = instruction_parts(
            self.settings.instructions, packs.packs, context.thread_title, context.origin
        )
        parameters = ModelRequestParameters(
            function_tools=tools.definitions(), instruction_parts=instructions
        )
        past = await self._histories.read(context, model)
        current = await content_of(context.text, context.files, model)
        messages = conversation(past.shown, past.summary, current)
        async with aclosing(self._converse(context, model, messages, parameters, tools)) as outputs:
            async for output in outputs:
                yield output

    async def _converse(
        self,
        context: RunContext,
        model: Model,
        messages: list[ModelMessage],
        parameters: ModelRequestParameters,
        tools: ModelTools,
    ) -> AsyncGenerator[AgentOutput, None]:
        """Ask the model and do what it asks for, until it is done or a person must decide."""
        taken: set[str] = set()
        said = 0
        for number in range(1, self.settings.steps_max + 1):
            steered = steering(await context.journal.steered(f"steer/{number}"))
            unsteered = messages[-1]
            messages[-1] = _with(unsteered, steered)
            question = Question(messages, parameters, self._request_settings, ANSWER_CHARS - said, said == 0)
            request = JournalledRequest(
                self.settings, model, context.journal, f"model/{number}", question, taken
            )
            before = said
            async with aclosing(request.pieces()) as pieces:
                async for piece in pieces:
                    if not piece:
                        yield AgentBeat()
                        continue
                    if 0 < said == before:
                        said += len(BETWEEN)
                        yield AgentText(BETWEEN)
                    said += len(piece)
                    yield AgentText(piece)
            if request.unpriced is not None:
                yield AgentFacts({"unpriced_models": [request.unpriced]})
            response = request.response
            calls = calls_of(response)
            # Said after this was answered, in an attempt that was cut off: then it is for the next request.
            late = steered if request.is_older else []
            if late:
                messages[-1] = unsteered
            if (ending := self._ending(response)) is not None:
                yield AgentText(ending)
            if not calls and not late:
                return
            if asks := tools.asks(calls):
                for ask in asks:
                    yield ask
                return
            results: list[ModelRequestPart] = []
            for call in calls:
                yield AgentBeat()
                results.append(await tools.call(call))
            messages += [response, ModelRequest(parts=[*results, *late])]
        raise AgentFailure(
            "too_many_steps",
            f"{self.settings.model} came to no end within {self.settings.steps_max} steps (steps_max).",
        )

    def _ending(self, response: ModelResponse) -> str | None:
        """What must be added to an answer that was cut off. Raises AgentFailure when there is no answer."""
        if response.finish_reason == "content_filter":
            refusal = (response.provider_details or {}).get("refusal")
            because = f": {cut(refusal, REFUSAL_CHARS)}" if isinstance(refusal, str) and refusal else "."
            raise AgentFailure("content_refused", f"{self.settings.model} refused to answer{because}")
        if response.finish_reason != "length":
            return None
        if calls_of(response):
            raise AgentFailure(
                "too_large",
                f"{self.settings.model} reached its limit of tokens in the middle of a tool call; raise max_tokens.",
            )
        return f"{BETWEEN}[Cut off: the model reached its limit of tokens.]"


def _with(request: ModelMessage, steered: Sequence[UserPromptPart]) -> ModelMessage:
    """The request that is about to be made, with what people said meanwhile."""
    assert isinstance(request, ModelRequest)
    return replace(request, parts=[*request.parts, *steered]) if steered else request
