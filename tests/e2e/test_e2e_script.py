"""A scripted agent with a tool whose effects are counted, through kill -9 of the real gateway."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from e2e_stage import LOOK_S, PATIENCE_S, Program, Stage, free_port, until_kind
from threadgate_client import Client, Event

EFFECT_SERVER = Path(__file__).parents[1] / "gateway" / "agents" / "effect_server.py"
SCRIPT = """
scenarios:
  - name: pay
    match: {command: pay}
    steps:
      - say: "Paying. "
      - tool: {name: till.pay, arguments: {id: "{{rest}}"}, save_as: paid}
      - wait: 1.5
      - tool: {name: till.look, save_as: look}
      - say: "{{paid}}: {{look}}"
  - name: slow
    match: {command: slow}
    steps:
      - tool: {name: till.pay, arguments: {id: slow, after_s: 60}, save_as: paid}
      - say: "{{paid}}"
  - name: safe
    match: {command: safe}
    steps:
      - tool: {name: vault.pay, arguments: {id: safe}, save_as: paid}
      - say: "{{paid}}"
"""


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    return tmp_path / "effects"


@pytest.fixture
def theatre(tmp_path: Path, effects: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, "", free_port())
    server = f"""
command = ["{sys.executable}", "{EFFECT_SERVER}"]
env = {{ EFFECTS = "{effects}" }}
"""
    (tmp_path / "script.yaml").write_text(SCRIPT)
    (tmp_path / "config.toml").write_text(
        f"""
port = {made.port}
log_level = "warning"
[runs]
shutdown_s = 0.2
[[agents]]
id = "player"
kind = "script"
script = "script.yaml"
[[agents.mcp]]
name = "till"
{server}
[[agents.mcp]]
name = "vault"
requires_approval = "all"
{server}
"""
    )
    yield made


@asynccontextmanager
async def asked(theatre: Stage, text: str) -> AsyncIterator[tuple[Program, Client, AsyncIterator[Event]]]:
    """A gateway that was sent this message, a client of it, and the events of the thread that began."""
    async with theatre.gateway() as gateway, Client(theatre.url, token=theatre.token) as client:
        sent = await client.send(text)
        async with client.events(sent.thread_id, "start") as events:
            yield gateway, client, events


def paid(effects: Path) -> list[str]:
    """What was done."""
    return effects.read_text().split() if effects.exists() else []


async def until_paid(effects: Path) -> None:
    """Wait for an effect, which happens in another process."""
    async with asyncio.timeout(PATIENCE_S):
        while not paid(effects):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)


def answer(seen: list[Event]) -> str:
    (text,) = [
        one.message.text for one in seen if one.message is not None and one.message.role == "assistant"
    ]
    return text


@pytest.mark.timeout(90)
async def test_a_call_that_was_recorded_is_not_made_again_after_kill_9(theatre: Stage, effects: Path) -> None:
    seen: list[Event] = []
    async with asked(theatre, "/pay rent") as (first, _, events):
        await until_kind(events, seen, "tool.finished")
        assert await first.end(signal.SIGKILL) == -signal.SIGKILL
        async with theatre.gateway():
            await until_kind(events, seen, "run.completed")
    assert answer(seen) == 'Paying. paid rent: {"paid":["rent"]}'
    assert paid(effects) == ["rent"]
    assert "run.resumed" in [event.kind for event in seen]


@pytest.mark.timeout(90)
async def test_a_call_whose_outcome_nobody_knows_is_a_question_to_a_person(
    theatre: Stage, effects: Path
) -> None:
    seen: list[Event] = []
    async with asked(theatre, "/slow") as (first, client, events):
        await until_paid(effects)
        assert await first.end(signal.SIGKILL) == -signal.SIGKILL
        async with theatre.gateway():
            await until_kind(events, seen, "approval.requested")
            (approval,) = (await client.approvals.list()).items
            await client.approvals.deny(approval.id)
            await until_kind(events, seen, "run.completed")
    assert answer(seen).endswith("first owner decided not to do it again.")
    assert paid(effects) == ["slow"]


@pytest.mark.timeout(90)
async def test_a_call_that_waits_for_approval_waits_through_kill_9(theatre: Stage, effects: Path) -> None:
    seen: list[Event] = []
    async with asked(theatre, "/safe") as (first, client, events):
        await until_kind(events, seen, "approval.requested")
        assert await first.end(signal.SIGKILL) == -signal.SIGKILL
        async with theatre.gateway():
            (approval,) = (await client.approvals.list()).items
            assert approval.title == "Use the tool vault.pay"
            assert paid(effects) == []
            await client.approvals.approve(approval.id)
            await until_kind(events, seen, "run.completed")
    assert answer(seen) == "paid safe"
    assert paid(effects) == ["safe"]
