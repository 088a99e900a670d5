"""Programs that are missing, end, hang, flood or talk nonsense: each a clear failure, and others go on."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from acp_stage import Stopwatch, failed, make_agent, processes_in, running, told
from agents_stage import MemoryJournal
from hypothesis import given as for_all
from hypothesis import strategies as st

from gateway.agents.acp.attempt import PROMPT
from gateway.agents.acp.wire import problem_of
from gateway.agents.port import AgentFailure
from protocol import limits


async def refusal(directory: Path, **settings: Any) -> AgentFailure:
    """How the start of an agent fails."""
    with pytest.raises(AgentFailure) as caught:
        await make_agent(directory, **settings).start()
    return caught.value


# --- configuration ------------------------------------------------------------------------------


async def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    failure = await refusal(tmp_path, cwd=tmp_path / "none")

    assert failure.kind == "bad_configuration"
    assert "none" in str(failure)


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    for command in ("no-such-program", "./no-such-program"):
        failure = await refusal(tmp_path, command=(command,))
        assert failure.kind == "bad_configuration"
        assert "no-such-program" in str(failure)


async def test_a_program_that_is_not_executable(tmp_path: Path) -> None:
    (tmp_path / "agent.sh").write_text("echo hello")

    failure = await refusal(tmp_path, command=("./agent.sh",))

    assert (failure.kind, str(failure)) == ("bad_configuration", "./agent.sh is not executable.")


async def test_an_environment_that_cannot_be(tmp_path: Path) -> None:
    assert (await refusal(tmp_path, env={"A=B": "value"})).kind == "bad_configuration"


async def test_a_directory_that_goes_away_later(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    async with running(place) as agent:
        place.rmdir()
        failure = await failed(agent, "say hello")

    assert failure.kind == "bad_configuration"


async def test_a_program_that_cannot_be_executed(tmp_path: Path) -> None:
    script = tmp_path / "agent.sh"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    async with running(tmp_path, command=("./agent.sh",)) as agent:
        failure = await failed(agent, "say hello")

    assert failure.kind == "agent_exited"
    assert "exit code 127" in str(failure) and "cannot execute" in str(failure)


# --- before the prompt: it passes, and leaves nothing behind whose outcome is unknown -----------


async def test_a_program_that_ends_at_its_start(tmp_path: Path) -> None:
    journal = MemoryJournal()
    async with running(tmp_path, "--start", "exit") as agent:
        failure = await failed(agent, "say hello", journal=journal)

    assert (failure.kind, failure.passes) == ("agent_exited", True)
    assert (
        str(failure) == "It ended with exit code 7 before it had answered. Its last words: no licence found"
    )
    assert PROMPT not in journal.begun
    async with running(tmp_path) as agent:
        assert (await told(agent, "say hello", journal=journal)).text == "hello"


async def test_a_program_that_hangs_at_its_start(tmp_path: Path) -> None:
    async with running(tmp_path, "--start", "hang", start_timeout_s=2.5) as agent:
        failure = await failed(agent, "say hello")

    assert (failure.kind, failure.passes) == ("timeout", True)
    assert str(failure) == "It was not ready within 2.5 s."
    assert processes_in(tmp_path) == []


async def test_a_program_of_another_protocol_version(tmp_path: Path) -> None:
    async with running(tmp_path, "--version", "9") as agent:
        failure = await failed(agent, "say hello")

    assert (failure.kind, failure.passes) == ("bad_output", False)
    assert "version 9" in str(failure)


async def test_a_program_that_greets_people(tmp_path: Path) -> None:
    async with running(tmp_path, "--start", "garbage") as agent:
        failure = await failed(agent, "say hello")

    assert failure.kind == "bad_output"
    assert str(failure) == "It sent something that is no JSON: Welcome to the agent!"


# --- while it answers ---------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "how"), [("exit 3", "with exit code 3"), ("die SIGSEGV", "by SIGSEGV")])
async def test_a_program_that_ends(tmp_path: Path, command: str, how: str) -> None:
    journal = MemoryJournal()
    async with running(tmp_path, env={"API_KEY": "sk-very-secret"}) as agent:
        failure = await failed(agent, "stderr the key is sk-very-secret", command, journal=journal)

    assert (failure.kind, failure.passes) == ("agent_exited", True), (
        "whether it is asked again is settled first"
    )
    assert str(failure) == f"It ended {how} before it had answered. Its last words: the key is [secret]"
    assert PROMPT in journal.begun and PROMPT not in journal.ended, "nobody knows what it did"


NONSENSE = {
    "garbage": "oops",
    "a number": "5",
    "a batch": '[{"jsonrpc":"2.0","method":"x"}]',
    "another version": '{"jsonrpc":"1.0","id":0,"result":{}}',
    "an id that is no id": '{"jsonrpc":"2.0","id":[],"result":{}}',
    "an error that is none": '{"jsonrpc":"2.0","id":2,"error":"bad"}',
    "not a number": '{"jsonrpc":"2.0","method":"session/update","params":NaN}',
    "an update that is none": '{"jsonrpc":"2.0","method":"session/update","params":{"update":{}}}',
    "a call without an id": (
        '{"jsonrpc":"2.0","method":"session/update","params":'
        '{"sessionId":"SESSION","update":{"sessionUpdate":"tool_call","title":"x"}}}'
    ),
    "a permission for nothing": '{"jsonrpc":"2.0","id":7,"method":"session/request_permission","params":{}}',
}


async def test_a_program_that_talks_nonsense(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:

        async def try_out(what: str, line: str) -> None:
            journal = MemoryJournal()
            failure = await failed(
                agent, "say so far", f"raw {line}", "hang", journal=journal, thread_id=what
            )
            assert (what, failure.kind, failure.passes) == (what, "bad_output", False)
            assert journal.ended[PROMPT].outcome == "error"

        for what, line in NONSENSE.items():
            await try_out(what, line)
    assert processes_in(tmp_path) == []


async def test_what_later_versions_say_is_passed_over(tmp_path: Path) -> None:
    update = {"sessionId": "SESSION", "update": {"sessionUpdate": "hologram", "x": 1}}
    later = json.dumps({"jsonrpc": "2.0", "method": "session/update", "params": update})
    async with running(tmp_path) as agent:
        given = await told(agent, f"raw {later}", 'raw {"jsonrpc":"2.0","method":"$/whatever"}', "say on")

    assert given.text == "on"


async def test_a_program_that_floods(tmp_path: Path) -> None:
    async with running(tmp_path, output_bytes=256 * limits.KIB) as agent:
        failure = await failed(agent, "flood 100000000")

    assert (failure.kind, failure.passes) == ("too_large", False)
    assert processes_in(tmp_path) == []


async def test_a_program_that_sends_one_huge_line(tmp_path: Path) -> None:
    async with running(tmp_path, output_bytes=256 * limits.KIB) as agent:
        failure = await failed(agent, "line 100000")

    assert failure.kind == "too_large"
    assert str(failure) == "It sent a line of more than 65536 bytes."


async def test_what_a_loaded_session_tells_does_not_count_as_the_answer(tmp_path: Path) -> None:
    async with running(tmp_path, output_bytes=64 * limits.KIB) as agent:
        await told(agent, "flood 40000")
        given = await told(agent, "flood 40000")

    assert len(given.text) == 40_000


async def test_one_that_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        good = asyncio.create_task(told(agent, "stream 20", thread_id="thr_good"))
        bad = await failed(agent, "raw oops", "hang", thread_id="thr_bad")
        given = await good

    assert bad.kind == "bad_output"
    assert len(given.text.split()) == 20


async def test_limits_are_those_of_the_system(tmp_path: Path) -> None:
    async with running(tmp_path, memory_mb=600, files_max=64, cpu_s=20) as agent:
        few = await told(agent, "files 100")
        heavy = await failed(agent, "allocate 800", thread_id="thr_2")
    assert few.text.startswith("Too many open files after ")
    assert heavy.kind == "agent_error", "it got a MemoryError, and said so"


async def test_a_program_that_burns_its_processor_time(tmp_path: Path) -> None:
    watch = Stopwatch()
    async with running(tmp_path, cpu_s=3) as agent:
        failure = await failed(agent, "burn")

    assert failure.kind == "agent_exited"
    assert "SIGXCPU" in str(failure)
    assert watch.s < 60


# --- envelopes ----------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["jsonrpc", "id", "method", "params", "result", "error", "other"])


@for_all(
    st.dictionaries(NAMES, JSON | st.just("2.0") | st.fixed_dictionaries({"code": JSON, "message": JSON}))
)
def test_an_envelope_that_passes_can_be_taken_apart_safely(message: dict[str, Any]) -> None:
    if problem_of(message) is not None:
        return
    assert message["jsonrpc"] == "2.0"
    hash(message.get("id"))
    if "method" in message:
        assert isinstance(message["method"], str)
    elif "result" not in message:
        assert isinstance(message["error"]["code"], int)
        assert isinstance(message["error"]["message"], str)


@for_all(JSON.filter(lambda value: not isinstance(value, dict)))
def test_only_objects_are_messages(value: Any) -> None:
    assert problem_of(value) == "it is no object"
