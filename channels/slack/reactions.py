"""Receipts: one of three emoji of ours on a message. Adding what is there and taking away what is not is success."""

from channels.errors import Permanent
from channels.slack.calls import Call, SlackCalls
from channels.slack.outbound import MARKS
from channels.slack.places import Place
from channels.slack.remembered import Remembered


class Reactions:
    """For one account. What we put where is remembered, to take away only that."""

    def __init__(self, calls: SlackCalls) -> None:
        self._calls = calls
        self._shown: Remembered[tuple[str, str, str], str] = Remembered()

    async def show(self, place: Place, ref: str, emoji: str | None) -> None:
        """Make `emoji` our only one of the three; None for none. Raises ChannelError."""
        key = (place.team, place.channel, ref)
        if emoji is not None:
            await self._call(
                place,
                "reactions.add",
                lambda client: client.reactions_add(channel=place.channel, timestamp=ref, name=emoji),
                "already_reacted",
            )
        shown = self._shown.get(key)
        # Forgotten, or before a restart: any of the others may be there.
        others = {shown} if shown is not None else set(MARKS.values())
        for other in sorted(others - {emoji}):
            await self._remove(place, ref, other)
        if emoji is not None:
            self._shown.put(key, emoji)
        else:
            self._shown.forget(key)

    async def _remove(self, place: Place, ref: str, emoji: str) -> None:
        await self._call(
            place,
            "reactions.remove",
            lambda client: client.reactions_remove(channel=place.channel, timestamp=ref, name=emoji),
            "no_reaction",
        )

    async def _call(self, place: Place, method: str, call: Call, success: str) -> None:
        try:
            await self._calls.call(place.team, method, call)
        except Permanent as error:
            if success not in str(error):
                raise
