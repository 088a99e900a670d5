"""The demo agent: every attempt says the same, it waits for decisions and answers, and it knows its bounds."""

import pytest
from agents_stage import answered, attempt, decided, make_context

from gateway.agent_settings import DemoSettings
from gateway.agents.demo import DemoAgent
from gateway.agents.port import AgentAsk, AgentFailure, AgentFile, AgentQuestion, FileUnreadable, GivenFile

DEMO = DemoAgent(DemoSettings(id="demo"))


async def said(text: str) -> str:
    return (await attempt(DEMO, make_context(text=text))).text


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("say hello there", "hello there"),
        ("/SAY hello", "hello"),
        ("stream 3 10000", "word-1 word-2 word-3"),
        ("sleep 0.001", "Slept 0.001 s."),
        ("file notes.txt", "Here is notes.txt."),
    ],
)
async def test_a_command_is_answered_and_a_second_attempt_says_the_same(asked: str, wanted: str) -> None:
    assert await said(asked) == wanted
    assert await said(asked) == wanted


async def test_anything_else_is_answered_with_what_it_knows_and_what_can_be_tried() -> None:
    text = await said("what is this?")
    assert "A thread" in text and "a client" in text and "of its last 1 messages 0 are mine" in text
    assert "`approve a release`" in text and "`ask Which one?`" in text


@pytest.mark.parametrize("asked", ["stream 0", "stream nan", "stream 20001", "sleep -1", "long 1e9", "sleep"])
async def test_what_is_beyond_its_bounds_is_refused_with_the_usage(asked: str) -> None:
    with pytest.raises(AgentFailure, match=f"Use `{asked.split()[0]}") as failed:
        await said(asked)
    assert failed.value.kind == "bad_command"


async def test_it_fails_when_told_to() -> None:
    with pytest.raises(AgentFailure) as failed:
        await said("fail")
    assert failed.value.kind == "agent_error" and not failed.value.passes


@pytest.mark.parametrize(("approved", "end"), [(True, "so I did it."), (False, "so I left it.")])
async def test_an_action_waits_for_a_decision_about_exactly_it(approved: bool, end: str) -> None:
    first = await attempt(DEMO, make_context(text="approve the release"))
    (ask,) = first.of(AgentAsk)
    assert "> the release" in ask.body and first.outputs[-1] is ask
    decision = decided(ask, approved, reason="it is Friday")
    second = await attempt(DEMO, make_context(text="approve the release", decisions=(decision,)))
    assert second.text.startswith(first.text) and second.text.endswith(end)
    assert "by Olga (it is Friday)" in second.text
    other = await attempt(DEMO, make_context(text="approve another release", decisions=(decision,)))
    assert other.of(AgentAsk), "a decision about something else is none"


async def test_a_question_waits_for_its_answer_or_the_end_of_patience() -> None:
    (question,) = (await attempt(DEMO, make_context(text="ask Which one?"))).of(AgentQuestion)
    assert question.prompt == "Which one?"
    told = make_context(text="ask Which one?", answers=(answered(question.key, "The second"),))
    assert (await attempt(DEMO, told)).text == "Olga said: The second"
    late = make_context(text="ask Which one?", answers=(answered(question.key, None),))
    assert (await attempt(DEMO, late)).text == "Nobody answered in time."


async def test_a_file_is_given_with_the_words_that_were_asked_for() -> None:
    (file,) = (await attempt(DEMO, make_context(text="file notes.txt buy milk"))).of(AgentFile)
    assert (file.name, file.media_type, file.data) == ("notes.txt", "text/plain", b"buy milk\n")


async def test_files_are_looked_at_and_missing_ones_named() -> None:
    async def read() -> bytes:
        return b"abc"

    async def fail() -> bytes:
        raise FileUnreadable("gone")

    files = (GivenFile("a.txt", "text/plain", 3, read), GivenFile("b", "", None, fail, error="too large"))
    text = (await attempt(DEMO, make_context(files=files))).text
    assert "`a.txt`: text/plain, 3 bytes, SHA-256 ba7816bf8f01…" in text
    assert "`b` did not arrive: too large" in text
