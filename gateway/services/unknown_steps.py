"""Steps whose outcome nobody knows: their process ended in the middle. A person decides, nothing is guessed. Pure."""

from typing import Final

import orjson

from gateway.agents.port import AgentAsk
from storage.run_values import StepRow
from storage.values import Decided

SHOWN_CHARS: Final = 3_000
"""Of a request, in what a person reads: a page."""


def ask_about(row: StepRow) -> AgentAsk:
    """May this be done again? Bound to the step, and good for one time: cut off again, it is asked again."""
    what = f"`{row.name}`" if row.name else row.key
    request = orjson.dumps(orjson.loads(row.request), option=orjson.OPT_INDENT_2).decode()
    shown = request if len(request) <= SHOWN_CHARS else request[:SHOWN_CHARS] + "\n…"
    body = (
        f"The run was cut off while {what} was under way, so nobody knows whether it happened. "
        "Approve to do it **again**; deny to go on without it.\n\n"
        + "".join(f"    {line}\n" for line in shown.splitlines())
    )
    return AgentAsk(
        key=f"unknown/{row.key}/{row.repeats + 1}",
        title=f"Repeat {what}? It may have happened already"[:200],
        body=body,
        subject={"step": row.key, "request_hash": row.request_hash, "time": row.repeats + 1},
    )


def why_skipped(decided: Decided) -> str:
    """What the agent is told instead of a result."""
    who = f"{decided.by} decided" if decided.by else "it was decided"
    reason = f" ({decided.reason})" if decided.reason else ""
    return f"This was cut off and may or may not have happened; {who} not to do it again{reason}."
