"""Budgets and the switch from outside: an agent that stops at its limit, people who are told, agents that are off."""

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from gateway_stage import Frame, Refused, Stage, TelegramStage, Wire, blocked_writer, eventually, until, words

from channels.emulators.openai import Answer, OpenAiEmulator, tokens
from gateway.agent_settings import DemoSettings, ModelSettings
from gateway.governance_settings import BudgetSettings
from protocol.records import Role
from storage.values import DEFAULT_ORG

ENDINGS = ("run.completed", "run.failed", "run.cancelled", "run.interrupted")
KEY = "sk-emulated"


@pytest.fixture
async def endpoint() -> AsyncIterator[OpenAiEmulator]:
    async with OpenAiEmulator(key=KEY) as made:
        yield made


def allow(of: str, limit: int, **given: Any) -> BudgetSettings:
    return BudgetSettings.model_validate({"name": "team", "of": of, "limit": limit, **given})


async def over(stage: Stage, endpoint: OpenAiEmulator, *budgets: BudgetSettings, **more: Any) -> Wire:
    """The gateway anew, with a model agent and these budgets."""
    agent = {"id": "m", "kind": "model", "model": "demo", "base_url": endpoint.base_url, "api_key": KEY}
    told = {"input_price": 1.0, "output_price": 2.0, "max_tokens": 200, "cost_tags": {"team": "support"}}
    model = ModelSettings.model_validate({**agent, **told, **more})
    await stage.restart(agents=(model,), default_agent="m", budgets=budgets)
    return await stage.connect()


async def answered(stage: Stage, wire: Wire, text: str, **params: Any) -> list[Frame]:
    """The log of a thread once its newest run has ended."""
    sent = await wire.call("message.send", content=words(text), **params)
    return await ended(stage, sent["thread_id"], sent["run_id"])


async def ended(stage: Stage, thread_id: str, run_id: str) -> list[Frame]:
    async def over_() -> list[Frame] | None:
        log = await stage.log(thread_id)
        return log if any(one["kind"] in ENDINGS and one.get("run_id") == run_id for one in log) else None

    log: list[Frame] = await eventually(over_)
    return log


async def stand(wire: Wire) -> dict[str, tuple[int, int]]:
    found = (await wire.call("usage.get"))["budgets"]
    return {one["key"]: (one["used"], one["reserved"]) for one in found}


# --- budgets ------------------------------------------------------------------------------------------


async def test_a_model_agent_stops_at_its_limit_and_says_so(stage: Stage, endpoint: OpenAiEmulator) -> None:
    endpoint.say(tokens(150), tokens(150), Answer("never"))
    wire = await over(stage, endpoint, allow("tokens", 450))
    log = await answered(stage, wire, "hello")
    assert log[-1]["kind"] == "run.completed"
    used, reserved = (await stand(wire))[DEFAULT_ORG]
    assert used == 150 + log[-1]["data"]["usage"]["input_tokens"] and reserved == 0
    logs = [await answered(stage, wire, f"again {number}") for number in range(2)]
    failures = [event["data"]["error"] for log in logs for event in log if event["kind"] == "run.failed"]
    assert [one["kind"] for one in failures] == ["budget_exceeded"]
    assert "“team”" in failures[0]["message"] and "tokens" in failures[0]["message"]
    assert len(endpoint.requests) == 2, "the model was not asked"
    used, reserved = (await stand(wire))[DEFAULT_ORG]
    assert reserved == 0 and used <= 450


async def test_money_is_counted_by_its_price_and_refused_before_a_run_is_queued(
    stage: Stage, endpoint: OpenAiEmulator
) -> None:
    endpoint.say(tokens(150))
    wire = await over(stage, endpoint, allow("microusd", 300), max_tokens=20)
    await answered(stage, wire, "hello")
    fault = await wire.refusal("message.send", content=words("more"))
    assert fault.kind == "budget_exceeded"
    assert {"budget", "limit", "used", "resets_at", "hint"} <= fault.data.keys()
    threads, _ = await stage.store.threads.page(DEFAULT_ORG, "all", 10, None)
    assert len(threads) == 1, "nothing of it is there"


