"""`chat`: from a pipe, and as a person at a terminal sees it."""

import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from cli_process import PATIENCE_S, Cli, environment, stop


class Person:
    """Somebody at a terminal."""

    def __init__(self, cli: Cli, *args: str) -> None:
        self._screen, inside = pty.openpty()
        self.seen = ""
        self.process = subprocess.Popen(
            cli.command("chat", *args),
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env=environment(cli.home),
            start_new_session=True,
            preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # it becomes the terminal's own
        )
        os.close(inside)

    def types(self, text: str) -> None:
        """Press keys."""
        os.write(self._screen, text.encode())

    def sees(self, pattern: str) -> str:
        """Wait until something appears that was not seen before; returns what came up to it."""
        deadline = time.monotonic() + PATIENCE_S
        while (match := re.search(pattern, self.seen)) is None:
            assert time.monotonic() < deadline, f"{pattern!r} is not in {self.seen!r}"
            if select.select([self._screen], [], [], 0.1)[0]:
                self.seen += os.read(self._screen, 65_536).decode()
        before, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return before

    def close(self) -> None:
        """Make sure that it left."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)
        os.close(self._screen)


@contextmanager
def _at_the_prompt(cli: Cli, *args: str) -> Iterator[Person]:
    person = Person(cli, *args)
    try:
        person.sees("»")
        yield person
    finally:
        person.close()


def test_every_line_of_a_pipe_is_a_message(running: Cli) -> None:
    assert running.lines("chat", said="say one\n\nsay two") == ["one", "two"]
    thread = running.json("threads", "--limit", "1")[0]
    assert thread["title"] == "say one"
    assert running.lines("chat", "--thread", "last", said="say three\n") == ["three"]
    assert running.json("threads", "--limit", "1")[0]["id"] == thread["id"]


def test_an_answer_that_fails_is_the_exit_code_of_a_pipe(running: Cli) -> None:
    done = running.run("chat", said="fail\nsay two\n")
    assert (done.returncode, done.stdout) == (1, "two\n")
    assert "did not finish: The demo agent was asked to fail" in done.stderr


def test_slashes_in_a_pipe(running: Cli) -> None:
    lines = (
        "say hello\n/title A name\n/threads\n/nonsense\n/new\n/open\n/cancel\n//say slash\n/quit\nsay never\n"
    )
    done = running.run("chat", said=lines)
    assert done.stdout == "hello\nslash\n"
    assert "There is no /nonsense" in done.stderr
    assert "A name" in done.stderr
    assert done.returncode == 0


def test_what_keeps_it_from_beginning(running: Cli, cli: Cli) -> None:
    assert "No gateway runs" in cli.refused("chat")
    assert "no such thread" in running.refused("chat", "--thread", "thr_nope")
    assert "does not accept this token" in running.refused("chat", "--token", "tgate_wrong")


def test_a_conversation_at_a_terminal(running: Cli) -> None:
    with _at_the_prompt(running) as person:
        person.types("say **hello** to [me](https://example.org/x)\r")
        shown = person.sees("»")
        assert re.search(r"\x1b\[[0-9;]*1[0-9;]*mhello", shown), shown
        assert "https://example.org/x" in shown
        person.types("/help\r")
        assert "/retry" in person.sees("»")
        person.types("/retry\r")
        assert "hello" in person.sees("»")
        person.types("/title A fine name\r")
        person.sees("now named A fine name")
        person.types("\x1b[A")  # the line before
        person.sees("/title A fine name")
        person.types("\x15\x04")  # wipe it; the end
        assert person.process.wait(PATIENCE_S) == 0


def test_ctrl_c_stops_the_answer_and_then_leaves(running: Cli) -> None:
    with _at_the_prompt(running) as person:
        person.types("stream 1000 20\r")
        person.sees("word-3")
        os.kill(person.process.pid, signal.SIGINT)
        shown = person.sees("»")
        assert "stopping the answer" in shown
        assert "stopped" in shown
        assert running.json("runs", "--limit", "1")[0]["state"] == "cancelled"
        os.kill(person.process.pid, signal.SIGINT)
        assert person.process.wait(PATIENCE_S) == 0


def test_what_others_say_appears_above_a_half_typed_line(running: Cli) -> None:
    thread = running.json("send", "say first")["thread_id"]
    with _at_the_prompt(running, "--thread", thread) as person:
        person.types("half a li")
        person.sees("half a li")
        running.lines("send", "say from elsewhere", "--thread", thread)
        person.sees("say from elsewhere")
        person.sees("from elsewhere")
        person.types("ne\x15say whole\r")
        assert "whole" in person.sees("»")


def test_an_answer_goes_on_after_a_restart(cli: Cli) -> None:
    process, _ = cli.serve()
    port = cli.port
    with _at_the_prompt(cli) as person:
        person.types("stream 60 20\r")
        person.sees("word-5")
        stop(process)
        person.sees("connection lost, resuming")
        with cli.serving(port):
            shown = person.sees("»")
            assert "word-60" in shown
            person.types("/quit\r")
            assert person.process.wait(PATIENCE_S) == 0


def test_a_token_that_is_revoked_ends_the_chat(running: Cli) -> None:
    (secret,) = running.lines("token", "create", "--role", "operator", "--name", "guest")
    with _at_the_prompt(running, "--token", secret) as person:
        token = next(token for token in running.json("token", "list") if token["name"] == "guest")
        person.types("say hello\r")
        person.sees("»")
        running.lines("token", "revoke", token["id"])
        person.sees("error: ")
        assert person.process.wait(PATIENCE_S) == 2
