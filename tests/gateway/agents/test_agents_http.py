"""kind="http" against a real endpoint on loopback: answers, every way to fail, and what the journal says then."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from agents_stage import Killed, MemoryJournal, attempt, make_context
from aiohttp import web
from completions_stage import (
    END,
    PATH,
    USAGE,
    Endpoint,
    answers,
    chunk,
    endpoint,
    hangs,
    streams,
)
from pydantic import SecretStr

from gateway.agent_settings import HttpSettings
from gateway.agents.http import HttpAgent, create
from gateway.agents.parts import AgentParts
from gateway.agents.port import AgentBeat, AgentFailure, AgentText, GivenFile, Recorded, RunContext, Step
from protocol.records import Usage
from storage.values import Said

HELLO = (chunk("Hel"), chunk("lo."), chunk(finish="stop"), USAGE, END)


@pytest.fixture
async def place() -> AsyncIterator[Endpoint]:
    async with endpoint() as made:
        yield made


@asynccontextmanager
async def agent_of(place: Endpoint, **settings: Any) -> AsyncIterator[HttpAgent]:
    parts = AgentParts(Path("/nowhere"), lambda secret: secret.get_secret_value())
    given = {"id": "far", "kind": "http", "url": place.url, "model": "helper-1", **settings}
    agent = create(HttpSettings(**given), parts)
    await agent.start()
    try:
        yield agent
    finally:
        await agent.stop()


async def failure_of(agent: HttpAgent, context: RunContext | None = None) -> AgentFailure:
    with pytest.raises(AgentFailure) as caught:
        await attempt(agent, context or make_context())
    return caught.value


# --- answers ---------------------------------------------------------------------------------------


async def test_a_streamed_answer_is_told_as_it_comes_and_recorded_with_its_usage(place: Endpoint) -> None:
    place.will(streams(*HELLO))
    journal = MemoryJournal()
    async with agent_of(place) as agent:
        given = await attempt(agent, make_context(journal))
    assert given.text == "Hello."
    assert journal.log == ["begin:prompt/1", "finish:prompt/1"]
    assert journal.begun["prompt/1"].kind == "prompt" and not journal.begun["prompt/1"].repeatable
    assert journal.ended["prompt/1"] == Recorded(
        "ok",
        {"text": "Hello.", "usage": {"input_tokens": 7, "output_tokens": 3, "cost_microusd": 0}},
        Usage(input_tokens=7, output_tokens=3),
    )


async def test_the_request_says_instructions_history_and_the_message(place: Endpoint) -> None:
    said = [Said(1, "user", "hi"), Said(2, "assistant", "Hi."), Said(3, "user", "hello")]

    async def read_said(limit: int) -> list[Said]:
        return said[-limit:]

    place.will(streams(*HELLO))
    async with agent_of(place, instructions="Be kind.", api_key=SecretStr("s3cret")) as agent:
        await attempt(agent, make_context(said=read_said))
    (asked,) = place.asked
    assert asked.body == {
        "model": "helper-1",
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "Hi."},
            {"role": "user", "content": "hello"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert asked.headers["Authorization"] == "Bearer s3cret"
    assert asked.headers["Idempotency-Key"] == "run_1/prompt/1"


async def test_the_credentials_are_not_in_the_journal(place: Endpoint) -> None:
    place.will(streams(*HELLO))
    journal = MemoryJournal()
    async with agent_of(place, api_key=SecretStr("s3cret"), headers={"X-Key": SecretStr("s3cret")}) as agent:
        await attempt(agent, make_context(journal))
    assert place.asked[0].headers["X-Key"] == "s3cret"
    assert "s3cret" not in repr(journal)


async def test_an_answer_in_one_piece_is_taken_too(place: Endpoint) -> None:
    body = {
        "choices": [{"message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }
    place.will(answers(200, body))
    journal = MemoryJournal()
    async with agent_of(place) as agent:
        assert (await attempt(agent, make_context(journal))).text == "Hello."
    assert journal.ended["prompt/1"].usage == Usage(input_tokens=1, output_tokens=2)


async def test_a_comment_is_a_sign_of_life(place: Endpoint) -> None:
    is_seen = asyncio.Event()

    async def comments_first(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": still at work\n\n")
        await is_seen.wait()
        await response.write("".join(HELLO).encode())
        return response

    place.will(comments_first)
    async with agent_of(place) as agent:
        outputs = agent.answer(make_context())
        assert await anext(outputs) == AgentBeat()
        is_seen.set()
        assert [output async for output in outputs] == [AgentText("Hello.")]


async def test_a_stream_that_says_its_end_but_not_done_is_complete(place: Endpoint) -> None:
    place.will(streams(chunk("Hello."), chunk(finish="stop")))
    async with agent_of(place) as agent:
        assert (await attempt(agent, make_context())).text == "Hello."


async def test_files_are_named_to_the_endpoint(place: Endpoint) -> None:
    async def read() -> bytes:
        raise AssertionError("nobody asked for the bytes")

    place.will(streams(*HELLO))
    file = GivenFile("plan.pdf", "application/pdf", 10, read)
    async with agent_of(place, history_messages=0) as agent:
        await attempt(agent, make_context(text="", files=(file,)))
    assert place.asked[0].body["messages"] == [
        {"role": "user", "content": "[file: plan.pdf, application/pdf]"}
    ]


async def test_a_recorded_answer_is_told_again_without_asking(place: Endpoint) -> None:
    place.will(streams(*HELLO))
    journal = MemoryJournal()
    async with agent_of(place) as agent:
        await attempt(agent, make_context(journal))
        again = await attempt(agent, make_context(journal, attempt=2))
    assert again.text == "Hello." and len(place.asked) == 1


# --- refusals: the request had no effect, so the next attempt asks again ------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "passes"),
    [
        (400, "bad_request", False),
        (401, "unauthorized", False),
        (403, "unauthorized", False),
        (404, "bad_request", False),
        (429, "rate_limited", True),
        (500, "provider_error", True),
        (503, "provider_error", True),
    ],
)
async def test_a_refusal_is_a_failure_of_its_kind_and_the_next_attempt_asks_anew(
    place: Endpoint, status: int, kind: str, passes: bool
) -> None:
    place.will(answers(status, {"error": {"message": "not now"}}), streams(*HELLO))
    journal = MemoryJournal()
    async with agent_of(place) as agent:
        failure = await failure_of(agent, make_context(journal))
        assert (failure.kind, failure.passes) == (kind, passes)
        assert str(status) in str(failure) and "not now" in str(failure)
        assert (await attempt(agent, make_context(journal, attempt=2))).text == "Hello."
    assert journal.log == ["begin:prompt/1", "finish:prompt/1", "begin:prompt/2", "finish:prompt/2"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "m", "code": "context_length_exceeded"}, "context_too_long"),
        ({"message": "m", "code": "content_filter"}, "content_refused"),
        ({"message": "m", "type": "content_policy_violation"}, "content_refused"),
        ("m", "bad_request"),
        ({"code": 7}, "bad_request"),
        (None, "bad_request"),
    ],
)
async def test_what_a_refusal_says_gives_its_kind(place: Endpoint, error: Any, kind: str) -> None:
    place.will(answers(400, {"error": error}))
    async with agent_of(place) as agent:
        assert (await failure_of(agent)).kind == kind


async def test_a_refusal_without_json_is_told_by_its_status(place: Endpoint) -> None:
    place.will(answers(418, text="<html>" + "x" * 200_000))
    async with agent_of(place) as agent:
        failure = await failure_of(agent)
    assert failure.kind == "bad_request" and "418" in str(failure) and len(str(failure)) < 200


async def test_words_of_a_refusal_are_cut_to_one_short_line(place: Endpoint) -> None:
    place.will(answers(400, {"error": {"message": "line\nline " * 500}}))
    async with agent_of(place) as agent:
        text = str(await failure_of(agent))
    assert "\n" not in text and len(text) < 400


@pytest.mark.parametrize(
    ("said", "seconds"), [("7", 7.0), ("0", 0.0), ("soon", None), ("", None), ("-1", None)]
)
async def test_retry_after_in_seconds(place: Endpoint, said: str, seconds: float | None) -> None:
    place.will(answers(429, {}, {"Retry-After": said}))
    async with agent_of(place) as agent:
        assert (await failure_of(agent)).retry_after_s == seconds


async def test_retry_after_as_a_date(place: Endpoint) -> None:
    now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    until = format_datetime(now + timedelta(seconds=30), usegmt=True)
    place.will(answers(503, {}, {"Retry-After": until}))
    async with agent_of(place) as agent:
        failure = await failure_of(agent, make_context(now_ms=lambda: int(now.timestamp() * 1000)))
    assert failure.retry_after_s == 30.0


async def test_a_redirect_is_not_followed(place: Endpoint) -> None:
    place.will(answers(307, {}, {"Location": place.url}))
    async with agent_of(place) as agent:
        failure = await failure_of(agent)
    assert failure.kind == "bad_configuration" and not failure.passes and len(place.asked) == 1


async def test_nobody_listens(place: Endpoint) -> None:
    with socket.socket() as held:  # a port that is taken and does not listen
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}{PATH}"
        journal = MemoryJournal()
        async with agent_of(place, url=url) as agent:
            failure = await failure_of(agent, make_context(journal))
    assert (failure.kind, failure.passes) == ("agent_unavailable", True)
    assert journal.ended["prompt/1"].result["retry"] is True


async def test_proxies_of_the_environment_are_not_used(
    place: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    place.will(streams(*HELLO))
    async with agent_of(place) as agent:
        assert (await attempt(agent, make_context())).text == "Hello."


# --- cut off: it may have had an effect -------------------------------------------------------------


CUTS = [
    pytest.param(streams(chunk("Hel"), cut=True), "provider_error", id="connection broken"),
    pytest.param(streams(chunk("Hel")), "provider_error", id="ended too early"),
    pytest.param(answers(502, {}), "provider_error", id="lost behind a proxy"),
    pytest.param(answers(504, {}), "provider_error", id="late behind a proxy"),
    pytest.param(hangs(chunk("Hel")), "timeout", id="silent in the middle"),
    pytest.param(hangs(), "timeout", id="silent from the start"),
]


@pytest.mark.parametrize(("cut", "kind"), CUTS)
async def test_cut_off_and_idempotent_it_is_asked_again_by_the_same_step(
    place: Endpoint, cut: Any, kind: str
) -> None:
    place.will(cut, streams(*HELLO))
    journal = MemoryJournal()
    async with agent_of(place, idempotent=True, step_timeout_s=0.2) as agent:
        failure = await failure_of(agent, make_context(journal))
        assert (failure.kind, failure.passes) == (kind, True)
        assert (await attempt(agent, make_context(journal, attempt=2))).text == "Hello."
    assert journal.log == ["begin:prompt/1", "begin:prompt/1", "finish:prompt/1"]
    assert [asked.headers["Idempotency-Key"] for asked in place.asked] == ["run_1/prompt/1"] * 2


@pytest.mark.parametrize(("cut", "kind"), CUTS)
async def test_cut_off_and_not_idempotent_it_has_failed_for_good(
    place: Endpoint, cut: Any, kind: str
) -> None:
    place.will(cut)
    journal = MemoryJournal()
    async with agent_of(place, step_timeout_s=0.2) as agent:
        failure = await failure_of(agent, make_context(journal))
        assert (failure.kind, failure.passes) == (kind, False)
        again = await failure_of(agent, make_context(journal, attempt=2))
    assert (again.kind, str(again)) == (failure.kind, str(failure)) and len(place.asked) == 1
    assert journal.ended["prompt/1"].outcome == "error"


@pytest.mark.parametrize("outcome", ["skipped", "unknown"])
async def test_what_was_decided_not_to_be_repeated_is_not(place: Endpoint, outcome: Any) -> None:
    journal = MemoryJournal()
    await journal.begin(Step("prompt/1", "prompt", "helper-1", {}))
    await journal.finish("prompt/1", None, outcome=outcome)
    async with agent_of(place) as agent:
        failure = await failure_of(agent, make_context(journal))
    assert failure.kind == "provider_error" and not failure.passes and not place.asked


@pytest.mark.parametrize("dies_at", ["begin:prompt/1", "finish:prompt/1"])
async def test_killed_at_its_step_an_idempotent_request_is_made_again(place: Endpoint, dies_at: str) -> None:
    place.will(streams(*HELLO), streams(*HELLO))
    journal = MemoryJournal(dies_at=dies_at)
    async with agent_of(place, idempotent=True) as agent:
        with pytest.raises(Killed):
            await attempt(agent, make_context(journal))
        assert (await attempt(agent, make_context(journal, attempt=2))).text == "Hello."


async def test_cancelled_it_lets_go_of_the_endpoint(place: Endpoint) -> None:
    gone = asyncio.Event()

    async def waits(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(chunk("Hel").encode())
        while request.transport is not None and not request.transport.is_closing():
            await response.write(b": at work\n")
            await asyncio.sleep(0.01)
        gone.set()
        return response

    place.will(waits)
    async with agent_of(place) as agent:
        await attempt(agent, make_context(), stop_after=lambda output: isinstance(output, AgentText))
        async with asyncio.timeout(5):
            await gone.wait()


# --- nonsense ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        pytest.param(streams("data: {broken\n\n", END), "bad_output", id="no JSON"),
        pytest.param(streams("data: 7\n\n", END), "bad_output", id="no object"),
        pytest.param(streams('data: {"choices": 7}\n\n', END), "bad_output", id="no choices"),
        pytest.param(
            streams('data: {"choices": [{"delta": {"content": ["x"]}}]}\n\n', END), "bad_output", id="no text"
        ),
        pytest.param(
            streams('data: {"choices": [], "usage": {"prompt_tokens": -1}}\n\n', END),
            "bad_output",
            id="usage",
        ),
        pytest.param(
            streams('data: {"choices": [{"delta": {"content": "\\ud800"}}]}\n\n', END),
            "bad_output",
            id="half a character",
        ),
        pytest.param(streams("data: \ud800\n\n", END), "bad_output", id="no UTF-8"),
        pytest.param(streams(chunk(finish="stop"), END), "bad_output", id="nothing said"),
        pytest.param(streams(END), "bad_output", id="only an end"),
        pytest.param(answers(200, {"object": "list"}), "bad_output", id="another object"),
        pytest.param(answers(200, text="hello"), "bad_output", id="plain text"),
        pytest.param(
            streams('data: {"choices": [{"delta": {"tool_calls": [{"id": "c"}]}}]}\n\n', END),
            "bad_output",
            id="a tool call",
        ),
        pytest.param(
            streams(chunk("Hel"), 'data: {"error": {"message": "overloaded"}}\n\n'), "agent_error", id="error"
        ),
        pytest.param(
            streams('data: {"choices": [{"delta": {"refusal": "No."}}]}\n\n', END),
            "content_refused",
            id="refusal",
        ),
        pytest.param(
            streams(chunk("a"), chunk(finish="content_filter"), END), "content_refused", id="filter"
        ),
        pytest.param(streams("data: " + "x" * 1_100_000), "too_large", id="endless line"),
        pytest.param(streams(*(chunk("x" * 60_000) for _ in range(100))), "too_large", id="flood"),
        pytest.param(
            answers(200, {"choices": [{"message": {"content": "x" * 5_000_000}}]}), "too_large", id="one"
        ),
    ],
)
async def test_nonsense_is_final(place: Endpoint, behaviour: Any, kind: str) -> None:
    place.will(behaviour)
    journal = MemoryJournal()
    async with agent_of(place) as agent:
        failure = await failure_of(agent, make_context(journal))
        assert (failure.kind, failure.passes) == (kind, False)
        assert (await failure_of(agent, make_context(journal, attempt=2))).kind == kind
    assert journal.ended["prompt/1"].outcome == "error" and len(place.asked) == 1


# --- set-up -----------------------------------------------------------------------------------------


async def test_a_missing_secret_is_told_at_the_start(place: Endpoint) -> None:
    def secret(value: SecretStr) -> str:
        raise AgentFailure("missing_secret", "env:FAR_KEY is not set")

    settings = HttpSettings(id="far", kind="http", url=place.url, api_key=SecretStr("env:FAR_KEY"))
    agent = create(settings, AgentParts(Path("/nowhere"), secret))
    with pytest.raises(AgentFailure, match="FAR_KEY"):
        await agent.start()
    await agent.stop()


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "é", "\0"])
async def test_a_header_that_cannot_be_sent_is_told_at_the_start(place: Endpoint, value: str) -> None:
    with pytest.raises(AgentFailure, match="X-Key") as caught:
        async with agent_of(place, headers={"X-Key": SecretStr(value)}):
            pass
    assert caught.value.kind == "bad_configuration" and "Evil" not in str(caught.value)
