"""Signed notes, keys, checkpoints and proofs as texts: what was made is read, what was changed proves nothing."""

import base64
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.audit_notes import (
    Checkpoint,
    Note,
    NoteError,
    Signer,
    Verifier,
    base_of,
    notes_of,
    origin_of,
    rotation_text,
)
from storage.audit_proof import parse, proof_text
from storage.audit_tree import Frontier, fold, inclusion, leaf_hash, node_hash

SIGNER = Signer("log.example/audit", bytes(range(32)))
OTHER = Signer("log.example/audit", bytes(32))
ROOT = hashlib.sha256(b"root").digest()
CHECKPOINT = Checkpoint("log.example/audit", 41, ROOT)
NOTE = SIGNER.note(CHECKPOINT)
KEYS = [SIGNER.verifier]

# --- the vectors published with the first implementation of signed notes (Go's sumdb/note) -----------

VECTOR_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
VECTOR_SKEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
VECTOR_TEXT = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
VECTOR_SIGNATURE = (
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
)


def test_keys_and_signatures_are_those_that_were_published() -> None:
    verifier, signer = Verifier.parse(VECTOR_VKEY), Signer.parse(VECTOR_SKEY)
    assert (verifier.name, verifier.id.hex(), verifier.vkey()) == ("PeterNeumann", "c74f20a3", VECTOR_VKEY)
    assert (signer.verifier, signer.skey()) == (verifier, VECTOR_SKEY)
    raw = base64.b64decode(VECTOR_SIGNATURE)
    assert raw[:4] == verifier.id
    assert verifier.has_signed(VECTOR_TEXT, raw[4:])
    assert signer.sign(VECTOR_TEXT) == raw[4:], "Ed25519 is deterministic"


# --- notes ------------------------------------------------------------------------------------------


def test_a_checkpoint_is_three_lines_and_a_signature() -> None:
    origin, size, root, empty, signature, end = NOTE.split("\n")
    assert (origin, size, empty, end) == ("log.example/audit", "41", "", "")
    assert base64.b64decode(root) == ROOT
    assert signature.startswith("— log.example/audit ")
    note = Note.parse(NOTE)
    assert (note.checkpoint, note.signed_by(KEYS), note.text) == (CHECKPOINT, SIGNER.verifier, NOTE)


@settings(deadline=None)
@given(st.integers(0, 10**12), st.binary(min_size=32, max_size=32), st.integers(1, 50))
def test_what_was_signed_is_read_again(size: int, root: bytes, epoch: int) -> None:
    checkpoint = Checkpoint(origin_of("log.example/audit", epoch), size, root)
    note = Note.parse(SIGNER.note(checkpoint))
    assert note.checkpoint == checkpoint
    assert (checkpoint.epoch, base_of(checkpoint.origin)) == (epoch, "log.example/audit")
    assert note.signed_by(KEYS)
    assert not note.signed_by([OTHER.verifier])


def test_every_changed_character_spoils_a_note() -> None:
    for at in range(len(NOTE)):
        changed = NOTE[:at] + chr(ord(NOTE[at]) ^ 1) + NOTE[at + 1 :]
        try:
            note = Note.parse(changed)
        except NoteError:
            continue
        assert note.signed_by(KEYS) is None or note.checkpoint == CHECKPOINT, f"character {at}"


def test_a_note_counts_when_one_known_key_signed_and_none_is_wrong() -> None:
    both = NOTE + OTHER.note(CHECKPOINT).split("\n\n")[1]
    assert Note.parse(both).signed_by([OTHER.verifier]) == OTHER.verifier
    assert Note.parse(both).signed_by(KEYS) == SIGNER.verifier
    other = Checkpoint(CHECKPOINT.origin, 42, ROOT)
    forged = NOTE + SIGNER.note(other).split("\n\n")[1]
    assert Note.parse(forged).signed_by(KEYS) is None


