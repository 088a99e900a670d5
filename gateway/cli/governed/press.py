"""The press: a program of the Model Context Protocol with one tool, `publish`, whose effect can be counted.

`python -m gateway.cli.governed.press FILE` appends one line to FILE per publication. Speaks JSON-RPC over stdio, one
message per line (modelcontextprotocol.io/specification/2025-06-18, transports and lifecycle), and nothing of it that
it does not need. It knows nothing of the gateway.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any, Final

VERSION: Final = "2025-06-18"
"""Of the Model Context Protocol."""
_TOOL: Final = {
    "name": "publish",
    "description": "Publishes a text for everybody to read. It cannot be taken back.",
    "inputSchema": {
        "type": "object",
        "properties": {"title": {"type": "string", "maxLength": 200}},
        "required": ["title"],
        "additionalProperties": False,
    },
}


def main(ledger: Path) -> None:
    """Answer until the input ends."""
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            answer = {"jsonrpc": "2.0", "id": message["id"], **_answer(message, ledger)}
            print(json.dumps(answer), flush=True)


def _answer(message: dict[str, Any], ledger: Path) -> dict[str, Any]:
    match message.get("method"):
        case "initialize":
            identity = {"name": "press", "version": "1"}
            return {
                "result": {
                    "protocolVersion": VERSION,
                    "capabilities": {"tools": {}},
                    "serverInfo": identity,
                }
            }
        case "tools/list":
            return {"result": {"tools": [_TOOL]}}
        case "tools/call":
            said = _publish(message["params"]["arguments"]["title"], ledger)
            return {"result": {"content": [{"type": "text", "text": said}], "isError": False}}
        case "ping":
            return {"result": {}}
        case method:
            return {"error": {"code": -32601, "message": f"There is no method {method}"}}


def _publish(title: str, ledger: Path) -> str:
    with ledger.open("a", encoding="utf-8") as file:
        file.write(json.dumps(title) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return f"Published: {title}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
