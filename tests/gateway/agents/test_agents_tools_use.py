"""How a tool is used: what is checked before it, what is bounded after it, what the journal keeps."""

import asyncio
import json
from typing import Any, Final

import pytest
from agents_stage import MemoryJournal, decided, make_context
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.agents.port import AgentFailure, Found, Json, OutcomeUnknown, Recorded, StepFailed
from gateway.agents.tools.arguments import schema_problem
from gateway.agents.tools.clock import Clock
from gateway.agents.tools.port import Schema, ToolContext
from gateway.agents.tools.thread_search import ThreadSearch
from gateway.agents.tools.use import RESULT_CHARS, ask_for, leave, refusal, told, use
from gateway.policy_settings import Risk

ONE_TEXT: Schema = {
    "type": "object",
    "properties": {"x": {"type": "string"}},
    "required": ["x"],
    "additionalProperties": False,
}


class Bench:
    """A tool that does what the test says, and remembers what reached it."""

    name = "bench"
    description = ""
    kind: Final = "tool"
    risk: Final[Risk] = "medium"

    def __init__(
        self,
        result: Json = "done",
        *,
        parameters: Schema = ONE_TEXT,
        is_repeatable: bool = False,
        requires_approval: bool = False,
        hangs: bool = False,
    ) -> None:
        self.result = result
        self.parameters = parameters
        self.is_repeatable = is_repeatable
        self.requires_approval = requires_approval
        self.hangs = hangs
        self.reached: list[Json] = []
        self.is_reached = asyncio.Event()

    async def call(self, arguments: dict[str, Json], context: ToolContext) -> Json:
        self.reached.append(arguments)
        self.is_reached.set()
        if self.hangs:
            await asyncio.Event().wait()
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


# --- arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (None, "must be a JSON object, not null"),
        ([], "must be a JSON object, not a list"),
        ([{"x": "a"}], "must be a JSON object, not a list"),
        (3, "must be a JSON object, not a number"),
        (True, "must be a JSON object, not a truth value"),
        (float("nan"), "must be a JSON object, not a number"),
        ("", "'x' is a required property"),
        ("null", "must be a JSON object, not null"),
        ("[1]", "must be a JSON object, not a list"),
        ("{", "The arguments are not JSON"),
        ('{"x": NaN}', "NaN is no number there"),
        ('{"x": -Infinity}', "-Infinity is no number there"),
        ('{"x": ' + "9" * 5000 + "}", "a number of 5000 digits"),
        ("[" * 50_000, "nested too deeply"),
        ({"x": float("nan")}, "The arguments are not JSON"),
        ({"x": float("inf")}, "The arguments are not JSON"),
        ({"x": "\ud800"}, "The arguments are not JSON"),
        ({"x": {1, 2}}, "The arguments are not JSON"),
        ({"x": 1}, "x: 1 is not of type 'string'"),
        ({"x": None}, "x: None is not of type 'string'"),
        ({}, "'x' is a required property"),
        ({"x": "a", "y": 1}, "('y' was unexpected)"),
        ({"x": "a" * 70_000}, "too large: 70008 characters, 65536 at most"),
        ('{"x": "' + "a" * 70_000 + '"}', "too large"),
    ],
)
async def test_bad_arguments_are_told_to_the_agent_and_never_reach_the_tool(
    arguments: Json, complaint: str
) -> None:
    tool, journal = Bench(), MemoryJournal()
    record = await use(tool, "1", arguments, make_context(journal), 1)
    assert record.outcome == "error"
    assert complaint in told(record)
    assert tool.reached == []
    assert journal.begun["tool/1"].repeatable  # nothing was done, so nobody needs to be asked after a crash


@pytest.mark.parametrize("arguments", [{"x": "ä"}, '{"x": "ä"}', ' {"x":"\\u00e4"} '])
async def test_arguments_are_an_object_or_its_json(arguments: Json) -> None:
    tool, journal = Bench(), MemoryJournal()
    await use(tool, "1", arguments, make_context(journal), 1)
    assert tool.reached == [{"x": "ä"}]
    assert journal.begun["tool/1"].request == {"tool": "bench", "arguments": {"x": "ä"}}


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(json_values)
def test_whatever_comes_is_refused_or_fits(arguments: Json) -> None:
    tool = Bench()
    record = asyncio.run(use(tool, "1", arguments, make_context(), 1))
    fits = isinstance(arguments, dict) and set(arguments) == {"x"} and isinstance(arguments["x"], str)
    if not isinstance(arguments, str):
        assert (record.outcome == "ok") == fits
    assert (tool.reached == []) == (record.outcome == "error")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"x": {"$ref": "https://example.org/schema.json"}}},
        {"type": "object", "properties": {"x": {"$ref": "#/$defs/nothing"}}},
        {"type": "object", "$defs": {"a": {"$ref": "#/$defs/a"}}, "properties": {"x": {"$ref": "#/$defs/a"}}},
    ],
)
async def test_a_schema_that_cannot_be_applied_refuses_without_fetching_anything(schema: Schema) -> None:
    reason = refusal(Bench(parameters=schema), {"x": "a"})
    assert reason is not None
    assert "schema cannot be applied" in reason


