"""The contract of every channel: what people said is stored once, whatever the network does on the way."""

import pytest

from storage.channel_values import Delivered
from storage.errors import StoreUnavailable
from tests.contract.contract_stage import ContractStage
from tests.contract.networks import BOB, Network


def inbox_rows(stage: ContractStage) -> int:
    """How many deliveries are accounted for."""
    ((count,),) = stage.rows("SELECT count(*) FROM inbox")
    return int(count)


async def test_what_is_delivered_again_is_answered_once(stage: ContractStage, network: Network) -> None:
    await stage.go()
    spot = network.direct()
    said = network.say(spot, "say once")
    await stage.shows(spot, "once")
    await stage.eventually(lambda: not network.undelivered())

    network.redeliver(said)
    network.say(spot, "say more")

    await stage.shows(spot, "once", "more")
    await stage.eventually(lambda: not network.undelivered())
    assert stage.questions() == ["say once", "say more"]


async def test_what_was_delivered_before_a_restart_is_answered_once(
    stage: ContractStage, network: Network
) -> None:
    await stage.go()
    spot = network.direct()
    said = network.say(spot, "say once")
    await stage.shows(spot, "once")
    await stage.eventually(lambda: not network.undelivered())

    await stage.again()
    await stage.flows()
    network.redeliver(said)
    network.say(spot, "say more")

    await stage.shows(spot, "once", "more")
    assert stage.questions() == ["say once", "say more"]


async def test_what_comes_out_of_order_is_all_taken(stage: ContractStage, network: Network) -> None:
    await stage.go()
    spot = network.direct()

    network.hold()
    network.say(spot, "say first")
    network.say(spot, "say second")
    network.say(spot, "say third")
    network.release(backwards=True)

    await stage.eventually(lambda: len(stage.texts(spot)) == 3, lambda: stage.texts(spot))
    await stage.settled()
    assert sorted(stage.texts(spot)) == ["first", "second", "third"]
    assert sorted(stage.questions()) == ["say first", "say second", "say third"]


async def test_what_comes_in_order_is_answered_in_order(stage: ContractStage, network: Network) -> None:
    await stage.go()
    lobby = network.room()
    asked = network.mention(lobby, "say 0")
    answer = await stage.answer(asked, "0")

    for number in range(1, 6):
        network.reply(asked, answer, f"say {number}")

    await stage.shows(lobby, *(str(number) for number in range(6)))
    assert stage.questions() == [f"say {number}" for number in range(6)]


async def test_what_the_store_does_not_take_is_not_acknowledged_and_comes_again(
    stage: ContractStage, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.go()
    spot = network.direct()
    commit, refusals = stage.store.inbox.commit, 2

    async def refusing(org: str, channel: str, account: str, batch: list[Delivered], *rest: object) -> object:
        nonlocal refusals
        if refusals and any(one.outcome == "accepted" for one in batch):
            refusals -= 1
            assert network.undelivered() or not network.facts.acknowledges
            raise StoreUnavailable("the disk is full")
        return await commit(org, channel, account, batch, *rest)

    monkeypatch.setattr(stage.store.inbox, "commit", refusing)
    network.say(spot, "say stored")

    await stage.shows(spot, "stored")
    assert refusals == 0
    assert stage.questions() == ["say stored"]
    await stage.eventually(lambda: not network.undelivered())
    assert inbox_rows(stage)


async def test_what_was_said_while_the_gateway_was_away_is_answered(
    stage: ContractStage, network: Network
) -> None:
    await stage.go()
    spot, lobby = network.direct(), network.room()
    asked = network.mention(lobby, "say before")
    answer = await stage.answer(asked, "before")
    network.say(spot, "say hello")
    await stage.shows(spot, "hello")

    await stage.stop()
    network.say(spot, "say missed")
    network.reply(asked, answer, "say missed too")
    await stage.start()

    await stage.shows(spot, "hello", "missed")
    await stage.shows(lobby, "before", "missed too")
    await stage.eventually(lambda: not network.undelivered())
    assert sorted(stage.questions()) == ["say before", "say hello", "say missed", "say missed too"]


async def test_what_was_said_while_the_network_was_away_is_answered(
    stage: ContractStage, network: Network
) -> None:
    await stage.go()
    spot = network.direct()
    network.say(spot, "say hello")
    await stage.shows(spot, "hello")

    await network.unplug()
    network.say(spot, "say during")
    await network.plug()

    await stage.shows(spot, "hello", "during")
    assert stage.questions() == ["say hello", "say during"]


async def test_a_gateway_that_starts_before_its_network_connects_later(
    stage: ContractStage, network: Network
) -> None:
    await network.unplug()
    await stage.start(channels=stage.tables())
    await network.plug()
    await stage.flows()
    spot = network.direct()

    network.say(spot, "say at last")

    await stage.shows(spot, "at last")


async def test_an_edit_is_an_event_of_its_conversation(stage: ContractStage, network: Network) -> None:
    await stage.go()
    spot = network.direct()
    said = network.say(spot, "say before")
    await stage.shows(spot, "before")

    network.edit(said, "say after")

    updated = await stage.has_event("message.updated")
    assert "say after" in str(updated["data"])
    assert await stage.kinds(await stage.only_thread())
    await stage.shows(spot, "before")


async def test_a_deletion_is_an_event_where_the_network_tells_it(
    stage: ContractStage, network: Network
) -> None:
    await stage.go()
    spot = network.direct()
    said = network.say(spot, "say kept")
    await stage.shows(spot, "kept")

    network.delete(said)
    network.say(spot, "say later")
    await stage.shows(spot, "kept", "later")

    if network.facts.tells_deletions:
        await stage.has_event("message.deleted")
    assert len(await stage.events("message.deleted")) == int(network.facts.tells_deletions)


async def test_an_edit_that_is_delivered_twice_is_one_event(stage: ContractStage, network: Network) -> None:
    await stage.go()
    lobby = network.room()
    said = network.mention(lobby, "say before")
    await stage.answer(said, "before")

    network.edit(said, "say edited once")
    await stage.has_event("message.updated")
    await stage.again()
    await stage.flows()
    network.edit(said, "say edited twice")

    await stage.eventually(lambda: "say edited twice" in str(stage.rows("SELECT data FROM events")))
    assert len(await stage.events("message.updated")) == 2


async def test_somebody_elses_edit_changes_nothing_of_ours(stage: ContractStage, network: Network) -> None:
    await stage.go()
    lobby = network.room()
    aside = network.say(lobby, "just between us", BOB)
    said = network.mention(lobby, "say ours")
    await stage.answer(said, "ours")

    network.edit(aside, "still between us")
    network.mention(lobby, "say later")

    await stage.shows(lobby, "ours", "later")
    assert await stage.events("message.updated") == []
