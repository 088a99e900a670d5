"""The organization stands in every query: each statement over a table that has one names it, or says why not."""

import re

import pytest
from store_stage import OTHER_ORG, Scene
from test_store_queries import STATEMENTS

from storage.engine import Reader
from storage.queries import Queries
from storage.store import DEFAULT_ORG

OF_THE_GATEWAY = {
    "approvals": {"overdue"},
    "audit": {"last"},
    "blobs": {"due", "next_due", "unattached", "still_used"},
    "channels": {"pending_rooms", "next_in_room", "doubt_interrupted_sends", "counts"},
    "chat_links": {"forget_codes"},
    "erasures": {"last_place", "last_rows", "going"},
    "identities": {"position", "note_used", "oldest_answers", "forget_answers"},
    "questions": {"overdue"},
    "runs": {
        "threads_with_queued", "renew_leases", "running", "abandoned", "count_by_state", "resumable",
    },
}  # fmt: skip
"""Work queues and housekeeping: they serve all organizations and answer to none. What they find has its own."""
CREDENTIALS = {"identities": {"token_by_secret", "stored_answer"}}
"""A secret says which organization is its own; the hash of a claim has the organization in it."""
FOUND_BEFORE = {
    "approvals": {"settle", "of_run", "pending_of_run", "card"},
    "audit_people": {"rename"},
    "blobs": {
        "find_pending", "of_message", "same_in_message", "pending_of_message", "release", "settle", "postpone",
        "of_thread", "delete",
    },
    "channels": {
        "find_outbound", "live_outbound", "pass_live_on", "update_outbound", "point_outbound", "write_outbound",
        "abandon_thread", "erase_thread",
    },
    "erasures": {
        "wrote_in", "others_wrote_in", "count_messages", "count_all_messages", "count_files", "count_all_files",
        "live_messages", "traces_in", "rewrite_event", "untitle", "unlink_messages", "forget_journals", "rename_runs",
        "forget_room_of_runs", "empty_approvals_of_thread", "empty_votes_of_thread", "empty_approvals",
        "empty_answers", "forget_steers", "rename_assignee", "empty_deliveries", "blank_origin", "find", "count",
        "finish",
    },
    "holds": {"release"},
    "journal": {
        "last_number", "find", "by_key", "of_run", "open_of_run", "begin_again", "allow_repeat", "close",
        "checkpoint", "close_reply", "cut_off", "delete_of_thread", "waiting_steers", "take_steers",
        "forget_steer", "delete_steers",
    },
    "pairings": {"decide"},
    "questions": {"last_number", "of_run", "oldest_open", "settle", "cancel_of_run", "delete_of_thread"},
    "retention": {"forget_runs", "drop_file", "forget_journal"},
    "runs": {
        "unfinished", "count_unfinished", "active", "next_queued", "queued_for_message", "start", "take_over",
        "finish", "set_usage", "note", "park", "resume", "still_waits", "ahead_of",
    },
    "threads": {
        "advance", "change", "hand_over", "bury", "events_after", "events_before", "delete_events",
        "unindex_messages", "delete_messages", "recent_messages", "last_message", "last_from_people",
        "find_message", "answer_of_run", "rewrite_message", "event_at", "edits_of_message", "redact_event",
        "untitle_event", "ref_of_message", "unlink", "forget_platform_messages",
    },
}  # fmt: skip
"""Parts of a thread, a run or a row that the same transaction has found in its organization, or that a work queue gave
out: by the id of that alone. That nobody gets so far with an id of others is `test_edge_authorization.py`."""
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
    assert without == {"store", "organizations", "schema_migrations", "audit_nodes", "audit_checkpoints"}


async def test_organizations_are_made_and_named_by_the_configuration(scene: Scene) -> None:
    await scene.store.ensure_organizations({"org_acme": "Acme"}, scene.now_ms)
    await scene.store.ensure_organizations({"org_acme": "Acme Ltd", DEFAULT_ORG: "Home"}, scene.now_ms)
    assert await scene.store.users.organizations() == ["org_acme", DEFAULT_ORG, OTHER_ORG]
    assert await scene.rows("SELECT name FROM organizations WHERE id = 'org_acme'") == [("Acme Ltd",)]
