"""The OpenAPI document: every method, every status of every kind, and valid schemas."""

import pytest
from jsonschema import Draft202012Validator

from protocol.errors import HTTP_STATUS, ErrorKind
from protocol.methods import METHODS, Method
from protocol.openapi import needs_connection, openapi, statuses

DOCUMENT = openapi()
SCHEMAS = DOCUMENT["components"]["schemas"]
ROWS = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())


def test_every_component_is_a_valid_schema() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)


@ROWS
def test_each_method_is_a_post_with_its_params_and_result(method: Method) -> None:
    operation = DOCUMENT["paths"][f"/v1/{method.name}"]["post"]

    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": f"#/components/schemas/{method.params.__name__}"}
    assert method.params.__name__ in SCHEMAS
    if needs_connection(method):
        assert "200" not in operation["responses"]
    else:
        result = operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert result == {"$ref": f"#/components/schemas/{method.result.__name__}"}
        assert method.result.__name__ in SCHEMAS


@ROWS
def test_mutating_methods_take_the_idempotency_header(method: Method) -> None:
    operation = DOCUMENT["paths"][f"/v1/{method.name}"]["post"]

    headers = [parameter["$ref"].rsplit("/", 1)[-1] for parameter in operation.get("parameters", [])]
    assert headers == (["IdempotencyKey"] if method.mutating else [])


@ROWS
def test_every_status_of_a_kind_is_a_problem_response(method: Method) -> None:
    responses = DOCUMENT["paths"][f"/v1/{method.name}"]["post"]["responses"]

    for kind in ErrorKind:
        response = responses[str(HTTP_STATUS[kind])]["$ref"].rsplit("/", 1)[-1]
        assert f"`{kind.value}`" in DOCUMENT["components"]["responses"][response]["description"]
    assert {"400", "422"} <= responses.keys()
    assert all(str(status) in responses for status in statuses())


def test_a_problem_has_the_members_of_rfc_9457_and_of_the_error_data() -> None:
    problem = SCHEMAS["Problem"]

    assert {"type", "title", "status", "detail", "kind", "retryable"} <= set(problem["required"])
    example = {
        "type": "urn:threadgate:error:busy",
        "title": "busy",
        "status": 409,
        "detail": "The thread is busy",
        "kind": "busy",
        "retryable": True,
    }
    schema = {"$ref": "#/components/schemas/Problem", "components": {"schemas": SCHEMAS}}
    Draft202012Validator(schema).validate(example)
    assert not Draft202012Validator(schema).is_valid({**example, "kind": "sunshine"})


def test_the_other_paths() -> None:
    others = DOCUMENT["paths"].keys() - {f"/v1/{name}" for name in METHODS}

    assert others == {
        "/v1/threads/{thread_id}/events",
        "/v1/blobs",
        "/v1/blobs/{blob_id}",
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/openapi.json",
        "/v1/asyncapi.json",
        "/v1/schema.json",
    }


def test_everything_but_probes_and_documents_needs_a_token() -> None:
    assert DOCUMENT["security"] == [{"token": []}]
    unprotected = {
        path
        for path, item in DOCUMENT["paths"].items()
        for operation in item.values()
        if operation.get("security") == []
    }
    assert unprotected == {"/healthz", "/readyz", "/metrics"} | {
        f"/v1/{name}.json" for name in ("openapi", "asyncapi", "schema")
    }


def test_the_event_stream_names_its_events() -> None:
    stream = DOCUMENT["paths"]["/v1/threads/{thread_id}/events"]["get"]

    assert set(stream["x-events"]) == {"event", "delta", "snapshot", "subscription"}
    assert {"after_seq", "Last-Event-ID"} <= {parameter["name"] for parameter in stream["parameters"]}
