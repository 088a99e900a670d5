"""`threadgate demo`: the gateway with a demo agent and every chat network, without an account anywhere."""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Literal

import typer
import uvloop
from rich.console import Console
from rich.markup import escape

from gateway import daemon
from gateway.cli.failures import explained, fail
from gateway.cli.governed import scenario as scenario_of_governance
from gateway.cli.governed.places import NotSeen
from gateway.cli.networks import LOCALHOST, PLAYGROUND_PORT, TITLES, Network, free_port, make_network, playing
from gateway.cli.options import DataDir, settings_of
from gateway.cli.serve import Port, configure_log
from gateway.settings import Settings

console = Console(highlight=False)


@explained
def demo(
    data_dir: DataDir = None,
    port: Port = None,
    playground_port: Annotated[
        int, typer.Option(help="Port of the page on which one writes.")
    ] = PLAYGROUND_PORT,
    scenario: Annotated[
        Literal["governed"] | None,
        typer.Option(help="Play a scenario unattended instead: the exit code says whether all of it held."),
    ] = None,
) -> None:
    """Try it out: the gateway with a demo agent, and Slack, Telegram and Discord emulated, on loopback.

    Without --data-dir everything is forgotten at the end. Ports that are taken are replaced by free ones.
    With --scenario governed nobody needs to type: an agent wants to publish, two people must approve it, the gateway
    is killed meanwhile, a budget stops the next one, and the audit log is verified by a program of its own.
    """
    if scenario is not None:
        _play()
        return
    uvloop.run(_demo(data_dir, port, playground_port))


def _play() -> None:
    began = time.monotonic()

    def tell(words: str) -> None:
        console.print(f"[green]✓[/] {escape(words)}", soft_wrap=True)
        sys.stdout.flush()

    with tempfile.TemporaryDirectory(prefix="threadgate-governed-") as scratch:
        try:
            uvloop.run(scenario_of_governance.play(Path(scratch), tell))
        except NotSeen as error:
            fail(f"It did not come: {error}.")
        except scenario_of_governance.Failed as error:
            fail(str(error))
    console.print(f"All of it held, in {time.monotonic() - began:.1f} s.")


async def _demo(data_dir: Path | None, port: int | None, playground_port: int) -> None:
    networks = [make_network(kind) for kind in TITLES]
    with tempfile.TemporaryDirectory(prefix="threadgate-demo-") as scratch:
        async with playing(networks, playground_port) as playground:
            accounts = tuple(network.account() for network in networks)
            settings = settings_of(
                None, data_dir or Path(scratch), {"host": LOCALHOST, "port": port, "channels": accounts}
            )
            settings = settings.model_copy(update={"port": free_port(settings.port)})
            configure_log(settings.model_copy(update={"log_level": "warning"}))
            await daemon.serve(
                settings, lambda url, secret: _announce(url, secret, playground.url, networks, settings)
            )


def _announce(
    url: str, secret: str | None, playground_url: str, networks: list[Network], settings: Settings
) -> None:
    program = "threadgate" if shutil.which("threadgate") else os.path.relpath(sys.argv[0])
    command = f"{program} chat --data-dir {settings.data_dir}"
    emulators = "\n".join(f"  {TITLES[one.kind]:<10} {one.emulator.url}" for one in networks)
    console.print(
        f"""
[bold]Threadgate[/] is running with the demo agent in three emulated chat networks.

  playground {playground_url}   [bold]open this page and write to the bot, as Ada or as Grace[/]
  gateway    {url}   (schemas under /v1/openapi.json, state under /readyz and /metrics)
  token      {secret or "(the store is not new: its owner token was shown at its first start)"}
{emulators}

In a second terminal, the same thing over the WebSocket protocol:
  {command}

What to type, here or there:
  [bold]say hello   stream 60   long 3   approve a release   ask Which colour?   file notes.txt   sleep 5   fail[/]
In rooms mention the bot first: @Threadgate, on Telegram @threadgate_bot.

Ctrl-C stops it.
""",
        soft_wrap=True,
    )
    sys.stdout.flush()
