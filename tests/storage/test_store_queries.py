"""The named statements: each is valid, each name used in code exists, and no hot one reads a whole table."""

import ast
from importlib import resources
from pathlib import Path

import pytest
from store_stage import Scene, parameters_of

from storage.engine import Reader
from storage.queries import Queries

SOURCES = Path(str(resources.files("storage")))
FAMILIES = sorted(path.stem for path in (SOURCES / "queries").glob("*.sql"))
STATEMENTS = [(family, name) for family in FAMILIES for name in Queries(family).names()]

SCANS_ALLOWED = {
    ("approvals", "stale"): "reads the index of approvals whose cards are out of date",
    ("channels", "counts"): "reads the indexes of what is owed, failed or uncertain",
    ("channels", "latest_gaps"): "gaps are few: one for each long outage",
    ("channels", "page_of_owed"): "reads the index of what is owed, when an operator looks",
    ("channels", "pending_rooms"): "reads the index of what is owed, at start",
    ("channels", "doubt_interrupted_sends"): "reads the index of what is owed, at start",
    ("channels", "abandon_thread"): "reads the index of what is owed, when a thread is deleted",
    ("budgets", "leaked"): "reads all reservations, of runs that are unfinished or leaked, at start",
    ("budgets", "sum_up"): "reads all counters, at start",
    ("budgets", "notices"): "reads a bounded number of rows from the beginning",
    ("budgets", "switches"): "switches are few",
    ("usage", "groups"): "reads what was found by its index",
    ("usage", "groups_of_thread"): "reads what was found by its index",
    ("usage", "clear_tags"): "tags are few",
    ("identities", "oldest_answers"): "reads a bounded number of rows from the beginning",
    ("identities", "position"): "organizations are few",
    ("users", "organizations"): "organizations are few",
    ("runs", "abandoned"): "reads the index of active runs, at start",
    ("runs", "count_by_state"): "for metrics",
    ("runs", "renew_leases"): "reads the index of active runs",
    ("runs", "running"): "reads the index of active runs",
    ("runs", "resumable"): "reads the index of active runs",
    ("runs", "threads_with_queued"): "reads the index of queued runs",
    ("threads", "unlink"): "when a thread is deleted: one row per conversation of a chat network",
    ("audit", "last"): "reads one row from the end",
    ("erasures", "forget_link_codes"): "codes are few, and erasures are",
    ("erasures", "going"): "reads the index of erasures that are not over, at start",
    ("erasures", "rename_holds"): "legal holds are few, and erasures are",
    ("erasures", "rename_deciders"): "when a person is erased, once",
    ("erasures", "rename_requesters"): "when a person is erased, once",
    ("erasures", "rename_voters"): "when a person is erased, once",
    ("erasures", "rename_grants"): "when a person is erased, once",
    ("erasures", "rename_revokers"): "when a person is erased, once",
    ("erasures", "rename_devices"): "when a person is erased, once",
    ("erasures", "rename_invocations"): "when a person is erased, once",
    ("erasures", "rename_releasers"): "when a person is erased, once",
    ("erasures", "rename_holders"): "when a person is erased, once",
    ("erasures", "rename_erasers"): "when a person is erased, once",
    ("erasures", "forget_reservations"): "when a person is erased, once",
    ("holds", "of_thread"): "reads the legal holds on people, which are few",
    ("retention", "organizations"): "organizations are few",
    ("audit_checkpoints", "latest"): "reads one row from the end",
    ("audit_trail", "positions"): "sinks and anchors are few",
    ("audit_inspection", "entries"): "verifying reads everything, outside the gateway",
    ("audit_inspection", "checkpoints"): "verifying reads everything, outside the gateway",
    ("audit_inspection", "contents"): "verifying reads everything, outside the gateway",
    ("audit_inspection", "addresses"): "verifying reads everything, outside the gateway",
}
"""Statements that may read a table from one end to the other, and why that is no harm."""
SORTS_ALLOWED = {
    ("approvals", "authors_of_run"),
    ("approvals", "fitting_grant"),
    ("budgets", "states"),
    ("budgets", "switches"),
    ("usage", "groups"),
    ("usage", "groups_of_thread"),
    ("channels", "counts"),
    ("holds", "open"),
    ("channels", "next_in_room"),
    ("channels", "page_of_owed"),
    ("channels", "page_of_thread"),
    ("channels", "pending_rooms"),
    ("runs", "abandoned"),
    ("runs", "count_by_state"),
    ("runs", "unfinished"),
}
"""Statements that sort what they found: what is owed to one room, what one thread has to do, or what is cold."""
WHOLE_TABLE = {
    ("runs", "count_by_state"),
    ("threads", "unlink"),
    ("budgets", "leaked"),
    ("budgets", "sum_up"),
    ("budgets", "switches"),
    ("erasures", "forget_link_codes"),
    ("erasures", "rename_holds"),
    ("holds", "of_thread"),
    ("audit_inspection", "entries"),
    ("audit_inspection", "checkpoints"),
    ("audit_inspection", "contents"),
    ("erasures", "rename_deciders"),
    ("erasures", "rename_requesters"),
    ("erasures", "rename_voters"),
    ("erasures", "rename_grants"),
    ("erasures", "rename_revokers"),
    ("erasures", "rename_devices"),
    ("erasures", "rename_invocations"),
    ("erasures", "rename_holders"),
    ("erasures", "rename_releasers"),
    ("erasures", "rename_erasers"),
    ("erasures", "forget_reservations"),
}
"""The only ones that read every row there is; the others above stop early or read a small partial index."""


