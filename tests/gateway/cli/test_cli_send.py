"""`send`: the answer, the ids, the exit codes."""

import json
import signal
import time

from cli_process import Cli, stop, wait_for


def test_it_prints_the_answer(running: Cli) -> None:
    assert running.lines("send", "say hello") == ["hello"]


def test_the_text_may_come_from_a_pipe(running: Cli) -> None:
    assert running.lines("send", "-", said="say from a pipe\n") == ["from a pipe"]
    assert "nothing to say" in running.refused("send", "-")


def test_json_has_the_answer_and_the_ids(running: Cli) -> None:
    found = running.json("send", "say hello")
    assert (found["state"], found["text"]) == ("completed", "hello")
    again = running.json("send", "say more", "--thread", found["thread_id"])
    assert (again["thread_id"], again["text"]) == (found["thread_id"], "more")
    assert again["seq"] > found["seq"]


def test_without_waiting_it_prints_ids(running: Cli) -> None:
    kinds = [line.split()[0] for line in running.lines("send", "say hello", "--no-wait")]
    assert kinds == ["thread", "message", "run"]
    assert running.json("send", "say hello", "--no-wait")["run_id"].startswith("run_")


def test_a_run_that_fails_is_exit_code_1(running: Cli) -> None:
    assert "The run failed: The demo agent was asked to fail" in running.refused("send", "fail", code=1)
    done = running.run("send", "fail", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert (found["state"], found["error"]["kind"]) == ("failed", "agent_error")


def test_a_busy_thread_can_be_refused(running: Cli) -> None:
    first = running.json("send", "sleep 60", "--no-wait")
    thread = first["thread_id"]
    assert "error: " in running.refused("send", "say hello", "--thread", thread, "--on-busy", "reject")
    assert running.lines("send", "say now", "--thread", thread, "--on-busy", "interrupt") == ["now"]
    assert running.json("runs", "show", first["run_id"])["state"] == "cancelled"


def test_control_characters_do_not_reach_the_terminal(running: Cli) -> None:
    (line,) = running.lines("send", "say \x1b]0;owned\x07bell")
    assert line == "]0;ownedbell"


def test_interrupting_leaves_the_run_alone_and_says_so(running: Cli) -> None:
    process = running.start("send", "sleep 2")
    wait_for(lambda: any(run["state"] == "running" for run in running.json("runs", "--limit", "1")))
    _, said = stop(process, signal.SIGINT)
    assert process.returncode == 130
    assert "the run goes on" in said
    assert "Traceback" not in said
    wait_for(lambda: running.json("runs", "--limit", "1")[0]["state"] == "completed")


def test_what_keeps_it_from_speaking_is_exit_code_2(running: Cli, cli: Cli) -> None:
    assert f"No gateway runs on {cli.data_dir}" in cli.refused("send", "hello")
    assert "does not accept this token" in running.refused("send", "hello", "--token", "tgate_wrong")
    assert "A token is needed" in running.refused("send", "hello", "--url", "http://127.0.0.1:1")
    assert "There is no such thread" in running.refused("send", "hello", "--thread", "thr_nope")
    assert "agent" in running.refused("send", "hello", "--agent", "nobody")
    assert "name a host" in cli.refused("send", "hello", "--url", "gate", "--token", "t")
    began = time.monotonic()
    assert "refused" in cli.refused("send", "hello", "--url", "http://127.0.0.1:1", "--token", "t").lower()
    assert time.monotonic() - began < 10


def test_usage_is_exit_code_2(running: Cli) -> None:
    running.refused("send")
    running.refused("send", "hello", "--on-busy", "shout")
    running.refused("nonsense")


def test_the_environment_says_where(running: Cli, cli: Cli) -> None:
    (secret,) = running.lines("token", "create", "--role", "operator")
    cli.variables |= {"THREADGATE_URL": running.url, "THREADGATE_TOKEN": secret}
    assert cli.lines("send", "say hello") == ["hello"]
