"""The OpenAPI 3.1 document: every method over HTTP, a thread's events as a stream, probes and schemas.

The HTTP twin has no semantics of its own (PROTOCOL.md §11): bodies are the params and results of the table,
problems are the errors of the WebSocket with the status of their kind.
"""

from collections.abc import Mapping
from typing import Any, Final

from protocol.bundle import PROTOCOL_FAULTS, VERSION, Schema, bundle, reachable, ref, relocated
from protocol.errors import HTTP_STATUS
from protocol.limits import IDEMPOTENCY_KEY_CHARS
from protocol.methods import METHODS, Method

_SCHEMAS: Final = "#/components/schemas/"
_JSON: Final = "application/json"
_TITLES: Final = {
    400: "Bad request",
    401: "Unauthorized",
    402: "Budget exceeded",
    403: "Forbidden",
    404: "Not found",
    409: "Conflict",
    410: "Expired",
    413: "Too large",
    422: "Params do not fit",
    429: "Rate limited",
    500: "Internal error",
    503: "Unavailable",
}


def openapi() -> Schema:
    """The whole document."""
    schemas = bundle()
    names = {"BlobResult", "ErrorData", "Event", "Delta", "Snapshot", "SubscriptionNotice"}
    names |= {model.__name__ for method in METHODS.values() for model in (method.params, method.result)}
    defs = {name: schemas["$defs"][name] for name in reachable(names, schemas["$defs"])}
    defs["Problem"] = _problem(defs.pop("ErrorData"))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Threadgate HTTP v1",
            "version": VERSION,
            "description": "The HTTP twin of the WebSocket protocol. docs/PROTOCOL.md is the text.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "jsonSchemaDialect": schemas["$schema"],
        "servers": [{"url": "/", "description": "The gateway's one port."}],
        "security": [{"token": []}],
        "paths": {
            **{f"/v1/{name}": {"post": _call(method)} for name, method in METHODS.items()},
            "/v1/threads/{thread_id}/events": {"get": _events()},
            "/v1/blobs": {"post": _upload()},
            "/v1/blobs/{blob_id}": {"get": _download()},
            **_probes(),
            **{f"/v1/{name}.json": {"get": _document(name)} for name in ("openapi", "asyncapi", "schema")},
        },
        "components": {
            "schemas": relocated(defs, _SCHEMAS),
            "responses": {f"Problem{status}": _problem_response(status) for status in statuses()},
            "parameters": {
                "IdempotencyKey": {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "description": "The same key with the same params returns the stored result for 24 h.",
                    "schema": {"type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_CHARS},
                }
            },
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of the gateway. Never in the URL.",
                }
            },
        },
        "x-content-hash": schemas["x-content-hash"],
    }


def statuses() -> Mapping[int, list[str]]:
    """The statuses of problems, each with the kinds that have it."""
    found: dict[int, list[str]] = {}
    kinds = [(fault.http_status, fault.data["kind"]) for fault in PROTOCOL_FAULTS]
    kinds += [(status, str(kind)) for kind, status in HTTP_STATUS.items()]
    for status, kind in kinds:
        found.setdefault(status, []).append(kind)
    return found


def needs_connection(method: Method) -> bool:
    """Whether a method is about the connection it comes over, and is therefore refused over HTTP."""
    return method.name.endswith("subscribe") or method.name == "auth.refresh"


def _call(method: Method) -> Schema:
    operation: Schema = {
        "operationId": method.name,
        "summary": method.summary,
        "tags": [method.name.split(".")[0]],
        "requestBody": {
            "required": any(field.is_required() for field in method.params.model_fields.values()),
            "content": {_JSON: {"schema": ref(method.params.__name__, _SCHEMAS)}},
        },
        "responses": {
            "200": {
                "description": "The result.",
                "content": {_JSON: {"schema": ref(method.result.__name__, _SCHEMAS)}},
            },
            **_problems(),
        },
        "x-scope": method.scope.value,
        "x-mutating": method.mutating,
    }
    if method.mutating:
        operation["parameters"] = [ref("IdempotencyKey", "#/components/parameters/")]
    if needs_connection(method):
        operation["description"] = "Needs a WebSocket: over HTTP the answer is 409 `invalid_state`."
        del operation["responses"]["200"]
    return operation


