"""An answer that is watched being written, by StreamMode: what is shown, what slows a view, what ends it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from gateway_stage import until
from network_stage import NONE, PLACEHOLDER, READBACK, Crash, Lost, Network, Office, Speech

from channels.capabilities import Capabilities, Rate, StreamMode
from channels.errors import Permanent, RateLimited, StreamEnded, UnknownOutcome, Unreachable
from gateway.services import attempts, live, views
from gateway.services.live import LiveMessage
from storage.values import ClaimedRun

NATIVE = replace(READBACK, stream=StreamMode.NATIVE)
DRAFT = replace(READBACK, stream=StreamMode.DRAFT)
EDIT = replace(NONE, stream=StreamMode.EDIT)
WHOLE = "The **quick** brown fox jumps.\n```py\nx = 1\n```\nand rests."


class Telling:
    """One answer being written in a room."""

    def __init__(self, office: Office, run: ClaimedRun) -> None:
        self.office, self.run = office, run
        self.live: LiveMessage = office.live.open(run)
        self.speech = Speech()

    async def say(self, text: str) -> None:
        self.live.update(self.speech.say(text))
        await asyncio.sleep(0)

    async def end(self, *parts: str) -> None:
        self.live.stop()
        await self.office.complete(self.run, *(parts or (self.speech.text,)))
        await self.office.settled()


@pytest.fixture
async def telling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[[Capabilities], object]]:
    monkeypatch.setattr(live, "FIRST_PIECE_S", 0.0)
    monkeypatch.setattr(views, "OWED_S", 0.005)
    monkeypatch.setattr(views, "UNREACHABLE_S", 0.02)
    monkeypatch.setattr(attempts, "LOOK_AGAIN_S", 0.02)
    offices: list[Office] = []

    async def make(capabilities: Capabilities) -> Telling:
        office = Office(Network(capabilities))
        await office.open(tmp_path / "data")
        offices.append(office)
        return Telling(office, await office.run())

    yield make
    for office in offices:
        await office.close()


# --- a message that grows --------------------------------------------------------------------------


async def test_a_stream_grows_by_what_is_new_and_ends_in_the_final_message(telling) -> None:
    told = await telling(NATIVE)
    network = told.office.network
    for at in range(0, len(WHOLE), 7):
        await told.say(WHOLE[at : at + 7])
        await asyncio.sleep(0.015)
    await told.end()
    (message,) = network.messages
    assert (message.text, message.is_open) == (WHOLE, False)
    grown = [text for name, text in network.calls if name == "append"]
    assert len(grown) >= 4
    assert WHOLE.startswith("".join(grown)), "nothing twice, nothing left out"
    assert not any(piece.count("**") % 2 for piece in grown), "no markup is cut in two"
    assert [name for name, _ in network.calls if name != "append"] == ["open_stream", "close_stream", "edit"]
    assert await told.office.phases() == ["sent"]


async def test_a_stream_is_left_for_edits_in_good_time(telling) -> None:
    told = await telling(replace(NATIVE, stream_max_s=0.1))
    network = told.office.network
    await told.say("first words, ")
    await until(lambda: network.called("close_stream"))
    await told.say("and later ones")
    await until(lambda: network.texts() == ["first words, and later ones"])
    assert network.called("edit") >= 1
    await told.end()
    assert network.texts() == ["first words, and later ones"]


@pytest.mark.parametrize("failure", [StreamEnded("too old"), UnknownOutcome("reset"), Lost()])
async def test_a_stream_that_takes_no_more_goes_on_in_edits_and_says_nothing_twice(telling, failure) -> None:
    told = await telling(NATIVE)
    network = told.office.network
    network.fates("append", failure)
    await told.say("first words, ")
    await until(lambda: network.called("edit"))
    assert network.called("append") == 1
    await told.say("and more")
    await until(lambda: network.texts() == ["first words, and more"])
    await told.end()
    assert network.texts() == ["first words, and more"]


async def test_a_view_that_is_told_to_wait_slows_down(telling) -> None:
    told = await telling(NATIVE)
    network = told.office.network
    network.fates("append", RateLimited(0.2, "room"), Unreachable("down"))
    await told.say("patience ")
    await until(lambda: network.called("append"))
    began = asyncio.get_running_loop().time()
    await until(lambda: network.texts() == ["patience "])
    assert asyncio.get_running_loop().time() - began > 0.15
    await told.end()
    assert network.called("append") == 3


async def test_a_room_without_streams_after_all_is_shown_by_edits(telling) -> None:
    told = await telling(NATIVE)
    network = told.office.network
    network.fates("open_stream", Permanent("not in this room"))
    await told.say("words")
    await until(lambda: network.texts() == ["words"])
    await told.end()
    assert [shown.history[0] for shown in network.messages] == [PLACEHOLDER]


async def test_a_crash_while_a_stream_opens_leaves_one_message(telling) -> None:
    told = await telling(NATIVE)
    office, network = told.office, told.office.network
    network.fates("open_stream", Crash(after=True))
    await told.say("words")
    await network.crashed.wait()
    await office.kill()
    await office.start()
    await told.end("words and more")
    (message,) = network.messages
    assert (message.text, message.is_open) == ("words and more", False)
    assert await office.uncertain() == 0


async def test_a_crash_in_the_middle_of_a_stream_goes_on_in_the_same_message(telling) -> None:
    told = await telling(NATIVE)
    office, network = told.office, told.office.network
    network.fates("append", Crash(after=True))
    await told.say("half ")
    await network.crashed.wait()
    await office.kill()
    await office.start()
    again = Telling(office, told.run)
    await again.say("half and half")
    await until(lambda: network.texts() == ["half and half"])
    assert network.called("open_stream") == 1
    await again.end("the whole")
    (message,) = network.messages
    assert (message.text, message.is_open) == ("the whole", False)


# --- drafts ----------------------------------------------------------------------------------------


async def test_drafts_owe_nothing_and_are_shown_again_before_they_vanish(telling) -> None:
    told = await telling(replace(DRAFT, stream_max_s=0.1))
    network = told.office.network
    await told.say("so far")
    await until(lambda: len(network.drafts) >= 3)
    assert set(network.drafts) == {"so far"}
    assert await told.office.phases() == []
    await told.say(", and further")
    await until(lambda: network.drafts[-1] == "so far, and further")
    await told.end()
    assert network.texts() == ["so far, and further"]
    shown = len(network.drafts)
    await asyncio.sleep(0.1)
    assert len(network.drafts) == shown, "nothing is previewed behind the answer"


async def test_a_draft_shows_the_newest_part(telling) -> None:
    told = await telling(replace(DRAFT, text_max=10))
    await told.say("0123456789abc")
    await until(lambda: told.office.network.drafts == ["abc"])
    await told.end("0123456789", "abc")


async def test_a_draft_that_is_refused_costs_the_view_and_not_the_answer(telling) -> None:
    told = await telling(DRAFT)
    told.office.network.fates("draft", Permanent("no drafts here"))
    await told.say("words")
    await until(lambda: told.office.network.called("draft"))
    await asyncio.sleep(0.05)
    assert told.office.network.called("draft") == 1
    await told.end()
    assert told.office.network.texts() == ["words"]


# --- edits, and nothing ----------------------------------------------------------------------------


async def test_edits_show_the_first_message_and_no_edit_that_changes_nothing(telling) -> None:
    told = await telling(replace(EDIT, text_max=10))
    network = told.office.network
    await told.say("0123456789")
    await until(lambda: network.texts() == ["0123456789"])
    edits = network.called("edit")
    for _ in range(5):
        await told.say("more")
        await asyncio.sleep(0.02)
    assert network.called("edit") == edits
    await told.end("0123456789", "moremoremo", "remoremore")
    assert network.texts() == ["0123456789", "moremoremo", "remoremore"]


async def test_a_view_waits_behind_deliveries_and_keeps_to_the_rate(telling) -> None:
    told = await telling(replace(EDIT, room_rate=Rate(20.0, 1)))
    network = told.office.network
    for _ in range(10):
        await told.say("word ")
        await asyncio.sleep(0.02)
    await told.end()
    assert network.called("edit") + network.called("send") <= 1 + 20 * 0.6


async def test_where_nothing_can_be_shown_only_typing_is(telling) -> None:
    told = await telling(replace(READBACK, stream=StreamMode.NONE, typing_refresh_s=0.02))
    network = told.office.network
    await told.say("words ")
    await until(lambda: network.called("show_typing") >= 3)
    assert network.messages == []
    await told.end()
    assert network.texts() == ["words "]


# --- typing ----------------------------------------------------------------------------------------


async def test_a_run_that_thinks_for_long_shows_that_it_does(telling) -> None:
    told = await telling(replace(NATIVE, typing_refresh_s=0.02))
    network = told.office.network
    network.fates("show_typing", Unreachable("down"), RateLimited(0.01), UnknownOutcome("reset"))
    await until(lambda: network.called("show_typing") >= 6)
    await told.say("at last")
    await until(lambda: network.called("append"))
    await told.end()
    after = network.called("show_typing")
    await asyncio.sleep(0.08)
    assert network.called("show_typing") == after
    assert network.texts() == ["at last"]


async def test_typing_that_is_refused_for_good_is_not_tried_again_and_costs_nothing(telling) -> None:
    told = await telling(replace(NATIVE, typing_refresh_s=0.01))
    told.office.network.fates("show_typing", Permanent("no"))
    await asyncio.sleep(0.08)
    assert told.office.network.called("show_typing") == 1
    await told.say("words")
    await until(lambda: told.office.network.called("append"))
    await told.end()
    assert told.office.network.texts() == ["words"]
