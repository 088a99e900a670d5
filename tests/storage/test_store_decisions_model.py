"""Random decisions, edits, votes taken back, time that passes: the transaction comes to what a plain model comes to."""

import asyncio
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from store_stage import Scene, open_scene

from protocol.errors import Fault
from storage.approval_values import Edited, Terms
from storage.store import DEFAULT_ORG, verify_audit

PEOPLE = ("ada", "bob", "cat", "dan")
MAY = tuple(f"user:prn_{name}" for name in PEOPLE if name != "dan")
ENDS = {"approve": "approved", "deny": "denied", "request_changes": "changes_requested"}
LIFE_MS = 40


@dataclass
class Model:
    """An approval as a person with pencil and paper would keep it."""

    quorum: int
    denials: int
    expires_ms: int
    about: str = "0" * 64
    state: str = "pending"
    votes: dict[str, tuple[str, str]] = field(default_factory=dict)

    def say(self, who: str, vote: str, now_ms: int, seen: str | None = None, edit: str | None = None) -> bool:
        """Whether it is answered with yes."""
        if who == "dan":
            return False
        if self.state == "pending" and now_ms >= self.expires_ms:
            self.state = "expired"
        if self.state != "pending":
            return edit is None and self.state == ENDS[vote] and seen in (None, self.about)
        if seen not in (None, self.about):
            return False
        if edit is not None:
            self.about = edit
        self.votes[who] = (vote, self.about)
        kinds = [kind for kind, _ in self.votes.values()]
        if kinds.count("deny") >= self.denials:
            self.state = "denied"
        elif "request_changes" in kinds:
            self.state = "changes_requested"
        elif list(self.votes.values()).count(("approve", self.about)) >= self.quorum:
            self.state = "approved"
        return True


class Deciding(RuleBasedStateMachine):
    """A store with one approval, and the model beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="decisions-"))
        self.runner = asyncio.Runner()
        self.opened = open_scene(self.directory)
        self.scene: Scene = self.runner.run(self.opened.__aenter__())
        self.edits = 0

    @initialize(quorum=st.integers(1, 3), denials=st.integers(1, 2))
    def ask(self, quorum: int, denials: int) -> None:
        async def asking() -> str:
            run = await self.scene.started()
            terms = Terms(approvers=MAY, quorum=quorum, denials=denials)
            return await self.scene.ask(run, life_ms=LIFE_MS, terms=terms, subject={"arguments": 0})

        self.approval_id = self.runner.run(asking())
        self.model = Model(quorum, denials, self.scene.now_ms + LIFE_MS)

    @rule(
        who=st.sampled_from(PEOPLE),
        vote=st.sampled_from(["approve", "approve", "deny"]),
        as_seen=st.booleans(),
    )
    def decide(self, who: str, vote: str, as_seen: bool) -> None:
        seen = self.model.about if as_seen else None
        assert self._decide(who, vote, seen_hash=seen or "") == self.model.say(
            who, vote, self.scene.now_ms, seen
        )

    @rule(who=st.sampled_from(PEOPLE))
    def decide_about_what_it_was(self, who: str) -> None:
        said = self._decide(who, "approve", seen_hash="f" * 12)
        assert said == self.model.say(who, "approve", self.scene.now_ms, "f" * 64)

    @rule(who=st.sampled_from(PEOPLE))
    def send_back(self, who: str) -> None:
        said = self._decide(who, "request_changes")
        assert said == self.model.say(who, "request_changes", self.scene.now_ms)

    @rule(who=st.sampled_from(PEOPLE))
    def edit(self, who: str) -> None:
        self.edits += 1
        new = f"{self.edits:064x}"
        edited = Edited({"arguments": self.edits}, new, self.model.about, "")
        said = self._decide(who, "approve", edited=edited)
        assert said == self.model.say(who, "approve", self.scene.now_ms, edit=new)

    @rule(passes_ms=st.integers(1, 15))
    def time_passes(self, passes_ms: int) -> None:
        self.scene.now_ms += passes_ms

    @rule()
    def expire(self) -> None:
        self.runner.run(self.scene.store.approvals.expire(self.scene.now_ms, 10))
        if self.model.state == "pending" and self.scene.now_ms >= self.model.expires_ms:
            self.model.state = "expired"

    @invariant()
    def they_agree(self) -> None:
        if hasattr(self, "approval_id"):
            found = self.runner.run(self.scene.store.approvals.get(DEFAULT_ORG, self.approval_id))
            assert found.state == self.model.state
            votes = {vote.actor.name: (vote.vote, vote.subject_hash) for vote in found.votes}
            assert votes == self.model.votes

    def _decide(self, who: str, vote: str, **choices: Any) -> bool:
        wanted = self.scene.decide(self.approval_id, vote, **choices)
        try:
            self.runner.run(self.scene.store.approvals.decide(self.scene.act(who), wanted))
        except Fault:
            return False
        return True

    def teardown(self) -> None:
        audited = self.runner.run(self.scene.audited()).count("approval.expire")
        assert audited == (self.model.state == "expired")
        self.runner.run(self.opened.__aexit__(None, None, None))
        self.runner.close()
        _, broken = verify_audit(self.directory)
        shutil.rmtree(self.directory)
        assert broken is None


TestDeciding = Deciding.TestCase
TestDeciding.settings = settings(
    max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
