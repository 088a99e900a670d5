"""Tools of MCP servers over stdio: real programs that work, misbehave and die."""

import asyncio
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from agents_stage import MemoryJournal, decided, make_context
from pydantic import SecretStr
from tools_stage import call, effects, effects_at, is_alive, make_parts, tool_settings, toolbox, until

from gateway.agents.port import AgentFailure
from gateway.agents.tools.toolbox import Toolbox
from gateway.agents.tools.use import leave, told

MUCH_LESS_S = 30.0
"""Than a minute, on a busy machine."""
SOON_S = 0.3
"""Too short for a call that hangs."""


@pytest.fixture
def paid(tmp_path: Path) -> Path:
    return tmp_path / "effects"


async def test_tools_are_listed_with_their_server_and_their_hints(tmp_path: Path, paid: Path) -> None:
    async with toolbox(tmp_path, effects_at(paid, requires_approval=("pay",)), tools=("clock",)) as box:
        tools = await box.tools()

    assert set(tools) == {"clock", "till.pay", "till.look", "till.surroundings"}
    assert not tools["till.pay"].is_repeatable
    assert tools["till.pay"].requires_approval
    assert tools["till.look"].is_repeatable  # readOnlyHint
    assert tools["till.surroundings"].is_repeatable  # idempotentHint
    assert not tools["till.look"].requires_approval
    assert tools["till.pay"].parameters["required"] == ["id"]


async def test_the_configuration_can_say_what_is_idempotent_and_that_all_needs_approval(
    tmp_path: Path, paid: Path
) -> None:
    settings = effects_at(paid, idempotent=("pay",), requires_approval="all")
    async with toolbox(tmp_path, settings) as box:
        tools = await box.tools()
        assert tools["till.pay"].is_repeatable
        assert all(tool.requires_approval for tool in tools.values())


async def test_a_call_has_its_effect_once_and_is_not_made_again_from_the_journal(
    tmp_path: Path, paid: Path
) -> None:
    context = make_context()
    async with toolbox(tmp_path, effects_at(paid)) as box:
        first = await call(box, "till.pay", {"id": "a"}, context)
        again = await call(box, "till.pay", {"id": "a"}, context)
        look = await call(box, "till.look", {}, context, key="2")

    assert first == again
    assert told(first) == "paid a"
    assert told(look) == {"paid": ["a"]}  # structured content is passed as it is
    assert effects(paid) == ["a"]


async def test_a_tool_that_says_it_failed_is_a_failed_step(tmp_path: Path, paid: Path) -> None:
    async with toolbox(tmp_path, effects_at(paid)) as box:
        record = await call(box, "till.pay", {"id": "a", "then": "error"})
    assert (record.outcome, told(record)) == ("error", "no money left")


async def test_arguments_that_do_not_fit_never_reach_the_server(tmp_path: Path, paid: Path) -> None:
    async with toolbox(tmp_path, effects_at(paid)) as box:
        for key, arguments in enumerate(
            [{}, {"id": 1}, {"id": "a", "more": 1}, [], None, {"id": float("nan")}]
        ):
            assert (await call(box, "till.pay", arguments, key=str(key))).outcome == "error"
    assert effects(paid) == []


async def test_a_call_that_hangs_ends_at_its_deadline_and_its_effect_is_in_doubt(
    tmp_path: Path, paid: Path
) -> None:
    async with toolbox(tmp_path, effects_at(paid)) as box:
        await box.tools()
        record = await call(box, "till.pay", {"id": "a", "then": "hang"}, in_s=SOON_S)
        other = await call(box, "till.look", {}, key="2")

    assert record.outcome == "unknown"
    assert told(record) == (
        "The tool till.pay gave no answer within 0.3 s. Whether it had an effect is not known."
    )
    assert told(other) == {"paid": ["a"]}


