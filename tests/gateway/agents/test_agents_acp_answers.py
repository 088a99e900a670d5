"""What a program that speaks the Agent Client Protocol says becomes an answer, and what it does becomes steps."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acp_stage import failed, processes_in, running, told
from agents_stage import Killed, MemoryJournal, attempt, make_context

from gateway.agents.acp.agent import AcpAgent
from gateway.agents.acp.attempt import PROMPT
from gateway.agents.port import (
    AgentBeat,
    AgentFacts,
    AgentFailure,
    AgentFile,
    AgentText,
    FileUnreadable,
    GivenFile,
)
from protocol.records import Usage
from storage.values import Said


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[AcpAgent]:
    async with running(tmp_path) as agent:
        yield agent


async def test_it_streams_its_answer(agent: AcpAgent, tmp_path: Path) -> None:
    given = await told(agent, "stream 50")

    assert given.text == "".join(f"word-{n + 1} " for n in range(50))
    assert len(given.of(AgentText)) == 50
    assert processes_in(tmp_path) == [], "its program is gone"


async def test_thoughts_are_not_shown_but_are_signs_of_life(agent: AcpAgent) -> None:
    given = await told(agent, "think let me see", "say done")

    assert given.text == "done"
    assert given.of(AgentBeat)


async def test_a_long_answer_comes_whole_and_in_order(agent: AcpAgent) -> None:
    given = await told(agent, "stream 5000")

    assert given.text.split() == [f"word-{n + 1}" for n in range(5000)]


async def test_plans_and_tool_calls_become_steps(agent: AcpAgent) -> None:
    journal = MemoryJournal()

    given = await told(
        agent,
        "plan look; change",
        "say I look.",
        "tool c1 Read notes",
        "fail-tool c2",
        "say Done.",
        journal=journal,
    )

    assert given.text == "I look.\n\nDone.", "what is said behind a call is a paragraph of its own"
    plan, read, doomed = (journal.begun[f"within/1/{key}"] for key in ("plan/1", "tool/c1", "tool/c2"))
    assert (plan.kind, read.kind, doomed.kind) == ("note", "tool", "tool")
    assert plan.repeatable and read.repeatable
    assert [entry["content"] for entry in journal.ended[plan.key].result["entries"]] == ["look", "change"]
    assert read.name == "Read notes"
    assert read.request == {
        "title": "Read notes",
        "kind": "read",
        "locations": None,
        "input": {"path": "notes.txt"},
    }
    assert journal.ended[read.key].outcome == "ok"
    assert journal.ended[read.key].result["output"] == {"n": 1}
    assert journal.ended[doomed.key].outcome == "error"
    assert journal.log.index("begin:prompt/1") < journal.log.index("begin:within/1/tool/c1")


async def test_the_id_of_a_call_may_be_used_again(agent: AcpAgent) -> None:
    journal = MemoryJournal()

    await told(agent, "tool c1 first", "tool c1 second", journal=journal)

    assert journal.begun["within/1/tool/c1"].name == "first"
    assert journal.begun["within/1/tool/c1/2"].name == "second"


async def test_a_call_that_never_ended_is_closed_as_unknown(agent: AcpAgent) -> None:
    journal = MemoryJournal()

    await told(agent, "start-tool c1", "say done", journal=journal)

    assert journal.ended["within/1/tool/c1"].outcome == "unknown"


async def test_usage_is_that_of_the_prompt(agent: AcpAgent) -> None:
    first, second = MemoryJournal(), MemoryJournal()

    await told(agent, "consume 100 20 0.50", journal=first)
    await told(agent, "consume 10 2 0.75", journal=second)

    assert first.ended[PROMPT].usage == Usage(input_tokens=100, output_tokens=20, cost_microusd=500_000)
    assert second.ended[PROMPT].usage == Usage(input_tokens=10, output_tokens=2, cost_microusd=250_000), (
        "the program tells what the session has cost altogether"
    )


async def test_files_that_it_makes_belong_to_the_answer(agent: AcpAgent) -> None:
    given = await told(agent, "image")

    assert given.of(AgentFile) == [AgentFile("image-1", "image/png", b"hello")]


@pytest.mark.parametrize("reason", ["max_tokens", "max_turn_requests"])
async def test_an_answer_that_is_cut_short_says_so(agent: AcpAgent, reason: str) -> None:
    journal = MemoryJournal()

    given = await told(agent, "say so far", f"stop {reason}", journal=journal)

    assert given.text.startswith("so far\n\n*The agent stopped here")
    assert journal.ended[PROMPT].result == {"text": given.text, "stop_reason": reason}


async def test_a_refusal_is_a_failure_of_its_own_kind(agent: AcpAgent) -> None:
    journal = MemoryJournal()

    first = await failed(agent, "stop refusal", journal=journal)
    again = await failed(agent, "stop refusal", journal=journal)

    assert (first.kind, first.passes) == ("content_refused", False)
    assert str(again) == str(first), "told again from the journal"


async def test_an_error_of_the_program_is_shown(agent: AcpAgent) -> None:
    journal = MemoryJournal()

    failure = await failed(agent, "error the model is on holiday", journal=journal)
    again = await failed(agent, "error the model is on holiday", journal=journal)

    assert (failure.kind, str(failure)) == ("agent_error", "It says: the model is on holiday")
    assert journal.ended[PROMPT].outcome == "error"
    assert (again.kind, str(again)) == (failure.kind, str(failure))


# --- sessions -----------------------------------------------------------------------------------


async def test_a_thread_keeps_its_session(agent: AcpAgent) -> None:
    journal = MemoryJournal()

    first = await told(agent, "say one")
    second = await told(agent, "recall", journal=journal)

    (facts,) = first.of(AgentFacts)
    assert second.text == "say one", "the program remembers, and its telling of the past is not an answer"
    assert second.of(AgentFacts) == [facts]
    assert journal.ended["session/1"].result == {
        "session": "load",
        "id": facts.facts["acp_session"],
        "agent": "test-agent 1.0",
    }
    assert journal.begun[PROMPT].request["session"] == "load"


async def test_other_threads_have_other_sessions(agent: AcpAgent) -> None:
    await told(agent, "say one")

    other = await told(agent, "recall", thread_id="thr_2")

    assert other.text == "nothing"


def forget_sessions(directory: Path) -> None:
    for file in directory.glob("ses-*.json"):
        file.unlink()


async def test_a_session_that_is_gone_is_made_anew(agent: AcpAgent, tmp_path: Path) -> None:
    await told(agent, "say one")
    forget_sessions(tmp_path)

    given = await told(agent, "recall")

    assert given.text == "nothing"


def thread(*texts: str) -> Any:
    """A reader of a thread in which the person and the agent speak by turns."""
    said = [Said(n, "assistant" if n % 2 == 0 else "user", text) for n, text in enumerate(texts, start=1)]

    async def read(limit: int) -> list[Said]:
        return said[-limit:]

    return read


async def test_a_program_without_sessions_is_told_the_conversation(tmp_path: Path) -> None:
    async with running(tmp_path, "--no-load") as agent:
        await told(agent, "say one")

        given = await told(agent, "blocks", said=thread("my name is Olga", "hello Olga", "blocks"))

    past, message = json.loads(given.text)
    assert "user: my name is Olga\n\nassistant: hello Olga" in past["text"]
    assert message["text"] == "blocks"


async def test_a_loaded_session_is_told_what_it_missed(agent: AcpAgent) -> None:
    await told(agent, "say one", said=thread("say one"))

    given = await told(
        agent, "blocks", said=thread("say one", "one", "ask the other", "the other says", "blocks")
    )

    past, message = json.loads(given.text)
    assert "user: ask the other\n\nassistant: the other says" in past["text"]
    assert "say one" not in past["text"]
    assert message["text"] == "blocks"


# --- files --------------------------------------------------------------------------------------


def given_file(name: str, media_type: str, data: bytes | None) -> GivenFile:
    async def read() -> bytes:
        if data is None:
            raise FileUnreadable("it is gone")
        return data

    return GivenFile(name, media_type, len(data) if data is not None else None, read)


async def test_files_of_the_message_are_given_as_the_program_takes_them(agent: AcpAgent) -> None:
    journal = MemoryJournal()
    files = (
        given_file("a.png", "image/png", b"png"),
        given_file("b.txt", "text/plain", b"words"),
        given_file("c.bin", "application/pdf", b"\xff"),
        given_file("d.txt", "text/plain", None),
        replace(given_file("e.txt", "text/plain", b""), size_bytes=1 << 30),
    )

    given = await told(agent, "blocks", journal=journal, files=files)

    _, image, text, binary, gone, large = json.loads(given.text)
    assert image["data"] == "cG5n"
    assert text["resource"]["text"] == "words"
    assert binary["resource"]["blob"] == "/w=="
    assert "could not be read: it is gone" in gone["text"]
    assert "too large" in large["text"]
    assert [file["name"] for file in journal.begun[PROMPT].request["files"]] == [file.name for file in files]


# --- the journal --------------------------------------------------------------------------------


async def test_a_recorded_answer_is_told_again_without_a_program(agent: AcpAgent, tmp_path: Path) -> None:
    journal = MemoryJournal()
    first = await told(agent, "effect done.txt once", "say done", journal=journal)
    agent._program = None  # it cannot be started any more

    again = await told(agent, "effect done.txt once", "say done", journal=journal)

    assert again.text == first.text == "done"
    assert (tmp_path / "done.txt").read_text() == "once\n"


@pytest.mark.parametrize("place", ["begin:session/1", "finish:session/1", "begin:prompt/1"])
async def test_a_crash_before_the_prompt_costs_nothing(agent: AcpAgent, tmp_path: Path, place: str) -> None:
    journal = MemoryJournal(dies_at=place)
    with pytest.raises(Killed):
        await told(agent, "effect done.txt once", "say done", journal=journal)

    given = await told(agent, "effect done.txt once", "say done", journal=journal)

    assert given.text == "done"
    assert (tmp_path / "done.txt").read_text() == "once\n"


async def test_a_prompt_that_was_cut_off_is_given_again_when_that_is_allowed(tmp_path: Path) -> None:
    journal = MemoryJournal(dies_at="finish:prompt/1")
    async with running(tmp_path, idempotent=True) as agent:
        with pytest.raises(Killed):
            await told(agent, "tool c1 Read", "blocks", journal=journal)
        given = await told(agent, "tool c1 Read another", "blocks", journal=journal)

    note, message = json.loads(given.text)
    assert "cut off" in note["text"], "it is told that it may have begun already"
    assert message["text"].startswith("tool c1")
    assert journal.begun["within/2/tool/c1"].name == "Read another", "the second try has steps of its own"
    assert journal.ended["within/2/session"].result["id"] == journal.ended["session/1"].result["id"]


async def test_an_allowed_repetition_finds_the_session_that_was_cut_off(tmp_path: Path) -> None:
    journal = MemoryJournal(dies_at="finish:prompt/1")
    async with running(tmp_path) as agent:
        with pytest.raises(Killed):
            await told(agent, "say one", "recall", journal=journal)
    journal.begun[PROMPT] = replace(journal.begun[PROMPT], repeatable=True)  # as a person decides

    async with running(tmp_path) as agent:
        given = await told(agent, "recall", journal=journal)

    assert given.text == "say one\nrecall"


async def test_a_person_may_decide_against_a_repetition(agent: AcpAgent) -> None:
    journal = MemoryJournal(dies_at="finish:prompt/1")
    with pytest.raises(Killed):
        await told(agent, "say one", journal=journal)
    await journal.finish(PROMPT, {"error": "Olga: I did it by hand"}, outcome="skipped")

    failure = await failed(agent, "say one", journal=journal)

    assert failure.kind == "agent_error"
    assert "Olga: I did it by hand" in str(failure)


# --- its surroundings ---------------------------------------------------------------------------


async def test_it_gets_little_of_the_environment_and_its_own_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_SECRET", "not yours")
    monkeypatch.setenv("LC_TIME", "C")

    async with running(tmp_path, env={"API_KEY": "sk-very-secret"}) as agent:
        env = json.loads((await told(agent, "env")).text)

    assert env["API_KEY"] == "sk-very-secret"
    assert env["TERM"] == "dumb"
    assert env["PATH"] == os.environ["PATH"]
    assert env["LC_TIME"] == "C"
    assert "GATEWAY_SECRET" not in env


async def test_it_gets_no_files_and_no_terminal_of_ours(agent: AcpAgent) -> None:
    given = await told(
        agent, "call fs/read_text_file", "call terminal/create", "call _vendor/thing", "say on"
    )

    assert given.text == "fs/read_text_file: -32601terminal/create: -32601_vendor/thing: -32601on"


async def test_several_runs_have_programs_of_their_own(agent: AcpAgent) -> None:
    contexts = [make_context(text=f"stream {n}", thread_id=f"thr_{n}") for n in (1, 2, 3)]

    given = await asyncio.gather(*(attempt(agent, context) for context in contexts))

    assert [len(one.of(AgentText)) for one in given] == [1, 2, 3]


async def test_signing_in_happens_only_when_it_is_demanded_and_can_be_done(tmp_path: Path) -> None:
    async with running(
        tmp_path, "--auth", "--auth-variable", "API_KEY", env={"API_KEY": "sk-very-secret"}
    ) as agent:
        assert (await told(agent, "say in")).text == "in"
    async with running(tmp_path, "--auth", "--auth-variable", "API_KEY") as agent:
        with pytest.raises(AgentFailure, match=r"signed in \(In the browser, Key\)") as caught:
            await told(agent, "say in")
    assert (caught.value.kind, caught.value.passes) == ("unauthorized", False)
