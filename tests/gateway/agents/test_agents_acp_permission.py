"""A program that asks leave waits for a person, who sees the whole action and decides about this one only."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from acp.schema import PermissionOption
from acp_stage import PATIENCE_S, Stopwatch, deciding, failed, processes_in, running, told
from agents_stage import MemoryJournal, attempt, decided, make_context
from hypothesis import given as for_all
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from gateway.agents.acp import permission
from gateway.agents.acp.agent import AcpAgent
from gateway.agents.acp.attempt import PROMPT
from gateway.agents.port import AgentAsk, AgentFailure
from protocol import limits
from storage.values import Decided


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[AcpAgent]:
    async with running(tmp_path) as agent:
        yield agent


async def test_what_is_allowed_is_done_once_and_allowed_once(agent: AcpAgent, tmp_path: Path) -> None:
    asked: list[AgentAsk] = []
    journal = MemoryJournal()

    given = await told(agent, "ask c1 done.txt it", journal=journal, ask=deciding(True, asked))

    assert given.text == "permission: once", "never the option that allows it for ever"
    assert (tmp_path / "done.txt").read_text() == "it\n"
    (ask,) = asked
    assert (ask.key, ask.title) == ("permission/c1/1", "coder wants to: append done.txt it")
    assert '```\n{\n  "do": "done.txt it"\n}\n```' in ask.body
    assert ask.subject["tool_call"]["rawInput"] == {"do": "done.txt it"}
    assert ask.subject["options"][0]["kind"] == "allow_always"
    assert journal.ended["within/1/tool/c1"].outcome == "ok"


async def test_what_is_denied_is_not_done(agent: AcpAgent, tmp_path: Path) -> None:
    asked: list[AgentAsk] = []
    journal = MemoryJournal()

    given = await told(agent, "ask c1 done.txt it", "say on", journal=journal, ask=deciding(False, asked))

    assert given.text == "permission: noon"
    assert not (tmp_path / "done.txt").exists()
    assert journal.ended["within/1/tool/c1"].outcome == "error"


async def test_the_call_is_in_the_journal_before_anybody_is_asked(agent: AcpAgent) -> None:
    journal = MemoryJournal()
    begun: list[bool] = []

    async def ask(one: AgentAsk) -> Decided:
        begun.append("within/1/tool/c1" in journal.begun)
        return decided(one)

    await told(agent, "ask c1 done.txt it", journal=journal, ask=ask)

    assert begun == [True]


async def test_each_question_about_a_call_has_a_key_of_its_own(agent: AcpAgent) -> None:
    asked: list[AgentAsk] = []

    await told(agent, "ask c1 done.txt a", "ask c1 done.txt b", ask=deciding(True, asked))

    keys = [ask.key for ask in asked]
    assert len(set(keys)) == 2
    assert len({ask.subject_hash for ask in asked}) == 2


async def test_without_a_way_to_reject_the_agent_is_told_that_nobody_decided(tmp_path: Path) -> None:
    async with running(tmp_path, env={"TEST_OPTIONS": "allow_once,reject_always"}) as agent:
        given = await told(agent, "ask c1 done.txt it", ask=deciding(False, []))

    assert given.text == "permission: cancelled"
    assert not (tmp_path / "done.txt").exists()


async def test_what_can_only_be_allowed_for_ever_is_not_asked(tmp_path: Path) -> None:
    asked: list[AgentAsk] = []
    async with running(tmp_path, env={"TEST_OPTIONS": "allow_always,reject_once"}) as agent:
        failure = await failed(agent, "ask c1 done.txt it", ask=deciding(True, asked))

    assert (failure.kind, asked) == ("bad_output", [])
    assert not (tmp_path / "done.txt").exists()


class Waiting:
    """A person who takes their time."""

    def __init__(self) -> None:
        self.is_asked = asyncio.Event()
        self.was_left = False

    async def __call__(self, ask: AgentAsk) -> Decided:
        self.is_asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.was_left = True
        raise AssertionError


async def test_a_cancelled_run_withdraws_its_question(agent: AcpAgent, tmp_path: Path) -> None:
    person, journal = Waiting(), MemoryJournal()
    context = make_context(journal, "ask c1 done.txt it\nsay on", ask=person)
    run = asyncio.create_task(attempt(agent, context))
    async with asyncio.timeout(PATIENCE_S):
        await person.is_asked.wait()

    watch = Stopwatch()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run

    assert watch.s < 1.0
    assert person.was_left
    assert processes_in(tmp_path) == []
    assert not (tmp_path / "done.txt").exists()
    assert PROMPT not in journal.ended, "what it had done by then is not known"


async def test_a_program_that_ends_while_a_person_decides_fails_the_run(
    agent: AcpAgent, tmp_path: Path
) -> None:
    person = Waiting()

    failure = await failed(agent, "ask-and-go c1 done.txt it", "exit 3", ask=person)

    assert failure.kind == "agent_exited"
    assert not failure.passes, "the question is asked already, another attempt would ask it again"
    assert person.was_left


async def test_a_program_that_ends_its_turn_without_the_decision_breaks_the_protocol(agent: AcpAgent) -> None:
    person = Waiting()

    failure = await failed(agent, "ask-and-go c1 done.txt it", "say bye", ask=person)

    assert failure.kind == "bad_output"
    assert person.was_left


# --- what a person is shown ---------------------------------------------------------------------


def ask_of(**call: object) -> AgentAsk:
    return permission.make_ask("coder", {"toolCallId": "c1", **call}, [], 1)


def test_changes_are_shown_as_text() -> None:
    ask = ask_of(content=[{"type": "diff", "path": "/a.py", "oldText": None, "newText": "x = 1\n"}])

    assert "**new text of** `/a.py`" in ask.body
    assert "```\nx = 1\n\n```" in ask.body


def test_an_action_that_nobody_can_read_is_not_asked() -> None:
    with pytest.raises(AgentFailure, match="too much to be shown") as caught:
        ask_of(rawInput="x" * (permission.BODY_CHARS + 1))
    assert caught.value.kind == "too_large"


def test_titles_are_bounded() -> None:
    ask = permission.make_ask("n" * limits.NAME_CHARS, {"toolCallId": "c1", "title": "t" * 5000}, [], 1)

    assert len(ask.title) <= limits.TITLE_CHARS


def test_the_first_option_of_a_kind_is_chosen() -> None:
    options = [PermissionOption(option_id=name, name=name, kind="allow_once") for name in ("a", "b")]

    allow, reject = permission.find_options(options)

    assert (allow.option_id, reject) == ("a", None)


@for_all(st.text())
def test_nothing_an_agent_writes_gets_out_of_its_block(text: str) -> None:
    plain = text.replace("\r", "").replace("\0", "")

    tokens = MarkdownIt("commonmark").parse(ask_of(rawInput=plain or " ").body)

    assert [token.type for token in tokens] == ["fence"]


@for_all(st.text(min_size=1))
def test_nothing_an_agent_writes_gets_out_of_its_line(text: str) -> None:
    tokens = MarkdownIt("commonmark").parse(ask_of(title=text).body)

    assert [token.type for token in tokens] in ([], ["paragraph_open", "inline", "paragraph_close"])
    inline = [child.type for token in tokens for child in token.children or []]
    assert set(inline) <= {"strong_open", "strong_close", "text", "code_inline"}
