"""`threadgate tail`: what happens in a thread, or in all of them, one line each, for ever."""

import asyncio
import sys
from typing import Annotated, Literal

import typer
from threadgate_client import Client, Cursor, Event, Head

from gateway.cli.blobs import words_of
from gateway.cli.connecting import tell_interruptions, thread_named, with_client
from gateway.cli.failures import EXIT_UNUSABLE, fail, note
from gateway.cli.happenings import handover_of, tool_of, wait_of
from gateway.cli.options import Json
from gateway.cli.printing import clean, one_line, print_json

From = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="start|tail|SEQ",
        help="Where to begin: at the start, now, or after a place that was printed before.",
    ),
]


@with_client()
async def tail(
    client: Client,
    thread: Annotated[
        str | None,
        typer.Option(help="Thread to follow: its id, or `last`.", show_default="--inbox"),
    ] = None,
    inbox: Annotated[bool, typer.Option("--inbox", help="Follow the newest event of every thread.")] = False,
    from_: From = "tail",
    json: Json = False,
) -> None:
    """Print events as they come, one line each, until Ctrl-C.

    Goes on by itself after a lost connection or a restart of the gateway, without a gap. With --json every line is
    one event as the protocol has it; its `seq` (with --inbox its `offset`) can be given to --from later.
    """
    if thread is not None and inbox:
        fail("--thread and --inbox exclude each other.", code=EXIT_UNUSABLE)
    if from_ not in ("start", "tail") and not from_.isdecimal():
        fail(f"--from {from_} is no place.", "It is start, tail or a number that was printed.", EXIT_UNUSABLE)
    watcher = asyncio.create_task(tell_interruptions(client), name="connection watcher")
    try:
        if thread is not None:
            await _tail_thread(client, await thread_named(client, thread), from_, json)
        else:
            await _tail_inbox(client, from_, json)
    finally:
        watcher.cancel()


async def _tail_thread(client: Client, thread_id: str, from_: str, json: bool) -> None:
    epoch = client.hello.epoch if client.hello else ""
    async with client.events(thread_id, _place(from_, epoch)) as events:
        try:
            async for event in events:
                print_json(event) if json else _print_event(event)
        finally:
            if events.cursor is not None and sys.stdout.isatty():
                note(f"up to {events.cursor.seq}: continue with --from {events.cursor.seq}")


async def _tail_inbox(client: Client, from_: str, json: bool) -> None:
    after = {"tail": None, "start": 0}.get(from_) if not from_.isdecimal() else int(from_)
    async with client.inbox(after) as heads:
        try:
            async for head in heads:
                print_json(head) if json else _print_head(head)
        finally:
            if heads.offset is not None and sys.stdout.isatty():
                note(f"up to {heads.offset}: continue with --from {heads.offset}")


def _place(from_: str, epoch: str) -> Literal["start", "tail"] | Cursor:
    match from_:
        case "start" | "tail":
            return from_
        case _:
            return Cursor(epoch, int(from_))


def _print_event(event: Event) -> None:
    _print(f"{event.at.astimezone():%H:%M:%S}  {event.seq:5}  {event.kind:18}  {_gist(event)}")


def _print_head(head: Head) -> None:
    _print(
        f"{head.at.astimezone():%H:%M:%S}  {head.offset:6}  {head.thread_id}  {head.kind:18}  {one_line(head.preview)}"
    )


def _print(line: str) -> None:
    print(clean(line.rstrip()))
    sys.stdout.flush()


def _gist(event: Event) -> str:
    """What a person wants to know of an event."""
    who = event.actor.name or event.actor.id
    if (message := event.message) is not None:
        return f"{message.author.name or message.author.id}: {one_line(words_of(message))}"
    if event.kind == "run.waiting":
        return f"{event.run_id} {wait_of(event)}"
    if event.kind.startswith("tool."):
        return f"{event.run_id} {tool_of(event)}"
    if event.kind == "thread.updated" and (handover := handover_of(event)) is not None:
        return handover
    error = event.data.get("error")
    if isinstance(error, dict):
        return f"{event.run_id} {one_line(str(error.get('message', '')))}"
    if event.run_id is not None:
        reason = event.data.get("reason")
        return f"{event.run_id} {one_line(str(reason)) if reason else ''}"
    return f"{who} {one_line(str(event.data.get('title') or ''))}"
