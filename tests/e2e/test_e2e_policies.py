"""A policy over a real gateway and a tool with effects: asked, killed, approved, done once; or forbidden meanwhile."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_stage import PATIENCE_S, THREADGATE, Stage, free_port, running, until_kind
from threadgate_client import Client, Event

EFFECT_SERVER = Path(__file__).parents[1] / "gateway" / "agents" / "effect_server.py"
SCRIPT = """
scenarios:
  - name: pay
    match: {command: pay}
    steps:
      - tool: {name: till.pay, arguments: {id: "{{rest}}"}, save_as: paid}
      - say: "{{paid}}"
"""
ASK = """
[[policies]]
name = "money"
effect = "require_approval"
tool = ["till.pay"]
"""
NEVER = """
[[policies]]
name = "closed"
effect = "deny"
tool = ["till.*"]
reason = "The till is closed."
"""


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    return tmp_path / "effects"


class Till(Stage):
    """A gateway of a scripted agent with a till, under policies."""

    def configure(self, directory: Path, effects: Path, policies: str) -> None:
        (directory / "script.yaml").write_text(SCRIPT)
        (directory / "config.toml").write_text(
            f"""
port = {self.port}
log_level = "warning"
[runs]
shutdown_s = 0.2
[[agents]]
id = "player"
kind = "script"
script = "script.yaml"
[[agents.mcp]]
name = "till"
command = ["{sys.executable}", "{EFFECT_SERVER}"]
env = {{ EFFECTS = "{effects}" }}
{policies}
"""
        )


@pytest.fixture
def till(tmp_path: Path, effects: Path) -> Iterator[Till]:
    made = Till(tmp_path, "", free_port())
    made.configure(tmp_path, effects, ASK)
    yield made


def done(effects: Path) -> list[str]:
    return effects.read_text().split() if effects.exists() else []


def answer(seen: list[Event]) -> str:
    (text,) = [
        one.message.text for one in seen if one.message is not None and one.message.role == "assistant"
    ]
    return text


async def explain(tmp_path: Path, *arguments: str) -> int:
    """The exit code of `policy explain` on the gateway's own configuration."""
    config = tmp_path / "config.toml"
    async with running(THREADGATE, "policy", "explain", "--config", config, *arguments) as program:
        async with asyncio.timeout(PATIENCE_S):
            await program.process.communicate()
        assert program.process.returncode is not None
        return program.process.returncode


@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    ("later", "said", "paid"),
    [(ASK, "paid rent", ["rent"]), (NEVER, "The till is closed.", [])],
    ids=["asked", "forbidden"],
)
async def test_what_a_policy_wants_asked_waits_through_kill_9_and_is_judged_again(
    till: Till, tmp_path: Path, effects: Path, later: str, said: str, paid: list[str]
) -> None:
    seen: list[Event] = []
    async with till.gateway() as first, Client(till.url, token=till.token) as client:
        sent = await client.send("/pay rent")
        async with client.events(sent.thread_id, "start") as events:
            await until_kind(events, seen, "approval.requested")
            assert done(effects) == []
            assert await first.end(signal.SIGKILL) == -signal.SIGKILL
            till.configure(tmp_path, effects, later)
            async with till.gateway():
                (approval,) = (await client.approvals.list()).items
                await client.approvals.approve(approval.id)
                await until_kind(events, seen, "run.completed")
    assert said in answer(seen)
    assert done(effects) == paid
    code = await explain(tmp_path, "--agent", "player", "--name", "till.pay")
    assert code == (3 if later == ASK else 1)