@pytest.mark.parametrize(
    "text",
    [
        "", "\n\n", "a\n1\n", NOTE.rstrip("\n"), NOTE.replace("\n\n", "\n"), NOTE.replace("41", "041"),
        NOTE.replace("41", "-1"), NOTE.replace("\n\n", "\nextension\n\n"), NOTE.replace("— ", "- "), NOTE + "more\n",
        NOTE.replace("log.example", "log\t.example"), "x" * 200_000,
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        Note.parse(text)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "a+b",
        "a+00000000+AAAA",
        VECTOR_VKEY.replace("c7", "c8"),
        VECTOR_VKEY[:-4],
        "a b" + VECTOR_VKEY[12:],
    ],
)
def test_what_is_no_key_is_refused(vkey: str) -> None:
    with pytest.raises(NoteError):
        Verifier.parse(vkey)
    with pytest.raises(NoteError):
        Signer.parse(vkey)
    with pytest.raises(NoteError):
        Signer.parse(f"PRIVATE+KEY+{vkey}")


def test_a_key_has_a_name_without_spaces_and_plus() -> None:
    for name in ("", "a b", "a+b", "a\n"):
        with pytest.raises(NoteError):
            Signer(name, bytes(32))


def test_a_file_of_checkpoints_is_read_with_what_a_crash_left_of_the_last() -> None:
    notes = [SIGNER.note(Checkpoint("log.example/audit", size, ROOT)) for size in (1, 2, 3)]
    content = "".join(f"{note}\n" for note in notes)
    found, bad = notes_of(content)
    assert ([note.checkpoint.size for note in found], bad) == ([1, 2, 3], 0)
    assert all(note.signed_by(KEYS) for note in found)
    for cut in range(len(content) - len(notes[-1]) + 1, len(content) - 3):
        sizes = [note.checkpoint.size for note in notes_of(content[:cut])[0]]
        assert sizes[:2] == [1, 2]
    found, bad = notes_of(content[:-30] + "\n\n" + content)
    assert [note.checkpoint.size for note in found if note.signed_by(KEYS)] == [1, 2, 1, 2, 3]
    assert notes_of("") == ([], 0)
    assert notes_of(notes[0])[0][0].checkpoint.size == 1, "a single note is such a file, too"


def test_a_rotation_names_the_log_and_the_key() -> None:
    assert rotation_text("log_1", "key") != rotation_text("log_2", "key")


# --- proofs -----------------------------------------------------------------------------------------

BODIES = [f'{{"seq":{number}}}' for number in range(1, 12)]
LEAVES = [leaf_hash(body.encode()) for body in BODIES]


def proof_of(index: int) -> str:
    frontier = Frontier()
    for leaf in LEAVES:
        frontier.add(leaf)
    path = [_naive(LEAVES[start:end]) for start, end in inclusion(index, len(LEAVES))]
    return proof_text(
        BODIES[index], index, path, SIGNER.note(Checkpoint("log", len(LEAVES), frontier.root()))
    )


def _naive(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node_hash(_naive(leaves[:half]), _naive(leaves[half:]))


def test_a_proof_stands_on_its_own() -> None:
    for index, body in enumerate(BODIES):
        text = proof_of(index)
        proof = parse(text)
        assert proof.entry.decode() == body
        assert proof.verify(KEYS) == SIGNER.verifier
        assert text.startswith("c2sp.org/tlog-proof@v1\nextra ")


def test_every_changed_character_spoils_a_proof() -> None:
    text = proof_of(6)
    for at in range(len(text)):
        changed = text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]
        try:
            proof = parse(changed)
            proof.verify(KEYS)
        except NoteError:
            continue
        assert (proof.entry.decode(), proof.index) == (BODIES[6], 6), f"character {at}"


def test_a_proof_of_another_key_or_shape_is_refused() -> None:
    text = proof_of(3)
    with pytest.raises(NoteError, match="signed"):
        parse(text).verify([OTHER.verifier])
    lines = text.split("\n")
    for broken in (
        "", "\n".join(lines[1:]), "\n".join([lines[0], *lines[2:]]), "\n".join([*lines[:2], *lines[3:]]),
        text.replace("index 3", "index 03"), text.replace("\n\n", "\n" + "AAAA\n" * 70 + "\n", 1),
    ):  # fmt: skip
        with pytest.raises(NoteError):
            parse(broken).verify(KEYS)
    assert fold([]) != LEAVES[0]
