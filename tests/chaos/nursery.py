"""Where gateways are born: a process that has imported everything and forks one gateway per order.

Importing takes 0.8 s, being born from here 0.02 s. Each gateway is a process of its own that runs the same
`threadgate serve` as everybody's, over its own store, sockets and threads. Orders come as lines of JSON on
stdin, births and deaths are told on stdout. Nobody outlives the process that started it.

`--ack-before-commit` is the negative control: gateways with the one fault that all this is there to find.
"""

import asyncio
import ctypes
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import channels.telegram.adapter  # noqa: F401 - loaded here, so that it is not loaded at every birth
import gateway.cli
from channels.messages import Delivery, Verdict
from gateway.services.intake import Intake

PR_SET_PDEATHSIG = 1
LATE_S = 0.15
"""How long the negative control holds a commit back, after it has let Telegram be told it was done."""


def main() -> None:
    """Take orders until stdin ends."""
    config, data_dir, log_path, *options = sys.argv[1:]
    die_with_parent()
    if "--ack-before-commit" in options:
        acknowledge_before_commit()
    say({"ready": os.getpid()})
    while line := sys.stdin.readline():
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become_gateway(order["env"], ["--config", config, "--data-dir", data_dir], log_path)
        say({"born": pid})
        _, status = os.waitpid(pid, 0)
        say({"died": pid, "status": os.waitstatus_to_exitcode(status)})


def become_gateway(env: dict[str, str], options: list[str], log_path: str) -> None:
    """What the child does; never returns."""
    die_with_parent()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(env)
    sys.argv = ["threadgate", "serve", *options]
    code: Any = 1
    try:
        gateway.cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def acknowledge_before_commit() -> None:
    """Let `commit` return at once and store the batch a moment later: the fault the loop must find."""
    store = Intake.commit
    late: set[asyncio.Task[None]] = set()

    async def later(intake: Intake, batch: Sequence[Delivery], cursors: Mapping[str, str]) -> None:
        await asyncio.sleep(LATE_S)
        await store(intake, batch, cursors)

    async def commit(
        intake: Intake, batch: Sequence[Delivery], cursors: Mapping[str, str]
    ) -> Sequence[Verdict]:
        task = asyncio.create_task(later(intake, batch, cursors))
        late.add(task)
        task.add_done_callback(late.discard)
        return [Verdict(is_taken=True) for _ in batch]

    Intake.commit = commit  # type: ignore[method-assign]


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def say(fact: dict[str, int]) -> None:
    """Tell the harness."""
    print(json.dumps(fact), flush=True)


if __name__ == "__main__":
    main()
