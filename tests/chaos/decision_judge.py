"""Whether what the store holds, what its audit log says and what people were told can all be true: one winner each.

Reads the files and nothing of the code that decides; the rules are written down here a second time.
"""

import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from storage.files import DATABASE_NAME
from storage.store import verify_audit
from tests.chaos.decision_life import SAID

ENDS = {"approval.decide", "approval.expire", "approval.cancel"}
STATE_OF = {"approve": "approved", "deny": "denied", "request_changes": "changes_requested"}
SAYS = {
    "Approved.": "approved",
    "Denied.": "denied",
    "The agent is told what should be different.": "changes_requested",
}


@dataclass(slots=True)
class Verdict:
    """`violations` are what cannot be; the counts say that something happened at all."""

    violations: list[str] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    votes: int = 0
    told: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    used: int = 0
    entries: int = 0

    @property
    def histories(self) -> int:
        """Approvals there are."""
        return sum(self.states.values())


def judge(directory: Path) -> Verdict:
    """Look at everything."""
    verdict = Verdict()
    with closing(sqlite3.connect(f"file:{directory / DATABASE_NAME}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        approvals = {row["id"]: row for row in connection.execute("SELECT * FROM approvals")}
        entries = connection.execute("SELECT body FROM audit_entries ORDER BY seq").fetchall()
        steps = connection.execute("SELECT run_id, key FROM journal_steps WHERE kind = 'tool'").fetchall()
    verdict.states.update(row["state"] for row in approvals.values())
    verdict.entries = len(entries)
    logged = _logged(entries)
    for approval_id, row in approvals.items():
        _check_history(verdict, row, logged[approval_id])
    _check_use(verdict, approvals, logged, Counter(step["run_id"] for step in steps))
    _check_told(verdict, approvals, directory / SAID)
    _, broken = verify_audit(directory)
    if broken is not None:
        verdict.violations.append(f"the audit chain is broken: {broken}")
    return verdict


def _logged(entries: list[sqlite3.Row]) -> dict[str, list[dict[str, Any]]]:
    """What the audit log says of each approval, in its order."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in entries:
        body = orjson.loads(entry["body"])
        if body["action"].startswith("approval."):
            found[body["subject"]["approval_id"]].append(body)
    return found


def _check_history(verdict: Verdict, row: sqlite3.Row, log: list[dict[str, Any]]) -> None:
    """Count the votes again in the order of the log: they lead to the one end there is, and to none before."""
    terms = orjson.loads(row["terms"])
    votes: dict[str, tuple[str, str]] = {}
    ended: str | None = None
    for entry in log:
        name = entry["action"]
        if entry["outcome"] != "success":
            continue
        if ended is not None and name in ENDS | {"approval.vote", "approval.edit"}:
            verdict.violations.append(f"{row['id']}: {name} after it was {ended}")
        if name == "approval.vote":
            verdict.votes += 1
            person = entry["detail"].get("user_id") or entry["actor"]["id"]
            votes[person] = (entry["detail"]["vote"], entry["detail"]["subject_hash"])
        elif name in ENDS:
            ended = entry["detail"]["state"]
            if name == "approval.decide" and ended != _outcome(votes, entry["detail"]["subject_hash"], terms):
                verdict.violations.append(f"{row['id']}: {ended} by {votes} under {terms}")
    if (ended or "pending") != row["state"]:
        verdict.violations.append(f"{row['id']}: the row says {row['state']}, the log {ended}")


def _outcome(votes: dict[str, tuple[str, str]], about: str, terms: dict[str, Any]) -> str | None:
    counted = Counter(vote for vote, _ in votes.values())
    if counted["deny"] >= terms["denials"]:
        return "denied"
    if counted["request_changes"]:
        return "changes_requested"
    approved = [1 for vote, what in votes.values() if vote == "approve" and what == about]
    return "approved" if len(approved) >= terms["quorum"] else None


def _check_use(
    verdict: Verdict,
    approvals: dict[str, sqlite3.Row],
    logged: dict[str, list[dict[str, Any]]],
    steps: Counter[str],
) -> None:
    """Leave is used at most once, by the run it was given to, and only where it was given."""
    for approval_id, row in approvals.items():
        used = sum(entry["action"] == "approval.consume" for entry in logged[approval_id])
        begun = steps[row["run_id"]]
        if used > 1 or begun != used or (row["consumed_at"] is not None) != bool(used):
            verdict.violations.append(f"{approval_id}: used {used} times, {begun} steps began")
        if used and row["state"] != "approved":
            verdict.violations.append(f"{approval_id}: used, and it is {row['state']}")
        verdict.used += used


def _check_told(verdict: Verdict, approvals: dict[str, sqlite3.Row], said: Path) -> None:
    """Nobody was ever told of another end than the one there is; and what was told survived every crash."""
    for line in said.read_bytes().splitlines():
        try:
            told = orjson.loads(line)
        except ValueError:
            continue  # cut off in the middle of a line
        verdict.told += 1
        row = approvals[told["approval"]]
        if "refused" in told:
            verdict.refused[told["refused"]] += 1
        if "use" in told:
            if "refused" not in told and row["consumed_at"] is None:
                verdict.violations.append(f"{row['id']}: use was told and forgotten")
            continue
        heard = told.get("state") or SAYS.get(told.get("says", ""))
        if heard not in (None, "pending", row["state"]):
            verdict.violations.append(f"{row['id']}: {told['who']} was told {heard}, it is {row['state']}")
        if told["who"] == "eve" and heard in STATE_OF.values() and "refused" not in told:
            verdict.violations.append(f"{row['id']}: eve decided")
