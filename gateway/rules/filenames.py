"""How a file is called: a name that is safe to show, to store and to save, made from what its sender says.

Pure. The claim may hold anything: paths, control characters, text that turns around, names that mean a device.
"""

import re
import unicodedata
from typing import Final

NAME_CHARS: Final = 100
"""Fits every platform and a line of a list."""
NAME_BYTES: Final = 240
"""File systems take 255 bytes; whoever saves the file may have to add something."""
FALLBACK: Final = "file"
NEUTRAL: Final = ".bin"
"""Put behind an extension that some system would run when the file is opened."""

_SEPARATORS: Final = re.compile(r"[/\\]")
_REFUSED: Final = re.compile(r'[<>:"|?*`\x7f]')
_EXTENSION: Final = re.compile(r"\.([A-Za-z0-9]{1,10})")
_DEVICES: Final = re.compile(
    r"(con|prn|aux|nul|clock\$|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])", re.IGNORECASE
)
"""Names that mean a device on Windows, whatever follows the first dot (Microsoft, "Naming Files, Paths")."""
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that show nothing, or change how what follows is shown (right-to-left override)."""
_HARMLESS_WORDS: Final = """
txt md rst log csv tsv json jsonl ndjson yaml yml toml ini cfg conf xml diff patch tex bib srt vtt ics vcf eml
pdf rtf doc docx xls xlsx ppt pptx odt ods odp epub pages numbers key
png jpg jpeg jfif gif webp bmp tif tiff heic heif avif ico psd ai eps
mp3 ogg oga opus wav flac m4a aac weba amr mp4 m4v mov webm mkv avi mpg mpeg ogv 3gp
zip gz tgz bz2 xz zst tar 7z rar parquet arrow feather npy npz sqlite db bin dat
c h cc cpp hpp rs go java kt swift ts tsx css scss sql proto ipynb geojson gpx kml stl obj gltf glb
"""
HARMLESS: Final = frozenset(_HARMLESS_WORDS.split())
"""Extensions that say what is inside and make no system run it. Everything else (programs, scripts, pages) is
kept as a part of the name, behind which another extension stands."""


def safe_name(claimed: str) -> str:
    """A name without path, invisible characters and surprises, of at most NAME_CHARS; never empty."""
    name = _SEPARATORS.split(unicodedata.normalize("NFC", claimed))[-1]
    name = "".join(char for char in name if unicodedata.category(char) not in _INVISIBLE)
    name = " ".join(_REFUSED.sub("_", name).split()).strip(". ")
    stem, extension = _split(name)
    stem = stem.strip(". ") or FALLBACK
    if _DEVICES.fullmatch(stem.split(".")[0].strip()):
        stem = f"_{stem}"
    return _cut(stem, extension) + extension


def _split(name: str) -> tuple[str, str]:
    """The name and its extension, which is there only when it is harmless."""
    stem, dot, last = name.rpartition(".")
    if not dot or not stem or not _EXTENSION.fullmatch(dot + last):
        # Not an extension; but a system may see one where we do not.
        return name, NEUTRAL if dot and stem else ""
    return (stem, dot + last) if last.lower() in HARMLESS else (name, NEUTRAL)


def _cut(stem: str, extension: str) -> str:
    stem = stem[: NAME_CHARS - len(extension)]
    while len((stem + extension).encode()) > NAME_BYTES:
        stem = stem[:-1]
    return stem.rstrip(". ")
