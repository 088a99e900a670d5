"""Stands between the gateway and an agent's program: starts it with its limits, and ends all that it has started.

A program of its own, run by its path with `python -I -S`: the standard library and nothing of the gateway. It does
what cannot be done safely between fork and exec of a process with threads, and what the gateway cannot do once it
is dead. Its one argument is JSON: `{"command": [...], "lifeline": FD, "limits": {NAME: NUMBER}}`; stdin, stdout,
stderr, directory and environment are the program's. It goes on until the program has ended, or until the lifeline,
a pipe whose other end only the gateway has, comes to its end: because the gateway closed it, or because it died.
Then everything below it gets SIGTERM, and what is left after GRACE_S gets SIGKILL.

On Linux it is the reaper of all descendants (PR_SET_CHILD_SUBREAPER, prctl(2)), so also those are found that
left the group or the session; elsewhere it ends the program's process group. It ends as the program ended: with
its exit code, by its signal.
"""

import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

GRACE_S = 0.3
"""From SIGTERM to SIGKILL. A cancelled run has one second for everything."""
KILL_S = 2.0
"""How long killed processes are waited for: one in the middle of a disk operation ends late."""
SCAN_MS = 20
"""Between two looks for what is left while killing: a process may fork while it is being killed."""
NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit codes when the program cannot be executed; those of a shell."""
IS_LINUX = sys.platform == "linux"
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
"""From linux/prctl.h."""
CPU_NOTICE_S = 1
"""Processor time between SIGXCPU, which says what happened, and the kernel's SIGKILL."""


def main() -> int:
    """Start the program, wait for its end or ours, end everything; the status as os.waitpid gives it."""
    given = json.loads(sys.argv[1])
    lifeline = given["lifeline"]
    os.set_inheritable(lifeline, False)
    wake = _wake_on_signals()
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    program = os.fork()
    if program == 0:
        _become(given["command"], given["limits"])
    _let_go_of_stdio()
    status = _watch(program, lifeline, wake)
    ended = _end_everything(program, wake)
    return status if status is not None else ended.get(program, signal.SIGKILL)


def _become(command: list[str], limits: dict[str, int]) -> None:
    """In the child: be the program. Never returns."""
    try:
        os.setsid()
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)  # Python ignores these, and exec would hand that on
        _limit(limits)
        os.execvp(command[0], command)
    except OSError as error:
        print(f"cannot execute {command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE)
    except (ValueError, MemoryError) as error:
        print(f"cannot set its limits: {error}", file=sys.stderr, flush=True)
        os._exit(NOT_EXECUTABLE)


def _limit(limits: dict[str, int]) -> None:
    """Set limits; never above what this process may have itself."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if "files" in limits:
        _lower(resource.RLIMIT_NOFILE, limits["files"], limits["files"])
    if "cpu_s" in limits:
        _lower(resource.RLIMIT_CPU, limits["cpu_s"], limits["cpu_s"] + CPU_NOTICE_S)
    if "memory_bytes" in limits:
        _lower(resource.RLIMIT_AS, limits["memory_bytes"], limits["memory_bytes"])


def _lower(which: int, soft: int, hard: int) -> None:
    _, may = resource.getrlimit(which)
    if may != resource.RLIM_INFINITY:
        soft, hard = min(soft, may), min(hard, may)
    resource.setrlimit(which, (soft, hard))


def _watch(program: int, lifeline: int, wake: int) -> int | None:
    """Wait for the end of the program, or of the lifeline; the program's status, None when it has not ended."""
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    poll.register(wake, select.POLLIN)
    while True:
        ready = {fd for fd, _ in poll.poll()}
        signals = os.read(wake, 512) if wake in ready else b""
        status = _reap().get(program)
        if status is not None:
            return status
        if lifeline in ready or any(number != signal.SIGCHLD for number in signals):
            return None


def _end_everything(program: int, wake: int) -> dict[int, int]:
    """End what is left below this process, politely at first; the statuses of what was reaped."""
    poll = select.poll()
    poll.register(wake, select.POLLIN)
    ended: dict[int, int] = {}
    deadline = time.monotonic() + GRACE_S
    _signal_descendants(program, signal.SIGTERM)
    while _has_children(ended) and (left := deadline - time.monotonic()) > 0:
        if poll.poll(left * 1000):
            os.read(wake, 512)
    deadline = time.monotonic() + KILL_S
    while _has_children(ended) and time.monotonic() < deadline:
        _signal_descendants(program, signal.SIGKILL)
        if poll.poll(SCAN_MS):
            os.read(wake, 512)
    return ended


def _has_children(ended: dict[int, int]) -> bool:
    """Whether there is anything left: whatever loses its parent becomes a child of this process."""
    ended.update(_reap())
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


def _reap() -> dict[int, int]:
    """Statuses of the children that have ended."""
    ended: dict[int, int] = {}
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended[found[0]] = found[1]
    return ended


def _signal_descendants(program: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(program, number)
    for pid in _descendants(os.getpid()):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _descendants(ancestor: int) -> list[int]:
    """Processes below `ancestor`, from /proc/PID/stat (proc_pid_stat(5)); none where there is no /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat") if IS_LINUX else ():
        try:
            stat = entry.read_text(errors="replace")
        except OSError:
            continue  # it has ended meanwhile
        parent = int(stat.rpartition(")")[2].split()[1])  # the name before it may hold anything
        children.setdefault(parent, []).append(int(entry.parent.name))
    found: list[int] = []
    line = [ancestor]
    while line:
        below = children.get(line.pop(), [])
        found += below
        line += below
    return found


def _wake_on_signals() -> int:
    """Make signals readable: the end of a pipe that gets each one's number."""
    wake, told = os.pipe()
    os.set_blocking(told, False)
    os.set_blocking(wake, False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    return wake


def _let_go_of_stdio() -> None:
    """The pipes are the program's: their other ends must see it when it closes them."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    os.close(nothing)


def _prctl(option: int, value: int) -> None:
    if IS_LINUX:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _end_like(status: int) -> None:
    """End this process as the program ended."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 1)


if __name__ == "__main__":
    _end_like(main())
