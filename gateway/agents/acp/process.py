"""One agent's program: started with little environment and hard limits, read within bounds, and ended with all its own.

Knows nothing of the protocol: lines out, bytes in, an exit status. What the program says on stderr is logged and
never believed. How its descendants are found and ended is in `supervisor.py`, which runs between it and us.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from gateway.agents.acp import supervisor
from gateway.agents.port import AgentFailure

log = structlog.get_logger()

INHERITED: Final = ("PATH", "HOME", "LANG", "LANGUAGE", "TZ")
"""What a program gets of the gateway's environment, with LC_*; the gateway's own secrets are in the rest."""
STDERR_LINE_BYTES: Final = 2000
"""What is kept of a line."""
STDERR_LINES: Final = 200
"""Lines of one run that are logged; the rest is read and only counted."""
SHOWN_CHARS: Final = 300
"""Of what the program said itself, in an error that people see."""
SECRET_CHARS_MIN: Final = 8
"""Shorter values of its environment are no secrets, and would be found everywhere."""
EXIT_S: Final = 1.0
"""How long a program that closed its output is waited for, to learn how it ended."""
END_S: Final = supervisor.GRACE_S + supervisor.KILL_S + 0.5
"""How long the supervisor gets to end everything, before it is killed itself."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True)
class Program:
    """What to start: `command` with the program's path first, `env` whole, `secrets` as they must not be shown."""

    agent_id: str
    command: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    limits: Mapping[str, int]
    line_bytes: int
    secrets: tuple[str, ...] = ()

    def presentable(self, text: str) -> str:
        """What the program said, for people: one line, bounded, without the secrets it was given."""
        for secret in self.secrets:
            text = text.replace(secret, "[secret]")
        line = _CONTROL.sub(" ", text).strip()
        return line if len(line) <= SHOWN_CHARS else f"{line[:SHOWN_CHARS]}…"


def make_env(given: Mapping[str, str], mine: Mapping[str, str]) -> dict[str, str]:
    """A program's environment: the little it inherits of `mine`, and what it is `given`."""
    inherited = {name: value for name, value in mine.items() if name in INHERITED or name.startswith("LC_")}
    return {**inherited, "TERM": "dumb", **given}


def find_program(name: str, directory: Path, env: Mapping[str, str]) -> str:
    """The path of a program: on the environment's PATH, or relative to `directory` when it has a slash.

    Raises AgentFailure (bad_configuration).
    """
    if "/" in name:
        path = directory / name
        if not path.is_file():
            raise AgentFailure("bad_configuration", f"There is no program {name}.")
        if not os.access(path, os.X_OK):
            raise AgentFailure("bad_configuration", f"{name} is not executable.")
        return str(path)
    found = shutil.which(name, path=env.get("PATH", os.defpath))
    if found is None:
        raise AgentFailure(
            "bad_configuration", f"There is no program {name} on PATH: install it, or give its whole path."
        )
    return found


