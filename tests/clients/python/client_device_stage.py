"""A gateway in this process, a client that asks, and devices of the client's that a test starts and stops."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from agent_stage import AgentStage
from threadgate_client import Device, Invocation, PairingAsked

PATIENCE_S = 10.0
TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.005)


class DeviceStage(AgentStage):
    """What tests of devices need."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "data")
        self.directory = directory / "device"
        self.codes: list[PairingAsked] = []
        self.effects: list[str] = []
        self.hold: asyncio.Event | None = None

    def device(self, **options: Any) -> Device:
        """A device with one command, which may be held up in the middle."""
        made = Device(
            self.url, directory=self.directory, name="Lamp", on_pairing=self.codes.append, **options
        )

        @made.command("note", TEXT, "low")
        async def note(params: Any) -> dict[str, str]:
            """Note a text."""
            self.effects.append(params["text"])
            if self.hold is not None:
                await self.hold.wait()
            return {"noted": params["text"]}

        return made

    @asynccontextmanager
    async def running(self, device: Device) -> AsyncIterator[asyncio.Task[None]]:
        """The device at work for the length of a block; then it is killed, as far as one process can be."""
        task = asyncio.create_task(device.run())
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task

    @asynccontextmanager
    async def connected(self, device: Device | None = None) -> AsyncIterator[Device]:
        """The same, approved and connected."""
        device, known = device or self.device(), len(self.codes)
        async with self.running(device) as task:
            await until(lambda: device.is_connected or len(self.codes) > known or task.done())
            if not device.is_connected:
                await self.client.pairings.approve(code=self.codes[-1].code, name="lamp")
            await until(lambda: device.is_connected)
            yield device

    async def invoke(self, device: Device, text: str = "hi", **options: Any) -> Invocation:
        assert device.device_id is not None
        return await self.client.devices.invoke(device.device_id, "note", {"text": text}, **options)
