"""Which tools an agent has, by its settings: built-in ones, those of its MCP servers, and commands of devices."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

from gateway.agent_settings import McpSettings, ToolSettings
from gateway.agents.parts import AgentParts
from gateway.agents.port import AgentFailure, Journal, Json, Step, StepFailed, perform
from gateway.agents.tools.absent import AbsentTool
from gateway.agents.tools.calculator import Calculator
from gateway.agents.tools.clock import Clock
from gateway.agents.tools.device_tools import DEVICE, DeviceTools
from gateway.agents.tools.http_fetch import HttpFetch
from gateway.agents.tools.port import Tool, ToolSource
from gateway.agents.tools.thread_search import ThreadSearch
from storage.values import DEFAULT_ORG

_MCP: Final = "gateway.agents.tools.mcp_tools"
"""Imported when an agent has MCP servers, and not before: the package behind it takes a second."""


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
                return AbsentTool(name, reason)
        return AbsentTool(
            name, f"There is no tool {name!r}. There are: {', '.join(sorted(self.known)) or 'none'}."
        )


class Toolbox:
    """The tools of one agent, and what they need to live: `start` before the first run, `stop` after the last."""

    def __init__(
        self,
        built_in: Mapping[str, Tool],
        servers: Sequence[McpSettings],
        parts: AgentParts,
        devices: DeviceTools | None = None,
    ) -> None:
        self._built_in = built_in
        self._servers = servers
        self._parts = parts
        self._devices = devices
        self._sources: dict[str, ToolSource] = {}
        self._beginning: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, settings: ToolSettings, parts: AgentParts) -> "Toolbox":
        """What the settings say. Raises AgentFailure (`bad_configuration`) when that cannot be."""
        wrong = set(settings.requires_approval) - set(settings.tools)
        if wrong:
            raise _refusal(settings, f"requires_approval names {_listed(wrong)}, which is not in tools")
        names = [one.name for one in settings.mcp]
        if len(set(names)) < len(names):
            raise _refusal(settings, "two MCP servers have the same name")
        if settings.devices and DEVICE in names:
            raise _refusal(settings, f"an MCP server cannot be called {DEVICE} where devices are used")
        devices = DeviceTools.of(settings, parts) if settings.devices else None
        return cls({name: _built_in(name, settings) for name in settings.tools}, settings.mcp, parts, devices)

    async def start(self) -> None:
        """Begin to connect; waits for nothing outside the process. Raises AgentFailure (`missing_secret`)."""
        if not self._servers or self._beginning is not None:
            return
        secrets = await asyncio.to_thread(
            lambda: {one.name: _secrets(one, self._parts) for one in self._servers}
        )
        self._beginning = asyncio.create_task(self._begin(secrets), name="start of MCP servers")

    async def stop(self) -> None:
        """End whatever was started, programs with their whole process groups. Idempotent."""
        beginning, self._beginning = self._beginning, None
        if beginning is not None:
            beginning.cancel()
            await asyncio.wait({beginning})
        await asyncio.gather(*(source.stop() for source in self._sources.values()))

    async def _begin(self, secrets: Mapping[str, Mapping[str, str]]) -> None:
        """In a task of its own, so that nobody's start waits for the package to be read."""
        create = (await asyncio.to_thread(import_module, _MCP)).create
        for one in self._servers:
            self._sources[one.name] = create(one, secrets[one.name], self._parts.directory)
            self._sources[one.name].start()

    async def tools(self, journal: Journal | None = None, org_id: str = DEFAULT_ORG) -> Toolset:
        """The tools there are now, the commands of devices of this organization among them.

        With the journal of a run they are the same ones in each of its attempts, and in a replay. A server that cannot
        be reached holds nothing up for longer than a start may take, and is named in `missing`. Raises what the
        journal raises.
        """
        if not self._servers and self._devices is None:
            return Toolset(dict(self._built_in))
        if journal is None:
            offered = await self._offered(org_id)
        else:
            asked: Json = {"servers": sorted(one.name for one in self._servers)}
            if self._devices is not None:
                asked["devices"] = list(self._devices.names)
            step = Step("tools", "note", "tools", asked, repeatable=True)
            offered = (await perform(journal, step, lambda: self._offered(org_id))).result
            await self._begun()
        return self._restored(offered)

    async def _begun(self) -> None:
        if self._beginning is not None:
            await asyncio.shield(self._beginning)

    async def _offered(self, org_id: str) -> Json:
        """What each server, and `device`, offers: `{"SERVER": {"tools": […]} | {"missing": REASON}}`."""
        await self._begun()
        told = await asyncio.gather(*(_offer(source) for source in self._sources.values()))
        offered = dict(zip(self._sources, told, strict=True))
        if self._devices is not None:
            offered[DEVICE] = {"tools": await self._devices.offered(org_id)}
        return offered

    def _restored(self, offered: Mapping[str, Any]) -> Toolset:
        known = dict(self._built_in)
        missing: dict[str, str] = {}
        for name, source in self._sources.items():
            offer = offered.get(name, {"missing": "it was not there when the run began"})
            known |= {record["name"]: source.recorded(record) for record in offer.get("tools", ())}
            if "missing" in offer:
                missing[name] = offer["missing"]
        if self._devices is not None:
            records = offered.get(DEVICE, {}).get("tools", ())
            known |= {record["name"]: self._devices.recorded(record) for record in records}
        return Toolset(known, missing)


def _secrets(server: McpSettings, parts: AgentParts) -> dict[str, str]:
    """What the server is given that nobody else may see."""
    given = server.env if server.command else server.headers
    return {name: parts.secret(reference) for name, reference in given.items()}


async def _offer(source: ToolSource) -> Json:
    try:
        return {"tools": await source.offered()}
    except StepFailed as failure:
        return {"missing": str(failure)}


def _fetch(settings: ToolSettings, requires_approval: bool) -> Tool:
    return HttpFetch(settings.fetch, requires_approval)


_BUILT_IN: Final[Mapping[str, Callable[[ToolSettings, bool], Tool]]] = {
    "calculator": lambda settings, requires_approval: Calculator(requires_approval),
    "clock": lambda settings, requires_approval: Clock(requires_approval),
    "http_fetch": _fetch,
    "thread_search": lambda settings, requires_approval: ThreadSearch(requires_approval),
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