async def test_a_step_under_way_is_reserved_and_a_cancelled_run_gives_it_back(
    stage: Stage, endpoint: OpenAiEmulator
) -> None:
    endpoint.say(Answer("late", first_delay_s=600))
    wire = await over(stage, endpoint, allow("tokens", 10_000))
    sent = await wire.call("message.send", content=words("hello"))
    await until(lambda: endpoint.requests)
    _, reserved = (await stand(wire))[DEFAULT_ORG]
    assert reserved >= 200
    await wire.call("run.cancel", run_id=sent["run_id"])
    assert await stand(wire) == {DEFAULT_ORG: (0, 0)}


async def test_a_restart_neither_leaks_nor_doubles_what_is_reserved(
    stage: Stage, endpoint: OpenAiEmulator
) -> None:
    endpoint.say(Answer("late", first_delay_s=600), Answer("here"))
    budgets = (allow("tokens", 10_000), allow("concurrent", 1, name="one", each="agent"))
    wire = await over(stage, endpoint, *budgets)
    sent = await wire.call("message.send", content=words("hello"))
    await until(lambda: endpoint.requests)
    before = await stand(wire)
    wire = await over(stage, endpoint, *budgets)
    log = await ended(stage, sent["thread_id"], sent["run_id"])
    assert log[-1]["kind"] == "run.completed"
    after = await stand(wire)
    assert before["m"] == (0, 1) and after["m"] == (0, 0)
    assert before[DEFAULT_ORG][1] >= 200 and after[DEFAULT_ORG][1] == 0
    assert after[DEFAULT_ORG][0] == sum(
        log[-1]["data"]["usage"][key] for key in ("input_tokens", "output_tokens")
    )


async def test_runs_at_the_same_time_wait_and_go_on_when_there_is_room(stage: Stage) -> None:
    await stage.restart(budgets=(allow("concurrent", 1, each="person"),))
    wire = await stage.connect()
    first = await wire.call("message.send", content=words("sleep 60"))
    await wire.call("thread.subscribe", thread_id=first["thread_id"], from_="start")
    await wire.event("run.started")
    second = await wire.call("message.send", content=words("say hi"))
    await until(lambda: stage.gateway.runs.scheduler._parked)
    assert (await wire.call("run.get", run_id=second["run_id"]))["run"]["state"] == "queued"
    (found,) = (await wire.call("run.diagnose", run_id=second["run_id"]))["findings"]
    assert found["reason"] == "A budget has as many runs at the same time as it may" and not found["is_stuck"]
    await wire.call("run.cancel", run_id=first["run_id"])
    log = await ended(stage, second["thread_id"], second["run_id"])
    assert log[-1]["kind"] == "run.completed"


async def test_a_person_in_a_chat_is_warned_and_told_once_when_it_is_over(telegram: TelegramStage) -> None:
    await telegram.restart(budgets=(allow("messages", 5, each="person"),))
    emulator = telegram.emulator
    for number in range(7):
        emulator.say(f"say {number}")
        await until(lambda: not emulator.pending_updates())
    thread_id = await telegram.only_thread()

    async def told() -> list[str] | None:
        texts = [text for text in telegram.texts() if "budget" in text]
        return texts if len(texts) >= 3 else None

    texts = await eventually(told)
    assert len(texts) == 3, "warned, used up, and once that the last message was not taken"
    assert "is used to 80%" in texts[0] and all("is used up" in text for text in texts[1:])
    kinds = await telegram.kinds(thread_id)
    assert (kinds.count("budget.warned"), kinds.count("budget.exceeded")) == (1, 1)
    assert kinds.count("run.queued") == 5


