"""`python -m channels.emulators.slack`: the emulator as its own process, for chaos tests and play."""

import argparse
import asyncio
import os
import signal

from channels.emulators.slack.deliveries import Timing
from channels.emulators.slack.emulator import SlackEmulator
from channels.emulators.slack.records import AppAccount, Installed, Messaging, Workspace

BOT_TOKEN_VARIABLE = "THREADGATE_EMULATOR_BOT_TOKEN"
APP_TOKEN_VARIABLE = "THREADGATE_EMULATOR_APP_TOKEN"
_APP = AppAccount()


def read_arguments() -> argparse.Namespace:
    """The command line. A token there is visible to other users of the machine; these tokens open nothing."""
    parser = argparse.ArgumentParser(
        prog="python -m channels.emulators.slack",
        description="A Slack emulator on loopback: Web API at /api/, Socket Mode, control side at /control/.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=8082, help="0 takes a free one and prints it")
    parser.add_argument(
        "--bot-token",
        default=os.environ.get(BOT_TOKEN_VARIABLE, Installed().token),
        help=f"default: ${BOT_TOKEN_VARIABLE}",
    )
    parser.add_argument(
        "--app-token",
        default=os.environ.get(APP_TOKEN_VARIABLE, _APP.app_token),
        help=f"default: ${APP_TOKEN_VARIABLE}",
    )
    parser.add_argument("--signing-secret", default=_APP.signing_secret)
    parser.add_argument("--name", default=_APP.name, help="the app's name")
    parser.add_argument("--messaging", choices=("agent", "assistant", "none"), default="agent")
    parser.add_argument(
        "--second-workspace", action="store_true", help="one more, without the app, to install it by OAuth"
    )
    parser.add_argument("--request-url", default="", help="deliver by HTTP to this address, not by sockets")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="factor for the waits before events are sent again"
    )
    parser.add_argument(
        "--ack-seconds", type=float, default=Timing().ack_s, help="how long an app may take to acknowledge"
    )
    parser.add_argument("--rate-limits", action="store_true", help="answer 429 beyond the documented tiers")
    return parser.parse_args()


def build(arguments: argparse.Namespace) -> SlackEmulator:
    """The emulator that the command line describes, with a channel #general."""
    messaging: Messaging = arguments.messaging
    app = AppAccount(
        name=arguments.name,
        app_token=arguments.app_token,
        signing_secret=arguments.signing_secret,
        messaging=messaging,
        request_url=arguments.request_url,
    )
    workspaces = [Workspace()]
    if arguments.second_workspace:
        workspaces.append(Workspace("T0000000002", "Umbrella", "umbrella"))
    plain = Timing()
    timing = Timing(
        ack_s=arguments.ack_seconds,
        retries_s=tuple(wait_s * arguments.scale for wait_s in plain.retries_s),
    )
    emulator = SlackEmulator(
        [app],
        workspaces,
        [Installed(app_id=app.id, token=arguments.bot_token)],
        timing=timing,
        has_rate_limits=arguments.rate_limits,
    )
    emulator.open_channel("general")
    return emulator


async def run(emulator: SlackEmulator, host: str, port: int) -> None:
    """Serve until a signal asks to stop."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    await emulator.start(host, port)
    # The one line that a parent process waits for and parses.
    print(f"listening on {emulator.url}", flush=True)
    await stopping.wait()
    await emulator.stop()


if __name__ == "__main__":
    given = read_arguments()
    asyncio.run(run(build(given), given.host, given.port))
