"""What waits for an operator, over the wire: dead letters and what nobody can know, sent again or declared arrived."""

from typing import Any

import pytest
from gateway_stage import Frame, TelegramStage, eventually

from channels.emulators.telegram import FaultKind, TelegramEmulator
from gateway.rules import retry
from protocol.records import Role


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_S", 0.02)


async def the_one(telegram: TelegramStage, state: str) -> Frame:
    """The one delivery in this state, once there is one."""
    wire = await telegram.connect()

    async def listed() -> list[Frame]:
        found: list[Frame] = (await wire.call("delivery.list", state=state))["deliveries"]
        return found

    (found,) = await eventually(listed)
    delivery: Frame = found
    return delivery


async def decide(telegram: TelegramStage, method: str, delivery: Frame) -> Frame:
    wire = await telegram.connect(await telegram.token(Role.OPERATOR))
    answer = await wire.call(method, delivery_id=delivery["id"], idempotency_key="k")
    assert await wire.call(method, delivery_id=delivery["id"], idempotency_key="k") == answer
    decided: Frame = answer["delivery"]
    return decided


async def status(telegram: TelegramStage) -> Frame:
    found: Frame = (await (await telegram.connect()).call("channel.status", channel_id="telegram:gate"))[
        "channel"
    ]
    return found


async def asking(telegram: TelegramStage) -> None:
    """Let the account ask operators what to do about what nobody knows."""
    table: Any = {**telegram._given["channels"][0], "on_unknown": "ask"}
    await telegram.restart(channels=(table,))


async def test_a_dead_letter_is_listed_and_sent_when_somebody_wants_it(
    telegram: TelegramStage, emulator: TelegramEmulator
) -> None:
    blocked = "Forbidden: bot was blocked by the user"
    emulator.faults.add(FaultKind.ERROR, "sendMessage", code=403, description=blocked)
    emulator.say("say after all")
    failed = await the_one(telegram, "failed")
    assert (failed["preview"], failed["channel_id"], failed["room"]) == ("after all", "telegram:gate", "1001")
    assert "blocked" in failed["error"]
    assert (await status(telegram))["deliveries_failed"] == 1
    assert (await decide(telegram, "delivery.retry", failed))["state"] == "idle"
    sent = await the_one(telegram, "sent")
    assert sent["id"] == failed["id"]
    assert telegram.texts() == ["after all"]
    assert (await status(telegram))["deliveries_failed"] == 0


@pytest.mark.parametrize("method", ["delivery.retry", "delivery.settle"])
async def test_what_nobody_knows_waits_for_an_operator_who_wants_to_be_asked(
    telegram: TelegramStage, emulator: TelegramEmulator, method: str
) -> None:
    await asking(telegram)
    emulator.faults.add(FaultKind.DROP, "sendMessage")
    emulator.say("say the answer")
    held = await the_one(telegram, "held")
    assert held["uncertain"] == 1
    shown = await status(telegram)
    assert (shown["deliveries_held"], shown["deliveries_uncertain"], shown["deliveries_waiting"]) == (1, 1, 0)
    await decide(telegram, method, held)
    assert (await the_one(telegram, "sent"))["id"] == held["id"]
    assert telegram.texts() == (["the answer"] if method == "delivery.retry" else [])
    log = await telegram.log(held["thread_id"])
    assert [event["kind"] for event in log if event["kind"].startswith("delivery")] == [
        "delivery.uncertain", "delivery.sent",
    ]  # fmt: skip


async def test_a_decision_is_an_audit_entry_of_who_took_it(
    telegram: TelegramStage, emulator: TelegramEmulator
) -> None:
    emulator.faults.add(FaultKind.ERROR, "sendMessage", code=400, description="Bad Request: no")
    emulator.say("say lost")
    failed = await the_one(telegram, "failed")
    await decide(telegram, "delivery.settle", failed)
    wire = await telegram.connect()
    (entry,) = (await wire.call("audit.list", action="delivery.settle"))["entries"]
    assert entry["subject"] == {"delivery_id": failed["id"], "channel": "telegram:gate"}
    assert entry["detail"] == {"state": "failed"}
    refused = await wire.refusal("delivery.retry", delivery_id=failed["id"])
    assert refused.kind == "invalid_state"


async def test_who_may_only_read_decides_nothing(telegram: TelegramStage) -> None:
    wire = await telegram.connect(await telegram.token(Role.VIEWER))
    assert (await wire.call("delivery.list"))["deliveries"] == []
    refused = await wire.refusal("delivery.retry", delivery_id="dlv_1")
    assert (refused.kind, refused.data["scope"]) == ("forbidden", "delivery.control")
