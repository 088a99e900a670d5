"""Roles as sets of scopes. Scopes come from here and the server's records alone, never from a request."""

from typing import Final

from protocol.errors import ErrorKind, Fault
from protocol.records import Role
from protocol.scopes import Scope

_SELF: Final = frozenset({Scope.SERVER_READ, Scope.SELF_READ})
_READ: Final = _SELF | {
    Scope.THREAD_READ,
    Scope.RUN_READ,
    Scope.AGENT_READ,
    Scope.CHANNEL_READ,
    Scope.APPROVAL_READ,
    Scope.DELIVERY_READ,
    Scope.DEVICE_READ,
}
_DEVELOP: Final = _READ | {
    Scope.THREAD_WRITE,
    Scope.MESSAGE_SEND,
    Scope.RUN_CONTROL,
    Scope.AGENT_CONTROL,
    Scope.USAGE_READ,
}
_OPERATE: Final = _DEVELOP | {
    Scope.APPROVAL_DECIDE,
    Scope.PAIRING_READ,
    Scope.PAIRING_APPROVE,
    Scope.DELIVERY_CONTROL,
    Scope.AUDIT_READ,
    Scope.DEVICE_INVOKE,
    Scope.DEVICE_CONTROL,
    Scope.AGENT_SWITCH,
    Scope.USER_READ,
}
_MACHINES: Final = frozenset({Scope.AGENT_SERVE, Scope.DEVICE_SERVE})
"""What only agent processes and devices may."""

ROLE_SCOPES: Final = {
    Role.VIEWER: _READ,
    Role.DEVELOPER: _DEVELOP,
    Role.APPROVER: _READ | {Scope.APPROVAL_DECIDE, Scope.PAIRING_READ},
    Role.OPERATOR: _OPERATE,
    Role.AUDITOR: _SELF
    | {Scope.AUDIT_READ, Scope.AUDIT_EXPORT, Scope.APPROVAL_READ, Scope.USAGE_READ, Scope.USER_READ},
    Role.ADMIN: frozenset(Scope) - _MACHINES - {Scope.DATA_ERASE},
    Role.OWNER: frozenset(Scope) - _MACHINES,
    Role.DEVICE: _SELF | {Scope.DEVICE_SERVE},
    Role.AGENT: _SELF | {Scope.AGENT_SERVE},
}
"""Who may read, act, decide, hand out access, erase; auditors see what was done but no conversation. A device holds
besides what whoever paired it chose."""


_BOTH: Final = {(one, other): ROLE_SCOPES[one] & ROLE_SCOPES[other] for one in Role for other in Role}
"""Asked for at every request: a look, not an intersection."""


def effective(role: Role, principal_role: Role | None) -> frozenset[Scope]:
    """What a token of `role` may that speaks for a principal of `principal_role`: what both may."""
    return ROLE_SCOPES[role] if principal_role is None else _BOTH[role, principal_role]


def require_grant(held: frozenset[Scope], wanted: frozenset[Scope]) -> None:
    """Raise Fault forbidden, naming the first missing scope, unless who holds `held` may hand out, or take, `wanted`.

    Nobody hands out what they do not hold. What only machines may is held by no person; the method by which it is
    handed out has a scope of its own for that.
    """
    missing = wanted - held - _MACHINES
    if missing:
        scope = min(missing)
        raise Fault(
            ErrorKind.FORBIDDEN,
            f"Nobody gives or takes what they do not hold: {scope.value}",
            hint="Ask somebody who holds it",
            scope=scope.value,
        )


def require(scopes: frozenset[Scope], needed: Scope) -> None:
    """Raise Fault forbidden, naming the missing scope, unless `needed` is among `scopes`."""
    if needed not in scopes:
        raise Fault(
            ErrorKind.FORBIDDEN,
            f"This needs the scope {needed.value}",
            hint="Ask an owner for a token with a role that has it",
            scope=needed.value,
        )
