"""A name is safe to show, to store and to save, whatever its sender says; a type is what the bytes say."""

import io
import unicodedata
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.filenames import HARMLESS, NAME_BYTES, NAME_CHARS, safe_name
from gateway.rules.media_types import UNKNOWN, media_type
from gateway.rules.sizes import size_text

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\x00" * 40
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        written.writestr("a.txt", "x")
    return file.getvalue()


@pytest.mark.parametrize(
    ("claimed", "name"),
    [
        ("report.pdf", "report.pdf"),
        ("Übersicht 2025.PDF", "Übersicht 2025.PDF"),
        ("archive.tar.gz", "archive.tar.gz"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\notes.txt", "notes.txt"),
        ("/", "file"),
        ("", "file"),
        ("...", "file"),
        (".bashrc", "bashrc"),
        ("CON", "_CON"),
        ("con.txt", "_con.txt"),
        ("lpt1.tar.gz", "_lpt1.tar.gz"),
        ("nul .txt", "_nul.txt"),
        ("photo\u202egnp.exe", "photognp.exe.bin"),
        ("evil.exe", "evil.exe.bin"),
        ("page.html", "page.html.bin"),
        ("drawing.svg", "drawing.svg.bin"),
        ("a.b!c", "a.b!c.bin"),
        ("zero\u200bwidth\ufeff.txt", "zerowidth.txt"),
        ("line\nbreak\x00\x1b[2J.txt", "linebreak[2J.txt"),
        ('a<b>:"|?*`.txt', "a_b_______.txt"),
        ("  two   spaces .txt ", "two spaces.txt"),
    ],
)
def test_a_name_is_made_safe(claimed: str, name: str) -> None:
    assert safe_name(claimed) == name


def test_a_long_name_keeps_its_extension() -> None:
    assert safe_name("a" * 300 + ".pdf") == "a" * 96 + ".pdf"
    assert len(safe_name("日本" * 90 + ".png").encode()) <= NAME_BYTES


@given(st.text(max_size=200))
def test_any_claim_becomes_a_safe_name(claimed: str) -> None:
    name = safe_name(claimed)
    assert 1 <= len(name) <= NAME_CHARS
    assert len(name.encode()) <= NAME_BYTES
    assert not set(name) & set('/\\<>:"|?*`\x7f')
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in name)
    assert name == name.strip(". ")
    stem, dot, extension = name.rpartition(".")
    assert not (dot and stem) or extension.lower() in HARMLESS


@given(st.text(max_size=120))
def test_a_safe_name_stays_as_it_is(claimed: str) -> None:
    once = safe_name(claimed)
    assert safe_name(once) == once


@pytest.mark.parametrize(
    ("head", "claimed", "kind"),
    [
        (PNG, "", "image/png"),
        (PNG, "text/html", "image/png"),
        (PNG, "image/png; charset=x", "image/png"),
        (b"MZ\x90\x00" + b"\x00" * 60, "image/png", "application/vnd.microsoft.portable-executable"),
        (b"BM is how this text begins", "image/bmp", "text/plain"),
        (b"a,b\n1,2\n", "text/csv", "text/csv"),
        (b'{"a": 1}', "application/json", "application/json"),
        (b"hello", "", "text/plain"),
        (b"hello", "image/png", "text/plain"),
        (b"<!DOCTYPE html><p>", "image/png", "text/html"),
        ("é".encode() * 4096 + b"\xc3", "", "text/plain"),
        (bytes(range(128, 256)), "image/png", UNKNOWN),
        (bytes(range(128, 256)), "text/plain", UNKNOWN),
        (bytes(range(128, 256)), "application/x-own", "application/x-own"),
        (bytes(range(128, 256)), "no type", UNKNOWN),
        (b"OggS\x00\x02" + b"\x00" * 30, "audio/ogg", "audio/ogg"),
        (archive(), WORD, WORD),
        (archive(), "", "application/zip"),
        (b"", "", UNKNOWN),
        (b"", "text/csv", "text/csv"),
    ],
)
def test_the_bytes_have_the_last_word(head: bytes, claimed: str, kind: str) -> None:
    assert media_type(head, claimed) == kind


@given(st.binary(max_size=300), st.text(max_size=60))
def test_any_bytes_and_any_claim_have_a_type(head: bytes, claimed: str) -> None:
    major, slash, minor = media_type(head, claimed).partition("/")
    assert major and slash and minor
    assert (major + minor).isascii() and (major + minor).islower()


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (3_355_443, "3.2 MiB"),
        (25 << 20, "25 MiB"),
        (5 << 40, "5120 GiB"),
    ],
)
def test_sizes_are_read_by_people(size: int, text: str) -> None:
    assert size_text(size) == text
