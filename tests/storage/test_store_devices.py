"""Devices and what they were told to do, in the store: who is known, one pairing each, one outcome each."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_stage import CODE_MS, OTHER_ORG, Scene, open_scene, read, refused

from protocol.devices import DeviceCommand
from protocol.errors import ErrorKind
from protocol.scopes import Scope
from storage.channel_values import PairingKey
from storage.device_values import DeviceChanged, DeviceGrant, InvocationOutcome
from storage.values import DEFAULT_ORG


async def standing(scene: Scene, device_id: str) -> str:
    return (await scene.store.devices.standing(device_id, scene.now_ms - 1000, scene.now_ms)).state


async def approve(scene: Scene, pairing_id: str, **grant: Any) -> dict[str, Any]:
    answer = await scene.store.pairings.approve(
        scene.act(), PairingKey(pairing_id), None, DeviceGrant(**grant)
    )
    found: dict[str, Any] = read(answer)["pairing"]
    return found


async def test_the_life_of_a_device(scene: Scene) -> None:
    offer = scene.device_offer()
    assert await standing(scene, offer.device_id) == "unknown"
    asked = await scene.store.devices.ask(scene.act(), offer)
    known = await scene.store.devices.standing(offer.device_id, 0, scene.now_ms)
    assert (known.state, known.pending_id) == ("unknown", asked.id)
    await approve(scene, asked.id, scopes=(Scope.THREAD_READ,), name="hall")
    device = await scene.store.devices.known(DEFAULT_ORG, offer.device_id)
    assert (device.name, device.scopes) == ("hall", {Scope.THREAD_READ})
    await scene.store.devices.declare(scene.act(), device.id, [DeviceCommand(name="echo")], "Thing", "new")
    assert (await scene.store.devices.known(DEFAULT_ORG, device.id)).command("echo") is not None
    await scene.store.devices.revoke(scene.act(), device.id)
    assert await standing(scene, device.id) == "revoked"
    assert DeviceChanged(device.id, "revoked") in scene.signals
    await refused(scene.store.devices.known(DEFAULT_ORG, device.id), ErrorKind.INVALID_STATE)


async def test_a_pairing_is_kept_while_it_is_valid_and_made_anew_after(scene: Scene) -> None:
    first = scene.device_offer()
    asked = await scene.store.devices.ask(scene.act(), first)
    again = scene.device_offer(device_id=first.device_id, code="CCCC-DDDD")
    assert (await scene.store.devices.ask(scene.act(), again)).id == asked.id
    await refused(
        scene.store.pairings.approve(scene.act(), PairingKey(code="AAAA-BBBB"), None), ErrorKind.NOT_FOUND
    )
    scene.now_ms += CODE_MS
    later = scene.device_offer(device_id=first.device_id)
    assert (await scene.store.devices.ask(scene.act(), later)).id == later.id
    assert len(await scene.rows("SELECT id FROM pairings")) == 1, "one row for each that asks"


async def test_who_asks_for_something_else_has_another_pairing(scene: Scene) -> None:
    first = scene.device_offer()
    asked = await scene.store.devices.ask(scene.act(), first)
    other = scene.device_offer(device_id=first.device_id, scopes=("thread.read",))
    assert (await scene.store.devices.ask(scene.act(), other)).id == other.id
    await refused(scene.store.pairings.approve(scene.act(), PairingKey(asked.id), None), ErrorKind.NOT_FOUND)


async def test_few_wait_and_fewer_of_one_address(scene: Scene) -> None:
    for _ in range(2):
        await scene.store.devices.ask(scene.act(), scene.device_offer(address="10.1.1.1"))
    many = scene.device_offer(address="10.1.1.1", address_max=2)
    await refused(scene.store.devices.ask(scene.act(), many), ErrorKind.RATE_LIMITED)
    await refused(
        scene.store.devices.ask(scene.act(), scene.device_offer(pending_max=2)), ErrorKind.RATE_LIMITED
    )
    await scene.store.devices.ask(scene.act(), scene.device_offer(pending_max=3))


async def test_names_are_made_when_none_is_given_and_never_twice(scene: Scene) -> None:
    names = []
    for words in ("Kitchen  Lamp!", "Kitchen Lamp", "日本", "x" * 100):
        device_id = await scene.device(name=words)
        names.append((await scene.store.devices.known(DEFAULT_ORG, device_id)).name)
    assert names == ["kitchen-lamp", "kitchen-lamp-2", "device", "x" * 28]


async def test_widening_adds_to_what_it_has_and_ends_its_connections(scene: Scene) -> None:
    device_id = await scene.device()
    asked = await scene.store.devices.ask(
        scene.act(), scene.device_offer(device_id=device_id, scopes=("thread.read",))
    )
    shown = await approve(scene, asked.id, scopes=(Scope.THREAD_READ,))
    assert shown["device"]["is_widening"]
    assert (await scene.store.devices.known(DEFAULT_ORG, device_id)).scopes == {Scope.THREAD_READ}
    assert DeviceChanged(device_id, "access") in scene.signals


async def test_another_key_has_everything_of_the_first(scene: Scene) -> None:
    device_id = await scene.device()
    other = await scene.device()
    await refused(scene.store.devices.rotate(scene.act(), device_id, other, "key"), ErrorKind.CONFLICT)
    before = await scene.store.devices.known(DEFAULT_ORG, device_id)
    after = await scene.store.devices.rotate(scene.act(), device_id, "next", "key")
    assert (after.id, after.name, after.scopes) == ("next", before.name, before.scopes)
    assert await standing(scene, device_id) == "replaced"
    fault = await refused(scene.store.devices.known(DEFAULT_ORG, device_id), ErrorKind.INVALID_STATE)
    assert fault.data["replaced_by"] == "next"


async def test_another_organization_sees_and_does_nothing(scene: Scene) -> None:
    device_id = await scene.device()
    devices, act = scene.store.devices, scene.act(org_id=OTHER_ORG)
    assert await devices.page(OTHER_ORG, None, 10, None) == ([], None)
    assert await devices.active(OTHER_ORG) == []
    for attempt in (
        devices.get(OTHER_ORG, device_id),
        devices.known(OTHER_ORG, device_id),
        devices.revoke(act, device_id),
        devices.rename(act, device_id, "theirs"),
        devices.rotate(act, device_id, "next", "key"),
    ):
        await refused(attempt, ErrorKind.NOT_FOUND)
    assert await standing(scene, device_id) == "active"


# --- invocations ---------------------------------------------------------------------------------------


async def test_a_claim_has_one_invocation(scene: Scene) -> None:
    device_id, store = await scene.device(), scene.store.invocations
    first = await store.request(scene.act(), scene.new_invocation(device_id, "k"))
    again = await store.request(scene.act(), scene.new_invocation(device_id, "k"))
    assert again == first
    assert await store.claimed("k") == first
    other = scene.new_invocation(device_id, "k", request_hash="other")
    await refused(store.request(scene.act(), other), ErrorKind.IDEMPOTENCY_CONFLICT)


async def test_what_is_overdue_is_found_and_what_is_old_forgotten(scene: Scene) -> None:
    device_id, store = await scene.device(), scene.store.invocations
    await scene.invocation(device_id, "a")
    sent = await scene.invocation(device_id, "b")
    assert await store.send(sent, scene.now_ms + 5000)
    assert await store.overdue(scene.now_ms, 10) == []
    assert [row.state for row in await store.overdue(scene.now_ms + 2000, 10)] == ["requested"]
    assert [row.state for row in await store.overdue(scene.now_ms + 6000, 10)] == ["requested", "sent"]
    assert [row.id for row in await store.of_device(device_id, 0, 10)] == [sent]
    await store.settle(scene.act(), sent, InvocationOutcome("done", 1))
    assert await store.of_device(device_id, 0, 10) == []
    assert not await store.send(sent, scene.now_ms)
    assert await store.forget(scene.now_ms, 10) == 0
    assert await store.forget(scene.now_ms + 1000, 10) == 1


OUTCOMES = st.sampled_from(["done", "failed", "unknown"])


@settings(max_examples=30, deadline=None)
@given(told=st.lists(OUTCOMES, min_size=1, max_size=6))
async def test_the_first_known_outcome_stands_whoever_tells_another(
    tmp_path_factory: pytest.TempPathFactory, told: list[Any]
) -> None:
    async with open_scene(tmp_path_factory.mktemp("store")) as scene:
        device_id, store = await scene.device(), scene.store.invocations
        invocation_id = await scene.invocation(device_id)
        await store.send(invocation_id, scene.now_ms + 1000)
        expected = "sent"
        for state in told:
            if expected in ("sent", "unknown"):
                expected = state
            row = await store.settle(scene.act(), invocation_id, InvocationOutcome(state, state))
            assert row.state == expected
        assert len([action for action in await scene.audited() if action == "device.result"]) <= 2
