"""`threadgate emulate`: chat networks and a model endpoint of one's own, to develop without the real ones."""

import asyncio
import json
import sys
from typing import Annotated, Final

import typer
import uvloop
from rich.console import Console

from channels.emulators.openai import OpenAiEmulator
from gateway.cli.failures import EXIT_UNUSABLE, explained, fail
from gateway.cli.networks import (
    APP_TOKEN,
    LOCALHOST,
    PLAYGROUND_PORT,
    PORTS,
    TITLES,
    Network,
    channel_table,
    make_network,
    playing,
    running,
)
from gateway.doctor.running import port_problem

ALL: Final = "all"
MODELS: Final = "openai"
MODELS_PORT: Final = 8084
"""Behind the chat networks'."""

console = Console(highlight=False, markup=False)


@explained
def emulate(
    platform: Annotated[
        str, typer.Argument(help=f"Which chat network: {', '.join(TITLES)} or {ALL}; {MODELS} for models.")
    ],
    port: Annotated[
        int | None,
        typer.Option(
            help=f"Port to listen on; with {ALL} the one of the page.",
            show_default=f"{', '.join(f'{port} for {kind}' for kind, port in PORTS.items())}, "
            f"{PLAYGROUND_PORT} for {ALL}, {MODELS_PORT} for {MODELS}",
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(help="The token of its bot, or the key of its models.", show_default="a made-up one"),
    ] = None,
    app_token: Annotated[str, typer.Option(help="The app-level token, for Slack.")] = APP_TOKEN,
) -> None:
    """Run an emulator of a chat network, with a page to write on, or of an OpenAI-compatible endpoint."""
    if platform == ALL:
        if token is not None:
            fail(
                f"--token is of one network, not of {ALL}.", f"Name one: {', '.join(TITLES)}.", EXIT_UNUSABLE
            )
        uvloop.run(_emulate_all(PLAYGROUND_PORT if port is None else port))
        return
    if platform == MODELS:
        uvloop.run(_emulate_models(MODELS_PORT if port is None else port, token))
        return
    if platform not in TITLES:
        known = ", ".join([*TITLES, MODELS, ALL])
        fail(f"There is no emulator of {platform}.", f"There are: {known}.", EXIT_UNUSABLE)
    try:
        network = make_network(platform, token, app_token)
    except ValueError as error:
        fail("--token is no bot token.", str(error), EXIT_UNUSABLE)
    uvloop.run(_emulate(network, PORTS[platform] if port is None else port))


async def _emulate(network: Network, port: int) -> None:
    _expect_free(port)
    async with running(network, port):
        await _announce(
            f"{TITLES[network.kind]} emulator, with a page to write on: {network.emulator.url}/", [network]
        )


async def _emulate_all(port: int) -> None:
    networks = [make_network(kind) for kind in TITLES]
    async with playing(networks, port) as playground:
        await _announce(f"{', '.join(TITLES.values())} on one page: {playground.url}/", networks)


async def _emulate_models(port: int, key: str | None) -> None:
    _expect_free(port)
    emulator = OpenAiEmulator(key=key)
    await emulator.start(LOCALHOST, port)
    try:
        lines = ['id = "model"', 'kind = "model"', 'model = "demo"', f'base_url = "{emulator.base_url}"']
        if key is not None:
            lines.append(f"api_key = {json.dumps(key)}")
        await _say(f"OpenAI-compatible endpoint: {emulator.base_url}", "\n".join(["[[agents]]", *lines]))
    finally:
        await emulator.stop()


def _expect_free(port: int) -> None:
    if port_problem(LOCALHOST, port) is not None:
        fail(
            f"Port {port} of {LOCALHOST} is taken.",
            "Choose another: --port 0 takes a free one.",
            EXIT_UNUSABLE,
        )


async def _announce(headline: str, networks: list[Network]) -> None:
    """Say what to configure, and wait to be stopped."""
    await _say(headline, "\n\n".join(map(channel_table, networks)))


async def _say(headline: str, tables: str) -> None:
    console.print(
        f"{headline}\n\nFor the gateway's config.toml:\n\n{tables}\n\nCtrl-C stops it.", soft_wrap=True
    )
    sys.stdout.flush()
    await asyncio.Event().wait()
