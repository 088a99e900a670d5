"""Why a verdict is what it is: which rules fit an act, and what keeps the others from it. Pure.

It goes through the same conditions as `policy.decide`, and takes its verdict from there: an explanation that was
worked out beside the decision would one day explain another one.
"""

from dataclasses import dataclass

from gateway.rules.policy import Condition, Policies, Proposed, Rule, Verdict, decide


@dataclass(frozen=True, slots=True)
class Examined:
    """One rule and an act: it fits when there are no `misfits`, which are sentences without their stop."""

    rule: Rule
    misfits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A verdict, and every rule in the order of their names."""

    verdict: Verdict
    rules: tuple[Examined, ...]


def explain(policies: Policies, proposed: Proposed) -> Explanation:
    """Judge one act, and say what every rule had to do with it."""
    rules = tuple(Examined(rule, _misfits(rule, proposed)) for rule in policies.rules)
    return Explanation(decide(policies, proposed), rules)


def _misfits(rule: Rule, proposed: Proposed) -> tuple[str, ...]:
    kinds = rule.settings.kinds()
    misfits = (
        [] if proposed.kind in kinds else [f"it is about {' and '.join(kinds)}, not about {proposed.kind}"]
    )
    for condition in rule.conditions:
        try:
            is_so = condition.fits(proposed)
        except Exception as error:  # noqa: BLE001 - what breaks the decision is explained, too
            misfits.append(f"{condition.key} could not be evaluated: {type(error).__name__}: {error}")
            continue
        if not is_so:
            misfits.append(f"{condition.key} is {_found(condition, proposed)}, not {condition.wanted}")
    return tuple(misfits)


def _found(condition: Condition, proposed: Proposed) -> str:
    match condition.key:
        case "tool":
            return proposed.name or "none"
        case "channel":
            return ":".join(filter(None, (proposed.channel, proposed.account))) or "none"
        case "time":
            return proposed.at.isoformat(timespec="minutes")
        case "tainted":
            return str(proposed.tainted).lower()
    return str(getattr(proposed, condition.key)) or "none"
