"""The tool port: what a tool is, what it is called with, and how it says that it could not.

How a tool is used (checked, journalled, bounded) is in `use.py`; nobody calls one directly.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from gateway.agents.port import Found, Json, RunContext
from gateway.policy_settings import Risk
from storage.values import DEFAULT_ORG

Schema: TypeAlias = Mapping[str, Any]
"""A JSON Schema (draft 2020-12) of an object."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may know of the run that uses it. `search` is that of the run, `call_id` names the call within it."""

    run_id: str
    thread_id: str
    now_ms: Callable[[], int]
    search: Callable[[str, int], Awaitable[list[Found]]]
    org_id: str = DEFAULT_ORG
    call_id: str = ""

    @classmethod
    def of(cls, run: RunContext, call_id: str) -> "ToolContext":
        """The part of a run's context that is for its tools."""
        return cls(run.run_id, run.thread_id, run.now_ms, run.search, run.org_id, call_id)


class Tool(Protocol):
    """Something that an agent can have done."""

    @property
    def name(self) -> str:
        """What the agent calls it: `clock`, or `SERVER.TOOL`."""
        ...

    @property
    def description(self) -> str:
        """What it does and when to use it, for the agent."""
        ...

    @property
    def parameters(self) -> Schema:
        """What it can be called with."""
        ...

    @property
    def is_repeatable(self) -> bool:
        """Whether doing it twice does no harm."""
        ...

    @property
    def requires_approval(self) -> bool:
        """Whether a person decides about every call."""
        ...

    @property
    def kind(self) -> Literal["tool", "device"]:
        """What policies know it as: a tool, or the command of a device."""
        ...

    @property
    def risk(self) -> Risk:
        """How risky it is said to be."""
        ...

    async def call(self, arguments: dict[str, Json], context: ToolContext) -> Json:
        """Do it, with arguments that fit `parameters`. May be cancelled at any await.

        Raises StepFailed with a text for the agent, OutcomeUnknown when it may have been done all the same.
        """
        ...


class ToolSource(Protocol):
    """Somebody who offers tools that are known only while the gateway runs."""

    @property
    def name(self) -> str:
        """Of the configuration; its tools are called `NAME.TOOL`."""
        ...

    def start(self) -> None:
        """Begin to connect; waits for nothing."""
        ...

    async def stop(self) -> None:
        """End whatever was started. Idempotent."""
        ...

    async def offered(self) -> list[Json]:
        """A record of each tool it has now, for the journal. Raises StepFailed that says why nobody knows."""
        ...

    def recorded(self, record: Mapping[str, Any]) -> Tool:
        """The tool of such a record."""
        ...
