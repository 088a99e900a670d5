"""Where gateways are born: a process that has imported everything and forks one gateway per order.

Importing takes 1.5 s, being born from here 0.02 s. Each gateway is a process of its own that runs the same
`threadgate serve` as everybody's, over its own store, sockets and threads. Orders come as lines of JSON on
stdin, births and deaths are told on stdout. Nobody outlives the process that started it.

What real networks need time for, emulated ones do at once, so the waits for it are scaled (`SCALED`), and where
nothing is limited nothing is paced. The other options are the negative controls: gateways with one fault each
that all this is there to find.
"""

import asyncio
import ctypes
import importlib
import json
import os
import signal
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import channels.discord.adapter
import channels.slack.adapter
import channels.slack.calls
import channels.telegram.adapter
import gateway.cli
import gateway.cli.serve
import gateway.services.traffic
from channels.messages import Delivery, Finding, Operation, Reconciled, Rendered, RoomRef, Verdict
from gateway.agents.registry import KINDS
from gateway.rules.rate import TokenBucket
from gateway.services.intake import Intake
from gateway.services.scheduler import Scheduler
from storage.journal import Journal
from storage.run_values import NewStep, StepRow
from storage.values import ClaimedRun

PR_SET_PDEATHSIG = 1
LATE_S = 0.15
"""How long the negative control holds a commit back, after it has let the network be told it was done."""
SCALED = {
    # Slack shows a message in its lists some seconds after it was posted, the emulator at once.
    "gateway.services.attempts.LOOK_AGAIN_S": 0.15,
    # The emulated ladder of repetitions ends after 6 s, the real one after 360 s.
    "channels.slack.history.OVERLAP_S": 10.0,
    # Networks are back at once here.
    "gateway.rules.retry.FIRST_S": 0.1,
}


class Unlimited(TokenBucket):
    """Never empty: the networks here refuse nothing."""

    def wait_s(self, now: float) -> float:
        """Nothing to wait for."""
        return 0.0


def main() -> None:
    """Take orders until stdin ends."""
    config, data_dir, log_path, *options = sys.argv[1:]
    die_with_parent()
    scale()
    import_agents(Path(config))
    for option in options:
        CONTROLS[option]()
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


def scale() -> None:
    """Adapt the waits; a name that no longer exists is an error, not a wait."""
    for name, seconds in SCALED.items():
        module, _, constant = name.rpartition(".")
        owner = importlib.import_module(module)
        getattr(owner, constant)
        setattr(owner, constant, seconds)
    gateway.services.traffic.TokenBucket = Unlimited  # type: ignore[attr-defined]


def import_agents(config: Path) -> None:
    """Import what the kinds in the configuration are made of, as every gateway of it would have to."""
    for agent in tomllib.loads(config.read_text()).get("agents", []):
        importlib.import_module(KINDS[agent["kind"]].partition(":")[0])
        if agent["kind"] == "model":
            importlib.import_module("gateway.agents.model.openai_models")
        if "mcp" in agent:
            importlib.import_module("gateway.agents.tools.mcp_tools")


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


def let_the_library_retry() -> None:
    """Build Slack's client as its documentation does: a lost answer makes the library post again by itself."""
    client = channels.slack.calls.AsyncWebClient

    def careless(*args: Any, **options: Any) -> Any:
        options.pop("retry_handlers", None)
        return client(*args, **options)

    channels.slack.calls.AsyncWebClient = careless  # type: ignore[assignment,misc]


def resend_blindly() -> None:
    """Take every send of unknown outcome for one that did not happen."""

    async def reconcile(adapter: Any, operation: Operation, room: RoomRef, content: Rendered) -> Reconciled:
        return Reconciled(Finding.ABSENT)

    channels.slack.adapter.SlackAdapter.reconcile = reconcile  # type: ignore[method-assign]
    channels.telegram.adapter.TelegramAdapter.reconcile = reconcile  # type: ignore[method-assign]
    channels.discord.adapter.DiscordAdapter.reconcile = reconcile  # type: ignore[method-assign]


def leave_them_lying() -> None:
    """Start without looking for what an earlier process left: its runs are stuck."""

    async def start(scheduler: Scheduler) -> None:
        scheduler._keeper = asyncio.create_task(asyncio.Event().wait())  # type: ignore[arg-type]

    Scheduler.start = start  # type: ignore[method-assign]


def forget_the_journal() -> None:
    """Tell every attempt that nothing was done before: completed steps are done again."""
    really_open = Journal.open

    async def steps(journal: Journal, run_id: str) -> list[StepRow]:
        return []

    async def forgetful(journal: Journal, run: ClaimedRun, step: NewStep, now_ms: int) -> StepRow:
        return replace(await really_open(journal, run, step, now_ms), outcome=None, result=None)

    Journal.steps = steps  # type: ignore[method-assign]
    Journal.open = forgetful  # type: ignore[method-assign]


CONTROLS = {
    "--no-take-over": leave_them_lying,
    "--no-journal": forget_the_journal,
    "--ack-before-commit": acknowledge_before_commit,
    "--library-retries": let_the_library_retry,
    "--blind-resend": resend_blindly,
}


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def say(fact: dict[str, int]) -> None:
    """Tell the harness."""
    print(json.dumps(fact), flush=True)


if __name__ == "__main__":
    main()
