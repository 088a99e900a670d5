"""The journal of one run as its agent uses it, over the store: steps before their effect, text every half second.

What is recorded is read once per attempt; a step that is closed costs no call of the store any more. What the
hash over all of it is, is in `gateway/rules/journal.py`.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

import orjson
import structlog

from gateway.agents.port import AgentFailure, Json, Recorded, Step
from gateway.clock import Clock
from gateway.crash_points import reached
from gateway.rules import budget
from gateway.rules import journal as rules
from gateway.rules.journal import Visit
from gateway.rules.policy import Verdict
from gateway.services.patience import until_stored
from gateway.services.steering import Steering
from protocol import limits
from protocol.canonical import canonical, digest, text_digest
from protocol.errors import Fault
from protocol.records import Usage
from storage.budget_values import BudgetOf, OverBudget
from storage.errors import StoreUnavailable
from storage.run_ports import JournalStore
from storage.run_values import NewStep, PolicyNote, Steered, StepEnd, StepOutcome, StepRow
from storage.values import ClaimedRun

log = structlog.get_logger()

STEP_BYTES: Final = 4 * limits.MIB
"""The most one request or result may be: an agent that records more has lost its way."""
SHOWN_CHARS: Final = 200
"""Of a tool's result, in the event that tells of it: one or two lines."""


class RunJournal:
    """`gateway.agents.port.Journal` for one claimed run. `run` is replaced when its fence was raised meanwhile.

    `wishes` are what people wanted changed of its answer: the agent is told of each once, as of what is said to it.
    """

    def __init__(
        self,
        store: JournalStore,
        run: ClaimedRun,
        clock: Clock,
        steering: Steering,
        wishes: Sequence[Steered] = (),
        *,
        has_budgets: bool = False,
    ) -> None:
        self.run = run
        self._wishes = wishes
        self._has_budgets = has_budgets
        self._steering = steering
        self._may_be_steered = False
        """Something may have been said to it before this turn."""
        self._store = store
        self._clock = clock
        self._rows: dict[str, StepRow] = {}
        self._ended: dict[str, Recorded] = {}
        self._visits: dict[str, Visit] = {}
        self._opened: dict[str, tuple[Step, str]] = {}

    async def load(self) -> list[StepRow]:
        """Read what earlier attempts recorded; returns the steps whose outcome nobody knows and that cannot simply be
        done again."""
        rows = await until_stored(lambda: self._store.steps(self.run.id), "journal", self.run.id)
        self._rows = {row.key: row for row in rows}
        self._ended = {row.key: recorded(row) for row in rows if row.outcome is not None}
        self._visits = {
            row.key: rules.visit_of(row, self._ended[row.key].result)
            for row in rows
            if row.outcome is not None and row.key.startswith(rules.INSIDE)
        }
        self._opened = {}
        self._may_be_steered = True
        return [row for row in rows if row.outcome is None and not row.is_repeatable]

    @property
    def tool_names(self) -> set[str]:
        """The tools that the run has used, or is using, as far as it is recorded."""
        return {row.name for row in self._rows.values() if row.kind == "tool"}

    def is_closed(self, key: str) -> bool:
        return key in self._ended

    @property
    def visits(self) -> Iterable[Visit]:
        """The steps this attempt came to and that are closed, and those inside its prompts, as they will be recorded:
        what was cut off in there stays unknown."""
        inside = {key: row for key, row in self._rows.items() if key.startswith(rules.INSIDE)}
        cut_off = [rules.visit_of(row, None) for key, row in inside.items() if key not in self._ended]
        return [*self._visits.values(), *cut_off]

    async def begin(self, step: Step) -> Recorded | None:
        request = _text_of(step)
        request_hash = text_digest(request)
        known = self._rows.get(step.key)
        if known is not None and known.kind == "tool" and known.request_hash != request_hash:
            raise AgentFailure(
                "journal_mismatch", f"Its step {step.key} is recorded with another request: it cannot go on"
            )
        if (ended := self._ended.get(step.key)) is not None:
            self._visit(step, request_hash, ended, digest(ended.result))
            return ended
        new = NewStep(
            step.key,
            step.kind,
            step.name,
            request,
            request_hash,
            step.repeatable,
            note_of(step.verdict),
            step.approval_id,
            self._takes(step),
        )
        reached("step.before_open")
        try:
            row = await until_stored(
                lambda: self._store.open(self.run, new, self._clock.now_ms()), "step", self.run.id
            )
        except Fault as fault:
            raise AgentFailure(fault.data["kind"], fault.message) from fault
        if isinstance(row, OverBudget):
            raise AgentFailure("budget_exceeded", budget.says(row))
        reached("step.opened")
        self._rows[step.key] = row
        if row.outcome is not None:
            self._ended[step.key] = ended = recorded(row)
            self._visit(step, request_hash, ended, digest(ended.result))
            return ended
        self._opened[step.key] = (step, request_hash)
        return None

    def _takes(self, step: Step) -> dict[BudgetOf, int]:
        """What a step may take of budgets; only asking a model, or somebody else's agent, costs something."""
        if not self._has_budgets or step.kind not in ("model", "prompt"):
            return {}
        return budget.reserve(step.expected() if step.expected is not None else None)

    async def finish(
        self, key: str, result: Json, *, outcome: StepOutcome = "ok", usage: Usage | None = None
    ) -> Recorded:
        step, request_hash = self._opened.pop(key)
        text = _bounded(canonical(result), f"What came of its step {key}")
        shown = _shown(result) if step.kind == "tool" else None
        reached("step.before_close")
        await self._close(StepEnd(key, outcome, text, usage, shown))
        reached("step.closed")
        self._ended[key] = ended = Recorded(outcome, result, usage or Usage())
        self._visit(step, request_hash, ended, text_digest(text))
        return ended

    async def steered(self, key: str) -> tuple[Steered, ...]:
        if key in self._ended:
            return self._steered(key, [Steered(**one) for one in self._ended[key].result])
        if wanted := self._untold():
            await self.begin(Step(key, "steer", "", {}, repeatable=True))
            result = [{"message_id": one.message_id, "text": one.text, "by": one.by} for one in wanted]
            await self.finish(key, result)
            return wanted
        if not self._steering.take(self.run.id) and not self._may_be_steered:
            return ()
        self._may_be_steered = False
        said = await until_stored(
            lambda: self._store.take_steers(self.run, key, self._clock.now_ms()), "steers", self.run.id
        )
        return self._steered(key, list(said))

    def _untold(self) -> tuple[Steered, ...]:
        """The wishes that no step has taken yet."""
        steps = [row.key for row in self._rows.values() if row.kind == "steer" and row.key in self._ended]
        told = {one["message_id"] for key in steps for one in self._ended[key].result}
        return tuple(one for one in self._wishes if one.message_id not in told)

    def _steered(self, key: str, said: list[Steered]) -> tuple[Steered, ...]:
        if said:
            result = [{"message_id": one.message_id, "text": one.text, "by": one.by} for one in said]
            self._ended[key] = Recorded("ok", result)
            self._visits[key] = Visit(key, "steer", "", digest({}), "ok", digest(result))
        return tuple(said)

    # --- what the turn does with it -----------------------------------------------------------

    async def allow_repeat(self, key: str) -> None:
        """A person decided that a step of unknown outcome may be done again."""
        await until_stored(lambda: self._store.allow_repeat(self.run, key), "step", self.run.id)
        await self.load()

    async def skip(self, key: str, why: str) -> None:
        """A person decided that a step of unknown outcome is not done again; the agent is told `why`."""
        await self._close(StepEnd(key, "skipped", canonical({"error": why}), None, why))
        await self.load()

    async def checkpoint(self, text: str) -> None:
        """Journal the answer as far as it is known; one that the store does not take is left out."""
        try:
            await self._store.checkpoint(self.run.id, self.run.fence, text)
            reached("run.checkpointed")
        except StoreUnavailable as error:
            log.warning(
                "a checkpoint was not taken", action="checkpoint_failed", run_id=self.run.id, error=str(error)
            )

    async def _close(self, end: StepEnd) -> None:
        await until_stored(
            lambda: self._store.close(self.run, end, self._clock.now_ms()), "step", self.run.id
        )

    def _visit(self, step: Step, request_hash: str, ended: Recorded, result_hash: str) -> None:
        self._visits[step.key] = Visit(
            step.key, step.kind, step.name, request_hash, ended.outcome, result_hash
        )


