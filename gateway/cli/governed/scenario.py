"""The governed scenario, told step by step: it runs unattended, and the exit code says whether all of it held.

An agent wants to publish. A policy asks two people, in Slack and in Discord; the gateway is killed while they think;
both approve; it is published once; the budget stops the next one; the audit log is exported and verified by a script
that shares no code with the gateway, which also notices that somebody changed it. Every step looks at what people
see and at the press's ledger, never into the gateway.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.cli.governed import configuration
from gateway.cli.governed.places import (
    ADA,
    APPROVERS,
    GRACE,
    PATIENCE_S,
    Guild,
    NotSeen,
    Seen,
    Workspace,
    until,
)
from gateway.runtime_file import read as read_runtime

SETTLE_S: Final = 2.0
"""Time in which a second publication would have happened, if there were one."""
TOOL_S: Final = 120.0
"""The longest a command of the command line may take."""
TITLE: Final = "Threadgate 1.0"
VERIFIER: Final = "verify_audit.py"
"""In `tools/` of a checkout, beside this file in an installed package; it shares no code with either."""


class Failed(Exception):
    """A step did not hold; the text says which and why."""


class Gateway:
    """The gateway as a process of its own, on one data directory."""

    def __init__(self, config: Path, data_dir: Path) -> None:
        self._where = ["--config", str(config), "--data-dir", str(data_dir)]
        self._data_dir = data_dir
        self._log = data_dir.with_name("gateway.log")
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and wait until it serves. Raises Failed."""
        self._process = self._spawn()
        try:
            await until(self._ready, "a gateway that is ready")
        except NotSeen as error:
            raise Failed(f"{error}; its log:\n{self._log.read_text('utf-8')[-2000:]}") from error

    def kill(self) -> int:
        """End it as the kernel does; returns its process id."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        return self._process.pid

    def stop(self) -> None:
        """End it in order; nothing when it does not run."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()

    async def command(self, *args: str) -> str:
        """What a command prints. Raises Failed when it fails."""
        return await _run([sys.executable, "-m", "gateway", *args, *self._where])

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "gateway", "serve", *self._where]
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _ready(self) -> bool | None:
        assert self._process is not None
        if self._process.poll() is not None:
            raise NotSeen(f"the gateway ended with code {self._process.returncode}")
        runtime = read_runtime(self._data_dir)
        if runtime is None or runtime.pid != self._process.pid:
            return None
        try:
            with urllib.request.urlopen(f"{runtime.url}/readyz", timeout=1.0):
                return True
        except (urllib.error.URLError, OSError):
            return None


async def play(place: Path, say: Callable[[str], None]) -> None:
    """Play everything in an empty directory. Raises Failed and NotSeen."""
    workspace, guild = Workspace(), Guild()
    ledger = place / "published.jsonl"
    await workspace.start()
    await guild.start()
    try:
        config = configuration.write(
            place,
            port=0,
            channels=[workspace.account(), guild.account()],
            approvers=APPROVERS,
            room=guild.room,
            ledger=ledger,
        )
        gateway = Gateway(config, place / "data")
        try:
            await _govern(gateway, workspace, guild, ledger, say)
            await _audit(gateway, place, say)
        finally:
            gateway.stop()
    finally:
        await guild.stop()
        await workspace.stop()


async def _govern(
    gateway: Gateway, workspace: Workspace, guild: Guild, ledger: Path, say: Callable[[str], None]
) -> None:
    await gateway.start()
    workspace.say(f"publish {TITLE}")
    card = await until(lambda: _card(workspace.seen()), "a card in Slack")
    await until(lambda: _card(guild.seen()), "a card in Discord")
    say("Ada asks the agent to publish. A policy wants two people asked: a card in Slack, one in Discord.")

    workspace.press(card, "Approve", ADA)
    await until(lambda: workspace.whispers(ADA) or None, "a word to Ada that she may not decide this")
    say("Ada may not approve what she asked for herself, and is told so.")

    pid = gateway.kill()
    say(f"The gateway is killed (kill -9 {pid}) while they think …")
    await gateway.start()
    say("… and started again: the question still stands, nothing was published.")
    _expect(_published(ledger) == [], f"nothing published yet, but there is {_published(ledger)}")

    workspace.press(await until(lambda: _card(workspace.seen()), "the card in Slack"), "Approve", GRACE)
    await until(lambda: _saying(guild.seen(), "Grace"), "Grace's vote on the card in Discord")
    _expect(_published(ledger) == [], "one approval is not enough, but it was published")
    say("Grace approves in Slack: one of two, and the card in Discord says so.")

    guild.press(await until(lambda: _card(guild.seen()), "the card in Discord"), "Approve")
    await until(lambda: _published(ledger) or None, "a publication")
    await until(lambda: _saying(workspace.seen(), f"Published: {TITLE}"), "the answer in Slack")
    await asyncio.sleep(SETTLE_S)
    _expect(_published(ledger) == [TITLE], f"it to be published once, but there is {_published(ledger)}")
    _expect(_card(workspace.seen()) is None and _card(guild.seen()) is None, "both cards to be settled")
    say("Linus approves in Discord: it is published, once. Both cards show who decided.")

    workspace.say("publish Threadgate 2.0")
    await until(lambda: _saying(workspace.seen(), "budget"), "a word about the budget")
    await asyncio.sleep(SETTLE_S)
    _expect(_published(ledger) == [TITLE], "the budget to stop the next one, but it was published")
    say("The next one is stopped by the budget, with a message in the room that says so.")


async def _audit(gateway: Gateway, place: Path, say: Callable[[str], None]) -> None:
    export = place / "audit.ndjson"
    key = (await gateway.command("audit", "key")).strip()
    await gateway.command("audit", "export", "--format", "ndjson", "--output", str(export))
    verifier = str(_verifier())
    verdict = await _run([sys.executable, verifier, str(export), "--key", key])
    say(f"The audit log is exported and verified by a script of its own: {verdict.strip()}")

    lines = export.read_text("utf-8").splitlines(keepends=True)
    forged = place / "forged.ndjson"
    forged.write_text("".join(lines).replace("approval.", "approvaI.", 1), "utf-8")
    _expect(forged.read_text("utf-8") != export.read_text("utf-8"), "an entry about the approval")
    try:
        await _run([sys.executable, verifier, str(forged), "--key", key])
    except Failed as error:
        say(f"With one letter changed it says: {str(error).strip().splitlines()[-1]}")
    else:
        raise Failed("the verifier did not notice a changed entry")


def _verifier() -> Path:
    beside = Path(__file__).with_name(VERIFIER)
    return beside if beside.exists() else Path(__file__).parents[3] / "tools" / VERIFIER


def _card(messages: list[Seen]) -> Seen | None:
    """The newest message that can be approved."""
    return next((one for one in reversed(messages) if any(b.label == "Approve" for b in one.buttons)), None)


def _saying(messages: list[Seen], words: str) -> Seen | None:
    return next((one for one in reversed(messages) if words.lower() in one.text.lower()), None)


def _published(ledger: Path) -> list[str]:
    return [json.loads(line) for line in ledger.read_text("utf-8").splitlines()] if ledger.exists() else []


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise Failed(f"expected {what}")


async def _run(command: list[str]) -> str:
    """What a program prints. Raises Failed when it fails or takes too long."""

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=TOOL_S, check=False, env=dict(os.environ)
        )

    done = await asyncio.to_thread(run)
    if done.returncode != 0:
        raise Failed(done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}")
    return done.stdout
