"""Audit entries as OCSF events: what version 1.3.0 of the schema requires of each class.

The table is made from events/base_event.json, events/iam/*.json, events/application/api_activity.json and
objects/{metadata,product,actor,user,endpoint,api}.json of https://github.com/ocsf/ocsf-schema (read 2026-11).
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules import ocsf

BASE = {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"}
REQUIRED = {
    0: BASE,
    3001: BASE | {"user"},
    3002: BASE | {"user", "service"},
    3003: BASE | {"user"},
    3004: BASE | {"entity"},
    6003: BASE | {"actor", "api", "src_endpoint"},
}
ACTIVITIES = {
    0: {99},
    3001: {*range(1, 12), 99},
    3002: {*range(1, 6), 99},
    3003: {1, 2, 99},
    3004: {1, 2, 3, 4, 99},
    6003: {1, 2, 3, 4, 99},
}
CLASSES = {
    "login": 3002,
    "user.save": 3001,
    "token.create": 3001,
    "token.revoke": 3001,
    "approval.decide": 3003,
    "pairing.approve": 3003,
    "device.revoke": 3004,
    "agent.switch": 3004,
    "key.rotated": 3004,
    "message.send": 6003,
    "thread.delete": 6003,
    "audit.export": 6003,
    "data.erase": 6003,
    "something.new": 0,
}


def entry(action: str, **changes: Any) -> dict[str, Any]:
    return {
        "v": 2,
        "log_id": "epo_1",
        "epoch": 2,
        "seq": 7,
        "at": "2026-11-21T09:30:00.123Z",
        "org_id": "org_default",
        "actor": {"id": "prn_ada", "kind": "user", "token_id": "tok_1"},
        "via": "http",
        "action": action,
        "outcome": "success",
        "subject": {"thread_id": "thr_1"},
        "detail": {"count": 1},
        "prev": "00",
        **changes,
    }


def check(event: dict[str, Any]) -> None:
    class_uid = event["class_uid"]
    assert REQUIRED[class_uid] <= event.keys()
    assert event["category_uid"] == class_uid // 1000
    assert event["activity_id"] in ACTIVITIES[class_uid]
    assert event["type_uid"] == class_uid * 100 + event["activity_id"]
    assert event["activity_id"] != 99 or event["activity_name"], "what the class does not name is named"
    assert event["severity_id"] in range(7) and event["status_id"] in (1, 2)
    assert isinstance(event["time"], int)
    assert {"product", "version"} <= event["metadata"].keys()
    assert {"name", "vendor_name"} <= event["metadata"]["product"].keys()
    for name in ("user", "entity", "src_endpoint"):
        if name in event:
            assert event[name].get("uid") or event[name].get("name"), f"{name} says which"
    if "api" in event:
        assert event["api"]["operation"]


@pytest.mark.parametrize("action", CLASSES)
@pytest.mark.parametrize("outcome", ["success", "failure"])
def test_an_event_has_what_its_class_requires(action: str, outcome: str) -> None:
    event = ocsf.event(entry(action, outcome=outcome, reason="expired"), "abc", "1.0")
    check(event)
    assert event["class_uid"] == CLASSES[action]
    assert event["status_id"] == (1 if outcome == "success" else 2)
    assert event["status_detail"] == "expired"


@given(
    action=st.text(st.characters(categories=["Ll"]) | st.just("."), min_size=1, max_size=20),
    subject=st.dictionaries(st.text(min_size=1, max_size=5), st.text(min_size=1, max_size=5), max_size=3),
    version=st.sampled_from([1, 2]),
)
def test_any_entry_becomes_an_event(action: str, subject: dict[str, str], version: int) -> None:
    body = entry(action, subject=subject, v=version)
    if version == 1:
        body = {name: value for name, value in body.items() if name not in ("log_id", "epoch")}
    check(ocsf.event(body, "abc", "1.0"))


def test_an_event_leads_back_to_its_entry() -> None:
    event = ocsf.event(entry("message.send"), "abc", "1.0")
    assert event["time"] == 1_795_253_400_123
    assert event["metadata"]["uid"] == "epo_1/2/7" and event["metadata"]["sequence"] == 7
    assert event["metadata"]["tenant_uid"] == "org_default"
    assert event["actor"]["user"] == {"uid": "prn_ada", "type": "user", "credential_uid": "tok_1"}
    assert event["resources"] == [{"uid": "thr_1", "type": "thread_id"}]
    assert event["unmapped"]["hash"] == "abc" and event["unmapped"]["detail"] == {"count": 1}


def test_what_an_auditor_wants_to_be_woken_for_is_severe() -> None:
    severities = [
        ocsf.event(entry(action), "", "")["severity_id"] for action in ("message.send", "audit.epoch")
    ]
    assert severities == [1, 4]
    assert ocsf.event(entry("login", outcome="failure"), "", "")["severity_id"] == 2
