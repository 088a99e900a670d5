"""Models behind the chat-completions API: OpenAI's own, Ollama's, and every compatible endpoint's."""

from typing import Final

import httpx2
from pydantic_ai.models import Model
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

from gateway.agents.model.openai_client import chat_client

PROFILE: Final = OpenAIModelProfile(
    openai_chat_streaming_requires_finish_reason=True, openai_chat_supports_multiple_system_messages=False
)
"""A stream that ends without saying why was cut off, even when the connection was closed in good order. Some servers'
templates take one system message only, and it makes no difference to the others."""


def openai_model(name: str, base_url: str, key: str | None, http: httpx2.AsyncClient) -> Model:
    """A model of OpenAI."""
    provider = OpenAIProvider(openai_client=chat_client(base_url, key, http))
    return OpenAIChatModel(name, provider=provider, profile=PROFILE)


def ollama_model(name: str, base_url: str, key: str | None, http: httpx2.AsyncClient) -> Model:
    """A model of an Ollama server."""
    provider = OllamaProvider(openai_client=chat_client(base_url, key, http))
    return OllamaModel(name, provider=provider, profile=PROFILE)


def compatible_model(name: str, base_url: str, key: str | None, http: httpx2.AsyncClient) -> Model:
    """A model of any endpoint that speaks the chat-completions API."""
    provider = OpenAICompatibleProvider("compatible", openai_client=chat_client(base_url, key, http))
    return OpenAIChatModel(name, provider=provider, profile=PROFILE)
