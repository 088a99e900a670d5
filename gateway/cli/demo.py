"""`threadgate demo` and `threadgate emulate`: trying things out and developing without a chat network."""

import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer
import uvloop
from rich.console import Console

from channels.emulators.telegram import BotAccount, TelegramEmulator
from gateway import daemon
from gateway.cli.failures import EXIT_UNUSABLE, explained, fail, note
from gateway.cli.options import DataDir, settings_of
from gateway.cli.serve import Port, configure_log
from gateway.doctor.running import port_problem
from gateway.settings import Settings

DEMO_BOT: Final = BotAccount(token="700000001:demo-bot-token", id=700000001, username="threadgate_bot")
LOCALHOST: Final = "127.0.0.1"
DEMO_EMULATOR_PORT: Final = 8081
"""The port the Bot API server itself uses by default."""

console = Console(highlight=False)


@explained
def demo(
    data_dir: DataDir = None,
    port: Port = None,
    emulator_port: Annotated[int, typer.Option(help="Port of the Telegram emulator.")] = DEMO_EMULATOR_PORT,
) -> None:
    """Try it out: the gateway with a demo agent and a Telegram emulator, on loopback.

    Without --data-dir everything is forgotten at the end. Ports that are taken are replaced by free ones.
    """
    uvloop.run(_demo(data_dir, port, emulator_port))


@explained
def emulate(
    platform: Annotated[str, typer.Argument(help="Which chat network: telegram.")],
    port: Annotated[int, typer.Option(help="Port to listen on.")] = DEMO_EMULATOR_PORT,
    token: Annotated[str, typer.Option(help="The token of its bot.")] = DEMO_BOT.token,
) -> None:
    """Run an emulator of a chat network, to develop without one."""
    if platform != "telegram":
        fail(f"There is no emulator of {platform}.", "There is: telegram.", EXIT_UNUSABLE)
    bot_id, _, secret = token.partition(":")
    if not bot_id.isdecimal() or not secret:
        fail("--token is no bot token.", "It is a number, a colon and a secret, like 700:abc.", EXIT_UNUSABLE)
    bot = BotAccount(token=token, id=int(bot_id), username=DEMO_BOT.username)
    uvloop.run(_emulate(bot, port))


async def _emulate(bot: BotAccount, port: int) -> None:
    if port_problem(LOCALHOST, port) is not None:
        fail(
            f"Port {port} of {LOCALHOST} is taken.",
            "Choose another: --port 0 takes a free one.",
            EXIT_UNUSABLE,
        )
    async with _emulator(bot, port) as emulator:
        console.print(f"Telegram emulator on {emulator.url} (api_base_url), page at the same address")
        await asyncio.Event().wait()


async def _demo(data_dir: Path | None, port: int | None, emulator_port: int) -> None:
    with tempfile.TemporaryDirectory(prefix="threadgate-demo-") as scratch:
        async with _emulator(DEMO_BOT, _free(emulator_port)) as emulator:
            channel = {
                "kind": "telegram",
                "account": "demo",
                "token": DEMO_BOT.token,
                "api_base_url": emulator.url,
                "dm_policy": "open",
            }
            settings = settings_of(
                None, data_dir or Path(scratch), {"host": LOCALHOST, "port": port, "channels": (channel,)}
            )
            settings = settings.model_copy(update={"port": _free(settings.port)})
            configure_log(settings.model_copy(update={"log_level": "warning"}))
            await daemon.serve(
                settings, lambda url, secret: _announce_demo(url, secret, emulator.url, settings)
            )


def _announce_demo(url: str, secret: str | None, emulator_url: str, settings: Settings) -> None:
    program = "threadgate" if shutil.which("threadgate") else os.path.relpath(sys.argv[0])
    command = f"{program} chat --data-dir {settings.data_dir}"
    console.print(
        f"""
[bold]Threadgate[/] is running with the demo agent and a Telegram emulator.

  gateway    {url}   (schemas under /v1/openapi.json, state under /readyz and /metrics)
  Telegram   {emulator_url}   [bold]open this page and write to the bot as a user[/]
  token      {secret or "(the store is not new: its owner token was shown at its first start)"}

In a second terminal, the same thing over the WebSocket protocol:
  {command}

What to type, here or there:  [bold]say hello   stream 60   long 3   sleep 5   fail[/]

Ctrl-C stops it.
""",
        soft_wrap=True,
    )
    sys.stdout.flush()


def _emulator(bot: BotAccount, port: int) -> "_RunningEmulator":
    return _RunningEmulator(TelegramEmulator([bot]), port)


class _RunningEmulator:
    """An emulator on a port of our choice, for the length of an `async with`."""

    def __init__(self, emulator: TelegramEmulator, port: int) -> None:
        self._emulator = emulator
        self._port = port

    async def __aenter__(self) -> TelegramEmulator:
        await self._emulator.start(LOCALHOST, self._port)
        return self._emulator

    async def __aexit__(self, *_: object) -> None:
        await self._emulator.stop()


def _free(port: int) -> int:
    """The port, or 0 (any free one) when it is taken."""
    if port_problem(LOCALHOST, port) is None:
        return port
    note(f"port {port} is taken: using a free one")
    return 0
