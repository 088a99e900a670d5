"""An audit entry as an event of the Open Cybersecurity Schema Framework, for security tools. Pure.

Version 1.3 of the schema (https://schema.ocsf.io/1.3.0, read 2026-11): https://github.com/ocsf/ocsf-schema. What has no
place in a class stands under `unmapped`, as the schema wants it.
"""

from collections.abc import Mapping
from typing import Any, Final

from protocol.instants import from_instant

SCHEMA_VERSION: Final = "1.3.0"
BASE_EVENT: Final = 0
ACCOUNT_CHANGE: Final = 3001
AUTHENTICATION: Final = 3002
AUTHORIZE_SESSION: Final = 3003
ENTITY_MANAGEMENT: Final = 3004
API_ACTIVITY: Final = 6003
OTHER: Final = 99
"""An activity that the class does not name; `activity_name` does."""
INFORMATIONAL, LOW, HIGH = 1, 2, 4
SUCCESS, FAILURE = 1, 2

_CLASSES: Final = {
    AUTHENTICATION: ("login", "auth", "session"),
    ACCOUNT_CHANGE: ("user", "token", "organization"),
    AUTHORIZE_SESSION: ("approval", "grant", "pairing"),
    ENTITY_MANAGEMENT: (
        "device",
        "agent",
        "channel",
        "key",
        "retention",
        "hold",
        "budget",
        "policy",
        "clock",
    ),
    API_ACTIVITY: (
        "thread",
        "message",
        "run",
        "question",
        "blob",
        "delivery",
        "audit",
        "data",
        "command",
        "usage",
    ),
}
"""Class of an action by its first word; others are base events."""
_CLASS_OF: Final = {word: class_uid for class_uid, words in _CLASSES.items() for word in words}
_CREATE: Final = ("create", "send", "upload", "request", "ask", "retry", "made")
_READ: Final = ("export", "reveal", "list", "get", "search", "preview")
_UPDATE: Final = (
    "update",
    "save",
    "rename",
    "assign",
    "archive",
    "restore",
    "decide",
    "vote",
    "edit",
    "switch",
    "reload",
)
_DELETE: Final = ("delete", "revoke", "erase", "cancel", "cancelled", "expire", "forget")
_CRUD: Final = {
    verb: number for number, verbs in enumerate((_CREATE, _READ, _UPDATE, _DELETE), start=1) for verb in verbs
}
_ACTIVITIES: Final[Mapping[int, Mapping[str, int]]] = {
    AUTHENTICATION: {"login": 1, "logout": 2},
    ACCOUNT_CHANGE: {"create": 1, "save": 1, "enable": 2, "disable": 5, "revoke": 5, "delete": 6, "link": 7},
    AUTHORIZE_SESSION: {"approve": 1, "decide": 1, "vote": 1, "grant": 1},
    ENTITY_MANAGEMENT: _CRUD,
    API_ACTIVITY: _CRUD,
}
"""Number of an activity in its class, by the action's last word."""
_ALARMING: Final = frozenset({"audit.epoch", "clock.jump", "key.rotated"})
"""What an auditor wants to be woken for."""
_PEOPLE: Final = (("user_id", "user"), ("principal_id", "principal"), ("token_id", "token"), ("id", ""))


def event(body: Mapping[str, Any], entry_hash: str, product_version: str) -> dict[str, Any]:
    """The event of an entry, from its body as it was sealed; `entry_hash` finds the entry in the log again."""
    action: str = body["action"]
    words = action.split(".")
    class_uid = _CLASS_OF.get(words[0], BASE_EVENT)
    activity = _ACTIVITIES.get(class_uid, {}).get(words[-1], OTHER)
    is_success = body["outcome"] == "success"
    made = {
        "class_uid": class_uid,
        "category_uid": class_uid // 1000,
        "activity_id": activity,
        "activity_name": action,
        "type_uid": class_uid * 100 + activity,
        "severity_id": HIGH if action in _ALARMING else INFORMATIONAL if is_success else LOW,
        "status_id": SUCCESS if is_success else FAILURE,
        "status": "Success" if is_success else "Failure",
        "time": from_instant(body["at"]),
        "metadata": _metadata(body, product_version),
        "actor": {"user": _user(body["actor"]), "invoked_by": body["via"]},
        "unmapped": _unmapped(body, entry_hash),
    }
    if reason := body.get("reason"):
        made["status_detail"] = reason
    return made | _of_class(class_uid, body, action)


def _metadata(body: Mapping[str, Any], product_version: str) -> dict[str, Any]:
    log_id, epoch, seq = body.get("log_id", ""), body.get("epoch", 1), body["seq"]
    return {
        "version": SCHEMA_VERSION,
        "product": {"name": "Threadgate", "vendor_name": "Threadgate", "version": product_version},
        "uid": f"{log_id}/{epoch}/{seq}",
        "sequence": seq,
        "log_name": log_id or "audit",
        "tenant_uid": body["org_id"],
        "original_time": body["at"],
    }


def _user(actor: Mapping[str, Any]) -> dict[str, Any]:
    user = {"uid": actor["id"], "type": actor["kind"]}
    if token_id := actor.get("token_id"):
        user["credential_uid"] = token_id
    return user


def _of_class(class_uid: int, body: Mapping[str, Any], action: str) -> dict[str, Any]:
    """What the class requires besides."""
    subject: Mapping[str, str] = body["subject"]
    source = {"src_endpoint": {"name": body["via"]}}
    match class_uid:
        case 3001 | 3003:
            return {"user": _whose(subject, body), **source}
        case 3002:
            return {"user": _user(body["actor"]), "service": {"name": "threadgate"}, **source}
        case 3004:
            return {"entity": _entity(subject, action)}
        case 6003:
            resources = [{"uid": value, "type": kind} for kind, value in subject.items()]
            return {"api": {"operation": action}, "resources": resources, **source}
    return {"message": action}


def _whose(subject: Mapping[str, str], body: Mapping[str, Any]) -> dict[str, Any]:
    for name, kind in _PEOPLE:
        if name in subject:
            return {"uid": subject[name], "type": kind or action_family(body["action"])}
    return _user(body["actor"])


def _entity(subject: Mapping[str, str], action: str) -> dict[str, str]:
    for kind, value in subject.items():
        return {"uid": value, "type": kind.removesuffix("_id") if kind != "id" else action_family(action)}
    return {"name": action_family(action)}


def action_family(action: str) -> str:
    """The first word of an action: `approval` of `approval.decide`."""
    return action.partition(".")[0]


def _unmapped(body: Mapping[str, Any], entry_hash: str) -> dict[str, Any]:
    kept = {
        name: body[name] for name in ("detail", "subject", "policy", "content", "address") if body.get(name)
    }
    return {**kept, "hash": entry_hash, "seq": body["seq"], "epoch": body.get("epoch", 1)}
