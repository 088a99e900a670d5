#!/usr/bin/env python3
"""Verify an NDJSON export of a Threadgate audit log (docs/audit.md) against the log's public key, without its code.

Exit codes: 0 it is as it was written, 1 it is not (the first bad entry is named), 2 the files could not be read,
3 as it was written, but entries were lost at a restore. Needs Python 3.11 and the package `cryptography`.
"""

import argparse
import base64
import hashlib
import json
import re
import sys
from functools import reduce
from pathlib import Path

from cryptography.exceptions import InvalidSignature as Bad
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def key(vkey: str) -> tuple[tuple[str, bytes], Ed25519PublicKey]:
    """The public key of NAME+ID+BASE64, under its name and id."""
    name, given_id, encoded = vkey.split("+", 2)
    raw = base64.b64decode(encoded, validate=True)
    key_id = sha256(name.encode() + b"\n" + raw)[:4]
    if raw[:1] != b"\x01" or key_id.hex() != given_id:
        raise ValueError(f"{vkey} is no Ed25519 key, or was not copied whole")
    return (name, key_id), Ed25519PublicKey.from_public_bytes(raw[1:])


class Note:
    """A checkpoint: origin, size and root, an empty line, signatures."""

    def __init__(self, note: str) -> None:
        text, self.signatures = note.strip("\n").rsplit("\n\n", 1)
        self.text, (self.origin, size, root) = text + "\n", text.split("\n")
        self.size, self.root = int(size), base64.b64decode(root, validate=True)
        self.epoch = int((re.findall(r".+/epoch([0-9]+)$", self.origin) or [1])[0])

    def signers(self, keys: dict) -> int:
        """How many of the keys have signed. Raises Bad where one is said to have and has not."""
        lines = [line.split(" ") for line in self.signatures.split("\n")]
        named = [(name, base64.b64decode(encoded, validate=True)) for _, name, encoded in lines]
        known = [(keys[name, raw[:4]], raw[4:]) for name, raw in named if (name, raw[:4]) in keys]
        return len([public.verify(signature, self.text.encode()) for public, signature in known])


class Log:
    """The entries so far: their chain, the tree over them (RFC 6962 §2.1: its complete subtrees), epoch and keys."""

    def __init__(self, log_id: str, notes: list[Note]) -> None:
        self.log_id, self.notes, self.sizes = log_id, notes, {note.size for note in notes}
        self.prev = sha256(f"threadgate audit log {log_id}".encode()).hex()
        self.size, self.subtrees, self.epoch, self.good, self.rotations, self.lost = 0, [], 1, 0, [], []

    def add(self, line: bytes) -> None:
        seq = self.size + 1
        try:
            entry = json.loads(line)
        except ValueError:
            raise Bad(f"entry {seq} is not JSON") from None
        is_whole = "leaf" not in entry
        if entry.get("action") == "audit.epoch":
            self.epoch = max(self.epoch, entry["epoch"])
        if entry.get("seq") != seq:
            raise Bad(f"entry {seq} is missing or was moved: the next one is {entry.get('seq')}")
        if is_whole and entry.get("prev") != self.prev:
            raise Bad(f"entry {seq} does not follow the one before it: one of the two was changed")
        if is_whole and entry.get("epoch", 1) != self.epoch:
            raise Bad(f"entry {seq} is of an epoch that was not begun")
        if entry.get("action") == "key.rotated" and "signature" in entry["detail"]:
            self.rotations.append(entry["detail"])
        node = sha256(b"\x00" + line) if is_whole else bytes.fromhex(entry["leaf"])
        size, self.size, self.prev = self.size, seq, node.hex()
        while size & 1:
            node, size = sha256(b"\x01" + self.subtrees.pop() + node), size >> 1
        self.subtrees.append(node)
        for note in self.notes if seq in self.sizes else ():
            if note.size == seq:
                self.compare(note)

    def compare(self, note: Note) -> None:
        root = reduce(lambda right, left: sha256(b"\x01" + left + right), reversed(self.subtrees))
        if note.epoch < self.epoch:
            self.lost.append(note)
        elif note.epoch > self.epoch or note.root != root:
            raise Bad(f"entries {self.good + 1} to {self.size} are not what was sealed: another root")
        else:
            self.good = self.size

    def judge(self, keys: dict) -> tuple[str, int]:
        """What the checkpoints say once all entries are read, and the exit code. Raises Bad."""
        for detail in [*self.rotations, *reversed(self.rotations)]:  # who trusts one key trusts the other
            (old, public), (new, following) = key(detail["old_vkey"]), key(detail["new_vkey"])
            text = f"threadgate audit key rotation\n{self.log_id}\n{detail['new_vkey']}\n"
            if old in keys or new in keys:
                public.verify(base64.b64decode(detail["signature"]), text.encode())
                keys = {**keys, old: public, new: following}
        for note in self.notes:
            if note.size > self.size and note.epoch >= self.epoch:
                raise Bad(f"entry {self.size + 1} is missing: a checkpoint says that there are {note.size}")
            if not note.signers(keys):
                raise Bad(f"the checkpoint over {note.size} entries is not signed by the key")
        if not self.good:
            raise Bad("no checkpoint is over these entries: anybody could have written them")
        gone = [note for note in self.notes if note in self.lost or note.size > self.size]
        lost = "".join(f"; LOST at a restore: {note.origin} had {note.size} entries" for note in gone)
        said = f"{self.size} entries as they were written, {self.good} of them under signed checkpoints"
        return said + lost, 3 if lost else 0


def verify(path: Path, keys: dict, notes: list[Note]) -> tuple[str, int]:
    """Read the file twice, since checkpoints stand at its end. Raises Bad."""
    with path.open("rb") as file:
        log_id = json.loads(file.readline())["export"]["log_id"]
        notes += [Note(json.loads(line)["checkpoint"]) for line in file if line.startswith(b'{"checkpoint":')]
        log = Log(log_id, notes)
        file.seek(0)
        for line in file:
            if not line.startswith((b'{"checkpoint":', b'{"export":')):
                log.add(line.rstrip(b"\r\n"))
    return log.judge(keys)


def main() -> int:
    parser = argparse.ArgumentParser(description="Verify an export of a Threadgate audit log.")
    parser.add_argument("export", type=Path)
    parser.add_argument("--key", action="append", required=True, metavar="VKEY")
    parser.add_argument("--checkpoints", action="append", default=[], type=Path, metavar="FILE")
    given = parser.parse_args()
    try:
        files = [path.read_text("utf-8").strip("\n").split("\n\n") for path in given.checkpoints]
        notes = [Note("\n\n".join(two)) for file in files for two in zip(file[::2], file[1::2], strict=True)]
        said, code = verify(given.export, dict(map(key, given.key)), notes)
    except Bad as bad:
        said, code = f"NOT VERIFIED: {str(bad) or 'a signature is not of the key that it names'}", 1
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        said, code = f"cannot verify {given.export}: {type(error).__name__}: {error}", 2
    print(said)
    return code


if __name__ == "__main__":
    sys.exit(main())
