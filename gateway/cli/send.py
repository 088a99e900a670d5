"""`threadgate send`: say one thing, and print the answer as it is written."""

import asyncio
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from threadgate_client import (
    BlobPart,
    Client,
    InputRequired,
    Part,
    ReplyStream,
    RunCancelled,
    RunEnded,
    SendResult,
    TextPart,
)

from gateway.cli.blobs import files_of
from gateway.cli.connecting import tell_interruptions, thread_named, with_client
from gateway.cli.failures import EXIT_FAILED, EXIT_UNUSABLE, fail, note
from gateway.cli.options import Json
from gateway.cli.painter import painter_for_stdout
from gateway.cli.printing import clean, print_json

REPLY_TIMEOUT_S: Final = 24 * 3600.0
"""An agent that works with tools may take long; the gateway's own turn_timeout_s ends a run before."""


class OnBusy(StrEnum):
    """What becomes of a message when the thread already has an active run."""

    QUEUE = "queue"
    REJECT = "reject"
    INTERRUPT = "interrupt"
    STEER = "steer"


@with_client()
async def send(
    client: Client,
    text: Annotated[
        str, typer.Argument(help="What to say; - reads it from the standard input.", show_default=False)
    ] = "",
    file: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="A file to send along; may be given several times.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    thread: Annotated[
        str | None,
        typer.Option(help="Thread to say it in: its id, or `last`.", show_default="a new one"),
    ] = None,
    agent: Annotated[
        str | None, typer.Option(help="Agent to talk to.", show_default="the thread's, or the default")
    ] = None,
    on_busy: Annotated[OnBusy, typer.Option(help="What if the thread is busy.")] = OnBusy.QUEUE,
    wait: Annotated[bool, typer.Option(help="Print the answer, or only the ids of message and run.")] = True,
    json: Json = False,
) -> None:
    """Say something and print the answer as it is written.

    Exit code: 0 answered, or asked something, 1 the run failed or was stopped, 2 wrong usage or no connection.
    """
    if text == "-":
        text = await asyncio.to_thread(sys.stdin.read)
    if not text.strip() and not file:
        fail(
            "There is nothing to say.",
            "threadgate send TEXT, or - to read the standard input, or --file PATH.",
            EXIT_UNUSABLE,
        )
    thread_id = await thread_named(client, thread) if thread is not None else None
    content: list[Part] = [TextPart(text)] if text.strip() else []
    content += [BlobPart((await client.blobs.upload(path)).id) for path in file or ()]
    sent = await client.send(content, thread_id, agent_id=agent, on_busy=on_busy.value)
    if sent.run_state == "completed":
        note("you have taken this thread over, so this is its answer")
    if not wait or sent.run_state == "completed":
        _print_ids(sent, json)
        return
    watcher = asyncio.create_task(tell_interruptions(client), name="connection watcher")
    try:
        await _answer(client, sent, json)
    except asyncio.CancelledError:
        note(f"the run goes on: threadgate runs show {sent.run_id}, threadgate runs cancel {sent.run_id}")
        raise
    finally:
        watcher.cancel()


def _print_ids(sent: SendResult, json: bool) -> None:
    if json:
        print_json(_ids(sent) | {"queue_position": sent.queue_position})
    else:
        print(f"thread {sent.thread_id}\nmessage {sent.message_id}\nrun {sent.run_id}")


def _ids(sent: SendResult) -> dict[str, object]:
    return {
        "thread_id": sent.thread_id,
        "message_id": sent.message_id,
        "seq": sent.seq,
        "run_id": sent.run_id,
    }


async def _answer(client: Client, sent: SendResult, json: bool) -> None:
    reply = client.stream_reply(sent, timeout_s=REPLY_TIMEOUT_S)
    try:
        await (reply.read() if json else _paint(reply))
    except InputRequired as asked:
        if json:
            print_json(_ids(sent) | {"state": "waiting", "prompt": asked.prompt})
            return
        print(clean(asked.prompt))
        note(f"the agent waits for your answer: threadgate send --thread {sent.thread_id} ANSWER")
        return
    except RunEnded as ended:
        state = "cancelled" if isinstance(ended, RunCancelled) else "failed"
        if json:
            error = {"kind": ended.kind or state, "message": ended.message}
            print_json(_ids(sent) | {"state": state, "error": error})
            raise typer.Exit(EXIT_FAILED) from None
        fail(f"The run {state}: {ended.message or ended.kind or ended.run_id}", f"thread {sent.thread_id}")
    if json:
        found = {"run_id": reply.run_id, "state": "completed", "text": reply.text}
        blobs = (
            [part for part in reply.message.content if isinstance(part, BlobPart)] if reply.message else []
        )
        print_json(
            _ids(sent) | found | {"files": [{"blob_id": blob.blob_id, "name": blob.name} for blob in blobs]}
        )
        return
    for line in files_of(reply.message):
        print(clean(line))


async def _paint(reply: ReplyStream) -> None:
    painter = painter_for_stdout()
    try:
        async for chunk in reply:
            painter.grow(chunk)
    finally:
        painter.finish()
    if reply.is_replaced:
        note("the answer ended up different from what was streamed:")
        whole = painter_for_stdout()
        whole.grow(reply.text)
        whole.finish()
