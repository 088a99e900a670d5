"""Agents of kind script: every kind of step, what is matched, what is refused, and a crash at every place."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml
from agents_stage import Given, Killed, MemoryJournal, answered, attempt, decided, make_context
from hypothesis import given, settings
from hypothesis import strategies as st
from tools_stage import effects, effects_at, make_parts, script_settings

from gateway.agents.port import (
    AgentAsk,
    AgentBeat,
    AgentFailure,
    AgentFile,
    AgentQuestion,
    AgentText,
    AgentUsage,
    RunContext,
    Step,
)
from gateway.agents.script.agent import ScriptAgent, create
from gateway.agents.script.scenarios import BadScript, read_script
from gateway.agents.script.texts import BadValue, fill, fill_all
from protocol.records import Usage
from storage.run_values import Steered

MUCH_LESS_S = 20.0
"""Than a minute, on a busy machine."""
EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "script.yaml"


async def player(directory: Path, content: Any, **settings: Any) -> ScriptAgent:
    """A started agent that plays this; whoever uses MCP servers stops it."""
    (directory / "script.yaml").write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    agent = create(script_settings(Path("script.yaml"), **settings), make_parts(directory))
    await agent.start()
    return agent


async def play(
    directory: Path, steps: list[Any], context: RunContext | None = None, **settings: Any
) -> Given:
    """One attempt at these steps."""
    agent = await player(directory, {"default": steps, "scenarios": []}, **settings)
    return await attempt(agent, context or make_context())


# --- steps -----------------------------------------------------------------------------------------


async def test_say_tells_a_text_with_the_message_in_it(tmp_path: Path) -> None:
    assert (await play(tmp_path, [{"say": "You said {{text}}."}])).text == "You said hello."


async def test_stream_tells_word_by_word_at_its_rate(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    told = await play(tmp_path, [{"stream": {"text": "one two three ", "words": 3, "rate": 50}}])
    assert loop.time() - began >= 5 / 50
    assert [output.text for output in told.of(AgentText)] == [
        "one ",
        "two ",
        "three ",
        "word-1 ",
        "word-2 ",
        "word-3 ",
    ]


async def closed(key: str) -> MemoryJournal:
    """A journal in which this note of an earlier attempt is closed."""
    journal = MemoryJournal()
    await journal.begin(Step(key, "note", "", None))
    await journal.finish(key, None)
    return journal


async def test_a_stream_that_was_told_is_told_at_once_in_a_later_attempt(tmp_path: Path) -> None:
    async with asyncio.timeout(MUCH_LESS_S):
        steps = [{"stream": {"words": 60, "rate": 1}}]
        told = await play(tmp_path, steps, make_context(await closed("stream/1")))
    assert told.text.endswith("word-60 ")


async def test_a_tool_is_used_once_and_its_result_saved(tmp_path: Path) -> None:
    context = make_context(text="6 * 7")
    steps = [
        {"tool": {"name": "calculator", "arguments": {"expression": "{{text}}"}, "save_as": "sum"}},
        {"say": "{{sum}}"},
    ]
    told = await play(tmp_path, steps, context, tools=["calculator"])
    assert told.text == '{"exact":true,"result":"42"}'
    assert context.journal.log == ["begin:tool/1", "finish:tool/1"]  # type: ignore[attr-defined]


async def test_what_a_tool_could_not_do_is_a_result_too(tmp_path: Path) -> None:
    steps = [{"tool": {"name": "calculator", "arguments": [1]}}, {"say": "{{result}}"}]
    told = await play(tmp_path, steps, tools=["calculator"])
    assert told.text == "The arguments must be a JSON object, not a list."
    told = await play(tmp_path, [{"tool": "hammer"}, {"say": "{{result}}"}])
    assert told.text == "There is no tool 'hammer'. There are: none."


async def test_a_tool_that_needs_approval_waits_for_it(tmp_path: Path) -> None:
    steps = [{"tool": {"name": "calculator", "arguments": {"expression": "1+1"}}}, {"say": "{{result}}"}]
    settings = {"tools": ["calculator"], "requires_approval": ["calculator"]}
    asked = await play(tmp_path, steps, **settings)
    (ask,) = asked.of(AgentAsk)
    assert asked.outputs[-1] is ask
    assert (ask.subject["tool"], ask.subject["arguments"]) == ("calculator", {"expression": "1+1"})

    allowed = await play(tmp_path, steps, make_context(decisions=(decided(ask),)), **settings)
    denied = await play(tmp_path, steps, make_context(decisions=(decided(ask, False, "no"),)), **settings)
    assert allowed.text == '{"exact":true,"result":"2"}'
    assert denied.text == "The call was not approved by Olga: no."


async def test_an_approval_leads_to_one_of_two_ends(tmp_path: Path) -> None:
    then = [{"say": "done, says {{decided_by}}"}]
    steps = [
        {"say": "May I? "},
        {"approval": {"title": "Paint it", "body": "red", "then": then, "else": [{"say": "no: {{reason}}"}]}},
        {"say": " End."},
    ]
    asked = await play(tmp_path, steps)
    (ask,) = asked.of(AgentAsk)
    assert (ask.title, ask.body, asked.text) == ("Paint it", "red", "May I? ")
    yes = await play(tmp_path, steps, make_context(decisions=(decided(ask),)))
    no = await play(tmp_path, steps, make_context(decisions=(decided(ask, False, "ugly"),)))
    assert yes.text == "May I? done, says Olga End."
    assert no.text == "May I? no: ugly End."


@pytest.mark.parametrize(("answer", "text"), [("Bob", "Hello Bob"), (None, "Hello ")])
async def test_ask_waits_for_an_answer_or_for_none(tmp_path: Path, answer: str | None, text: str) -> None:
    steps = [{"ask": {"prompt": "Who are you?", "save_as": "name"}}, {"say": "Hello {{name}}"}]
    (question,) = (await play(tmp_path, steps)).of(AgentQuestion)
    assert question.prompt == "Who are you?"
    context = make_context(answers=(answered(question.key, answer),))
    assert (await play(tmp_path, steps, context)).text == text


async def test_wait_gives_signs_of_life(tmp_path: Path) -> None:
    context = make_context()
    loop = asyncio.get_running_loop()
    began = loop.time()
    told = await play(tmp_path, [{"wait": 0.1}, {"say": "x"}], context)
    assert loop.time() - began >= 0.1
    assert told.of(AgentBeat)


async def test_a_wait_that_is_over_is_not_repeated(tmp_path: Path) -> None:
    async with asyncio.timeout(MUCH_LESS_S):
        await play(tmp_path, [{"wait": 60}], make_context(await closed("wait/1")))


async def test_files_and_usage_belong_to_the_answer(tmp_path: Path) -> None:
    steps = [
        {"file": {"name": "a.txt", "text": "{{text}}\n"}},
        {"usage": {"input_tokens": 3, "cost_microusd": 9}},
    ]
    told = await play(tmp_path, steps)
    assert told.of(AgentFile) == [AgentFile("a.txt", "text/plain", b"hello\n")]
    assert told.of(AgentUsage) == [AgentUsage(Usage(input_tokens=3, cost_microusd=9))]


async def test_fail_ends_the_attempt_as_the_script_says(tmp_path: Path) -> None:
    step = {"fail": {"kind": "rate_limited", "message": "Slow down", "passes": True, "retry_after_s": 3}}
    with pytest.raises(AgentFailure, match="Slow down") as caught:
        await play(tmp_path, [step])
    assert (caught.value.kind, caught.value.passes, caught.value.retry_after_s) == ("rate_limited", True, 3)


async def test_fail_with_times_lets_a_later_attempt_through(tmp_path: Path) -> None:
    context = make_context()
    steps = [{"fail": {"passes": True, "times": 2}}, {"say": "through"}]
    for _ in range(2):
        with pytest.raises(AgentFailure):
            await play(tmp_path, steps, context)
    assert (await play(tmp_path, steps, context)).text == "through"


async def test_hang_gives_no_sign_of_life_and_can_be_cancelled(tmp_path: Path) -> None:
    agent = await player(tmp_path, "default: [{say: a}, hang, {say: b}]\nscenarios: []")
    outputs = agent.answer(make_context())
    assert await anext(outputs) == AgentText("a")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await anext(outputs)


async def test_steered_says_what_was_said_meanwhile_once(tmp_path: Path) -> None:
    journal = MemoryJournal(waiting=[Steered("msg_1", "faster", "Olga")])
    steps = ["steered", {"say": "on "}, "steered"]
    for _ in range(2):
        told = await play(tmp_path, steps, make_context(journal))
        assert told.text == "Olga said meanwhile: faster\non "


async def test_repeat_plays_its_steps_with_keys_of_their_own(tmp_path: Path) -> None:
    context = make_context()
    inner = [
        {"tool": {"name": "calculator", "arguments": {"expression": "{{round}} * 2"}}},
        {"say": "{{round}} "},
    ]
    told = await play(tmp_path, [{"repeat": {"times": 3, "steps": inner}}], context, tools=["calculator"])
    assert told.text == "1 2 3 "
    assert list(context.journal.ended) == ["tool/1.1.1", "tool/1.2.1", "tool/1.3.1"]  # type: ignore[attr-defined]


# --- what is played --------------------------------------------------------------------------------

MATCHING = """
scenarios:
  - {name: exact, match: {text: hi}, steps: [{say: exact}]}
  - {name: command, match: {command: pay}, steps: [{say: "pay {{rest}}"}]}
  - {name: pattern, match: '(?P<n>[0-9]+) apples', steps: [{say: "{{n}} of them"}]}
  - {name: both, match: {command: buy, pattern: milk}, steps: [{say: milk}]}
  - {name: again, match: {text: hi}, steps: [{say: never}]}
