"""Rate limits: how many calls of a method a workspace may make for an app, when that is switched on.

Pure: takes the time as an argument. https://docs.slack.dev/apis/web-api/rate-limits. Real limits tolerate bursts
that are not published; here a window of a minute slides, and posting is one message a second and channel with a
small burst.
"""

from collections import deque
from dataclasses import dataclass, field
from math import ceil

from channels.emulators.slack.methods import POSTING_TIER

PER_MINUTE = {1: 1, 2: 20, 3: 50, 4: 100}
WINDOW_S = 60.0
POSTS_BURST, POSTS_WINDOW_S = 5, 5.0


@dataclass(slots=True)
class Tiers:
    """What was called when. `is_on` False lets everything pass."""

    is_on: bool = False
    _calls: dict[tuple[str, ...], deque[float]] = field(default_factory=dict)

    def wait_s(self, now: float, tier: int, method: str, team_id: str, app_id: str, channel: str) -> int:
        """Count a call; how many whole seconds to wait instead when there were too many, else 0."""
        if not self.is_on:
            return 0
        is_posting = tier == POSTING_TIER
        most, window_s = (POSTS_BURST, POSTS_WINDOW_S) if is_posting else (PER_MINUTE[tier], WINDOW_S)
        key = (method, team_id, app_id, channel if is_posting else "")
        calls = self._calls.setdefault(key, deque())
        while calls and calls[0] <= now - window_s:
            calls.popleft()
        if len(calls) >= most:
            return max(1, ceil(calls[0] + window_s - now))
        calls.append(now)
        return 0