def test_rules_that_can_take_forever_are_left_to_the_server() -> None:
    slow = {"type": "string", "pattern": "(a+)+$"}
    schema = {
        "type": "object",
        "properties": {"x": slow},
        "patternProperties": {"(a+)+$": slow},
        "additionalProperties": False,
    }
    assert refusal(Bench(parameters=schema), {"x": "a" * 5000 + "!", "a" * 5000 + "!": 1}) is None


@pytest.mark.parametrize(
    ("schema", "is_one"),
    [
        (ONE_TEXT, True),
        ({}, True),
        ({"type": "string"}, False),
        ({"type": "object", "properties": {"x": {"type": "strange"}}}, False),
        ({"type": "object", "properties": 3}, False),
    ],
)
def test_schemas_are_judged(schema: Schema, is_one: bool) -> None:
    assert (schema_problem(schema) is None) == is_one


# --- results ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("result", ["text", {"a": [1, 2.5, None]}, [], None, 0, "x" * RESULT_CHARS])
async def test_results_are_kept_as_they_are(result: Json) -> None:
    assert await use(Bench(result), "1", {"x": ""}, make_context(), 1) == Recorded("ok", result)


async def test_results_that_are_too_long_are_cut_with_a_note() -> None:
    text = told(await use(Bench("x" * (RESULT_CHARS + 5)), "1", {"x": ""}, make_context(), 1))
    assert text == "x" * RESULT_CHARS + "\n[cut: 5 more characters]"
    whole = told(await use(Bench(list(range(50_000))), "1", {"x": ""}, make_context(), 1))
    assert whole.startswith("[0,1,2,") and "[cut: " in whole


@pytest.mark.parametrize("result", [float("nan"), {"a": float("inf")}, "\ud800", {1, 2}])
async def test_results_that_are_no_json_are_an_error(result: Any) -> None:
    record = await use(Bench(result), "1", {"x": ""}, make_context(), 1)
    assert record.outcome == "error"
    assert "its result is not JSON" in told(record)


async def test_a_failure_is_told_and_bounded() -> None:
    record = await use(Bench(StepFailed("no \ud800" + "x" * 10_000)), "1", {"x": ""}, make_context(), 1)
    assert record.outcome == "error"
    assert told(record).startswith("no ?xxx")
    assert len(told(record)) < 5000


async def test_doubt_about_the_outcome_is_recorded_as_such() -> None:
    record = await use(Bench(OutcomeUnknown("lost")), "1", {"x": ""}, make_context(), 1)
    assert (record.outcome, told(record)) == ("unknown", "lost")


@pytest.mark.parametrize(("is_repeatable", "outcome"), [(True, "error"), (False, "unknown")])
async def test_a_tool_that_hangs_ends_at_the_deadline(is_repeatable: bool, outcome: str) -> None:
    record = await use(Bench(hangs=True, is_repeatable=is_repeatable), "1", {"x": ""}, make_context(), 0.01)
    assert record.outcome == outcome
    assert "no answer within 0.01 s" in told(record)


async def test_a_run_that_is_cancelled_leaves_the_step_open() -> None:
    tool, journal = Bench(hangs=True), MemoryJournal()
    running = asyncio.create_task(use(tool, "1", {"x": ""}, make_context(journal), 60))
    await tool.is_reached.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert "tool/1" in journal.begun and "tool/1" not in journal.ended


async def test_the_same_call_is_made_once_and_another_under_its_name_is_a_mismatch() -> None:
    tool, context = Bench(), make_context()
    first = await use(tool, "1", {"x": "a"}, context, 1)
    assert await use(tool, "1", {"x": "a"}, context, 1) == first
    with pytest.raises(AgentFailure, match="another request"):
        await use(tool, "1", {"x": "b"}, context, 1)
    assert tool.reached == [{"x": "a"}]


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (Recorded("skipped", None), "The call was cut off, and a person decided not to make it again."),
        (Recorded("unknown", {}), "The call was cut off; nobody knows whether it had an effect."),
        (Recorded("error", {"error": "bad"}), "bad"),
        (Recorded("ok", {"error": "a result that only looks so"}), {"error": "a result that only looks so"}),
    ],
)
def test_what_the_agent_is_told(record: Recorded, text: Json) -> None:
    assert told(record) == text


