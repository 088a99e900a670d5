"""Policies: what may be done without asking, what a person must allow, what never. One pure function decides.

`decide` judges a `Proposed` act against the rules of the configuration (`gateway/policy_settings.py`), which are made
ready once (`compiled`). It knows no store, no loop and no clock: time comes with the proposal. It always returns:
whatever cannot be evaluated denies. Everything that guards an act calls this one function, so that an engine may take
its place later. Who asks: `services/guard.py`; why a verdict is what it is: `policy_explanation.py`.

1. A rule that denies wins, wherever it stands.
2. What the gateway does not know is denied, unless a rule allows it by its whole name, without `*`.
3. A rule that wants a person asked comes next; of several the strictest terms hold (`strictest`).
4. What the agent's own settings want asked is asked, unless a rule allows it by its whole name.
5. A rule that allows.
6. The default: a device's command of high risk is denied, all else is allowed.

So adding a rule never makes a verdict laxer unless it allows; but for one thing: a rule that wants a person asked
about commands of high risk lets them be asked, where the default would deny.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Final, TypeAlias

from gateway.policy_settings import (
    KEYS_OF_KIND,
    ApprovalTerms,
    Effect,
    PolicySettings,
    ProposedKind,
    Risk,
)
from gateway.rules.names import Fits, fits_any
from gateway.time_windows import TimeWindow, parse_window
from protocol.canonical import digest

NOT_KNOWN: Final = "It is not known here, and no policy allows it by its name."
HIGH_RISK: Final = "It is a command of high risk, and no policy says who may allow it."
NOT_JUDGED: Final = "The policies could not be evaluated, so it is denied."
"""Reasons of verdicts that no rule determined."""
REMEMBERED: Final = 4_096
"""Names whose rules are remembered: agents have a few hundred tools, and may make up any number."""
REMEMBERED_CHARS: Final = 256
"""Longer names are looked for each time."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """An act that somebody or something wants to do.

    `name` is the tool, `DEVICE_NAME.COMMAND` of a device, the room of a message, the kind of a pairing, the version of
    a release. `person` is the id of whoever asked for it, as an actor. `is_known`: the gateway knows what it is
    (a tool that the configuration gives the agent, a command that the device declared).
    `asks_anyway`: the agent's own settings want a person asked. `tainted`: the agent has read what no person here
    wrote. `at` has a zone.
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
    tainted: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the policies say. `rule` is the name of the one that determined it, empty for a default.

    `terms` say who decides, when the effect is require_approval; without a rule they are the ordinary ones. `warnings`
    are reasons of rules that only warn, `warned_by` their names. `version` tells which policies these were. `broken`
    says, for the log, what could not be evaluated.
    """

    effect: Effect
    reason: str
    rule: str = ""
    terms: ApprovalTerms | None = None
    warnings: tuple[str, ...] = ()
    warned_by: tuple[str, ...] = ()
    version: str = ""
    broken: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """One key of a rule: what it wants, and whether an act is so."""

    key: str
    wanted: str
    fits: Callable[[Proposed], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """A `[[policies]]` table, ready for use. `exact` are the names that it gives in full, `names` all it is about."""

    settings: PolicySettings
    name: str
    effect: Effect
    conditions: tuple[Condition, ...]
    exact: frozenset[str]
    names: Fits | None = None

    def fits(self, proposed: Proposed) -> bool:
        """Whether it says something about this act, which is of one of its kinds."""
        for condition in self.conditions:  # noqa: SIM110 - all() would take three times as long
            if not condition.fits(proposed):
                return False
        return True


@dataclass(frozen=True, slots=True)
class Policies:
    """The rules in force, by their names' order: that of the file means nothing. `version` is their digest."""

    rules: tuple[Rule, ...]
    version: str
    by_kind: dict[ProposedKind, tuple[Rule, ...]] = field(repr=False)
    _by_name: dict[tuple[ProposedKind, str], tuple[Rule, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def about(self, proposed: Proposed) -> tuple[Rule, ...]:
        """The rules that may fit, by kind and name; what was found once is remembered, since names come again."""
        key = (proposed.kind, proposed.name)
        known = self._by_name.get(key)
        if known is not None:
            return known
        rules = self.by_kind[proposed.kind]
        known = tuple(rule for rule in rules if rule.names is None or rule.names(proposed.name))
        if len(self._by_name) >= REMEMBERED:
            self._by_name.clear()
        if len(proposed.name) <= REMEMBERED_CHARS:
            self._by_name[key] = known
        return known


def compiled(settings: Iterable[PolicySettings]) -> Policies:
    """Rules made ready. Their names differ and their times can be read: settings are validated."""
    ordered = sorted(settings, key=attrgetter("name"))
    rules = tuple(_rule(one) for one in ordered)
    # Keys that are not given are left out: one that later versions add changes no digest.
    version = digest([one.model_dump(mode="json", exclude_defaults=True) for one in ordered])
    by_kind = {kind: tuple(rule for rule in rules if kind in rule.settings.kinds()) for kind in KEYS_OF_KIND}
    return Policies(rules, version, by_kind)


def decide(policies: Policies, proposed: Proposed) -> Verdict:
    """Judge one act: deny beats require_approval beats allow, whatever their order; what no rule fits has a default."""
    try:
        fitting = [rule for rule in policies.about(proposed) if rule.fits(proposed)]
        return _verdict(fitting, proposed, policies.version)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong here must deny, and be told to nobody but the log
        return Verdict(
            "deny", NOT_JUDGED, version=policies.version, broken=f"{type(error).__name__}: {error}"
        )


def _verdict(fitting: Sequence[Rule], proposed: Proposed, version: str) -> Verdict:
    warning = [rule for rule in fitting if rule.effect == "warn"]
    warnings = tuple(rule.settings.reason or f"The policy {rule.name!r} warns." for rule in warning)
    effect, reason, rule, terms = _determined(fitting, proposed)
    named = rule.name if rule is not None else ""
    return Verdict(effect, reason, named, terms, warnings, tuple(rule.name for rule in warning), version)


_Determined: TypeAlias = tuple[Effect, str, Rule | None, ApprovalTerms | None]


def _determined(fitting: Sequence[Rule], proposed: Proposed) -> _Determined:
    """The order of the module's heading."""
    denying = [rule for rule in fitting if rule.effect == "deny"]
    if denying:
        return "deny", denying[0].settings.reason or _says(denying[0], "forbids it"), denying[0], None
    allowing = [rule for rule in fitting if rule.effect == "allow"]
    naming = [rule for rule in allowing if proposed.name in rule.exact]
    if not proposed.is_known and not naming:
        return "deny", NOT_KNOWN, None, None
    asking = [rule for rule in fitting if rule.effect == "require_approval"]
    if asking:
        leading, terms = strictest(asking)
        return (
            "require_approval",
            leading.settings.reason or _says(leading, "wants a person to decide"),
            leading,
            terms,
        )
    if proposed.asks_anyway and not naming:
        return "require_approval", "", None, None
    if allowing:
        rule = (naming or allowing)[0]
        return "allow", rule.settings.reason, rule, None
    if proposed.kind == "device" and proposed.risk == "high":
        return "deny", HIGH_RISK, None, None
    return "allow", "", None, None


def _says(rule: Rule, what: str) -> str:
    return f"The policy {rule.name!r} {what}."


def strictest(asking: Sequence[Rule]) -> tuple[Rule, ApprovalTerms]:
    """The rule that leads, and terms that satisfy every one of these. At least one.

    The largest quorum, the fewest denials, the shortest time, separation if one wants it, grants if all allow them.
    Lists of people cannot be joined without letting in more of them: who decides, and to whom it escalates, comes from
    one rule, the one with the largest quorum of those that name people; of equals, the first by name. It is asked in
    all their rooms.
    """
    all_terms = [rule.settings.approval for rule in asking]
    if len(asking) == 1:
        return asking[0], all_terms[0]
    leading = max(
        asking, key=lambda rule: (bool(rule.settings.approval.approvers), rule.settings.approval.quorum)
    )
    terms = leading.settings.approval
    combined = terms.model_copy(
        update={
            "quorum": max(one.quorum for one in all_terms),
            "denials": min(one.denials for one in all_terms),
            "separation": any(one.separation for one in all_terms),
            "grants": all(one.grants for one in all_terms),
            "expires_s": _shortest(one.expires_s for one in all_terms),
            "remind_s": _shortest(one.remind_s for one in all_terms),
            "rooms": tuple(dict.fromkeys(room for one in all_terms for room in one.rooms)),
        }
    )
    return leading, combined


def _shortest(given: Iterable[float | None]) -> float | None:
    return min((one for one in given if one is not None), default=None)


# --- making rules ready ----------------------------------------------------------------------------


def _rule(settings: PolicySettings) -> Rule:
    exact = frozenset(pattern for pattern in settings.tool if "*" not in pattern)
    names = fits_any(settings.tool) if settings.tool else None
    return Rule(settings, settings.name, settings.effect, tuple(_conditions(settings)), exact, names)


def _conditions(settings: PolicySettings) -> Iterable[Condition]:
    """What must be so, the cheapest first."""
    if settings.risk:
        yield Condition("risk", ", ".join(settings.risk), _is_one_of(frozenset(settings.risk)))
    if settings.tainted is not None:
        yield Condition("tainted", str(settings.tainted).lower(), _is_tainted(settings.tainted))
    for key, patterns, read in (
        ("tool", settings.tool, attrgetter("name")),
        ("agent", settings.agent, attrgetter("agent")),
        ("room", settings.room, attrgetter("room")),
        ("person", settings.person, attrgetter("person")),
    ):
        if patterns:
            yield Condition(key, ", ".join(patterns), _reading(read, fits_any(patterns)))
    if settings.channel:
        yield Condition("channel", ", ".join(settings.channel), _in_channel(settings.channel))
    if settings.time:
        yield Condition("time", settings.time, _within(parse_window(settings.time)))


def _is_one_of(risks: frozenset[str]) -> Callable[[Proposed], bool]:
    return lambda proposed: proposed.risk in risks


def _is_tainted(wanted: bool) -> Callable[[Proposed], bool]:
    return lambda proposed: proposed.tainted is wanted


def _reading(read: Callable[[Proposed], str], fits: Fits) -> Callable[[Proposed], bool]:
    return lambda proposed: fits(read(proposed))


def _in_channel(patterns: Sequence[str]) -> Callable[[Proposed], bool]:
    """`slack` is all of a network, `slack:ACCOUNT` one account of it."""
    networks = fits_any(pattern for pattern in patterns if ":" not in pattern)
    accounts = fits_any(pattern for pattern in patterns if ":" in pattern)

    def fits(proposed: Proposed) -> bool:
        if networks(proposed.channel):
            return True
        return bool(proposed.account) and accounts(f"{proposed.channel}:{proposed.account}")

    return fits


def _within(window: TimeWindow) -> Callable[[Proposed], bool]:
    return lambda proposed: window.holds(proposed.at)
