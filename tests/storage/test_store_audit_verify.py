"""Verifying beyond the chain: epochs, rotated keys, withheld entries, clocks, and what a store holds beside its log."""

import orjson
import pytest
from audit_stage import (
    LOG,
    LOG_ID,
    NEXT_SIGNER,
    NOTES,
    ORIGIN,
    SIGNER,
    STRANGER,
    chained,
    note_over,
    rotation,
    said,
)
from store_stage import SEALER, Scene

from storage.audit_inspection import ExportError, inspect_export, inspect_store
from storage.audit_notes import Note
from storage.audit_verify import Report, Verification, Withheld
from storage.values import DEFAULT_ORG, Act

KEYS = [SIGNER.verifier]


def verified(log, notes=(), keys=KEYS) -> Report:
    return Verification(LOG_ID, notes, keys).run(log)


# --- epochs -----------------------------------------------------------------------------------------


def epoch_entry(number: int, epoch: int = 2) -> dict:
    return said(number, epoch=epoch, action="audit.epoch", reason="behind", detail={"known": {"size": 8}})


def restored() -> list:
    """Five entries of the first epoch, three of the second."""
    return chained([*(said(n) for n in range(5)), epoch_entry(5), *(said(n, epoch=2) for n in (6, 7))])


def test_what_a_restore_took_away_is_lost_and_the_rest_verifies() -> None:
    before = chained(said(number) for number in range(8))
    after = restored()
    notes = [
        note_over(before[:4]),
        note_over(before),
        note_over(after[:7], epoch=2),
        note_over(after, epoch=2),
    ]
    report = verified(after, notes)
    assert (report.broken, report.epochs, report.checkpoints) == (None, 2, 3)
    assert [(lost.origin, lost.size) for lost in report.lost] == [(ORIGIN, 8)]


def test_a_longer_log_of_an_epoch_that_did_not_end_is_missing() -> None:
    before = chained(said(number) for number in range(8))
    report = verified(before[:5], [note_over(before)])
    assert report.broken is not None
    assert report.broken.seq == 6


def test_an_epoch_begins_with_its_entry_only() -> None:
    log = chained([*(said(n) for n in range(3)), said(3, epoch=2)])
    report = verified(log)
    assert report.broken is not None
    assert (report.broken.seq, "epoch 2" in report.broken.reason) == (4, True)
    back = chained([said(0), epoch_entry(1), said(2, epoch=1)])
    assert verified(back).broken is not None


def test_a_checkpoint_of_an_epoch_that_begins_later_is_wrong() -> None:
    after = restored()
    report = verified(after, [note_over(after[:4], epoch=2)])
    assert report.broken is not None
    assert report.broken.seq == 4


def test_entries_of_version_1_are_of_the_first_epoch() -> None:
    old = {"org_id": "o", "at": "2026-01-01T00:00:00.000Z", "action": "a", "detail": {"v": "1"}}
    log = chained([old, old, said(2)])
    assert verified(log, [note_over(log)]).broken is None


# --- keys -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pinned", [SIGNER, NEXT_SIGNER])
def test_a_rotated_key_is_trusted_from_the_old_one_and_back(pinned) -> None:
    log = chained([said(0), rotation(1, SIGNER, NEXT_SIGNER), said(2)])
    notes = [note_over(log[:1]), note_over(log, NEXT_SIGNER)]
    report = verified(log, notes, [pinned.verifier])
    assert (report.broken, report.checkpoints) == (None, 2)


def test_a_rotation_that_the_old_key_did_not_sign_makes_no_key_trusted() -> None:
    for entry in (
        rotation(1, SIGNER, NEXT_SIGNER, signed=False),
        {**rotation(1, SIGNER, NEXT_SIGNER), "detail": rotation(1, SIGNER, STRANGER)["detail"]},
        said(1, action="key.rotated", detail={"old_vkey": "x"}),
        said(1, action="key.rotated"),
    ):
        log = chained([said(0), entry, said(2)])
        report = verified(log, [note_over(log, NEXT_SIGNER)])
        assert report.broken is not None
        assert "not signed" in report.broken.reason


def test_without_a_key_signatures_are_not_looked_at_and_that_is_said() -> None:
    report = verified(LOG[:200], [note_over(LOG[:200], STRANGER)], keys=[])
    assert (report.broken, report.signed) == (None, False)


# --- clocks and withheld entries --------------------------------------------------------------------


def test_a_clock_that_went_back_is_flagged_and_no_break() -> None:
    log = chained([said(5), said(6), said(2), said(7), said(1)])
    report = verified(log)
    assert (report.broken, report.back_in_time) == (None, 3)
    assert verified(LOG).back_in_time is None


def test_withheld_entries_count_by_their_hashes() -> None:
    some = [entry if number % 3 else Withheld(entry.seq, entry.hash) for number, entry in enumerate(LOG)]
    report = verified(some, NOTES)
    assert (report.broken, report.withheld, report.checkpoints) == (None, 334, 10)
    forged = [Withheld(1, LOG[1].hash), *some[1:]]
    assert verified(forged, NOTES).broken is not None
    gap = verified([*some[:3], *some[4:]], NOTES)
    assert gap.broken is not None
    assert gap.broken.seq == 4


