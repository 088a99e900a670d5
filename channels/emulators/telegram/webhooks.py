"""Posting updates to webhooks: in order within a chat, chats beside each other, again after a failure.

The shell around the queues and the webhooks of the world. The rules are those of the open-source server
(WebhookActor.cpp): one post at a time for each chat (or person, where there is no chat), `max_connections` at a
time for a bot; any 2xx is taken; otherwise the update waits 1, 2, 4 … 60 seconds, or as long as Retry-After says,
and is dropped when it would have expired by then; 23 hours of nothing but 410 delete the webhook. A method call
in the answer is executed, and nobody learns what came of it.

Waits are shortened by `time_scale`; letting the network's clock jump ahead ends them as well.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import aiohttp

from channels.emulators.telegram.arguments import Arguments
from channels.emulators.telegram.records import BotAccount, Json, Update, Webhook
from channels.emulators.telegram.refusals import Refusal
from channels.emulators.telegram.server import flattened
from channels.emulators.telegram.webhook_methods import is_deliverable
from channels.emulators.telegram.wire import update_to_wire
from channels.emulators.telegram.world import World

SECRET_HEADER: Final = "X-Telegram-Bot-Api-Secret-Token"
# WEBHOOK_MAX_RESEND_TIMEOUT; the server takes a random length up to twice that, we the shortest.
DELAY_MAX_S: Final = 60.0
# WebhookActor::on_update_error.
RETRY_AFTER_MAX_S: Final = 3600
# WEBHOOK_DROP_TIMEOUT.
GONE_AFTER_S: Final = 23 * 3600.0
# How long a receiver may take to answer. Not published; longer than any test waits.
ANSWER_TIMEOUT_S: Final = 60.0
# An answer carries one method call at most; nothing useful is longer.
ANSWER_MAX_BYTES: Final = 1 << 20
_NOT_IN_ANSWERS = frozenset(("deletewebhook", "setwebhook", "close", "logout"))

Call = Callable[[BotAccount, str, Arguments, dict[str, str]], Awaitable[None]]


@dataclass(slots=True)
class _Delay:
    """An update that failed: how long it waits next time, and until when now (in both clocks)."""

    next_s: float
    due_at: float
    due_in_loop_at: float


class Webhooks:
    """The posts that are under way and the updates that wait for another try."""

    def __init__(self, world: World, call: Call, time_scale: float) -> None:
        self._world = world
        self._call = call
        self._time_scale = time_scale
        self._posting: dict[tuple[int, int], asyncio.Task[None]] = {}
        self._delays: dict[tuple[int, int], _Delay] = {}
        self._gone_since: dict[int, float] = {}
        self._timers: set[asyncio.TimerHandle] = set()
        self._session: aiohttp.ClientSession | None = None

    def wake(self) -> None:
        """Post what can be posted now. Does nothing before `open` and after `close`."""
        if self._session is not None:
            for bot in self._world.bots.values():
                if is_deliverable(self._world.webhooks[bot.id].url):
                    self._start_posts(bot, self._session)

    def open(self) -> None:
        """Begin. On the event loop."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)
        # Nothing of the environment (proxies, credentials) may lead a post away from loopback.
        self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False)
        self.wake()

    async def close(self) -> None:
        """Stop posting; what is under way is cut off and stays unconfirmed. Idempotent."""
        session, self._session = self._session, None
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        tasks = list(self._posting.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if session is not None:
            await session.close()

    def _start_posts(self, bot: BotAccount, session: aiohttp.ClientSession) -> None:
        webhook = self._world.webhooks[bot.id]
        under_way = sum(bot_id == bot.id for bot_id, _ in self._posting)
        blocked = set[int]()
        waiting = self._world.queues[bot.id].to_post(self._world.now())
        self._forget_delays(bot, {update.id for update in waiting})
        for update in waiting:
            if under_way >= webhook.max_connections:
                return
            room = _room_of(update)
            if room in blocked or (bot.id, room) in self._posting:
                continue
            blocked.add(room)
            if self._is_due(bot, update):
                under_way += 1
                task = asyncio.create_task(self._post(bot, webhook, update, session))
                self._posting[bot.id, room] = task
                task.add_done_callback(partial(self._finished, (bot.id, room)))

    def _forget_delays(self, bot: BotAccount, waiting: set[int]) -> None:
        """Updates that expired meanwhile take their delays along."""
        gone = [key for key in self._delays if key[0] == bot.id and key[1] not in waiting]
        for key in gone:
            del self._delays[key]

    def _finished(self, key: tuple[int, int], task: asyncio.Task[None]) -> None:
        del self._posting[key]
        self.wake()

    async def _post(
        self, bot: BotAccount, webhook: Webhook, update: Update, session: aiohttp.ClientSession
    ) -> None:
        headers = {SECRET_HEADER: webhook.secret_token} if webhook.secret_token else {}
        # The real server sends the type without a charset; so does aiohttp when it is given bytes.
        headers["Content-Type"] = "application/json"
        body = json.dumps(update_to_wire(update), ensure_ascii=False).encode()
        try:
            async with session.post(webhook.url, data=body, headers=headers, allow_redirects=False) as answer:
                text = await answer.content.read(ANSWER_MAX_BYTES)
        except TimeoutError:
            self._failed(bot, webhook, update, "Read timeout expired")
            return
        except aiohttp.ClientConnectorError:
            self._failed(bot, webhook, update, "Connection refused")
            return
        except aiohttp.ClientError:
            self._failed(bot, webhook, update, "Webhook connection closed")
            return
        if not 200 <= answer.status <= 299:
            reason = f"Wrong response from the webhook: {answer.status} {answer.reason}"
            self._note_gone(bot, answer.status == 410)
            self._failed(bot, webhook, update, reason, _seconds(answer.headers.get("Retry-After")))
            return
        self._note_gone(bot, False)
        self._delays.pop((bot.id, update.id), None)
        self._world.queues[bot.id].remove(update)
        await self._execute(bot, answer.content_type, text)

    def _failed(
        self, bot: BotAccount, webhook: Webhook, update: Update, reason: str, retry_after_s: int = 0
    ) -> None:
        now = self._world.now()
        webhook.last_error_at, webhook.last_error = now, reason
        previous = self._delays.get((bot.id, update.id))
        next_s = 1.0 if previous is None else previous.next_s
        wait_s = retry_after_s or next_s
        if now + wait_s > update.expires_at:
            self._delays.pop((bot.id, update.id), None)
            self._world.queues[bot.id].remove(update)
            return
        if not retry_after_s:
            next_s = min(next_s * 2, DELAY_MAX_S)
        loop = asyncio.get_running_loop()
        due_in_loop_at = loop.time() + wait_s * self._time_scale
        self._delays[bot.id, update.id] = _Delay(next_s, now + wait_s, due_in_loop_at)
        self._wake_at(due_in_loop_at)

    def _wake_at(self, when: float) -> None:
        loop = asyncio.get_running_loop()
        self._timers = {timer for timer in self._timers if timer.when() > loop.time()}
        self._timers.add(loop.call_at(when, self.wake))

    def _is_due(self, bot: BotAccount, update: Update) -> bool:
        delay = self._delays.get((bot.id, update.id))
        if delay is None or self._world.now() >= delay.due_at:
            return True
        return asyncio.get_running_loop().time() >= delay.due_in_loop_at

    def _note_gone(self, bot: BotAccount, is_gone: bool) -> None:
        if not is_gone:
            self._gone_since.pop(bot.id, None)
            return
        since = self._gone_since.setdefault(bot.id, self._world.now())
        if self._world.now() > since + GONE_AFTER_S:
            self._world.webhooks[bot.id] = Webhook()

    async def _execute(self, bot: BotAccount, content_type: str, text: bytes) -> None:
        values = _method_call(content_type, text)
        method = values.pop("method", "").lower()
        if method and method not in _NOT_IN_ANSWERS and not method.startswith("get"):
            await self._call(bot, method, Arguments(values), values)


def _room_of(update: Update) -> int:
    """What updates wait for one another by: the chat they are from, or the person."""
    payload: Json = update.payload
    chat = payload.get("chat") or payload.get("message", {}).get("chat") or payload.get("from") or {}
    return int(chat.get("id", 0))


def _seconds(value: str | None) -> int:
    return min(int(value), RETRY_AFTER_MAX_S) if value is not None and value.isdecimal() else 0


def _method_call(content_type: str, text: bytes) -> dict[str, str]:
    """The arguments in a webhook's answer; nothing when it is not JSON. (The real server also takes forms.)"""
    if content_type != "application/json":
        return {}
    try:
        return flattened(text.decode("utf-8", "replace"))
    except Refusal:
        return {}
