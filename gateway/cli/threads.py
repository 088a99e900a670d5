"""`threadgate threads …`: list, search, read, name, put away and erase conversations."""

import sys
from collections.abc import AsyncIterable
from enum import StrEnum
from typing import Annotated, TypeVar

import typer
from threadgate_client import Actor, Client, Event, SearchMatch, Thread

from gateway.cli.blobs import words_of
from gateway.cli.connecting import thread_named, with_client
from gateway.cli.failures import EXIT_UNUSABLE, fail
from gateway.cli.groups import LIMIT, listing_group
from gateway.cli.options import Json
from gateway.cli.printing import clean, local_time, one_line, print_fields, print_json, print_table
from protocol.limits import PAGE_MAX

T = TypeVar("T")
app = listing_group("Conversations: list, search, read, name, put away, erase.")

Which = Annotated[str, typer.Argument(metavar="THREAD", help="A thread's id, or `last`.")]
Note = Annotated[str, typer.Option(help="Why, for the audit log; the room does not see it.")]
Limit = Annotated[int, typer.Option(min=1, help="Most lines to print.")]


class Status(StrEnum):
    """Which threads."""

    ACTIVE = "active"
    ARCHIVED = "archived"
    ALL = "all"


@app.command("list")
@with_client()
async def list_(
    client: Client,
    status: Annotated[Status, typer.Option(help="Which threads.")] = Status.ACTIVE,
    search: Annotated[
        str | None,
        typer.Option(metavar="WORDS", help="Messages with all these words, of any thread, newest first."),
    ] = None,
    limit: Limit = LIMIT,
    json: Json = False,
) -> None:
    """List threads, newest change first, or the messages that --search finds."""
    page = min(limit, PAGE_MAX)
    if search is not None:
        matches = await first(client.threads.search(search, limit=page), limit)
        print_json(matches) if json else _print_matches(matches)
        return
    threads = await first(client.threads.list(status=status.value, limit=page), limit)
    print_json(threads) if json else _print_threads(threads)


@app.command()
@with_client()
async def show(
    client: Client,
    thread: Which,
    messages: Annotated[int, typer.Option(min=0, max=PAGE_MAX, help="How many of the last messages.")] = 20,
    json: Json = False,
) -> None:
    """Show a thread and its last messages."""
    found = await client.threads.get(await thread_named(client, thread))
    events: tuple[Event, ...] = ()
    if messages:
        kinds = ["message.created", "message.updated"]
        events = (await client.threads.history(found.id, limit=messages, kinds=kinds)).events
        # An edit stands where the message stood; one whose beginning is further back stands where it was made.
        events = tuple({event.message.id: event for event in events if event.message}.values())
    if json:
        print_json({"thread": found, "messages": [event.data.get("message") for event in events]})
        return
    print_fields(
        [
            ("thread", found.id),
            ("title", found.title or ""),
            ("status", found.status),
            ("agent", found.agent_id),
            ("taken over by", _holder(found)),
            ("from", _origin(found)),
            ("events", str(found.head_seq)),
            ("created", local_time(found.created_at)),
            ("updated", local_time(found.updated_at)),
        ]
    )
    for event in events:
        if (message := event.message) is not None:
            print(f"\n{clean(message.author.name)} · {local_time(event.at)}\n{clean(words_of(message))}")


@app.command()
@with_client()
async def rename(
    client: Client, thread: Which, title: Annotated[str, typer.Argument(help="The new title.")]
) -> None:
    """Give a thread another title."""
    changed = await client.threads.update(await thread_named(client, thread), title=title)
    print(f"{changed.id} is now named {clean(changed.title or '')}")


@app.command()
@with_client()
async def take(client: Client, thread: Which, note: Note = "") -> None:
    """Take a thread over: its agent does not answer, and what you send is the answer."""
    _print_holder(await client.threads.take(await thread_named(client, thread), note=note))


@app.command()
@with_client()
async def assign(
    client: Client,
    thread: Which,
    to: Annotated[
        str, typer.Option("--to", metavar="ID", help="The person's id: `slack:U123`, or a principal's.")
    ],
    name: Annotated[str, typer.Option(help="How people call them.")],
    note: Note = "",
) -> None:
    """Hand a thread to somebody else."""
    kind = "user" if to.startswith("prn_") else "person"
    person = Actor(to, kind, name)
    _print_holder(await client.threads.assign(await thread_named(client, thread), person, note=note))


@app.command("give-back")
@with_client()
async def give_back(
    client: Client,
    thread: Which,
    agent: Annotated[
        str | None, typer.Option(help="The agent that answers from now on.", show_default="the thread's")
    ] = None,
    note: Note = "",
) -> None:
    """Let an agent answer again."""
    thread_id = await thread_named(client, thread)
    _print_holder(await client.threads.give_back(thread_id, agent_id=agent, note=note))


@app.command()
@with_client()
async def archive(client: Client, thread: Which) -> None:
    """Put a thread away; it is kept, and can be restored."""
    print(f"archived {(await client.threads.archive(await thread_named(client, thread))).id}")


@app.command()
@with_client()
async def restore(client: Client, thread: Which) -> None:
    """Bring an archived thread back."""
    print(f"restored {(await client.threads.restore(await thread_named(client, thread))).id}")


@app.command()
@with_client()
async def delete(
    client: Client,
    thread: Which,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase what was said in a thread. This cannot be undone."""
    found = await client.threads.get(await thread_named(client, thread))
    if not yes:
        if not sys.stdin.isatty():
            fail("Erasing a thread needs a yes.", "Give --yes.", EXIT_UNUSABLE)
        typer.confirm(f"Erase {one_line(found.title or found.id)}, for good?", abort=True)
    print(f"erased {(await client.threads.delete(found.id)).id}")


async def first(listing: AsyncIterable[T], limit: int) -> list[T]:
    """The first items of a listing, over as many pages as it takes."""
    found: list[T] = []
    async for item in listing:
        found.append(item)
        if len(found) >= limit:
            break
    return found


def _print_threads(threads: list[Thread]) -> None:
    rows = [
        (
            thread.id,
            local_time(thread.updated_at),
            thread.status,
            f"{_holder(thread)} (person)" if thread.assignee else thread.agent_id,
            _origin(thread),
            thread.title or "",
        )
        for thread in threads
    ]
    print_table(
        ("id", "updated", "status", "agent", "from", "title"),
        rows,
        "No threads: threadgate send hello begins one.",
    )


def _print_matches(matches: list[SearchMatch]) -> None:
    rows = [(match.thread_id, str(match.seq), local_time(match.at), match.snippet) for match in matches]
    print_table(("thread", "seq", "at", "text"), rows, "Nothing found.")


def _print_holder(thread: Thread) -> None:
    print(f"{thread.id} is answered by {clean(_holder(thread)) or f'the agent {thread.agent_id}'}")


def _holder(thread: Thread) -> str:
    """The person who has taken the thread over; empty for none."""
    return (thread.assignee.name or thread.assignee.id) if thread.assignee else ""


def _origin(thread: Thread) -> str:
    origin = thread.origin
    return f"{origin.channel}:{origin.account}" if origin.channel else origin.kind
