"""Who may speak, and where: every policy with every kind of sender, place and address."""

import itertools

import pytest

from gateway.rules.admission import Admitted, Policy, Refusal, Saying, judge, people
from gateway.rules.pace import MINUTE_MS, WRITERS_MAX, Pace

ALL = frozenset({"unknown", "allowed", "rejected"})
OPEN = frozenset({"unknown", "allowed"})
PAIRED = frozenset({"allowed"})
NOBODY: frozenset[str] = frozenset()

ADA, EVE = "U-ada", "U-eve"
POLICIES = ("pairing", "allowlist", "open")


def policy(dm_policy: str, **choices: object) -> Policy:
    return Policy(dm_policy=dm_policy, allow=frozenset({ADA}), **choices)  # type: ignore[arg-type]


def saying(sender_id: str = EVE, **choices: object) -> Saying:
    values = {"sender_id": sender_id, "room": "C1", "is_direct": True, "is_ambient": False}
    return Saying(**{**values, **choices})  # type: ignore[arg-type]


# --- people ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dm_policy", "sender_id", "is_external", "allow_external", "taken_from"),
    [
        ("pairing", ADA, False, False, ALL),
        ("pairing", ADA, True, False, ALL),
        ("pairing", EVE, False, False, PAIRED),
        ("pairing", EVE, True, False, PAIRED),
        ("pairing", EVE, True, True, PAIRED),
        ("allowlist", ADA, False, False, ALL),
        ("allowlist", ADA, True, False, ALL),
        ("allowlist", EVE, False, False, NOBODY),
        ("allowlist", EVE, True, True, NOBODY),
        ("open", ADA, True, False, ALL),
        ("open", EVE, False, False, OPEN),
        ("open", EVE, True, False, PAIRED),
        ("open", EVE, True, True, OPEN),
    ],
)
def test_with_which_standing_a_person_is_let_in(
    dm_policy: str, sender_id: str, is_external: bool, allow_external: bool, taken_from: frozenset[str]
) -> None:
    rule = policy(dm_policy, allow_external=allow_external)
    assert people(rule, sender_id, is_external=is_external) == taken_from


@pytest.mark.parametrize("dm_policy", POLICIES)
@pytest.mark.parametrize("sender_id", [ADA, EVE])
@pytest.mark.parametrize("is_direct", [True, False])
def test_a_bot_is_never_heard(dm_policy: str, sender_id: str, is_direct: bool) -> None:
    said = saying(sender_id, is_bot=True, is_direct=is_direct)
    assert judge(policy(dm_policy, allow_external=True), said) is Refusal.BOT


@pytest.mark.parametrize(
    ("dm_policy", "is_direct", "verdict"),
    [
        ("pairing", True, "pairs"),
        ("pairing", False, "silence"),
        ("allowlist", True, "refused"),
        ("allowlist", False, "refused"),
        ("open", True, "taken"),
        ("open", False, "taken"),
    ],
)
def test_what_a_stranger_meets(dm_policy: str, is_direct: bool, verdict: str) -> None:
    found = judge(policy(dm_policy), saying(is_direct=is_direct))
    if verdict == "refused":
        assert found is Refusal.STRANGER
        return
    assert isinstance(found, Admitted)
    assert found.pairs == (verdict == "pairs"), "codes are given in direct chats alone"
    assert ("unknown" in found.entry.taken_from) == (verdict == "taken")


def test_who_is_on_the_list_is_offered_nothing() -> None:
    assert judge(policy("pairing"), saying(ADA)) == judge(policy("open"), saying(ADA))


def test_somebody_from_outside_is_offered_a_code_in_a_direct_chat() -> None:
    found = judge(policy("pairing"), saying(is_external=True))
    assert isinstance(found, Admitted)
    assert found.pairs


# --- places ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rooms", "room", "is_direct", "is_heard"),
    [
        ((), "C1", False, True),
        (("C1", "C2"), "C1", False, True),
        (("C2",), "C1", False, False),
        (("C2",), "D1", True, True),
    ],
)
def test_the_rooms_of_an_account(rooms: tuple[str, ...], room: str, is_direct: bool, is_heard: bool) -> None:
    rule = policy("open", rooms=frozenset(rooms))
    found = judge(rule, saying(room=room, is_direct=is_direct))
    assert (found is not Refusal.ROOM) == is_heard


@pytest.mark.parametrize(
    ("is_direct", "mention_required", "may_continue", "verdict"),
    [
        (True, True, False, "taken"),
        (False, True, False, "ambient"),
        (False, True, True, "in a thread of ours"),
        (False, False, False, "taken"),
        (False, False, True, "taken"),
    ],
)
@pytest.mark.parametrize("dm_policy", ["pairing", "open"])
def test_what_is_not_addressed_to_the_bot(
    dm_policy: str, is_direct: bool, mention_required: bool, may_continue: bool, verdict: str
) -> None:
    rule = policy(dm_policy, mention_required=mention_required)
    found = judge(rule, saying(ADA, is_direct=is_direct, is_ambient=True, may_continue=may_continue))
    if verdict == "ambient":
        assert found is Refusal.AMBIENT
    else:
        assert isinstance(found, Admitted)
        assert found.entry.needs_thread == (verdict == "in a thread of ours")


def test_what_is_addressed_needs_no_thread() -> None:
    for dm_policy, is_direct, may_continue in itertools.product(POLICIES, (True, False), (True, False)):
        said = saying(ADA, is_direct=is_direct, may_continue=may_continue)
        found = judge(policy(dm_policy), said)
        assert isinstance(found, Admitted)
        assert not found.entry.needs_thread


# --- pace ------------------------------------------------------------------------------------------


def test_within_a_minute_so_many_and_no_more() -> None:
    pace = Pace(3)
    taken = [pace.allows("C1", EVE, str(n), n * 1000) for n in range(5)]
    assert taken == [True, True, True, False, False]
    assert pace.allows("C1", EVE, "later", MINUTE_MS)
    assert not pace.allows("C1", EVE, "sooner", MINUTE_MS)


def test_people_and_rooms_are_counted_apart() -> None:
    pace = Pace(1)
    places = list(itertools.product(("C1", "C2"), (ADA, EVE)))
    assert all(pace.allows(room, who, "1", 0) for room, who in places)
    assert not any(pace.allows(room, who, "2", 0) for room, who in places)


def test_what_was_written_long_ago_is_not_haste() -> None:
    """After a downtime everything comes at once, with the times at which it was written."""
    pace = Pace(2)
    assert all(pace.allows("C1", EVE, str(n), n * MINUTE_MS // 2) for n in range(100))


def test_a_redelivery_is_judged_like_the_first() -> None:
    pace = Pace(2)
    for _ in range(3):
        assert [pace.allows("C1", EVE, name, 0) for name in "abc"] == [True, True, False]


def test_few_writers_are_remembered() -> None:
    pace = Pace(1)
    for number in range(WRITERS_MAX + 1):
        assert pace.allows("C1", str(number), "1", 0)
    assert len(pace._taken) == WRITERS_MAX
    assert not pace.allows("C1", str(WRITERS_MAX), "2", 0)
