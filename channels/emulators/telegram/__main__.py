"""`python -m channels.emulators.telegram`: the emulator as its own process, for chaos tests and play."""

import argparse
import asyncio
import os
import re
import signal

from channels.emulators.telegram.emulator import TelegramEmulator
from channels.emulators.telegram.flood import NO_FLOOD_LIMITS, FloodLimits
from channels.emulators.telegram.records import BotAccount
from channels.emulators.telegram.world import NEWEST_API

TOKEN_VARIABLE = "THREADGATE_EMULATOR_TOKEN"


def read_arguments() -> argparse.Namespace:
    """The command line. A token there is visible to other users of the machine; these tokens open nothing."""
    parser = argparse.ArgumentParser(
        prog="python -m channels.emulators.telegram",
        description="A Telegram Bot API emulator on loopback, with a chat page at /.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=8081, help="0 takes a free one and prints it")
    parser.add_argument(
        "--token",
        default=os.environ.get(TOKEN_VARIABLE),
        help=f"the bot's token, <number>:<secret>; default: ${TOKEN_VARIABLE}",
    )
    parser.add_argument("--username", default="threadgate_bot")
    parser.add_argument("--name", default="Threadgate")
    parser.add_argument("--no-privacy", action="store_true", help="the bot sees everything said in groups")
    parser.add_argument("--private-topics", action="store_true", help="private chats have topics")
    parser.add_argument(
        "--api-version", default=".".join(map(str, NEWEST_API)), help="how new the emulated server is: 10.0"
    )
    parser.add_argument("--no-flood-limits", action="store_true", help="never answer 429 by itself")
    arguments = parser.parse_args()
    if not arguments.token or not arguments.token.partition(":")[0].isdecimal():
        parser.error("--token must look like 123456:secret")
    if not re.fullmatch(r"\d{1,3}\.\d{1,3}", arguments.api_version):
        parser.error("--api-version must look like 10.0")
    return arguments


async def run(arguments: argparse.Namespace) -> None:
    """Serve until a signal asks to stop."""
    bot = BotAccount(
        token=arguments.token,
        id=int(arguments.token.partition(":")[0]),
        username=arguments.username,
        first_name=arguments.name,
        privacy_mode=not arguments.no_privacy,
        has_topics=arguments.private_topics,
        users_create_topics=arguments.private_topics,
    )
    limits = NO_FLOOD_LIMITS if arguments.no_flood_limits else FloodLimits()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    major, minor = map(int, arguments.api_version.split("."))
    emulator = TelegramEmulator([bot], flood_limits=limits, api_version=(major, minor))
    await emulator.start(arguments.host, arguments.port)
    # The one line that a parent process waits for and parses.
    print(f"listening on {emulator.url}", flush=True)
    await stopping.wait()
    await emulator.stop()


if __name__ == "__main__":
    asyncio.run(run(read_arguments()))
