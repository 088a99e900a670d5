"""Roles: which scopes each has and what it means, that nobody hands out others, and that every scope is of use."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.scopes import ROLE_SCOPES, effective, require, require_grant
from protocol.errors import ErrorKind, Fault
from protocol.methods import METHODS, Method
from protocol.records import Role
from protocol.scopes import Scope

SELF = {"server.read", "self.read"}
READING = SELF | {
    "thread.read",
    "run.read",
    "agent.read",
    "channel.read",
    "approval.read",
    "delivery.read",
    "device.read",
}
DEVELOPING = READING | {"thread.write", "message.send", "run.control", "agent.control", "usage.read"}
OPERATING = DEVELOPING | {
    "approval.decide",
    "pairing.read",
    "pairing.approve",
    "delivery.control",
    "audit.read",
    "device.invoke",
    "device.control",
    "agent.switch",
    "user.read",
}
ADMINISTERING = OPERATING | {
    "thread.delete",
    "token.read",
    "token.write",
    "user.write",
    "audit.export",
    "retention.run",
}
MACHINES = {"agent.serve", "device.serve"}
SCOPES = {
    Role.VIEWER: READING,
    Role.DEVELOPER: DEVELOPING,
    Role.APPROVER: READING | {"approval.decide", "pairing.read"},
    Role.OPERATOR: OPERATING,
    Role.AUDITOR: SELF | {"audit.read", "audit.export", "approval.read", "usage.read", "user.read"},
    Role.ADMIN: ADMINISTERING,
    Role.OWNER: ADMINISTERING | {"data.erase"},
    Role.DEVICE: SELF | {"device.serve"},
    Role.AGENT: SELF | {"agent.serve"},
}
ACCESS = Path(__file__).parents[3] / "docs" / "access.md"
CONTENT = {"thread.read", "run.read", "thread.write", "message.send", "thread.delete"}
"""What shows or changes conversations."""
ROUTES = {"audit.export": "GET /v1/audit/export"}
"""Scopes that only an HTTP route asks for."""
OF_CONNECTIONS = {"device.serve"}
"""What a connection of role device holds; no method asks for it."""


@pytest.mark.parametrize("role", list(Role))
def test_a_role_has_these_scopes_and_no_other(role: Role) -> None:
    assert {scope.value for scope in ROLE_SCOPES[role]} == SCOPES[role]


def test_each_role_may_do_what_the_lesser_one_may() -> None:
    ladder = [Role.VIEWER, Role.DEVELOPER, Role.OPERATOR, Role.ADMIN, Role.OWNER]
    for lesser, greater in itertools.pairwise(ladder):
        assert ROLE_SCOPES[lesser] < ROLE_SCOPES[greater]
    assert ROLE_SCOPES[Role.VIEWER] < ROLE_SCOPES[Role.APPROVER] < ROLE_SCOPES[Role.OPERATOR]


def test_an_approver_decides_and_does_nothing_else() -> None:
    more = ROLE_SCOPES[Role.APPROVER] - ROLE_SCOPES[Role.VIEWER]
    assert more == {Scope.APPROVAL_DECIDE, Scope.PAIRING_READ}


def test_an_auditor_sees_what_was_done_but_no_conversation() -> None:
    assert not {scope.value for scope in ROLE_SCOPES[Role.AUDITOR]} & CONTENT
    assert Scope.AUDIT_EXPORT in ROLE_SCOPES[Role.AUDITOR]


def test_only_an_owner_erases_people() -> None:
    assert [role for role in Role if Scope.DATA_ERASE in ROLE_SCOPES[role]] == [Role.OWNER]


def test_only_owners_and_admins_delete_and_hand_out_access() -> None:
    for scope in (Scope.TOKEN_WRITE, Scope.USER_WRITE, Scope.THREAD_DELETE):
        assert [role for role in Role if scope in ROLE_SCOPES[role]] == [Role.OWNER, Role.ADMIN]


@pytest.mark.parametrize("role", [Role.AGENT, Role.DEVICE])
def test_a_machine_serves_and_reads_nothing(role: Role) -> None:
    assert len({scope.value for scope in ROLE_SCOPES[role]} & MACHINES) == 1
    assert {scope.value for scope in ROLE_SCOPES[role]} <= SELF | MACHINES


def test_no_person_is_a_machine() -> None:
    for role in set(Role) - {Role.AGENT, Role.DEVICE}:
        assert not {scope.value for scope in ROLE_SCOPES[role]} & MACHINES


def test_every_scope_is_asked_for_by_a_method_or_a_route() -> None:
    asked = {method.scope.value for method in METHODS.values()} | ROUTES.keys() | OF_CONNECTIONS
    assert asked == {scope.value for scope in Scope}, "a scope that nothing asks for says nothing"


@pytest.mark.parametrize("method", list(METHODS.values()), ids=lambda method: method.name)
def test_an_owner_may_call_every_method_but_those_of_machines(method: Method) -> None:
    assert (method.scope in ROLE_SCOPES[Role.OWNER]) != (method.scope.value in MACHINES)
    assert any(method.scope in scopes for scopes in ROLE_SCOPES.values())


@pytest.mark.parametrize("method", list(METHODS.values()), ids=lambda method: method.name)
def test_a_viewer_changes_nothing_but_who_they_are_elsewhere(method: Method) -> None:
    if method.mutating and method.scope is not Scope.SELF_READ:
        with pytest.raises(Fault):
            require(ROLE_SCOPES[Role.VIEWER], method.scope)


@pytest.mark.parametrize("scope", list(Scope))
def test_a_missing_scope_is_named(scope: Scope) -> None:
    for scopes in (frozenset(), frozenset(Scope) - {scope}):
        with pytest.raises(Fault) as caught:
            require(scopes, scope)
        assert caught.value.kind is ErrorKind.FORBIDDEN
        assert caught.value.data["scope"] == scope.value
        assert not caught.value.data["retryable"]
    require(frozenset({scope}), scope)


def test_the_table_in_the_documentation_is_true() -> None:
    lines = [line.split("|")[1:-1] for line in ACCESS.read_text().splitlines() if line.startswith("|")]
    begin = next(number for number, cells in enumerate(lines) if cells[0].strip() == "scope")
    roles = [Role(cell.strip()) for cell in lines[begin][1:]]
    assert set(roles) == set(Role)
    shown: dict[Role, set[str]] = {role: set() for role in roles}
    for cells in lines[begin + 2 :]:
        for role, cell in zip(roles, cells[1:], strict=True):
            if cell.strip():
                shown[role].add(cells[0].strip(" `"))
    assert shown == SCOPES


# --- handing out ------------------------------------------------------------------------------------

SETS = st.frozensets(st.sampled_from(list(Scope)))


@given(held=SETS, wanted=SETS)
def test_nobody_hands_out_what_they_do_not_hold(held: frozenset[Scope], wanted: frozenset[Scope]) -> None:
    missing = {scope for scope in wanted - held if scope.value not in MACHINES}
    if not missing:
        require_grant(held, wanted)
        return
    with pytest.raises(Fault) as caught:
        require_grant(held, wanted)
    assert caught.value.kind is ErrorKind.FORBIDDEN
    assert caught.value.data["scope"] in {scope.value for scope in missing}


@given(role=st.sampled_from(list(Role)), other=st.sampled_from(list(Role)))
def test_a_token_may_what_both_it_and_its_principal_may(role: Role, other: Role) -> None:
    assert effective(role, other) == ROLE_SCOPES[role] & ROLE_SCOPES[other]
    assert effective(role, None) == ROLE_SCOPES[role]


def test_an_admin_makes_no_owner_and_an_owner_makes_agents() -> None:
    with pytest.raises(Fault) as caught:
        require_grant(ROLE_SCOPES[Role.ADMIN], ROLE_SCOPES[Role.OWNER])
    assert caught.value.data["scope"] == "data.erase"
    require_grant(ROLE_SCOPES[Role.OWNER], ROLE_SCOPES[Role.AGENT])
