"""The JSON Schema of the wire: one bundle with every record, frame, event and error of v1.

Made from the table of methods and the closed lists of events and errors; nothing is described twice. What is
received keeps its defaults and takes null for absent; what is sent never has null and always has its defaults,
as the encoder leaves None out and writes the rest. The documents built on it are in `asyncapi.py` and
`openapi.py`, the committed copies and the command line in `schema.py`.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema
from pydantic_core import core_schema

from protocol import errors, limits
from protocol.devices import DEVICE_REQUESTS
from protocol.errors import HTTP_STATUS, RETRYABLE, CloseCode, ErrorKind, Fault, retry_verdict
from protocol.events import EVENT_DATA, NOTIFICATIONS, EventKind
from protocol.frames import ID_CHARS_MAX
from protocol.limits import INTEGER_MAX
from protocol.methods import METHODS
from protocol.records import Record
from protocol.requests import BlobResult, HelloParams, HelloResult
from protocol.workers import WORKER_NOTICES, WORKER_OUTPUTS, WORKER_REQUESTS

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
VERSION: Final = f"1.{max(limits.MINORS)}"
"""Version of the wire contract: major 1, the newest minor."""
PROTOCOL_FAULTS: Final = tuple(
    Fault(None, "", code=code)
    for code in (errors.PARSE_ERROR, errors.INVALID_REQUEST, errors.METHOD_NOT_FOUND, errors.INVALID_PARAMS)
)
"""One fault per JSON-RPC code: they have a kind and a status too."""
ASKED_OF_PEERS: Final[Mapping[str, tuple[type[Record], type[Record]]]] = {
    **WORKER_REQUESTS,
    **DEVICE_REQUESTS,
}
"""What the gateway asks of agent processes and devices."""
_RECEIVED: Final[JsonSchemaMode] = "validation"
_SENT: Final[JsonSchemaMode] = "serialization"


def bundle() -> Schema:
    """The whole bundle. `x-content-hash` is SHA-256 of its canonical JSON without that member."""
    defs = {**records(), **_envelopes(), **_frames()}
    document: Schema = {
        "$schema": DIALECT,
        "$id": "urn:threadgate:v1:schema",
        "title": "Threadgate protocol v1",
        "description": "Every frame of the protocol; docs/PROTOCOL.md is the text.",
        "version": VERSION,
        "anyOf": [ref("ClientFrame"), ref("ServerFrame")],
        "x-methods": {
            name: {
                "params": ref(method.params.__name__),
                "result": ref(method.result.__name__),
                "scope": method.scope.value,
                "mutating": method.mutating,
                "summary": method.summary,
            }
            for name, method in METHODS.items()
        },
        "x-agent-processes": {
            "requests": {
                name: {"params": ref(params.__name__), "result": ref(result.__name__)}
                for name, (params, result) in WORKER_REQUESTS.items()
            },
            "outputs": {name: ref(model.__name__) for name, model in WORKER_OUTPUTS.items()},
        },
        "x-devices": {
            "requests": {
                name: {"params": ref(params.__name__), "result": ref(result.__name__)}
                for name, (params, result) in DEVICE_REQUESTS.items()
            }
        },
        "x-events": {
            kind.value: ref(EVENT_DATA[kind].__name__) if kind in EVENT_DATA else None for kind in EventKind
        },
        "x-close-codes": {
            str(code.value): {"name": code.name.lower(), "verdict": retry_verdict(code).value}
            for code in CloseCode
        },
        "x-error-kinds": {
            kind.value: {"http_status": HTTP_STATUS[kind], "retryable": kind in RETRYABLE}
            for kind in ErrorKind
        },
        "$defs": defs,
    }
    document["x-content-hash"] = f"sha256:{hashlib.sha256(canonical(document)).hexdigest()}"
    return document


def canonical(value: Any) -> bytes:
    """The bytes of a JSON value that do not depend on the order of its members."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def ref(name: str, where: str = "#/$defs/") -> Schema:
    """A reference to a definition."""
    return {"$ref": where + name}


