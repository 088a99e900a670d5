"""What a model call costs: prices of the settings, else those of genai-prices. Pure."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from genai_prices import calc_price
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model
from pydantic_ai.usage import RequestUsage

from gateway.agent_settings import ModelSettings
from gateway.rules.budget import Expected, expected_usage
from protocol.records import Usage

MICRO: Final = 1_000_000
"""Prices are for a million tokens, costs in millionths of a dollar: the two cancel out."""


@dataclass(frozen=True, slots=True)
class Bill:
    """What a call consumed. `is_priced` is false when nobody knows what it costs; then `cost_microusd` is 0."""

    usage: Usage
    is_priced: bool


def bill(settings: ModelSettings, response: ModelResponse) -> Bill:
    """The bill of one call. A price that the settings tell stands before that of the list."""
    tokens = response.usage
    told_in, told_out = settings.input_price, settings.output_price
    listed = None if told_in is not None and told_out is not None else _listed(response)
    cost_in = listed[0] if told_in is None and listed else Decimal(str(told_in or 0)) * tokens.input_tokens
    cost_out = (
        listed[1] if told_out is None and listed else Decimal(str(told_out or 0)) * tokens.output_tokens
    )
    is_priced = listed is not None or (told_in is not None and told_out is not None)
    return Bill(
        Usage(
            input_tokens=tokens.input_tokens,
            output_tokens=tokens.output_tokens,
            cost_microusd=round(cost_in + cost_out),
        ),
        is_priced,
    )


def expected(settings: ModelSettings, model: Model, prompt_chars: int, max_tokens: int | None) -> Expected:
    """What a call may cost at most, said before it is made."""
    tokens = expected_usage(prompt_chars, max_tokens)
    call = ModelResponse(
        parts=[],
        usage=RequestUsage(input_tokens=tokens.input_tokens, output_tokens=tokens.output_tokens),
        model_name=model.model_name,
        provider_url=model.base_url,
    )
    priced = bill(settings, call)
    money = priced.usage.cost_microusd if priced.is_priced else None
    return Expected(tokens.input_tokens + tokens.output_tokens, money)


def _listed(response: ModelResponse) -> tuple[Decimal, Decimal] | None:
    """Input and output in millionths of a dollar by the list; None for a model or a provider that is not on it.

    The address decides first: the same name costs something else elsewhere, and nothing on one's own machine.
    """
    if response.model_name is None:
        return None
    try:
        price = calc_price(
            response.usage,
            response.model_name,
            provider_api_url=response.provider_url,
            genai_request_timestamp=response.timestamp,
        )
    except (LookupError, ValueError):
        return None
    return price.input_price * MICRO, price.output_price * MICRO
