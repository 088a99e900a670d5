"""What chat networks send to our port: handed to the adapter as it came, bounded, and answered by it."""

import asyncio
from typing import Any

import pytest
from gateway_stage import Stage, TelegramStage

from channels.messages import HttpRequest, HttpResponse
from gateway.edge import hooks
from storage.errors import StoreUnavailable

HOOK = "/hooks/telegram/gate"


class Received:
    """Stands for the adapter's end of the hook: keeps the requests, gives the answer a test chose."""

    def __init__(self, telegram: TelegramStage, monkeypatch: pytest.MonkeyPatch) -> None:
        self.requests: list[HttpRequest] = []
        self.answer: HttpResponse | BaseException = HttpResponse(200, b"ok")
        adapter = telegram.gateway.rooms.channels.find("telegram", "gate")
        monkeypatch.setattr(adapter, "receive", self)

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture
def received(telegram: TelegramStage, monkeypatch: pytest.MonkeyPatch) -> Received:
    return Received(telegram, monkeypatch)


async def test_a_request_reaches_the_adapter_as_it_came(telegram: TelegramStage, received: Received) -> None:
    body = b'{"text": "\xc3\xa9 "}'
    await telegram.http(None).post(
        f"{HOOK}/events/a%20b?x=1&y=%C3%A9", content=body, headers={"X-Slack-Signature": "v0=AB"}
    )
    (request,) = received.requests
    assert (request.method, request.path) == ("POST", "events/a b")
    assert request.query == {"x": "1", "y": "é"}
    assert request.headers["x-slack-signature"] == "v0=AB"
    assert all(name == name.lower() for name in request.headers)
    assert request.body == body


async def test_the_answer_is_the_adapters_with_our_security_headers(
    telegram: TelegramStage, received: Received
) -> None:
    received.answer = HttpResponse(302, b"<p>moved</p>", {"Content-Type": "text/html", "Location": "/done"})
    answer = await telegram.http(None).get(f"{HOOK}/oauth")
    assert (answer.status_code, answer.text, answer.headers["location"]) == (302, "<p>moved</p>", "/done")
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("end", ["", "/"])
async def test_the_path_may_be_empty(telegram: TelegramStage, received: Received, end: str) -> None:
    assert (await telegram.http(None).post(HOOK + end)).status_code == 200
    assert received.requests[0].path == ""


async def test_no_token_is_asked_for_and_none_helps(telegram: TelegramStage, received: Received) -> None:
    received.answer = HttpResponse(401)
    assert (await telegram.http().post(HOOK)).status_code == 401, "the adapter's word is the last"


@pytest.mark.parametrize("path", ["/hooks/telegram/other", "/hooks/slack/gate/events", "/hooks/telegram"])
async def test_an_unknown_account_is_not_found(
    telegram: TelegramStage, received: Received, path: str
) -> None:
    assert (await telegram.http(None).post(path)).status_code == 404
    assert received.requests == []


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "PATCH"])
async def test_other_methods_reach_nobody(telegram: TelegramStage, received: Received, method: str) -> None:
    assert (await telegram.http(None).request(method, HOOK)).status_code == 404
    assert received.requests == []


async def test_the_host_is_checked_here_too(telegram: TelegramStage, received: Received) -> None:
    answer = await telegram.http(None).post(HOOK, headers={"Host": "evil.example"})
    assert (answer.status_code, received.requests) == (403, [])


async def test_a_configured_host_is_let_in(telegram: TelegramStage, monkeypatch: pytest.MonkeyPatch) -> None:
    await telegram.restart(allowed_hosts=("gate.example.org",))
    received = Received(telegram, monkeypatch)
    await telegram.http(None).post(HOOK, headers={"Host": "gate.example.org"})
    assert len(received.requests) == 1


async def test_a_mebibyte_is_taken_and_a_byte_more_is_not(
    telegram: TelegramStage, received: Received
) -> None:
    assert (await telegram.http(None).post(HOOK, content=b"x" * hooks.BODY_BYTES)).status_code == 200
    answer = await telegram.http(None).post(HOOK, content=b"x" * (hooks.BODY_BYTES + 1))
    assert (answer.status_code, answer.json()["kind"]) == (413, "too_large")
    assert len(received.requests) == 1


async def test_a_body_without_a_length_is_bounded_too(telegram: TelegramStage, received: Received) -> None:
    async def pieces() -> Any:
        for _ in range(17):
            yield b"x" * (hooks.BODY_BYTES // 16)

    assert (await telegram.http(None).post(HOOK, content=pieces())).status_code == 413
    assert received.requests == []


async def test_an_error_that_escapes_is_a_500_with_its_incident_alone(
    telegram: TelegramStage, received: Received
) -> None:
    received.answer = RuntimeError("the signing secret is hush")
    answer = await telegram.http(None).post(f"{HOOK}/events")
    body = answer.json()
    assert (answer.status_code, body["kind"]) == (500, "internal")
    assert body["incident"].startswith("inc_")
    assert "hush" not in answer.text


async def test_a_store_that_takes_nothing_is_no_success(telegram: TelegramStage, received: Received) -> None:
    received.answer = StoreUnavailable("disk full")
    assert (await telegram.http(None).post(HOOK)).status_code == 500, "so that the platform delivers again"


async def test_an_adapter_that_never_answers_is_cut_off(
    telegram: TelegramStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(request: HttpRequest) -> HttpResponse:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(hooks, "DEADLINE_S", 0.05)
    monkeypatch.setattr(telegram.gateway.rooms.channels.find("telegram", "gate"), "receive", hangs)
    answer = await telegram.http(None).post(HOOK)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_without_channels_there_are_no_hooks(stage: Stage) -> None:
    assert (await stage.http(None).post(HOOK)).status_code == 404
