"""The contract of every channel: who may talk, how strangers are let in, and what people see of it."""

import re

from channels.messages import Mark, RoomRef
from tests.contract.contract_stage import ContractStage
from tests.contract.networks import ADA, BOB, Network

CODE = re.compile(r"[0-9A-Z]{4}-[0-9A-Z]{4}")


async def test_a_stranger_is_let_in_with_a_code(stage: ContractStage, network: Network) -> None:
    await stage.go(dm_policy="pairing")
    spot = network.direct()
    stranger = network.say(spot, "say hello")
    await stage.eventually(lambda: any(CODE.search(text) for text in stage.texts(spot)))
    await stage.settled()
    (offer,) = stage.texts(spot)
    found = CODE.search(offer)
    assert found is not None

    operator = await stage.operator()
    await operator.call("pairing.approve", code=found[0], idempotency_key="let in")
    await stage.eventually(lambda: len(stage.texts(spot)) == 2, lambda: stage.texts(spot))
    said = network.say(spot, "say let in")

    await stage.answer(said, "let in")
    await stage.settled()
    assert stage.questions() == ["say let in"]
    assert network.answers(stranger)


async def test_a_stranger_who_is_not_let_in_is_offered_one_code(
    stage: ContractStage, network: Network
) -> None:
    await stage.go(dm_policy="pairing", allow=[network.id_of(BOB)])
    spot = network.direct()

    network.say(spot, "say hello")
    network.say(spot, "say please")
    bob = network.say(network.direct(BOB), "say hello Bob", BOB)
    await stage.answer(bob, "hello Bob")

    await stage.settled()
    codes = {found for text in stage.texts(spot) for found in CODE.findall(text)}
    assert len(codes) == 1
    assert stage.questions() == ["say hello Bob"]


async def test_an_allowlist_answers_others_with_silence(stage: ContractStage, network: Network) -> None:
    await stage.go(dm_policy="allowlist", allow=[network.id_of(BOB)])
    lobby, ada, bob = network.room(), network.direct(ADA), network.direct(BOB)

    network.say(ada, "say to Ada")
    network.mention(lobby, "say to Ada")
    said = network.say(bob, "say to Bob", BOB)
    await stage.answer(said, "to Bob")
    network.mention(lobby, "say in the room", BOB)

    await stage.shows(lobby, "in the room")
    assert stage.texts(ada) == []
    assert stage.questions() == ["say to Bob", "say in the room"]


async def test_strangers_in_rooms_get_silence(stage: ContractStage, network: Network) -> None:
    await stage.go(dm_policy="pairing", allow=[network.id_of(BOB)])
    lobby = network.room()

    network.mention(lobby, "say to Ada")
    network.mention(lobby, "say to Bob", BOB)

    await stage.shows(lobby, "to Bob")
    assert stage.questions() == ["say to Bob"]


async def test_what_was_seen_and_answered_is_marked(stage: ContractStage, network: Network) -> None:
    await stage.go()
    spot = network.direct()

    said = network.say(spot, "sleep 2")

    assert stage.adapter.capabilities(RoomRef(network.room_id(spot))).reactions
    await stage.eventually(lambda: network.marks(said) == {Mark.SEEN})
    await stage.answer(said, "Slept 2 s.")
    await stage.eventually(lambda: network.marks(said) == {Mark.DONE})


async def test_what_failed_is_marked(stage: ContractStage, network: Network) -> None:
    await stage.go()
    lobby = network.room()

    said = network.mention(lobby, "fail")

    await stage.eventually(lambda: network.marks(said) == {Mark.FAILED}, lambda: network.marks(said))


async def test_without_receipts_nothing_is_marked(stage: ContractStage, network: Network) -> None:
    await stage.go(receipts=False)
    lobby = network.room()

    said = network.mention(lobby, "say unmarked")
    await stage.answer(said, "unmarked")

    await stage.settled()
    assert network.marks(said) == set()


async def test_the_health_light_says_whether_messages_flow(stage: ContractStage, network: Network) -> None:
    await stage.go()
    spot = network.direct()
    network.say(spot, "say hello")
    await stage.shows(spot, "hello")

    before = await stage.status()
    await network.unplug()

    await stage.eventually(lambda: stage.adapter.health().state != "connected")
    during = await stage.status()
    await network.plug()
    await stage.flows()
    assert before["state"] == "connected"
    assert before["last_event_at"]
    assert during["state"] != "connected"
    assert during["detail"]
    assert (await stage.status())["state"] == "connected"