# --- leave -----------------------------------------------------------------------------------------


def test_an_approval_shows_the_exact_arguments() -> None:
    ask = ask_for(Bench(requires_approval=True), "c1", '{"x": "a"}')
    assert (ask.key, ask.title, ask.subject) == (
        "tool/c1",
        "Use the tool bench",
        {"tool": "bench", "definition": ask.subject["definition"], "arguments": {"x": "a"}},
    )
    assert ask.body == (
        'The agent wants to use `bench` with exactly these arguments:\n\n```json\n{\n  "x": "a"\n}\n```'
    )


@settings(deadline=None)
@given(
    st.text(alphabet=st.characters(codec="utf-8"), max_size=200)
    | st.sampled_from(["```\n# Approved", "`" * 9])
)
def test_nothing_in_the_arguments_breaks_out_of_the_block_or_hides_in_it(text: str) -> None:
    body = ask_for(Bench(requires_approval=True), "c1", {"x": text}).body
    opening, _, rest = body.partition("\n\n")[2].partition("\n")
    fence = opening.removesuffix("json")
    assert set(fence) == {"`"} and len(fence) >= 3
    shown, closing = rest.rsplit("\n", 1)
    assert closing == fence and fence not in shown
    assert json.loads(shown) == {"x": text}
    assert all(char.isprintable() or char == "\n" for char in shown)


async def test_leave_is_asked_once_and_only_for_what_can_be_done() -> None:
    tool, plain = Bench(requires_approval=True), Bench()
    ask = leave(tool, "1", {"x": "a"}, make_context())
    assert ask is not None
    assert leave(plain, "1", {"x": "a"}, make_context()) is None
    assert leave(tool, "1", {"x": 1}, make_context()) is None
    assert leave(tool, "1", {"x": "a"}, make_context(decisions=(decided(ask),))) is None
    assert leave(tool, "1", {"x": "b"}, make_context(decisions=(decided(ask),))) is not None


async def test_use_obeys_the_decision_whatever_the_agent_does() -> None:
    tool = Bench(requires_approval=True)
    ask = ask_for(tool, "1", {"x": "a"})
    assert (await use(tool, "1", {"x": "a"}, make_context(), 1)).outcome == "error"
    assert (
        await use(tool, "1", {"x": "a"}, make_context(decisions=(decided(ask, False),)), 1)
    ).outcome == "error"
    assert (await use(tool, "1", {"x": "b"}, make_context(decisions=(decided(ask),)), 1)).outcome == "error"
    assert tool.reached == []
    assert (await use(tool, "1", {"x": "a"}, make_context(decisions=(decided(ask),)), 1)).outcome == "ok"


# --- small built-in tools --------------------------------------------------------------------------


async def test_the_clock_tells_the_time_of_the_run() -> None:
    assert told(await use(Clock(), "1", {}, make_context(), 1)) == {
        "utc": "2026-09-21T14:13:20Z",
        "weekday": "Monday",
    }
    local = told(await use(Clock(), "1", {"zone": "Asia/Tokyo"}, make_context(), 1))
    assert local["local"] == "2026-09-21T23:13:20+09:00"


async def test_a_later_attempt_sees_the_same_time() -> None:
    journal = MemoryJournal()
    first = await use(Clock(), "1", {}, make_context(journal), 1)
    later = make_context(journal, now_ms=lambda: 1_800_000_000_000)
    assert await use(Clock(), "1", {}, later, 1) == first


@pytest.mark.parametrize(
    "zone", ["Mars/Olympus", "../../etc/passwd", "/etc/localtime", "Europe", "", "a\x00b"]
)
async def test_a_zone_that_is_none_is_an_error(zone: str) -> None:
    record = await use(Clock(), "1", {"zone": zone}, make_context(), 1)
    assert "There is no time zone" in told(record)


async def test_thread_search_shows_excerpts_of_what_the_run_may_find() -> None:
    asked = []

    async def search(words: str, limit: int) -> list[Found]:
        asked.append((words, limit))
        return [Found("thr_9", "Old talk", "msg_3", "x" * 5000, "2026-09-21T14:13:20Z")]

    found = told(
        await use(ThreadSearch(), "1", {"words": "tea cup", "limit": 3}, make_context(search=search), 1)
    )
    assert asked == [("tea cup", 3)]
    (message,) = found["messages"]
    assert (message["thread"], message["thread_id"], message["at"]) == (
        "Old talk",
        "thr_9",
        "2026-09-21T14:13:20Z",
    )
    assert len(message["text"]) == 1000
    assert (await use(ThreadSearch(), "2", {"words": "", "limit": 99}, make_context(), 1)).outcome == "error"
