"""Tampering at every place of a log of a thousand entries: all of it is found, and located.

At each position the verification of what comes before it is forked, so that everything can be tried everywhere.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence

import pytest
from audit_stage import EVERY, LENGTH, LOG, LOG_ID, NOTES, SIGNER, STRANGER, chained, forged, note_over, said

from storage.audit_chain import Break, Link, Sealed
from storage.audit_verify import Verification

KEYS = [SIGNER.verifier]


def forks(notes: Sequence = NOTES) -> Iterator[tuple[int, Verification]]:
    """Before each entry: its index, and the verification of all before it, to go on from."""
    walk = Verification(LOG_ID, notes, KEYS)
    shared = {
        id(kept): kept for kept in (walk._notes, walk._keys)
    }  # read only, and most of what would be copied
    for at, entry in enumerate(LOG):
        yield at, copy.deepcopy(walk, dict(shared))
        assert walk.add(entry)
    assert walk.finish().broken is None


def found_in(walk: Verification, entries: Iterable[Sealed]) -> Break:
    for entry in entries:
        if not walk.add(entry):
            break
    found = walk.finish().broken
    assert found is not None, "the tampering was not found"
    return found


def test_the_log_is_good_as_it_is() -> None:
    report = Verification(LOG_ID, NOTES, KEYS).run(LOG)
    assert (report.broken, report.place) == (None, Link(LENGTH, LOG[-1].hash))
    assert (report.checkpoints, report.sealed, report.signed) == (LENGTH // EVERY, LENGTH, True)


def test_a_flipped_byte_is_found_in_its_entry() -> None:
    for at, walk in forks():
        body = LOG[at].body
        position = at * 7 % len(body)
        flipped = body[:position] + chr(ord(body[position]) ^ 1) + body[position + 1 :]
        assert found_in(walk, [LOG[at]._replace(body=flipped), *LOG[at + 1 :]]).seq == at + 1


def test_a_flipped_bit_of_a_hash_is_found_in_its_entry() -> None:
    for at, walk in forks():
        digest = LOG[at].hash
        other = ("1" if digest[at % 64] == "0" else "0").join((digest[: at % 64], digest[at % 64 + 1 :]))
        assert found_in(walk, [LOG[at]._replace(hash=other), *LOG[at + 1 :]]).seq == at + 1


def test_a_changed_entry_whose_hash_was_made_anew_is_found_where_the_chain_breaks() -> None:
    for at, walk in forks():
        entry = forged(LOG[at], LOG[at].body.replace("usr_ada", "usr_eve"))
        found = found_in(walk, [entry, *LOG[at + 1 :]])
        if (at + 1) % EVERY == 0:
            assert found.seq == at + 2 - EVERY, "the checkpoint over it comes before the next entry"
        else:
            assert (found.seq, "does not follow" in found.reason) == (at + 2, True)


def test_a_deleted_entry_is_missed_in_its_place() -> None:
    for at, walk in forks():
        found = found_in(walk, LOG[at + 1 : at + 3])
        assert (found.seq, "is missing" in found.reason) == (at + 1, True)


def test_an_inserted_entry_is_found_in_its_place() -> None:
    for at, walk in forks():
        before = Link(at, LOG[at - 1].hash if at else Link.start(LOG_ID).hash)
        (inserted,) = chained([said(9999)], before)
        found = found_in(walk, [inserted, *LOG[at : at + 2]])
        assert found.seq in (at + 1, at + 2) or found.seq == at + 2 - EVERY


def test_an_inserted_entry_with_all_numbers_moved_is_found() -> None:
    for at, walk in forks():
        before = Link(at, LOG[at - 1].hash if at else Link.start(LOG_ID).hash)
        (inserted,) = chained([said(9999)], before)
        moved = [entry._replace(seq=entry.seq + 1) for entry in LOG[at : at + 2]]
        assert found_in(walk, [inserted, *moved]).seq <= at + 2


def test_two_entries_in_each_others_place_are_found() -> None:
    for at, walk in forks():
        if at + 1 < LENGTH:
            one, two = LOG[at], LOG[at + 1]
            assert found_in(walk, [two, one]).seq == at + 1
    for at, walk in forks():
        if at + 1 < LENGTH:
            one, two = LOG[at], LOG[at + 1]
            assert found_in(walk, [two._replace(seq=one.seq), one._replace(seq=two.seq)]).seq == at + 1


def test_a_log_cut_anywhere_is_found_by_its_checkpoint() -> None:
    for at, walk in forks():
        found = found_in(walk, [])
        assert (found.seq, "is missing" in found.reason) == (at + 1, True)


def test_a_log_rewritten_from_anywhere_is_found_by_the_next_checkpoint() -> None:
    for at, walk in forks():
        before = Link(at, LOG[at - 1].hash if at else Link.start(LOG_ID).hash)
        sealed = at - at % EVERY
        rest = range(at, sealed + EVERY)
        found = found_in(walk, chained((said(number, via="forged") for number in rest), before))
        assert (found.seq, "not what was sealed" in found.reason) == (sealed + 1, True)


def test_a_log_rewritten_as_a_whole_with_checkpoints_of_another_key_is_found_by_the_key() -> None:
    log = chained(said(number, via="forged") for number in range(LENGTH))
    notes = [note_over(log[:size], STRANGER) for size in range(EVERY, LENGTH + 1, EVERY)]
    found = Verification(LOG_ID, notes, KEYS).run(log).broken
    assert found is not None
    assert (found.seq, "not signed by the log's key" in found.reason) == (EVERY, True)
    anchored = Verification(LOG_ID, [*notes, NOTES[-1]], KEYS).run(log).broken
    assert anchored is not None, "one checkpoint kept elsewhere is enough"


@pytest.mark.parametrize("kept", [1, 5, 10])
def test_one_checkpoint_kept_elsewhere_is_enough_for_all_before_it(kept: int) -> None:
    log = chained(said(number, via="forged" if number == 17 else "websocket") for number in range(LENGTH))
    report = Verification(LOG_ID, [NOTES[kept - 1]], KEYS).run(log)
    assert report.broken is not None
    assert report.broken.seq == 1
    assert f"the checkpoint over {kept * EVERY} entries" in report.broken.reason
    assert Verification(LOG_ID, [], KEYS).run(log).broken is None, "the control: without it, nothing is seen"


def test_another_logs_entries_do_not_fit() -> None:
    found = Verification("epo_other", NOTES, KEYS).run(LOG).broken
    assert found is not None
    assert found.seq == 1
