"""However a run ends, nothing of its program is left: not its children, not those that ignore signals or moved away."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import structlog
import uvloop
from acp_stage import PATIENCE_S, Stopwatch, failed, is_alive, processes_in, running, told
from agents_stage import MemoryJournal, attempt, make_context
from gateway_stage import until

from gateway.agents.acp import supervisor
from gateway.agents.acp.attempt import PROMPT
from gateway.agents.acp.process import STDERR_LINES
from gateway.agents.port import AgentText

STAGE = Path(__file__).parent


async def cancelled(directory: Path, *lines: str, when: Callable[[], object]) -> tuple[float, MemoryJournal]:
    """How many seconds a run takes to end that is cancelled `when` that holds, and its journal."""
    journal = MemoryJournal()
    async with running(directory) as agent:
        run = asyncio.create_task(attempt(agent, make_context(journal, "\n".join(lines))))
        await until(lambda: when() or run.done(), PATIENCE_S)
        watch = Stopwatch()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        took_s = watch.s
    return took_s, journal


async def test_a_cancelled_program_is_told_and_gone_within_a_second(tmp_path: Path) -> None:
    ready = tmp_path / "ready"

    took_s, journal = await cancelled(tmp_path, f"effect {ready} now", "hang", "say never", when=ready.exists)

    assert took_s < 1.0
    assert processes_in(tmp_path) == []
    assert PROMPT in journal.begun and PROMPT not in journal.ended


async def test_a_program_that_ignores_everything_is_gone_within_a_second(tmp_path: Path) -> None:
    ready = tmp_path / "ready"

    took_s, _ = await cancelled(tmp_path, f"effect {ready} now", "hang-deaf", when=ready.exists)

    assert took_s < 1.0
    assert processes_in(tmp_path) == []


@pytest.mark.parametrize("where", ["near", "away"])
async def test_grandchildren_that_ignore_sigterm_are_gone_within_a_second(tmp_path: Path, where: str) -> None:
    pid = tmp_path / "pid"
    took_s, _ = await cancelled(
        tmp_path,
        f"grandchild {pid} {where}",
        f"effect {pid}.ready now",
        "hang",
        when=Path(f"{pid}.ready").exists,
    )

    assert took_s < 1.0
    assert not is_alive(int(pid.read_text()))


def test_the_same_on_the_loop_of_the_daemon(tmp_path: Path) -> None:
    async def scene() -> tuple[str, float]:
        async with running(tmp_path) as agent:
            text = (await told(agent, "stream 3", "tool c1 Read")).text
        pid = tmp_path / "pid"
        ready = tmp_path / "ready"
        took_s, _ = await cancelled(
            tmp_path, f"grandchild {pid} away", f"effect {ready} now", "hang-deaf", when=ready.exists
        )
        return text, took_s

    text, took_s = uvloop.run(scene())

    assert text == "word-1 word-2 word-3 "
    assert took_s < 1.0
    assert processes_in(tmp_path) == []


async def test_what_an_answered_run_left_running_is_ended_too(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    async with running(tmp_path) as agent:
        given = await told(agent, f"grandchild {pid} away", "say done")

    assert given.text == "done"
    assert not is_alive(int(pid.read_text()))


async def test_the_children_of_a_program_that_died_are_ended_too(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    async with running(tmp_path) as agent:
        failure = await failed(agent, f"grandchild {pid} near", "die SIGKILL")

    assert "by SIGKILL" in str(failure)
    assert not is_alive(int(pid.read_text()))


async def test_a_program_that_somebody_kills(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    async with running(tmp_path) as agent:
        run = asyncio.create_task(failed(agent, f"effect {ready} now", "hang"))
        await until(ready.exists, PATIENCE_S)
        (program,) = [
            pid for pid in processes_in(tmp_path) if b"acp_agent" in _command(pid) and not _supervises(pid)
        ]
        os.kill(program, signal.SIGKILL)
        failure = await run

    assert (failure.kind, failure.passes) == ("agent_exited", True)


async def test_a_supervisor_that_somebody_kills_takes_its_program_along(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    async with running(tmp_path) as agent:
        run = asyncio.create_task(failed(agent, f"effect {ready} now", "hang"))
        await until(ready.exists, PATIENCE_S)
        (above,) = [pid for pid in processes_in(tmp_path) if _supervises(pid)]
        os.kill(above, signal.SIGKILL)
        failure = await run
        await until(lambda: not processes_in(tmp_path))

    assert failure.kind == "agent_exited"


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _supervises(pid: int) -> bool:
    return b"supervisor.py" in _command(pid)


async def test_a_reader_that_goes_away_ends_the_program(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        context = make_context(text="stream 100000")
        given = await attempt(agent, context, stop_after=lambda output: isinstance(output, AgentText))
        assert given.text == "word-1 "
        await until(lambda: not processes_in(tmp_path))


GATEWAY = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = [sys.argv[1]]
from acp_stage import running, told

async def main():
    async with running(Path(sys.argv[2])) as agent:
        await told(agent, *sys.argv[3:])

asyncio.run(main())
"""


