"""Verifying an audit log against its checkpoints, as pure code: one pass, constant memory but for the checkpoints.

Entries come in order, from a store or from an export, where some may be withheld and only their hashes given. The
chain is followed, the tree is made anew, and wherever a checkpoint was signed, its root is compared. A checkpoint may
be of an epoch that a restore ended: entries behind that end are lost, which is reported and is no break, because the
log itself says so in its `audit.epoch` entry. Signatures count from the given keys and those that they were rotated to
or from.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from storage.audit_chain import Break, Link, Sealed, check
from storage.audit_notes import Checkpoint, Note, NoteError, Verifier, decoded_signature, rotation_text
from storage.audit_tree import EMPTY_ROOT, Frontier

EPOCH_ACTION: Final = "audit.epoch"
ROTATION_ACTION: Final = "key.rotated"
LOG_WIDE: Final = frozenset({EPOCH_ACTION, ROTATION_ACTION})
"""Entries that are never withheld: without them, nobody can say which checkpoints count."""
PROGRESS_ENTRIES: Final = 50_000
"""How often whoever watches is told."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """An entry of which an export gives the hash alone."""

    seq: int
    hash: str


@dataclass(slots=True)
class Report:
    """What was found. Unless `broken`, all entries up to `place` are as they were written."""

    place: Link
    broken: Break | None = None
    checkpoints: int = 0
    """Checkpoints whose root is that of the entries."""
    sealed: int = 0
    """Entries under the newest of them."""
    signed: bool = False
    """Whether signatures were looked at."""
    withheld: int = 0
    epochs: int = 1
    lost: list[Checkpoint] = field(default_factory=list)
    """Checkpoints over entries that a restore took away."""
    back_in_time: int | None = None
    """The first entry whose clock was behind that of the one before it."""
    contents: int = 0
    """Commitments that were compared with what stands behind them."""


class Verification:
    """One pass over a log."""

    def __init__(self, log_id: str, notes: Iterable[Note] = (), keys: Iterable[Verifier] = ()) -> None:
        self._log_id = log_id
        self._keys = list(keys)
        self._notes: dict[int, list[Note]] = {}
        for note in notes:
            self._notes.setdefault(note.checkpoint.size, []).append(note)
        self._rotations: list[tuple[Verifier, Verifier]] = []
        self._frontier = Frontier()
        self._epoch = 1
        self._at = ""
        self._report = Report(Link.start(log_id), signed=bool(self._keys))
        self._report.broken = self._compare(0, EMPTY_ROOT)

    def run(
        self, entries: Iterable[Sealed | Withheld], progress: Callable[[int], None] = lambda count: None
    ) -> Report:
        """Verify all entries from the first."""
        for entry in entries:
            if not self.add(entry):
                break
            if entry.seq % PROGRESS_ENTRIES == 0:
                progress(entry.seq)
        return self.finish()

    def add(self, entry: Sealed | Withheld) -> bool:
        """Verify the next entry; False when the log is broken."""
        report = self._report
        if report.broken is None:
            report.broken = self._entry(entry)
        if report.broken is not None:
            return False
        report.place = Link(entry.seq, entry.hash)
        self._frontier.add(bytes.fromhex(entry.hash))
        if entry.seq in self._notes:
            report.broken = self._compare(entry.seq, self._frontier.root())
        return report.broken is None

    def finish(self) -> Report:
        """What was found, when there are no more entries."""
        report = self._report
        report.epochs = self._epoch
        report.broken = report.broken or self._beyond() or self._unsigned()
        return report

    def _entry(self, entry: Sealed | Withheld) -> Break | None:
        place = self._report.place
        if isinstance(entry, Withheld):
            self._report.withheld += 1
            if entry.seq != place.seq + 1:
                return Break(place.seq + 1, f"entry {place.seq + 1} is missing: the next one is {entry.seq}")
            return None
        found = check(entry, place)
        if isinstance(found, Break):
            return found
        at = found.get("at")
        if isinstance(at, str):
            if at < self._at and self._report.back_in_time is None:
                self._report.back_in_time = entry.seq
            self._at = at
        action = found.get("action")
        if action in LOG_WIDE:
            self._log_wide(found)
        if found.get("epoch", 1) != self._epoch:
            return Break(
                entry.seq, f"entry {entry.seq} is of epoch {found.get('epoch')}, which was not begun"
            )
        return None

    def _log_wide(self, entry: dict[str, Any]) -> None:
        epoch = entry.get("epoch")
        if entry["action"] == EPOCH_ACTION and isinstance(epoch, int) and epoch > self._epoch:
            self._epoch = epoch
        elif entry["action"] == ROTATION_ACTION:
            rotation = self._rotation(entry.get("detail"))
            if rotation is not None:
                self._rotations.append(rotation)

    def _rotation(self, detail: Any) -> tuple[Verifier, Verifier] | None:
        """The old and the new key, if the old one has signed for the new one."""
        try:
            old, new = Verifier.parse(detail["old_vkey"]), Verifier.parse(detail["new_vkey"])
            signature = decoded_signature(detail["signature"])
        except (KeyError, TypeError, AttributeError, NoteError):
            return None
        return (old, new) if old.has_signed(rotation_text(self._log_id, new.vkey()), signature) else None

    def _compare(self, size: int, root: bytes) -> Break | None:
        """The checkpoints over the first `size` entries against their root."""
        for note in self._notes.get(size, ()):
            checkpoint = note.checkpoint
            if checkpoint.epoch < self._epoch:
                self._report.lost.append(checkpoint)
            elif checkpoint.epoch > self._epoch and size:
                return Break(
                    size,
                    f"a checkpoint over {size} entries is of epoch {checkpoint.epoch}, which begins later",
                )
            elif checkpoint.root != root:
                first = self._report.sealed + 1
                span = f"entry {size} is" if first == size else f"entries {first} to {size} are"
                return Break(
                    first, f"{span} not what was sealed: the checkpoint over {size} entries has another root"
                )
            else:
                self._report.checkpoints += 1
                self._report.sealed = size
        return None

    def _beyond(self) -> Break | None:
        """Checkpoints over more entries than there are."""
        end = self._report.place.seq
        for size in sorted(size for size in self._notes if size > end):
            for note in self._notes[size]:
                if note.checkpoint.epoch >= self._epoch:
                    return Break(
                        end + 1, f"entry {end + 1} is missing: a checkpoint says that there are {size}"
                    )
                self._report.lost.append(note.checkpoint)
        return None

    def _unsigned(self) -> Break | None:
        """Checkpoints that no key of the log has signed."""
        if not self._keys:
            return None
        trusted = self._trusted()
        for size in sorted(self._notes):
            for note in self._notes[size]:
                if note.signed_by(trusted) is None:
                    return Break(size, f"the checkpoint over {size} entries is not signed by the log's key")
        return None

    def _trusted(self) -> Sequence[Verifier]:
        """The given keys, those that followed them, and those that they followed."""
        trusted = list(self._keys)
        for old, new in self._rotations:
            if old in trusted and new not in trusted:
                trusted.append(new)
        for old, new in reversed(self._rotations):
            if new in trusted and old not in trusted:
                trusted.append(old)
        return trusted
