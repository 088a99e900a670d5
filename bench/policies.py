"""How long a verdict of the policies takes: rules of which few fit, and rules that all fit. One process, no gateway."""

import time
from datetime import UTC, datetime
from typing import Any, Final

from gateway.policy_settings import PolicySettings
from gateway.rules.policy import Policies, Proposed, compiled, decide

TIMES: Final = 2_000
ROUNDS: Final = 20
"""The fastest round counts: others had a neighbour."""
ACT: Final = Proposed(
    "tool",
    "github.create_issue",
    datetime(2026, 11, 18, 12, tzinfo=UTC),
    agent="ops",
    channel="slack",
    account="acme",
    room="C1",
    person="slack:U1",
)


def _mixed(number: int) -> PolicySettings:
    """As people write them: names, stars, an agent, sometimes a time."""
    return PolicySettings(
        name=f"rule {number}",
        effect=("deny", "allow", "require_approval", "warn")[number % 4],  # type: ignore[arg-type]
        tool=(f"github.x{number}", f"gitlab.*.y{number}"),
        agent=("o*",),
        time="mon-fri 09:00-17:00 Europe/Berlin" if number % 5 == 0 else "",
    )


def _fitting(number: int) -> PolicySettings:
    """The worst: all of it is looked at, and all terms are combined."""
    return PolicySettings(
        name=f"rule {number}", effect="require_approval", tool=("github.*",), agent=("o*",), risk=("medium",)
    )


def _verdict_us(policies: Policies) -> float:
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(TIMES):
            decide(policies, ACT)
        rounds.append((time.perf_counter() - began) / TIMES * 1e6)
    return round(min(rounds), 1)


async def run() -> dict[str, Any]:
    """Microseconds for one verdict."""
    return {
        "policy_verdict_us": {
            "no_rules": _verdict_us(compiled(())),
            "50_rules": _verdict_us(compiled(map(_mixed, range(50)))),
            "200_rules": _verdict_us(compiled(map(_mixed, range(200)))),
            "50_rules_that_all_fit": _verdict_us(compiled(map(_fitting, range(50)))),
        }
    }
