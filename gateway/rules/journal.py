"""What a completed run is sealed with: one hash over its input, its steps, its decisions and its answer. Pure.

An attempt visits its steps in the order in which it comes to them, and steps that run beside one another have no
order; so they are sealed by their keys. A step that belongs to the inside of a prompt (what somebody else's agent
did and told us) has a key that begins with `within/`: it cannot be executed again, and is sealed as it is recorded.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from protocol.canonical import digest
from storage.run_values import Answered, StepRow
from storage.values import Decided

VERSION: Final = 1
"""Of this way to make the hash; a part of what is hashed."""
INSIDE: Final = "within/"
"""Begins the key of a step inside a prompt."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A step that an attempt came to: what it asked for, and what was recorded of it."""

    key: str
    kind: str
    name: str
    request_hash: str
    outcome: str
    result_hash: str


def visit_of(row: StepRow, result: Any) -> Visit:
    """A recorded step as an attempt finds it; `result` is its decoded result."""
    return Visit(row.key, row.kind, row.name, row.request_hash, row.outcome or "unknown", digest(result))


def seal(
    text: str,
    visits: Iterable[Visit],
    decisions: Sequence[Decided],
    answers: Sequence[Answered],
    said: str,
    files: Sequence[str] = (),
) -> str:
    """The hash, as hexadecimal SHA-256. `text` is the input, `said` the answer, `files` the SHA-256 of its files."""
    steps = sorted(
        [step.key, step.kind, step.name, step.request_hash, step.outcome, step.result_hash] for step in visits
    )
    return digest(
        {
            "version": VERSION,
            "input": text,
            "steps": steps,
            "decisions": [[one.key, one.subject_hash, one.approved, one.reason, one.by] for one in decisions],
            "answers": [[one.key, one.text, one.by] for one in answers],
            "said": said,
            "files": sorted(files),
        }
    )


def differences(recorded: Mapping[str, Visit], again: Mapping[str, Visit]) -> list[str]:
    """Where an execution that was made again left the recorded one, in words, by step."""
    found = []
    for key in sorted(recorded.keys() | again.keys()):
        before, after = recorded.get(key), again.get(key)
        if before is None:
            found.append(f"{key}: it came to this step, which is not recorded")
        elif after is None:
            found.append(f"{key}: it did not come to this step any more")
        elif before != after:
            what = [
                name
                for name in ("kind", "name", "request_hash")
                if getattr(before, name) != getattr(after, name)
            ]
            found.append(f"{key}: another {', '.join(what).replace('request_hash', 'request') or 'result'}")
    return found
