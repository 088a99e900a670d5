"""Whether a message of unknown outcome stands in Slack: look for its marker.

A post carries its operation as metadata. Streams carry it from their end on and uploads never do, so those are known
by what is left: ours, unmarked, in the right thread, from the time of the attempt, and nobody else's. Judging is pure;
`Reconciler` asks, once: Slack cannot list a message at once, so the core looks twice before it believes an absence.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from channels.errors import Permanent
from channels.messages import Finding, Operation, Receipt, Reconciled, Rendered, RoomRef
from channels.slack.calls import SlackCalls
from channels.slack.capabilities import (
    CLOCK_SKEW_S,
    HISTORY_PAGE,
    RECONCILE_PAGES_MAX,
)
from channels.slack.outbound import op_in
from channels.slack.places import Place, later, moved, place_of, ts_at
from channels.slack.received import BotIdentity
from channels.slack.remembered import Remembered
from channels.slack.workspaces import Identities

# Of messages in Slack that are ours and say nothing of operations: they were not made by a stream or an upload.
_NOTICES = frozenset({"channel_join", "group_join", "assistant_app_thread", "tombstone", "bot_add"})


def find(
    messages: Sequence[Mapping[str, Any]],
    operation: Operation,
    content: Rendered,
    bot: BotIdentity,
    known: Callable[[str], bool],
) -> str | None:
    """The `ts` of the operation's message. `known` says which messages belong to other operations."""
    for message in messages:
        if op_in(message) == operation.id:
            return str(message.get("ts"))
    for message in messages:
        if _may_be(message, operation, content, bot) and not known(str(message["ts"])):
            return str(message["ts"])
    return None


def _may_be(message: Mapping[str, Any], operation: Operation, content: Rendered, bot: BotIdentity) -> bool:
    """Whether an unmarked message of ours can be this stream, or this upload."""
    is_ours = (bool(bot.bot_id) and message.get("bot_id") == bot.bot_id) or message.get("user") == bot.user_id
    if not is_ours or op_in(message) is not None or message.get("subtype") in _NOTICES:
        return False
    if later(moved(ts_at(operation.attempted_at_ms), -CLOCK_SKEW_S), str(message.get("ts"))):
        return False
    if content.blob_id is None:
        return not message.get("files")
    return bool(message.get("files")) and message.get("text", "") == content.text


class Reconciler:
    """Asks Slack. `echoes` and `own` are what the adapter saw and made itself."""

    def __init__(self, calls: SlackCalls, identities: Identities) -> None:
        self._calls = calls
        self._identities = identities
        self.echoes: Remembered[str, str] = Remembered()
        """Message by operation, as Slack showed it to us as an event."""
        self.own: Remembered[str, str] = Remembered()
        """Operation by message, as Slack answered."""

    async def reconcile(self, operation: Operation, room: RoomRef, content: Rendered) -> Reconciled:
        """One look. Raises ChannelError when Slack cannot be asked now."""
        if (ref := self.echoes.get(operation.id)) is not None:
            return Reconciled(Finding.FOUND, Receipt(ref))
        place = place_of(room)
        try:
            bot = await self._identities.of(place.team)
            messages = await self._messages(place, operation)
        except Permanent:
            # The history cannot be read (a scope, a channel that is gone): nobody can find out.
            return Reconciled(Finding.UNKNOWABLE)
        ref = find(messages or (), operation, content, bot, self._is_of_another(operation.id))
        if ref is not None:
            return Reconciled(Finding.FOUND, Receipt(ref))
        if messages is None:
            return Reconciled(Finding.UNKNOWABLE)
        return Reconciled(Finding.ABSENT)

    def _is_of_another(self, op: str) -> Callable[[str], bool]:
        return lambda ts: self.own.get(ts) not in (None, op)

    async def _messages(self, place: Place, operation: Operation) -> list[Mapping[str, Any]] | None:
        """Everything since shortly before the attempt; None when it is more than may be read."""
        oldest = moved(ts_at(operation.attempted_at_ms), -CLOCK_SKEW_S)
        found: list[Mapping[str, Any]] = []
        cursor: str | None = None
        for _ in range(RECONCILE_PAGES_MAX):
            fields = await page_of(self._calls, place, oldest=oldest, cursor=cursor, with_metadata=True)
            found += [one for one in fields.get("messages") or () if isinstance(one, Mapping)]
            cursor = next_cursor(fields)
            if cursor is None:
                return found
        return found if any(op_in(one) == operation.id for one in found) else None


async def page_of(
    calls: SlackCalls,
    place: Place,
    *,
    oldest: str,
    latest: str | None = None,
    cursor: str | None = None,
    with_metadata: bool = False,
) -> Mapping[str, Any]:
    """One page of a channel, or of a thread, whose first message is on every page. Raises ChannelError."""
    thread_ts = place.thread_ts
    if thread_ts is None:
        return await calls.call(
            place.team,
            "conversations.history",
            lambda client: client.conversations_history(
                channel=place.channel,
                oldest=oldest,
                latest=latest,
                inclusive=True,
                cursor=cursor,
                limit=HISTORY_PAGE,
                include_all_metadata=with_metadata,
            ),
        )
    return await calls.call(
        place.team,
        "conversations.replies",
        lambda client: client.conversations_replies(
            channel=place.channel,
            ts=thread_ts,
            oldest=oldest,
            latest=latest,
            inclusive=True,
            cursor=cursor,
            limit=HISTORY_PAGE,
            include_all_metadata=with_metadata,
        ),
    )


def next_cursor(fields: Mapping[str, Any]) -> str | None:
    """Where the next page begins; None on the last one."""
    metadata = fields.get("response_metadata")
    cursor = metadata.get("next_cursor") if isinstance(metadata, Mapping) else None
    return str(cursor) if cursor else None
