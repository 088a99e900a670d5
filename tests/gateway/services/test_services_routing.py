"""Routes at work: whose run a message becomes, from a chat network and from clients; and the explanation."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateway_stage import Stage, TelegramStage, Wire, eventually, words

from channels.emulators.telegram import TelegramEmulator
from channels.messages import Addressed, Inbound, RoomRef, Sender
from gateway.agent_settings import DemoSettings, RouteSettings
from storage.values import DEFAULT_ORG

AGENTS = (
    DemoSettings(id="demo"),
    DemoSettings(id="ops"),
    DemoSettings(id="billing"),
    DemoSettings(id="draft", state="draft"),
)
ROUTES = (
    RouteSettings(agent="ops", command="ops"),
    RouteSettings(agent="draft", pattern="invoice"),
    RouteSettings(agent="billing", pattern="invoice"),
    RouteSettings(agent="billing", channel="telegram", mention=True),
)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path / "data", agents=AGENTS, routes=ROUTES)
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def telegram(tmp_path: Path, emulator: TelegramEmulator) -> AsyncIterator[TelegramStage]:
    made = TelegramStage(tmp_path / "data", emulator)
    await made.start(agents=AGENTS, routes=ROUTES)
    yield made
    await made.close()


def said(number: int, text: str, **more: Any) -> Inbound:
    given: dict[str, Any] = {
        "delivery_id": f"d{number}",
        "room": RoomRef("1001"),
        "message_ref": str(number),
        "sender": Sender("1001", "Ada"),
        "text": text,
        "addressed": Addressed.DIRECT,
        "is_direct": True,
        "occurred_at_ms": number * 1000,
        "thread_key": "dm:1001",
        **more,
    }
    return Inbound(**given)


async def hear(stage: TelegramStage, *batch: Inbound) -> None:
    """Hand a batch to the account's intake, as its adapter does."""
    await stage.gateway._intakes[0][1].commit(batch, {})


async def run_of(stage: Stage, wire: Wire, text: str, **params: Any) -> dict[str, Any]:
    """The message's run, with the id of its thread's agent as `thread_agent`."""
    sent = await wire.call("message.send", content=words(text), **params)
    run = (await wire.call("run.get", run_id=sent["run_id"]))["run"]
    thread = (await wire.call("thread.get", thread_id=sent["thread_id"]))["thread"]
    return {**run, "thread_agent": thread["agent_id"]}


async def answers(stage: Stage, thread_id: str, count: int) -> list[tuple[str, str]]:
    """Who said what in a thread, once there are so many answers."""

    async def all_there() -> list[tuple[str, str]] | None:
        messages = [
            e["data"]["message"] for e in await stage.log(thread_id) if e["kind"] == "message.created"
        ]
        found = [(m["author"]["id"], m["content"][0]["text"]) for m in messages if m["role"] == "assistant"]
        return found if len(found) == count else None

    found: list[tuple[str, str]] = await eventually(all_there)
    return found


# --- clients ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "agent"),
    [("say hi", "demo"), ("/ops say hi", "ops"), ("an invoice", "draft"), ("/opsx", "demo")],
)
async def test_a_clients_conversation_begins_with_the_agent_of_its_route(
    stage: Stage, wire: Wire, text: str, agent: str
) -> None:
    run = await run_of(stage, wire, text)
    assert (run["agent_id"], run["thread_agent"]) == (agent, agent)


async def test_the_agent_gets_the_text_behind_the_command_and_the_thread_shows_all_of_it(
    stage: Stage, wire: Wire
) -> None:
    sent = await wire.call("message.send", content=words("/ops say hi"))
    assert await answers(stage, sent["thread_id"], 1) == [("ops", "hi")]
    log = await stage.log(sent["thread_id"])
    shown = [e["data"]["message"]["content"] for e in log if e["kind"] == "message.created"]
    assert shown[0] == words("/ops say hi")


