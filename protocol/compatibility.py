"""What v1 has promised, as a snapshot, and whether a newer description keeps the promise.

The snapshot holds what peers rely on: the fields of every method, event, notification and record with their
types, the error kinds and the close codes. Within v1 it may only grow. What a client sends may become more
liberal, what it receives may become richer; nothing may disappear or change its type. Values may be added to
an enumeration: both sides treat an unknown value as they treat an unknown field.
"""

from collections.abc import Mapping
from typing import Any, Final

from protocol.bundle import Schema, reachable, ref, references

_ANNOTATIONS: Final = frozenset({"description", "examples", "default", "title", "discriminator"})
_UNIONS: Final = frozenset({"anyOf", "oneOf"})
_UPPER: Final = frozenset({"maximum", "maxLength", "maxItems"})
_LOWER: Final = frozenset({"minimum", "minLength", "minItems"})


def snapshot(bundle: Schema) -> Schema:
    """The promise that `bundle` makes."""
    defs = bundle["$defs"]
    methods = {
        name: {
            "params": _fields(_target(row["params"], defs)),
            "result": _fields(_target(row["result"], defs)),
            "scope": row["scope"],
            "mutating": row["mutating"],
        }
        for name, row in bundle["x-methods"].items()
    }
    received = [row["params"] for row in bundle["x-methods"].values()] + [ref("HelloParams")]
    sent = [row["result"] for row in bundle["x-methods"].values()] + [ref("HelloResult")]
    sent += [row for row in bundle["x-events"].values() if row]
    sent += [
        frame["properties"]["params"] for name, frame in defs.items() if name.startswith("notification.")
    ]
    notifications = {
        name.removeprefix("notification."): _fields(_target(frame["properties"]["params"], defs))
        for name, frame in defs.items()
        if name.startswith("notification.")
    }
    processes, devices = bundle["x-agent-processes"], bundle["x-devices"]
    received += [*processes["outputs"].values(), *(row["result"] for row in processes["requests"].values())]
    sent += [row["params"] for row in processes["requests"].values()]
    received += [row["result"] for row in devices["requests"].values()]
    sent += [row["params"] for row in devices["requests"].values()]
    return {
        "methods": methods,
        "worker_requests": {
            name: _fields(_target(row["params"], defs)) for name, row in processes["requests"].items()
        },
        "device_requests": {
            name: _fields(_target(row["params"], defs)) for name, row in devices["requests"].items()
        },
        "worker_outputs": {name: _fields(_target(row, defs)) for name, row in processes["outputs"].items()},
        "hello": {"params": _fields(defs["HelloParams"]), "result": _fields(defs["HelloResult"])},
        "events": {
            kind: _fields(_target(row, defs)) if row else {} for kind, row in bundle["x-events"].items()
        },
        "notifications": notifications,
        "received_records": _records(received, defs),
        "sent_records": _records(sent, defs),
        "error_kinds": {kind: row["http_status"] for kind, row in bundle["x-error-kinds"].items()},
        "close_codes": {code: row["name"] for code, row in bundle["x-close-codes"].items()},
    }


def breaches(promised: Schema, offered: Schema) -> list[str]:
    """What `offered` breaks of what was `promised`, in words; empty when it only adds."""
    found = [
        *_gone("method", promised["methods"], offered["methods"]),
        *_gone("event kind", promised["events"], offered["events"]),
        *_gone("notification", promised["notifications"], offered["notifications"]),
        *_gone("request of agent processes", promised.get("worker_requests", {}), offered["worker_requests"]),
        *_gone("request of devices", promised.get("device_requests", {}), offered["device_requests"]),
        *_gone("output of agent processes", promised.get("worker_outputs", {}), offered["worker_outputs"]),
        *_changed("error kind", promised["error_kinds"], offered["error_kinds"]),
        *_changed("close code", promised["close_codes"], offered["close_codes"]),
        *_call("hello", promised["hello"], offered["hello"]),
    ]
    for name in sorted(promised["methods"].keys() & offered["methods"].keys()):
        before, after = promised["methods"][name], offered["methods"][name]
        found += _call(name, before, after)
        found += [f"{name}: `{key}` changed" for key in ("scope", "mutating") if before[key] != after[key]]
    for group in ("events", "notifications", "worker_requests", "device_requests", "sent_records"):
        found += _group(group, promised, offered, is_received=False)
    for group in ("worker_outputs", "received_records"):
        found += _group(group, promised, offered, is_received=True)
    return found


