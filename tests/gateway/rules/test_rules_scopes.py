"""Roles: which scopes each has, and that every method can be called by somebody."""

import pytest

from gateway.rules.scopes import ROLE_SCOPES, require
from protocol.errors import ErrorKind, Fault
from protocol.methods import METHODS, Method
from protocol.records import Role
from protocol.scopes import Scope

READING = {
    "server.read",
    "thread.read",
    "run.read",
    "agent.read",
    "channel.read",
    "approval.read",
    "delivery.read",
}
OPERATING = READING | {
    "thread.write",
    "message.send",
    "run.control",
    "agent.control",
    "approval.decide",
    "delivery.control",
    "pairing.read",
    "pairing.approve",
    "audit.read",
}
OWNING = OPERATING | {"thread.delete", "token.read", "token.write"}


@pytest.mark.parametrize(
    ("role", "scopes"),
    [
        (Role.VIEWER, READING),
        (Role.OPERATOR, OPERATING),
        (Role.OWNER, OWNING),
        (Role.AGENT, {"server.read", "agent.serve"}),
    ],
)
def test_a_role_has_these_scopes_and_no_other(role: Role, scopes: set[str]) -> None:
    assert {scope.value for scope in ROLE_SCOPES[role]} == scopes


def test_every_role_has_its_scopes() -> None:
    assert ROLE_SCOPES.keys() == set(Role)


def test_each_role_may_do_what_the_lesser_one_may() -> None:
    assert ROLE_SCOPES[Role.VIEWER] < ROLE_SCOPES[Role.OPERATOR] < ROLE_SCOPES[Role.OWNER]


@pytest.mark.parametrize("method", list(METHODS.values()), ids=lambda method: method.name)
def test_an_owner_may_call_every_method_but_those_of_agent_processes(method: Method) -> None:
    is_of_agents = method.scope is Scope.AGENT_SERVE
    require(ROLE_SCOPES[Role.AGENT if is_of_agents else Role.OWNER], method.scope)
    assert (method.scope in ROLE_SCOPES[Role.OWNER]) != is_of_agents, "an owner is no agent process"


@pytest.mark.parametrize("method", list(METHODS.values()), ids=lambda method: method.name)
def test_a_viewer_changes_nothing(method: Method) -> None:
    if method.mutating:
        with pytest.raises(Fault):
            require(ROLE_SCOPES[Role.VIEWER], method.scope)


def test_only_an_owner_deletes_and_hands_out_access() -> None:
    for name in ("thread.delete", "token.create", "token.list", "token.revoke"):
        with pytest.raises(Fault):
            require(ROLE_SCOPES[Role.OPERATOR], METHODS[name].scope)


@pytest.mark.parametrize("scope", list(Scope))
def test_a_missing_scope_is_named(scope: Scope) -> None:
    for scopes in (frozenset(), frozenset(Scope) - {scope}):
        with pytest.raises(Fault) as caught:
            require(scopes, scope)
        assert caught.value.kind is ErrorKind.FORBIDDEN
        assert caught.value.data["scope"] == scope.value
        assert not caught.value.data["retryable"]
    require(frozenset({scope}), scope)