# --- exports ----------------------------------------------------------------------------------------


def exported(log, notes=NOTES, log_id: str = LOG_ID) -> list[str]:
    """The lines of an export, as docs/audit.md has them."""
    lines = [orjson.dumps({"export": {"v": 1, "log_id": log_id, "origin": ORIGIN, "first_seq": 1}}).decode()]
    for entry in log:
        if isinstance(entry, Withheld):
            lines.append(orjson.dumps({"leaf": entry.hash, "seq": entry.seq}).decode())
        else:
            lines.append(entry.body)
    return [*lines, *(orjson.dumps({"checkpoint": note.text}).decode() for note in notes)]


def test_an_export_verifies_as_the_log_does(tmp_path) -> None:
    file = tmp_path / "export.ndjson"
    some = [*LOG[:400], Withheld(401, LOG[400].hash), *LOG[401:]]
    file.write_text("\n".join(exported(some)) + "\n")
    report = inspect_export(file, keys=KEYS)
    assert (report.broken, report.place.seq, report.checkpoints, report.withheld) == (None, 1000, 10, 1)
    file.write_text("\n".join(exported(some[:990])) + "\n")
    report = inspect_export(file, keys=KEYS)
    assert report.broken is not None
    assert report.broken.seq == 991
    assert inspect_export(file, [Note.parse(NOTES[-1].text)], KEYS).broken is not None


@pytest.mark.parametrize(
    "lines",
    [
        [], ["{}"], ["nonsense"], ['{"export":{"v":2,"log_id":"x"}}'],
        [exported([])[0], '{"checkpoint":"x"}'], [exported([])[0], '{"checkpoint":1}'],
    ],
)  # fmt: skip
def test_what_is_no_export_is_refused(tmp_path, lines) -> None:
    file = tmp_path / "export.ndjson"
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(ExportError):
        inspect_export(file)


@pytest.mark.parametrize(
    "line",
    ["nonsense", "[1]", '{"leaf":"zz","seq":3}', '{"no":"entry"}', '{"seq":true}', '"\\ud800"', "\x00", ""],
)
def test_a_line_that_is_no_entry_is_where_the_log_breaks(tmp_path, line: str) -> None:
    file = tmp_path / "export.ndjson"
    lines = exported(LOG[:5], [])
    lines[3] = line
    file.write_text("\n".join(lines) + "\n")
    found = inspect_export(file).broken
    assert found is not None
    assert found.seq == 3


# --- a store ----------------------------------------------------------------------------------------


async def live(scene: Scene) -> None:
    """A store with entries, content, an address, and a checkpoint of its own."""
    for number in range(5):
        act = Act(DEFAULT_ORG, scene.act().actor, "http", scene.now_ms, address=f"192.0.2.{number % 2}")
        await scene.store.audit.record(act, "login", {}, "failure", {}, content={"n": number}, about="usr_1")
    store = scene.store.checkpoints
    size = await store.grow(5)
    log = [
        Withheld(seq, hash)
        for seq, hash in await scene.rows("SELECT seq, hash FROM audit_entries ORDER BY seq")
    ]
    note = note_over(log)
    assert note.checkpoint.root == await store.root(size)
    await store.add(note.text, size, note.checkpoint.root, scene.now_ms)


async def test_a_store_is_verified_with_its_checkpoints_and_contents(scene: Scene) -> None:
    await live(scene)
    report = inspect_store(scene.directory, keys=KEYS, sealer=SEALER)
    assert (report.broken, report.checkpoints, report.sealed, report.contents) == (None, 1, 5, 7)
    stranger = inspect_store(scene.directory, keys=[STRANGER.verifier])
    assert stranger.broken is not None


TAMPERINGS = {
    "a checkpoint's root": "UPDATE audit_checkpoints SET root = '00'",
    "a checkpoint's note": "UPDATE audit_checkpoints SET note = replace(note, 'A', 'B')",
    "a checkpoint's size": "UPDATE audit_checkpoints SET size = 4",
    "no note": "UPDATE audit_checkpoints SET note = 'x'",
    "content": "UPDATE audit_content SET sealed = (SELECT sealed FROM audit_content WHERE seq = 1) WHERE seq = 2",
    "content moved": "UPDATE audit_content SET seq = 99 WHERE seq = 3",
    "an address": "UPDATE audit_addresses SET sealed = zeroblob(60)",
    "the last entry": "DELETE FROM audit_entries WHERE seq = 5",
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
async def test_what_stands_beside_the_log_is_verified_too(scene: Scene, tampering: str) -> None:
    await live(scene)
    await scene.store.engine.write(lambda tx: tx.run(TAMPERINGS[tampering]))
    assert inspect_store(scene.directory, keys=KEYS, sealer=SEALER).broken is not None


async def test_erased_content_is_no_break(scene: Scene) -> None:
    await live(scene)
    await scene.store.engine.write(lambda tx: tx.run("DELETE FROM audit_content"))
    assert inspect_store(scene.directory, keys=KEYS, sealer=SEALER).broken is None
