"""What came of a cell, judged from outside: the store, read-only, and the effects that really happened."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from .kinds import Effect, Line

ENDED = ("completed", "failed", "cancelled", "interrupted")
ENDINGS = tuple(f"run.{state}" for state in ENDED)
ONE_CLOCK_MS = 1
"""The store's clock and that of the effects are one, read to the millisecond."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise that was broken. repeated: a completed step was done again · doubled: an effect happened more often
    than anybody allowed."""

    kind: Literal["lost", "stuck", "repeated", "doubled", "wrong"]
    text: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """A line and the gateway's word that it was accepted."""

    line: Line
    message_id: str
    thread_id: str


@dataclass(slots=True)
class Judged:
    """`states` of the last run of each line; `completed` are ids of runs."""

    states: list[str] = field(default_factory=list)
    completed: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def find(self, kind: Literal["lost", "stuck", "repeated", "doubled", "wrong"], text: str) -> None:
        """Note a finding."""
        self.findings.append(Finding(kind, text))


def judge(
    store: sqlite3.Connection, spoken: Sequence[Spoken], effects: Sequence[Effect], steps: str
) -> Judged:
    """The story of every line. `steps` is the kind of the journal's steps that have the effects."""
    judged = Judged()
    for one in spoken:
        _judge_message(store, one, judged)
        runs = store.execute(
            "SELECT * FROM runs WHERE message_id = ? ORDER BY id", (one.message_id,)
        ).fetchall()
        _judge_runs(store, one, runs, judged)
        _judge_log(store, one, judged)
        _judge_effects(store, one, runs, effects, steps, judged)
    return judged


def _judge_message(store: sqlite3.Connection, spoken: Spoken, judged: Judged) -> None:
    rows = store.execute(
        "SELECT id FROM messages WHERE role = 'user' AND text = ?", (spoken.line.text,)
    ).fetchall()
    if not rows:
        judged.find("lost", f"accepted and not stored: {spoken.line.text}")
    elif [row["id"] for row in rows] != [spoken.message_id]:
        judged.find("wrong", f"stored {len(rows)} times: {spoken.line.text}")


def _judge_runs(
    store: sqlite3.Connection, spoken: Spoken, runs: Sequence[sqlite3.Row], judged: Judged
) -> None:
    """One answer, or an end with a reason."""
    text = spoken.line.text
    if not runs:
        judged.find("lost", f"no run: {text}")
        return
    for run in runs:
        if run["state"] not in ENDED:
            judged.find("stuck", f"{run['id']} is {run['state']} in attempt {run['attempt']}: {text}")
        endings = store.execute(
            f"SELECT kind FROM events WHERE run_id = ? AND kind IN ({','.join('?' * len(ENDINGS))})",
            (run["id"], *ENDINGS),
        ).fetchall()
        if run["state"] in ENDED and len(endings) != 1:
            judged.find("wrong", f"{run['id']} ended {len(endings)} times: {text}")
    completed = [run["id"] for run in runs if run["state"] == "completed"]
    answers = store.execute(
        "SELECT m.run_id FROM messages m JOIN runs r ON r.id = m.run_id "
        "WHERE m.role = 'assistant' AND r.message_id = ?",
        (spoken.message_id,),
    ).fetchall()
    if len(completed) > 1 or [row["run_id"] for row in answers] != completed:
        judged.find("doubled", f"{len(completed)} completed runs, {len(answers)} answers: {text}")
    judged.completed += completed
    last = runs[-1]
    judged.states.append(last["state"])
    if completed and last["state"] != "completed":
        judged.find("wrong", f"it went on after its answer, to {last['state']}: {text}")
    if last["state"] in ENDED and last["state"] not in spoken.line.ends:
        judged.find("lost", f"{last['state']} ({last['error']}): {text}")
    if last["state"] == "failed" and not json.loads(last["error"] or "{}").get("message"):
        judged.find("wrong", f"{last['id']} failed without a reason: {text}")


def _judge_log(store: sqlite3.Connection, spoken: Spoken, judged: Judged) -> None:
    rows = store.execute("SELECT seq FROM events WHERE thread_id = ? ORDER BY seq", (spoken.thread_id,))
    if [row["seq"] for row in rows.fetchall()] != list(
        range(1, 1 + _one(store, "SELECT head_seq FROM threads WHERE id = ?", spoken.thread_id))
    ):
        judged.find("wrong", f"{spoken.thread_id}: the log has gaps")


def _judge_effects(
    store: sqlite3.Connection,
    spoken: Spoken,
    runs: Sequence[sqlite3.Row],
    effects: Sequence[Effect],
    kind: str,
    judged: Judged,
) -> None:
    """Each happened as often as the journal and a person say."""
    steps = [
        step
        for run in runs
        for step in store.execute(
            "SELECT * FROM journal_steps WHERE run_id = ? AND kind IN (?, 'model') ORDER BY step",
            (run["id"], kind),
        )
    ]
    for name, nature in spoken.line.effects.items():
        times = [effect.at_ms for effect in effects if effect.name == name]
        own = [step for step in steps if _is_of(step, name)]
        done = [step for step in own if step["outcome"] == "ok"]
        allowed = sum(_repeats_allowed(store, step) for step in own)
        if times and not own:
            judged.find("doubled", f"{name} happened {len(times)} times and is not in the journal")
        if done and not times and not _was_denied(store, runs, name):
            judged.find("lost", f"{name} is in the journal and did not happen")
        for step in done:
            late = [at_ms for at_ms in times if at_ms > step["closed_at"] + ONE_CLOCK_MS]
            if late:
                judged.find("repeated", f"{name} was done, and done again {len(late)} times: {step['key']}")
        if nature == "once" and len(times) > 1 + allowed:
            judged.find(
                "doubled", f"{name} happened {len(times)} times; a person allowed {allowed} repetitions"
            )
        if times and _was_denied(store, runs, name):
            judged.find("doubled", f"{name} happened {len(times)} times; a person denied it")


def _is_of(step: sqlite3.Row, name: str) -> bool:
    """Whether a step is where the effect comes from. A call of a model is known by its key: its request tells all that
    happened before."""
    return name.endswith(f"/{step['key']}") if step["kind"] == "model" else name in step["request"]


def _repeats_allowed(store: sqlite3.Connection, step: sqlite3.Row) -> int:
    """How often a person said that a step of unknown outcome may be done again."""
    return _one(
        store,
        "SELECT count(*) FROM approvals WHERE run_id = ? AND state = 'approved' AND key LIKE ?",
        step["run_id"],
        f"unknown/{step['key']}/%",
    )


def _was_denied(store: sqlite3.Connection, runs: Sequence[sqlite3.Row], name: str) -> bool:
    """Whether somebody was asked about this action, and nobody ever let it happen."""
    states = {
        row["state"]
        for run in runs
        for row in store.execute(
            "SELECT state FROM approvals WHERE run_id = ? AND key NOT LIKE 'unknown/%' AND request LIKE ?",
            (run["id"], f"%{name}%"),
        )
    }
    return "denied" in states and "approved" not in states


def _one(store: sqlite3.Connection, sql: str, *values: object) -> int:
    (number,) = store.execute(sql, values).fetchone()
    assert isinstance(number, int)
    return number