async def test_a_command_reaches_its_agent_in_any_thread_and_other_rules_leave_threads_alone(
    stage: Stage, wire: Wire
) -> None:
    thread_id = (await run_of(stage, wire, "say hi"))["thread_id"]
    one = await run_of(stage, wire, "/ops say once", thread_id=thread_id)
    two = await run_of(stage, wire, "say an invoice", thread_id=thread_id)
    assert [(run["agent_id"], run["thread_agent"]) for run in (one, two)] == [
        ("ops", "demo"),
        ("demo", "demo"),
    ]
    assert await answers(stage, thread_id, 3) == [("demo", "hi"), ("ops", "once"), ("demo", "an invoice")]


async def test_a_client_that_names_an_agent_gets_that_one(stage: Stage, wire: Wire) -> None:
    run = await run_of(stage, wire, "/ops say hi", agent_id="billing")
    assert run["agent_id"] == "billing"


async def test_an_empty_thread_is_routed_by_where_it_begins(stage: Stage, wire: Wire) -> None:
    stage.gateway.runs.routing.replace([RouteSettings(agent="ops", channel="client")], "demo")
    assert (await wire.call("thread.create"))["thread"]["agent_id"] == "ops"
    assert (await wire.call("thread.create", agent_id="demo"))["thread"]["agent_id"] == "demo"


async def test_routes_that_are_replaced_hold_for_the_next_message(stage: Stage, wire: Wire) -> None:
    stage.gateway.runs.routing.replace([RouteSettings(agent="billing", pattern="^say")], "ops")
    assert (await run_of(stage, wire, "say hi"))["agent_id"] == "billing"
    assert (await run_of(stage, wire, "hello"))["agent_id"] == "ops"


# --- a chat network ---------------------------------------------------------------------------------


async def test_a_chat_is_never_routed_to_a_draft(telegram: TelegramStage) -> None:
    telegram.emulator.say("say an invoice")
    thread_id = await telegram.only_thread()
    assert await answers(telegram, thread_id, 1) == [("billing", "an invoice")]


async def test_a_command_in_a_chat_that_goes_on_is_for_its_agent_alone(telegram: TelegramStage) -> None:
    await hear(telegram, said(1, "say one"), said(2, "/ops say two"), said(3, "say three"))
    thread_id = await telegram.only_thread()
    assert await answers(telegram, thread_id, 3) == [("demo", "one"), ("ops", "two"), ("demo", "three")]


@pytest.mark.parametrize(("addressed", "agent"), [(Addressed.MENTION, "billing"), (Addressed.REPLY, "demo")])
async def test_a_mention_in_a_room_is_a_condition(
    telegram: TelegramStage, addressed: Addressed, agent: str
) -> None:
    room = RoomRef("-100")
    await hear(telegram, said(1, "say hi", room=room, addressed=addressed, is_direct=False, thread_key="t"))
    assert await answers(telegram, await telegram.only_thread(), 1) == [(agent, "hi")]


async def test_a_default_that_is_not_released_is_a_visible_error(telegram: TelegramStage) -> None:
    telegram.gateway.runs.routing.replace([], "draft")
    telegram.emulator.say("say hi")
    thread_id = await telegram.only_thread()

    async def failed() -> object:
        return [event for event in await telegram.log(thread_id) if event["kind"] == "run.failed"]

    (event,) = await eventually(failed)
    assert event["data"]["error"]["kind"] == "agent_suspended"
    thread = await telegram.store.threads.get(DEFAULT_ORG, thread_id)
    assert thread.agent_id == "draft"


# --- explanations -----------------------------------------------------------------------------------


async def test_an_explanation_says_what_would_happen(stage: Stage, wire: Wire) -> None:
    asked = {
        "channel": "telegram",
        "account": "gate",
        "room": "-100",
        "mention": True,
        "text": "/OPS restart",
    }
    assert (await wire.call("route.explain", **asked))["route"] == {
        "agent_id": "ops",
        "rule": 1,
        "text": "restart",
        "reasons": ["Rule 1 (ops) fits."],
    }
    route = (await wire.call("route.explain", text="invoice", channel="slack"))["route"]
    assert (route["agent_id"], route["rule"]) == ("billing", 3)
    assert "draft is draft" in route["reasons"][1]
    route = (await wire.call("route.explain", text="hello"))["route"]
    assert (route["agent_id"], "rule" in route) == ("demo", False)
    assert route["reasons"][-1] == "No rule fits, so the default agent demo answers."
