"""Files and addresses in what people and agents say: names are made by us, and nothing opens because it was said."""

import hashlib
import os
from pathlib import Path
from urllib.parse import quote

import pytest

from gateway.rules.filenames import safe_name
from tests.contract.networks import File, Network
from tests.gateway.gateway_stage import Refused, Stage, Wire, words
from tests.security.security_stage import ChatStage, raw, start_line

TRAVERSAL = [
    "../../etc/passwd",
    "..\\..\\windows\\system32\\drivers\\etc\\hosts",
    "/etc/passwd",
    "....//....//etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "..%c0%af..%c0%afetc/passwd",
    "a/../../gateway.json",
    "C:\\gateway.json",
    "\\\\server\\share\\x",
    "gateway.db\x00.png",
    "~/.ssh/id_ed25519",
    "file:///etc/passwd",
    ".",
    "..",
    "",
]


def outside(directory: Path) -> set[Path]:
    """Files that are no uploads and not the database."""
    files = {path for path in directory.rglob("*") if path.is_file()}
    return {path for path in files if "blobs" not in path.parts and ".db" not in path.name}


def pwned(directory: Path) -> list[str]:
    """The names of the files that hold the bytes that were uploaded."""
    return [path.name for path in directory.rglob("*") if path.is_file() and path.read_bytes() == b"pwned"]


@pytest.mark.parametrize("name", TRAVERSAL)
async def test_path_traversal_in_names_of_uploads(stage: Stage, tmp_path: Path, name: str) -> None:
    """CVE-2026-25475, CVE-2026-26321, CVE-2026-26972, AstrBot (five in 2026), zip-slips: a name is no path."""
    before = outside(tmp_path)
    headers = {"X-Blob-Name": quote(name), "Content-Type": "text/plain"}
    answer = await stage.http().post("/v1/blobs", content=b"pwned", headers=headers)
    blob = answer.json()["blob"]
    assert not set(blob["name"]) & set("/\\\x00") and blob["name"] not in ("", ".", "..")
    assert outside(tmp_path) == before, "nothing is written but under the hash"
    assert pwned(tmp_path) == [hashlib.sha256(b"pwned").hexdigest()]


@pytest.mark.parametrize("name", TRAVERSAL)
def test_path_traversal_in_file_names(name: str) -> None:
    """CVE-2026-25475 (MEDIA: path): whatever a sender calls a file, the name we make has no way up in it."""
    made = safe_name(name)
    assert (
        made == Path(made).name and made not in (".", "..", "") and os.sep not in made and "\x00" not in made
    )


@pytest.mark.parametrize("name", [one for one in TRAVERSAL if one and "\x00" not in one])
async def test_path_traversal_in_blob_ids(stage: Stage, wire: Wire, name: str) -> None:
    """LangBot storage keys, CVE-2026-26972: an id of a file is looked up, never a path."""
    for path in (f"/v1/blobs/{quote(name, safe='')}", f"/v1/blobs/{name}"):
        answer = await raw(
            stage, start_line(stage, "GET", path.replace(" ", "%20"), Authorization=f"Bearer {stage.owner}")
        )
        assert answer.status in (400, 404), path
        assert b"root:" not in answer.body
    refused = await wire.refusal("message.send", content=[{"type": "blob", "blob_id": name[:60]}])
    assert refused.kind in ("not_found", "invalid_params") or refused.code == -32602


async def test_local_paths_in_messages(stage: Stage, wire: Wire, tmp_path: Path) -> None:
    """CVE-2026-44996 (file:// audio), GHSA-hr5v-j9h9-xjhg (mediaUrl), MEDIA: paths: a text is a text, and no file."""
    secret = tmp_path / "secret.txt"
    secret.write_text("sesame")
    for said in (
        f"file://{secret}",
        f"MEDIA:{secret}",
        f"![x](file://{secret})",
        f"<audio src='file://{secret}'>",
    ):
        sent = await wire.call("message.send", content=words(f"say {said}"))
        wire_events = await stage.log(sent["thread_id"])
        assert "sesame" not in str(wire_events)
    for part in (
        {"type": "file", "path": str(secret)},
        {"type": "blob", "blob_id": f"file://{secret}"},
        {"type": "text", "text": "x", "mediaUrl": f"file://{secret}"},
        {"type": "image", "url": f"file://{secret}"},
    ):
        try:
            sent = await wire.call("message.send", content=[part])
        except Refused:
            continue
        stored = [event for event in await stage.log(sent["thread_id"]) if event["kind"] == "message.created"]
        assert stored[0]["data"]["message"]["content"] == [{"type": "text", "text": "x"}], (
            "an unknown field is dropped"
        )


async def test_names_of_files_from_chat_networks(chat: ChatStage, network: Network) -> None:
    """Path traversal / LFI / zip-slip (15 of 83 advisories to 2026-02-21): through each network's own upload."""
    await chat.go(dm_policy="open")
    network.upload(network.direct(), File("..\\..\\evil.sh", b"#!/bin/sh\nid\n"), "look")
    await chat.eventually(lambda: chat.rows("SELECT 1 FROM blobs WHERE state = 'stored'"))
    await chat.settled()
    for (name,) in chat.rows("SELECT name FROM blobs"):
        assert not set(name) & set("/\\") and not name.endswith(".sh"), name


async def test_a_symlink_in_the_store_leads_nowhere(stage: Stage, tmp_path: Path) -> None:
    """Symlink-safe open: who could put a link beside the files gains nothing."""
    uploaded = (await stage.http().post("/v1/blobs", content=b"mine")).json()["blob"]
    (stored,) = [
        path for path in (tmp_path / "data").rglob("*") if path.is_file() and path.read_bytes() == b"mine"
    ]
    secret = tmp_path / "secret.txt"
    secret.write_text("sesame")
    folder = stored.parent
    assert folder.stat().st_mode & 0o077 == 0, "only the gateway's user can put anything there"
    link = folder / ("0" * 64)
    link.symlink_to(secret)
    assert (await stage.http().get(f"/v1/blobs/{'0' * 64}")).status_code == 404
    assert (await stage.http().get(f"/v1/blobs/{uploaded['id']}")).content == b"mine"


async def test_a_fault_names_no_path(stage: Stage, tmp_path: Path) -> None:
    """Secret leak (5 of 83 advisories): errors tell a caller nothing of the machine."""
    for path in ("/v1/blobs/blb_x", "/v1/nothing", "/v1/threads/thr_x/events", "/../../etc/passwd"):
        text = (await stage.http().get(path)).text
        assert str(tmp_path) not in text and "Traceback" not in text and "site-packages" not in text
