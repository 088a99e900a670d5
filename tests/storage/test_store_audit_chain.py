"""The audit chain as pure code: what is sealed verifies, whatever is tampered with is found and located."""

import copy
import string

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.audit_chain import Break, Link, Sealed, leaf_hash, seal, verify

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
START = Link.start("log_1")
LENGTH = 200

scalars = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
fields = st.dictionaries(st.text(string.ascii_letters, min_size=1, max_size=8), values, max_size=5)


def chain(entries: list[dict], start: Link = START) -> list[Sealed]:
    place, sealed = start, []
    for entry in entries:
        body, place = seal(place, entry)
        sealed.append(Sealed(place.seq, body, place.hash))
    return sealed


LOG = chain(
    [{"action": "message.send", "at": f"{number}", "detail": {"n": number}} for number in range(LENGTH)]
)


PLACES = [START, *(Link(entry.seq, entry.hash) for entry in LOG)]


def first_break(entries: list[Sealed], start: Link = START) -> Break:
    place, found = verify(entries, start)
    assert found is not None, "the tampering was not found"
    assert place.seq == found.seq - 1, "everything before it is good"
    return found


# --- what is good -----------------------------------------------------------------------------------


@unhurried
@given(st.lists(fields, max_size=8))
def test_what_was_sealed_verifies(entries: list[dict]) -> None:
    log = chain(entries)
    place, found = verify(log, START)
    assert found is None
    assert place == (Link(log[-1].seq, log[-1].hash) if log else START)
    assert [entry.seq for entry in log] == list(range(1, len(log) + 1))


@unhurried
@given(fields)
def test_a_body_says_what_was_given_and_its_place(entry: dict) -> None:
    body, link = seal(Link(41, "ab" * 32), entry)
    said = orjson.loads(body)
    assert (said.pop("seq"), said.pop("prev"), said.pop("v")) == (42, "ab" * 32, 2)
    assert said == {name: value for name, value in entry.items() if name not in {"seq", "prev", "v"}}
    assert link == Link(42, leaf_hash(body.encode()))


@unhurried
@given(fields)
def test_a_body_is_canonical(entry: dict) -> None:
    backwards = dict(reversed(copy.deepcopy(entry).items()))
    assert seal(START, entry) == seal(START, backwards)


@unhurried
@given(fields)
def test_sealing_does_not_change_what_it_was_given(entry: dict) -> None:
    before = copy.deepcopy(entry)
    seal(START, entry)
    assert entry == before


@unhurried
@given(st.lists(fields, max_size=6), st.integers(0, 6))
def test_verification_may_go_on_from_any_good_place(entries: list[dict], cut: int) -> None:
    log = chain(entries)
    place, _ = verify(log[:cut], START)
    assert verify(log[cut:], place) == verify(log, START)


def test_a_leaf_hash_is_that_of_rfc_6962() -> None:
    # The hash of the empty leaf, as the test vectors of Certificate Transparency give it.
    assert leaf_hash(b"") == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


def test_an_integer_beyond_json_is_refused() -> None:
    with pytest.raises(TypeError):
        seal(START, {"n": 2**53})


# --- tampering, at every place of a log -------------------------------------------------------------


def changed_at(at: int, body: str, digest: str) -> Break:
    """What is found when entry `at` (from 0) has another body or hash; what comes before it is good anyway."""
    found = first_break([Sealed(at + 1, body, digest), *LOG[at + 1 :]], PLACES[at])
    assert found.seq == at + 1
    return found


def test_a_changed_byte_is_found_wherever_it_is() -> None:
    for at, entry in enumerate(LOG):
        for position, char in enumerate(entry.body):
            changed_at(
                at, entry.body[:position] + chr(ord(char) ^ 1) + entry.body[position + 1 :], entry.hash
            )


def test_a_changed_hash_is_found_wherever_it_is() -> None:
    for at, entry in enumerate(LOG):
        for position, digit in enumerate(entry.hash):
            other = "0" if digit != "0" else "1"
            changed_at(at, entry.body, entry.hash[:position] + other + entry.hash[position + 1 :])


