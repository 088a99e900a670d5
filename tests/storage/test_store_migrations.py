"""Migrations: from every released version to the latest, once, in whole steps, never from the future."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_stage import open_scene

from storage import migrations
from storage.errors import StoreDamaged, StoreTooNew
from storage.migrations import Migration

RELEASED = migrations.load()
LATEST = len(RELEASED)

DIES_IN_A_STEP = """
import os, signal, sqlite3, sys
from storage import migrations
from storage.migrations import Migration

connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")  # what a step writes reaches the file before it commits
connection.create_function("die", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
script = "CREATE TABLE half (text TEXT);" + "INSERT INTO half VALUES (hex(randomblob(4000)));" * 200
steps = migrations.load()
migrations.load = lambda: (*steps, Migration(len(steps) + 1, "half", script + "SELECT die();"))
migrations.apply(connection, now_ms=3)
"""


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    yield opened
    opened.close()


def schema(connection: sqlite3.Connection) -> list[tuple]:
    return connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").fetchall()


@pytest.fixture
def next_steps(monkeypatch: pytest.MonkeyPatch):
    """Let the product know more steps than it does."""

    def know(*scripts: str) -> None:
        more = [Migration(LATEST + n, f"next_{n}", sql) for n, sql in enumerate(scripts, start=1)]
        steps = (*RELEASED, *more)
        monkeypatch.setattr(migrations, "load", lambda: steps)

    return know


# --- forward ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("released", range(LATEST + 1))
def test_every_released_version_becomes_the_latest(connection: sqlite3.Connection, released: int) -> None:
    assert migrations.apply(connection, now_ms=1, upto=released) == released
    assert migrations.current(connection) == released
    assert migrations.apply(connection, now_ms=2) == LATEST
    fresh = sqlite3.connect(":memory:", isolation_level=None)
    migrations.apply(fresh, now_ms=2)
    assert schema(connection) == schema(fresh)
    fresh.close()
    applied = connection.execute("SELECT version, applied_at FROM schema_migrations").fetchall()
    assert applied == [(n, 1 if n <= released else 2) for n in range(1, LATEST + 1)]


def test_migrating_again_changes_nothing(connection: sqlite3.Connection) -> None:
    migrations.apply(connection, now_ms=1)
    before = (schema(connection), connection.execute("SELECT * FROM schema_migrations").fetchall())
    assert migrations.apply(connection, now_ms=2) == LATEST
    assert (schema(connection), connection.execute("SELECT * FROM schema_migrations").fetchall()) == before


async def test_a_store_that_is_opened_again_is_the_same(directory: Path) -> None:
    async with open_scene(directory) as scene:
        await scene.say("hello")
        before = await scene.dump()
    async with open_scene(directory) as scene:
        assert await scene.dump() == before


def test_new_steps_keep_what_is_there(connection: sqlite3.Connection, next_steps) -> None:
    migrations.apply(connection, now_ms=1)
    connection.execute("INSERT INTO organizations VALUES ('org_1', 'One', 0)")
    next_steps("ALTER TABLE organizations ADD COLUMN note TEXT;", "CREATE TABLE more (id TEXT);")
    assert migrations.apply(connection, now_ms=2) == LATEST + 2
    assert connection.execute("SELECT id, note FROM organizations").fetchall() == [("org_1", None)]


RUNS_BEFORE_THEY_WERE_DURABLE = """
INSERT INTO organizations VALUES ('org_1', 'One', 0);
INSERT INTO threads (id, org_id, title, status, agent_id, origin, created_at, head_offset)
  VALUES ('thr_1', 'org_1', 'One', 'active', 'demo', '{"kind":"client"}', 1, 1),
    ('thr_2', 'org_1', 'Two', 'active', 'demo', '{"kind":"client"}', 1, 2);
INSERT INTO messages (log_offset, org_id, id, thread_id, seq, role, text, created_at)
  VALUES (1, 'org_1', 'msg_1', 'thr_1', 1, 'user', 'hello', 1), (2, 'org_1', 'msg_2', 'thr_1', 2, 'assistant', 'hi', 2);
INSERT INTO runs (id, org_id, thread_id, agent_id, state, queue_key, attempt, message_id, message_seq, requested_by,
  queued_at, usage) VALUES
  ('run_1', 'org_1', 'thr_1', 'demo', 'completed', 'seq_1', 2, 'msg_1', 1, 'prn_1', 1, '{"input_tokens":8}'),
  ('run_2', 'org_1', 'thr_1', 'demo', 'running', 'seq_2', 3, 'msg_1', 1, 'prn_1', 1, '{}');
INSERT INTO journal_steps VALUES
  ('org_1', 'run_1', 1, 'reply', '{"message_id":"msg_2"}', NULL, '{"state":"completed"}', 1, 2),
  ('org_1', 'run_2', 1, 'reply', '{"message_id":"msg_3"}', 'half an', NULL, 3, NULL);
INSERT INTO usage VALUES ('org_1', 'run_1', 1, 'demo', 3, 1, 4, 5), ('org_1', 'run_1', 2, 'demo', 5, 2, 6, 9);
INSERT INTO principals (id, org_id, kind, name, role, created_at) VALUES ('prn_1', 'org_1', 'user', 'ada', 'owner', 0);
INSERT INTO tokens (id, org_id, principal_id, name, role, secret_hash, created_at)
  VALUES ('tok_1', 'org_1', 'prn_1', 'laptop', 'owner', 'hash', 0);
INSERT INTO approvals (id, org_id, kind, run_id, thread_id, subject_hash, request, state, created_at, expires_at)
  VALUES ('apr_1', 'org_1', 'action', 'run_2', 'thr_1', 'abc', '{}', 'pending', 1, 2);
"""


def test_runs_from_before_keep_their_journal_and_their_cost(connection: sqlite3.Connection) -> None:
    migrations.apply(connection, now_ms=1, upto=2)
    connection.executescript(RUNS_BEFORE_THEY_WERE_DURABLE)
    assert migrations.apply(connection, now_ms=2) == LATEST

    def rows(sql: str) -> list[tuple]:
        return connection.execute(sql).fetchall()

    steps = rows(
        "SELECT run_id, step, key, kind, attempt, repeatable, partial, outcome, result FROM journal_steps"
    )
    assert steps == [
        ("run_1", 1, "reply", "reply", 2, 1, None, "ok", '{"state":"completed"}'),
        ("run_2", 1, "reply", "reply", 3, 1, "half an", None, None),
    ]
    assert rows("SELECT request, opened_at, closed_at FROM journal_steps WHERE run_id = 'run_1'") == [
        ('{"message_id":"msg_2"}', 1, 2)
    ]
    assert rows("SELECT * FROM usage") == [("org_1", "run_1", 1, "demo", "", 8, 3, 10, 9)]
    assert rows("SELECT id, messages, assignee FROM threads") == [("thr_1", 2, None), ("thr_2", 0, None)]
    assert rows("SELECT agent_version, waiting_for, facts, journal_hash FROM runs") == [(None,) * 4] * 2
    assert rows("SELECT agent_id FROM tokens") == [(None,)]
    assert rows("SELECT id, key, kind, revision, shown FROM approvals") == [("apr_1", "", "tool", 1, None)]


# --- refusals ---------------------------------------------------------------------------------------


def test_a_newer_store_is_refused(connection: sqlite3.Connection, next_steps) -> None:
    next_steps("CREATE TABLE more (id TEXT);")
    migrations.apply(connection, now_ms=1)
    next_steps()
    before = schema(connection)
    with pytest.raises(StoreTooNew, match=f"schema {LATEST + 1}.*knows {LATEST}"):
        migrations.apply(connection, now_ms=2)
    assert schema(connection) == before


def test_a_step_that_was_changed_after_its_release_is_refused(connection: sqlite3.Connection) -> None:
    migrations.apply(connection, now_ms=1)
    connection.execute("UPDATE schema_migrations SET checksum = 'other' WHERE version = 1")
    with pytest.raises(StoreDamaged, match=r"step 1 .*differs"):
        migrations.apply(connection, now_ms=2)


def test_a_changed_step_is_refused_before_newer_ones_run(connection: sqlite3.Connection, next_steps) -> None:
    migrations.apply(connection, now_ms=1)
    connection.execute("UPDATE schema_migrations SET checksum = 'other' WHERE version = 1")
    next_steps("CREATE TABLE more (id TEXT);")
    before = schema(connection)
    with pytest.raises(StoreDamaged):
        migrations.apply(connection, now_ms=2)
    assert schema(connection) == before


@pytest.mark.parametrize(
    "broken",
    [
        "CREATE TABLE half (id TEXT); CREATE TABLE half (id TEXT);",
        "CREATE TABLE half (id TEXT); INSERT INTO nowhere VALUES (1);",
        "CREATE TABLE half (id TEXT); this is not SQL;",
    ],
)
def test_a_step_that_fails_leaves_the_version_before_it(
    connection: sqlite3.Connection, next_steps, broken: str
) -> None:
    next_steps("CREATE TABLE whole (id TEXT);", broken)
    with pytest.raises(sqlite3.Error):
        migrations.apply(connection, now_ms=1)
    assert not connection.in_transaction
    assert migrations.current(connection) == LATEST + 1
    names = [name for _, name, _ in schema(connection)]
    assert "whole" in names
    assert "half" not in names


def test_a_crash_in_a_step_leaves_the_version_before_it(tmp_path: Path) -> None:
    """The process is killed between two statements of a step."""
    path = tmp_path / "store.db"
    first = sqlite3.connect(path, isolation_level=None)
    migrations.apply(first, now_ms=1)
    before = schema(first)
    first.close()
    done = subprocess.run([sys.executable, "-c", DIES_IN_A_STEP, path], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    second = sqlite3.connect(path, isolation_level=None)
    assert migrations.current(second) == LATEST
    assert schema(second) == before
    assert migrations.apply(second, now_ms=2) == LATEST
    second.close()


# --- the files --------------------------------------------------------------------------------------


def test_steps_are_numbered_without_a_gap() -> None:
    assert [step.version for step in migrations.load()] == list(range(1, LATEST + 1))
    assert len({step.name for step in migrations.load()}) == LATEST


@pytest.mark.parametrize("numbers", [(2,), (1, 3), (1, 1), (0, 1)])
def test_a_gap_in_the_numbers_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers: tuple[int, ...]
) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    for place, number in enumerate(numbers):
        (folder / f"{number:04d}_step_{place}.sql").write_text("SELECT 1;")
    (folder / "README.md").write_text("not a step")
    monkeypatch.setattr(migrations.resources, "files", lambda _: tmp_path)
    with pytest.raises(RuntimeError, match="without a gap"):
        migrations.load.__wrapped__()


def test_a_checksum_is_that_of_the_whole_text() -> None:
    step = Migration(1, "a", "CREATE TABLE a (id TEXT);")
    assert step.checksum == Migration(1, "renamed", step.sql).checksum
    assert step.checksum != Migration(1, "a", step.sql + " ").checksum


def test_every_table_carries_its_organization(connection: sqlite3.Connection) -> None:
    migrations.apply(connection, now_ms=1)
    own = {
        "store",
        "organizations",
        "schema_migrations",
        "audit_checkpoints",
        "audit_nodes",
        "audit_sinks",
        "agent_tags",
    }
    tables = [name for kind, name, _ in schema(connection) if kind == "table"]
    for name in tables:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
        assert "org_id" in columns or name in own or name.startswith(("messages_text", "sqlite_")), name
