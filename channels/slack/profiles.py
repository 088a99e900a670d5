"""Who people are: names and guest status from users.info, kept for an hour.

Looked up before a delivery is stored, within the time Slack waits for its acknowledgement.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from channels.errors import AuthLost, ChannelError, Gone, Permanent, Unreachable
from channels.slack.calls import SlackCalls
from channels.slack.capabilities import LOOKUP_TIMEOUT_S, PROFILE_LIFE_S, PROFILES_MAX
from channels.slack.received import Profile
from channels.text import well_formed


class Profiles:
    """`must_know`: whether it matters who is a guest. Then a failed lookup is an error, and Slack sends again what
    could not be judged; else people without a profile are shown by their id."""

    def __init__(self, calls: SlackCalls, *, must_know: bool) -> None:
        self._calls = calls
        self._must_know = must_know
        self._known: OrderedDict[tuple[str, str], tuple[float, Profile | None]] = OrderedDict()

    async def of(self, person: tuple[str, str] | None) -> Profile | None:
        """The profile of (workspace, user); None when there is none to know. Raises ChannelError."""
        if person is None:
            return None
        known = self._known.get(person)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        profile: Profile | None
        try:
            profile = await self._ask(person)
        except Gone:
            # This workspace does not know them: where it matters, they are not of it.
            profile = Profile(person[1], is_foreign=True) if self._must_know else None
        except (Permanent, AuthLost):
            # The token may not ask, which the health shows: asking again changes nothing.
            profile = None
        except ChannelError:
            if self._must_know:
                raise
            return known[1] if known else None
        self._known[person] = (time.monotonic() + PROFILE_LIFE_S, profile)
        self._known.move_to_end(person)
        while len(self._known) > PROFILES_MAX:
            self._known.popitem(last=False)
        return profile

    async def _ask(self, person: tuple[str, str]) -> Profile:
        team, user = person
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_S):
                fields = await self._calls.call(
                    team, "users.info", lambda client: client.users_info(user=user)
                )
        except TimeoutError:
            raise Unreachable("users.info: no answer in time") from None
        found = fields.get("user")
        return to_profile(team, user, found if isinstance(found, Mapping) else {})


def to_profile(team: str, user: str, fields: Mapping[str, Any]) -> Profile:
    """A user object (https://docs.slack.dev/reference/objects/user-object) -> what matters of it."""
    inner = fields.get("profile")
    names: Mapping[str, Any] = inner if isinstance(inner, Mapping) else {}
    name = next(
        (
            str(one)
            for one in (
                *(names.get("display_name"), names.get("real_name")),
                *(fields.get("real_name"), fields.get("name")),
            )
            if one
        ),
        user,
    )
    is_guest = any(fields.get(key) for key in ("is_restricted", "is_ultra_restricted", "is_stranger"))
    return Profile(well_formed(name), is_guest, fields.get("team_id") not in (None, "", team))
