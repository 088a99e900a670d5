"""Models behind Anthropic's messages API. Repeating a request is the turn's business: the SDK's repetitions are off."""

from typing import Final

import httpx2
from anthropic import AsyncAnthropic
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider

NO_KEY: Final = "none"
"""The SDK insists on a key, and would look for one in the environment."""


def anthropic_model(name: str, base_url: str, key: str | None, http: httpx2.AsyncClient) -> Model:
    """A model of Anthropic."""
    client = AsyncAnthropic(
        base_url=base_url, api_key=key or NO_KEY, http_client=http, timeout=http.timeout, max_retries=0
    )
    return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client))
