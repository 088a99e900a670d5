"""An MCP server over stdio whose effects can be counted: `python effect_server.py`, with EFFECTS=FILE.

`pay {id}` appends the id as a line to the file, durably, and cannot be repeated. `look {}` reads the file and can.
`pay` can be told to misbehave around its effect: `before_s` and `after_s` wait, `then` is what it does afterwards
instead of answering. Nothing but the standard library, so it starts within a blink and can be killed a thousand times.
It speaks the protocol of 2025-06-18, and ends when its input ends.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

VERSION = "2025-06-18"
"""Of the protocol, as far as it is needed here."""
TOOLS = [
    {
        "name": "pay",
        "description": "Pays a bill, once for every call.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "id": {"type": "string"},
                "before_s": {"type": "number"},
                "after_s": {"type": "number"},
                "then": {"enum": ["answer", "error", "hang", "exit", "flood", "babble", "huge"]},
            },
            "required": ["id"],
            "additionalProperties": False,
        },
    },
    {
        "name": "look",
        "description": "Tells which bills were paid.",
        "inputSchema": {"type": "object", "additionalProperties": False},
        "annotations": {"readOnlyHint": True},
    },
    {
        "name": "surroundings",
        "description": "Tells the environment, and starts a child that outlives everything but a kill.",
        "inputSchema": {"type": "object", "properties": {"child": {"type": "boolean"}}},
        "annotations": {"idempotentHint": True},
    },
]

_writing = threading.Lock()


def main() -> None:
    """Serve until the input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        if "id" in request:
            threading.Thread(target=_answer, args=(request,), daemon=True).start()
    os._exit(0)  # whatever a call is still doing


def _answer(request: dict[str, Any]) -> None:
    method, params = request.get("method"), request.get("params", {})
    if method == "initialize":
        _result(
            request,
            {
                "protocolVersion": VERSION,
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "effects", "version": "1"},
            },
        )
    elif method == "tools/list":
        _result(request, {"tools": TOOLS})
    elif method == "tools/call":
        _call(request, params["name"], params.get("arguments", {}))
    elif method == "ping":
        _result(request, {})
    else:
        _send({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32601, "message": "unknown method"}})


def _call(request: dict[str, Any], name: str, arguments: dict[str, Any]) -> None:
    effects = Path(os.environ["EFFECTS"])
    if name == "look":
        paid = effects.read_text().split() if effects.exists() else []
        _text(request, f"paid: {len(paid)}", {"paid": paid})
    elif name == "surroundings":
        _surroundings(request, arguments)
    else:
        time.sleep(arguments.get("before_s", 0))
        _append(effects, arguments["id"])
        time.sleep(arguments.get("after_s", 0))
        _then(request, arguments)


def _append(effects: Path, line: str) -> None:
    with effects.open("a") as file:
        file.write(f"{line}\n")
        file.flush()
        os.fsync(file.fileno())


def _then(request: dict[str, Any], arguments: dict[str, Any]) -> None:
    match arguments.get("then", "answer"):
        case "answer":
            _text(request, f"paid {arguments['id']}")
        case "error":
            _result(request, {"content": [{"type": "text", "text": "no money left"}], "isError": True})
        case "hang":
            time.sleep(3600)
        case "exit":
            print("the till is on fire", file=sys.stderr, flush=True)
            os._exit(3)
        case "flood":
            while True:
                _send(
                    {
                        "jsonrpc": "2.0",
                        "method": "notifications/message",
                        "params": {"level": "info", "data": 1},
                    }
                )
        case "babble":
            while True:
                _line("this is no protocol at all")
        case "huge":
            _text(request, "x" * (8 << 20))


def _surroundings(request: dict[str, Any], arguments: dict[str, Any]) -> None:
    told: dict[str, Any] = {"env": dict(os.environ), "pid": os.getpid(), "cwd": str(Path.cwd())}
    if arguments.get("child"):
        child = os.fork()
        if child == 0:
            for descriptor in range(3):
                os.close(descriptor)
            time.sleep(3600)
            os._exit(0)
        told["child"] = child
    _text(request, "", told)


def _text(request: dict[str, Any], text: str, structured: Any = None) -> None:
    result: dict[str, Any] = {"content": [{"type": "text", "text": text}]}
    _result(request, result if structured is None else result | {"structuredContent": structured})


def _result(request: dict[str, Any], result: dict[str, Any]) -> None:
    _send({"jsonrpc": "2.0", "id": request["id"], "result": result})


def _send(message: dict[str, Any]) -> None:
    _line(json.dumps(message))


def _line(text: str) -> None:
    with _writing:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
