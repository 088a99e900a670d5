"""The network's files: what was uploaded, the ids each bot knows it by, and links that end.

Pure; everything stays in memory. A photo's sizes have the dimensions the network would make, but all the bytes
of the original: nothing here scales pictures.
"""

import base64
import hashlib
import mimetypes
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from channels.emulators.telegram.images import image_size, image_type
from channels.emulators.telegram.records import BotAccount, FileKind, Media, StoredFile
from channels.emulators.telegram.refusals import bad_request

# https://core.telegram.org/bots/api#file: "guaranteed that the link will be valid for at least 1 hour".
LINK_LIFE_S = 3600
# The longest sides the network makes of a photo (https://core.telegram.org/api/files#image-thumbnail-types).
PHOTO_SIDES = (90, 320, 800, 1280)
# https://core.telegram.org/bots/api#sendphoto: width and height at most 10000 in total, ratio at most 20.
PHOTO_SIDES_MAX = 10_000
PHOTO_RATIO_MAX = 20
# Stickers whose picture cannot be measured (animations) get the size all stickers have.
STICKER_SIDE = 512
# What ids and paths of each kind begin with on the network, as seen in its answers.
_ID_PREFIX = {"photo": "AgAC", "document": "BQAC", "voice": "AwAC", "audio": "CQAC", "video": "BAAC"}
_FOLDERS = {"photo": "photos", "document": "documents", "audio": "music", "video": "videos"}
_DEFAULT_TYPES = {"voice": "audio/ogg", "audio": "audio/mpeg", "video": "video/mp4", "sticker": "image/webp"}
_BYTES = "application/octet-stream"
_EXTENSIONS = {"photo": ".jpg", "voice": ".oga", "audio": ".mp3", "video": ".mp4", "sticker": ".webp"}


@dataclass(frozen=True, slots=True)
class FileLimits:
    """Sizes in bytes (https://core.telegram.org/bots/api#sending-files, #getfile); tests set smaller ones."""

    upload_max: int = 50 << 20
    photo_max: int = 10 << 20
    download_max: int = 20 << 20


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it arrived."""

    data: bytes
    name: str | None = None
    mime: str | None = None


class FileStore:
    """Every file that was ever sent."""

    def __init__(self, bots: Iterable[BotAccount], limits: FileLimits) -> None:
        self.limits = limits
        self._bots = list(bots)
        self._by_id: dict[tuple[int, str], tuple[StoredFile, Media]] = {}
        self._by_unique: dict[str, StoredFile] = {}
        self._links: dict[tuple[int, str], tuple[StoredFile, float]] = {}

    def add(self, kind: FileKind, upload: Upload, facts: Mapping[str, Any] | None = None) -> Media:
        """Keep a file. Raises Refusal for one the network does not take."""
        if not upload.data:
            raise bad_request("file must be non-empty")
        if kind == "photo":
            files = self._photo_sizes(upload)
        else:
            side = (STICKER_SIDE, STICKER_SIDE) if kind == "sticker" else (0, 0)
            files = (self._keep(kind, upload, image_size(upload.data) or side),)
        media = Media(kind, files, dict(facts or {}))
        for file in files:
            for bot in self._bots:
                self._by_id[bot.id, self.id_for(bot, file)] = (file, media)
        return media

    def find(self, bot: BotAccount, file_id: str) -> tuple[StoredFile, Media]:
        """What a bot's file id stands for. Raises Refusal; another bot's id is as wrong as nonsense."""
        if not file_id:
            raise bad_request("file_id not specified")
        found = self._by_id.get((bot.id, file_id))
        if found is None:
            raise bad_request("wrong remote file identifier specified: can't unserialize it")
        return found

    def id_for(self, bot: BotAccount, file: StoredFile) -> str:
        """The id a bot knows a file by; no other bot can use it."""
        digest = hashlib.sha256(f"{bot.id}/{file.unique_id}".encode()).digest()
        return _ID_PREFIX.get(file.kind, "CAAC") + base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def open_link(self, bot: BotAccount, file: StoredFile, now: float) -> str:
        """Make the file's path answer downloads for an hour. Raises Refusal for a file too big for it."""
        if len(file.data) > self.limits.download_max:
            raise bad_request("file is too big")
        self._links[bot.id, file.path] = (file, now + LINK_LIFE_S)
        return file.path

    def behind(self, bot: BotAccount, path: str, now: float) -> StoredFile | None:
        """The file of a link that still works."""
        file, until = self._links.get((bot.id, path), (None, 0.0))
        return file if now <= until else None

    def seen_by_people(self, unique_id: str) -> StoredFile | None:
        """A file for the control side."""
        return self._by_unique.get(unique_id)

    def _photo_sizes(self, upload: Upload) -> tuple[StoredFile, ...]:
        size = image_size(upload.data)
        if size is None:
            raise bad_request("IMAGE_PROCESS_FAILED")
        width, height = size
        if not width or not height or width + height > PHOTO_SIDES_MAX:
            raise bad_request("PHOTO_INVALID_DIMENSIONS")
        if max(size) > PHOTO_RATIO_MAX * min(size):
            raise bad_request("PHOTO_INVALID_DIMENSIONS")
        if len(upload.data) > self.limits.photo_max:
            raise bad_request(
                f"file of size {len(upload.data)} bytes is too big for a photo; "
                f"the maximum size is {self.limits.photo_max} bytes"
            )
        longest = min(max(size), PHOTO_SIDES[-1])
        sides = [side for side in PHOTO_SIDES if side < longest] + [longest]
        return tuple(self._keep("photo", upload, _scaled(size, side)) for side in sides)

    def _keep(self, kind: FileKind, upload: Upload, size: tuple[int, int]) -> StoredFile:
        number = len(self._by_unique)
        mime = _type_of(kind, upload)
        known = _EXTENSIONS.get(kind)
        extension = known or mimetypes.guess_extension(mime or "") or _extension_of(upload.name)
        # Like the real ones: no secret, the same for every bot, good for nothing but comparing.
        unique_id = base64.urlsafe_b64encode(f"AQ{kind[:2]}{number:08}".encode()).decode().rstrip("=")
        path = f"{_FOLDERS.get(kind, kind)}/file_{number}{extension}"
        name = None if kind in ("photo", "voice", "sticker") else upload.name
        file = StoredFile(kind, unique_id, upload.data, path, name, mime, *size)
        self._by_unique[unique_id] = file
        return file


def _scaled(size: tuple[int, int], side: int) -> tuple[int, int]:
    longest = max(size)
    return max(1, size[0] * side // longest), max(1, size[1] * side // longest)


def _type_of(kind: FileKind, upload: Upload) -> str | None:
    # The server goes by the file's name first; what a client says counts when the name says nothing.
    guessed = mimetypes.guess_type(upload.name or "")[0]
    if kind == "photo":
        return image_type(upload.data)
    claimed = guessed or upload.mime
    # Libraries say "bytes" when they know nothing; the server then goes by the method that was called.
    return _DEFAULT_TYPES.get(kind, claimed) if claimed in (None, _BYTES) else claimed


def _extension_of(name: str | None) -> str:
    _, dot, extension = (name or "").rpartition(".")
    return f".{extension.lower()}" if dot and extension.isalnum() else ""
