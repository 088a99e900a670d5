"""Catching up: what was said in known rooms while nothing could be received, read back from Slack.

Slack repeats an event for about six minutes and then gives up. So after a start, and after an outage, every room
with a cursor is read from a little before that cursor: messages and their edits, and replies in threads whose first
message is not too old. They are stored under the names their events have, so that nothing is taken twice. Deletions
are not told by history.

One room after the other, the liveliest first; a rate limit is waited out. What is more than may be read is reported
as a gap.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from channels.errors import Permanent, RateLimited
from channels.messages import RoomRef
from channels.port import InboxSink
from channels.slack.calls import SlackCalls
from channels.slack.capabilities import CATCH_UP_BATCH, CATCH_UP_PAGES_MAX, OVERLAP_S, THREADS_LOOKBACK_S
from channels.slack.inbound import read_back
from channels.slack.places import Place, later, milliseconds, moved, place_of, ts_at
from channels.slack.profiles import Profiles
from channels.slack.received import BotIdentity, Profile, Received
from channels.slack.receiving import Committer
from channels.slack.reconciling import next_cursor, page_of
from channels.slack.settings import Experience
from channels.slack.sockets import Backoff
from channels.slack.workspaces import Identities

log = logging.getLogger(__name__)

Message = Mapping[str, Any]
# Tries of one room that fail for other reasons than a rate limit; the next outage or start tries again.
_TRIES_MAX = 5


class CatchUp:
    """For one account and one sink. `run` as often as there was an outage, one at a time."""

    def __init__(
        self,
        calls: SlackCalls,
        identities: Identities,
        profiles: Profiles,
        committer: Committer,
        sink: InboxSink,
        experience: Experience,
        backoff: Backoff | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._calls = calls
        self._identities = identities
        self._profiles = profiles
        self._committer = committer
        self._sink = sink
        self._experience = experience
        self._backoff = backoff or Backoff()
        self._jitter = random.Random()
        self._now_ms = now_ms

    async def run(self, cursors: Mapping[str, str]) -> None:
        """Read every room from its cursor on."""
        for scope, cursor in sorted(cursors.items(), key=lambda one: milliseconds(one[1]), reverse=True):
            await self._room_with_patience(scope, cursor)

    async def _room_with_patience(self, scope: str, cursor: str) -> None:
        failures, place = 0, place_of(RoomRef(scope))
        while failures < _TRIES_MAX:
            try:
                await self._room(place, cursor)
            except RateLimited as error:
                await asyncio.sleep(error.after_s)
            except Permanent as error:
                # The bot is there no longer, or may not read: nothing will change that by itself.
                self._log(place, str(error))
                return self._committer.release(scope)
            except Exception as error:  # noqa: BLE001 - logged
                # The edge of this room: whatever Slack or the store says must not keep the others from being read.
                failures += 1
                self._log(place, "an error", error)
                await asyncio.sleep(self._backoff.delay_s(failures, self._jitter))
            else:
                return self._committer.release(scope)
        # Its cursor stays where it is, so that the next start or outage reads from there.

    @staticmethod
    def _log(place: Place, why: str, error: Exception | None = None) -> None:
        fields = {"action": "slack.not_caught_up", "room": place.channel}
        log.warning("slack room not caught up: %s", why, exc_info=error, extra=fields)

    async def _room(self, place: Place, cursor: str) -> None:
        """One room: its messages since the cursor, and the replies of its threads. Raises ChannelError."""
        now_ms = self._now_ms()
        since, latest = moved(cursor, -OVERLAP_S), ts_at(now_ms)
        roots, is_whole = await self._pages(place, moved(since, -THREADS_LOOKBACK_S), latest)
        found = [one for one in roots if _is_since(one, since)]
        for root in roots:
            if later(str(root.get("latest_reply") or "0"), since):
                thread = Place(place.team, place.channel, str(root["ts"]))
                replies, has_all = await self._pages(thread, since, latest)
                found += [one for one in replies if one.get("ts") != root.get("ts") and _is_since(one, since)]
                is_whole = is_whole and has_all
        await self._store(place, found)
        if not is_whole:
            reason = f"more was said in {place.channel} than is read back after an outage"
            await self._sink.gap(milliseconds(cursor), now_ms, reason)

    async def _pages(self, place: Place, oldest: str, latest: str) -> tuple[list[Message], bool]:
        """The messages of a room or a thread in a stretch of time, and whether these are all."""
        found: dict[str, Message] = {}
        cursor: str | None = None
        for _ in range(CATCH_UP_PAGES_MAX):
            fields = await page_of(self._calls, place, oldest=oldest, latest=latest, cursor=cursor)
            for one in fields.get("messages") or ():
                if isinstance(one, Mapping) and isinstance(one.get("ts"), str):
                    found[one["ts"]] = one
            cursor = next_cursor(fields)
            if cursor is None:
                return list(found.values()), True
        return list(found.values()), False

    async def _store(self, place: Place, messages: Sequence[Message]) -> None:
        """In the order they were said. Raises ChannelError, and what the store raises."""
        bot = await self._identities.of(place.team)
        ordered = sorted(messages, key=lambda one: milliseconds(str(one["ts"])))
        batch: list[Received] = []
        for message in ordered:
            batch += await self._received(place, message, bot)
            if len(batch) >= CATCH_UP_BATCH:
                await self._committer.store(batch, is_catching_up=True)
                batch = []
        if batch:
            await self._committer.store(batch, is_catching_up=True)

    async def _received(self, place: Place, message: Message, bot: BotIdentity) -> list[Received]:
        user = message.get("user")
        is_person = isinstance(user, str) and not message.get("bot_id") and user != bot.user_id
        author: Profile | None = await self._profiles.of((place.team, str(user)) if is_person else None)
        return read_back(place, message, bot, author, self._experience)


def _is_since(message: Message, since: str) -> bool:
    """Whether it was said, or changed, after this."""
    edited = message.get("edited")
    edited_ts = str(edited.get("ts") or "0") if isinstance(edited, Mapping) else "0"
    return later(str(message["ts"]), since) or later(edited_ts, since)
