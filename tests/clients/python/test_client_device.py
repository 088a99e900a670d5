"""The client's `Device` against a real gateway: let in by its code, told what to do, each thing done once."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from client_device_stage import TEXT, DeviceStage, until
from threadgate_client import (
    CommandFailed,
    ConnectionClosed,
    Device,
    Forbidden,
    InvalidParams,
    KeyUnusable,
    Unauthorized,
    Unavailable,
    limits,
)
from threadgate_client.device_keys import KEY_NAME, DeviceKeys
from threadgate_client.device_results import CUT_OFF, FILE_NAME, KEPT, Done, Results


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DeviceStage]:
    monkeypatch.setattr(limits, "PAIRING_POLL_S", 0.05)
    monkeypatch.setattr(limits, "BACKOFF_FIRST_S", 0.02)
    monkeypatch.setattr(limits, "BACKOFF_LAST_S", 0.1)
    made = DeviceStage(tmp_path)
    await made.start()
    yield made
    await made.close()


# --- let in ----------------------------------------------------------------------------------------


async def test_a_new_device_shows_its_code_once_and_comes_in_when_approved(stage: DeviceStage) -> None:
    async with stage.connected() as device:
        (asked,) = stage.codes
        assert len(asked.code) == 9
        (found,) = (await stage.client.devices.list()).items
        assert (found.id, found.name, found.client, found.connected) == (
            device.device_id,
            "lamp",
            "Lamp",
            True,
        )
        assert [(one.name, one.risk, one.description) for one in found.commands] == [
            ("note", "low", "Note a text.")
        ]
    async with stage.connected():
        assert len(stage.codes) == 1, "it is known now"


async def test_its_key_is_made_once_for_its_user_alone(stage: DeviceStage) -> None:
    async with stage.connected() as device:
        path = stage.directory / KEY_NAME
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert DeviceKeys(stage.directory).present.device_id == device.device_id
    path.chmod(0o644)
    with pytest.raises(KeyUnusable, match="chmod 600"):
        await stage.device().run()
    path.write_text("nonsense")
    path.chmod(0o600)
    with pytest.raises(KeyUnusable, match="not a device's key"):
        await stage.device().run()


async def test_a_rejected_device_is_told_and_ends(stage: DeviceStage) -> None:
    async with stage.running(stage.device()) as task:
        await until(lambda: stage.codes)
        await stage.client.pairings.reject(pairing_id=stage.codes[0].pairing_id)
        with pytest.raises(Forbidden):
            await task


async def test_a_revoked_device_ends_at_once(stage: DeviceStage) -> None:
    device = stage.device()
    task = asyncio.create_task(device.run())
    await until(lambda: stage.codes)
    await stage.client.pairings.approve(code=stage.codes[0].code)
    await until(lambda: device.is_connected)
    assert device.device_id is not None
    await stage.client.devices.revoke(device.device_id)
    with pytest.raises((ConnectionClosed, Unauthorized)):
        await task
    with pytest.raises(Unauthorized):
        await stage.device().run()


async def test_more_scopes_are_asked_for_and_had_when_approved(stage: DeviceStage) -> None:
    async with stage.connected():
        pass
    device = stage.device(scopes=["thread.read"])
    async with stage.connected(device):
        await until(lambda: len(stage.codes) == 2)
        await stage.client.pairings.approve(code=stage.codes[1].code, scopes=["thread.read"])
        await until(lambda: device.is_connected)
        assert device.device_id is not None

        found = await stage.client.devices.get(device.device_id)
        assert found.scopes == ("thread.read",)


async def test_the_same_device_runs_in_one_place(stage: DeviceStage) -> None:
    first = stage.device()
    task = asyncio.create_task(first.run())
    await until(lambda: stage.codes)
    await stage.client.pairings.approve(code=stage.codes[0].code)
    await until(lambda: first.is_connected)
    async with stage.connected():
        with pytest.raises(ConnectionClosed) as caught:
            await task
        assert caught.value.code == 4006


async def test_a_device_takes_another_key_and_stays_itself(stage: DeviceStage) -> None:
    async with stage.connected() as device:
        before = device.device_id
        await device.rotate_key()
        await until(lambda: device.is_connected and device.device_id != before)
        (found,) = (await stage.client.devices.list()).items
        assert (found.id, found.name) == (device.device_id, "lamp")
        assert (await stage.invoke(device)).result == {"noted": "hi"}
    after = device.device_id
    async with stage.connected() as again:
        assert again.device_id == after


async def test_a_key_that_was_taken_before_a_crash_is_the_key_afterwards(stage: DeviceStage) -> None:
    async with stage.connected() as device:
        before = (stage.directory / KEY_NAME).read_bytes()
        old = device.device_id
        await device.rotate_key()
        await until(lambda: device.is_connected and device.device_id != old)
        new = device.device_id
    present = stage.directory / KEY_NAME
    present.rename(stage.directory / "device.key.next")
    present.write_bytes(before)  # as if the process had ended before it was noted
    present.chmod(0o600)
    async with stage.connected() as again:
        assert again.device_id == new


# --- told what to do -----------------------------------------------------------------------------------


async def test_it_does_what_it_is_told(stage: DeviceStage) -> None:
    async with stage.connected() as device:
        done = await stage.invoke(device, "milk")
        assert (done.state, done.result) == ("done", {"noted": "milk"})
        assert stage.effects == ["milk"]
        with pytest.raises(InvalidParams):
            await stage.client.devices.invoke(device.device_id or "", "note", {"text": 1})


async def test_what_goes_wrong_is_told(stage: DeviceStage) -> None:
    device = stage.device()

    @device.command("fail")
    def fail(params: Any) -> None:
        raise CommandFailed("The bulb is gone", kind="broken")

    @device.command("crash")
    async def crash(params: Any) -> None:
        raise RuntimeError("secret")

    @device.command("odd")
    def odd(params: Any) -> object:
        return object()

    async with stage.connected(device):
        told = [
            await stage.client.devices.invoke(device.device_id or "", name)
            for name in ("fail", "crash", "odd")
        ]
    assert [(one.state, one.error_kind) for one in told] == [
        ("failed", "broken"), ("failed", "failed"), ("failed", "bad_result"),
    ]  # fmt: skip
    assert told[0].error_message == "The bulb is gone"
    assert "secret" not in (told[1].error_message or "")


async def test_a_plain_function_holds_nothing_up(stage: DeviceStage) -> None:
    device, slow = stage.device(), asyncio.Event()
    loop = asyncio.get_running_loop()

    @device.command("wait")
    def wait(params: Any) -> str:
        asyncio.run_coroutine_threadsafe(slow.wait(), loop).result(10)
        return "waited"

    async with stage.connected(device):
        waiting = asyncio.create_task(stage.client.devices.invoke(device.device_id or "", "wait"))
        assert (await stage.invoke(device)).state == "done"
        slow.set()
        assert (await waiting).result == "waited"


async def test_a_lost_connection_loses_no_answer(stage: DeviceStage) -> None:
    async with stage.connected() as device:
        stage.hold = asyncio.Event()
        asked = asyncio.create_task(stage.invoke(device))
        await until(lambda: stage.effects)
        assert device._engine is not None
        assert device._engine._socket is not None
        device._engine._socket.transport.abort()
        await until(lambda: not device.is_connected)
        await until(lambda: device.is_connected)
        stage.hold.set()
        assert (await asked).result == {"noted": "hi"}
        assert stage.effects == ["hi"], "it was done once"


async def test_what_was_done_while_nobody_listened_is_answered_later(stage: DeviceStage) -> None:
    async with stage.connected() as device:
        stage.hold = asyncio.Event()
        with pytest.raises(Unavailable) as caught:
            await stage.invoke(device, timeout_s=0.05, idempotency_key="k")
        assert caught.value.fields["outcome"] == "unknown"
        stage.hold.set()
        await asyncio.wait_for(device._invocations.finished(), 5) if device._invocations else None
    async with stage.connected() as device:

        async def known() -> bool:
            try:
                return (await stage.invoke(device, idempotency_key="k", timeout_s=0.5)).state == "done"
            except Unavailable:
                return False

        for _ in range(200):
            if await known():
                break
            await asyncio.sleep(0.01)
        assert await known(), "it was remembered"
        assert stage.effects == ["hi"]


async def test_a_device_that_dies_in_the_middle_says_that_it_does_not_know(stage: DeviceStage) -> None:
    async with stage.connected() as device:
        stage.hold = asyncio.Event()
        asked = asyncio.create_task(stage.invoke(device))
        await until(lambda: stage.effects)
    async with stage.connected():
        with pytest.raises(Unavailable) as caught:
            await asked
        assert caught.value.fields["outcome"] == "unknown"
        assert stage.effects == ["hi"], "it is not done again"


async def test_stopping_lets_what_is_being_done_end(stage: DeviceStage) -> None:
    device = stage.device()
    async with stage.connected(device):
        stage.hold = asyncio.Event()
        asked = asyncio.create_task(stage.invoke(device))
        await until(lambda: stage.effects)
        device.stop()
        stage.hold.set()
        assert (await asked).state == "done"
        await until(lambda: not device.is_connected)


async def test_who_is_here_is_seen(stage: DeviceStage) -> None:
    async with stage.connected() as device:
        found = await stage.client.devices.presence()
        assert [(one.name, one.connected) for one in found.devices] == [("lamp", True)]
        assert device.device_id in [one.principal.id for one in found.principals]
        renamed = await stage.client.devices.rename(device.device_id or "", "bulb")
        assert renamed.name == "bulb"


def test_a_command_is_declared_once() -> None:
    device = Device("http://127.0.0.1:1", directory="/nowhere")
    device.command("note", TEXT)(lambda params: None)
    with pytest.raises(ValueError, match="already"):
        device.command("note", TEXT)(lambda params: None)


# --- what is remembered -------------------------------------------------------------------------------


def test_results_survive_and_a_cut_off_command_is_known_as_such(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.begin("inv_1")
    results.end("inv_1", Done({"x": 1}))
    results.begin("inv_2")
    results.begin("inv_3")
    results.end("inv_3", Done(error={"kind": "k", "message": "m"}))
    with (tmp_path / FILE_NAME).open("a") as file:
        file.write('{"id": "inv_4", "resul')
    again = Results(tmp_path)
    assert again.of("inv_1") == Done({"x": 1})
    assert again.of("inv_2") == CUT_OFF
    assert again.of("inv_3") == Done(error={"kind": "k", "message": "m"})
    assert again.of("inv_4") is None
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


def test_results_are_bounded_and_the_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threadgate_client.device_results.os.fsync", lambda descriptor: None)
    results = Results(tmp_path)
    for number in range(3 * KEPT):
        results.begin(f"inv_{number}")
        results.end(f"inv_{number}", Done(number))
    assert len(results) == len(Results(tmp_path)) == KEPT
    assert results.of("inv_0") is None
    assert results.of(f"inv_{3 * KEPT - 1}") == Done(3 * KEPT - 1)
    assert (tmp_path / FILE_NAME).read_text().count("\n") <= 4 * KEPT
    monkeypatch.setattr("threadgate_client.device_results.KEPT_CHARS", 1000)
    results.end("inv_large", Done("x" * 990))
    assert len(results) == 1


def test_a_results_file_that_is_nonsense_begins_anew(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"\xff\xfe[1]\n7\n" + json.dumps({"id": 7}).encode())
    assert len(Results(tmp_path)) == 0
