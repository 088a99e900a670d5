"""The AsyncAPI document: whole, and every reference in it leads somewhere."""

from typing import Any

import pytest

from protocol.asyncapi import asyncapi
from protocol.events import NOTIFICATIONS
from protocol.methods import METHODS

DOCUMENT = asyncapi()


def resolve(pointer: str) -> Any:
    """The value a local reference points to. Raises KeyError when there is none."""
    value: Any = DOCUMENT
    for step in pointer.removeprefix("#/").split("/"):
        value = value[step]
    return value


def pointers(value: Any) -> list[str]:
    """Every reference in a JSON value."""
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for item in value.values() for found in pointers(item)]
    return [found for item in value for found in pointers(item)] if isinstance(value, list) else []


def test_every_reference_leads_somewhere() -> None:
    found = pointers(DOCUMENT)

    assert found
    assert all(resolve(pointer) is not None for pointer in found)


def test_version_and_address() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT["channels"]["gateway"]["address"] == "/v1/ws"
    required = DOCUMENT["channels"]["gateway"]["bindings"]["ws"]["headers"]
    assert required["properties"]["Sec-WebSocket-Protocol"] == {"const": "threadgate.v1"}


@pytest.mark.parametrize("name", ["hello", *METHODS])
def test_each_method_is_received_and_replied_to(name: str) -> None:
    operation = DOCUMENT["operations"][name]

    assert operation["action"] == "receive"
    request, *_ = operation["messages"]
    replies = [pointer["$ref"].rsplit("/", 1)[-1] for pointer in operation["reply"]["messages"]]
    assert resolve(resolve(request["$ref"])["$ref"])["payload"]["$ref"].endswith(f"/request.{name}")
    assert replies == [f"response.{name}", "error"]


@pytest.mark.parametrize("name", NOTIFICATIONS)
def test_each_notification_is_sent(name: str) -> None:
    operation = DOCUMENT["operations"][f"notify.{name}"]

    assert operation["action"] == "send"
    assert "reply" not in operation
    assert operation["summary"]


def test_the_gateway_asks_agent_processes_and_hears_them() -> None:
    operations = DOCUMENT["operations"]

    assert [operations[name]["action"] for name in ("run.execute", "run.output")] == ["send", "receive"]
    assert operations["run.execute"]["reply"]["messages"][0]["$ref"].endswith("/response.run.execute")
    assert operations["notify.run.cancel"]["action"] == "send"
    assert operations["run.cancel"]["action"] == "receive", "the method of clients is another thing"


def test_the_credential_is_not_in_the_url() -> None:
    (security,) = DOCUMENT["servers"]["gateway"]["security"]

    assert resolve(security["$ref"])["in"] == "password"
