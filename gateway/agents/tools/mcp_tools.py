"""Tools of MCP servers as tools of the gateway: what is offered, what may be repeated, what a result says."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import structlog
from mcp_types import (
    AudioContent,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
    Tool,
    ToolAnnotations,
)

from gateway.agent_settings import McpSettings
from gateway.agents.port import Json, StepFailed
from gateway.agents.tools.arguments import schema_problem
from gateway.agents.tools.mcp_http import http_transport
from gateway.agents.tools.mcp_process import Ended, environment, process_transport
from gateway.agents.tools.mcp_server import McpServer, Transport
from gateway.agents.tools.port import Schema, ToolContext
from gateway.policy_settings import Risk
from protocol.canonical import canonical
from protocol.limits import KIB

DESCRIPTION_CHARS: Final = 4 * KIB
SCHEMA_CHARS: Final = 64 * KIB
NAME_CHARS: Final = 128
"""Of one tool; what goes beyond is cut, or the tool is left out."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class McpTool:
    """`gateway.agents.tools.port.Tool`, carried out by a server."""

    name: str
    description: str
    parameters: Schema
    is_repeatable: bool
    requires_approval: bool
    server: McpServer
    risk: Risk = "medium"
    kind: Literal["tool"] = "tool"

    async def call(self, arguments: dict[str, Json], context: ToolContext) -> Json:
        return content_of(await self.server.call(self.name[len(self.server.name) + 1 :], arguments))


def create(settings: McpSettings, secrets: Mapping[str, str], directory: Path) -> "McpSource":
    """The source of one table, with its environment or headers resolved; nothing is started yet."""
    return McpSource(settings, secrets, directory)


class McpSource:
    """`gateway.agents.tools.port.ToolSource`: the tools of one `[[agents.mcp]]` table."""

    def __init__(self, settings: McpSettings, secrets: Mapping[str, str], directory: Path) -> None:
        self.name = settings.name
        self._settings = settings
        self._secrets = secrets
        self._directory = directory
        self._server = McpServer(settings.name, self._transport)

    def start(self) -> None:
        """Begin to connect; waits for nothing."""
        self._server.start()

    async def stop(self) -> None:
        """End the server. Idempotent."""
        await self._server.stop()

    async def offered(self) -> list[Json]:
        """Its tools, as the journal keeps them. Raises StepFailed."""
        listed = await self._server.tools()
        return [record for one in listed if (record := self._record(one)) is not None]

    def recorded(self, record: Mapping[str, Any]) -> McpTool:
        """The tool of such a record."""
        return McpTool(**record, server=self._server)

    def _transport(self, ended: Ended) -> Transport:
        if self._settings.url is not None:
            return http_transport(self._settings.url, self._secrets)
        env = environment(self._secrets, os.environ)
        return process_transport(self._settings.command, env, self._directory, ended)

    def _record(self, offered: Tool) -> Json:
        problem = _problem(offered)
        if problem is not None:
            log.warning("MCP tool left out", action="mcp.tool_refused", server=self.name, reason=problem)
            return None
        hints = offered.annotations
        says_so = hints is not None and bool(hints.idempotent_hint or hints.read_only_hint)
        needs = self._settings.requires_approval
        return {
            "name": f"{self.name}.{offered.name}",
            "description": (offered.description or offered.title or "")[:DESCRIPTION_CHARS],
            "parameters": offered.input_schema,
            "is_repeatable": says_so or offered.name in self._settings.idempotent,
            "requires_approval": needs == "all" or offered.name in needs,
            "risk": _risk(hints),
        }


def _risk(hints: ToolAnnotations | None) -> Risk:
    """What a server says of a tool. It may lie, so policies that must hold name tools and not risks."""
    if hints is None:
        return "medium"
    if hints.read_only_hint:
        return "low"
    return "high" if hints.destructive_hint else "medium"


def content_of(result: CallToolResult) -> Json:
    """What a result says: its structured content, else its texts, with what cannot be read described.

    Raises StepFailed when it says that the call failed.
    """
    text = "\n".join(_part(block) for block in result.content)
    if result.is_error:
        raise StepFailed(text or "The tool failed and did not say why.")
    return text if result.structured_content is None else result.structured_content


def _part(block: object) -> str:
    match block:
        case TextContent(text=text):
            return text
        case ImageContent(mime_type=kind, data=data) | AudioContent(mime_type=kind, data=data):
            return f"[{kind}, {len(data) * 3 // 4} bytes, not shown]"
        case ResourceLink(uri=uri, name=name):
            return f"[{name}: {uri}]"
        case EmbeddedResource(resource=TextResourceContents(text=text)):
            return text
        case EmbeddedResource(resource=resource):
            return f"[{resource.uri}, not shown]"
    return "[content of an unknown sort]"


def _problem(offered: Tool) -> str | None:
    """Why a tool cannot be offered to agents; None when it can."""
    if not offered.name.isascii() or not offered.name.isprintable() or len(offered.name) > NAME_CHARS:
        return "its name is not plain ASCII, or too long"
    try:
        size = len(canonical(offered.input_schema))
    except (ValueError, RecursionError):
        return f"the schema of {offered.name} is not JSON"
    if size > SCHEMA_CHARS:
        return f"the schema of {offered.name} is too large"
    problem = schema_problem(offered.input_schema)
    return f"the schema of {offered.name} is none: {problem}" if problem else None
