"""The gate of v1: what it refuses and what it lets through."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from protocol.bundle import bundle
from protocol.compatibility import breaches, snapshot

PROMISED = snapshot(bundle())
Change = Callable[[Any], object]


def found_after(change: Change) -> list[str]:
    """What the gate says of the present wire after a change to it."""
    offered = copy.deepcopy(PROMISED)
    change(offered)
    return breaches(PROMISED, offered)


def field(type_: Any, *, required: bool = False) -> dict[str, Any]:
    """A field as the snapshot has it."""
    return {"required": required, "type": type_}


def test_nothing_changed() -> None:
    assert breaches(PROMISED, PROMISED) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s["methods"].pop("run.get"), "method `run.get` disappeared"),
        (lambda s: s["events"].pop("run.failed"), "event kind `run.failed` disappeared"),
        (lambda s: s["notifications"].pop("head"), "notification `head` disappeared"),
        (lambda s: s["error_kinds"].pop("busy"), "error kind `busy` disappeared"),
        (lambda s: s["error_kinds"].update(busy=503), "error kind `busy` changed its meaning"),
        (lambda s: s["close_codes"].pop("4104"), "close code `4104` disappeared"),
        (lambda s: s["close_codes"].update({"4104": "lazy"}), "close code `4104` changed its meaning"),
        (lambda s: s["methods"]["run.get"].update(scope="x"), "run.get: `scope` changed"),
        (lambda s: s["methods"]["run.get"].update(mutating=True), "run.get: `mutating` changed"),
        (
            lambda s: s["methods"]["run.list"]["params"].pop("limit"),
            "run.list params: `limit` disappeared",
        ),
        (
            lambda s: s["methods"]["run.list"]["params"]["limit"].update(required=True),
            "run.list params: `limit` became required",
        ),
        (
            lambda s: s["methods"]["run.list"]["params"].update(x=field({}, required=True)),
            "run.list params: `x` became required",
        ),
        (
            lambda s: s["methods"]["run.list"]["params"]["limit"]["type"].update(type="string"),
            "run.list params: `limit` changed its type",
        ),
        (
            lambda s: s["methods"]["run.list"]["params"]["limit"]["type"].update(maximum=499),
            "run.list params: `limit` changed its type",
        ),
        (
            lambda s: s["methods"]["run.get"]["params"]["run_id"]["type"].update(pattern="^r"),
            "run.get params: `run_id` changed its type",
        ),
        (
            lambda s: s["methods"]["run.cancel"]["params"]["reason"]["type"].update(minLength=1),
            "run.cancel params: `reason` changed its type",
        ),
        (
            lambda s: s["methods"]["thread.list"]["params"]["status"]["type"].update(enum=["active"]),
            "thread.list params: `status` changed its type",
        ),
        (
            lambda s: s["methods"]["message.send"]["result"].pop("seq"),
            "message.send result: `seq` disappeared",
        ),
        (
            lambda s: s["methods"]["message.send"]["result"]["seq"].update(required=False),
            "message.send result: `seq` may now be absent",
        ),
        (
            lambda s: s["methods"]["message.send"]["result"]["seq"]["type"].pop("maximum"),
            "message.send result: `seq` changed its type",
        ),
        (
            lambda s: s["hello"]["params"].update(mood=field({}, required=True)),
            "hello params: `mood` became required",
        ),
        (lambda s: s["events"]["run.failed"].pop("error"), "run.failed: `error` disappeared"),
        (lambda s: s["notifications"]["bye"].pop("code"), "bye: `code` disappeared"),
        (lambda s: s["sent_records"]["Thread"].pop("title"), "Thread: `title` disappeared"),
        (
            lambda s: s["sent_records"]["RunState"][""]["type"]["enum"].remove("waiting"),
            "RunState: `` changed its type",
        ),
        (
            lambda s: s["received_records"]["ResumePoint"]["deltas"].update(required=True),
            "ResumePoint: `deltas` became required",
        ),
        (
            lambda s: s["methods"]["message.send"]["params"]["content"]["type"]["items"]["oneOf"].pop(),
            "message.send params: `content` changed its type",
        ),
        (
            lambda s: s["methods"]["message.send"]["params"]["thread_id"].update(type={"type": "string"}),
            "message.send params: `thread_id` changed its type",
        ),
    ],
)
def test_a_breaking_change_is_named(change: Change, said: str) -> None:
    assert said in found_after(change)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["methods"].update({"run.pause": copy.deepcopy(s["methods"]["run.cancel"])}),
        lambda s: s["events"].update({"weather.changed": {}}),
        lambda s: s["events"]["tool.started"].update(message=field({}, required=True)),
        lambda s: s["notifications"].update({"typing": {}}),
        lambda s: s["error_kinds"].update(lonely=409),
        lambda s: s["close_codes"].update({"4107": "bored"}),
        lambda s: s["methods"]["run.list"]["params"].update(since=field({})),
        lambda s: s["methods"]["run.get"]["params"]["run_id"].update(required=False),
        lambda s: s["methods"]["run.list"]["params"]["limit"]["type"].update(maximum=900),
        lambda s: s["methods"]["run.list"]["params"]["limit"]["type"].pop("minimum"),
        lambda s: s["methods"]["thread.list"]["params"]["status"]["type"]["enum"].append("deleted"),
        lambda s: s["methods"]["message.send"]["params"]["content"]["type"]["items"]["oneOf"].append({}),
        lambda s: s["methods"]["message.send"]["result"].update(cost=field({}, required=True)),
        lambda s: s["methods"]["message.send"]["result"]["seq"]["type"].update(minimum=1),
        lambda s: s["sent_records"]["RunState"][""]["type"]["enum"].append("paused"),
        lambda s: s["sent_records"]["Thread"]["title"]["type"].update(maxLength=100),
    ],
)
def test_an_addition_passes(change: Change) -> None:
    assert found_after(change) == []


def test_words_for_people_are_no_promise() -> None:
    described = bundle()
    described["$defs"]["Run"]["description"] = "Something else"
    described["$defs"]["Run"]["properties"]["queued_at"]["examples"] = []

    assert snapshot(described) == PROMISED