def _group(group: str, promised: Schema, offered: Schema, *, is_received: bool) -> list[str]:
    before, after = promised.get(group, {}), offered.get(group, {})
    both = sorted(before.keys() & after.keys())
    return [
        breach
        for name in both
        for breach in _compare(name, before[name], after[name], is_received=is_received)
    ]


def _records(tops: list[Schema], defs: Mapping[str, Schema]) -> Schema:
    """What the fields of `tops` refer to, by name; an enumeration has one field without a name."""
    inner = {name for top in tops for name in references(_target(top, defs).get("properties", {}))}
    return {name: _fields(defs[name]) for name in sorted(reachable(inner, defs))}


def _target(reference: Schema, defs: Mapping[str, Schema]) -> Schema:
    return defs[reference["$ref"].rsplit("/", 1)[-1]]


def _fields(schema: Schema) -> Schema:
    if "properties" not in schema:
        return {"": {"required": True, "type": _bare(schema)}} if schema.get("type") != "object" else {}
    required = schema.get("required", [])
    return {
        name: {"required": name in required, "type": _bare(field)}
        for name, field in schema["properties"].items()
    }


def _bare(value: Any) -> Any:
    """A schema without what is only said to people."""
    if isinstance(value, list):
        return [_bare(item) for item in value]
    if isinstance(value, dict):
        return {key: _bare(item) for key, item in value.items() if key not in _ANNOTATIONS}
    return value


def _gone(what: str, promised: Schema, offered: Schema) -> list[str]:
    return [f"{what} `{name}` disappeared" for name in sorted(promised.keys() - offered.keys())]


def _changed(what: str, promised: Schema, offered: Schema) -> list[str]:
    both = sorted(promised.keys() & offered.keys())
    changed = [f"{what} `{name}` changed its meaning" for name in both if promised[name] != offered[name]]
    return _gone(what, promised, offered) + changed


def _call(name: str, promised: Schema, offered: Schema) -> list[str]:
    return [
        *_compare(f"{name} params", promised["params"], offered["params"], is_received=True),
        *_compare(f"{name} result", promised["result"], offered["result"], is_received=False),
    ]


def _compare(where: str, promised: Schema, offered: Schema, *, is_received: bool) -> list[str]:
    found = [f"{where}: `{field}` disappeared" for field in sorted(promised.keys() - offered.keys())]
    for field, now in sorted(offered.items()):
        before = promised.get(field)
        if is_received and now["required"] and not (before and before["required"]):
            found.append(f"{where}: `{field}` became required")
        if before is None:
            continue
        if not is_received and before["required"] and not now["required"]:
            found.append(f"{where}: `{field}` may now be absent")
        if not _still_fits(before["type"], now["type"], is_received=is_received):
            found.append(f"{where}: `{field}` changed its type")
    return found


def _still_fits(before: Any, now: Any, *, is_received: bool) -> bool:
    """Whether a peer that knows the type `before` gets along with `now`."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return bool(before == now)
    if "enum" in before and "enum" in now and not set(before["enum"]) <= set(now["enum"]):
        return False
    for key in (before.keys() | now.keys()) - {"enum"}:
        if key in _UPPER | _LOWER:
            wider, tighter = (now, before) if is_received else (before, now)
            if not _limit_fits(key, tighter.get(key), wider.get(key)):
                return False
        elif key in _UNIONS:
            if not _union_fits(before.get(key), now.get(key), is_received=is_received):
                return False
        elif not _still_fits(before.get(key), now.get(key), is_received=is_received):
            return False
    return ("enum" in before) == ("enum" in now)


def _union_fits(before: Any, now: Any, *, is_received: bool) -> bool:
    # An alternative more is like a value more of an enumeration.
    if before is None or now is None:
        return False
    return all(any(_still_fits(old, new, is_received=is_received) for new in now) for old in before)


def _limit_fits(key: str, tighter: float | None, wider: float | None) -> bool:
    if wider is None:
        return True
    if tighter is None:
        return False
    return tighter <= wider if key in _UPPER else tighter >= wider
