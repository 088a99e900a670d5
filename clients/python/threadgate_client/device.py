"""The device: a program with a key of its own that does what it declared, in ten lines.

    from threadgate_client import Device

    device = Device("http://127.0.0.1:8787", directory="~/.lamp", name="Desk lamp")

    @device.command("light", {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]}, "low")
    async def light(params):
        return {"is_on": switch(params["on"])}

    device.serve()

The first time it prints a code; whoever may (`threadgate pairing approve CODE`) lets it in. What is done when is in
`device_commands.py`, the key in `device_keys.py`.
"""

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from threadgate_client import limits
from threadgate_client.answers import PairingAsked
from threadgate_client.device_commands import Command, Handler, Invocations, Json, Risk
from threadgate_client.device_keys import DeviceKeys, proof
from threadgate_client.device_results import Results
from threadgate_client.engine import Engine
from threadgate_client.errors import ClientClosed, PairingRequired, Unauthorized
from threadgate_client.outputs import Served
from threadgate_client.signals import serve_until_signal

H = TypeVar("H", bound=Handler)
logger: Final = logging.getLogger("threadgate_client")


def print_pairing(asked: PairingAsked) -> None:
    """Tell whoever sits here how the device is let in."""
    print(f"To let this device in: threadgate pairing approve {asked.code}", flush=True)


