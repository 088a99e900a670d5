"""Carries out what `deliveries.py` plans: over sockets, or by signed HTTP requests to the app's request URL.

One task on the event loop, woken by whatever changes the plan. https://docs.slack.dev/apis/events-api,
https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from urllib.parse import urlencode

from aiohttp import ClientError, ClientSession, ClientTimeout, TooManyRedirects

from channels.emulators.errors import ControlError
from channels.emulators.slack import interactions
from channels.emulators.slack.deliveries import Delivery, DeliveryState
from channels.emulators.slack.records import AppAccount, Json
from channels.emulators.slack.sockets import Sockets
from channels.emulators.slack.world import World


def signed_headers(app: AppAccount, body: str, timestamp: int) -> dict[str, str]:
    """The two headers that prove a request comes from Slack."""
    text = f"v0:{timestamp}:{body}".encode()
    signature = hmac.new(app.signing_secret.encode(), text, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": str(timestamp), "X-Slack-Signature": f"v0={signature}"}


class Dispatcher:
    """Sends what is due, until it is closed."""

    def __init__(self, world: World, spread: Callable[[], None]) -> None:
        self.sockets = Sockets(world, self._acknowledged, self.wake)
        self._world = world
        self._spread = spread
        self._changed = asyncio.Event()
        self._session = ClientSession(timeout=ClientTimeout(total=world.timing.ack_s))
        self._posts: set[asyncio.Task[None]] = set()
        self._task = asyncio.create_task(self._run())

    def wake(self) -> None:
        """The plan changed."""
        self._changed.set()

    async def close(self) -> None:
        """Send nothing any more."""
        for task in (self._task, *self._posts):
            task.cancel()
        await asyncio.gather(self._task, *self._posts, return_exceptions=True)
        await self.sockets.close()
        await self._session.close()

    async def verify_url(self, app: AppAccount, url: str) -> None:
        """Ask a request URL for the challenge. Raises ControlError when it does not answer as it should."""
        challenge = self._world.new_id("challenge")
        body = {"token": app.verification_token, "challenge": challenge, "type": "url_verification"}
        try:
            status, text, _ = await self._post(app, url, json.dumps(body), "application/json", {})
        except (ClientError, TimeoutError) as error:
            raise ControlError(f"the request URL does not answer: {type(error).__name__}") from None
        if status != 200 or challenge not in text:
            raise ControlError(f"the request URL did not return the challenge (status {status})")

    async def _run(self) -> None:
        deliveries = self._world.deliveries
        while True:
            self._changed.clear()
            for delivery in deliveries.due(time.monotonic()):
                self._send(delivery)
            next_at = deliveries.next_at()
            try:
                wait_s = None if next_at is None else max(0.0, next_at - time.monotonic())
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _send(self, delivery: Delivery) -> None:
        now = time.monotonic()
        deliveries = self._world.deliveries
        deliveries.sent(delivery, now)
        if url := self._world.request_urls[delivery.app_id]:
            task = asyncio.create_task(self._deliver_by_http(delivery, url))
            self._posts.add(task)
            task.add_done_callback(self._posts.discard)
        elif not self.sockets.send(delivery.app_id, delivery.envelope()):
            deliveries.failed(delivery, now, "connection_failed")

    async def _deliver_by_http(self, delivery: Delivery, url: str) -> None:
        envelope_id = delivery.envelope_id
        app = self._world.apps[delivery.app_id]
        body, content_type = _http_body(delivery)
        headers = {}
        if delivery.attempt:
            headers = {
                "X-Slack-Retry-Num": str(delivery.attempt),
                "X-Slack-Retry-Reason": _http_reason(delivery.retry_reason),
            }
        is_final = False
        try:
            status, text, no_retry = await self._post(app, url, body, content_type, headers)
            is_final = no_retry and status != 200
            reason = "" if status == 200 else "http_error"
        except TimeoutError:
            reason = "http_timeout"
        except TooManyRedirects:
            reason = "too_many_redirects"
        except ClientError:
            reason = "connection_failed"
        if not reason:
            self._acknowledged(delivery.app_id, envelope_id, _json_object(text))
        elif delivery.envelope_id == envelope_id and delivery.state is DeliveryState.SENT:
            # Unless the time to acknowledge ran out first and planned the next attempt already.
            self._world.deliveries.failed(delivery, time.monotonic(), reason, is_final=is_final)
            self.wake()

    async def _post(
        self, app: AppAccount, url: str, body: str, content_type: str, headers: dict[str, str]
    ) -> tuple[int, str, bool]:
        # The receiver compares with the wall clock, so an injected clock must not sign.
        signed = signed_headers(app, body, int(time.time()))
        sent = {"Content-Type": content_type, "User-Agent": "Slackbot 1.0", **signed, **headers}
        async with self._session.post(url, data=body.encode(), headers=sent) as response:
            text = await response.text()
            return response.status, text, response.headers.get("X-Slack-No-Retry") == "1"

    def _acknowledged(self, app_id: str, envelope_id: str, answer: Json | None) -> None:
        delivery = self._world.deliveries.acknowledge(app_id, envelope_id, answer)
        if delivery is not None:
            interactions.take_answer(self._world, delivery)
            self._spread()


def _http_body(delivery: Delivery) -> tuple[str, str]:
    if delivery.kind == "events_api":
        return json.dumps(delivery.payload), "application/json"
    form = "application/x-www-form-urlencoded"
    if delivery.kind == "slash_commands":
        return urlencode(delivery.payload), form
    return urlencode({"payload": json.dumps(delivery.payload)}), form


def _http_reason(reason: str) -> str:
    return "http_timeout" if reason == "timeout" else reason


def _json_object(text: str) -> Json | None:
    try:
        parsed = json.loads(text)
    except ValueError:
        return {"text": text} if text else None
    return parsed if isinstance(parsed, dict) else None
