"""From what an agent process says on the wire to what an agent says in the port. Pure.

What does not fit is a `BadOutput`; order, repetition and size are the business of `executions.py`.
"""

from typing import Final

from gateway.agents.port import (
    AgentAsk,
    AgentBeat,
    AgentFacts,
    AgentFailure,
    AgentOutput,
    AgentQuestion,
    AgentRewind,
    AgentText,
    AgentUsage,
)
from protocol import limits
from protocol.canonical import canonical
from protocol.records import Usage
from protocol.workers import RunOutput, Spent

FACTS_CHARS: Final = 16 * limits.KIB
"""What one output may add to the facts of a run's record, as JSON."""
ERROR_CHARS: Final = 1000
"""Of a failure's text: it is shown in a chat."""
FAILURE_KINDS: Final = frozenset(
    {
        "agent_error", "bad_configuration", "bad_request", "content_refused", "context_too_long", "missing_secret",
        "provider_error", "rate_limited", "timeout", "too_large", "too_many_steps", "unauthorized",
    }
)  # fmt: skip
"""Kinds that an agent process may fail with; every other one is an `agent_error`. The rest are the gateway's words."""


class BadOutput(Exception):
    """An output that ends its run; the text is shown to people and quotes nothing of it."""

    def __init__(self, message: str, kind: str = "bad_output") -> None:
        super().__init__(message)
        self.kind = kind


def is_last(wire: RunOutput) -> bool:
    """Whether nothing comes after it."""
    return wire.type in ("done", "failed")


def to_output(wire: RunOutput) -> AgentOutput:
    """What the port knows it as. Raises BadOutput when a field that its type needs is missing or makes no sense."""
    match wire:
        case RunOutput(type="text", text=str(text)):
            return AgentText(text)
        case RunOutput(type="rewind", chars=int(chars)):
            return AgentRewind(chars)
        case RunOutput(type="usage", usage=Spent() as spent):
            return AgentUsage(to_usage(spent))
        case RunOutput(type="ask", key=str(key), title=str(title), body=str(body)):
            return AgentAsk(key, title, body, wire.subject)
        case RunOutput(type="question", key=str(key), text=str(prompt)):
            return AgentQuestion(key, prompt)
        case RunOutput(type="beat"):
            return AgentBeat()
        case RunOutput(type="facts", facts=dict(facts)):
            if len(canonical(facts)) > FACTS_CHARS:
                raise BadOutput(f"The facts of the agent process are longer than {FACTS_CHARS} characters")
            return AgentFacts(facts)
    raise BadOutput(f"An output of type {wire.type} of the agent process lacks what it is about")


def to_failure(wire: RunOutput) -> AgentFailure:
    """The failure that an agent process tells."""
    if wire.error is None:
        raise BadOutput("The agent process failed and did not say why")
    kind = wire.error.kind if wire.error.kind in FAILURE_KINDS else "agent_error"
    text = wire.error.message[:ERROR_CHARS] or "The agent failed and did not say why"
    return AgentFailure(kind, text, passes=wire.passes, retry_after_s=wire.retry_after_s)


def to_usage(spent: Spent) -> Usage:
    """What something has cost, as the record of a run has it."""
    return Usage(
        input_tokens=spent.input_tokens,
        output_tokens=spent.output_tokens,
        cost_microusd=spent.cost_microusd,
    )