# --- usage --------------------------------------------------------------------------------------------


async def test_usage_is_told_apart_by_what_is_asked_for(stage: Stage, endpoint: OpenAiEmulator) -> None:
    endpoint.say(tokens(10), tokens(20))
    wire = await over(stage, endpoint)
    await answered(stage, wire, "one")
    token = await stage.token(Role.OPERATOR, name="robot")
    other = await stage.connect(token)
    log = await answered(stage, other, "two")
    (day,) = (await wire.call("usage.get"))["groups"]
    assert (day["runs"], day["output_tokens"]) == (2, 30) and day["cost_microusd"] > 60
    people = (await wire.call("usage.get", by=["person", "token", "tag:team"]))["groups"]
    assert len(people) == 2 and {one["tag"] for one in people} == {"support"}
    assert {one["person"] for one in people} == {"local", other.hello["principal"]["id"]}
    assert {one["token"].partition("_")[0] for one in people} == {"", "tok"}, "the local operator has none"
    (thread,) = (await wire.call("usage.get", thread_id=log[0]["thread_id"]))["groups"]
    assert (thread["runs"], thread["output_tokens"], thread["day"]) == (1, 20, day["day"])
    assert (await wire.call("usage.get", from_="2020-01-01", to="2020-01-31"))["groups"] == []


async def test_a_page_of_usage_goes_on_where_the_last_one_ended(
    stage: Stage, endpoint: OpenAiEmulator
) -> None:
    endpoint.say(*(tokens(5) for _ in range(3)))
    wire = await over(stage, endpoint)
    for _ in range(3):
        other = await stage.connect(await stage.token(Role.OPERATOR))
        await answered(stage, other, "hello")
    whole = (await wire.call("usage.get", by=["token", "model"]))["groups"]
    pages, cursor = [], None
    while True:
        page = await wire.call(
            "usage.get", by=["token", "model"], limit=2, **({"cursor": cursor} if cursor else {})
        )
        pages += page["groups"]
        assert bool(page["budgets"]) is False
        if (cursor := page.get("next_cursor")) is None:
            break
    assert pages == whole and len(whole) == 6, "tokens with their model, and runs without"
    assert (await wire.refusal("usage.get", cursor="nonsense")).kind == "conflict"


@pytest.mark.parametrize(
    "params", [{"by": ["tag:a", "tag:b"]}, {"by": ["colour"]}, {"to": "2026-02-31"}, {"by": []}]
)
async def test_a_question_that_makes_no_sense_is_refused(wire: Wire, params: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        await wire.call("usage.get", **params)
    assert caught.value.code == -32602


async def test_usage_is_exported_as_csv_and_as_lines(stage: Stage, endpoint: OpenAiEmulator) -> None:
    endpoint.say(tokens(10))
    wire = await over(stage, endpoint, cost_tags={"team": "=HYPERLINK(1)"})
    await answered(stage, wire, "one")
    http = stage.http()
    response = await http.get("/v1/usage/export", params={"format": "csv", "tag": "team"})
    assert response.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(response.text, newline="")))
    assert sum(int(row["output_tokens"]) for row in rows) == 10
    assert {row["tag"] for row in rows} == {"'=HYPERLINK(1)"}, "no formula"
    lines = (await http.get("/v1/usage/export", params={"format": "ndjson"})).text.splitlines()
    assert sum(json.loads(line)["runs"] for line in lines) == 1
    assert (await http.get("/v1/usage/export", params={"format": "xls"})).status_code == 422
    viewer = stage.http(await stage.token(Role.VIEWER))
    assert (await viewer.get("/v1/usage/export")).status_code == 403
    assert (await stage.http(None).get("/v1/usage/export")).status_code == 401
    entries = (await wire.call("audit.list", action="usage.export"))["entries"]
    assert [one["detail"]["format"] for one in entries] == ["csv", "ndjson"], "what left is on record"


