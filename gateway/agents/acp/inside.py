"""What happens inside a prompt, as steps of the run's journal: the agent's plans and its own tool calls.

They are its effects and not ours: seen, recorded, shown, and never done again because of it; so they may be
repeated. Their keys begin with `within/` and the number of the try, because the next try is another story.

The policies are asked about each call. A program that asks leave is told; one that does not ask is ended when it does
what it must not, which is too late for that one call: the protocol has no way to hold it.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.agents.acp.bounds import bounded, named, short
from gateway.agents.port import AgentFailure, Journal, Json, Step
from gateway.policy_settings import Risk
from gateway.rules.policy import Verdict
from protocol import limits
from storage.run_values import StepOutcome

PREFIX: Final = "within"
"""Begins the keys; the journal's seal takes such steps as they are recorded."""
SHOWN_CHARS: Final = 16_000
"""Of a call's input and of its result in the journal."""
STEPS_MAX: Final = 2_000
"""Plans and calls of one try: more is an agent that does not come to an end."""
ENDED: Final[dict[str, StepOutcome]] = {"completed": "ok", "failed": "error"}
"""Which outcome the end of a call is; every other status is none."""
_SAID: Final[tuple[str, ...]] = ("title", "kind", "status", "locations", "rawInput", "rawOutput", "content")
"""What updates of a call may say; each replaces what was said before."""


OTHER: Final = "other"
"""The protocol's kind of a tool that says none."""
RISKS: Final[dict[str, Risk]] = {
    "read": "low",
    "search": "low",
    "think": "low",
    "delete": "high",
    "execute": "high",
}
"""By the protocol's kind of a tool (ToolKind in the specification); every other one is medium."""


def kind_of(said: dict[str, Any]) -> str:
    """What policies know a call as: its title is free text, its kind is a word of the protocol."""
    return str(said.get("kind") or OTHER)


@dataclass(slots=True)
class _Call:
    """One call as far as it is known. `key` is there once it is in the journal."""

    said: dict[str, Any] = field(default_factory=dict)
    key: str | None = None
    is_over: bool = False


class Inside:
    """The steps of one try at a prompt. `judge` gives the verdict on a kind of tool; True when the agent asks leave."""

    def __init__(self, journal: Journal, number: int, judge: Callable[[str, bool], Verdict]) -> None:
        self._journal = journal
        self._judge = judge
        self._number = number
        self._calls: dict[str, _Call] = {}
        self._asked: Counter[str] = Counter()
        self._keys: set[str] = set()
        self._plan: Json = None
        self._plans = 0

    async def plan(self, entries: Json) -> None:
        """The agent's plan, when it is another one than before."""
        if entries == self._plan:
            return
        self._plan = entries
        self._plans += 1
        key = self._free(f"{PREFIX}/{self._number}/plan/{self._plans}")
        await self._journal.begin(Step(key, "note", "plan", {}, repeatable=True))
        await self._journal.finish(key, {"entries": bounded(entries, SHOWN_CHARS)})

    async def call(self, update: dict[str, Any]) -> bool:
        """A call begins or goes on; whether it was not known before. `update` is one of the protocol's, as JSON.

        It is journalled when it is at work and not when it is announced: its input may still be coming.
        Raises AgentFailure (`policy_denied`) when it is at work without leave and must not be.
        """
        call_id = str(update["toolCallId"])
        call = self._calls.get(call_id)
        is_new = call is None or (call.is_over and update.get("sessionUpdate") == "tool_call")
        if call is None or is_new:
            call = self._calls[call_id] = _Call()
        if call.is_over:
            return False
        call.said |= {name: update[name] for name in _SAID if update.get(name) is not None}
        status = call.said.get("status")
        if status is not None and status != "pending":
            await self._begin(call_id, call)
        if status in ENDED:
            await self._close(call, ENDED[status])
        return is_new

    async def asked(self, update: dict[str, Any]) -> tuple[dict[str, Any], int, Verdict]:
        """The agent asks leave for a call: all that is known of it, the how many-th time it asks, and what the policies
        say."""
        call_id = str(update["toolCallId"])
        call = self._calls.setdefault(call_id, _Call())
        call.said |= {name: update[name] for name in _SAID if update.get(name) is not None}
        self._asked[call_id] += 1
        verdict = self._judge(kind_of(call.said), True)
        await self._open(call_id, call, verdict)
        shown = {name: call.said[name] for name in _SAID if name in call.said and name != "status"}
        return {"toolCallId": call_id, **shown}, self._asked[call_id], verdict

    async def close(self) -> None:
        """The prompt is over: how calls ended that the agent left open, nobody will find out."""
        for call_id, call in self._calls.items():
            if not call.is_over:
                await self._open(call_id, call, None)
                await self._close(call, "unknown")

    async def _begin(self, call_id: str, call: _Call) -> None:
        """A call is at work. Raises AgentFailure (`policy_denied`) when nobody was asked, and it must not be."""
        if call.key is not None:
            return
        kind = kind_of(call.said)
        verdict = self._judge(kind, False)
        await self._open(call_id, call, verdict)
        if verdict.effect != "allow":
            await self._close(call, "unknown")
            what = "must not be used here" if verdict.effect == "deny" else "may not be used without asking"
            reason = f": {verdict.reason}" if verdict.reason else ""
            raise AgentFailure("policy_denied", f"It used a tool ({kind}) that {what}{reason}")

    async def _open(self, call_id: str, call: _Call, verdict: Verdict | None) -> None:
        if call.key is not None:
            return
        said = call.said
        name = short(str(said.get("title") or said.get("kind") or "tool"), limits.NAME_CHARS)
        request = {
            "title": short(str(said.get("title", "")), limits.TITLE_CHARS),
            "kind": said.get("kind"),
            "locations": bounded(said.get("locations"), SHOWN_CHARS),
            "input": bounded(said.get("rawInput"), SHOWN_CHARS),
        }
        call.key = self._free(f"{PREFIX}/{self._number}/tool/{named(call_id)}")
        await self._journal.begin(Step(call.key, "tool", name, request, repeatable=True, verdict=verdict))

    async def _close(self, call: _Call, outcome: StepOutcome) -> None:
        assert call.key is not None
        said, call.said, call.is_over = call.said, {}, True
        result = {
            "status": said.get("status"),
            "content": bounded(said.get("content"), SHOWN_CHARS),
            "output": bounded(said.get("rawOutput"), SHOWN_CHARS),
        }
        await self._journal.finish(call.key, result, outcome=outcome)

    def _free(self, key: str) -> str:
        """A key that this try has not used: an agent may use the id of a call again."""
        if len(self._keys) >= STEPS_MAX:
            raise AgentFailure(
                "too_many_steps", f"It made more than {STEPS_MAX} plans and tool calls in one run."
            )
        number, free = 1, key
        while free in self._keys:
            number += 1
            free = f"{key}/{number}"
        self._keys.add(free)
        return free
