"""Cursors, rooms that are behind, and events that wait for them."""

from channels.discord.snowflakes import first_id_at
from channels.discord.watch import OVERLAP_MS, Event, Watch
from channels.messages import Cursor

NOON_MS = 1_763_380_800_000
NOON = first_id_at(NOON_MS)
HELD = Event("MESSAGE_CREATE", {"channel_id": "7", "id": "9"})


def watching(*rooms: str) -> Watch:
    watch = Watch()
    watch.load({room: Cursor(f"1-{NOON}", 0) for room in rooms})
    return watch


def test_other_scopes_and_closed_rooms_are_left_alone() -> None:
    watch = Watch()
    watch.load({"commands": Cursor("abc", 0), "7": Cursor("closed", 0), "8": Cursor("5-6", 0)})
    watch.lose_track()
    assert (watch.next_unread(), watch.next_unread()) == ("8", None)


def test_a_cursor_only_moves_forward() -> None:
    watch = watching("7")
    watch.advance("7", NOON + 2)
    watch.advance("7", NOON + 1)
    assert watch.moves() == {"7": f"1-{NOON + 2}"}


def test_what_is_stored_need_not_be_stored_again_unless_it_moved_meanwhile() -> None:
    watch = watching("7", "8")
    watch.advance("7", NOON + 1)
    watch.advance("8", NOON + 1)
    moves = watch.moves()
    watch.advance("8", NOON + 2)
    watch.stored(moves)
    assert watch.moves() == {"8": f"1-{NOON + 2}"}


def test_a_room_first_seen_wants_its_cursor_stored_at_once() -> None:
    watch = watching("7")
    assert not watch.has_new_room
    watch.begin("8", 5, is_behind=False)
    assert watch.has_new_room and watch.moves() == {"8": "5-5"}
    watch.stored(watch.moves())
    watch.begin("8", 6, is_behind=False)
    assert not watch.has_new_room and watch.moves() == {}


def test_reading_begins_a_little_before_the_cursor_but_never_before_watching_began() -> None:
    watch = watching("7")
    assert watch.floor("7") == first_id_at(NOON_MS - OVERLAP_MS)
    watch.load({"8": Cursor(f"{NOON - 5}-{NOON}", 0)})
    assert watch.floor("8") == NOON - 5


def test_rooms_that_are_behind_hold_their_events_and_are_read_first() -> None:
    watch = watching("5", "6", "7")
    watch.lose_track()
    assert watch.hold("7", HELD) and not watch.hold("unknown", HELD)
    assert watch.next_unread() == "7"
    assert watch.caught_up("7", watch.generation) == [HELD]
    assert (watch.held_count, watch.behind_count) == (0, 2)
    assert not watch.hold("7", HELD)


def test_what_was_read_before_the_thread_was_lost_again_proves_nothing() -> None:
    watch = watching("7")
    watch.lose_track()
    before = watch.generation
    assert watch.next_unread() == "7"
    watch.lose_track()
    assert watch.next_unread() == "7"
    watch.hold("7", HELD)
    assert watch.caught_up("7", before) == []
    assert watch.next_unread() == "7"
    assert watch.caught_up("7", watch.generation) == [HELD]


def test_a_room_that_is_gone_is_watched_again_when_it_speaks() -> None:
    watch = watching("7")
    watch.drop("7")
    assert watch.moves() == {"7": "closed"}
    watch.advance("7", NOON + 1)
    assert watch.moves() == {"7": f"{NOON}-{NOON + 1}"}
