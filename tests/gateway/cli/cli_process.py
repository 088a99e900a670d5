"""The command line as its users run it: the console script in processes of its own, on a data directory."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

SCRIPT: Final = str(Path(sys.executable).with_name("threadgate"))
PATIENCE_S: Final = 30.0
"""A slow machine with other tests beside: far more than anything here takes."""


def environment(home: Path, **more: str) -> dict[str, str]:
    """An environment in which nothing of the developer's own is found."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return {**kept, "HOME": str(home), "TERM": "xterm", "PYTHONIOENCODING": "utf-8", **more}


class Cli:
    """Runs commands on one data directory."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data_dir = home / "data"
        self.variables: dict[str, str] = {}

    def run(self, *args: str, said: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.command(*args),
            input=said,
            env=environment(self.home, **self.variables),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def lines(self, *args: str, said: str = "") -> list[str]:
        """Run a command that succeeds; return what it printed."""
        done = self.run(*args, said=said)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def json(self, *args: str) -> Any:
        """Run a command that succeeds and prints one JSON document."""
        return json.loads("\n".join(self.lines(*args, "--json")))

    def refused(self, *args: str, code: int = 2) -> str:
        """Run a command that fails as it should: with its exit code, and without a traceback."""
        done = self.run(*args)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        said = "".join(line for line in done.stderr.splitlines(keepends=True) if not line.startswith('{"'))
        assert said.startswith(("error: ", "Usage: ")), done.stderr  # behind the records of its log, if any
        return said

    def command(self, *args: str) -> list[str]:
        """The argument list of a command, with the data directory unless it names one."""
        without = {"--data-dir", "--version", "--help", "emulate"}
        where = [] if without & set(args) else ["--data-dir", str(self.data_dir)]
        return [SCRIPT, *args, *where]

    def start(
        self,
        *args: str,
        stdin: int | IO[str] = subprocess.DEVNULL,
        stdout: int | IO[str] = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        """Start a command that goes on."""
        return subprocess.Popen(
            self.command(*args),
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(self.home, **self.variables),
        )

    @contextmanager
    def serving(self, port: int = 0) -> Iterator[str]:
        """A gateway that runs; gives what it printed when it was ready."""
        process, said = self.serve(port)
        try:
            yield said
        finally:
            stop(process)
        assert process.returncode == 0

    def serve(self, port: int = 0) -> "tuple[subprocess.Popen[str], str]":
        """Start a gateway and wait until it is ready; returns what it printed."""
        output = self.home / "serve.out"
        with output.open("w") as out, (self.home / "serve.err").open("a") as err:
            process = subprocess.Popen(
                self.command("serve", "--port", str(port)),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                text=True,
                env=environment(self.home, **self.variables),
            )
        wait_for(lambda: "listens on" in output.read_text() or process.poll() is not None)
        assert process.poll() is None, (self.home / "serve.err").read_text()
        assert is_ready(self.url)
        return process, output.read_text()

    @property
    def url(self) -> str:
        """Where the gateway listens."""
        found: str = json.loads((self.data_dir / "gateway.json").read_text())["url"]
        return found

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rsplit(":", 1)[1])


def is_ready(url: str) -> bool:
    """Whether the gateway says so."""
    try:
        with build_opener(ProxyHandler({})).open(f"{url}/readyz", timeout=5) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


def wait_for(condition: Any) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def stop(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[str, str]:
    """End a process we started; returns what it still said."""
    if process.poll() is None:
        process.send_signal(number)
    return process.communicate(timeout=PATIENCE_S)
