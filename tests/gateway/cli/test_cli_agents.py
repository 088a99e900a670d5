"""`agents` and `runs steps|doctor|replay`: who answers, read again while it runs, and what holds runs up."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_process import Cli, stop, wait_for
from threadgate_client import Reloaded

from gateway.cli.agents import told

TWO = (
    '[[agents]]\nid = "demo"\n\n[[agents]]\nid = "spare"\nversion = "2"\nconcurrent = 3\nfallback = "demo"\n'
)


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A gateway with the default configuration file, which has two agents."""
    cli = Cli(tmp_path_factory.mktemp("gateway"))
    config_of(cli).parent.mkdir(parents=True)
    config_of(cli).write_text(TWO)
    with cli.serving():
        yield cli


def config_of(cli: Cli) -> Path:
    return cli.home / ".config" / "threadgate" / "config.toml"


def ids(cli: Cli) -> list[str]:
    return [agent["id"] for agent in cli.json("agents")]


def test_agents_are_listed_and_shown(configured: Cli) -> None:
    heading, first, second = configured.lines("agents")
    assert heading.split() == ["agent", "kind", "version", "state", "running", "about"]
    assert first.split()[:6] == ["demo", "demo", "1", "released", "0", "default"]
    assert second.split()[:7] == ["spare", "demo", "2", "released", "0", "of", "3"]
    shown = dict(line.split(None, 1) for line in configured.lines("agents", "show", "spare"))
    assert (shown["running"], shown["fallback"], shown["breaker"]) == ("0 of 3", "demo", "closed")
    assert "There is no agent 'nobody'" in configured.refused("agents", "show", "nobody")


def test_agents_are_read_again_when_somebody_says_so(configured: Cli) -> None:
    assert configured.lines("agents", "reload") == ["nothing has changed"]
    config_of(configured).write_text(f'{TWO}[[agents]]\nid = "third"\n[runs]\nqueue_max = 7\n')
    # Whoever is slow finds that the file was seen meanwhile, and only what waits for a restart is left to tell.
    *_, last = configured.lines("agents", "reload")
    assert last == "changed in the file, but in force only after a restart: runs.queue_max"
    assert ids(configured) == ["demo", "spare", "third"]
    run = configured.json("send", "--agent", "third", "say hello")["run_id"]
    assert configured.json("runs", "show", run)["agent_id"] == "third"
    config_of(configured).write_text(TWO)
    configured.lines("agents", "reload")
    assert ids(configured) == ["demo", "spare"]


def test_a_reload_is_told_in_lines() -> None:
    assert told(Reloaded(("a", "b"), ("c",), (), ("port", "runs.queue_max"))) == [
        "added: a, b",
        "changed: c",
        "changed in the file, but in force only after a restart: port, runs.queue_max",
    ]
    assert told(Reloaded((), (), ("d",), ())) == ["removed: d"]
    assert told(Reloaded((), (), (), ())) == []


def test_what_is_not_valid_changes_nothing_and_is_named(configured: Cli) -> None:
    config_of(configured).write_text(f'{TWO}modle = "x"\nretries = 99\n')
    said = configured.refused("agents", "reload")
    assert "agents.1.modle: there is no such setting" in said and "agents.1.retries" in said
    assert ids(configured) == ["demo", "spare"]
    config_of(configured).write_text(TWO)


def test_the_file_is_watched_and_a_signal_is_heard(cli: Cli) -> None:
    config_of(cli).parent.mkdir(parents=True)
    config_of(cli).write_text(TWO)
    process, _ = cli.serve()
    try:
        config_of(cli).write_text(TWO.replace("spare", "other"))
        wait_for(lambda: ids(cli) == ["demo", "other"])
        config_of(cli).write_text(TWO)
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: ids(cli) == ["demo", "spare"])
    finally:
        stop(process)


def test_a_journal_is_shown_and_a_run_is_executed_again(configured: Cli) -> None:
    run = configured.json("send", "say hello")["run_id"]
    heading, reply = configured.lines("runs", "steps", run)
    assert heading.split()[:4] == ["step", "kind", "name", "key"]
    assert reply.split()[1] == "reply"
    assert configured.json("runs", "steps", run)[0]["outcome"] == "ok"
    replayed = dict(line.split(None, 1) for line in configured.lines("runs", "replay", run))
    assert replayed["verified"].startswith("yes") and replayed["recorded"] == replayed["again"]
    assert configured.json("runs", "show", run)["journal_hash"] == replayed["again"]
    failed = json.loads(configured.run("send", "fail", "--json").stdout)["run_id"]
    assert "completed" in configured.refused("runs", "replay", failed)


def test_the_doctor_says_why_runs_are_where_they_are(configured: Cli) -> None:
    assert configured.run("runs", "doctor").stderr == "No run is unfinished.\n"
    asking = configured.json("send", "approve a release", "--no-wait")
    behind = configured.json("send", "say hello", "--thread", asking["thread_id"], "--no-wait")["run_id"]
    wait_for(lambda: configured.json("runs", "show", asking["run_id"])["state"] == "waiting")
    found = {one["run_id"]: one for one in configured.json("runs", "doctor")["findings"]}
    assert found[asking["run_id"]]["reason"].startswith("It waits for approval apr_")
    assert "behind another run of its thread" in found[behind]["reason"]
    assert not any(one["is_stuck"] for one in found.values())
    line = configured.lines("runs", "doctor", behind)[1]
    assert behind in line and "queued" in line
    configured.lines("runs", "cancel", behind)
    assert "This run has ended" in configured.run("runs", "doctor", behind).stderr
    configured.lines("runs", "cancel", asking["run_id"])
    assert "no such run" in configured.refused("runs", "doctor", "run_nope").lower()
