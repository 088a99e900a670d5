"""What an agent wants to say into a conversation, and whether it may: policies of the kind `message`.

An answer that may need leave is withheld while it is written: nobody sees deltas of it, no checkpoint keeps it. When it
is complete it is judged once more, and then said, asked about as a whole, or not said at all. What people want changed
goes back to agents that look for what is said to them meanwhile. Who writes the end is `endings.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.agents.leave import SHOWN_CHARS, asked_under, decision_on, is_settled
from gateway.agents.port import AgentAsk, AgentFailure
from gateway.rules.policy import Verdict
from gateway.rules.visible import fenced
from gateway.services.guard import Guard
from storage.file_values import BlobRow
from storage.run_values import Steered
from storage.values import ClaimedRun, Decided

KEY: Final = "message/final"
"""Of the question about an answer."""


@dataclass(frozen=True, slots=True)
class Said:
    """An answer that is complete: its words and its files."""

    text: str
    files: Sequence[BlobRow]


class Outgoing:
    """Judges answers."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def is_withheld(self, run: ClaimedRun) -> bool:
        """Whether nothing of the answer may be seen before it is complete: leave may be needed, whatever it reads."""
        about = self._guard.message(run, set())
        verdicts = [self._guard.preview(replace(about, tainted=tainted)) for tainted in (False, True)]
        return any(verdict.effect != "allow" for verdict in verdicts)

    def refusal(self, run: ClaimedRun) -> AgentFailure | None:
        """Why the agent need not begin: whatever it says is denied. None when it may be said."""
        about = self._guard.message(run, set())
        verdicts = [self._guard.preview(replace(about, tainted=tainted)) for tainted in (False, True)]
        if any(verdict.effect != "deny" for verdict in verdicts):
            return None
        return _denied(self._guard.judge(about))

    def judge(self, run: ClaimedRun, said: Said, tools_used: set[str]) -> AgentAsk | AgentFailure | None:
        """What has to be asked before this is said, or why it is not; None: say it."""
        verdict = self._guard.judge(self._guard.message(run, tools_used))
        if verdict.effect == "deny":
            return _denied(verdict)
        ask = _ask_for(run, said, verdict)
        decided = decision_on(ask, run.decisions)
        if decided is not None and not decided.approved:
            return AgentFailure("not_approved", _not_approved(decided))
        if verdict.effect == "allow" or is_settled(ask, decided):
            return None
        if len(ask.body) > SHOWN_CHARS:
            return AgentFailure(
                "too_large", "The answer is too long to be shown to the people who must approve it"
            )
        return ask


def wishes(decisions: Sequence[Decided]) -> tuple[Steered, ...]:
    """What people wanted changed of answers, for the agent, oldest first."""
    return tuple(
        Steered(one.approval_id, one.reason, one.by)
        for one in decisions
        if one.wants_changes and one.reason and one.key.endswith(KEY)
    )


def _ask_for(run: ClaimedRun, said: Said, verdict: Verdict) -> AgentAsk:
    """The question about an answer. It shows all of it, and nothing of it as anything but text."""
    where = run.origin.room or "the conversation"
    files = [{"name": file.name, "sha256": file.sha256} for file in said.files]
    lines = [f"The agent {run.agent_id} wants to say in {where}:", fenced(said.text)]
    lines += [f"with the file\n\n{fenced(file.name)}" for file in said.files]
    ask = AgentAsk(
        key=KEY,
        title=f"Answer of {run.agent_id}",
        body="\n\n".join(lines),
        subject={"room": run.origin.room, "text": said.text, "files": files},
        kind="message",
        name=run.origin.room or "",
    )
    return asked_under(ask, verdict)


def _denied(verdict: Verdict) -> AgentFailure:
    return AgentFailure("policy_denied", f"a policy does not let it be said here: {verdict.reason}")


def _not_approved(decided: Decided) -> str:
    """What the room is told; the reason is between the approver and the record."""
    wants = "wants it to be different" if decided.wants_changes else "did not approve it"
    return f"the answer is not shown: {decided.by} {wants}"
