"""The contract of every channel: an answer arrives once and in order, whatever goes wrong on its way.

Where a network can neither recognise a repeated send nor read back what was sent (`Idempotency.NONE`), a
placeholder may stand twice, and each such doubt is counted; the answer itself still stands once.
"""

import pytest

from channels.capabilities import Idempotency
from channels.emulators.faults import FaultKind
from channels.messages import HealthState, RoomRef
from tests.contract.contract_stage import ContractStage
from tests.contract.networks import Act, Network, Spot
from tests.gateway.gateway_stage import eventually

RETRY_AFTER_S = 1
SLOW_S = 0.6


def idempotency(stage: ContractStage, spot: Spot) -> Idempotency:
    """What the room offers against saying something twice."""
    return stage.adapter.capabilities(RoomRef(stage.network.room_id(spot))).idempotency


async def check_that_nothing_stands_twice(stage: ContractStage, spot: Spot, *texts: str) -> None:
    """The answers are there once and in order; what may stand beside them is a counted placeholder."""
    await stage.shows(spot, *texts)
    orphans = [one for one in stage.network.from_bot(spot) if one.text == stage.placeholder]
    uncertain = len(await stage.events("delivery.uncertain"))
    if idempotency(stage, spot) is Idempotency.NONE:
        assert len(orphans) <= uncertain
    else:
        assert not orphans
        assert not uncertain
        assert stage.network.posts(spot) == len(texts)


async def test_a_send_whose_answer_is_lost_shows_once(stage: ContractStage, network: Network) -> None:
    await stage.go()
    spot = network.direct()
    network.disturb(Act.SEND, FaultKind.COMMIT_THEN_DROP)

    network.say(spot, "say once")
    await stage.shows(spot, "once")
    network.say(spot, "say twice")

    await check_that_nothing_stands_twice(stage, spot, "once", "twice")
    if idempotency(stage, spot) is Idempotency.NONE:
        assert len(await stage.events("delivery.uncertain")) == 1


async def test_a_send_that_never_arrived_is_sent_again(stage: ContractStage, network: Network) -> None:
    await stage.go()
    spot = network.direct()
    network.disturb(Act.SEND, FaultKind.DROP)

    network.say(spot, "say after all")

    await check_that_nothing_stands_twice(stage, spot, "after all")


async def test_an_edit_whose_answer_is_lost_changes_nothing(stage: ContractStage, network: Network) -> None:
    await stage.go()
    spot = network.direct()
    network.disturb(Act.EDIT, FaultKind.COMMIT_THEN_DROP)

    said = network.say(spot, "stream 40 40")

    await stage.answer(said, " ".join(f"word-{number}" for number in range(1, 41)))
    await stage.settled()
    assert network.posts(spot) == 1
    assert await stage.events("delivery.uncertain") == []


async def test_an_answer_whose_first_message_was_lost_is_shown_completely(
    stage: ContractStage, network: Network
) -> None:
    await stage.go()
    lobby = network.room()
    network.disturb(Act.SEND, FaultKind.COMMIT_THEN_DROP, count=2)

    said = network.mention(lobby, "stream 24 40")

    await stage.answer(said, " ".join(f"word-{number}" for number in range(1, 25)))
    await stage.settled()
    answers = [one for one in network.answers(said) if one.text != stage.placeholder]
    assert len(answers) == 1
    if idempotency(stage, lobby) is not Idempotency.NONE:
        assert network.posts(lobby) == 1


async def test_a_slow_send_is_waited_for(stage: ContractStage, network: Network) -> None:
    await stage.go()
    spot = network.direct()
    network.disturb(Act.SEND, FaultKind.SLOW, delay_s=SLOW_S)

    network.say(spot, "say slowly")
    network.say(spot, "say next")

    await check_that_nothing_stands_twice(stage, spot, "slowly", "next")
    assert await stage.events("delivery.uncertain") == []


async def test_a_refused_connection_is_tried_again(stage: ContractStage, network: Network) -> None:
    await stage.go()
    spot = network.direct()
    network.disturb(Act.SEND, FaultKind.REFUSE)

    network.say(spot, "say through")

    await check_that_nothing_stands_twice(stage, spot, "through")


async def test_a_network_in_trouble_is_tried_again(stage: ContractStage, network: Network) -> None:
    await stage.go()
    spot = network.direct()
    network.disturb(Act.SEND, FaultKind.ERROR, code=500, description="Internal Server Error")

    network.say(spot, "say later")

    await check_that_nothing_stands_twice(stage, spot, "later")