def relocated(value: Any, where: str) -> Any:
    """`value` with its references pointing to definitions that live at `where` instead of `$defs`."""
    if isinstance(value, list):
        return [relocated(item, where) for item in value]
    if isinstance(value, dict):
        return {key: relocated(item, where) for key, item in value.items()}
    return value.replace("#/$defs/", where) if isinstance(value, str) else value


def reachable(names: Iterable[str], defs: Mapping[str, Schema]) -> set[str]:
    """`names` and all definitions they refer to, directly or not."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += references(defs[name])
    return found


def references(value: Any) -> list[str]:
    """The names of the definitions that a part of a schema refers to."""
    if isinstance(value, list):
        return [name for item in value for name in references(item)]
    if not isinstance(value, dict):
        return []
    target = value.get("$ref")
    found = [target.rsplit("/", 1)[-1]] if isinstance(target, str) else []
    return found + [name for key, item in value.items() if key != "$ref" for name in references(item)]


def records() -> dict[str, Schema]:
    """Every record: params, results, notifications, event data and what they are made of, by class name."""
    incoming: set[type[Record]] = {
        HelloParams,
        *(method.params for method in METHODS.values()),
        *(result for _, result in ASKED_OF_PEERS.values()),
        *WORKER_OUTPUTS.values(),
    }
    outgoing: set[type[Record]] = {
        HelloResult,
        BlobResult,
        *(params for params, _ in ASKED_OF_PEERS.values()),
        *WORKER_NOTICES.values(),
        *(method.result for method in METHODS.values()),
        *NOTIFICATIONS.values(),
        *EVENT_DATA.values(),
    }
    models: list[tuple[type[Record], JsonSchemaMode]] = [
        *((model, _RECEIVED) for model in _sorted(incoming)),
        *((model, _SENT) for model in _sorted(outgoing)),
    ]
    _, document = models_json_schema(
        models, by_alias=True, ref_template="#/$defs/{model}", schema_generator=_Generator
    )
    defs: dict[str, Schema] = document["$defs"]
    defs["EventKind"] = {
        "description": "The durable kinds of this version; clients ignore a kind they do not know.",
        "enum": [kind.value for kind in EventKind],
    }
    # A kind that a client does not know is valid, so each known one is a condition, not an alternative.
    defs["Event"]["allOf"] = [
        {
            "if": {"properties": {"kind": {"const": kind.value}}},
            "then": {"properties": {"data": ref(model.__name__)}},
        }
        for kind, model in EVENT_DATA.items()
    ]
    return defs


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, told what our encoder does."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False  # `thread_id` titled "Thread Id" tells nobody anything

    def field_is_required(self, field: Any, total: bool) -> bool:
        inner = field["schema"]
        if inner["type"] != "default" or _is_constant(inner["schema"]):
            return True
        is_sent = inner.get("default") is not None or "default_factory" in inner
        return self.mode == "serialization" and is_sent

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Schema:
        # Sent fields are there or not; only somebody who leaves one out wants to know what it means.
        if self.mode == "serialization" or _is_constant(schema["schema"]) or schema.get("default") is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def nullable_schema(self, schema: core_schema.NullableSchema) -> Schema:
        if self.mode == "serialization":
            return self.generate_inner(schema["schema"])
        return super().nullable_schema(schema)


def _is_constant(schema: Any) -> bool:
    # The tag of a union has a default for our own constructors, but a peer must write it.
    return bool(schema["type"] == "literal" and len(schema["expected"]) == 1)


def _sorted(models: Iterable[type[Record]]) -> list[type[Record]]:
    return sorted(models, key=lambda model: model.__name__)


# --- frames ------------------------------------------------------------------------------


def _envelopes() -> dict[str, Schema]:
    kinds = [kind.value for kind in ErrorKind]
    faults = [fault.data["kind"] for fault in PROTOCOL_FAULTS]
    return {
        "RequestId": {
            "description": "Correlates a response with its request; unique among those in flight.",
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": ID_CHARS_MAX},
                {"type": "integer", "minimum": -INTEGER_MAX, "maximum": INTEGER_MAX},
            ],
        },
        "ErrorKind": {"description": "What went wrong, for programs: closed in v1.", "enum": kinds},
        "ProtocolFault": {"description": "The kinds of the JSON-RPC codes.", "enum": faults},
        "ErrorData": _object(
            "What a program needs to know of an error. Further members say more about one kind.",
            {
                "kind": {"anyOf": [ref("ErrorKind"), ref("ProtocolFault")]},
                "retryable": {"type": "boolean", "description": "The same request may succeed later."},
                "retry_after_ms": {"type": "integer", "minimum": 0},
                "hint": {"type": "string", "description": "What to do about it, for people."},
                "errors": {"type": "array", "items": ref("ParamError")},
                "scope": {"type": "string", "description": "The scope that is missing (forbidden)."},
                "incident": {"type": "string", "description": "Names the log entry (internal)."},
            },
            required=["kind", "retryable"],
        ),
        "ParamError": _object(
            "Where the params do not fit; never the value itself.",
            {"path": {"type": "string"}, "message": {"type": "string"}},
        ),
        "Error": _object(
            "A JSON-RPC error object.",
            {
                "code": {"enum": [*(fault.code for fault in PROTOCOL_FAULTS), errors.APPLICATION_ERROR]},
                "message": {"type": "string"},
                "data": ref("ErrorData"),
            },
        ),
        "ErrorFrame": _object(
            "A refusal; `id` is null when the request's id could not be read.",
            {
                "jsonrpc": {"const": "2.0"},
                "id": {"anyOf": [ref("RequestId"), {"type": "null"}]},
                "error": ref("Error"),
            },
        ),
        "ResultFrame": _object(
            "A successful response; `response.<method>` has the result's shape.",
            {"jsonrpc": {"const": "2.0"}, "id": ref("RequestId"), "result": {"type": "object"}},
        ),
    }


def _frames() -> dict[str, Schema]:
    calls: dict[str, tuple[type[Record], type[Record]]] = {"hello": (HelloParams, HelloResult)}
    calls |= {name: (method.params, method.result) for name, method in METHODS.items()}
    frames: dict[str, Schema] = {}
    for name, (params, result) in (calls | dict(ASKED_OF_PEERS)).items():
        members: Schema = {"jsonrpc": {"const": "2.0"}, "id": ref("RequestId"), "method": {"const": name}}
        members["params"] = ref(params.__name__)
        # JSON-RPC lets params be left out; that fits only where nothing is required.
        needed = ["params"] if _has_required(params) else []
        frames[f"request.{name}"] = _object(
            f"Asks for {name}.", members, required=["jsonrpc", "id", "method", *needed]
        )
        frames[f"response.{name}"] = _object(
            f"Answers {name}.",
            {"jsonrpc": {"const": "2.0"}, "id": ref("RequestId"), "result": ref(result.__name__)},
        )
    told = {f"notification.{name}": model for name, model in {**NOTIFICATIONS, **WORKER_NOTICES}.items()}
    outputs = {f"output.{name}": model for name, model in WORKER_OUTPUTS.items()}
    for frame, model in (told | outputs).items():
        name = frame.partition(".")[2]
        frames[frame] = _object(
            f"Notifies: {name}.",
            {"jsonrpc": {"const": "2.0"}, "method": {"const": name}, "params": ref(model.__name__)},
        )
    frames["ClientFrame"] = {
        "anyOf": [
            *(ref(f"request.{name}") for name in calls),
            *(ref(f"response.{name}") for name in ASKED_OF_PEERS),
            *map(ref, outputs),
        ]
    }
    frames["ServerFrame"] = {
        "anyOf": [
            *map(ref, told),
            *(ref(f"request.{name}") for name in ASKED_OF_PEERS),
            ref("ResultFrame"),
            ref("ErrorFrame"),
        ]
    }
    return frames


def _has_required(params: type[Record]) -> bool:
    return any(field.is_required() for field in params.model_fields.values())


def _object(description: str, members: Schema, required: list[str] | None = None) -> Schema:
    return {
        "description": description,
        "type": "object",
        "properties": members,
        "required": list(members) if required is None else required,
    }
