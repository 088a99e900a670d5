"""Roles as sets of scopes. Scopes come from here and the server's records alone, never from a request."""

from typing import Final

from protocol.errors import ErrorKind, Fault
from protocol.records import Role
from protocol.scopes import Scope

_READ: Final = frozenset(
    {
        Scope.SERVER_READ,
        Scope.THREAD_READ,
        Scope.RUN_READ,
        Scope.AGENT_READ,
        Scope.CHANNEL_READ,
        Scope.APPROVAL_READ,
        Scope.DELIVERY_READ,
    }
)
_OPERATE: Final = _READ | {
    Scope.THREAD_WRITE,
    Scope.MESSAGE_SEND,
    Scope.RUN_CONTROL,
    Scope.AGENT_CONTROL,
    Scope.APPROVAL_DECIDE,
    Scope.PAIRING_READ,
    Scope.PAIRING_APPROVE,
    Scope.DELIVERY_CONTROL,
    Scope.AUDIT_READ,
}

ROLE_SCOPES: Final = {
    Role.VIEWER: _READ,
    Role.OPERATOR: _OPERATE,
    Role.OWNER: frozenset(Scope) - {Scope.AGENT_SERVE},
    Role.AGENT: frozenset({Scope.SERVER_READ, Scope.AGENT_SERVE}),
}
"""Who may read, who may act, who may also delete and hand out access; and agent processes, which may answer."""


def require(scopes: frozenset[Scope], needed: Scope) -> None:
    """Raise Fault forbidden, naming the missing scope, unless `needed` is among `scopes`."""
    if needed not in scopes:
        raise Fault(
            ErrorKind.FORBIDDEN,
            f"This needs the scope {needed.value}",
            hint="Ask an owner for a token with a role that has it",
            scope=needed.value,
        )
