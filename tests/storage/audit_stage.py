"""A log of a thousand entries with signed checkpoints, as pure values, for whoever tampers with it."""

from collections.abc import Iterable, Sequence

from storage.audit_chain import Link, Sealed, leaf_hash, seal
from storage.audit_entry import fields
from storage.audit_notes import Checkpoint, Note, Signer, encoded_signature, origin_of, rotation_text
from storage.audit_tree import Frontier

LOG_ID = "epo_log"
ORIGIN = "log.example/audit"
LENGTH = 1000
EVERY = 100
SIGNER = Signer(ORIGIN, bytes(range(32)))
NEXT_SIGNER = Signer(ORIGIN, bytes(range(1, 33)))
STRANGER = Signer(ORIGIN, bytes(32))


def said(number: int, **more) -> dict:
    """What an entry says."""
    given = {
        "log_id": LOG_ID,
        "epoch": 1,
        "org_id": "org_default",
        "at": f"2026-11-21T12:{number // 60 % 60:02d}:{number % 60:02d}.000Z",
        "actor": {"id": "usr_ada", "kind": "user"},
        "via": "websocket",
        "action": "message.send",
        "outcome": "success",
        "subject": {"message_id": f"msg_{number}"},
        "detail": {},
    }
    return fields(**{**given, **more})


def chained(entries: Iterable[dict], start: Link | None = None) -> list[Sealed]:
    """Entries sealed one behind the other."""
    place, made = start or Link.start(LOG_ID), []
    for entry in entries:
        body, place = seal(place, entry)
        made.append(Sealed(place.seq, body, place.hash))
    return made


def forged(entry: Sealed, body: str) -> Sealed:
    """An entry that says something else, with the hash that fits."""
    return Sealed(entry.seq, body, leaf_hash(body.encode()), entry.columns)


def note_over(entries: Sequence[Sealed], signer: Signer = SIGNER, epoch: int = 1) -> Note:
    """The checkpoint over these entries."""
    frontier = Frontier()
    for entry in entries:
        frontier.add(bytes.fromhex(entry.hash))
    return Note.parse(signer.note(Checkpoint(origin_of(ORIGIN, epoch), len(entries), frontier.root())))


def rotation(number: int, old: Signer, new: Signer, *, signed: bool = True) -> dict:
    """The entry in which one key makes way for another."""
    vkey = new.verifier.vkey()
    detail = {"old_vkey": old.verifier.vkey(), "new_vkey": vkey}
    if signed:
        detail["signature"] = encoded_signature(old.sign(rotation_text(LOG_ID, vkey)))
    return said(number, action="key.rotated", detail=detail)


LOG = chained(said(number) for number in range(LENGTH))
NOTES = [note_over(LOG[:size]) for size in range(EVERY, LENGTH + 1, EVERY)]
