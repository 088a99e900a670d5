"""Finding audit entries by actor, action, entity, outcome, way and time.

What they are found by is not written with them: an act should cost one row. The index grows over the log when somebody
looks, some thousand entries in a transaction; it is made of the entries and can be made again.
"""

from collections.abc import Iterator
from typing import Any, Final

from storage import audit_people
from storage.audit_values import AuditFilter
from storage.engine import Reader, Row, Transaction
from storage.queries import Queries
from storage.texts import from_text

_SQL = Queries("audit_index")

GROW_MAX: Final = 1000
"""Entries indexed in one transaction: about 20 ms, so that acts do not wait behind it."""
HOUR_MS: Final = 3_600_000
FOREVER_MS: Final = 1 << 62
VALUE_CHARS: Final = 200
"""Of a value that is looked for; ids are shorter."""
_SLOTS: Final = ("", "2", "3", "4", "5")
"""Suffixes of the filters in `page_by`, the leading one first."""


def is_behind(tx: Reader) -> bool:
    """Whether there are entries that are not indexed."""
    row = tx.one(_SQL.state)
    return row is not None and row["indexed"] < row["size"]


def grow(tx: Transaction) -> bool:
    """Index the next entries; whether there are more."""
    row = tx.one(_SQL.state)
    assert row is not None, "a store has its row from the beginning"
    done: int = row["indexed"]
    entries = tx.all(_SQL.entries_after, after=done, limit=GROW_MAX)
    for entry in entries:
        for field, value in terms(from_text(entry["body"])):
            tx.run(
                _SQL.insert, org_id=entry["org_id"], field=field, value=value[:VALUE_CHARS], seq=entry["seq"]
            )
        tx.run(_SQL.insert_hour, org_id=entry["org_id"], hour=entry["at"] // HOUR_MS, seq=entry["seq"])
        done = entry["seq"]
    if entries:
        tx.run(_SQL.set_indexed, seq=done)
    return done < int(row["size"])


def terms(body: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What an entry is found by."""
    actor, action = body["actor"]["id"], body["action"]
    yield "actor", actor
    yield "action", action
    words = action.split(".")
    for count in range(1, len(words)):
        yield "action", ".".join(words[:count]) + ".*"
    for kind, value in body["subject"].items():
        yield "entity", value
        yield "entity", f"{kind}:{value}"
    yield "outcome", body["outcome"]
    yield "via", body["via"]


def find(tx: Reader, org_id: str, wanted: AuditFilter, after: int, limit: int) -> list[Row]:
    """Entries of an organization that fit, in order after a place, by the index as far as it is made."""
    since = wanted.since_ms if wanted.since_ms is not None else -FOREVER_MS
    until = wanted.until_ms if wanted.until_ms is not None else FOREVER_MS
    first = last = None
    if wanted.since_ms is not None:
        first = tx.value(_SQL.first_since, org_id=org_id, hour=since // HOUR_MS)
        if first is None:
            return []
    if wanted.until_ms is not None:
        last = tx.value(_SQL.last_until, org_id=org_id, hour=until // HOUR_MS)
        if last is None:
            return []
    bounds = {
        "org_id": org_id,
        "after": max(after, (first or 1) - 1),
        "last": last if last is not None else FOREVER_MS,
        "since": since,
        "until": until,
        "limit": limit,
    }
    chosen = list(_chosen(tx, org_id, wanted))
    if not chosen:
        return tx.all(_SQL.page_in_time, **bounds)
    chosen += [("", "")] * (len(_SLOTS) - len(chosen))
    slots: dict[str, str] = {}
    for suffix, (field, value) in zip(_SLOTS, chosen, strict=True):
        slots |= {f"field{suffix}": field, f"value{suffix}": value}
    return tx.all(_SQL.page_by, **bounds, **slots)


def _chosen(tx: Reader, org_id: str, wanted: AuditFilter) -> Iterator[tuple[str, str]]:
    """The filters that were given, the most telling first."""
    if wanted.entity is not None:
        yield "entity", _opaque(tx, org_id, wanted.entity)
    if wanted.actor is not None:
        yield "actor", _opaque(tx, org_id, wanted.actor)
    if wanted.action is not None:
        yield "action", wanted.action
    if wanted.outcome is not None:
        yield "outcome", wanted.outcome
    if wanted.via is not None:
        yield "via", wanted.via


def _opaque(tx: Reader, org_id: str, given: str) -> str:
    """Somebody of a chat network, `NETWORK:ID`, has another id in entries."""
    return audit_people.known(tx, org_id, given) or given