def test_a_changed_entry_with_its_hash_made_anew_breaks_the_next() -> None:
    for at in range(LENGTH - 1):
        body = LOG[at].body.replace("message.send", "message.SEND")
        forged = Sealed(at + 1, body, leaf_hash(body.encode()))
        found = first_break([*LOG[:at], forged, *LOG[at + 1 :]])
        assert found.seq == at + 2
        assert "does not follow" in found.reason


def test_a_deleted_entry_is_missed() -> None:
    for at in range(LENGTH - 1):
        found = first_break(LOG[:at] + LOG[at + 1 :])
        assert found.seq == at + 1
        assert "missing" in found.reason


def test_a_deleted_entry_is_missed_also_when_the_rest_is_renumbered() -> None:
    for at in range(LENGTH - 1):
        moved = [Sealed(entry.seq - 1, entry.body, entry.hash) for entry in LOG[at + 1 :]]
        found = first_break(LOG[:at] + moved)
        assert found.seq == at + 1
        assert "moved" in found.reason


def test_an_inserted_entry_is_found() -> None:
    for at in range(LENGTH + 1):
        place, _ = verify(LOG[:at], START)
        body, link = seal(place, {"action": "forged"})
        forged = Sealed(link.seq, body, link.hash)
        pushed = [Sealed(entry.seq + 1, entry.body, entry.hash) for entry in LOG[at:]]
        if pushed:
            assert first_break([*LOG[:at], forged, *pushed]).seq == at + 2
            assert first_break([*LOG[:at], forged, *LOG[at:]]).seq == at + 2
        else:
            assert verify([*LOG, forged], START)[1] is None, "whoever may append may append"


def test_swapped_neighbours_are_found() -> None:
    for at in range(LENGTH - 1):
        swapped = [*LOG[:at], LOG[at + 1], LOG[at], *LOG[at + 2 :]]
        assert first_break(swapped).seq == at + 1
        contents = [
            *LOG[:at],
            Sealed(at + 1, LOG[at + 1].body, LOG[at + 1].hash),
            Sealed(at + 2, LOG[at].body, LOG[at].hash),
            *LOG[at + 2 :],
        ]
        assert first_break(contents).seq == at + 1


def test_swapped_hashes_are_found() -> None:
    for at in range(LENGTH - 1):
        one, two = LOG[at], LOG[at + 1]
        swapped = [Sealed(one.seq, one.body, two.hash), Sealed(two.seq, two.body, one.hash)]
        assert first_break([*LOG[:at], *swapped, *LOG[at + 2 :]]).seq == at + 1


def test_a_repeated_entry_is_found() -> None:
    for at in range(LENGTH):
        assert first_break([*LOG[: at + 1], LOG[at], *LOG[at + 1 :]]).seq == at + 2


def test_a_rewritten_rest_is_good_to_the_chain_alone() -> None:
    """The chain's limit, which checkpoints kept elsewhere are for: a cut and a rewrite up to the end verify."""
    for at in (0, LENGTH // 2):
        place, _ = verify(LOG[:at], START)
        assert verify(LOG[:at], START)[1] is None
        assert verify([*LOG[:at], *chain([{"action": "forged"}], place)], START)[1] is None


def test_a_log_does_not_pass_for_another() -> None:
    place, found = verify(LOG, Link.start("log_2"))
    assert found is not None
    assert (place.seq, found.seq) == (0, 1)


@pytest.mark.parametrize(
    "body",
    ["", "not json", "[]", '"text"', "7", "null", "{}", '{"seq":1}', '{"seq":"1"}', "\ufffd", "{" * 100_000],
)
def test_a_body_of_another_shape_is_found_not_tripped_over(body: str) -> None:
    forged = Sealed(1, body, leaf_hash(body.encode()))
    assert first_break([forged, *LOG[1:]]).seq == 1


@unhurried
@given(st.integers(0, LENGTH - 1), st.data())
def test_any_other_text_in_an_entry_is_found(at: int, data: st.DataObject) -> None:
    body = data.draw(st.text(max_size=60))
    assert first_break([*LOG[:at], Sealed(at + 1, body, LOG[at].hash), *LOG[at + 1 :]]).seq == at + 1
