"""The emulated chat networks of `demo` and `emulate`: who is in them, and how the gateway joins them."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from channels.emulators import discord, slack, telegram
from channels.emulators.playground import Playground
from gateway.cli.failures import note
from gateway.doctor.running import port_problem

LOCALHOST: Final = "127.0.0.1"
PLAYGROUND_PORT: Final = 8080
PORTS: Final = {"slack": 8082, "telegram": 8081, "discord": 8083}
"""8081 is the port the Bot API server itself uses by default."""
TOKENS: Final = {
    "slack": "xoxb-demo-bot-token",
    "telegram": "700000001:demo-bot-token",
    "discord": "demo-bot-token",
}
APP_TOKEN: Final = "xapp-demo-app-token"
TITLES: Final = {"slack": "Slack", "telegram": "Telegram", "discord": "Discord"}
"""In the order in which they stand beside each other."""

_ACCOUNT: Final = {"account": "demo", "dm_policy": "open"}
_WORKSHOP: Final = -1_001_000_000_001
"""The Telegram forum. Any number of that size is the id of a supergroup."""
_GRACE_ON_SLACK: Final = slack.Person("U0GRACE", "grace", "Grace")
_GRACE_ON_TELEGRAM: Final = telegram.User(1002, "Grace", "grace")
_GRACE_ON_DISCORD: Final = discord.User(discord.DEFAULT_USER.id + 1, "grace", "Grace")

Emulator = slack.SlackEmulator | telegram.TelegramEmulator | discord.DiscordEmulator


@dataclass(frozen=True, slots=True)
class Network:
    """One emulated network. `account` is what to configure of it, once it runs."""

    kind: str
    emulator: Emulator
    account: Callable[[], Mapping[str, Any]]


def make_network(kind: str, token: str | None = None, app_token: str = APP_TOKEN) -> Network:
    """An emulated network with Ada, Grace, a bot and a room, not started. `app_token` is Slack's alone.

    Raises ValueError for a token that could not be one.
    """
    token = token or TOKENS[kind]
    make = {"slack": lambda: _slack(token, app_token), "telegram": lambda: _telegram(token)}
    return make.get(kind, lambda: _discord(token))()


@asynccontextmanager
async def running(network: Network, port: int) -> AsyncIterator[Network]:
    """The network, listening."""
    await network.emulator.start(LOCALHOST, port)
    try:
        yield network
    finally:
        await network.emulator.stop()


@asynccontextmanager
async def playing(networks: Sequence[Network], port: int) -> AsyncIterator[Playground]:
    """The networks on their usual ports, and one page for all of them on `port`; free ones where those are taken."""
    playground = Playground()
    async with AsyncExitStack() as stack:
        # Stopped last: the networks end the page's streams.
        stack.push_async_callback(playground.stop)
        for network in networks:
            await stack.enter_async_context(running(network, free_port(PORTS[network.kind])))
        sides = [network.emulator.control_side for network in networks]
        await playground.start(sides, LOCALHOST, free_port(port))
        yield playground


def channel_table(network: Network) -> str:
    """What to put into the configuration, as TOML."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in network.account().items()]
    return "\n".join(["[[channels]]", *lines])


def free_port(port: int) -> int:
    """The port, or 0 (any free one) when it is taken."""
    if port_problem(LOCALHOST, port) is None:
        return port
    note(f"port {port} is taken: using a free one")
    return 0


def _slack(token: str, app_token: str) -> Network:
    if not (token.startswith("xoxb-") and app_token.startswith("xapp-")):
        raise ValueError("A bot's token begins with xoxb-, an app's with xapp-.")
    app = slack.AppAccount(app_token=app_token)
    emulator = slack.SlackEmulator([app], installed=[slack.Installed(app_id=app.id, token=token)])
    emulator.open_channel("general", members=(slack.DEFAULT_USER, _GRACE_ON_SLACK))
    return Network(
        "slack",
        emulator,
        lambda: {
            "kind": "slack",
            **_ACCOUNT,
            "bot_token": token,
            "app_token": app_token,
            "api_base_url": emulator.api_url.rstrip("/"),
        },
    )


def _telegram(token: str) -> Network:
    number, _, secret = token.partition(":")
    if not number.isdecimal() or not secret:
        raise ValueError("It is a number, a colon and a secret, like 700:abc.")
    bot = telegram.BotAccount(token=token, id=int(number), username="threadgate_bot", first_name="Threadgate")
    emulator = telegram.TelegramEmulator([bot])
    emulator.add_bot(_WORKSHOP, chat_title="Workshop", chat_type="supergroup")
    emulator.set_role(_WORKSHOP, _GRACE_ON_TELEGRAM, "member")
    emulator.make_forum(_WORKSHOP)
    emulator.open_topic(_WORKSHOP, "Release")
    return Network(
        "telegram",
        emulator,
        lambda: {"kind": "telegram", **_ACCOUNT, "token": token, "api_base_url": emulator.url},
    )


def _discord(token: str) -> Network:
    bot = discord.BotAccount(
        token=token, id=940_000_000_000_000_001, username="threadgate", display_name="Threadgate"
    )
    emulator = discord.DiscordEmulator([bot], people=(discord.DEFAULT_USER, _GRACE_ON_DISCORD))
    return Network(
        "discord",
        emulator,
        lambda: {
            "kind": "discord",
            **_ACCOUNT,
            "token": token,
            "api_base_url": emulator.api_base_url,
            "gateway_url": emulator.gateway_url.rstrip("/"),
        },
    )
