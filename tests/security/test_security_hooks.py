"""What comes to our port in the name of a chat network: unsigned, forged, repeated, misrouted, oversized."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from channels.emulators.slack import AppAccount, SlackEmulator
from channels.messages import HealthState
from channels.registry import SETTINGS_BY_KIND
from channels.secrets import SecretUnavailable
from channels.slack.settings import SlackSettings
from channels.telegram.webhook import SECRET_HEADER
from gateway.edge import hooks
from gateway.settings import SettingsError
from tests.contract.telegram_network import TelegramNetwork
from tests.gateway.gateway_stage import Stage, eventually, until
from tests.security.security_stage import ChatStage, free_port, raw, start_line

APP = AppAccount()
SLACK = "/hooks/slack/gate/events"
TELEGRAM = "/hooks/telegram/gate/webhook"
UPDATE: dict[str, Any] = {
    "update_id": 900_001,
    "message": {
        "message_id": 77,
        "date": int(time.time()),
        "chat": {"id": 1001, "type": "private"},
        "from": {"id": 1001, "is_bot": False, "first_name": "Ada"},
        "text": "say pwned",
    },
}


@pytest.fixture
async def slack(tmp_path: Path) -> AsyncIterator[Stage]:
    """A gateway that Slack posts to."""
    async with SlackEmulator() as emulator:
        table = {
            "kind": "slack",
            "account": "gate",
            "mode": "http",
            "bot_token": "xoxb-emulated-1",
            "signing_secret": APP.signing_secret,
            "api_base_url": emulator.api_url.rstrip("/"),
            "allow": ["U0ADA"],
        }
        made = Stage(tmp_path / "data", channels=(table,))
        try:
            await made.start()
            await until(lambda: made.gateway.rooms.channels.all()[0].health().state is HealthState.CONNECTED)
            yield made
        finally:
            await made.close()


EVENT = json.loads((Path(__file__).parents[1] / "channels/slack/payloads/message_direct.json").read_text())


def event() -> bytes:
    """A direct message, as Slack posts it."""
    return json.dumps(EVENT | {"event": EVENT["event"] | {"text": "say pwned"}}).encode()


def signed(body: bytes, secret: str = APP.signing_secret, age_s: int = 0) -> dict[str, str]:
    stamp = str(int(time.time()) - age_s)
    digest = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": f"v0={digest}",
    }


async def said(stage: Stage) -> list[str]:
    """What people said, as the store has it."""
    rows = await stage.store.engine.read(lambda tx: tx.all("SELECT text FROM messages WHERE role = 'user'"))
    return [row["text"] for row in rows]


async def test_unsigned_webhooks_of_slack(slack: Stage) -> None:
    """CVE-2026-26319 (unsigned accepted when the key is missing), CVE-2026-25474 (secret not verified): Slack."""
    body = event()
    good = signed(body)
    for forged in (
        {"Content-Type": "application/json"},
        good | {"X-Slack-Signature": ""},
        good | {"X-Slack-Signature": "v0="},
        good | {"X-Slack-Signature": good["X-Slack-Signature"].replace("v0=", "v1=")},
        signed(body, secret=""),
        signed(body, secret="not the secret"),
        signed(body + b" "),
    ):
        answer = await slack.http(None).post(SLACK, content=body, headers=forged)
        assert answer.status_code in (400, 401, 403), forged
    assert await said(slack) == []
    assert (await slack.http(None).post(SLACK, content=body, headers=good)).status_code == 200
    assert await said(slack) == ["say pwned"], "the control: what is signed comes in"


async def test_replayed_webhooks_of_slack(slack: Stage) -> None:
    """CVE-2026-44109 (a blank token made replay unlimited): an old signature is refused, a fresh one counts once."""
    body = event()
    assert (
        await slack.http(None).post(SLACK, content=body, headers=signed(body, age_s=301))
    ).status_code in (401, 403)
    assert (
        await slack.http(None).post(SLACK, content=body, headers=signed(body, age_s=-301))
    ).status_code in (401, 403)
    headers = signed(body)
    for _ in range(3):
        assert (await slack.http(None).post(SLACK, content=body, headers=headers)).status_code == 200
    assert await said(slack) == ["say pwned"]


@pytest.fixture
async def posted(tmp_path: Path) -> AsyncIterator[ChatStage]:
    """A gateway that Telegram posts to."""
    network = TelegramNetwork()
    await network.open()
    made = ChatStage(tmp_path / "data", network)
    port = free_port()
    made._given["port"] = port
    try:
        await made.go(mode="webhook", webhook_url=f"http://127.0.0.1:{port}")
        yield made
    finally:
        await made.close()
        await network.close()


async def test_unsigned_webhooks_of_telegram(posted: ChatStage) -> None:
    """CVE-2026-25474 and CVE-2026-27004: Telegram's secret was not verified, and its fallback neither."""
    http = posted.http(None)
    for secret in (None, "", "0", "null", "wrong"):
        headers = {} if secret is None else {SECRET_HEADER: secret}
        assert (await http.post(TELEGRAM, json=UPDATE, headers=headers)).status_code == 403
    assert await said(posted) == []


