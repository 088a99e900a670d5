"""Models behind the chat-completions API: OpenAI's own, Ollama's, and every compatible endpoint's.

Repeating a request is the turn's business, so the SDK's own repetitions are off.
"""

from typing import Final

import httpx2
from openai import AsyncOpenAI
from pydantic_ai.models import Model
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

NO_KEY: Final = "none"
"""The SDK insists on a key, and would look for one in the environment."""
PROFILE: Final = OpenAIModelProfile(openai_chat_streaming_requires_finish_reason=True)
"""A stream that ends without saying why was cut off, even when the connection was closed in good order."""


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


def _client(base_url: str, key: str | None, http: httpx2.AsyncClient) -> AsyncOpenAI:
    return AsyncOpenAI(
        base_url=base_url, api_key=key or NO_KEY, http_client=http, timeout=http.timeout, max_retries=0
    )
