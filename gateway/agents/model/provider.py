"""From `model` and `base_url` of the settings to a model of pydantic-ai: which provider, which name, which key.

Each provider's module is loaded when an agent needs it, since an SDK costs half a second; they are in the table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Final

import httpx2
from pydantic_ai.models import Model

from gateway.agent_settings import ModelSettings
from gateway.agents.model.connection import open_client
from gateway.agents.parts import AgentParts
from gateway.agents.port import AgentFailure

COMPATIBLE: Final = "compatible"
"""Stands for an OpenAI-compatible endpoint that has no provider of its own."""
PROVIDERS: Final[Mapping[str, str]] = {
    "openai": "gateway.agents.model.openai_models:openai_model",
    "ollama": "gateway.agents.model.openai_models:ollama_model",
    COMPATIBLE: "gateway.agents.model.openai_models:compatible_model",
    "anthropic": "gateway.agents.model.anthropic_models:anthropic_model",
}
"""Provider → `make(name, base_url, key, http)`."""
ADDRESSES: Final[Mapping[str, str]] = {
    "openai": "https://api.openai.com/v1",
    "ollama": "http://127.0.0.1:11434/v1",
    "anthropic": "https://api.anthropic.com",
}
"""Where a provider is unless `base_url` tells. Ollama's is its own default."""
NEED_A_KEY: Final = frozenset({"openai", "anthropic"})
"""Without `base_url`: their public addresses answer nobody without one."""

Make = Callable[[str, str, str | None, httpx2.AsyncClient], Model]


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ask for what."""

    provider: str
    name: str
    base_url: str
    needs_key: bool


@dataclass(frozen=True, slots=True)
class Connected:
    """A model and the connection it uses, to be closed by whoever opened it."""

    model: Model
    http: httpx2.AsyncClient


def target_of(settings: ModelSettings) -> Target:
    """Which provider is meant. Raises AgentFailure (`bad_configuration`) when none is."""
    prefix, colon, name = settings.model.partition(":")
    if colon and prefix in ADDRESSES:
        if not name:
            raise _refusal(settings, f"model = {settings.model!r} names no model behind {prefix}:")
        address = settings.base_url or ADDRESSES[prefix]
        return Target(prefix, name, address, prefix in NEED_A_KEY and settings.base_url is None)
    if settings.base_url is None:
        raise _refusal(
            settings,
            f"model = {settings.model!r} has no known provider; write openai:NAME, anthropic:NAME or ollama:NAME, or "
            "give the base_url of an OpenAI-compatible endpoint",
        )
    if not settings.model:
        raise _refusal(settings, "model is empty")
    return Target(COMPATIBLE, settings.model, settings.base_url, needs_key=False)


def connect(settings: ModelSettings, parts: AgentParts) -> Connected:
    """The model, ready to be asked; nothing is sent yet. Imports, reads files: may block.

    Raises AgentFailure (`bad_configuration`, `missing_secret`).
    """
    target = target_of(settings)
    key = None if settings.api_key is None else parts.secret(settings.api_key)
    if key is None and target.needs_key:
        raise AgentFailure(
            "missing_secret",
            f"Agent {settings.id}: {target.provider} needs a key; set api_key, such as "
            f'"env:{target.provider.upper()}_API_KEY"',
        )
    module, _, function = PROVIDERS[target.provider].partition(":")
    make: Make = getattr(import_module(module), function)
    http = open_client(settings.step_timeout_s)
    return Connected(make(target.name, target.base_url, key, http), http)


def _refusal(settings: ModelSettings, problem: str) -> AgentFailure:
    return AgentFailure("bad_configuration", f"Agent {settings.id}: {problem}")
