"""The contract of every channel: whoever may talk can stop the agent from the room."""

from collections.abc import Callable

import pytest

from tests.contract.contract_stage import ContractStage
from tests.contract.networks import ADA, BOB, Network, Said, Spot

STREAM = "stream 4000 20"
NOTHING = "Nothing is running here."


async def speaker(stage: ContractStage, network: Network, spot: Spot) -> Callable[[str], Said]:
    """Somebody in a conversation that has begun. On Slack every message at the top of a chat begins another."""
    asked = network.say(spot, "say hello")
    answer = await stage.answer(asked, "hello")
    return lambda text: network.reply(asked, answer, text)


@pytest.mark.parametrize("word", ["stop", "!STOP", " /Stop "])
async def test_the_word_alone_stops_the_answer(stage: ContractStage, network: Network, word: str) -> None:
    await stage.go()
    spot = network.direct()
    say = await speaker(stage, network, spot)
    say(STREAM)
    await stage.eventually(lambda: len(stage.rows("SELECT 1 FROM runs WHERE started_at IS NOT NULL")) == 2)

    say(word)

    cancelled = await stage.has_event("run.cancelled")
    assert cancelled["actor"]["kind"] == "person"
    await stage.settled()
    assert stage.questions() == ["say hello", STREAM], "it is no message"
    assert any("Stopped." in text for text in stage.texts(spot))


async def test_what_waits_behind_it_ends_too(stage: ContractStage, network: Network) -> None:
    await stage.go()
    spot = network.direct()
    say = await speaker(stage, network, spot)
    say(STREAM)
    say("say never")
    await stage.eventually(lambda: len(stage.questions()) == 3)

    say("stop")

    await stage.settled()
    assert len(await stage.events("run.cancelled")) == 2
    assert not [text for text in stage.texts(spot) if "never" in text]


async def test_where_nothing_runs_it_says_so(stage: ContractStage, network: Network) -> None:
    await stage.go()
    spot = network.direct()

    network.say(spot, "stop")
    await stage.shows(spot, NOTHING)
    network.say(spot, "say stop it")

    await stage.shows(spot, NOTHING, "stop it")
    assert stage.questions() == ["say stop it"]


async def test_in_a_room_it_stops_the_conversation_it_is_said_in_and_no_other(
    stage: ContractStage, network: Network
) -> None:
    await stage.go()
    lobby = network.room()
    asked = network.mention(lobby, "say hello")
    answer = await stage.answer(asked, "hello")
    network.reply(asked, answer, STREAM)
    await stage.eventually(lambda: STREAM in stage.questions())
    other = network.mention(lobby, "stream 30 20", BOB)

    network.reply(asked, answer, "stop")

    cancelled = await stage.has_event("run.cancelled")
    await stage.settled()
    assert len(await stage.events("run.cancelled", cancelled["thread_id"])) == 1
    await stage.answer(other, " ".join(f"word-{number}" for number in range(1, 31)))


async def test_who_may_not_talk_stops_nothing(stage: ContractStage, network: Network) -> None:
    await stage.go(dm_policy="allowlist", allow=[network.id_of(BOB)])
    lobby = network.room()
    asked = network.mention(lobby, "say one", BOB)
    answer = await stage.answer(asked, "one")
    network.reply(asked, answer, "stream 30 20", BOB)
    await stage.eventually(lambda: len(stage.questions()) == 2)

    network.reply(asked, answer, "stop")

    await stage.settled()
    assert not await stage.events("run.cancelled")


async def test_the_command_is_answered_to_who_gave_it(stage: ContractStage, network: Network) -> None:
    await stage.go()
    lobby = network.room()

    network.command(lobby, "stop")

    await stage.eventually(
        lambda: any(NOTHING in text for text in [*stage.texts(lobby), *network.whispers(lobby, ADA)])
    )
    assert stage.questions() == []