class Device:
    """A program that is told what to do by a gateway.

    `url` is the gateway's address. In `directory` are its key, made at the first start, and what it remembers of
    commands it was told to do: each is done once, whatever happens to it or to the gateway. `name` and `platform` are
    shown to whoever approves it; `scopes` are what it wants besides serving commands. `on_pairing` hears of every code.
    `ssl_context` and `proxy` are those of `websockets`; no proxy is used unless given. All limits are in seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        directory: str | Path,
        name: str = "threadgate-device",
        platform: str | None = None,
        scopes: Sequence[str] = (),
        on_pairing: Callable[[PairingAsked], None] = print_pairing,
        stop_timeout_s: float = limits.DEVICE_STOP_S,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | Literal[True] | None = None,
    ) -> None:
        self.url = url
        self._directory = Path(directory).expanduser()
        self._name, self._platform, self._scopes = name, platform, list(scopes)
        self._on_pairing = on_pairing
        self._stop_timeout_s = stop_timeout_s
        self._ssl_context, self._proxy = ssl_context, proxy
        self._commands: dict[str, Command] = {}
        self._stopping = asyncio.Event()
        self._told: str | None = None
        self._keys: DeviceKeys | None = None
        self._engine: Engine | None = None
        self._invocations: Invocations | None = None

    def __repr__(self) -> str:
        return f"<Device at {self.url}, {'connected' if self.is_connected else 'not connected'}>"

    @property
    def is_connected(self) -> bool:
        """Whether it can be told something right now."""
        return self._engine is not None and self._engine.is_connected

    @property
    def device_id(self) -> str | None:
        """Its id, which follows from its key; None before it runs."""
        return self._keys.present.device_id if self._keys is not None else None

    def command(
        self,
        name: str,
        schema: Mapping[str, Json] | None = None,
        risk: Risk = "medium",
        *,
        description: str | None = None,
        idempotent: bool = False,
    ) -> Callable[[H], H]:
        """Let a function be a command: it takes the params, a mapping that fits `schema`, and returns the result.

        The gateway checks params against the schema, an object's. `risk` is what policies go by. The description is
        the function's docstring unless given. Raise CommandFailed to say what went wrong.
        """

        def declare(handler: H) -> H:
            if name in self._commands:
                raise ValueError(f"there is a command {name!r} already")
            text = description if description is not None else (handler.__doc__ or "").strip()
            self._commands[name] = Command(
                name, text, schema or {"type": "object"}, risk, idempotent, handler
            )
            return handler

        return declare

    def serve(self) -> None:
        """Do what it is told until SIGINT or SIGTERM. Blocks. Raises what `run` raises.

        The first signal lets what is being done end, the second stops at once.
        """
        with contextlib.suppress(asyncio.CancelledError, KeyboardInterrupt):
            asyncio.run(self._serve_until_signal())

    async def run(self) -> None:
        """Do what it is told until `stop`, over as many connections as it takes.

        Waits until somebody approves it, and for a gateway that cannot be reached. Raises why the gateway will not have
        it: Unauthorized (revoked), Forbidden (rejected), ConnectionClosed (the same device runs elsewhere),
        InvalidParams (commands that cannot be used), ConnectionRefused, ProtocolViolation; and KeyUnusable or OSError
        when its directory cannot be used.
        """
        self._keys = await asyncio.to_thread(DeviceKeys, self._directory)
        results = await asyncio.to_thread(Results, self._directory)
        self._invocations = Invocations(self._commands, results)
        stopping = asyncio.create_task(self._stopping.wait())
        working = asyncio.create_task(self._work(self._keys, self._invocations))
        try:
            await asyncio.wait({stopping, working}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
            await self._finish(self._invocations)
        finally:
            self._invocations.cancel()
            await self._invocations.finished()
            if self._engine is not None:
                await self._engine.close()
            for task in (stopping, working):
                task.cancel()
            await asyncio.gather(stopping, working, return_exceptions=True)

    def stop(self) -> None:
        """Take nothing new, let what is being done end, then let `run` return. Idempotent."""
        self._stopping.set()

    async def rotate_key(self) -> None:
        """Take another key: it is made now, and presented, signed by both, at the next connection, which is begun."""
        if self._keys is None:
            raise ClientClosed("the device does not run")
        await asyncio.to_thread(self._keys.prepare)
        if self._engine is not None:
            await self._engine.close()

    # --- connections

    async def _work(self, keys: DeviceKeys, invocations: Invocations) -> None:
        """One engine after another, each until the gateway sends it away."""
        while True:
            try:
                await self._connected(keys, invocations)
            except PairingRequired as refusal:
                self._tell_pairing(PairingAsked.from_json(refusal.fields))
                await asyncio.sleep(limits.PAIRING_POLL_S)
            except Unauthorized as refusal:
                if refusal.fields.get("reason") != "replaced" or not await asyncio.to_thread(keys.promote):
                    raise
            except ClientClosed:
                if keys.following is None:
                    raise

    async def _connected(self, keys: DeviceKeys, invocations: Invocations) -> None:
        """Be connected until that is over for good. Raises why."""

        def served(output: Served) -> None:
            invocations.serve(output)

        engine = Engine(
            self.url,
            None,
            self._name,
            request_timeout_s=limits.REQUEST_TIMEOUT_S,
            ssl_context=self._ssl_context,
            proxy=self._proxy,
            on_served=served,
            greeting=lambda nonce, host: self._greeting(keys, nonce, host),
            platform=self._platform,
        )
        self._engine = engine
        invocations.connect(engine)
        try:
            hello = await engine.start(None)
            if keys.following is not None and hello.principal.id == keys.following.device_id:
                await asyncio.to_thread(keys.promote)
            if hello.pairing is not None:
                self._tell_pairing(hello.pairing)
            await engine.ended()
        finally:
            await engine.close()

    def _greeting(self, keys: DeviceKeys, nonce: str, host: str) -> Mapping[str, Any]:
        return {
            "role": "device",
            "auth": {"device": proof(keys, nonce, time.time_ns() // 1_000_000, host)},
            "commands": [command.to_json() for command in self._commands.values()],
            "scopes": self._scopes,
        }

    def _tell_pairing(self, asked: PairingAsked) -> None:
        if asked.code != self._told:
            self._told = asked.code
            self._on_pairing(asked)

    async def _finish(self, invocations: Invocations) -> None:
        invocations.is_open = False
        try:
            async with asyncio.timeout(self._stop_timeout_s):
                await invocations.finished()
                if self._engine is not None:
                    await self._engine.written()
        except TimeoutError:
            logger.warning("commands did not end in time", extra={"action": "device.stop_timeout"})

    async def _serve_until_signal(self) -> None:
        await serve_until_signal(self.run, self.stop, self._stopping)
