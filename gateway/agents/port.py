"""The agent port: what a run gives an agent, and what an agent may give back.

Theory of operation. An agent is asked to `answer` once per attempt of a run, and **every attempt tells the whole
answer from its beginning**: what was shown already is not shown again, and what it says otherwise replaces it.
What must not happen twice is a step of the journal: it is recorded before its effect and closed after, and an
attempt that comes to a step which is closed gets its recorded result instead of doing it again. So a crash at
any instant, a decision that took a day, and a replay for an auditor are all the same thing: the agent runs again
over what is recorded.

An agent knows nothing of the store, the hub or channels. It may be cancelled at any await and must end at once.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from gateway.agent_settings import AgentSettings
from gateway.policy_settings import ApprovalTerms, ProposedKind, Risk
from gateway.rules.budget import Expected
from gateway.rules.policy import NOT_KNOWN, Verdict
from protocol.canonical import digest
from protocol.records import Usage
from storage.run_values import Answered, Steered, StepKind, StepOutcome
from storage.values import DEFAULT_ORG, Decided, Said

Json: TypeAlias = Any
"""Anything that JSON can say. Numbers are finite, keys are texts."""

# --- what an agent gives back ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AgentText:
    """The next piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class AgentRewind:
    """Only the first `chars` characters of the answer stand; what follows takes the place of the rest."""

    chars: int


@dataclass(frozen=True, slots=True)
class AgentUsage:
    """What the answer has cost since the last time, beside what its steps cost."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class AgentFile:
    """A file that belongs to the answer. `name` and `media_type` are claims, looked at like anybody's.

    Given again in a later attempt it is the same file; what earlier attempts gave stays part of the answer.
    """

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class AgentAsk:
    """Something the agent wants to do and a person decides. It waits as data: the attempt ends.

    `key` names it within the run, `subject` is the exact action (the tool and its arguments) to which the decision
    is bound: a later attempt that asks the same key about something else asks anew. An attempt may ask several
    things before it ends. Afterwards the agent answers again, and `RunContext.decided` knows.

    `name` is the tool, `terms` and `rule` come from the policy that wants a person asked, `policy_version` says which
    policies these were, and `schema` is the JSON Schema of `subject["arguments"]`: with it, who decides may change them
    (edit and approve).
    """

    key: str
    title: str
    body: str
    subject: Json = None
    kind: ProposedKind = "tool"
    name: str = ""
    terms: ApprovalTerms | None = None
    rule: str = ""
    risk: Risk = "medium"
    schema: Json = None
    policy_version: str = ""

    @property
    def subject_hash(self) -> str:
        """What the decision is bound to: SHA-256 of the exact action and of the words it was asked with."""
        return digest([self.title, self.body, self.subject])


@dataclass(frozen=True, slots=True)
class AgentQuestion:
    """A question to the person the run answers; their next message in the thread is the answer.

    The attempt ends. Afterwards the agent answers again, and `RunContext.answered` knows.
    """

    key: str
    prompt: str


@dataclass(frozen=True, slots=True)
class AgentBeat:
    """A sign of life, for when nothing else can be said: it is at work."""


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """What the run's record should say about how it was answered: context packs, the worker that did it."""

    facts: Mapping[str, Json]


AgentOutput = (
    AgentText | AgentRewind | AgentFile | AgentUsage | AgentAsk | AgentQuestion | AgentBeat | AgentFacts
)


def decision_about(ask: AgentAsk, decisions: Sequence[Decided]) -> Decided | None:
    """The newest decision about exactly this: the same key and the same action. None while there is none."""
    found = [one for one in decisions if (one.key, one.subject_hash) == (ask.key, ask.subject_hash)]
    return found[-1] if found else None


# --- the journal -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """Something with an effect or a price, about to be done.

    `key` is the same for the same step in every attempt: `model/1`, `tool/CALL_ID`. `name` is for people: the
    model, the tool. `request` is what is asked, whole. `repeatable`: doing it twice does no harm. `verdict` is what the
    policies said of it, for the audit log, which has it before the effect; `approval_id` is the leave for it, used up
    by beginning it. `expected` says what it may cost, for budgets; without it a constant is assumed.
    """

    key: str
    kind: StepKind
    name: str
    request: Json
    repeatable: bool = False
    verdict: Verdict | None = None
    approval_id: str | None = None
    expected: Callable[[], Expected] | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """How a step ended, as the journal knows it."""

    outcome: StepOutcome
    result: Json
    usage: Usage = field(default_factory=Usage)


class Journal(Protocol):
    """What a run has done. One writer at a time per key; different keys may be open together."""

    async def begin(self, step: Step) -> Recorded | None:
        """Record that `step` begins; None: go and do it. Else it was done before, and this came of it.

        Raises AgentFailure (`journal_mismatch`) when a tool step of that key was about something else,
        (`approval_required`) when its leave was used already, (`budget_exceeded`) when a budget has no room for what it
        may cost, and StaleFence when the run has another owner now.
        """
        ...

    async def finish(
        self, key: str, result: Json, *, outcome: StepOutcome = "ok", usage: Usage | None = None
    ) -> Recorded:
        """Record what came of a step that began. Raises StaleFence."""
        ...

    def is_closed(self, key: str) -> bool:
        """Whether a step is recorded with what came of it: then it is not done any more, whatever is said of it now."""
        ...

    async def steered(self, key: str) -> tuple[Steered, ...]:
        """What people said to the run meanwhile (on_busy="steer"), each once; a step of its own, named by `key`."""
        ...


async def perform(journal: Journal, step: Step, effect: Callable[[], Awaitable[Json]]) -> Recorded:
    """Do a step once in the life of the run: the recorded result, or that of `effect`.

    A StepFailed of the effect is recorded as its outcome `error` and returned, not raised, and an OutcomeUnknown as
    `unknown`: the agent learns of it and goes on. Whatever else it raises leaves the step open.
    """
    done = await journal.begin(step)
    if done is not None:
        return done
    try:
        result = await effect()
    except StepFailed as failure:
        outcome: StepOutcome = "unknown" if isinstance(failure, OutcomeUnknown) else "error"
        return await journal.finish(step.key, {"error": str(failure)}, outcome=outcome)
    return await journal.finish(step.key, result)


# --- what a run gives an agent ---------------------------------------------------------------------


def allow_as_configured(
    kind: ProposedKind, name: str, risk: Risk, is_known: bool, asks_anyway: bool
) -> Verdict:
    """The guard where no policies are: what is known may be done, after asking where the agent's settings say so."""
    if not is_known:
        return Verdict("deny", NOT_KNOWN)
    return Verdict("require_approval" if asks_anyway else "allow", "")


