"""Devices that a test writes frame by frame, from the text of the protocol: they know nothing of this product."""

import base64
import hashlib
import json
from contextlib import suppress
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from gateway_stage import Frame, Refused, Stage, Wire
from websockets.exceptions import ConnectionClosed

SCHEMA = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}


def command(name: str = "echo", **more: Any) -> Frame:
    return {"name": name, "description": f"does {name}", "params_schema": SCHEMA, "risk": "low", **more}


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Key:
    """An Ed25519 key as a device author would handle it."""

    def __init__(self, seed: bytes = b"") -> None:
        self.private = Ed25519PrivateKey.from_private_bytes(seed) if seed else Ed25519PrivateKey.generate()
        self.raw = self.private.public_key().public_bytes_raw()
        self.public = b64(self.raw)
        self.device_id = b64(hashlib.sha256(self.raw).digest())

    def sign(self, *lines: object) -> str:
        return b64(self.private.sign("\n".join(map(str, lines)).encode()))

    def proof(self, nonce: str, signed_at: int, host: str, role: str = "device") -> Frame:
        signature = self.sign("threadgate.v1", nonce, self.device_id, role, signed_at, host)
        return {"public_key": self.public, "signed_at": signed_at, "signature": signature}

    def successor(self, new: "Key", nonce: str, signed_at: int, host: str) -> Frame:
        lines = ("threadgate.v1.rotate", nonce, self.device_id, new.device_id, signed_at, host)
        return {"public_key": new.public, "signature": new.sign(*lines), "consent": self.sign(*lines)}


class RawDevice:
    """A device's connection, before or after its hello."""

    def __init__(self, stage: Stage, key: Key, wire: Wire) -> None:
        self.stage = stage
        self.key = key
        self.wire = wire
        self.host = stage.url.removeprefix("http://")
        self.nonce = ""

    async def challenged(self) -> str:
        """The nonce of this connection."""
        if not self.nonce:
            self.nonce = (await self.wire.receive())["params"]["nonce"]
        return self.nonce

    async def hello(self, **more: Any) -> Frame:
        """Say hello with a good proof, or with what is given instead. Raises Refused."""
        nonce = await self.challenged()
        role = more.get("role", "device")
        proof = more.pop("proof", None) or self.key.proof(nonce, self.stage.clock.now_ms(), self.host, role)
        params = {
            "minor": 0,
            "client": {"name": "Raw Thing", "version": "1", "platform": "bench"},
            "role": role,
            "auth": {"device": proof},
            **more,
        }
        self.wire.hello = await self.wire.call("hello", **params)
        return self.wire.hello

    async def refused(self, **more: Any) -> tuple[Refused, int]:
        """Say hello and be refused: the error and the close code."""
        try:
            await self.hello(**more)
        except Refused as refusal:
            _, code = await self.wire.ended()
            return refusal, code
        raise AssertionError("it was let in")

    async def asked(self) -> Frame:
        """The next `command.invoke`: its whole frame."""
        while True:
            for position, frame in enumerate(self.wire.notes):
                if frame["method"] == "command.invoke":
                    return self.wire.notes.pop(position)
            await self.wire._take()

    async def answer(self, frame: Frame, result: Any) -> None:
        await self.wire.send(json.dumps({"jsonrpc": "2.0", "id": frame["id"], "result": {"result": result}}))

    async def fail(self, frame: Frame, kind: str, message: str = "no") -> None:
        error = {"code": -32000, "message": message, "data": {"kind": kind, "retryable": False}}
        await self.wire.send(json.dumps({"jsonrpc": "2.0", "id": frame["id"], "error": error}))

    async def echo(self) -> None:
        """Answer whatever is asked, until the connection ends."""
        with suppress(ConnectionClosed, TimeoutError):
            while True:
                frame = await self.asked()
                await self.answer(frame, frame["params"]["params"])

    def vanish(self) -> None:
        """Its socket just ends."""
        self.wire.socket.transport.abort()


async def dial(stage: Stage, key: Key | None = None) -> RawDevice:
    """A device's connection before hello."""
    return RawDevice(stage, key or Key(), await stage.open())


async def pair(
    stage: Stage, wire: Wire, key: Key, scopes: list[str] | None = None, name: str = "thing"
) -> None:
    """Have a stranger approved by whoever has `wire`."""
    refusal, _ = await (await dial(stage, key)).refused()
    params: Frame = {"pairing_id": refusal.data["pairing_id"], "name": name}
    if scopes is not None:
        params["scopes"] = scopes
    await wire.call("pairing.approve", **params)


async def paired(
    stage: Stage,
    wire: Wire,
    key: Key | None = None,
    *,
    scopes: list[str] | None = None,
    name: str = "thing",
    **hello: Any,
) -> RawDevice:
    """A device that was approved and is connected."""
    key = key or Key()
    await pair(stage, wire, key, scopes, name)
    device = await dial(stage, key)
    await device.hello(**{"commands": [command()], **hello})
    return device
