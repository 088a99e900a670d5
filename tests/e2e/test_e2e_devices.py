"""An agent uses a device of the real gateway, which is killed while the device is at it: done once, and answered."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from e2e_stage import LOOK_S, PATIENCE_S, Stage, free_port, running, until_kind
from threadgate_client import Client, Device, Event, PairingAsked, limits

SCRIPT = """
default:
  - tool: {name: device.hall.open, arguments: {door: "{{text}}"}, save_as: opened}
  - say: "{{opened}}"
scenarios: []
"""
DOOR = {"type": "object", "properties": {"door": {"type": "string"}}, "required": ["door"]}


@pytest.fixture
def house(tmp_path: Path) -> Stage:
    made = Stage(tmp_path, "", free_port())
    (tmp_path / "script.yaml").write_text(SCRIPT)
    (tmp_path / "config.toml").write_text(
        f"""
port = {made.port}
log_level = "warning"
[[agents]]
id = "butler"
kind = "script"
script = "script.yaml"
devices = ["hall"]
"""
    )
    return made


class Hall:
    """A device in this process, which outlives the gateway's."""

    def __init__(self, stage: Stage) -> None:
        self.codes: list[PairingAsked] = []
        self.opened: list[str] = []
        self.may_go_on = asyncio.Event()
        self.device = Device(
            stage.url, directory=stage.directory / "device", name="Hall", on_pairing=self.codes.append
        )
        self.device.command("open", DOOR, "low")(self._open)

    async def _open(self, params: Any) -> str:
        self.opened.append(params["door"])
        await self.may_go_on.wait()
        return f"opened the {params['door']} door"


@pytest.fixture
async def hall(house: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hall]:
    monkeypatch.setattr(limits, "PAIRING_POLL_S", 0.1)
    monkeypatch.setattr(limits, "BACKOFF_LAST_S", 1.0)
    made = Hall(house)
    task = asyncio.create_task(made.device.run())
    yield made
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)


@pytest.mark.timeout(90)
async def test_a_gateway_killed_between_sending_and_the_result_invokes_nothing_twice(
    house: Stage, hall: Hall
) -> None:
    async with house.gateway() as gateway:
        await until(lambda: hall.codes)
        approve = house.threadgate("pairing", "approve", hall.codes[0].code, "--name", "hall")
        async with running(*approve) as command:
            assert "let in" in await command.printed(r"(let in .*)")
        await until(lambda: hall.device.is_connected)
        async with Client(house.url, token=house.token) as client:
            sent = await client.send("front")
            await until(lambda: hall.opened)
            await gateway.end(signal.SIGKILL)
    hall.may_go_on.set()  # it is done while nobody is there
    seen: list[Event] = []
    async with house.gateway(), Client(house.url, token=house.token) as client:
        async with client.events(sent.thread_id, "start") as events:
            await until_kind(events, seen, "run.completed")
        assert len((await client.audit.list(action="device.invoke")).items) == 1
    answers = [one.message.text for one in seen if one.message and one.message.role == "assistant"]
    assert answers == ["opened the front door"]
    assert hall.opened == ["front"], "it was done once"