def plan_of(tx: Reader, sql: str) -> list[str]:
    return [row["detail"] for row in tx.all(f"EXPLAIN QUERY PLAN {sql}", **parameters_of(sql))]


async def plan(scene: Scene, family: str, name: str) -> list[str]:
    return await scene.store.engine.read(plan_of, getattr(Queries(family), name))


async def test_every_statement_is_valid_in_the_schema(scene: Scene) -> None:
    assert len(STATEMENTS) > 60
    for family, name in STATEMENTS:
        await plan(scene, family, name)


async def test_no_hot_statement_scans_a_table(scene: Scene) -> None:
    for family, name in STATEMENTS:
        steps = await plan(scene, family, name)
        scans = [step for step in steps if step.startswith("SCAN") and "VIRTUAL TABLE" not in step]
        scans = [step for step in scans if step != "SCAN CONSTANT ROW" and "heads" not in step]
        if (family, name) not in SCANS_ALLOWED:
            assert not scans, f"{family}.{name} reads a whole table: {scans}"


async def test_nothing_sorts_what_an_index_has_in_order(scene: Scene) -> None:
    for family, name in STATEMENTS:
        sorts = [step for step in await plan(scene, family, name) if "TEMP B-TREE" in step]
        if (family, name) not in SORTS_ALLOWED:
            assert not sorts, f"{family}.{name} sorts: {sorts}"