class AgentProcess:
    """A running program. Make it with `start`; whoever started it calls `end`."""

    def __init__(
        self, program: Program, process: asyncio.subprocess.Process, lifeline: int, run_id: str
    ) -> None:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        self.program = program
        self.stdin = process.stdin
        self.last_words = ""
        self._stdout = process.stdout
        self._process = process
        self._lifeline: int | None = lifeline
        self._log = log.bind(agent_id=program.agent_id, run_id=run_id, pid=process.pid)
        self._stderr = asyncio.create_task(self._read_stderr(process.stderr), name=f"stderr of {process.pid}")
        self.exited = asyncio.create_task(process.wait(), name=f"exit of {process.pid}")

    @classmethod
    async def start(cls, program: Program, run_id: str) -> "AgentProcess":
        """Start the program. Raises AgentFailure when the machine has no room for it."""
        theirs, ours = os.pipe()
        given = {"command": program.command, "lifeline": theirs, "limits": dict(program.limits)}
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", supervisor.__file__, json.dumps(given)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=program.cwd,
                env=dict(program.env),
                pass_fds=(theirs,),
                start_new_session=True,
                limit=program.line_bytes,
            )
        except BaseException as error:
            os.close(ours)
            if isinstance(error, FileNotFoundError | NotADirectoryError):
                raise AgentFailure(
                    "bad_configuration", f"Its directory {program.cwd} is not there."
                ) from error
            if isinstance(error, OSError):
                reason = f"It could not be started: {error.strerror}."
                raise AgentFailure("agent_unavailable", reason, passes=True) from error
            raise
        finally:
            os.close(theirs)
        return cls(program, process, ours, run_id)

    async def line(self) -> bytes:
        """The next line of its output; empty at the end. Raises AgentFailure (too_large)."""
        try:
            return await self._stdout.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            return b""  # the rest of a line that was cut off says nothing
        except asyncio.LimitOverrunError:
            reason = f"It sent a line of more than {self.program.line_bytes} bytes."
            raise AgentFailure("too_large", reason) from None

    async def why_gone(self, *, passes: bool) -> AgentFailure:
        """What to say of a program that closed its output."""
        done, _ = await asyncio.wait({self.exited}, timeout=EXIT_S)
        if not done:
            return AgentFailure("bad_output", "It closed its output and did not end.")
        await asyncio.wait({self._stderr}, timeout=EXIT_S)
        how = _ending(self.exited.result())
        last = f" Its last words: {self.last_words}" if self.last_words else ""
        return AgentFailure("agent_exited", f"It ended {how} before it had answered.{last}", passes=passes)

    async def end(self, patience_s: float) -> None:
        """End the program and everything it started. With its input closed it gets `patience_s` to go by itself."""
        self.stdin.close()
        rest = asyncio.create_task(self._drain(), name=f"rest of {self._process.pid}")
        try:
            await asyncio.wait({self.exited}, timeout=patience_s)
            self._cut_lifeline()
            done, _ = await asyncio.wait({self.exited}, timeout=END_S)
            if not done:
                self._log.error("a supervisor did not end", action="agent_process_stuck")
                self._process.kill()
                await asyncio.wait({self.exited}, timeout=EXIT_S)
            await asyncio.wait({rest, self._stderr}, timeout=EXIT_S)
        finally:
            self._cut_lifeline()
            for task in (rest, self._stderr, self.exited):
                task.cancel()

    def _cut_lifeline(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    async def _drain(self) -> None:
        """Read what nobody wants any more, so that the pipe comes to its end."""
        while await self._stdout.read(self.program.line_bytes):
            pass

    async def _read_stderr(self, stderr: asyncio.StreamReader) -> None:
        """Log its lines within bounds, and remember the last."""
        lines, kept = 0, b""
        while chunk := await stderr.read(STDERR_LINE_BYTES):
            *whole, kept = (kept + chunk).split(b"\n")
            kept = kept[:STDERR_LINE_BYTES]
            for line in whole:
                lines += self._heard(line, lines)
        lines += self._heard(kept, lines)
        if lines > STDERR_LINES:
            self._log.info("an agent said more on stderr", action="agent_stderr_cut", lines=lines)

    def _heard(self, line: bytes, before: int) -> int:
        text = self.program.presentable(line[:STDERR_LINE_BYTES].decode(errors="replace"))
        if not text:
            return 0
        self.last_words = text
        if before < STDERR_LINES:
            self._log.info("an agent said on stderr", action="agent_stderr", line=text)
        return 1


def _ending(code: int) -> str:
    if code >= 0:
        return f"with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"by {name}"


def secrets_of(values: Sequence[str]) -> tuple[str, ...]:
    """Those of the values that must not be shown, the longest first: one may hold another."""
    return tuple(sorted((value for value in values if len(value) >= SECRET_CHARS_MIN), key=len, reverse=True))
