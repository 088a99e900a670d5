"""Audit entries are found by actor, action, entity, outcome, way and time, alone and together, in order."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_stage import OTHER_ORG, Scene

from protocol.records import Actor, ActorKind
from storage import audit_index
from storage.audit_index import terms
from storage.audit_values import AuditFilter
from storage.store import DEFAULT_ORG

HOUR_MS = 3_600_000
ADA = Actor(id="prn_ada", kind=ActorKind.USER, name="Ada")
EVE = Actor(id="telegram:1002", kind=ActorKind.PERSON, name="Eve")


async def filled(scene: Scene) -> None:
    """Six entries, of two actors, an hour apart."""
    acts = [
        (ADA, "http", "approval.vote", {"approval_id": "apr_1", "run_id": "run_1"}, "success"),
        (EVE, "telegram:gate", "message.send", {"thread_id": "thr_1", "run_id": "run_1"}, "success"),
        (ADA, "http", "approval.decide", {"approval_id": "apr_1"}, "failure"),
        (ADA, "websocket", "token.create", {"token_id": "tok_1"}, "success"),
        (EVE, "telegram:gate", "message.send", {"thread_id": "thr_2", "run_id": "run_2"}, "success"),
        (ADA, "http", "approvals", {"id": "run_1"}, "success"),
    ]
    for number, (actor, via, action, subject, outcome) in enumerate(acts):
        act = replace(scene.act(), actor=actor, via=via, at_ms=number * HOUR_MS)
        await scene.store.audit.record(act, action, subject, outcome, {})


async def found(
    scene: Scene, after: int = 0, limit: int = 10, org_id: str = DEFAULT_ORG, **wanted: object
) -> list[int]:
    entries, _ = await scene.store.audit.find(org_id, AuditFilter(**wanted), after, limit)
    return [entry.seq for entry in entries]


@pytest.mark.parametrize(
    ("wanted", "seqs"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"actor": "prn_ada"}, [1, 3, 4, 6]),
        ({"actor": "telegram:1002"}, [2, 5]),
        ({"actor": "telegram:9"}, []),
        ({"action": "approval.decide"}, [3]),
        ({"action": "approval.*"}, [1, 3]),
        ({"action": "approval"}, []),
        ({"entity": "run_1"}, [1, 2, 6]),
        ({"entity": "run_id:run_1"}, [1, 2]),
        ({"outcome": "failure"}, [3]),
        ({"via": "telegram:gate"}, [2, 5]),
        ({"since_ms": 2 * HOUR_MS}, [3, 4, 5, 6]),
        ({"until_ms": 2 * HOUR_MS}, [1, 2]),
        ({"since_ms": HOUR_MS, "until_ms": 3 * HOUR_MS}, [2, 3]),
        ({"since_ms": HOUR_MS // 2, "until_ms": HOUR_MS}, []),
        ({"since_ms": 100 * HOUR_MS}, []),
        (
            {
                "entity": "run_1",
                "actor": "prn_ada",
                "action": "approval.*",
                "outcome": "success",
                "via": "http",
            },
            [1],
        ),
        ({"entity": "run_1", "outcome": "success", "since_ms": HOUR_MS}, [2, 6]),
    ],
)
async def test_entries_are_found(scene: Scene, wanted: dict[str, object], seqs: list[int]) -> None:
    await filled(scene)
    assert await found(scene, **wanted) == seqs


async def test_pages_follow_one_another(scene: Scene) -> None:
    await filled(scene)
    page, cursor = await scene.store.audit.find(DEFAULT_ORG, AuditFilter(actor="prn_ada"), 0, 3)
    assert ([entry.seq for entry in page], cursor) == ([1, 3, 4], "4")
    rest, cursor = await scene.store.audit.find(DEFAULT_ORG, AuditFilter(actor="prn_ada"), 4, 3)
    assert ([entry.seq for entry in rest], cursor) == ([6], None)


async def test_another_organization_finds_nothing(scene: Scene) -> None:
    await filled(scene)
    for wanted in ({"actor": "prn_ada"}, {"entity": "run_1"}, {"since_ms": 0}, {}):
        assert await found(scene, org_id=OTHER_ORG, **wanted) == []


async def test_what_came_since_the_last_look_is_found_too(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_index, "GROW_MAX", 2)
    await filled(scene)
    assert await found(scene, outcome="failure") == [3]
    await scene.store.audit.record(replace(scene.act(), at_ms=9 * HOUR_MS), "login", {}, "failure", {})
    assert await found(scene, outcome="failure") == [3, 7]
    groups = scene.store.engine.stats.groups
    assert await found(scene, outcome="failure") == [3, 7]
    assert scene.store.engine.stats.groups == groups, "nothing is written where there is nothing to index"


async def test_a_clock_that_was_set_back_hides_nothing(scene: Scene) -> None:
    for hour in (5, 1, 6, 2):
        act = replace(scene.act(), at_ms=hour * HOUR_MS)
        await scene.store.audit.record(act, "login", {}, "success", {})
    assert await found(scene, action="login", since_ms=2 * HOUR_MS, until_ms=6 * HOUR_MS) == [1, 6]
    assert await found(scene, action="login", since_ms=6 * HOUR_MS) == [4]


@given(
    action=st.lists(st.text("ab", min_size=1, max_size=2), min_size=1, max_size=4).map(".".join),
    subject=st.dictionaries(st.text("k", min_size=1), st.text(max_size=3), max_size=3),
)
def test_every_term_of_an_entry_says_what_is_in_it(action: str, subject: dict[str, str]) -> None:
    body = {"actor": {"id": "x"}, "action": action, "subject": subject, "outcome": "success", "via": "cli"}
    for field, value in terms(body):
        if field == "action":
            assert action == value or (value.endswith(".*") and action.startswith(value[:-1]))
        if field == "entity":
            assert value in subject.values() or value.partition(":")[0] in subject