class Checkpoints:
    """Writes the text of an answer into the journal about every half second, one write at a time."""

    def __init__(self, journal: RunJournal) -> None:
        self._journal = journal
        self._writing: asyncio.Task[None] | None = None
        self._written_at = asyncio.get_running_loop().time()

    def is_due(self, now: float) -> bool:
        """Whether the last one is long enough ago. Raises StaleFence of the one before."""
        if self._writing is not None and self._writing.done():
            writing, self._writing = self._writing, None
            writing.result()
        return self._writing is None and now - self._written_at >= limits.CHECKPOINT_INTERVAL_S

    def write(self, text: str, now: float) -> None:
        """Begin to write one that is due."""
        self._written_at = now
        name = f"checkpoint {self._journal.run.id}"
        self._writing = asyncio.create_task(self._journal.checkpoint(text), name=name)

    async def settle(self) -> None:
        """Wait for the one being written. Raises StaleFence."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await writing

    def drop(self) -> None:
        """Give up the one being written."""
        if self._writing is not None:
            self._writing.cancel()


def note_of(verdict: Verdict | None) -> PolicyNote | None:
    """What the audit log is told of a verdict; nothing of one that no policy has to do with."""
    if verdict is None or (verdict.effect == "allow" and not verdict.rule and not verdict.warned_by):
        return None
    return PolicyNote(verdict.effect, verdict.rule, verdict.version, verdict.warned_by)


def recorded(row: StepRow) -> Recorded:
    """A closed step as an agent is told of it."""
    return Recorded(row.outcome or "unknown", orjson.loads(row.result or "null"), row.usage)


def _text_of(step: Step) -> str:
    try:
        return _bounded(canonical(step.request), f"Its step {step.key}")
    except (ValueError, TypeError):
        raise AgentFailure(
            "bad_output", f"Its step {step.key} asks for something that JSON cannot say"
        ) from None


def _bounded(text: str, what: str) -> str:
    if len(text) > STEP_BYTES:
        raise AgentFailure("too_large", f"{what} is larger than {STEP_BYTES // limits.MIB} MiB")
    return text


def _shown(result: Json) -> str:
    text = result if isinstance(result, str) else canonical(result)
    return " ".join(text[: 4 * SHOWN_CHARS].split())[:SHOWN_CHARS]