async def test_a_call_that_is_cancelled_lets_go_at_once_though_the_server_reads_nothing(
    tmp_path: Path, paid: Path
) -> None:
    async with toolbox(tmp_path, effects_at(paid)) as box:
        told_pid = told(await call(box, "till.surroundings", {}))
        running = asyncio.create_task(call(box, "till.pay", {"id": "a", "then": "hang"}, key="2", in_s=60))
        await until(lambda: effects(paid) == ["a"], "the call has begun")
        os.kill(told_pid["pid"], signal.SIGSTOP)
        began = time.monotonic()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert time.monotonic() - began < 2  # the package itself would take five seconds


async def test_a_server_that_dies_during_a_call_says_how_and_comes_back(tmp_path: Path, paid: Path) -> None:
    async with toolbox(tmp_path, effects_at(paid)) as box:
        record = await call(box, "till.pay", {"id": "a", "then": "exit"})
        after = await call(box, "till.pay", {"id": "b"}, key="2")

    assert record.outcome == "unknown"
    assert told(record) == (
        "The server till was lost during the call: it ended with exit code 3: the till is on fire. "
        "Whether the call had an effect is not known."
    )
    assert told(after) == "paid b"
    assert effects(paid) == ["a", "b"]


async def test_a_killed_server_is_named_with_its_signal(tmp_path: Path, paid: Path) -> None:
    async with toolbox(tmp_path, effects_at(paid)) as box:
        pid = told(await call(box, "till.surroundings", {}))["pid"]
        running = asyncio.create_task(call(box, "till.pay", {"id": "a", "then": "hang"}, key="2", in_s=60))
        await until(lambda: effects(paid) == ["a"], "the call has begun")
        os.kill(pid, signal.SIGKILL)
        assert "it was ended by signal 9" in told(await running)


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        ("flood", "it sent more than a connection may"),
        ("babble", "it does not speak the Model Context Protocol"),
        ("huge", "it sent a message of more than 4194304 bytes"),
    ],
)
async def test_a_server_that_floods_is_cut_off_and_others_go_on(
    tmp_path: Path, paid: Path, then: str, reason: str
) -> None:
    calm = tmp_path / "calm"
    async with toolbox(tmp_path, effects_at(paid), effects_at(calm, name="calm")) as box:
        await box.tools()
        flooded, other = await asyncio.gather(
            call(box, "till.pay", {"id": "a", "then": then}),
            call(box, "calm.pay", {"id": "b"}, key="2"),
        )

    assert flooded.outcome == "unknown"
    assert reason in told(flooded)
    assert told(other) == "paid b"


async def test_a_program_that_is_not_there_is_a_clear_error_and_the_rest_works(tmp_path: Path) -> None:
    gone = {"name": "gone", "command": ("no-such-program",)}
    async with toolbox(tmp_path, gone, tools=("clock",)) as box:
        tools = await box.tools()
        record = await call(box, "gone.pay", {"id": "a"})

    assert set(tools) == {"clock"}
    assert "No such file or directory" in tools.missing["gone"]
    assert record.outcome == "error"
    assert "The server gone cannot be used: " in told(record)


