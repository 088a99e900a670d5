"""What an agent is told: the message, its files as far as the agent takes them, and what it cannot remember itself.

Everything people said goes in word for word, as text blocks of its own. Files are described in the run's journal,
their bytes are not kept there.
"""

import base64
from collections.abc import Sequence
from typing import Final, TypeAlias

from acp.schema import (
    AudioContentBlock,
    BlobResourceContents,
    EmbeddedResourceContentBlock,
    ImageContentBlock,
    PromptCapabilities,
    TextContentBlock,
    TextResourceContents,
)

from gateway.agents.port import FileUnreadable, GivenFile, Json, RunContext
from protocol import limits
from storage.values import Said

Block: TypeAlias = TextContentBlock | ImageContentBlock | AudioContentBlock | EmbeddedResourceContentBlock
HISTORY_MESSAGES: Final = 40
"""Messages of the thread that an agent without a session of its own is shown."""
HISTORY_CHARS: Final = 40_000
"""What these may have altogether, the newest first: some 10,000 tokens."""
FILE_BYTES_MAX: Final = 8 * limits.MIB
"""The largest file that is sent along; of others only name and size are told."""
CUT_OFF: Final = (
    "[An earlier attempt to do this was cut off, and what it did before is not known. "
    "Look at what is done already before you do anything again.]"
)


def describe(file: GivenFile) -> Json:
    """A file in the journal."""
    return {
        "name": file.name,
        "media_type": file.media_type,
        "size_bytes": file.size_bytes,
        "error": file.error,
    }


async def compose(
    context: RunContext, past: Sequence[Said], can: PromptCapabilities, *, is_repeated: bool
) -> list[Block]:
    """The blocks of a prompt. `past` are the messages that the agent does not know of."""
    blocks: list[Block] = []
    if text := tell_past(past):
        blocks.append(_text(text))
    if is_repeated:
        blocks.append(_text(CUT_OFF))
    blocks.append(_text(context.text))
    for file in context.files:
        blocks.append(await _file(file, can))
    return blocks


def tell_past(past: Sequence[Said]) -> str:
    """The end of a conversation as text; empty when there is none."""
    told: list[str] = []
    left = HISTORY_CHARS
    for said in reversed(past):
        left -= len(said.text)
        if left < 0:
            break
        told.append(f"{said.role}: {said.text}")
    if not told:
        return ""
    return "\n\n".join(
        ["[What was said in this conversation before:]", *reversed(told), "[The message to answer:]"]
    )


def unknown_since(said: Sequence[Said], seq: int) -> list[Said]:
    """What was said before the last message that a session does not know, whose last message was `seq`.

    Its own answer followed that one directly; it knows what it said.
    """
    past = [one for one in said[:-1] if one.seq > seq]
    while past and past[0].role == "assistant":
        del past[0]
    return past


def _text(text: str) -> TextContentBlock:
    return TextContentBlock(type="text", text=text)


async def _file(file: GivenFile, can: PromptCapabilities) -> Block:
    what = f"[The file {file.name}, {file.media_type}"
    if file.error is None and (file.size_bytes or 0) > FILE_BYTES_MAX:
        return _text(f"{what}, is too large to be shown: {file.size_bytes} bytes.]")
    try:
        data = await file.read()
    except FileUnreadable as error:
        return _text(f"{what}, could not be read: {error}]")
    return _block(file, data, can) or _text(f"{what}, {len(data)} bytes, is of a kind that you do not take.]")


def _block(file: GivenFile, data: bytes, can: PromptCapabilities) -> Block | None:
    kind = file.media_type.partition("/")[0]
    encoded = base64.b64encode(data).decode()
    if kind == "image" and can.image:
        return ImageContentBlock(type="image", data=encoded, mime_type=file.media_type)
    if kind == "audio" and can.audio:
        return AudioContentBlock(type="audio", data=encoded, mime_type=file.media_type)
    text = _decoded(data) if kind == "text" or file.media_type == "application/json" else None
    uri = f"attachment:///{file.name}"
    if can.embedded_context:
        contents: TextResourceContents | BlobResourceContents
        if text is not None:
            contents = TextResourceContents(text=text, uri=uri, mime_type=file.media_type)
        else:
            contents = BlobResourceContents(blob=encoded, uri=uri, mime_type=file.media_type)
        return EmbeddedResourceContentBlock(type="resource", resource=contents)
    return _text(f"[The file {file.name}:]\n{text}") if text is not None else None


def _decoded(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
