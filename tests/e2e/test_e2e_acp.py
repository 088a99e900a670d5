"""kind="acp" with real processes: a gateway that is killed while its agent's program waits for a person."""

import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e_stage import LOOK_S, Stage, free_port
from threadgate_client import Client

AGENT = Path(__file__).parent.parent / "gateway" / "agents" / "acp_agent.py"
PATIENCE_S = 40.0
"""Two programs start before anything can be seen; a machine may be busy."""
SETTINGS = """
port = {port}
log_level = "warning"
default_agent = "coder"
[[agents]]
id = "coder"
kind = "acp"
command = ["{python}", "{agent}"]
cwd = "{room}"
"""


def alive_in(directory: Path) -> list[int]:
    """Processes whose working directory this is, but for zombies."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z" and (entry / "cwd").readlink() == directory:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


async def until(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)


async def approval_of(client: Client, title: str) -> str:
    """The id of a pending approval, once there is one with these words in its title."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            listed = await client.request("approval.list", {"state": "pending"})
            for one in listed["approvals"]:
                if title in one["title"]:
                    return str(one["id"])
            await asyncio.sleep(LOOK_S)


async def state_of(client: Client, run_id: str) -> str:
    """The state of a run once it has ended."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            run = (await client.request("run.get", {"run_id": run_id}))["run"]
            if run["state"] in ("completed", "failed", "cancelled", "interrupted"):
                return str(run["state"])
            await asyncio.sleep(LOOK_S)


@pytest.mark.timeout(120)
async def test_a_permission_survives_kill_9_of_the_gateway(tmp_path: Path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    theatre = Stage(tmp_path, "", free_port())
    given = {"port": theatre.port, "python": sys.executable, "agent": AGENT, "room": room}
    (tmp_path / "config.toml").write_text(SETTINGS.format(**given))

    async with theatre.gateway() as gateway, Client(theatre.url, token=theatre.token) as client:
        sent = await client.send("grandchild pid away\nask c1 done.txt it")
        await approval_of(client, "append done.txt it")
        await gateway.end(signal.SIGKILL)
    await until(lambda: not alive_in(room))

    async with theatre.gateway(), Client(theatre.url, token=theatre.token) as client:
        permission = await approval_of(client, "append done.txt it")
        await client.request("approval.decide", {"approval_id": permission, "decision": "approve"})
        repetition = await approval_of(client, "may have happened")
        (room / "pid").unlink()
        await client.request("approval.decide", {"approval_id": repetition, "decision": "approve"})
        assert await state_of(client, sent.run_id) == "completed"

    assert (room / "done.txt").read_text() == "it\n"
    await until(lambda: not alive_in(room))