@pytest.mark.parametrize(
    ("family", "name", "index"),
    [
        ("blobs", "due", "blobs_pending (next_attempt_at<?)"),
        ("blobs", "of_message", "blobs_by_message (message_id=?)"),
        ("blobs", "pending_of_message", "blobs_by_message (message_id=?)"),
        ("blobs", "of_thread", "blobs_by_thread (thread_id=?)"),
        ("blobs", "unattached", "blobs_unattached (created_at<?)"),
        ("blobs", "still_used", "blobs_by_content (sha256=?)"),
        ("channels", "next_in_room", "outbox_pending (channel=? AND account=? AND room=?)"),
        ("channels", "pending_rooms", "outbox_pending"),
        ("channels", "page_of_dead", "outbox_failed (org_id=? AND phase=? AND id<?)"),
        ("channels", "page_of_thread", "outbox_by_run (run_id=?)"),
        ("threads", "ref_of_message", "platform_messages_by_message (message_id=?)"),
        ("channels", "doubt_interrupted_sends", "outbox_pending"),
        ("channels", "abandon_thread", "outbox_pending"),
        ("channels", "live_outbound", "outbox_by_run (run_id=?)"),
        ("channels", "erase_thread", "outbox_by_run (run_id=?)"),
        ("channels", "hinted_since", "inbox_hinted"),
        ("runs", "next_queued", "runs_queued (thread_id=?)"),
        ("runs", "active", "runs_one_active (thread_id=?)"),
        ("runs", "abandoned", "runs_one_active"),
        ("runs", "renew_leases", "runs_one_active"),
        ("runs", "threads_with_queued", "runs_queued"),
        ("runs", "oldest_unfinished", "runs_unfinished (org_id=?)"),
        ("runs", "resumable", "runs_one_active"),
        ("journal", "by_key", "journal_steps_by_key (run_id=? AND key=?)"),
        ("journal", "waiting_steers", "steers_by_run (run_id=?)"),
        ("questions", "overdue", "questions_overdue (expires_at<?)"),
        ("questions", "oldest_open", "questions_by_run (run_id=?)"),
        ("runs", "page_of_thread", "runs_by_thread (thread_id=? AND id<?)"),
        ("audit", "page", "INTEGER PRIMARY KEY (rowid>?)"),
        (
            "audit_index",
            "page_by",
            "SEARCH i USING PRIMARY KEY (org_id=? AND field=? AND value=? AND seq>? AND seq<?)",
        ),
        ("audit_index", "page_by", "SEARCH e USING INTEGER PRIMARY KEY (rowid=?)"),
        ("audit_index", "page_by", "SEARCH x USING PRIMARY KEY (org_id=? AND field=? AND value=? AND seq=?)"),
        ("audit_index", "page_in_time", "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        ("audit_index", "entries_after", "INTEGER PRIMARY KEY (rowid>?)"),
        ("audit_index", "first_since", "PRIMARY KEY (org_id=? AND hour>?)"),
        ("audit_index", "last_until", "PRIMARY KEY (org_id=? AND hour<?)"),
        ("audit_trail", "lines", "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        ("threads", "events_after", "events_by_thread (thread_id=? AND seq>?)"),
        ("threads", "heads_after", "threads_by_head (org_id=? AND head_offset>?)"),
        ("identities", "position", "threads_by_head (org_id=?)"),
    ],
)
async def test_hot_statements_use_the_index_made_for_them(
    scene: Scene, family: str, name: str, index: str
) -> None:
    assert index in " | ".join(await plan(scene, family, name))


def test_the_exceptions_are_statements_that_exist() -> None:
    assert SCANS_ALLOWED.keys() | SORTS_ALLOWED | WHOLE_TABLE <= set(STATEMENTS)


async def test_whole_tables_are_read_by_cold_statements_only(scene: Scene) -> None:
    whole = set()
    for family, name in SCANS_ALLOWED:
        steps = [step for step in await plan(scene, family, name) if step.startswith("SCAN")]
        if any(" USING " not in step for step in steps):
            whole.add((family, name))
    bounded = {("budgets", "notices"), ("usage", "groups"), ("usage", "groups_of_thread")}
    bounded |= {("audit", "last"), ("identities", "oldest_answers"), ("identities", "position")}
    bounded.add(("audit_checkpoints", "latest"))
    bounded.add(("audit_trail", "positions"))
    assert whole - bounded == WHOLE_TABLE


# --- names ------------------------------------------------------------------------------------------


def used_names() -> set[tuple[str, str]]:
    """Every `_SQL.name` of the package, with the family its module binds to that variable."""
    used = set()
    for path in sorted(SOURCES.glob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        families = {}
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                call = node.value
                if isinstance(call.func, ast.Name) and call.func.id == "Queries":
                    families[node.targets[0].id] = call.args[0].value
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id in families
            ):
                used.add((families[node.value.id], node.attr))
    return used


def test_every_name_used_in_code_exists() -> None:
    assert len(used_names()) > 60, "the names are found at all"
    assert used_names() <= set(STATEMENTS)


def test_every_statement_is_used() -> None:
    assert set(STATEMENTS) <= used_names()


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match=r"threads\.sql has no statement named nothing"):
        _ = Queries("threads").nothing


@pytest.mark.parametrize("family", FAMILIES)
def test_a_name_is_given_once(family: str) -> None:
    text = (SOURCES / "queries" / f"{family}.sql").read_text("utf-8")
    assert text.count("-- name: ") == len(Queries(family).names())
