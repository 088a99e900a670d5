"""The plain values of runs that go into the store and come out of it: journal steps, waits, steering.

No behaviour. What may be asked with them is in `run_ports.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from protocol.records import Usage
from storage.budget_values import BudgetOf

StepKind = Literal["reply", "model", "tool", "prompt", "steer", "note"]
"""What a step is. reply: the answer as it is written, one per run · model: a call of a language model · tool: a call
of a tool · prompt: a whole turn handed to somebody else's agent · steer: what people said meanwhile · note: something
seen, without an effect of ours (a tool call inside somebody else's agent)."""

StepOutcome = Literal["ok", "error", "unknown", "skipped"]
"""How a step ended. unknown: it was cut off and nobody will find out · skipped: it was cut off, and a person decided
not to do it again."""


@dataclass(frozen=True, slots=True)
class PolicyNote:
    """What policies said of a step, for the audit log: `rule` determined the effect, `warned_by` only warned.

    `version` tells which policies these were.
    """

    effect: str
    rule: str
    version: str
    warned_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NewStep:
    """A step to open. `request` is JSON text, canonical; `request_hash` its SHA-256. `policy` is what the audit log is
    told of it, None for nothing; `approval_id` is the leave for it, which is used up. `takes` is what it may take of
    budgets, reserved until it is closed."""

    key: str
    kind: StepKind
    name: str
    request: str
    request_hash: str
    is_repeatable: bool
    policy: PolicyNote | None = None
    approval_id: str | None = None
    takes: Mapping[BudgetOf, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step as the journal knows it. `outcome` and `result` (JSON text) are None while it is open.

    `attempt` is that of the run in which it was begun last. `usage` is what it cost. `repeats`: how often it was begun
    again because a person allowed it. What is allowed once more is repeatable until it is begun again.
    """

    step: int
    key: str
    kind: StepKind
    name: str
    request: str
    request_hash: str
    is_repeatable: bool
    attempt: int
    outcome: StepOutcome | None
    result: str | None
    opened_at_ms: int
    closed_at_ms: int | None
    usage: Usage = field(default_factory=Usage)
    repeats: int = 0


@dataclass(frozen=True, slots=True)
class StepEnd:
    """How a step ended; `result` is JSON text. `shown` is what its tool.finished event says of it."""

    key: str
    outcome: StepOutcome
    result: str
    usage: Usage | None = None
    shown: str | None = None


@dataclass(frozen=True, slots=True)
class NewQuestion:
    """A question to a person that the run waits for. `shown` asks it in the thread's room, frozen."""

    id: str
    key: str
    prompt: str
    expires_at_ms: int
    delivery_id: str | None = None
    shown: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What somebody said to a question of the run; `text` None: nobody did in time."""

    key: str
    text: str | None
    by: str


@dataclass(frozen=True, slots=True)
class Steered:
    """A message that was said to a run while it was running."""

    message_id: str
    text: str
    by: str


@dataclass(frozen=True, slots=True)
class AgentFull:
    """The next run of the thread is for this agent, which has as many runs as it may."""

    agent_id: str


@dataclass(frozen=True, slots=True)
class Repetition:
    """The run that takes the place of one that ended; `agent_id` None keeps the agent."""

    run_id: str
    agent_id: str | None = None


@dataclass(frozen=True, slots=True)
class RunReady:
    """Signal: everything that a waiting run waited for is there."""

    thread_id: str
    run_id: str


@dataclass(frozen=True, slots=True)
class RunSteered:
    """Signal: something was said to a running run."""

    run_id: str


@dataclass(frozen=True, slots=True)
class RunProgress:
    """What the store knows of the progress of an unfinished run, for the invariant check.

    `ahead` counts unfinished runs before it in its thread; `waits_for` names what is still open of what it asked for;
    `next_expiry_ms` is when the first of that expires. `open_steps` are `(key, name, opened_at_ms)`.
    """

    run_id: str
    thread_id: str
    agent_id: str
    state: str
    attempt: int
    queued_at_ms: int
    started_at_ms: int | None
    lease_owner: str | None
    lease_until_ms: int | None
    ahead: int
    files_awaited: bool
    waits_for: tuple[str, ...] = ()
    next_expiry_ms: int | None = None
    open_steps: tuple[tuple[str, str, int], ...] = ()


Facts = dict[str, Any]
"""What a run's record says about how it was answered, as JSON."""
