"""Which rooms there are and what the bot may do in them, from GUILD_CREATE in Discord's own spelling."""

import json
from pathlib import Path

import pytest

from channels.discord.places import PlaceKind, Places

PAYLOADS = Path(__file__).parent / "payloads"
GUILD = json.loads((PAYLOADS / "guild_create.json").read_text())
GENERAL, VOICE, FORUM, SECRET, SHARED = (f"92000000000000000{number}" for number in range(1, 6))
THREAD = "1440000000000000001"


@pytest.fixture
def places() -> Places:
    made = Places("940000000000000001")
    made.learn("GUILD_CREATE", GUILD)
    return made


def test_a_guild_tells_of_its_rooms_once() -> None:
    places = Places("940000000000000001")
    fresh = places.learn("GUILD_CREATE", GUILD)
    assert [place.id for place in fresh] == [GENERAL, VOICE, SECRET, SHARED, THREAD]
    assert places.learn("GUILD_CREATE", GUILD) == []
    assert places.learn("GUILD_CREATE", {"id": "1", "unavailable": True}) == []


def test_a_thread_knows_its_channel(places: Places) -> None:
    thread = places.find(THREAD)
    assert thread is not None
    assert (thread.kind, thread.parent, thread.guild) == (PlaceKind.THREAD, GENERAL, GUILD["id"])
    general = places.find(GENERAL)
    # The parent of a channel is a category, which is no room.
    assert general is not None and general.parent is None


def test_threads_and_channels_come_and_go(places: Places) -> None:
    told = {"id": "5", "type": 11, "guild_id": GUILD["id"], "parent_id": GENERAL, "name": "new"}
    assert [place.id for place in places.learn("THREAD_CREATE", told)] == ["5"]
    assert places.learn("THREAD_UPDATE", told | {"name": "renamed"}) == []
    renamed = places.find("5")
    assert renamed is not None and renamed.title == "renamed"
    places.learn("THREAD_DELETE", told)
    assert places.find("5") is None
    synced = {"guild_id": GUILD["id"], "threads": [told]}
    assert [place.id for place in places.learn("THREAD_LIST_SYNC", synced)] == ["5"]


@pytest.mark.parametrize(
    ("channel", "takes_threads", "can_read_back"),
    [
        (GENERAL, True, True),
        (VOICE, False, True),
        (FORUM, False, True),
        (THREAD, False, True),
        (SECRET, True, False),
        (SHARED, False, False),
    ],
)
def test_rights_follow_roles_and_overwrites(
    places: Places, channel: str, takes_threads: bool, can_read_back: bool
) -> None:
    place = places.find(channel)
    assert place is not None
    assert (places.takes_threads(place), places.can_read_back(place)) == (takes_threads, can_read_back)


def test_an_administrator_may_do_everything(places: Places) -> None:
    admin = {"guild_id": GUILD["id"], "role": {"id": "950000000000000001", "permissions": "8"}}
    assert list(places.missing()) != []
    places.learn("GUILD_ROLE_UPDATE", admin)
    secret = places.find(SECRET)
    assert secret is not None and places.can_read_back(secret)
    assert list(places.missing()) == []


def test_missing_rights_are_told_with_their_effect(places: Places) -> None:
    assert list(places.missing()) == [
        "Add Reactions: no receipts are shown (in Workshop)",
        "Attach Files: no files are sent (in Workshop)",
    ]


def test_the_bots_own_role_is_known(places: Places) -> None:
    assert places.bot_role(GUILD["id"]) == "950000000000000001"
    assert places.bot_role("unknown") is None
