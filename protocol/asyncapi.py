"""The AsyncAPI 3.0 document: the WebSocket, its messages, and who says what to whom.

The document speaks for the gateway: it *receives* requests, each with its reply, and *sends* notifications. Of agent
processes and devices it *sends* requests, and of the former it *receives* what they tell.
Payloads are the definitions of `bundle.py`.
"""

from typing import Any

from protocol import limits
from protocol.bundle import ASKED_OF_PEERS, VERSION, Schema, bundle, ref, relocated
from protocol.events import NOTIFICATIONS
from protocol.methods import METHODS
from protocol.records import Record
from protocol.workers import WORKER_NOTICES, WORKER_OUTPUTS

_SCHEMAS = "#/components/schemas/"
_MESSAGES = "#/components/messages/"
_CHANNEL = "#/channels/gateway"


def asyncapi() -> Schema:
    """The whole document."""
    schemas = bundle()
    messages = [
        *(
            f"{side}.{name}"
            for name in ("hello", *METHODS, *ASKED_OF_PEERS)
            for side in ("request", "response")
        ),
        *(f"notification.{name}" for name in (*NOTIFICATIONS, *WORKER_NOTICES)),
        *(f"output.{name}" for name in WORKER_OUTPUTS),
        "error",
    ]
    return {
        "asyncapi": "3.0.0",
        "id": "urn:threadgate:v1:asyncapi",
        "info": {
            "title": "Threadgate protocol v1",
            "version": VERSION,
            "description": "JSON-RPC 2.0 over one WebSocket. docs/PROTOCOL.md is the text.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "gateway": {
                "host": "127.0.0.1:8787",
                "protocol": "ws",
                "protocolVersion": "13",
                "description": "The default listener; wss behind a proxy that ends TLS.",
                "security": [{"$ref": "#/components/securitySchemes/token"}],
            }
        },
        "channels": {"gateway": _channel(messages)},
        "operations": _operations(),
        "components": {
            "messages": {name: _message(name) for name in messages},
            "schemas": relocated(schemas["$defs"], _SCHEMAS),
            "securitySchemes": {
                "token": {
                    "type": "apiKey",
                    "in": "password",
                    "description": "A token, in `auth.token` of hello. Never in the URL.",
                }
            },
        },
        "x-content-hash": schemas["x-content-hash"],
    }


def _channel(messages: list[str]) -> Schema:
    return {
        "address": "/v1/ws",
        "title": "The one socket",
        "servers": [{"$ref": "#/servers/gateway"}],
        "messages": {name: ref(name, _MESSAGES) for name in messages},
        "bindings": {
            "ws": {
                "method": "GET",
                "headers": {
                    "type": "object",
                    "properties": {"Sec-WebSocket-Protocol": {"const": limits.SUBPROTOCOL}},
                    "required": ["Sec-WebSocket-Protocol"],
                },
                "bindingVersion": "0.1.0",
            }
        },
    }


def _operations() -> Schema:
    operations: Schema = {"hello": _request("hello", "Say who you are; the first frame of a client.")}
    for name, method in METHODS.items():
        operations[name] = {
            **_request(name, method.summary),
            "x-scope": method.scope.value,
            "x-mutating": method.mutating,
        }
    for name, model in {**NOTIFICATIONS, **WORKER_NOTICES}.items():
        operations[f"notify.{name}"] = _notification("send", f"notification.{name}", model)
    for name, (params, _) in ASKED_OF_PEERS.items():
        operations[name] = {**_request(name, _first_line(params)), "action": "send"}
    for name, model in WORKER_OUTPUTS.items():
        operations[name] = _notification("receive", f"output.{name}", model)
    return operations


def _notification(action: str, message: str, model: type[Record]) -> Schema:
    return {
        "action": action,
        "channel": {"$ref": _CHANNEL},
        "summary": _first_line(model),
        "messages": [_message_of_channel(message)],
    }


def _first_line(model: type[Record]) -> str:
    return (model.__doc__ or model.__name__).split("\n")[0]


def _request(name: str, summary: str) -> Schema:
    return {
        "action": "receive",
        "channel": {"$ref": _CHANNEL},
        "summary": summary,
        "messages": [_message_of_channel(f"request.{name}")],
        "reply": {
            "channel": {"$ref": _CHANNEL},
            "messages": [_message_of_channel(f"response.{name}"), _message_of_channel("error")],
        },
    }


def _message(name: str) -> dict[str, Any]:
    schema = "ErrorFrame" if name == "error" else name
    message: dict[str, Any] = {
        "name": name,
        "contentType": "application/json",
        "payload": ref(schema, _SCHEMAS),
    }
    if not name.startswith(("notification.", "output.")):
        message["correlationId"] = {
            "location": "$message.payload#/id",
            "description": "A response carries the id of its request.",
        }
    return message


def _message_of_channel(name: str) -> Schema:
    return {"$ref": f"{_CHANNEL}/messages/{name}"}
