"""The contract of every channel: a gateway that ends in the middle of anything goes on where it was.

Here a gateway ends in order but without patience: turns are parked, calls in flight are cut off. What a killed one
leaves is `tests/chaos`.
"""

import pytest

from channels.capabilities import Idempotency
from channels.emulators.faults import FaultKind
from channels.messages import RoomRef
from gateway.settings import RunSettings
from tests.contract.contract_stage import ContractStage
from tests.contract.networks import Act, Network, Spot

# A call that is cut off while its library connects leaves a socket to the end of the process (uvloop, anyio).
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed resource <TCPTransport:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

WORDS = " ".join(f"word-{number}" for number in range(1, 61))
SLOW_ASK = "stream 60 60"
LONG_AWAY_S = 3.0
"""Longer than the gateway that makes a call lives."""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls in flight are cut off when the gateway ends, as a kill would."""
    monkeypatch.setattr("gateway.composition.rooms.DELIVERY_STOP_S", 0.0)


def has_no_idempotency(stage: ContractStage, spot: Spot) -> bool:
    """Whether the network can neither recognise a repeated send nor read it back."""
    room = RoomRef(stage.network.room_id(spot))
    return stage.adapter.capabilities(room).idempotency is Idempotency.NONE


async def check_posts(stage: ContractStage, spot: Spot, answers: int) -> None:
    """As many messages as answers; on networks without idempotency besides them counted placeholders only."""
    uncertain = len(await stage.events("delivery.uncertain"))
    if has_no_idempotency(stage, spot):
        assert answers <= stage.network.posts(spot) <= answers + uncertain
    else:
        assert uncertain == 0
        assert stage.network.posts(spot) == answers


async def test_a_queued_question_is_answered_by_the_next_gateway(
    stage: ContractStage, network: Network
) -> None:
    await stage.go()
    stage._given["runs"] = RunSettings(shutdown_s=0.0)
    lobby = network.room()
    asked = network.mention(lobby, "say 0")
    answer = await stage.answer(asked, "0")
    network.reply(asked, answer, "sleep 0.4")
    network.reply(asked, answer, "say queued")
    await stage.eventually(lambda: len(stage.questions()) == 3)

    await stage.again()

    await stage.shows(lobby, "0", "Slept 0.4 s.", "queued")
    await check_posts(stage, lobby, 3)


async def test_an_answer_that_was_being_written_is_completed_in_its_message(
    stage: ContractStage, network: Network, impatient: None
) -> None:
    await stage.go()
    lobby = network.room()
    asked = network.mention(lobby, SLOW_ASK)
    await stage.eventually(lambda: "word-1 " in network.growing(lobby))

    await stage.again()

    await stage.answer(asked, WORDS)
    await stage.shows(lobby, WORDS)
    assert "run.resumed" in await stage.kinds(await stage.only_thread())
    await check_posts(stage, lobby, 1)


async def test_an_answer_that_was_not_delivered_is_delivered_by_the_next_gateway(
    stage: ContractStage, network: Network, impatient: None
) -> None:
    await stage.go()
    lobby = network.room()
    network.disturb(Act.SEND, FaultKind.RATE_LIMIT, retry_after_s=1)
    asked = network.mention(lobby, "say owed")
    await stage.has_event("run.completed")
    assert not stage.texts(lobby)

    await stage.again()

    await stage.answer(asked, "owed")
    await stage.shows(lobby, "owed")
    await check_posts(stage, lobby, 1)


async def test_a_send_that_was_cut_off_after_it_arrived_is_not_repeated(
    stage: ContractStage, network: Network, impatient: None
) -> None:
    await stage.go()
    spot = network.direct()
    network.disturb(Act.SEND, FaultKind.SLOW, delay_s=LONG_AWAY_S)
    network.say(spot, "say cut")
    await stage.eventually(lambda: network.posts(spot))

    await stage.again()
    network.say(spot, "say next")

    await stage.shows(spot, "cut", "next")
    await check_posts(stage, spot, 2)


async def test_a_send_that_was_cut_off_before_it_arrived_is_repeated(
    stage: ContractStage, network: Network, impatient: None
) -> None:
    await stage.go()
    spot = network.direct()
    network.say(spot, "say before")
    await stage.shows(spot, "before")
    network.disturb(Act.SEND, FaultKind.DROP, count=2)
    network.say(spot, "say dropped")
    await stage.eventually(lambda: any(call.fault for call in network.calls(Act.SEND)))
    await stage.again()

    await stage.shows(spot, "before", "dropped")
    await check_posts(stage, spot, 2)


async def test_what_is_asked_while_an_answer_is_owed_stands_behind_it(
    stage: ContractStage, network: Network, impatient: None
) -> None:
    await stage.go()
    lobby = network.room()
    asked = network.mention(lobby, "say first")
    answer = await stage.answer(asked, "first")
    network.disturb(Act.SEND, FaultKind.RATE_LIMIT, retry_after_s=1)
    network.reply(asked, answer, "say second")
    await stage.eventually(lambda: any(call.fault for call in network.calls(Act.SEND)))

    await stage.stop()
    network.reply(asked, answer, "say third")
    await stage.start()

    await stage.shows(lobby, "first", "second", "third")


async def test_ten_restarts_under_load_lose_and_repeat_nothing(
    stage: ContractStage, network: Network, impatient: None
) -> None:
    await stage.go()
    lobby = network.room()
    asked = network.mention(lobby, "say 0")
    answer = await stage.answer(asked, "0")

    for number in range(1, 11):
        network.reply(asked, answer, f"say {number}")
        await stage.eventually(lambda count=number: len(stage.questions()) > count, patience_s=20)
        if number % 3 == 0:
            await stage.again()

    await stage.eventually(lambda: len(stage.texts(lobby)) == 11, lambda: stage.texts(lobby), patience_s=40)
    await stage.shows(lobby, *(str(number) for number in range(11)))
    assert stage.questions() == [f"say {number}" for number in range(11)]
