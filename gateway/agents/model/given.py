"""Files that came with a message, as a model can take them: pictures, texts, and a line about everything else."""

import json
from collections.abc import Sequence
from typing import Final

from pydantic_ai.messages import BinaryContent, UserContent
from pydantic_ai.models import Model

from gateway.agents.model.text import cut, plain
from gateway.agents.port import FileUnreadable, GivenFile
from protocol.limits import KIB, MIB

IMAGE_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""What OpenAI and Anthropic both take (their documentation of vision, read 2026-11)."""
IMAGE_BYTES: Final = 5 * MIB
"""Of one picture: Anthropic's limit, the lowest of the providers'."""
IMAGES_MAX: Final = 8
"""With one message; more cost more than they tell."""
TEXT_TYPES: Final = frozenset(
    {
        "application/json",
        "application/xml",
        "application/yaml",
        "application/x-yaml",
        "application/toml",
        "application/javascript",
        "application/sql",
        "application/x-sh",
    }
)
"""Beside `text/*`."""
TEXT_BYTES: Final = MIB
"""Of one file that is read as text."""
TEXT_CHARS: Final = 64 * KIB
"""Of all files of one message that are shown as text."""


async def content_of(text: str, files: Sequence[GivenFile], model: Model) -> list[UserContent]:
    """The message and its files. A file that cannot be given is named with the reason, so that the model can say so."""
    content: list[UserContent] = [plain(text)] if text or not files else []
    images, chars = 0, TEXT_CHARS
    takes_images = bool(model.profile.get("supports_image_input", True))
    for file in files:
        if file.error is not None:
            content.append(_line(file, f"did not arrive: {file.error}"))
        elif file.media_type in IMAGE_TYPES and takes_images and images < IMAGES_MAX:
            image = await _image(file)
            images += isinstance(image, BinaryContent)
            content.append(image)
        elif file.media_type.startswith("text/") or file.media_type in TEXT_TYPES:
            shown = await _text(file, chars)
            chars = max(0, chars - len(shown))
            content.append(shown)
        else:
            content.append(_line(file, "is nothing you can look into"))
    return content


async def _image(file: GivenFile) -> BinaryContent | str:
    data = await _bytes(file, IMAGE_BYTES)
    return data if isinstance(data, str) else BinaryContent(data=data, media_type=file.media_type)


async def _text(file: GivenFile, chars: int) -> str:
    data = await _bytes(file, TEXT_BYTES)
    if isinstance(data, str):
        return data
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return _line(file, "is not UTF-8 text")
    return f"{_line(file, 'has this content')}\n{cut(plain(text), chars)}\n[End of the file {_quoted(file.name)}]"


async def _bytes(file: GivenFile, limit: int) -> bytes | str:
    """What is in it, or the line that says why not."""
    if file.size_bytes is not None and file.size_bytes > limit:
        return _line(file, f"is larger than the {limit} bytes you can be given")
    try:
        data = await file.read()
    except FileUnreadable as error:
        return _line(file, f"cannot be read: {error}")
    return data if len(data) <= limit else _line(file, f"is larger than the {limit} bytes you can be given")


def _line(file: GivenFile, says: str) -> str:
    size = "unknown size" if file.size_bytes is None else f"{file.size_bytes} bytes"
    return f"[The file {_quoted(file.name)}, {plain(file.media_type)}, {size}, {plain(says)}]"


def _quoted(name: str) -> str:
    return json.dumps(plain(name), ensure_ascii=False)
