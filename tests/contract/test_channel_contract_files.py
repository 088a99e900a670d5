"""The contract of every channel: files come in and go out as the bytes they are."""

import hashlib

from channels.messages import RoomRef
from tests.contract.contract_stage import ContractStage
from tests.contract.networks import Act, File, Network

NOTES = File("notes.txt", b"Some notes,\nin two lines.\n" * 40)


def digest(file: File) -> str:
    """How the demo agent names what it was given."""
    return hashlib.sha256(file.data).hexdigest()[:12]


async def test_a_file_somebody_sends_reaches_the_agent(stage: ContractStage, network: Network) -> None:
    await stage.go()
    spot = network.direct()

    said = network.upload(spot, NOTES)

    await stage.eventually(
        lambda: any(digest(NOTES) in one.text for one in network.answers(said)),
        lambda: [one.text for one in network.answers(said)],
    )
    await stage.settled()
    assert len(network.answers(said)) == 1
    assert f"{len(NOTES.data)} bytes" in network.answers(said)[0].text


async def test_a_file_in_a_room_reaches_the_agent(stage: ContractStage, network: Network) -> None:
    await stage.go()
    lobby = network.room()

    said = network.upload(lobby, NOTES, "look at this")

    await stage.eventually(lambda: any(digest(NOTES) in one.text for one in network.answers(said)))


async def test_a_file_of_an_answer_is_posted_once(stage: ContractStage, network: Network) -> None:
    await stage.go()
    spot = network.direct()
    assert stage.adapter.capabilities(RoomRef(network.room_id(spot))).file_max_bytes > len(NOTES.data)

    said = network.say(spot, "file report.txt the numbers of today")

    await stage.eventually(lambda: any(one.files for one in network.answers(said)))
    await stage.settled()
    files = [file for one in network.answers(said) for file in one.files]
    assert files == [File("report.txt", files[0].data)]
    assert b"the numbers of today" in files[0].data
    assert any("Here is report.txt" in one.text for one in network.answers(said))


async def test_a_file_of_an_answer_stands_in_the_conversation(stage: ContractStage, network: Network) -> None:
    await stage.go()
    lobby = network.room()
    asked = network.mention(lobby, "say before")
    answer = await stage.answer(asked, "before")

    network.reply(asked, answer, "file inside.txt words")

    await stage.eventually(lambda: any(one.files for one in network.answers(asked)))
    await stage.settled()
    assert len(network.calls(Act.UPLOAD)) >= 1


async def test_a_file_that_comes_while_the_gateway_is_away_is_fetched_later(
    stage: ContractStage, network: Network
) -> None:
    await stage.go()
    spot = network.direct()
    network.say(spot, "say hello")
    await stage.shows(spot, "hello")

    await stage.stop()
    said = network.upload(spot, NOTES)
    await stage.start()

    await stage.eventually(lambda: any(digest(NOTES) in one.text for one in network.answers(said)))


async def test_the_same_file_sent_twice_is_told_twice(stage: ContractStage, network: Network) -> None:
    await stage.go()
    spot = network.direct()

    first = network.upload(spot, NOTES)
    await stage.eventually(lambda: any(digest(NOTES) in one.text for one in network.answers(first)))
    second = network.upload(spot, File("copy.txt", NOTES.data))

    await stage.eventually(lambda: any("copy.txt" in one.text for one in network.answers(second)))
    assert sum(digest(NOTES) in text for text in stage.texts(spot)) == 2
