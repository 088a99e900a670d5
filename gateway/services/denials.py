"""Denials: credentials and scopes that were refused, as entries of the audit log, a bounded number of them.

The first few of an address (or a principal) and minute have an entry each; the others are counted, and the count is one
entry when housekeeping comes by. A flood of bad tokens fills neither the log nor the memory, and is still told of.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from gateway.clock import Clock
from storage.audit_ports import AuditStore
from storage.errors import StoreUnavailable
from storage.values import DEFAULT_ORG, GATEWAY, Act

log = structlog.get_logger()

ENTRIES_PER_MINUTE: Final = 5
"""Entries of their own for one source: enough to see what it tries, too few to fill a disk (7,200 a day)."""
SOURCES_MAX: Final = 1_000
"""Sources that are told apart within a minute; all others are one."""
OTHERS: Final = "others"
UNKNOWN: Final = "unknown"
AUTH: Final = "auth.refuse"
SCOPE: Final = "scope.refuse"


@dataclass(slots=True)
class _Source:
    """What one source was refused since the counts were written."""

    written: int = 0
    counted: int = 0
    reasons: set[str] = field(default_factory=set)


class Denials:
    """Records refusals."""

    def __init__(self, audit: AuditStore, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock
        self._sources: dict[tuple[str, str, str], _Source] = {}

    async def credential(
        self, org_id: str | None, address: str | None, via: str, reason: str, token_id: str | None
    ) -> None:
        """A credential let nobody in. It is the organization's whose token it was, or that of the gateway itself."""
        subject = {"token_id": token_id} if token_id is not None else {}
        act = Act(org_id or DEFAULT_ORG, GATEWAY, via, self._clock.now_ms(), address=address)
        await self._note(act, AUTH, address or UNKNOWN, subject, reason, {})

    async def scope(self, act: Act, method: str, scope: str) -> None:
        """Somebody asked for what they have no scope for."""
        detail = {"method": method, "scope": scope}
        await self._note(act, SCOPE, act.actor.id, {}, "missing_scope", detail)

    async def settle(self) -> None:
        """Write the counts and begin a new minute. Raises StoreUnavailable; then they stay for the next time."""
        while self._sources:
            (org_id, action, source), found = next(iter(self._sources.items()))
            if found.counted:
                address = _address(action, source)
                act = Act(org_id, GATEWAY, "housekeeping", self._clock.now_ms(), address=address)
                subject = {"principal_id": source} if action == SCOPE and source != OTHERS else {}
                detail = {"count": found.counted, "reasons": sorted(found.reasons)}
                await self._audit.record(act, action, subject, "failure", detail, reason="many")
            self._sources.pop((org_id, action, source), None)

    async def _note(
        self,
        act: Act,
        action: str,
        source: str,
        subject: dict[str, str],
        reason: str,
        detail: dict[str, Any],
    ) -> None:
        key = (act.org_id, action, source)
        if key not in self._sources and len(self._sources) >= SOURCES_MAX:
            key = (DEFAULT_ORG, action, OTHERS)
        known = self._sources.setdefault(key, _Source())
        if known.written >= ENTRIES_PER_MINUTE:
            known.counted += 1
            known.reasons.add(reason)
            return
        known.written += 1
        try:
            await self._audit.record(act, action, subject, "failure", detail, reason=reason)
        except StoreUnavailable as error:  # it is refused all the same
            known.written -= 1
            known.counted += 1
            known.reasons.add(reason)
            log.warning("a refusal was not recorded yet", action="denial_unrecorded", error=str(error))


def _address(action: str, source: str) -> str | None:
    """Where refused credentials came from: entries only commit to it."""
    return source if action == AUTH and source not in (OTHERS, UNKNOWN) else None
