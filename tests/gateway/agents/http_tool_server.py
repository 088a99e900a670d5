"""An MCP server over streamable HTTP, made with the MCP package: `python http_tool_server.py PORT`, with EFFECTS=FILE.

The effect of `pay` is a line in the file. Requests without `Authorization: Bearer open sesame` are refused.
"""

import os
import sys
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

server = MCPServer("far", log_level="ERROR")


@server.tool(description="Pays a bill.")
async def pay(id: str, then: str = "answer") -> str:
    """Append a line, then answer, or not."""
    with Path(os.environ["EFFECTS"]).open("a") as file:  # noqa: ASYNC230
        file.write(f"{id}\n")
    if then == "hang":
        await anyio.sleep(3600)
    if then == "exit":
        os._exit(3)
    return "x" * (8 << 20) if then == "huge" else f"paid {id}"


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
async def look() -> dict[str, Any]:
    """Which bills were paid."""
    file = Path(os.environ["EFFECTS"])
    return {"paid": file.read_text().split() if file.exists() else []}  # noqa: ASYNC240


def guarded(app: ASGIApp) -> ASGIApp:
    """Only for those who know the words."""

    async def check(scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        if scope["type"] == "http" and headers.get(b"authorization") != b"Bearer open sesame":
            await PlainTextResponse("who are you?", 401)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return check


if __name__ == "__main__":
    uvicorn.run(
        guarded(server.streamable_http_app()),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="error",
        timeout_graceful_shutdown=1,
    )