def spawn_gateway(*arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", GATEWAY, *arguments])


@pytest.mark.parametrize("last", ["hang", "hang-deaf"])
async def test_nothing_survives_a_gateway_that_is_killed(tmp_path: Path, last: str) -> None:
    pid, ready = tmp_path / "pid", tmp_path / "ready"
    lines = [f"grandchild {pid} away", f"effect {ready} now", last]
    gateway = spawn_gateway(str(STAGE), str(tmp_path), *lines)
    try:
        await until(ready.exists, PATIENCE_S)
        assert is_alive(int(pid.read_text()))
    finally:
        gateway.kill()
        gateway.wait()

    await until(lambda: not processes_in(tmp_path), patience_s=supervisor.GRACE_S + supervisor.KILL_S)
    assert not is_alive(int(pid.read_text()))


async def test_what_it_says_on_stderr_is_logged_within_bounds(tmp_path: Path) -> None:
    lines = [f"stderr line {n} \x1b[31m" for n in range(STDERR_LINES + 50)]
    with structlog.testing.capture_logs() as logs:
        async with running(tmp_path) as agent:
            await told(agent, *lines, "stderr " + "x" * 100_000, "say done")

    said = [entry for entry in logs if entry["action"] == "agent_stderr"]
    assert len(said) == STDERR_LINES
    assert said[0]["line"] == "line 0  [31m", "no control characters"
    assert (said[0]["agent_id"], said[0]["run_id"]) == ("coder", "run_1")
    assert any(entry["action"] == "agent_stderr_cut" for entry in logs)


# --- the supervisor by itself -------------------------------------------------------------------

Supervise = Callable[..., Awaitable[tuple[int, bytes]]]


async def supervise(*command: str, limits: str = "{}") -> tuple[int, bytes]:
    """Run a command under the supervisor: how it ended, and its stderr."""
    theirs, ours = os.pipe()
    given = f'{{"command": {list(command)!r}, "lifeline": {theirs}, "limits": {limits}}}'.replace("'", '"')
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", supervisor.__file__, given),
        pass_fds=(theirs,),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(theirs)
    try:
        _, said = await process.communicate()
    finally:
        os.close(ours)
    assert process.returncode is not None
    return process.returncode, said


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (("true",), 0),
        (("sh", "-c", "exit 9"), 9),
        (("sh", "-c", "kill -TERM $$"), -signal.SIGTERM),
        (("sh", "-c", "kill -KILL $$"), -signal.SIGKILL),
        (("no-such-program",), supervisor.NOT_FOUND),
        (("/",), supervisor.NOT_EXECUTABLE),
    ],
)
async def test_it_ends_as_the_program_ended(command: tuple[str, ...], status: int) -> None:
    assert (await supervise(*command))[0] == status


async def test_limits_never_exceed_those_of_the_gateway() -> None:
    status, said = await supervise("sh", "-c", "ulimit -n >&2; ulimit -c >&2", limits='{"files": 1000000000}')

    files, core = said.split()
    assert status == 0
    assert int(files) <= 1_000_000_000
    assert core == b"0"
