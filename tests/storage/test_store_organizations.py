"""The organization stands in every query: each statement over a table that has one names it, or says why not."""

import re

import pytest
from store_stage import OTHER_ORG, Scene
from test_store_queries import STATEMENTS

from storage.engine import Reader
from storage.queries import Queries
from storage.store import DEFAULT_ORG

OF_THE_GATEWAY = {
    "approvals": {
        "next_escalation", "next_expiry", "next_reminder", "overdue", "stale", "to_escalate", "to_remind",
    },
    "audit": {"last"},
    "audit_checkpoints": {"head", "leaf", "leaves"},
    "audit_index": {"entries_after", "state"},
    "audit_inspection": {"addresses", "contents", "entries"},
    "audit_trail": {"lines"},
    "blobs": {"due", "next_due", "still_used", "unattached"},
    "budgets": {"delete_notice", "forget", "leaked", "notices", "switches"},
    "channels": {"counts", "doubt_interrupted_sends", "next_in_room", "pending_rooms"},
    "chat_links": {"forget_codes"},
    "erasures": {"going", "last_place", "last_rows"},
    "identities": {"forget_answers", "note_used", "oldest_answers", "position"},
    "invocations": {"forget", "overdue"},
    "questions": {"overdue"},
    "runs": {"abandoned", "count_by_state", "renew_leases", "resumable", "running", "threads_with_queued"},
}  # fmt: skip
"""Work queues and housekeeping: they serve all organizations and answer to none. What they find has its own."""
CREDENTIALS = {
    "devices": {"forget_expired", "known", "pairing_pending", "pairing_rejected", "supersede"},
    "identities": {"stored_answer", "token_by_secret"},
    "invocations": {"claimed"},
}  # fmt: skip
"""A secret, or the key from which the id of a device follows, says which organization is its own; so does the hash
of a claim."""
FOUND_BEFORE = {
    "approvals": {
        "authors_of_run", "cancel", "cards", "edit", "escalate", "expire", "grant_of", "last_unfit",
        "of_run", "pending_of_run", "remind", "revoke_grant", "settle", "show", "touch", "use_grant",
        "votes",
    },
    "audit_people": {"rename"},
    "blobs": {
        "delete", "find_pending", "of_message", "of_thread", "pending_of_message", "postpone", "release",
        "same_in_message", "settle",
    },
    "budgets": {"release", "reserved_by_run", "reserved_by_step"},
    "channels": {
        "abandon_thread", "erase_cards", "erase_thread", "find_outbound", "live_outbound", "pass_live_on",
        "point_outbound", "update_outbound", "write_outbound",
    },
    "devices": {"declare", "grant", "recode", "rename", "replace", "revoke", "seen"},
    "erasures": {
        "forget_room_of_runs",
        "blank_origin", "count", "count_all_files", "count_all_messages", "count_files", "count_messages",
        "empty_answers", "empty_approvals", "empty_approvals_of_thread", "empty_deliveries",
        "empty_votes_of_thread", "find", "finish", "forget_journals", "forget_steers", "live_messages",
        "others_wrote_in", "rename_assignee", "rename_runs", "rewrite_event", "traces_in",
        "unlink_messages", "untitle", "wrote_in",
    },
    "holds": {"release"},
    "invocations": {"extend", "of_device", "send", "settle"},
    "journal": {
        "allow_repeat", "begin_again", "by_key", "checkpoint", "close", "close_reply", "cut_off",
        "delete_of_thread", "delete_steers", "find", "forget_steer", "last_number", "of_run", "open_of_run",
        "take_steers", "waiting_steers",
    },
    "pairings": {"decide"},
    "questions": {"cancel_of_run", "delete_of_thread", "last_number", "of_run", "oldest_open", "settle"},
    "retention": {"drop_file", "forget_journal", "forget_runs"},
    "runs": {
        "active", "ahead_of", "count_unfinished", "finish", "next_queued", "note", "park",
        "queued_for_message", "resume", "set_usage", "start", "still_waits", "take_over", "unfinished",
    },
    "threads": {
        "has_from_outside", "mark_from_outside",
        "advance", "answer_of_run", "bury", "change", "delete_events", "delete_messages",
        "edits_of_message", "event_at", "events_after", "events_before", "find_message",
        "forget_platform_messages", "hand_over", "last_from_people", "last_message", "recent_messages",
        "redact_event", "ref_of_message", "rewrite_message", "unindex_messages", "unlink", "untitle_event",
    },
}  # fmt: skip
"""Parts of a thread, a run or a row that the same transaction has found in its organization, or that a work queue gave
out: by the id of that alone. That nobody gets so far with an id of others is `test_edge_authorization.py`."""
OF_ALL = {
    "store", "organizations", "schema_migrations", "audit_nodes", "audit_checkpoints", "audit_sinks", "agent_tags",
}  # fmt: skip
"""Tables of the gateway itself: the one audit log and where it goes, agents, which all organizations share."""
EXEMPT = [OF_THE_GATEWAY, CREDENTIALS, FOUND_BEFORE]
_NAMED = re.compile(r"\borg_id\s*=\s*(:org_id|\w+\.org_id)|:org_id\b")
_KEYED = re.compile(
    r"\b(\w+_)?(id|offset|ref)\s*=\s*:\w+|IN \(SELECT id FROM runs WHERE thread_id = :thread_id\)", re.I
)


def _owned(tx: Reader) -> set[str]:
    tables = [row["name"] for row in tx.all("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {
        name
        for name in tables
        if any(column["name"] == "org_id" for column in tx.all(f"PRAGMA table_info({name})"))
    }


def _sql(family: str, name: str) -> str:
    statement: str = getattr(Queries(family), name)
    return re.sub(r"--[^\n]*", "", statement)


async def test_every_statement_names_the_organization_or_says_why_not(scene: Scene) -> None:
    owned = await scene.store.engine.read(_owned)
    without = {
        (family, name)
        for family, name in STATEMENTS
        if owned & set(re.findall(r"\w+", _sql(family, name))) and not _NAMED.search(_sql(family, name))
    }
    exempt = {(family, name) for kind in EXEMPT for family, names in kind.items() for name in names}
    assert without - exempt == set(), "filter by org_id, or put it into one of the three lists"
    assert exempt - without == set(), "these name it by now: take them off the list"


@pytest.mark.parametrize(
    ("family", "name"), sorted((family, name) for family, names in FOUND_BEFORE.items() for name in names)
)
def test_what_was_found_before_is_asked_for_by_its_id(family: str, name: str) -> None:
    assert _KEYED.search(_sql(family, name)), "without an id it would reach into all organizations"


async def test_every_table_of_things_has_an_organization(scene: Scene) -> None:
    owned = await scene.store.engine.read(_owned)
    tables = {row[0] for row in await scene.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    without = {name for name in tables - owned if not name.startswith("messages_text")}
    assert without == OF_ALL


async def test_organizations_are_made_and_named_by_the_configuration(scene: Scene) -> None:
    await scene.store.ensure_organizations({"org_acme": "Acme"}, scene.now_ms)
    await scene.store.ensure_organizations({"org_acme": "Acme Ltd", DEFAULT_ORG: "Home"}, scene.now_ms)
    assert await scene.store.users.organizations() == ["org_acme", DEFAULT_ORG, OTHER_ORG]
    assert await scene.rows("SELECT name FROM organizations WHERE id = 'org_acme'") == [("Acme Ltd",)]