async def test_a_rate_limit_is_waited_for_and_order_is_kept(stage: ContractStage, network: Network) -> None:
    await stage.go()
    lobby = network.room()
    asked = network.mention(lobby, "say 0")
    answer = await stage.answer(asked, "0")
    await stage.settled()
    network.disturb(Act.SEND, FaultKind.RATE_LIMIT, retry_after_s=RETRY_AFTER_S)

    network.reply(asked, answer, "say 1")
    network.reply(asked, answer, "say 2")

    await check_that_nothing_stands_twice(stage, lobby, "0", "1", "2")
    refused = next(call for call in network.calls(Act.SEND) if call.fault is not None)
    following = [call.at for call in network.calls(Act.SEND) if call.seq > refused.seq]
    assert min(following) - refused.at >= RETRY_AFTER_S
    assert (await stage.status())["state"] == HealthState.CONNECTED


async def test_one_rooms_limit_does_not_hold_up_another(stage: ContractStage, network: Network) -> None:
    await stage.go()
    slow, quick = network.room("slow"), network.room("quick")
    network.disturb(Act.SEND, FaultKind.SLOW, delay_s=SLOW_S)

    network.mention(slow, "say slowly")
    await stage.eventually(lambda: network.calls(Act.SEND))
    network.mention(quick, "say quickly")

    await stage.shows(quick, "quickly")
    assert len(network.calls(Act.SEND)) == 2
    await stage.shows(slow, "slowly")


async def test_a_lost_credential_is_told_and_what_is_owed_waits_for_a_new_one(
    stage: ContractStage, network: Network, hurried: None
) -> None:
    await stage.go()
    spot = network.direct()
    network.say(spot, "say before")
    await stage.shows(spot, "before")
    network.say(spot, "sleep 0.2")
    await stage.eventually(lambda: len(stage.questions()) == 2)

    network.revoke()

    async def is_told() -> bool:
        status = await stage.status()
        return status["state"] != HealthState.CONNECTED and bool(status["detail"])

    await eventually(is_told)
    assert stage.texts(spot) == ["before"]
    network.restore()
    await stage.again()

    await stage.shows(spot, "before", "Slept 0.2 s.")
    await stage.flows()
    assert await stage.events("delivery.failed") == []


async def test_what_cannot_arrive_any_more_is_a_dead_letter(stage: ContractStage, network: Network) -> None:
    await stage.go()
    lobby = network.room()
    asked = network.mention(lobby, "say before")
    await stage.answer(asked, "before")
    await stage.settled()

    network.mention(lobby, "sleep 0.3")
    await stage.eventually(lambda: len(stage.questions()) == 2)
    network.expel(lobby)

    failed = await stage.has_event("delivery.failed")
    assert failed["data"]["room"] == network.room_id(lobby)
    await stage.settled()
    elsewhere = network.direct()
    network.say(elsewhere, "say still here")
    await stage.shows(elsewhere, "still here")


async def test_dead_letters_are_listed_and_can_be_sent_after_all(
    stage: ContractStage, network: Network
) -> None:
    await stage.go()
    spot = network.direct()
    network.disturb(Act.SEND, FaultKind.ERROR, code=400, description="Bad Request: not acceptable")

    network.say(spot, "say dead")
    failed = await stage.has_event("delivery.failed")
    operator = await stage.operator()
    listed = (await operator.call("delivery.list"))["deliveries"]
    assert [one["id"] for one in listed] == [failed["data"]["delivery_id"]]
    await operator.call("delivery.retry", delivery_id=listed[0]["id"])

    await check_that_nothing_stands_twice(stage, spot, "dead")


async def test_an_unknown_outcome_waits_for_an_operator_if_told(
    stage: ContractStage, network: Network
) -> None:
    await stage.go(on_unknown="ask")
    spot = network.direct()
    network.disturb(Act.SEND, FaultKind.COMMIT_THEN_DROP)

    network.say(spot, "say once")

    if idempotency(stage, spot) is Idempotency.NONE:
        await stage.has_event("delivery.uncertain")
        operator = await stage.operator()
        (held,) = (await operator.call("delivery.list"))["deliveries"]
        assert network.posts(spot) == 1
        await operator.call("delivery.retry", delivery_id=held["id"])
    await stage.shows(spot, "once")
    assert network.posts(spot) == 1 + (idempotency(stage, spot) is Idempotency.NONE)


@pytest.mark.limited
async def test_the_networks_own_limits_are_kept(stage: ContractStage, network: Network) -> None:
    await stage.go()
    spot = network.direct()

    for number in range(4):
        network.say(spot, f"say {number}")

    await stage.shows(spot, *map(str, range(4)))
    refused = [call for call in network.calls(Act.SEND) if call.status == 429]
    # How much a network tolerates at once is not published: finding out may cost one refusal.
    assert len(refused) <= 1, "the gateway paces itself before it is told to"


async def test_what_is_said_of_a_network_here_agrees_with_its_capabilities(
    stage: ContractStage, network: Network
) -> None:
    await stage.go()

    for spot in (network.direct(), network.room()):
        recognises = idempotency(stage, spot) is not Idempotency.NONE
        assert network.facts.recognises_repeats == recognises
