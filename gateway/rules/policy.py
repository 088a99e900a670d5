"""Policies: what may be done without asking, what a person must allow, what never. One pure function decides.

`decide` judges a `Proposed` act against the rules of the configuration (`gateway/policy_settings.py`). It knows no
store, no loop and no clock: time comes with the proposal. Whatever cannot be evaluated denies. Everything that guards
an act calls this one function, so that an engine may take its place later. Who asks: `services/guard.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from gateway.policy_settings import ApprovalTerms, PolicySettings

ProposedKind: TypeAlias = Literal["tool", "device", "message", "pairing", "release"]
Risk: TypeAlias = Literal["low", "medium", "high"]
Effect: TypeAlias = Literal["allow", "warn", "require_approval", "deny"]


@dataclass(frozen=True, slots=True)
class Proposed:
    """An act that somebody or something wants to do.

    `name` is the tool, `DEVICE_NAME.COMMAND` of a device, the room of a message, the kind of a pairing, the version of
    a release. `person` is the id of whoever asked for it, as an actor. `is_known`: the gateway knows what it is
    (a tool that the configuration gives the agent, a command that the device declared).
    `asks_anyway`: the agent's own settings want a person asked.
    """

    kind: ProposedKind
    name: str
    at: datetime
    agent: str = ""
    channel: str = ""
    account: str = ""
    room: str = ""
    person: str = ""
    risk: Risk = "medium"
    is_known: bool = True
    asks_anyway: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the policies say. `rule` is the name of the one that determined it, empty for a default.

    `terms` say who decides, when the effect is require_approval. `warnings` are reasons of rules that only warn.
    """

    effect: Effect
    reason: str
    rule: str = ""
    terms: ApprovalTerms | None = None
    warnings: tuple[str, ...] = ()


def decide(policies: Sequence[PolicySettings], proposed: Proposed) -> Verdict:
    """Judge one act: deny beats require_approval beats allow, whatever their order; what no rule fits has a default."""
    raise NotImplementedError
