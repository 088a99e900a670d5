"""What a model call may cost, said before it is made: for budgets."""

import pytest
from model_stage import model_settings
from pydantic_ai.messages import BinaryContent, ModelRequest, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.test import TestModel

from gateway.agents.model.asking import Question
from gateway.agents.model.journalled import step_of
from gateway.agents.model.prices import expected
from gateway.rules.budget import OUTPUT_TOKENS, Expected


def test_it_is_the_prompt_and_the_longest_answer_at_the_agents_own_prices() -> None:
    settings = model_settings(input_price=3.0, output_price=15.0)
    assert expected(settings, TestModel(), 300, 50) == Expected(100 + 50, 100 * 3 + 50 * 15)


def test_without_a_longest_answer_one_is_assumed() -> None:
    assert expected(model_settings(), TestModel(), 0, None).tokens == OUTPUT_TOKENS


def test_a_model_without_a_price_says_so() -> None:
    settings = model_settings(input_price=None, output_price=None)
    assert expected(settings, TestModel(), 300, 50) == Expected(150, None)


def test_one_on_ones_own_machine_costs_nothing() -> None:
    settings = model_settings(input_price=0.0, output_price=0.0)
    assert expected(settings, TestModel(), 300, 50).microusd == 0


@pytest.mark.parametrize("length", [10, 10_000])
def test_a_step_expects_as_much_as_it_is_long(length: int) -> None:
    messages = [ModelRequest(parts=[UserPromptPart("x" * length)])]
    question = Question(messages, ModelRequestParameters(), {"max_tokens": 7})
    step = step_of(model_settings(), TestModel(), "model/1", question)
    assert step.expected is not None
    assert length / 3 + 7 <= step.expected().tokens <= length / 3 + 60


def test_a_file_counts_next_to_nothing() -> None:
    picture = BinaryContent(b"\0" * 100_000, media_type="image/png")
    question = Question(
        [ModelRequest(parts=[UserPromptPart([picture])])], ModelRequestParameters(), {"max_tokens": 7}
    )
    step = step_of(model_settings(), TestModel(), "model/1", question)
    assert step.expected is not None and step.expected().tokens < 100
