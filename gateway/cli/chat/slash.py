"""What a line that begins with a slash does in a chat: one table, and what each entry does.

A message that shall begin with a slash is typed with two.
"""

import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from threadgate_client import Thread

from gateway.cli.printing import local_time, one_line

if TYPE_CHECKING:
    from gateway.cli.chat.conversation import Conversation

THREADS: Final = 15
"""Threads that /threads lists: what fits a small window."""


TITLE_CHARS: Final = 20
"""The least of a title that is shown, whatever the window."""


@dataclass(frozen=True, slots=True)
class Slash:
    """One command: how it is typed, what it does."""

    usage: str
    summary: str
    act: "Callable[[Conversation, str], Awaitable[None]]"


async def obey(chat: "Conversation", line: str) -> None:
    """Do what a line that begins with a slash says."""
    name, _, rest = line[1:].partition(" ")
    found = COMMANDS.get(name)
    if found is None:
        chat.screen.note(f"There is no /{name}; /help lists what there is.")
        return
    await found.act(chat, rest.strip())


async def _help(chat: "Conversation", rest: str) -> None:
    width = max(len(entry.usage) for entry in COMMANDS.values())
    chat.screen.note("\n".join(f"{entry.usage:{width}}  {entry.summary}" for entry in COMMANDS.values()))
    chat.screen.note("Ctrl-C stops an answer; at the prompt it leaves.")


async def _new(chat: "Conversation", rest: str) -> None:
    await chat.open(None)


async def _threads(chat: "Conversation", rest: str) -> None:
    page = await chat.client.threads.list(limit=THREADS)
    chat.listed = page.items
    lines = [_line(number, thread, chat.thread_id) for number, thread in enumerate(page.items, start=1)]
    chat.screen.note("\n".join([*lines, "/open NUMBER goes there"]) if lines else "There is no thread yet.")


def _line(number: int, thread: Thread, here: str | None) -> str:
    line = f"{'*' if thread.id == here else ' '}{number:2}  {thread.id}  {local_time(thread.updated_at)}  "
    room = shutil.get_terminal_size().columns - len(line) - 1
    return line + one_line(thread.title or "(no title)", max(room, TITLE_CHARS))


async def _open(chat: "Conversation", rest: str) -> None:
    if rest.isdecimal() and 1 <= int(rest) <= len(chat.listed):
        rest = chat.listed[int(rest) - 1].id
    if not rest:
        chat.screen.note("/open needs a thread's id, or its number in /threads.")
        return
    await chat.open(rest)


async def _title(chat: "Conversation", rest: str) -> None:
    if chat.thread_id is None or not rest:
        chat.screen.note("/title needs a text, and a thread: say something first.")
        return
    await chat.client.threads.update(chat.thread_id, title=rest)


async def _cancel(chat: "Conversation", rest: str) -> None:
    run = await chat.newest_run()
    if run is None or run.ended_at is not None:
        chat.screen.note("Nothing is running in this thread.")
        return
    await chat.client.runs.cancel(run.id, reason="/cancel in a chat")


async def _retry(chat: "Conversation", rest: str) -> None:
    run = await chat.newest_run()
    if run is None or run.ended_at is None:
        chat.screen.note("There is no ended run to retry in this thread.")
        return
    await chat.retry(run)


async def _quit(chat: "Conversation", rest: str) -> None:
    chat.leave()


COMMANDS: Final[Mapping[str, Slash]] = {
    "help": Slash("/help", "this list", _help),
    "new": Slash("/new", "begin a new thread", _new),
    "threads": Slash("/threads", "the threads that changed last", _threads),
    "open": Slash("/open ID", "go to another thread", _open),
    "title": Slash("/title TEXT", "name this thread", _title),
    "cancel": Slash("/cancel", "stop what runs in this thread", _cancel),
    "retry": Slash("/retry", "answer the last message again", _retry),
    "quit": Slash("/quit", "leave (so do Ctrl-C and Ctrl-D)", _quit),
}
