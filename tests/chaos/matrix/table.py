"""What the cells of a matrix came to: kind by place, and the outcome, counted and as people read it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from .judgement import Finding
from .stage import Outcome

SHOWN_MAX: Final = 40
"""Findings that are spelled out."""


@dataclass(slots=True)
class Tally:
    """What came of all cells of one kind that were killed last at one place."""

    cells: int = 0
    met: int = 0
    kills: int = 0
    states: Counter[str] = field(default_factory=Counter)
    asked: int = 0
    replayed: int = 0
    findings: int = 0
    sign_s: float = 0.0
    end_s: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """One cell more."""
        self.cells += 1
        self.met += outcome.met
        self.kills += outcome.kills
        self.states.update(outcome.states)
        self.asked += outcome.asked
        self.replayed += outcome.replayed
        self.findings += len(outcome.findings)
        self.sign_s = max(self.sign_s, outcome.sign_s)
        self.end_s = max(self.end_s, outcome.end_s)


@dataclass(slots=True)
class Report:
    """All of a matrix."""

    seed: int = 0
    rows: dict[tuple[str, str], Tally] = field(default_factory=dict)
    findings: list[tuple[str, Finding]] = field(default_factory=list)
    took_s: float = 0.0

    def add(self, kind: str, outcome: Outcome) -> None:
        """One cell more."""
        self.rows.setdefault((kind, outcome.cell.place), Tally()).add(outcome)
        where = f"{kind}, {' then '.join(f'{kill.name}:{kill.count}' for kill in outcome.cell.kills)}"
        self.findings += [(where, finding) for finding in outcome.findings]

    def add_all(self, kind: str, findings: Iterable[Finding]) -> None:
        """What was seen over all cells of a stage."""
        self.findings += [(f"{kind}, all cells", finding) for finding in findings]

    @property
    def is_good(self) -> bool:
        """Whether every promise was kept."""
        return not self.findings

    @property
    def kinds(self) -> list[str]:
        """Those that were played, in order."""
        return list(dict.fromkeys(kind for kind, _ in self.rows))

    def count(self, *names: str) -> int:
        """Findings of these kinds."""
        return sum(finding.kind in names for _, finding in self.findings)

    def unmet(self) -> list[tuple[str, str]]:
        """Places at which no cell was killed."""
        return [key for key, tally in self.rows.items() if not tally.met]

    @property
    def total(self) -> Tally:
        """Everything together."""
        total = Tally()
        for tally in self.rows.values():
            for name in ("cells", "met", "kills", "asked", "replayed", "findings"):
                setattr(total, name, getattr(total, name) + getattr(tally, name))
            total.states.update(tally.states)
            total.sign_s = max(total.sign_s, tally.sign_s)
            total.end_s = max(total.end_s, tally.end_s)
        return total


def table(report: Report) -> str:
    """As Markdown, and below it the sums and what was found."""
    lines = [
        "| kind | killed at | cells | met | kills | completed | failed, with a reason | person asked | violations "
        "| goes on after (s) | ends after (s) |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [_row(kind, place, tally) for (kind, place), tally in sorted(report.rows.items())]
    total = report.total
    lines += [
        _row("all", "", total),
        "",
        f"seed {report.seed}, {report.took_s:.0f} s, {report.took_s / max(1, total.cells):.2f} s per cell, "
        f"{total.replayed} completed runs replayed",
        "  ".join(
            f"{kind} = {report.count(kind)}" for kind in ("lost", "stuck", "repeated", "doubled", "wrong")
        ),
    ]
    lines += [f"  {finding.kind}: {where}: {finding.text}" for where, finding in report.findings[:SHOWN_MAX]]
    if len(report.findings) > SHOWN_MAX:
        lines.append(f"  … and {len(report.findings) - SHOWN_MAX} more")
    return "\n".join(lines)


def _row(kind: str, place: str, tally: Tally) -> str:
    others = tally.states.total() - tally.states["completed"]
    numbers = [
        tally.cells,
        tally.met,
        tally.kills,
        tally.states["completed"],
        others,
        tally.asked,
        tally.findings,
    ]
    seconds = [f"{tally.sign_s:.2f}", f"{tally.end_s:.2f}"]
    return f"| {' | '.join([kind, f'`{place}`' if place else '', *map(str, numbers), *seconds])} |"
