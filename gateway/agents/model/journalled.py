"""A model request as a step of the journal: made once, recorded, and told out of the record ever after."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model

from gateway.agent_settings import ModelSettings
from gateway.agents.model.asking import Asking, Question
from gateway.agents.model.prices import bill, expected
from gateway.agents.model.responses import (
    calls_of,
    chars_of,
    digest_of,
    record_of,
    response_of,
    text_of,
    tidied,
)
from gateway.agents.port import AgentFailure, Journal, Recorded, Step
from gateway.rules.budget import Expected


class JournalledRequest:
    """One request under its key. Iterate over `pieces` to its end; then there is the `response`.

    `taken` are the tool call ids of the run, to which those of the response are added. `unpriced` names the model
    when the request was made now and nobody knows what it costs. `is_older`: the response was recorded, and to another
    prompt than that of the question.
    """

    def __init__(
        self,
        settings: ModelSettings,
        model: Model,
        journal: Journal,
        key: str,
        question: Question,
        taken: set[str],
    ) -> None:
        self._settings = settings
        self._model = model
        self._journal = journal
        self._key = key
        self._question = question
        self._taken = taken
        self._response: ModelResponse | None = None
        self.unpriced: str | None = None
        self.is_older = False

    @property
    def response(self) -> ModelResponse:
        """What the model answered; there is one when `pieces` has come to its end."""
        assert self._response is not None, "the pieces come first"
        return self._response

    async def pieces(self) -> AsyncGenerator[str, None]:
        """The text of the answer; recorded already, it is one piece. An empty piece is a sign of life.

        Raises AgentFailure: of the provider, then the step stays open and may be made again; or when the recorded step
        is none of ours.
        """
        step = step_of(self._settings, self._model, self._key, self._question)
        prompt = step.request["prompt"]
        done = await self._journal.begin(step)
        if done is not None:
            self._response = self._recorded(done, prompt)
            yield text_of(self._response)
            return
        asking = Asking(self._model, self._question, self._settings.model, self._settings.step_timeout_s)
        async with aclosing(asking.pieces()) as pieces:
            async for piece in pieces:
                yield piece
        assert asking.response is not None
        response = tidied(asking.response, self._taken)
        _expect_something(response, self._settings.model, is_first=self._question.is_first)
        charged = bill(self._settings, response)
        self.unpriced = None if charged.is_priced else response.model_name
        result = {"prompt": prompt, "response": record_of(response)}
        await self._journal.finish(self._key, result, usage=charged.usage)
        self._response = response

    def _recorded(self, done: Recorded, prompt: str) -> ModelResponse:
        """The response of a step that is closed. Raises AgentFailure when it is none of ours."""
        if done.outcome != "ok" or not isinstance(done.result, dict):
            raise AgentFailure("journal_mismatch", f"The recorded step {self._key} did not succeed.")
        self.is_older = done.result.get("prompt") != prompt
        return tidied(response_of(done.result.get("response")), self._taken)


def step_of(settings: ModelSettings, model: Model, key: str, question: Question) -> Step:
    """The step of a request. It may be repeated: that costs money and has no other effect."""

    def costs() -> Expected:
        chars = chars_of(question.messages, question.parameters)
        return expected(settings, model, chars, question.settings.get("max_tokens"))

    request = {
        "model": settings.model,
        "settings": dict(question.settings),
        "prompt": digest_of(question.messages, question.parameters),
    }
    return Step(key, "model", settings.model, request, repeatable=True, expected=costs)


def _expect_something(response: ModelResponse, model: str, *, is_first: bool) -> None:
    """Raises AgentFailure when there is nothing to tell; the step stays open, since the next answer may be another."""
    if text_of(response).strip() or calls_of(response) or not is_first:
        return
    if response.finish_reason == "length":
        raise AgentFailure(
            "too_large", f"{model} used up its tokens before it said anything; raise max_tokens."
        )
    if response.finish_reason != "content_filter":
        raise AgentFailure("bad_output", f"{model} gave an empty answer.", passes=True)
