"""`tail`: every event once, in order, across restarts; NDJSON for programs."""

import json
import signal
import socket
import subprocess
from typing import Any

from cli_process import Cli, stop


def _read(process: subprocess.Popen[str], count: int) -> list[Any]:
    assert process.stdout is not None
    return [json.loads(process.stdout.readline()) for _ in range(count)]


def test_a_thread_from_its_start_and_from_a_place(running: Cli) -> None:
    thread = running.json("send", "say hello")["thread_id"]
    tail = running.start("tail", "--thread", thread, "--from", "start", "--json")
    events = _read(tail, 6)
    stop(tail, signal.SIGINT)
    assert [event["seq"] for event in events] == [1, 2, 3, 4, 5, 6]
    assert events[4]["kind"] == "message.created"
    assert events[4]["data"]["message"]["content"] == [{"type": "text", "text": "hello"}]
    assert events[0]["at"].endswith("Z")
    later = running.start("tail", "--thread", thread, "--from", "4", "--json")
    assert [event["seq"] for event in _read(later, 2)] == [5, 6]
    stop(later)


def test_ctrl_c_is_clean(running: Cli) -> None:
    running.lines("send", "say hello")
    tail = running.start("tail", "--thread", "last", "--from", "start")
    assert tail.stdout is not None
    assert "thread.created" in tail.stdout.readline()
    _, said = stop(tail, signal.SIGINT)
    assert (tail.returncode, said) == (130, "")


def test_the_inbox_has_the_heads_of_all_threads(running: Cli) -> None:
    tail = running.start("tail", "--inbox", "--from", "start", "--json")
    thread = running.json("send", "say hello")["thread_id"]
    assert tail.stdout is not None
    head = json.loads(tail.stdout.readline())
    while head["thread_id"] != thread or head["kind"] != "run.completed":
        head = json.loads(tail.stdout.readline())
    stop(tail)
    again = running.start("tail", "--from", str(head["offset"] - 1))
    assert again.stdout is not None
    assert thread in again.stdout.readline()
    stop(again)


def test_it_survives_a_restart_of_the_gateway(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with cli.serving(port):
        thread = cli.json("send", "say one")["thread_id"]
        tail = cli.start("tail", "--thread", thread, "--json", "--from", "start")
        before = _read(tail, 6)
    with cli.serving(port):
        cli.lines("send", "say two", "--thread", thread)
        after = _read(tail, 5)
        assert tail.stderr is not None
        assert [tail.stderr.readline().strip() for _ in range(2)] == [
            "connection lost, resuming…",
            "connected again",
        ]
        stop(tail)
    assert [event["seq"] for event in before + after] == list(range(1, 12))


def test_a_reader_that_goes_away_is_no_error(running: Cli) -> None:
    running.lines("send", "say hello")
    tail = running.start("tail", "--thread", "last", "--from", "start")
    assert tail.stdout is not None
    tail.stdout.readline()
    tail.stdout.close()
    running.lines("send", "say more", "--thread", "last")
    assert tail.wait(10) == 1
    assert tail.stderr is not None
    assert tail.stderr.read() == ""
    tail.stderr.close()


def test_places_that_are_none(running: Cli) -> None:
    assert "--from yesterday" in running.refused("tail", "--from", "yesterday")
    assert "exclude each other" in running.refused("tail", "--thread", "last", "--inbox")
    running.lines("send", "say hello")
    assert "ahead" in running.refused("tail", "--thread", "last", "--from", "99999")