@dataclass(frozen=True, slots=True)
class GivenFile:
    """A file that came with the message. `error` says why there are no bytes, None when there are.

    `read` returns them; it raises FileUnreadable when there are none.
    """

    name: str
    media_type: str
    size_bytes: int | None
    read: Callable[[], Awaitable[bytes]]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A message that a search of the threads found."""

    thread_id: str
    thread_title: str
    message_id: str
    text: str
    at: str


@dataclass(frozen=True, slots=True)
class RunContext:
    """What one attempt of a run works with.

    `files` came with the message, in its order. `said` reads the last messages of the thread, up to the one to
    answer, which is the last of them. `search` finds messages by words: in this thread, and with the scope
    thread.read in all of them.
    `ask` asks a person while the agent goes on living, for agents that cannot be run again over their steps
    (a program that waits for a permission); all others give an AgentAsk. `guard` is the policies' verdict on what the
    agent wants to do: its kind, name and risk, whether the gateway knows it, and whether the agent's own settings want
    a person asked; whoever executes an act obeys it, at the moment of executing. `org_id` is the organization whose run
    it is. `recovered`: an earlier attempt was cut off by the end of its process.
    """

    run_id: str
    thread_id: str
    thread_title: str
    attempt: int
    text: str
    origin: str
    requested_by: str
    said: Callable[[int], Awaitable[list[Said]]]
    search: Callable[[str, int], Awaitable[list[Found]]]
    journal: Journal
    ask: Callable[[AgentAsk], Awaitable[Decided]]
    now_ms: Callable[[], int]
    guard: Callable[[ProposedKind, str, Risk, bool, bool], Verdict] = allow_as_configured
    recovered: bool = False
    org_id: str = DEFAULT_ORG
    decisions: tuple[Decided, ...] = ()
    answers: tuple[Answered, ...] = ()
    files: tuple[GivenFile, ...] = ()

    def decided(self, ask: AgentAsk) -> Decided | None:
        """How exactly this was decided; None while nobody was asked about it."""
        return decision_about(ask, self.decisions)

    def answered(self, question: AgentQuestion) -> Answered | None:
        """What was said to this question; None while nobody was asked."""
        found = [one for one in self.answers if one.key == question.key]
        return found[-1] if found else None


# --- failures --------------------------------------------------------------------------------------


class AgentFailure(Exception):
    """The agent cannot answer. `kind` is stable, the text is shown to people.

    `passes`: the same may work a little later, after `retry_after_s` when somebody said so. Then the attempt is made
    again over what is recorded; and failures of this sort open the agent's circuit breaker, unless the agent is not
    to be blamed: one of several processes that died says nothing about the others.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        passes: bool = False,
        retry_after_s: float | None = None,
        is_agents_fault: bool = True,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.passes = passes
        self.retry_after_s = retry_after_s
        self.is_agents_fault = is_agents_fault


class StepFailed(Exception):
    """A step had an outcome, a bad one; the text is what the agent is told."""


class OutcomeUnknown(StepFailed):
    """Nobody will find out what came of a step, and the agent can go on knowing that (a tool that was too slow)."""


class FileUnreadable(Exception):
    """A file has no bytes; the text says why."""


# --- an agent --------------------------------------------------------------------------------------

Recovery: TypeAlias = Literal["resume", "interrupt"]
"""What becomes of a run whose process died: it is answered again over its journal, or it is over."""


class AgentAdapter(Protocol):
    """One agent of the configuration."""

    @property
    def settings(self) -> AgentSettings:
        """What the configuration says of it."""
        ...

    @property
    def recovery(self) -> Recovery:
        """What becomes of its runs after a crash."""
        ...

    @property
    def is_steerable(self) -> bool:
        """Whether it looks for what people say meanwhile, with `Journal.steered`."""
        ...

    async def start(self) -> None:
        """Get ready; called once before the first run. Must not wait for anything outside the process."""
        ...

    async def stop(self) -> None:
        """Let go of everything; called once, after its last run. Idempotent."""
        ...

    def answer(self, context: RunContext) -> AsyncIterator[AgentOutput]:
        """Answer. Raises AgentFailure; anything else that escapes is an internal failure of the run."""
        ...
