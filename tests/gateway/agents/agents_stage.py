"""A stage for agents: a journal in memory, a context for one attempt, and what an attempt gave.

The journal keeps the rules of the real one, so that an agent can be cut off at any step and run again over it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from gateway.agents.port import (
    AgentAdapter,
    AgentAsk,
    AgentFailure,
    AgentOutput,
    AgentRewind,
    AgentText,
    Found,
    Json,
    Recorded,
    RunContext,
    Step,
)
from protocol.canonical import canonical
from protocol.records import Usage
from storage.run_values import Answered, Steered, StepOutcome
from storage.values import Decided, Said

T = TypeVar("T")


class Killed(BaseException):
    """The process would be gone now."""


@dataclass
class MemoryJournal:
    """`gateway.agents.port.Journal` in memory. `die_at("begin:tool/1")` or `die_at("finish:tool/1")` kills there."""

    begun: dict[str, Step] = field(default_factory=dict)
    ended: dict[str, Recorded] = field(default_factory=dict)
    waiting: list[Steered] = field(default_factory=list)
    taken: dict[str, tuple[Steered, ...]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    dies_at: str | None = None

    async def begin(self, step: Step) -> Recorded | None:
        canonical(step.request)  # raises here what no store could take
        self._reach(f"begin:{step.key}")
        if step.key in self.ended:
            known = self.begun[step.key]
            if step.kind == "tool" and canonical(known.request) != canonical(step.request):
                raise AgentFailure("journal_mismatch", f"{step.key} was recorded with another request")
            return self.ended[step.key]
        assert step.key not in self.begun or self.begun[step.key].repeatable, (
            "the turn settles these beforehand"
        )
        self.begun[step.key] = step
        self.log.append(f"begin:{step.key}")
        return None

    async def finish(
        self, key: str, result: Json, *, outcome: StepOutcome = "ok", usage: Usage | None = None
    ) -> Recorded:
        assert key in self.begun and key not in self.ended
        canonical(result)
        self._reach(f"finish:{key}")
        self.ended[key] = Recorded(outcome, result, usage or Usage())
        self.log.append(f"finish:{key}")
        return self.ended[key]

    def is_closed(self, key: str) -> bool:
        return key in self.ended

    async def steered(self, key: str) -> tuple[Steered, ...]:
        if key not in self.taken and self.waiting:
            self.taken[key] = tuple(self.waiting)
            self.waiting.clear()
        return self.taken.get(key, ())

    def _reach(self, place: str) -> None:
        if self.dies_at == place:
            self.dies_at = None
            raise Killed(place)


def make_context(journal: MemoryJournal | None = None, text: str = "hello", **changes: Any) -> RunContext:
    """The context of a first attempt; `changes` are fields of it."""
    said = [Said(1, "user", text)]

    async def read_said(limit: int) -> list[Said]:
        return said[-limit:] if limit else []

    async def search(words: str, limit: int) -> list[Found]:
        return []

    async def ask(ask: AgentAsk) -> Decided:
        raise AssertionError("nobody is there to be asked")

    made = RunContext(
        run_id="run_1",
        thread_id="thr_1",
        thread_title="A thread",
        attempt=1,
        text=text,
        origin="a client",
        requested_by="usr_1",
        said=read_said,
        search=search,
        journal=journal or MemoryJournal(),
        ask=ask,
        now_ms=lambda: 1_790_000_000_000,
    )
    return replace(made, **changes)


def decided(ask: AgentAsk, approved: bool = True, reason: str = "", by: str = "Olga") -> Decided:
    """A decision about exactly this."""
    return Decided("apr_1", approved, reason, by, ask.key, ask.subject_hash)


def answered(key: str, text: str | None, by: str = "Olga") -> Answered:
    """An answer to a question."""
    return Answered(key, text, by)


@dataclass
class Given:
    """What one attempt gave, and the text a reader would see in the end."""

    outputs: list[AgentOutput] = field(default_factory=list)

    @property
    def text(self) -> str:
        said = ""
        for output in self.outputs:
            if isinstance(output, AgentText):
                said += output.text
            elif isinstance(output, AgentRewind):
                said = said[: output.chars]
        return said

    def of(self, kind: type[T]) -> list[T]:
        return [output for output in self.outputs if isinstance(output, kind)]


async def attempt(
    agent: AgentAdapter, context: RunContext, stop_after: Callable[[AgentOutput], bool] | None = None
) -> Given:
    """Run one attempt to its end, or until `stop_after` says so."""
    given = Given()
    async for output in agent.answer(context):
        given.outputs.append(output)
        if stop_after is not None and stop_after(output):
            break
    return given
