"""The files of a message, as the core keeps and fetches them. Pure; the fetching is in `bot_api`."""

from channels.messages import Attachment
from channels.telegram.updates import File, Message
from channels.text import well_formed

FILE_ID = "file_id"
# What a kind is called and what it is when the sender does not say (https://core.telegram.org/bots/api#message).
# An animation comes with the same file as `document` for old clients: the first of these is taken.
_KINDS = (
    ("animation", "animation.mp4", "video/mp4"),
    ("video", "video.mp4", "video/mp4"),
    ("video_note", "video.mp4", "video/mp4"),
    ("voice", "voice.ogg", "audio/ogg"),
    ("audio", "audio.mp3", "audio/mpeg"),
    ("document", "document", None),
)


def attachments_of(message: Message) -> tuple[Attachment, ...]:
    """The one file a message has at most; every item of an album is a message of its own."""
    if message.photo:
        # All are the same picture; the largest is what was sent.
        largest = max(message.photo, key=lambda size: size.width * size.height)
        return (_attachment(largest, "photo.jpg", "image/jpeg"),)
    if message.sticker is not None:
        return (_attachment(message.sticker, *_sticker_form(message.sticker)),)
    for kind, name, media_type in _KINDS:
        file: File | None = getattr(message, kind)
        if file is not None:
            return (_attachment(file, name, media_type),)
    return ()


def _attachment(file: File, name: str, media_type: str | None) -> Attachment:
    return Attachment(
        key={FILE_ID: file.file_id},
        name=well_formed(file.file_name or name),
        media_type=file.mime_type or media_type,
        size_bytes=file.file_size,
    )


def _sticker_form(sticker: File) -> tuple[str, str]:
    if sticker.is_animated:
        return "sticker.tgs", "application/x-tgsticker"
    return ("sticker.webm", "video/webm") if sticker.is_video else ("sticker.webp", "image/webp")