def _events() -> Schema:
    return {
        "operationId": "thread.events",
        "summary": "Follow a thread as server-sent events",
        "description": (
            "The durable events (`event`, with `id:` = seq), deltas, snapshots and subscription notices of "
            "the WebSocket; `data:` is the notification's params. Ends after a subscription notice with the "
            "state `reset`."
        ),
        "tags": ["thread"],
        "parameters": [
            _parameter("thread_id", "path", {"type": "string"}, "Which thread."),
            _parameter(
                "after_seq", "query", {"type": "integer", "minimum": 0}, "Only events after this one."
            ),
            _parameter("epoch", "query", {"type": "string"}, "The epoch `after_seq` belongs to."),
            _parameter(
                "deltas", "query", {"type": "boolean", "default": True}, "Send text as it is written."
            ),
            _parameter("kinds", "query", {"type": "string"}, "Only these kinds, separated by commas."),
            _parameter(
                "Last-Event-ID", "header", {"type": "string"}, "Set by browsers; wins over after_seq."
            ),
        ],
        "responses": {
            "200": {
                "description": "The stream.",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            },
            **_problems(),
        },
        "x-scope": METHODS["thread.subscribe"].scope.value,
        "x-events": {
            "event": ref("Event", _SCHEMAS),
            "delta": ref("Delta", _SCHEMAS),
            "snapshot": ref("Snapshot", _SCHEMAS),
            "subscription": ref("SubscriptionNotice", _SCHEMAS),
        },
    }


def _upload() -> Schema:
    text: Schema = {"type": "string"}
    return {
        "operationId": "blob.upload",
        "summary": "Store a file, to be sent in a message",
        "description": "The body is the file. One that is sent in no message within a day is deleted.",
        "tags": ["blob"],
        "parameters": [
            _parameter("X-Blob-Name", "header", text, "The file's name, UTF-8 and percent-encoded."),
            _parameter("Content-Disposition", "header", text, "Its `filename*` or `filename`, instead."),
            ref("IdempotencyKey", "#/components/parameters/"),
        ],
        "requestBody": {
            "required": True,
            "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
        },
        "responses": {
            "200": _response("The file.", {_JSON: {"schema": ref("BlobResult", _SCHEMAS)}}),
            **_problems(),
        },
        "x-scope": METHODS["message.send"].scope.value,
        "x-mutating": True,
    }


def _download() -> Schema:
    bytes_of = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    return {
        "operationId": "blob.get",
        "summary": "The bytes of a file",
        "description": (
            "Always an attachment; the type is one that browsers run nothing in, or mere bytes. While the file "
            "is fetched from its chat network the answer is 409 `invalid_state` with `retry_after_ms`."
        ),
        "tags": ["blob"],
        "parameters": [
            _parameter("blob_id", "path", {"type": "string"}, "Which file."),
            _parameter("Range", "header", {"type": "string"}, "A part of it (RFC 9110 §14)."),
            _parameter("If-None-Match", "header", {"type": "string"}, "The ETag of what the client has."),
        ],
        "responses": {
            "200": _response("The file.", bytes_of),
            "206": _response("The part that was asked for.", bytes_of),
            "304": {"description": "The client has it."},
            "416": {"description": "There is no such part."},
            **_problems(),
        },
        "x-scope": METHODS["thread.get"].scope.value,
    }


def _parameter(name: str, where: str, schema: Schema, description: str) -> Schema:
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "schema": schema,
        "description": description,
    }


def _probes() -> Schema:
    state = {
        "type": "object",
        "properties": {
            "status": {"type": "string"},
            "missing": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["status"],
    }
    body = {_JSON: {"schema": state}}
    return {
        "/healthz": {"get": _open("healthz", "The process is alive", {"200": _response("Alive.", body)})},
        "/readyz": {
            "get": _open(
                "readyz",
                "The store is writable and the channels have started",
                {
                    "200": _response("Ready.", body),
                    "503": _response("Not ready; says what is missing.", body),
                },
            )
        },
        "/metrics": {
            "get": _open(
                "metrics",
                "Metrics in Prometheus's text format",
                {"200": _response("Metrics.", {"text/plain": {"schema": {"type": "string"}}})},
            )
        },
    }


def _document(name: str) -> Schema:
    body = {_JSON: {"schema": {"type": "object"}}}
    return _open(f"{name}.json", f"The generated {name} document", {"200": _response("The document.", body)})


def _open(operation_id: str, summary: str, responses: Schema) -> Schema:
    """An operation that needs no credential."""
    return {
        "operationId": operation_id,
        "summary": summary,
        "tags": ["server"],
        "security": [],
        "responses": responses,
    }


def _response(description: str, content: Schema) -> Schema:
    return {"description": description, "content": content}


def _problems() -> Schema:
    return {str(status): ref(f"Problem{status}", "#/components/responses/") for status in statuses()}


def _problem_response(status: int) -> Schema:
    kinds = ", ".join(f"`{kind}`" for kind in statuses()[status])
    return {
        "description": f"{_TITLES[status]}: {kinds}.",
        "content": {"application/problem+json": {"schema": ref("Problem", _SCHEMAS)}},
    }


def _problem(error_data: Schema) -> dict[str, Any]:
    """An RFC 9457 problem: its own members and those of `error.data`."""
    own: Schema = {
        "type": {"type": "string", "format": "uri", "description": "`urn:threadgate:error:` and the kind."},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "What happened, safe to show."},
    }
    return {
        "description": "An RFC 9457 problem with the members of the WebSocket's error data.",
        "type": "object",
        "properties": {**own, **error_data["properties"]},
        "required": [*own, *error_data["required"]],
    }