default: [{say: "no idea"}]
"""


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (" hi ", "exact"),
        ("hi there", "no idea"),
        ("/pay 3 euro", "pay 3 euro"),
        ("!pay", "pay "),
        ("PAY up", "pay up"),
        ("payday", "no idea"),
        ("I have 12 apples", "12 of them"),
        ("buy milk", "milk"),
        ("buy wine", "no idea"),
    ],
)
async def test_the_first_scenario_that_fits_is_played(tmp_path: Path, message: str, text: str) -> None:
    agent = await player(tmp_path, MATCHING)
    assert (await attempt(agent, make_context(text=message))).text == text


async def test_without_a_default_a_message_that_nothing_fits_is_an_error(tmp_path: Path) -> None:
    agent = await player(tmp_path, {"scenarios": [{"name": "a", "match": {"text": "x"}, "steps": []}]})
    with pytest.raises(AgentFailure, match="No scenario of the script fits"):
        await attempt(agent, make_context())


async def test_the_example_of_the_documentation_can_be_played(tmp_path: Path) -> None:
    settings = script_settings(EXAMPLE, tools=["clock", "calculator"])
    agent = create(settings, make_parts(tmp_path))
    await agent.start()
    assert (await attempt(agent, make_context(text="/sum 0.1 + 0.2"))).text == '{"exact":true,"result":"0.3"}'
    order = await attempt(agent, make_context(text="/order 3"))
    (ask,) = order.of(AgentAsk)
    assert ask.body == 'The calculator says: {"exact":true,"result":"59.7"}.'


# --- values in texts -------------------------------------------------------------------------------


async def test_a_value_that_nobody_saved_is_an_error_that_names_the_step(tmp_path: Path) -> None:
    with pytest.raises(AgentFailure, match=r"Scenario 'default', step 2: there is no value 'nobody'"):
        await play(tmp_path, [{"say": "x"}, {"say": "{{nobody}}"}])


def test_values_are_put_in_once_and_never_formatted() -> None:
    values = {"a": "{{b}} {0} %s", "b": "no", "c": {"x": [1, None]}}
    assert fill("{{ a }}|{{c}}|{b}|{{}}|{{b.c}}", values) == '{{b}} {0} %s|{"x":[1,null]}|{b}|{{}}|{{b.c}}'
    assert fill_all({"k": ["{{c}}", "is {{c}}", 3]}, values) == {
        "k": [{"x": [1, None]}, 'is {"x":[1,null]}', 3]
    }


def test_a_small_text_does_not_become_a_huge_one() -> None:
    with pytest.raises(BadValue):
        fill("{{a}}" * 30_000, {"a": "x" * 60_000})


@settings(deadline=None)
@given(st.text(), st.text())
def test_a_text_without_places_stays_and_a_value_comes_out_as_it_went_in(text: str, value: str) -> None:
    plain = text.replace("{{", "")
    assert fill(plain, {"a": value}) == plain
    if len(value) < 1000:
        assert fill("{{a}}", {"a": value}) == value


# --- what is no script -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[1, 2", "it is not YAML"),
        ("just a text", "it must be a mapping with a list `scenarios`"),
        ("scenarios: []\nother: 1", "unknown at the top: other"),
        ("scenarios: [{name: a, steps: {}}]", "scenario 'a': steps must be a list"),
        ("scenarios: [{name: a, steps: [{sing: x}]}]", "scenario 'a', step 1: there is no step 'sing'"),
        ("scenarios: [{name: a, steps: [{say: x, wait: 1}]}]", "scenario 'a', step 1 must be one of"),
        ("scenarios: [{name: a, steps: [hang, {wait: -1}]}]", "scenario 'a', step 2 (wait): seconds: "),
        (
            "scenarios: [{name: a, steps: [{tool: {nme: x}}]}]",
            "scenario 'a', step 1 (tool): name: Field required",
        ),
        (
            "scenarios: [{name: a, steps: [{approval: {title: t, then: [{say: [1]}]}}]}]",
            "scenario 'a', step 1 (approval) then, step 1 (say): text: ",
        ),
        ("scenarios: [{name: a, match: '(', steps: []}]", "scenario 'a', match: not a regular expression"),
        ("scenarios: [{name: a, mach: x, steps: []}]", "scenario 'a': mach: Extra inputs"),
        ("scenarios: [{name: a, steps: []}, {name: a, steps: []}]", "several scenarios are called a"),
        ("a: &a [x]\nscenarios: *a", "uses an alias"),
        ("scenarios: [!!python/object/apply:os.system [ls]]", "it is not YAML"),
        ("\x00", "it is not YAML"),
        ("# " + "x" * 2_000_000, "it has more than 1048576 bytes"),
        ("scenarios: " + "[" * 5000, "it is not YAML"),
        (f"scenarios: [{{name: a, steps: [{', '.join(['hang'] * 1001)}]}}]", "has 1001 steps, 1000 at most"),
    ],
)
def test_what_is_no_script_is_refused_with_the_place(content: str, complaint: str) -> None:
    with pytest.raises(BadScript) as caught:
        read_script(content.encode())
    assert complaint in str(caught.value)


def test_steps_are_not_nested_without_end() -> None:
    steps: list[Any] = ["hang"]
    for _ in range(20):
        steps = [{"repeat": {"times": 1, "steps": steps}}]
    with pytest.raises(BadScript, match="nested more than 8 deep"):
        read_script(yaml.safe_dump({"scenarios": [], "default": steps}).encode())


@pytest.mark.parametrize("content", [None, "scenarios: 1"])
async def test_an_agent_without_a_script_does_not_start(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "script.yaml").write_text(content)
    agent = create(script_settings(Path("script.yaml")), make_parts(tmp_path))
    with pytest.raises(AgentFailure, match=r"script\.yaml cannot be") as caught:
        await agent.start()
    assert caught.value.kind == "bad_configuration"


# --- a crash at every place ------------------------------------------------------------------------

LONG = [
    {"stream": {"text": "Let us begin. ", "rate": 1000}},
    {"tool": {"name": "till.look", "save_as": "before"}},
    {
        "repeat": {
            "times": 2,
            "steps": [{"tool": {"name": "till.pay", "arguments": {"id": "bill-{{round}}"}}}],
        }
    },
    {"wait": 0.01},
    {"tool": {"name": "till.look", "save_as": "after"}},
    {"say": "{{before}} then {{after}}"},
]
TEXT = 'Let us begin. {"paid":[]} then {"paid":["bill-1","bill-2"]}'


async def test_a_crash_at_every_journal_place_changes_neither_text_nor_effects(tmp_path: Path) -> None:
    file = tmp_path / "effects"
    agent = await player(
        tmp_path,
        {"scenarios": [], "default": LONG},
        mcp=[effects_at(file, idempotent=["pay"])],
    )
    try:
        whole = make_context()
        assert (await attempt(agent, whole)).text == TEXT
        places = list(whole.journal.log)  # type: ignore[attr-defined]
        assert len(places) == 2 * 7
        for place in places:
            file.unlink(missing_ok=True)
            journal = MemoryJournal(dies_at=place)
            with pytest.raises(Killed):
                await attempt(agent, make_context(journal))
            again = await attempt(agent, make_context(journal, recovered=True, attempt=2))
            # A call that was cut off between its effect and its record is made again: it was declared idempotent.
            twice = ["bill-1", "bill-1", "bill-2"] if place == "finish:tool/3.1.1" else None
            twice = ["bill-1", "bill-2", "bill-2"] if place == "finish:tool/3.2.1" else twice
            assert effects(file) == (twice or ["bill-1", "bill-2"]), place
            if twice is None:
                assert again.text == TEXT, place
            assert (await attempt(agent, make_context(journal))).text == again.text
            assert effects(file) == (twice or ["bill-1", "bill-2"]), place
    finally:
        await agent.stop()


async def test_a_call_that_cannot_be_repeated_is_never_begun_twice(tmp_path: Path) -> None:
    file = tmp_path / "effects"
    steps = [{"tool": {"name": "till.pay", "arguments": {"id": "a"}}}, {"say": "{{result}}"}]
    agent = await player(tmp_path, {"scenarios": [], "default": steps}, mcp=[effects_at(file)])
    try:
        journal = MemoryJournal(dies_at="finish:tool/1")
        with pytest.raises(Killed):
            await attempt(agent, make_context(journal))
        assert effects(file) == ["a"]
        # The turn asks a person now, and closes the step; here the person says: leave it.
        await journal.finish("tool/1", None, outcome="skipped")
        told = await attempt(agent, make_context(journal))
        assert told.text == "The call was cut off, and a person decided not to make it again."
        assert effects(file) == ["a"]
    finally:
        await agent.stop()
