"""Commands of devices as tools of agents: offered by their declaration, done once, told honestly."""

from pathlib import Path
from typing import Any

import pytest
from device_stage import Key, RawDevice, command, dial, paired
from gateway_stage import Frame, Stage, Wire, eventually, words

from gateway.agent_settings import McpSettings, ScriptSettings
from gateway.agents.parts import AgentParts
from gateway.agents.port import AgentFailure
from gateway.agents.tools.toolbox import Toolbox
from gateway.policy_settings import PolicySettings
from storage.values import DEFAULT_ORG

SCRIPT = """
default:
  - tool: {name: device.hall.echo, arguments: {text: "{{text}}"}, save_as: heard}
  - say: "{{heard}}"
scenarios: []
"""
COMMANDS = [command(), command("open", risk="medium")]


class DeviceAgentStage(Stage):
    """A gateway whose default agent plays a script that uses a device."""

    def __init__(self, directory: Path, **agent: Any) -> None:
        (directory / "script.yaml").write_text(SCRIPT)
        settings = ScriptSettings(
            id="butler", kind="script", script=directory / "script.yaml", **{"devices": ("hall",), **agent}
        )
        super().__init__(directory / "data", agents=(settings,))

    async def ended(self, sent: Frame) -> tuple[str, str]:
        """How the run ended, and what it said."""

        async def over() -> str | None:
            run = await self.store.runs.get(DEFAULT_ORG, sent["run_id"])
            return run.state.value if run.ended_at is not None else None

        state: str = await eventually(over)
        texts = [
            part["text"]
            for event in await self.log(sent["thread_id"])
            if event["kind"] == "message.created" and event["data"]["message"]["role"] == "assistant"
            for part in event["data"]["message"]["content"]
        ]
        return state, "".join(texts)


@pytest.fixture
async def house(tmp_path: Path) -> Any:
    made = DeviceAgentStage(tmp_path)
    await made.start()
    yield made
    await made.close()


async def ask(wire: Wire, text: str = "hello") -> Frame:
    return await wire.call("message.send", content=words(text))


async def back(stage: Stage, key: Key) -> RawDevice:
    device = await dial(stage, key)
    await device.hello(commands=COMMANDS)
    return device


async def test_an_agent_uses_the_command_of_a_device(house: DeviceAgentStage) -> None:
    wire = await house.connect()
    device = await paired(house, wire, commands=COMMANDS, name="hall")
    sent = await ask(wire)
    frame = await device.asked()
    assert (frame["params"]["command"], frame["params"]["params"]) == ("echo", {"text": "hello"})
    await device.answer(frame, "I heard it")
    assert await house.ended(sent) == ("completed", "I heard it")
    (step,) = [
        one for one in (await wire.call("run.steps", run_id=sent["run_id"]))["steps"] if one["kind"] == "tool"
    ]
    assert (step["name"], step["outcome"], step["result"]) == ("device.hall.echo", "ok", "I heard it")
    entries = (await wire.call("audit.list", action="device.invoke"))["entries"]
    assert [(one["actor"]["id"], one["actor"]["kind"]) for one in entries] == [("butler", "agent")]


async def test_a_device_that_is_not_here_is_waited_for(house: DeviceAgentStage) -> None:
    wire = await house.connect()
    device = await paired(house, wire, commands=COMMANDS, name="hall")
    await device.wire.close()
    sent = await ask(wire)
    again = await back(house, device.key)
    await again.answer(await again.asked(), "late")
    assert await house.ended(sent) == ("completed", "late")


async def test_a_device_that_does_not_come_is_said_so(tmp_path: Path) -> None:
    house = DeviceAgentStage(tmp_path, step_timeout_s=0.3)
    await house.start()
    try:
        wire = await house.connect()
        device = await paired(house, wire, commands=COMMANDS, name="hall")
        await device.wire.close()
        state, text = await house.ended(await ask(wire))
        assert (state, "is not connected: nothing was sent" in text) == ("completed", True)
        again = await back(house, device.key)
        state, text = await house.ended(await ask(wire))
        assert (state, "is not known" in text) == ("completed", True), "it was sent and never answered"
        assert (await again.asked())["params"]["recall"] is False
    finally:
        await house.close()


