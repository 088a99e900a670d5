"""The contract of every channel: who is heard where, which conversation goes on, and what is ignored."""

from tests.contract.contract_stage import ContractStage
from tests.contract.networks import BOB, GATE, NIGHT, ROBOT, Network


async def test_a_direct_message_is_answered_once(stage: ContractStage, network: Network) -> None:
    await stage.go()
    spot = network.direct()

    said = network.say(spot, "say hello")

    await stage.answer(said, "hello")
    await stage.shows(spot, "hello")
    assert stage.questions() == ["say hello"]


async def test_a_mention_opens_a_conversation_and_a_reply_goes_on_in_it(
    stage: ContractStage, network: Network
) -> None:
    await stage.go()
    lobby = network.room()

    asked = network.mention(lobby, "say one")
    answer = await stage.answer(asked, "one")
    network.reply(asked, answer, "say two")

    await stage.answer(asked, "two")
    await stage.shows(lobby, "one", "two")
    assert len(await stage.threads()) == 1
    assert stage.questions() == ["say one", "say two"]


async def test_two_conversations_in_one_room_do_not_mix(stage: ContractStage, network: Network) -> None:
    await stage.go()
    lobby = network.room()

    first = network.mention(lobby, "say first")
    first_answer = await stage.answer(first, "first")
    second = network.mention(lobby, "say second", BOB)
    second_answer = await stage.answer(second, "second")
    network.reply(first, first_answer, "say first again")
    network.reply(second, second_answer, "say second again", BOB)
    await stage.answer(first, "first again")
    await stage.answer(second, "second again")

    await stage.settled()
    logs = [await stage.log(thread_id) for thread_id in await stage.threads()]
    texts = [
        [
            event["data"]["message"]["content"][0]["text"]
            for event in log
            if event["kind"] == "message.created"
        ]
        for log in logs
    ]
    assert sorted(texts) == [
        ["say first", "first", "say first again", "first again"],
        ["say second", "second", "say second again", "second again"],
    ]


async def test_what_is_not_for_the_bot_is_not_answered(stage: ContractStage, network: Network) -> None:
    await stage.go()
    lobby = network.room()

    network.say(lobby, "say nothing of this")
    network.mention(lobby, "say something")

    await stage.shows(lobby, "something")
    assert stage.questions() == ["say something"]


async def test_other_bots_are_not_answered(stage: ContractStage, network: Network) -> None:
    await stage.go()
    lobby = network.room()

    network.say(lobby, "say loop", ROBOT)
    network.mention(lobby, "say person")

    await stage.shows(lobby, "person")
    assert stage.questions() == ["say person"]


async def test_what_two_people_say_in_two_rooms_is_answered_there(
    stage: ContractStage, network: Network
) -> None:
    await stage.go()
    here, there = network.room("here"), network.room("there")

    network.mention(here, "say to Ada")
    network.mention(there, "say to Bob", BOB)

    await stage.shows(here, "to Ada")
    await stage.shows(there, "to Bob")


async def test_two_accounts_of_one_network_answer_for_themselves(
    stage: ContractStage, network: Network
) -> None:
    await stage.go(GATE, NIGHT)
    day, night = network.direct(account=GATE), network.direct(account=NIGHT)

    network.say(day, "say by day")
    network.say(night, "say by night")

    await stage.shows(day, "by day")
    await stage.shows(night, "by night")


async def test_the_bots_command_is_a_question(stage: ContractStage, network: Network) -> None:
    await stage.go()
    lobby = network.room()

    said = network.command(lobby, "say commanded")

    await stage.answer(said, "commanded")
    await stage.shows(lobby, "commanded")


async def test_rooms_that_are_not_listed_are_not_served(stage: ContractStage, network: Network) -> None:
    office, street = network.room("office"), network.room("street")
    await stage.go(rooms=[network.room_id(office)])

    network.mention(street, "say outside")
    network.mention(office, "say inside")

    await stage.shows(office, "inside")
    assert stage.questions() == ["say inside"]


async def test_without_required_mentions_everything_in_a_room_is_a_question(
    stage: ContractStage, network: Network
) -> None:
    await stage.go(mention_required=False)
    lobby = network.room()

    said = network.say(lobby, "say unasked")

    await stage.answer(said, "unasked")
