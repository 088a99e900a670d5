"""`python -m channels.emulators.discord`: the emulator as its own process, for chaos tests and play."""

import argparse
import asyncio
import os
import signal

from channels.emulators.discord.emulator import DiscordEmulator
from channels.emulators.discord.limits import NO_RATE_LIMITS, RateLimits
from channels.emulators.discord.records import BotAccount

TOKEN_VARIABLE = "THREADGATE_EMULATOR_TOKEN"
DEFAULT_BOT_ID = 940_000_000_000_000_001


def read_arguments() -> argparse.Namespace:
    """The command line. A token there is visible to other users of the machine; these tokens open nothing."""
    parser = argparse.ArgumentParser(
        prog="python -m channels.emulators.discord",
        description="A Discord emulator on loopback: REST, gateway and attachments on one port.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=8083, help="0 takes a free one and prints it")
    parser.add_argument(
        "--token", default=os.environ.get(TOKEN_VARIABLE), help=f"the bot's token; default: ${TOKEN_VARIABLE}"
    )
    parser.add_argument("--id", type=int, default=DEFAULT_BOT_ID, help="of the application and its bot user")
    parser.add_argument("--username", default="threadgate")
    parser.add_argument("--name", default="Threadgate")
    parser.add_argument(
        "--no-message-content", action="store_true", help="the message-content intent is not enabled"
    )
    parser.add_argument("--no-rate-limits", action="store_true", help="never answer 429 by itself")
    arguments = parser.parse_args()
    if not arguments.token:
        parser.error(f"give --token or set ${TOKEN_VARIABLE}")
    return arguments


async def run(arguments: argparse.Namespace) -> None:
    """Serve until a signal asks to stop."""
    bot = BotAccount(
        token=arguments.token,
        id=arguments.id,
        username=arguments.username,
        display_name=arguments.name,
        message_content=not arguments.no_message_content,
    )
    limits = NO_RATE_LIMITS if arguments.no_rate_limits else RateLimits()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    emulator = DiscordEmulator([bot], rate_limits=limits)
    await emulator.start(arguments.host, arguments.port)
    # The one line that a parent process waits for and parses.
    print(f"listening on {emulator.url}", flush=True)
    await stopping.wait()
    await emulator.stop()


if __name__ == "__main__":
    asyncio.run(run(read_arguments()))