async def test_what_fails_on_the_device_is_told_to_the_agent(house: DeviceAgentStage) -> None:
    wire = await house.connect()
    device = await paired(house, wire, commands=COMMANDS, name="hall")
    sent = await ask(wire)
    await device.fail(await device.asked(), "jammed", "The door is jammed")
    assert "The door is jammed" in (await house.ended(sent))[1]


async def test_a_restart_in_the_middle_invokes_nothing_twice(house: DeviceAgentStage) -> None:
    wire = await house.connect()
    device = await paired(house, wire, commands=COMMANDS, name="hall")
    sent = await ask(wire)
    frame = await device.asked()
    await house.restart()
    again = await back(house, device.key)
    recall = await again.asked()
    assert recall["params"]["recall"] is True
    assert recall["params"]["invocation_id"] == frame["params"]["invocation_id"]
    await again.answer(recall, "once")
    assert await house.ended(sent) == ("completed", "once")
    assert await again.wire.quiet() == []


async def with_policies(tmp_path: Path, *policies: PolicySettings) -> DeviceAgentStage:
    house = DeviceAgentStage(tmp_path)
    await house.start(policies=policies)
    return house


async def test_a_policy_has_people_asked_before_a_device_is_told(tmp_path: Path) -> None:
    rule = PolicySettings(name="door", effect="require_approval", kind=("device",), tool=("hall.echo",))
    house = await with_policies(tmp_path, rule)
    try:
        wire = await house.connect()
        device = await paired(house, wire, commands=COMMANDS, name="hall")
        sent = await ask(wire)

        async def asked() -> list[Frame]:
            found: list[Frame] = (await wire.call("approval.list", state="pending"))["approvals"]
            return found

        (approval,) = await eventually(asked)
        assert "hello" in approval["body"], "the whole of it is shown"
        assert await device.wire.quiet() == [], "nothing is sent before"
        await wire.call("approval.decide", approval_id=approval["id"], decision="approve")
        await device.answer(await device.asked(), "let in")
        assert await house.ended(sent) == ("completed", "let in")
    finally:
        await house.close()


async def test_an_agent_is_denied_what_is_of_high_risk_unless_a_policy_says_so(tmp_path: Path) -> None:
    house = await with_policies(tmp_path)
    try:
        wire = await house.connect()
        device = await paired(house, wire, commands=[command(risk="high")], name="hall")
        state, text = await house.ended(await ask(wire))
        assert (state, "must not be used here" in text) == ("completed", True)
        assert await device.wire.quiet() == []
        await house.restart(policies=(PolicySettings(name="ok", effect="allow", tool=("hall.echo",)),))
        again = await dial(house, device.key)
        await again.hello(commands=[command(risk="high")])
        sent = await ask(await house.connect())
        await again.answer(await again.asked(), "done")
        assert await house.ended(sent) == ("completed", "done")
    finally:
        await house.close()


async def test_devices_that_the_settings_do_not_name_are_no_tools(house: DeviceAgentStage) -> None:
    wire = await house.connect()
    await paired(house, wire, commands=COMMANDS, name="attic")
    assert "There is no tool 'device.hall.echo'" in (await house.ended(await ask(wire)))[1]


async def test_stars_name_many_and_other_organizations_none(house: DeviceAgentStage) -> None:
    wire = await house.connect()
    await paired(house, wire, commands=COMMANDS, name="hall")
    parts = AgentParts(Path(), lambda reference: "", devices=house.gateway.governance.invocations)
    settings = ScriptSettings(id="butler", kind="script", script=Path("x"), devices=("h*",))
    box = Toolbox.of(settings, parts)
    tools = await box.tools()
    assert sorted(tools) == ["device.hall.echo", "device.hall.open"]
    assert (tools["device.hall.open"].risk, tools["device.hall.open"].kind) == ("medium", "device")  # type: ignore[attr-defined]
    assert sorted(await box.tools(None, "org_other")) == []


def test_settings_that_cannot_be_are_refused() -> None:
    server = McpSettings(name="device", command=("x",))
    settings = ScriptSettings(id="a", kind="script", script=Path("x"), devices=("*",), mcp=(server,))
    with pytest.raises(AgentFailure, match="cannot be called device"):
        Toolbox.of(settings, AgentParts(Path(), lambda reference: ""))
    settings = ScriptSettings(id="a", kind="script", script=Path("x"), devices=("*",))
    with pytest.raises(AgentFailure, match="no devices"):
        Toolbox.of(settings, AgentParts(Path(), lambda reference: ""))
