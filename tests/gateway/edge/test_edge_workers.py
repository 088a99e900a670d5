"""Connections of agent processes: who may open one, what it may do, how it is bounded, how it ends."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_stage import Frame, Stage, Wire, until, words
from workers_stage import AGENT, RawWorker, RemoteStage

from gateway.agent_settings import DemoSettings, RemoteSettings
from gateway.settings import LimitSettings, OrganizationSettings
from protocol import limits
from protocol.records import Role
from storage.values import DEFAULT_ORG


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[RemoteStage]:
    made = RemoteStage(tmp_path / "data", agents=(DemoSettings(id="demo"),))
    await made.start()
    yield made
    await made.close()


async def refusal(stage: Stage, token: str, **said: object) -> tuple[Frame, int]:
    """The error that answers this hello, and the code that closes after it."""
    wire = await stage.open()
    params = {"minor": 0, "client": {"name": "wire"}, "auth": {"token": token}, **said}
    await wire.receive()
    await wire.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "hello", "params": params}))
    (answer, bye), code = await wire.ended()
    assert (bye["method"], bye["params"]["code"]) == ("bye", code)
    return answer["error"], code


# --- who may connect -------------------------------------------------------------------------------


async def test_an_agent_process_connects_with_a_token_of_its_agent(stage: RemoteStage) -> None:
    wire = await stage.open()
    hello = await wire.say_hello(stage.secret, role="agent", worker={"concurrent": 3})
    assert (hello["scopes"], hello["principal"]["kind"]) == (
        ["agent.serve", "self.read", "server.read"],
        "agent",
    )
    assert stage.gateway.runs.workers.count(AGENT) == 1


@pytest.mark.parametrize("role", [Role.OWNER, Role.OPERATOR, Role.VIEWER])
async def test_the_role_agent_needs_a_token_of_that_role(stage: RemoteStage, role: Role) -> None:
    error, code = await refusal(stage, await stage.token(role), role="agent")
    assert (error["data"]["kind"], code) == ("forbidden", 4003)
    assert "token create --role agent" in error["data"]["hint"]


async def test_the_local_secret_is_no_agents(stage: RemoteStage) -> None:
    error, code = await refusal(stage, stage.owner, role="agent")
    assert (error["data"]["kind"], code) == ("forbidden", 4003)


async def test_a_token_of_an_agent_is_for_agent_processes_alone(stage: RemoteStage) -> None:
    error, code = await refusal(stage, stage.secret, role="client")
    assert (error["data"]["kind"], code) == ("forbidden", 4003)
    assert "agent" in error["data"]["hint"]


@pytest.mark.parametrize("agent_id", ["demo", "nobody"])
async def test_only_agents_of_kind_remote_are_served_by_processes(stage: RemoteStage, agent_id: str) -> None:
    error, code = await refusal(stage, await stage.token(Role.AGENT, agent_id=agent_id), role="agent")
    assert (error["data"]["kind"], code) == ("forbidden", 4003)
    assert agent_id in error["message"]


@pytest.mark.parametrize("concurrent", [0, -1, 1001, "1", 1.5])
async def test_an_offer_is_a_number_of_runs(stage: RemoteStage, concurrent: object) -> None:
    error, code = await refusal(stage, stage.secret, role="agent", worker={"concurrent": concurrent})
    assert (error["code"], code) == (-32602, 4000)


async def test_a_worker_that_offers_nothing_takes_one_run_at_a_time(stage: RemoteStage) -> None:
    wire = await stage.open()
    await wire.say_hello(stage.secret, role="agent")
    worker, owner = RawWorker(wire), await stage.connect()
    for number in range(2):
        await stage.ask(owner, f"m{number}")
    run = await worker.execute()
    assert [frame["method"] for frame in await wire.quiet()] == []
    await worker.output(run, "done")
    assert (await worker.execute())["text"] == "m1"


async def test_the_scopes_of_a_process_reach_no_conversation(stage: RemoteStage) -> None:
    worker = await stage.worker()
    for method in ("thread.list", "run.list", "agent.list", "token.list"):
        refused = await worker.wire.refusal(method)
        assert refused.kind == "forbidden", method
    assert await worker.wire.call("server.info")


async def test_it_cannot_follow_threads_by_resuming_them(stage: RemoteStage) -> None:
    owner, wire = await stage.connect(), await stage.open()
    thread_id = (await owner.call("thread.create"))["thread"]["id"]
    point = {"thread_id": thread_id, "epoch": stage.store.identity.epoch, "after_seq": 0}
    hello = await wire.say_hello(stage.secret, role="agent", resume=[point])
    assert hello["resumed"] == [{"thread_id": thread_id, "state": "reset", "reason": "forbidden"}]


# --- tokens ----------------------------------------------------------------------------------------


async def test_a_token_of_role_agent_names_its_agent(stage: RemoteStage, wire: Wire) -> None:
    made = await wire.call("token.create", role="agent", agent_id=AGENT, name="crew")
    assert (made["token"]["role"], made["token"]["agent_id"]) == ("agent", AGENT)
    tokens = (await wire.call("token.list"))["tokens"]
    assert [one["agent_id"] for one in tokens if one["name"] == "crew"] == [AGENT]


@pytest.mark.parametrize(
    ("params", "kind"),
    [
        ({"role": "agent"}, "invalid_params"),
        ({"role": "operator", "agent_id": AGENT}, "invalid_params"),
        ({"role": "agent", "agent_id": "demo"}, "invalid_params"),
        ({"role": "agent", "agent_id": "nobody"}, "not_found"),
    ],
)
async def test_every_other_combination_is_refused(
    stage: RemoteStage, wire: Wire, params: Frame, kind: str
) -> None:
    refused = await wire.refusal("token.create", **params)
    assert refused.kind == kind
    if kind == "invalid_params":
        assert refused.data["errors"][0]["path"] == "agent_id"


async def test_a_revoked_token_ends_its_processes_and_their_runs_go_on_elsewhere(
    stage: RemoteStage, wire: Wire
) -> None:
    made = await wire.call("token.create", role="agent", agent_id=AGENT)
    other = await stage.open()
    await other.say_hello(made["secret"], role="agent")
    leaving = RawWorker(other)
    sent = await stage.ask(wire, "hi")
    await leaving.execute()
    await wire.call("token.revoke", token_id=made["token"]["id"])
    _, code = await other.ended()
    assert code == 4001
    worker = await stage.worker()
    run = await worker.execute()
    await worker.say(run, "me")
    await worker.output(run, "done")
    assert await stage.answer(sent) == "me"


# --- bounds ----------------------------------------------------------------------------------------


async def test_outputs_are_no_requests_to_the_rate(tmp_path: Path) -> None:
    stage = RemoteStage(tmp_path / "rate", limits=LimitSettings(requests_per_s=10.0, request_burst=10))
    await stage.start()
    try:
        worker = await stage.worker()
        sent = await stage.ask(await stage.connect(), "count")
        run = await worker.execute()
        for number in range(200):
            await worker.say(run, f"{number} ")
        for number in range(20):
            await worker.step(run, f"s{number}", "begin")
            await worker.step(run, f"s{number}", "end")
        await worker.output(run, "done")
        assert await stage.answer(sent) == "".join(f"{number} " for number in range(200))
    finally:
        await stage.close()


async def test_a_worker_that_floods_slows_nobody_but_itself(
    stage: RemoteStage, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.edge.workers.FRAMES_MIN_PER_S", 200.0)
    flooding = await stage.worker()
    note = json.dumps({"jsonrpc": "2.0", "method": "run.output", "params": {"run_id": "run_x", "fence": 1}})

    async def flood() -> None:
        while True:
            await flooding.wire.send(note)

    task = asyncio.create_task(flood())
    await asyncio.sleep(0.3)
    began = time.monotonic()
    for _ in range(20):
        await wire.call("server.info")
    assert time.monotonic() - began < 5.0
    (link,) = [session._worker for session in stage.sessions if session._worker is not None]
    assert link._bucket.level < 200, "it is read at its pace"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_worker_that_does_not_read_gets_no_more_than_fits(
    stage: RemoteStage, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.agents.remote.agent.TAKE_TIMEOUT_S", 0.5)
    slow = await stage.open(sock=await stage.narrow_socket())
    await slow.say_hello(stage.secret, role="agent", worker={"concurrent": 100})
    slow.socket.transport.pause_reading()
    for number in range(12):
        await stage.ask(wire, f"{number} " + "x" * (limits.TEXT_CHARS - 10))
    (session,) = [one for one in stage.sessions if one.is_worker]
    worker = await stage.worker(concurrent=100)
    texts = {(await worker.execute())["text"].split()[0] for _ in range(12)}
    assert texts == {str(number) for number in range(12)}, "somebody else does it"
    assert session._queue.waiting_bytes <= 2 * limits.QUEUE_BYTES


async def test_an_answer_nobody_asked_for_changes_nothing(stage: RemoteStage) -> None:
    worker = await stage.worker()
    for number in (1, 99, "x"):
        await worker.result(number)
        await worker.refuse(number, "busy")
    await worker.wire.send('{"jsonrpc":"2.0","id":5,"error":{"code":1,"message":"m","data":[]}}')
    await worker.wire.send('{"jsonrpc":"2.0","method":"run.dance","params":{}}')
    assert await worker.wire.call("server.info")


async def test_clients_cannot_speak_for_runs(stage: RemoteStage, wire: Wire) -> None:
    worker = await stage.worker()
    sent = await stage.ask(wire, "hi")
    run = await worker.execute()
    client = RawWorker(wire)
    await client.output(run, "text", text="I am it")
    await client.output(run, "done")
    await worker.say(run, "no, I")
    await worker.output(run, "done")
    assert await stage.answer(sent) == "no, I"


# --- the end ---------------------------------------------------------------------------------------


async def test_a_worker_without_pong_is_lost(
    stage: RemoteStage, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HEARTBEAT_S", 1)
    monkeypatch.setattr(limits, "PONG_TIMEOUT_S", 0.2)
    monkeypatch.setattr(limits, "HELLO_TIMEOUT_S", 2.0)  # the first time the connection looks at its clock
    hanging = await stage.worker()
    monkeypatch.setattr(limits, "HEARTBEAT_S", 25)
    sent = await stage.ask(wire, "hi")
    await hanging.execute()
    hanging.wire.socket.transport.pause_reading()
    worker = await stage.worker()
    run = await worker.execute()
    assert run["run_id"] == sent["run_id"]


async def test_an_agent_that_is_taken_away_sends_its_workers_away(stage: RemoteStage) -> None:
    worker = await stage.worker()
    await stage.gateway.runs.agents.reload((DemoSettings(id="demo"),), "demo")
    _, code = await worker.wire.ended()
    assert code == 4202
    error, code = await refusal(stage, stage.secret, role="agent")
    assert (error["data"]["kind"], code) == ("forbidden", 4003)


async def test_an_agent_that_is_configured_otherwise_keeps_its_workers(
    stage: RemoteStage, wire: Wire
) -> None:
    worker = await stage.worker()
    changed = RemoteSettings(id=AGENT, kind="remote", description="another one")
    await stage.gateway.runs.agents.reload((changed, DemoSettings(id="demo")), AGENT)
    sent = await stage.ask(wire, "still there?")
    run = await worker.execute()
    await worker.say(run, "yes")
    await worker.output(run, "done")
    assert await stage.answer(sent) == "yes"


async def test_nothing_is_left_of_connections_that_are_gone(stage: RemoteStage) -> None:
    for worker in [await stage.worker() for _ in range(5)]:
        worker.vanish()
    await until(lambda: stage.gateway.runs.workers.count(AGENT) == 0)
    crew = stage.gateway.runs.workers._served[AGENT].crew(DEFAULT_ORG)
    assert (crew.roster.workers, crew.roster.waiting, crew.waiting) == (0, 0, {})


async def test_a_worker_executes_runs_of_its_own_organization_alone(tmp_path: Path) -> None:
    """Agents are shared by all organizations; what is said in one is none of the others' business."""
    stage = RemoteStage(tmp_path / "two", organizations=(OrganizationSettings(id="org_acme", name="Acme"),))
    await stage.start()
    try:
        ours = await stage.worker(concurrent=8)
        hers = await stage.connect(f"{stage.owner}@org_acme")
        sent = await hers.call("message.send", content=words("the secret plans"))
        stage.secret = await stage.token(Role.AGENT, agent_id=AGENT, org_id="org_acme")
        worker = await stage.worker()
        run = await worker.execute()
        assert run["run_id"] == sent["run_id"]
        assert not [note for note in await ours.wire.quiet() if note["method"] == "run.execute"]
    finally:
        await stage.close()