async def test_a_program_that_ends_at_once_is_started_less_and_less_often(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    script = f"open({str(starts)!r}, 'a').write('x\\n'); raise SystemExit('no licence')"
    async with toolbox(tmp_path, {"name": "bad", "command": (sys.executable, "-c", script)}) as box:
        first = await box.tools()
        assert "exit code 1: no licence" in first.missing["bad"]
        for _ in range(20):
            await box.tools()
            await asyncio.sleep(0)
    assert len(effects(starts)) <= 4


async def test_an_unknown_tool_says_which_there_are(tmp_path: Path, paid: Path) -> None:
    async with toolbox(tmp_path, effects_at(paid), tools=("clock",)) as box:
        record = await call(box, "till.steal", {})
    assert told(record) == (
        "There is no tool 'till.steal'. There are: clock, till.look, till.pay, till.surroundings."
    )


async def test_a_program_sees_nothing_of_our_environment_but_what_it_needs(
    tmp_path: Path, paid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_GATEWAY", "x")
    monkeypatch.setenv("LC_TIME", "C")
    async with toolbox(tmp_path, effects_at(paid, env={"EFFECTS": str(paid), "TOKEN": "t"})) as box:
        seen = told(await call(box, "till.surroundings", {}))

    assert set(seen["env"]) <= {
        "PATH",
        "HOME",
        "LANG",
        "LANGUAGE",
        "LC_ALL",
        "LC_CTYPE",
        "LC_TIME",
        "EFFECTS",
        "TOKEN",
    }
    assert seen["env"]["TOKEN"] == "t"
    assert seen["env"]["LC_TIME"] == "C"
    assert seen["cwd"] == str(tmp_path)


async def test_stop_ends_the_program_with_its_children(tmp_path: Path, paid: Path) -> None:
    async with toolbox(tmp_path, effects_at(paid)) as box:
        seen = told(await call(box, "till.surroundings", {"child": True}))
        assert is_alive(seen["pid"]) and is_alive(seen["child"])
    await until(lambda: not is_alive(seen["pid"]) and not is_alive(seen["child"]), "the whole group is gone")


async def test_stop_ends_a_program_that_does_not_react(tmp_path: Path, paid: Path) -> None:
    async with toolbox(tmp_path, effects_at(paid)) as box:
        pid = told(await call(box, "till.surroundings", {}))["pid"]
        os.kill(pid, signal.SIGSTOP)
    await until(lambda: not is_alive(pid), "a stopped program is killed")


async def test_stopping_twice_and_without_a_start_is_fine(tmp_path: Path, paid: Path) -> None:
    async with toolbox(tmp_path, effects_at(paid)) as box:
        await box.stop()
        record = await call(box, "till.look", {})
        assert record.outcome == "error"


async def test_starting_waits_for_no_server_and_stopping_for_no_start(tmp_path: Path) -> None:
    slow = {"name": "slow", "command": (sys.executable, "-c", "import time; time.sleep(60)")}
    async with asyncio.timeout(MUCH_LESS_S):
        async with toolbox(tmp_path, slow):
            pass


async def test_a_secret_that_is_missing_is_said_at_the_start(tmp_path: Path, paid: Path) -> None:
    def missing(reference: SecretStr) -> str:
        raise AgentFailure("missing_secret", "env:TILL is not set")

    settings = tool_settings(mcp=(effects_at(paid),))
    box = Toolbox.of(settings, replace(make_parts(tmp_path), secret=missing))
    with pytest.raises(AgentFailure, match="env:TILL is not set"):
        await box.start()
    await box.stop()


async def test_every_attempt_of_a_run_has_the_tools_of_the_first(tmp_path: Path, paid: Path) -> None:
    journal = MemoryJournal()
    async with toolbox(tmp_path, effects_at(paid)) as box:
        first = await box.tools(journal)
    async with toolbox(tmp_path, {"name": "till", "command": ("no-such-program",)}) as box:
        later = await box.tools(journal)
        assert set(later) == set(first)
        assert later["till.pay"].parameters == first["till.pay"].parameters


async def test_a_call_that_needs_approval_is_made_only_with_it(tmp_path: Path, paid: Path) -> None:
    async with toolbox(tmp_path, effects_at(paid, requires_approval=("pay",))) as box:
        pay = (await box.tools())["till.pay"]
        ask = leave(pay, "1", {"id": "a"}, make_context())
        assert ask is not None
        unasked = await call(box, "till.pay", {"id": "a"})
        denied = await call(
            box, "till.pay", {"id": "a"}, make_context(decisions=(decided(ask, False, "too dear"),))
        )
        assert effects(paid) == []
        approved = make_context(decisions=(decided(ask),))
        other = await call(box, "till.pay", {"id": "b"}, approved)
        assert effects(paid) == []
        done = await call(box, "till.pay", {"id": "a"}, make_context(decisions=(decided(ask),)))

    assert told(unasked) == told(other) == "The call needs the approval of a person, and nobody was asked."
    assert told(denied) == "The call was not approved by Olga: too dear."
    assert told(done) == "paid a"
    assert effects(paid) == ["a"]
