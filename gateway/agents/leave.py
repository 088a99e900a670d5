"""Leave of a person for what an agent wants to do: how it is asked under a verdict, what a decision is good for. Pure.

What is asked about is made by whoever executes it: a tool (`tools/use.py`), a worker's step, a program's call.

A decision is bound to the exact action (`AgentAsk.subject_hash`) and, by the start of its key, to the terms under which
it was made: approval under others is none under these, since one person may have sufficed. A denial stands under all.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from gateway.agents.port import AgentAsk, Json
from gateway.policy_settings import ApprovalTerms
from gateway.rules.policy import Verdict
from gateway.rules.visible import fenced as visible_block
from gateway.rules.visible import pretty
from protocol.canonical import canonical, digest
from protocol.limits import KIB, TEXT_CHARS
from storage.values import Decided

SHOWN_CHARS: Final = TEXT_CHARS - KIB
"""Of what a person decides about, as it is shown: the rest of a text is for the words around it."""
TERMS_CHARS: Final = 12
"""Of the digest of terms, in the key of a question: 48 bits tell the few of one run apart."""


def asked_under(ask: AgentAsk, verdict: Verdict) -> AgentAsk:
    """The question with the terms of the verdict that wants it asked."""
    return replace(
        ask,
        key=_prefix(verdict.terms) + ask.key,
        terms=verdict.terms,
        rule=verdict.rule,
        policy_version=verdict.version,
    )


def decision_on(ask: AgentAsk, decisions: Sequence[Decided]) -> Decided | None:
    """The newest decision about exactly this action, under whatever terms; None while there is none."""
    key = _plain(ask.key)
    found = [one for one in decisions if _plain(one.key) == key and one.subject_hash == ask.subject_hash]
    return found[-1] if found else None


def is_settled(ask: AgentAsk, decided: Decided | None) -> bool:
    """Whether nobody has to be asked: it was denied, or approved under these terms."""
    return decided is not None and (not decided.approved or decided.key == ask.key)


def denial(what: str, decided: Decided) -> str:
    """What the agent is told of a person who did not approve `what` (`The call`)."""
    because = f": {decided.reason}" if decided.reason else ""
    if decided.wants_changes:
        return f"{what} was not made: {decided.by} wants it to be different{because}."
    return f"{what} was not approved by {decided.by}{because}."


def fenced(value: Json) -> str:
    """A JSON value as a fenced block out of which nothing in it can break, and in which nothing hides."""
    text = pretty(value)
    return visible_block(text if len(text) <= TEXT_CHARS // 2 else canonical(value), "json")


def _plain(key: str) -> str:
    """The key without the terms; no other key begins with that character."""
    return key.partition("/")[2] if key.startswith("@") else key


def _prefix(terms: ApprovalTerms | None) -> str:
    """What tells questions under different terms apart: who decides, not by when."""
    if terms is None:
        return ""
    who = [terms.approvers, terms.quorum, terms.denials, terms.separation, terms.escalate_to]
    return f"@{digest(who)[:TERMS_CHARS]}/"