# --- the switch ---------------------------------------------------------------------------------------


async def test_an_agent_that_is_switched_off_ends_at_once_and_takes_nothing(stage: Stage) -> None:
    agents = (DemoSettings(id="demo"), DemoSettings(id="other"))
    await stage.restart(agents=agents)
    wire = await stage.connect()
    sent = await wire.call("message.send", content=words("sleep 600"))
    queued = await wire.call("message.send", content=words("say hi"), thread_id=sent["thread_id"])
    await wire.call("thread.subscribe", thread_id=sent["thread_id"], from_="start")
    await wire.event("run.started")
    done = await wire.call("agent.switch", agent_id="demo", on=False, reason="it errs")
    assert done["cancelled_runs"] == 2 and done["switches"][0]["reason"] == "it errs"
    for run in (sent, queued):
        state = (await wire.call("run.get", run_id=run["run_id"]))["run"]["state"]
        assert state == "cancelled"
    await until(lambda: not stage.gateway.runs.scheduler.active)
    fault = await wire.refusal("message.send", content=words("hello"))
    assert fault.kind == "invalid_state" and "switched off by local operator: it errs" in str(fault)
    listed = {one["id"]: one.get("switched_off") for one in (await wire.call("agent.list"))["agents"]}
    assert listed["other"] is None and listed["demo"]["by"] == "local operator"
    assert (await answered(stage, wire, "say hi", agent_id="other"))[-1]["kind"] == "run.completed"


async def test_the_switch_outlives_a_restart_until_it_is_switched_on(stage: Stage, wire: Wire) -> None:
    await wire.call("agent.switch", on=False, reason="maintenance")
    await stage.restart()
    wire = await stage.connect()
    fault = await wire.refusal("message.send", content=words("hello"))
    assert "All agents are switched off" in str(fault)
    assert (await wire.call("agent.get", agent_id="demo"))["agent"]["switched_off"]["agent_id"] == "*"
    assert (await wire.call("agent.switch", on=True))["switches"] == []
    assert (await answered(stage, wire, "say hi"))[-1]["kind"] == "run.completed"


async def test_the_switch_beats_a_claim_of_the_same_moment(stage: Stage, wire: Wire) -> None:
    for _ in range(10):
        async with blocked_writer(stage.store):
            sent = [await wire.post("message.send", content=words("sleep 600")) for _ in range(3)]
            off = await wire.post("agent.switch", on=False, reason="now")
            late = await wire.post("message.send", content=words("sleep 600"))
        answers = [await wire.answer(number) for number in (*sent, off, late)]
        await until(lambda: not stage.gateway.runs.scheduler.active)
        for answer in answers:
            if "run_id" in answer.get("result", {}):
                run = (await wire.call("run.get", run_id=answer["result"]["run_id"]))["run"]
                assert run["state"] in ("cancelled", "failed"), "nothing runs, and nothing waits to"
        await wire.call("agent.switch", on=True)


@pytest.mark.parametrize(
    ("params", "kind"),
    [
        ({"agent_id": "nobody", "on": False, "reason": "x"}, "not_found"),
        ({"agent_id": "demo", "on": False}, ""),
    ],
)
async def test_a_switch_needs_an_agent_and_a_reason(wire: Wire, params: dict[str, Any], kind: str) -> None:
    fault = await wire.refusal("agent.switch", **params)
    assert fault.code == -32602 if not kind else fault.kind == kind


async def test_a_chat_person_is_told_that_the_agent_is_off(telegram: TelegramStage) -> None:
    wire = await telegram.connect()
    await wire.call("agent.switch", on=False, reason="holidays")
    telegram.emulator.say("hello")
    told = "All agents are switched off by local operator: holidays. I did not take your message."
    await until(lambda: telegram.texts() == [told])
    assert not await telegram.store.runs.waiting_threads(10), "nothing waits in silence"
