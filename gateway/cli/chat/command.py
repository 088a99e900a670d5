"""`threadgate chat`: the command; what happens is in `conversation`."""

import asyncio
import signal
import sys
from typing import Annotated

import typer
from threadgate_client import Client

from gateway.cli.chat.conversation import Conversation
from gateway.cli.chat.keyboard import Keyboard, Pipe, Terminal
from gateway.cli.chat.screen import Screen
from gateway.cli.chat.slash import COMMANDS
from gateway.cli.connecting import tell_interruptions, thread_named, with_client
from gateway.cli.failures import EXIT_FAILED

PATIENCE_S = 3600.0
"""A person sees that the connection is lost, and leaves when the wait is too long."""


@with_client(request_timeout_s=PATIENCE_S)
async def chat(
    client: Client,
    thread: Annotated[
        str | None,
        typer.Option(help="Thread to continue: its id, or `last`.", show_default="a new one"),
    ] = None,
    agent: Annotated[
        str | None, typer.Option(help="Agent to talk to.", show_default="the thread's, or the default")
    ] = None,
) -> None:
    """Talk to an agent; answers stream in as they are written.

    Each line is a message; /help lists the commands. Ctrl-C stops an answer, at the prompt it leaves. Lines may
    come from a pipe: the answers are printed, and the exit code is 1 if one of them failed.
    """
    thread_id = await thread_named(client, thread) if thread is not None else None
    words = [f"/{name}" for name in COMMANDS]
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    keyboard: Keyboard = Terminal(words) if is_terminal else Pipe(sys.stdin.fileno())
    screen = Screen(keyboard)
    conversation = Conversation(client, keyboard, screen, agent)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, conversation.interrupt)
    watcher = asyncio.create_task(tell_interruptions(client, screen.note), name="connection watcher")
    try:
        await conversation.run(thread_id)
    finally:
        watcher.cancel()
        keyboard.close()
        if is_terminal:
            print()
    if conversation.has_failed and not is_terminal:
        raise typer.Exit(EXIT_FAILED)
