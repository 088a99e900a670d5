"""Models behind the chat-completions API: OpenAI's own, Ollama's, and every compatible endpoint's.

Repeating a request is the turn's business, so the SDK's own repetitions are off.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final, TypeVar, cast

import httpx2
from openai import AsyncOpenAI, omit
from openai.resources.chat import AsyncChat, AsyncCompletions
from openai.types.chat import ChatCompletionChunk
from pydantic import ValidationError
from pydantic_ai.models import Model
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

ResponseT = TypeVar("ResponseT")

NO_KEY: Final = "none"
"""The SDK insists on a key, and would look for one in the environment."""
PROFILE: Final = OpenAIModelProfile(
    openai_chat_streaming_requires_finish_reason=True, openai_chat_supports_multiple_system_messages=False
)
"""A stream that ends without saying why was cut off, even when the connection was closed in good order. Some servers'
templates take one system message only, and it makes no difference to the others."""


def openai_model(name: str, base_url: str, key: str | None, http: httpx2.AsyncClient) -> Model:
    """A model of OpenAI."""
    provider = OpenAIProvider(openai_client=_client(base_url, key, http))
    return OpenAIChatModel(name, provider=provider, profile=PROFILE)


def ollama_model(name: str, base_url: str, key: str | None, http: httpx2.AsyncClient) -> Model:
    """A model of an Ollama server."""
    provider = OllamaProvider(openai_client=_client(base_url, key, http))
    return OllamaModel(name, provider=provider, profile=PROFILE)


def compatible_model(name: str, base_url: str, key: str | None, http: httpx2.AsyncClient) -> Model:
    """A model of any endpoint that speaks the chat-completions API."""
    provider = OpenAICompatibleProvider("compatible", openai_client=_client(base_url, key, http))
    return OpenAIChatModel(name, provider=provider, profile=PROFILE)


class _Completions(AsyncCompletions):
    """Requests whose messages and tools are sent as they are.

    The SDK compares each of them with every type a message may have, to rename and convert what is declared that way.
    Nothing of a message is, and it takes 0.2 ms per message: most of the time of a request with a long history.
    """

    async def create(  # type: ignore[override]  # one signature for all of its overloads
        self, *, messages: Any, tools: Any = omit, extra_body: Mapping[str, Any] | None = None, **rest: Any
    ) -> Any:
        """As declared there; `extra_body` is what the SDK adds to the body untouched."""
        body = {"messages": messages, "tools": tools, **(extra_body or {})}
        return await super().create(messages=(), extra_body=body, **rest)


class _Chat(AsyncChat):
    @cached_property
    def completions(self) -> AsyncCompletions:
        return _Completions(self._client)


class _Client(AsyncOpenAI):
    """The SDK's client, with chunks checked by pydantic's compiled validator where that is possible.

    The SDK builds them field by field in Python, 0.15 ms each: three quarters of the time a short answer takes. What
    does not fit the published schema is still built that way, which puts up with anything.
    """

    @cached_property
    def chat(self) -> AsyncChat:
        return _Chat(self)

    def _process_response_data(
        self, *, data: object, cast_to: type[ResponseT], response: httpx2.Response
    ) -> ResponseT:
        if cast_to is ChatCompletionChunk:
            try:
                return cast("ResponseT", ChatCompletionChunk.model_validate(data))
            except ValidationError:
                pass
        return super()._process_response_data(data=data, cast_to=cast_to, response=response)


def _client(base_url: str, key: str | None, http: httpx2.AsyncClient) -> AsyncOpenAI:
    return _Client(
        base_url=base_url, api_key=key or NO_KEY, http_client=http, timeout=http.timeout, max_retries=0
    )
