"""The guard: what the policies in force say of an act, with what the gateway knows about who wants it and where.

It asks and counts; whoever executes an act obeys (`agents/tools/use.py` and every other executor), and what was said is
recorded with the act. What the policies mean is in `gateway/rules/policy.py`.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, TypeAlias

import structlog

from gateway.clock import Clock
from gateway.policy_settings import ProposedKind, Risk
from gateway.rules.policy import Policies, Proposed, Verdict, decide
from protocol.approvals import Approval
from protocol.records import Origin
from storage.values import ClaimedRun

log = structlog.get_logger()

CLIENT: Final = "client"
"""What rules call clients of the protocol, where chat networks have their kind."""
OWN_WORDS: Final = frozenset({"calculator", "clock", "thread_search"})
"""Tools that only say what people here wrote, or nothing that anybody wrote. All others bring in words of strangers."""

Judge: TypeAlias = Callable[[ProposedKind, str, Risk, bool, bool], Verdict]
"""`RunContext.guard`."""


class Guard:
    """The policies in force. `count` is told the effect and the rule of every verdict but a plain leave."""

    def __init__(self, policies: Policies, clock: Clock, count: Callable[[str, str], None]) -> None:
        self._policies = policies
        self._clock = clock
        self._count = count

    @property
    def policies(self) -> Policies:
        """Those in force."""
        return self._policies

    def replace(self, policies: Policies) -> None:
        """From now on these are in force, for runs under way as well."""
        self._policies = policies

    def now(self) -> datetime:
        """The time of a proposal."""
        return datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)

    def judge(self, proposed: Proposed, *, under: Policies | None = None) -> Verdict:
        """The verdict on one act, counted and logged; by the policies in force unless others are given."""
        verdict = decide(under or self._policies, proposed)
        self._note(proposed, verdict)
        return verdict

    def preview(self, proposed: Proposed) -> Verdict:
        """The verdict on an act that nobody is about to do: neither counted nor logged."""
        return decide(self._policies, proposed)

    def of_run(self, run: ClaimedRun, tools_used: Callable[[], set[str]]) -> Judge:
        """The guard of a run. `tools_used` gives the names of those it has used so far."""

        def judge(kind: ProposedKind, name: str, risk: Risk, is_known: bool, asks_anyway: bool) -> Verdict:
            about = self._of(run, kind, name, tools_used())
            return self.judge(replace(about, risk=risk, is_known=is_known, asks_anyway=asks_anyway))

        return judge

    def message(self, run: ClaimedRun, tools_used: set[str]) -> Proposed:
        """That the answer of a run is said, after it has used these tools."""
        return self._of(run, "message", run.origin.room or CLIENT, tools_used)

    def _of(self, run: ClaimedRun, kind: ProposedKind, name: str, tools_used: set[str]) -> Proposed:
        return Proposed(
            kind=kind,
            name=name,
            at=self.now(),
            agent=run.agent_id,
            channel=run.origin.channel or CLIENT,
            account=run.origin.account or "",
            room=run.origin.room or "",
            person=run.requested_by,
            tainted=run.is_tainted or not tools_used <= OWN_WORDS,
        )

    def of_edit(self, approval: Approval, origin: Origin) -> Verdict:
        """The verdict on what an approval is about, for somebody who edits it: as it was when it was asked, by the
        policies of now."""
        return self.judge(
            Proposed(
                kind=approval.kind.value,
                name=approval.name,
                at=self.now(),
                agent=approval.agent_id or "",
                channel=origin.channel or CLIENT,
                account=origin.account or "",
                room=origin.room or "",
                person=approval.requested_by,
                risk=approval.risk,
                asks_anyway=True,
            )
        )

    def _note(self, proposed: Proposed, verdict: Verdict) -> None:
        for rule in verdict.warned_by:
            self._count("warn", rule)
        if verdict.effect != "allow" or verdict.rule:
            self._count(verdict.effect, verdict.rule)
        about = {"kind": proposed.kind, "name": proposed.name, "agent_id": proposed.agent}
        if verdict.broken:
            log.error(
                "policies could not be evaluated", action="policy_broken", error=verdict.broken, **about
            )
        elif verdict.effect == "deny":
            log.info("a policy denies", action="policy_denied", rule=verdict.rule, **about)
        if verdict.warned_by:
            log.warning("a policy warns", action="policy_warned", rules=list(verdict.warned_by), **about)
