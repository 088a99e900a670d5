"""`threadgate policy`: what the policies of a configuration are, and what they say of an act. No gateway is needed."""

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, NoReturn

import typer

from gateway.agent_settings import AgentSettings
from gateway.cli.failures import EXIT_UNUSABLE, explained, fail
from gateway.cli.groups import listing_group
from gateway.cli.options import Config, Json, settings_of
from gateway.cli.printing import clean, print_fields, print_json, print_table
from gateway.policy_settings import ApprovalTerms, PolicySettings
from gateway.rules.configured_tools import asks_anyway, is_known
from gateway.rules.policy import Proposed, compiled
from gateway.rules.policy_explanation import Examined, Explanation, explain
from gateway.settings import Settings

EXIT_OF: Final = {"allow": 0, "deny": 1, "require_approval": 3}
"""2 is left to what cannot be tried, as everywhere."""

app = listing_group("What may be done without asking, what a person must allow, what never: list, explain.")


class Kind(StrEnum):
    """Kinds of acts."""

    TOOL = "tool"
    DEVICE = "device"
    MESSAGE = "message"
    PAIRING = "pairing"
    RELEASE = "release"


class Risk(StrEnum):
    """How risky a tool is said to be."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@app.command(name="list")
@explained
def list_policies(config: Config = None, json: Json = False) -> None:
    """All policies of the configuration, in the order in which they are looked at: that of their names."""
    policies = compiled(settings_of(config, None).policies)
    if json:
        rules = [rule.settings.model_dump(mode="json", exclude_defaults=True) for rule in policies.rules]
        print_json({"version": policies.version, "policies": rules})
        return
    rows = [(rule.name, rule.effect, _about(rule.settings)) for rule in policies.rules]
    print_table(("NAME", "EFFECT", "ABOUT"), rows, "There are no policies: the defaults hold.")


@app.command(name="explain")
@explained
def explain_act(
    name: Annotated[
        str, typer.Option(help="The tool, DEVICE.COMMAND, the room of a message, the version of a release.")
    ] = "",
    kind: Annotated[Kind, typer.Option(help="What is wanted.")] = Kind.TOOL,
    agent: Annotated[str, typer.Option(help="Which agent wants it, by its id.", show_default="none")] = "",
    channel: Annotated[
        str, typer.Option(help="Where: NETWORK or NETWORK:ACCOUNT, client for clients.")
    ] = "client",
    room: Annotated[str, typer.Option(help="In which room, by its id.", show_default="none")] = "",
    person: Annotated[
        str, typer.Option(help="Who asked for it: NETWORK:ID, or the id of a user.", show_default="nobody")
    ] = "",
    risk: Annotated[Risk, typer.Option(help="How risky it is said to be.")] = Risk.MEDIUM,
    at: Annotated[
        str,
        typer.Option(help="When, such as 2026-11-21T09:00+01:00; UTC without a zone.", show_default="now"),
    ] = "",
    tainted: Annotated[
        bool, typer.Option("--tainted", help="The agent has read what no person here wrote.")
    ] = False,
    unknown: Annotated[
        bool,
        typer.Option("--unknown", help="The gateway does not know it, whatever the agent's settings say."),
    ] = False,
    asks: Annotated[
        bool, typer.Option("--asks", help="The agent's settings want a person asked, whatever they say.")
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Say what the policies make of an act, and why.

    Exit code: 0 it is allowed, 1 denied, 2 this could not be tried, 3 a person has to approve.
    """
    settings = settings_of(config, None)
    network, _, account = channel.partition(":")
    found = _agent(settings, agent)
    tools_of = found if kind is Kind.TOOL else None
    proposed = Proposed(
        kind=kind.value,
        name=name,
        at=_instant(at),
        agent=agent,
        channel=network,
        account=account,
        room=room,
        person=person,
        risk=risk.value,
        is_known=not unknown and (tools_of is None or is_known(tools_of, name)),
        asks_anyway=asks or (tools_of is not None and asks_anyway(tools_of, name)),
        tainted=tainted,
    )
    explanation = explain(compiled(settings.policies), proposed)
    if json:
        print_json(_document(explanation, proposed))
    else:
        _print(explanation, proposed)
    raise typer.Exit(EXIT_OF[explanation.verdict.effect])


def _agent(settings: Settings, agent_id: str) -> AgentSettings | None:
    """The agent of that id, None for none. Fails for one that is not configured."""
    if not agent_id:
        return None
    known = {agent.id: agent for agent in settings.agents}
    if agent_id not in known:
        _unusable(f"There is no agent {agent_id!r}: there are {', '.join(known)}")
    return known[agent_id]


def _instant(text: str) -> datetime:
    if not text:
        return datetime.now(UTC)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        _unusable(f"{text!r} is no time: write it like 2026-11-21T09:00+01:00")
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _unusable(what: str) -> NoReturn:
    fail(what, code=EXIT_UNUSABLE)


# --- showing ---------------------------------------------------------------------------------------


def _print(explanation: Explanation, proposed: Proposed) -> None:
    verdict = explanation.verdict
    known = "" if proposed.is_known else "no"
    print_fields(
        [
            ("verdict", verdict.effect),
            ("by", f"the policy {verdict.rule!r}" if verdict.rule else _default(proposed)),
            ("reason", verdict.reason),
            ("asked", _who(verdict.terms) if verdict.effect == "require_approval" else ""),
            ("warnings", " ".join(verdict.warnings)),
            ("is known", known),
            ("policies", verdict.version),
        ]
    )
    for examined in explanation.rules:
        print(clean(_sentence(examined)))


def _default(proposed: Proposed) -> str:
    return "the agent's own settings" if proposed.asks_anyway and proposed.is_known else "the default"


def _sentence(examined: Examined) -> str:
    name = f"The policy {examined.rule.name!r} ({examined.rule.effect})"
    if not examined.misfits:
        return f"{name} fits."
    return f"{name} does not fit: {'; '.join(examined.misfits)}."


def _who(terms: ApprovalTerms | None) -> str:
    if terms is None:
        return "whoever decides in that room"
    who = ", ".join(terms.approvers) or "whoever decides in that room"
    return f"{who}; {terms.quorum} must approve" if terms.quorum > 1 else who


def _about(policy: PolicySettings) -> str:
    """What a rule is about, in one line."""
    return "; ".join(_keys(policy)) or "everything"


def _keys(policy: PolicySettings) -> Iterator[str]:
    if policy.kind:
        yield f"kind {', '.join(policy.kind)}"
    for key in sorted(policy.asked_keys()):
        value = getattr(policy, key)
        said = ", ".join(value) if isinstance(value, tuple) else str(value)
        yield f"{key} {said.lower() if isinstance(value, bool) else said}"


def _document(explanation: Explanation, proposed: Proposed) -> dict[str, Any]:
    """The explanation for programs."""
    verdict = explanation.verdict
    return {
        "effect": verdict.effect,
        "rule": verdict.rule,
        "reason": verdict.reason,
        "terms": verdict.terms.model_dump(mode="json") if verdict.terms is not None else None,
        "warnings": verdict.warnings,
        "version": verdict.version,
        "is_known": proposed.is_known,
        "asks_anyway": proposed.asks_anyway,
        "rules": [
            {
                "name": one.rule.name,
                "effect": one.rule.effect,
                "fits": not one.misfits,
                "misfits": one.misfits,
            }
            for one in explanation.rules
        ],
    }