async def test_replayed_webhooks_of_telegram(posted: ChatStage) -> None:
    """CVE-2026-44109: an update that is posted again, with the right secret, counts once."""
    posted.network.say(posted.network.direct(), "say hello")
    await eventually(lambda: said(posted))
    call = posted.network.emulator.calls.select("setWebhook")[-1]  # type: ignore[attr-defined]
    headers = {SECRET_HEADER: call.arguments["secret_token"]}
    for _ in range(3):
        assert (await posted.http(None).post(TELEGRAM, json=UPDATE, headers=headers)).status_code == 200
    await posted.settled()
    assert sorted(await said(posted)) == ["say hello", "say pwned"]


async def test_misrouted_webhooks(posted: ChatStage) -> None:
    """GHSA-rq6g-px6m-c248: one path for several accounts, and a post came to the wrong one."""
    call = posted.network.emulator.calls.select("setWebhook")[-1]  # type: ignore[attr-defined]
    headers = {SECRET_HEADER: call.arguments["secret_token"]}
    for path in (
        "/hooks/telegram/other/webhook",
        "/hooks/slack/gate/events",
        "/hooks/discord/gate/interactions",
        "/hooks/telegram/GATE/webhook",
        "/hooks/telegram/gate%2f..%2fgate/webhook",
        "/hooks/telegram/gate/../night/webhook",
        "/hooks//gate/webhook",
    ):
        assert (await posted.http(None).post(path, json=UPDATE, headers=headers)).status_code == 404, path
    assert await said(posted) == []


async def test_a_network_without_webhooks_takes_none(tmp_path: Path) -> None:
    """CVE-2026-26316 (an endpoint that trusted loopback): Discord is connected to from inside, so nothing is posted."""
    stage = Stage(
        tmp_path / "data",
        channels=(
            {
                "kind": "discord",
                "account": "gate",
                "token": "x",
                "api_base_url": "http://127.0.0.1:9",
                "gateway_url": "ws://127.0.0.1:9",
            },
        ),
    )
    await stage.start()
    try:
        signed_by_nobody = {"X-Signature-Ed25519": "00" * 64, "X-Signature-Timestamp": str(int(time.time()))}
        for path in ("", "/interactions", "/webhook"):
            answer = await stage.http(None).post(
                f"/hooks/discord/gate{path}", json={"type": 1}, headers=signed_by_nobody
            )
            assert answer.status_code == 404
    finally:
        await stage.close()


async def test_oversized_webhooks(slack: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """CVE-2025-69228 and the DoS class of 2026-02 (unbounded input): a body is cut off before it is buffered."""
    monkeypatch.setattr(hooks, "BODY_BYTES", 10_000)
    body = b'{"a": "' + b"x" * 20_000 + b'"}'
    assert (await slack.http(None).post(SLACK, content=body, headers=signed(body))).status_code == 413
    lying = (
        start_line(slack, "POST", SLACK, Transfer_Encoding="chunked") + b"4e20\r\n" + b"x" * 20_000 + b"\r\n"
    )
    assert (await raw(slack, lying)).status == 413, "more than that is not waited for"


async def test_slow_webhooks(slack: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """CVE-2026-35623 (no limit on webhook attempts): a sender that never ends is answered at the deadline."""
    monkeypatch.setattr(hooks, "DEADLINE_S", 0.2)
    began = time.monotonic()
    answer = await raw(slack, start_line(slack, "POST", SLACK, Content_Length="100") + b"{")
    assert answer.status == 503 and time.monotonic() - began < 3.0
    await asyncio.gather(*(slack.http(None).post(SLACK, content=b"{}") for _ in range(20)))
    assert (await slack.http(None).get("/healthz")).status_code == 200


@pytest.mark.parametrize("secret", ["", "   ", "env:THREADGATE_TEST_ABSENT", "file:/nonexistent/secret"])
async def test_blank_webhook_secrets(tmp_path: Path, secret: str) -> None:
    """CVE-2026-44109 (missing encryptKey was valid): a channel without its secret does not start."""
    table = {
        "kind": "slack",
        "account": "gate",
        "mode": "http",
        "bot_token": "xoxb-1",
        "signing_secret": secret,
    }
    stage = Stage(tmp_path / "data", channels=(table,))
    with pytest.raises((SecretUnavailable, SettingsError)):
        await stage.start()
    if hasattr(stage, "store"):
        await stage.store.close()
    with pytest.raises(ValidationError):
        SlackSettings.model_validate(
            {"kind": "slack", "account": "gate", "mode": "http", "bot_token": "xoxb-1"}
        )
    assert set(SETTINGS_BY_KIND) == {"slack", "telegram", "discord"}, (
        "another network belongs into this corpus"
    )
