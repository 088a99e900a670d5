"""kind="model": whatever a provider does wrong has a stable kind, says what to do, and gives no secret away."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from agents_stage import MemoryJournal, attempt, make_context
from aiohttp import web
from model_stage import KEY, model_settings, over, over_model, running
from pydantic_ai.exceptions import (
    ContentFilterError,
    ModelAPIError,
    ModelHTTPError,
    UnexpectedModelBehavior,
    UserError,
)
from pydantic_ai.models.function import FunctionModel

from channels.emulators.loopback import LoopbackServer
from channels.emulators.openai import Answer, OpenAiEmulator, ToolUse
from gateway.agents.model import connection
from gateway.agents.model.agent import ModelAgent
from gateway.agents.model.connection import EVENT_BYTES
from gateway.agents.model.failures import failure_of
from gateway.agents.port import AgentFailure, AgentText
from protocol.limits import MIB

SECRET = "the body says sk-very-secret-key"
Fail = Callable[[OpenAiEmulator], object]


@pytest.fixture
async def emulator() -> AsyncIterator[OpenAiEmulator]:
    async with OpenAiEmulator(key=KEY) as made:
        yield made


async def failed(agent: ModelAgent, journal: MemoryJournal | None = None) -> AgentFailure:
    with pytest.raises(AgentFailure) as failure:
        await attempt(agent, make_context(journal))
    assert "sk-very-secret" not in "".join(traceback.format_exception(failure.value))
    return failure.value


def status(code: int) -> Fail:
    return lambda emulator: emulator.faults.add("error", code=code, description=SECRET)


@pytest.mark.parametrize(
    ("fail", "kind", "passes", "says"),
    [
        (status(400), "bad_request", False, "demo refuses the request (HTTP 400, invalid_request_error)."),
        (status(401), "unauthorized", False, "check api_key"),
        (status(403), "unauthorized", False, "check api_key"),
        (status(404), "bad_request", False, "check model and base_url"),
        (status(408), "timeout", True, ""),
        (status(413), "bad_request", False, ""),
        (status(500), "provider_error", True, "HTTP 500"),
        (status(503), "provider_error", True, "HTTP 503"),
        (lambda emulator: emulator.faults.add("drop"), "agent_unavailable", True, "demo"),
        (lambda emulator: emulator.faults.add("refuse"), "agent_unavailable", True, "demo"),
        (lambda emulator: emulator.say(Answer(raw="data: {oops\n\n")), "bad_output", False, "cannot be read"),
        (lambda emulator: emulator.say(Answer(raw="<html>")), "bad_output", False, "makes no sense"),
        (lambda emulator: emulator.say(Answer(raw='data: {"choices": 7}\n\n')), "bad_output", False, ""),
        (lambda emulator: emulator.say(Answer(raw="data: 7\n\n")), "bad_output", False, ""),
        (
            lambda emulator: emulator.say(Answer("a b c d", cut_after=2)),
            "agent_unavailable",
            True,
            "broke off",
        ),
        (
            lambda emulator: emulator.say(Answer("a b c d", cut_after=2, ends_early=True)),
            "provider_error",
            True,
            "broke off",
        ),
        (lambda emulator: emulator.say(Answer()), "bad_output", True, "gave an empty answer"),
        (lambda emulator: emulator.say(Answer("  \n ")), "bad_output", True, "gave an empty answer"),
        (lambda emulator: emulator.say(Answer(finish="length")), "too_large", False, "raise max_tokens"),
        (
            lambda emulator: emulator.say(Answer(tool_uses=(ToolUse("x"),), finish="length")),
            "too_large",
            False,
            "in the middle of a tool call",
        ),
        (
            lambda emulator: emulator.say(Answer(refusal="I must not.")),
            "content_refused",
            False,
            "refused to answer: I must not.",
        ),
        (
            lambda emulator: emulator.say(Answer(finish="content_filter")),
            "content_refused",
            False,
            "refused to answer.",
        ),
        (
            lambda emulator: emulator.say(Answer(tool_uses=tuple(ToolUse("x") for _ in range(65)))),
            "too_large",
            False,
            "more than 64 tool calls at once",
        ),
        (lambda emulator: emulator.say(Answer("x" * 1000, times=300)), "too_large", False, "262144"),
        (
            lambda emulator: emulator.say(Answer(tool_uses=(ToolUse("x", "y" * 1_100_000),))),
            "too_large",
            False,
            "unsaid",
        ),
        (
            lambda emulator: emulator.say(Answer(raw="x" * (EVENT_BYTES + 9))),
            "too_large",
            False,
            "larger than",
        ),
    ],
)
async def test_what_goes_wrong_has_a_kind(
    emulator: OpenAiEmulator, fail: Fail, kind: str, passes: bool, says: str
) -> None:
    fail(emulator)
    journal = MemoryJournal()
    async with running(over(emulator)) as agent:
        failure = await failed(agent, journal)
        assert (failure.kind, failure.passes) == (kind, passes), str(failure)
        assert says in str(failure)
        assert len(emulator.calls.select("chat.completions")) == 1, "who repeats is the turn, not the SDK"
        if passes:
            assert journal.log == ["begin:model/1"], "the step stays open"
            again = await attempt(agent, make_context(journal, attempt=2))
            assert again.text == "You said: hello"


async def test_a_rate_limit_says_when_to_try_again(emulator: OpenAiEmulator) -> None:
    emulator.faults.add("429", retry_after_s=7)
    emulator.faults.add("429", retry_after_s=1_000_000)
    async with running(over(emulator)) as agent:
        failure = await failed(agent)
        assert (failure.kind, failure.passes, failure.retry_after_s) == ("rate_limited", True, 7)
        assert (await failed(agent)).retry_after_s is None, "longer than anybody waits"


async def test_a_wrong_key_is_said_without_the_key(emulator: OpenAiEmulator) -> None:
    async with running(over(emulator, api_key="sk-very-secret-but-wrong")) as agent:
        failure = await failed(agent)
    assert (failure.kind, failure.passes) == ("unauthorized", False)


@pytest.mark.parametrize(
    "answer",
    [Answer("late", first_delay_s=60), Answer("one two three", delay_s=60)],
    ids=["first", "between"],
)
async def test_an_answer_that_takes_too_long_times_out(emulator: OpenAiEmulator, answer: Answer) -> None:
    emulator.say(answer)
    async with running(over(emulator, step_timeout_s=0.3)) as agent:
        failure = await failed(agent)
    assert (failure.kind, failure.passes) == ("timeout", True)


async def test_a_slow_stream_that_never_ends_times_out_as_a_whole(emulator: OpenAiEmulator) -> None:
    emulator.say(Answer("x ", times=10_000, delay_s=0.05))
    async with running(over(emulator, step_timeout_s=0.4)) as agent:
        began = asyncio.get_running_loop().time()
        failure = await failed(agent)
    assert failure.kind == "timeout"
    assert asyncio.get_running_loop().time() - began < 3


async def test_nobody_listens() -> None:
    async with OpenAiEmulator() as emulator:
        agent = over(emulator)
    async with running(agent):
        failure = await failed(agent)
    assert (failure.kind, failure.passes) == ("agent_unavailable", True)
    assert "cannot be reached" in str(failure)


async def test_what_was_told_before_a_break_was_told(emulator: OpenAiEmulator) -> None:
    emulator.say(Answer("one two three", cut_after=2, delay_s=0.02))
    told = []
    async with running(over(emulator)) as agent:
        with pytest.raises(AgentFailure):
            async for output in agent.answer(make_context()):
                told.append(output)
    assert "".join(one.text for one in told if isinstance(one, AgentText)) == "one two"


async def flooding(
    *, body: bytes, headers: dict[str, str], times: int, status: int = 200
) -> tuple[LoopbackServer, list[int]]:
    """A server that answers everything with the same body, many times over, and counts what it could write."""
    written: list[int] = []

    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        for _ in range(times):
            await response.write(body)
            written.append(len(body))
        return response

    server = LoopbackServer(lambda path: False)
    await server.start([web.post("/v1/chat/completions", flood)], "127.0.0.1", 0)
    return server, written


@pytest.mark.parametrize(
    "body", [b": ping\n\n" * 8192, b"data: " + b"x" * 65536], ids=["comments", "one event"]
)
async def test_a_provider_that_floods_is_cut_off(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    # Parsing the whole of what is allowed takes the SDK many seconds; the bound is the same at any size.
    monkeypatch.setattr(connection, "ANSWER_BYTES", 2 * MIB)
    server, written = await flooding(
        body=body, headers={"Content-Type": "text/event-stream"}, times=64 * MIB // len(body)
    )
    agent = over_address(f"{server.url}/v1")
    try:
        async with running(agent):
            failure = await failed(agent)
            assert failure.kind == "too_large"
    finally:
        await server.stop()
    assert sum(written) < 32 * MIB, "what the sockets hold comes on top"


async def test_an_error_that_is_too_long_is_not_read_to_its_end() -> None:
    server, _ = await flooding(body=b"x" * 65536, headers={}, times=1024, status=500)
    try:
        async with running(over_address(f"{server.url}/v1")) as agent:
            assert (await failed(agent)).kind == "too_large"
    finally:
        await server.stop()


async def test_a_compressed_answer_is_not_unpacked() -> None:
    server, _ = await flooding(body=b"bomb", headers={"Content-Encoding": "gzip"}, times=1)
    try:
        agent = over_address(f"{server.url}/v1")
        async with running(agent):
            assert (await failed(agent)).kind == "too_large"
    finally:
        await server.stop()


async def test_a_redirect_is_not_followed() -> None:
    async def elsewhere(request: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect("http://127.0.0.1:1/v1/chat/completions")

    server = LoopbackServer(lambda path: False)
    await server.start([web.post("/v1/chat/completions", elsewhere)], "127.0.0.1", 0)
    try:
        agent = over_address(f"{server.url}/v1")
        async with running(agent):
            assert (await failed(agent)).kind in ("bad_request", "provider_error")
    finally:
        await server.stop()


def over_address(url: str) -> ModelAgent:
    class At:
        base_url = url

    stand_in: Any = At()
    return over(stand_in)


async def test_an_error_of_our_own_is_no_failure_of_the_provider() -> None:
    class Broken(BaseException):
        pass

    async def stream(messages: Any, info: Any) -> AsyncIterator[str]:
        yield "one"
        raise Broken

    async with running(over_model(FunctionModel(stream_function=stream))) as agent:
        with pytest.raises(Broken):
            await attempt(agent, make_context())


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ModelHTTPError(429, "m"), "rate_limited"),
        (ModelHTTPError(418, "m", SECRET), "bad_request"),
        (ModelHTTPError(529, "m", SECRET), "provider_error"),
        (ModelAPIError("m", SECRET), "provider_error"),
        (ContentFilterError(SECRET), "content_refused"),
        (UnexpectedModelBehavior(SECRET), "bad_output"),
        (UserError(SECRET), "bad_configuration"),
        (KeyError(SECRET), "bad_output"),
        (TimeoutError(SECRET), "timeout"),
    ],
)
def test_errors_of_the_library_without_their_text(error: Exception, kind: str) -> None:
    failure = failure_of(error, "m")
    assert failure.kind == kind
    assert "secret" not in str(failure)


@pytest.mark.parametrize("code", ["sk-very secret", "x" * 200, "{}", ""])
def test_only_plain_codes_are_passed_on(code: str) -> None:
    failure = failure_of(ModelAPIError("m", "", provider_error_code=code), "m")
    assert str(failure) == "m broke off its answer."


def test_settings_are_not_shown_with_the_key(emulator: OpenAiEmulator) -> None:
    assert KEY not in repr(model_settings(emulator))
