"""Which tools an agent has, by its settings: built-in ones and those of its MCP servers."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.agent_settings import ToolSettings
from gateway.agents.parts import AgentParts
from gateway.agents.port import AgentFailure, Journal, Json, StepFailed
from gateway.agents.tools.calculator import Calculator
from gateway.agents.tools.clock import Clock
from gateway.agents.tools.http_fetch import HttpFetch
from gateway.agents.tools.port import Schema, Tool, ToolContext
from gateway.agents.tools.thread_search import ThreadSearch
from protocol.scopes import Scope

_ANYTHING: Final[Schema] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class Toolset(Mapping[str, Tool]):
    """The tools an agent has in one attempt, by name. `missing`: servers whose tools are not known, and why."""

    known: Mapping[str, Tool]
    missing: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Tool:
        return self.known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.known)

    def __len__(self) -> int:
        return len(self.known)

    def named(self, name: str) -> Tool:
        """The tool of that name; for a name that nobody has, one whose every call fails and says why."""
        if name in self.known:
            return self.known[name]
        for server, reason in self.missing.items():
            if name.startswith(f"{server}."):
                return AbsentTool(name, f"The tools of {server} cannot be reached: {reason}")
        return AbsentTool(
            name, f"There is no tool {name!r}. There are: {', '.join(sorted(self.known)) or 'none'}."
        )


class AbsentTool:
    """`gateway.agents.tools.port.Tool` for a name behind which there is none."""

    description: Final = ""
    parameters: Final = _ANYTHING
    is_repeatable: Final = True
    requires_approval: Final = False

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self._reason = reason

    async def call(self, arguments: dict[str, Json], context: ToolContext) -> Json:
        raise StepFailed(self._reason)


class Toolbox:
    """The tools of one agent, and what they need to live: `start` before the first run, `stop` after the last."""

    def __init__(self, built_in: Mapping[str, Tool]) -> None:
        self._built_in = built_in

    @classmethod
    def of(cls, settings: ToolSettings, parts: AgentParts) -> "Toolbox":
        """What the settings say. Raises AgentFailure (`bad_configuration`, `missing_secret`) when that cannot be."""
        wrong = set(settings.requires_approval) - set(settings.tools)
        if wrong:
            raise _refusal(settings, f"requires_approval names {_listed(wrong)}, which is not in tools")
        return cls({name: _built_in(name, settings) for name in settings.tools})

    async def start(self) -> None:
        """Get ready; waits for nothing outside the process."""

    async def stop(self) -> None:
        """End whatever was started. Idempotent."""

    async def tools(self, journal: Journal | None = None) -> Toolset:
        """The tools there are now. With the journal of a run, the same ones in each of its attempts."""
        return Toolset(dict(self._built_in))


def _fetch(settings: ToolSettings, requires_approval: bool) -> Tool:
    return HttpFetch(settings.fetch, requires_approval)


def _search(settings: ToolSettings, requires_approval: bool) -> Tool:
    if Scope.THREAD_READ not in settings.scopes:
        raise _refusal(settings, "the tool thread_search needs the scope thread.read in scopes")
    return ThreadSearch(requires_approval)


_BUILT_IN: Final[Mapping[str, Callable[[ToolSettings, bool], Tool]]] = {
    "calculator": lambda settings, requires_approval: Calculator(requires_approval),
    "clock": lambda settings, requires_approval: Clock(requires_approval),
    "http_fetch": _fetch,
    "thread_search": _search,
}


def _built_in(name: str, settings: ToolSettings) -> Tool:
    make = _BUILT_IN.get(name)
    if make is None:
        raise _refusal(settings, f"there is no built-in tool {name!r}; there are {_listed(_BUILT_IN)}")
    return make(settings, name in settings.requires_approval)


def _refusal(settings: ToolSettings, problem: str) -> AgentFailure:
    return AgentFailure("bad_configuration", f"Agent {settings.id}: {problem}")


def _listed(names: "set[str] | Mapping[str, object]") -> str:
    return ", ".join(sorted(names))
