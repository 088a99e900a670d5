"""`threadgate blobs …`: the files of messages."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from threadgate_client import BlobPart, Client, Message

from gateway.cli.connecting import with_client
from gateway.cli.printing import clean

app = typer.Typer(no_args_is_help=True, help="Files of messages: fetch one.")


@app.callback()
def _group() -> None:
    """Files of messages: fetch one."""


@app.command()
@with_client()
async def get(
    client: Client,
    blob: Annotated[str, typer.Argument(metavar="BLOB", help="A file's id.")],
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH",
            help="Where to write it: a new file, a directory, or - for the standard output.",
            show_default="its own name, here",
        ),
    ] = None,
) -> None:
    """Fetch a file. One that is there already is never written over."""
    found = await client.blobs.download(blob)
    if out == "-":
        sys.stdout.buffer.write(found.data)
        sys.stdout.flush()
        return
    path = Path(out) if out is not None else Path(found.name)
    path = path / found.name if path.is_dir() else path
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(found.data)
    print(clean(str(path)))


def files_of(message: Message | None) -> list[str]:
    """A line for each file of a message; with the id, that `blobs get` takes."""
    parts = message.content if message is not None else ()
    return [f"[{part.name or 'file'}] {part.blob_id}" for part in parts if isinstance(part, BlobPart)]


def words_of(message: Message) -> str:
    """The text of a message and its files."""
    return "\n".join(filter(None, [message.text, *files_of(message)]))
