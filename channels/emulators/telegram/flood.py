"""Flood limits: how many messages a bot may send or edit before it is told to wait.

Pure token buckets; time is an argument. The figures are the published ones
(https://core.telegram.org/bots/faq, 2026-06): about one message a second in a chat with short bursts
tolerated, 20 a minute in a group, 30 a second over all chats. The real server's bursts and penalties are not
published; ours are constant and generous.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FloodLimits:
    """Rates. None turns a limit off."""

    private_per_s: float | None = 1.0
    # Not published; five leaves room for a placeholder, an answer in parts and a correction.
    private_burst: int = 5
    group_per_min: int | None = 20
    account_per_s: int | None = 30


NO_FLOOD_LIMITS = FloodLimits(private_per_s=None, group_per_min=None, account_per_s=None)


class Bucket:
    """A token bucket of `capacity` tokens that fills at `rate_per_s`."""

    def __init__(self, rate_per_s: float, capacity: float, now: float) -> None:
        self._rate_per_s = rate_per_s
        self._capacity = capacity
        self._level = capacity
        self._at = now

    def wait_s(self, now: float) -> float:
        """How long until a token is there; 0 when there is one."""
        self._level = min(self._capacity, self._level + max(0.0, now - self._at) * self._rate_per_s)
        self._at = now
        return 0.0 if self._level >= 1 else (1 - self._level) / self._rate_per_s

    def take(self) -> None:
        """Use a token that `wait_s` said was there."""
        self._level -= 1


class FloodControl:
    """The buckets of all bots and chats."""

    def __init__(self, limits: FloodLimits) -> None:
        self._limits = limits
        self._buckets: dict[tuple[int, int], Bucket] = {}

    def spend(self, bot_id: int, chat_id: int, is_private: bool, now: float) -> float:
        """Count one message; returns the seconds to wait when it is refused, 0 when it may go."""
        buckets = [
            bucket
            for bucket in (self._account(bot_id, now), self._chat(bot_id, chat_id, is_private, now))
            if bucket is not None
        ]
        wait_s = max((bucket.wait_s(now) for bucket in buckets), default=0.0)
        if wait_s == 0:
            for bucket in buckets:
                bucket.take()
        return wait_s

    def _account(self, bot_id: int, now: float) -> Bucket | None:
        rate = self._limits.account_per_s
        # Chat id 0 does not exist, so it stands for the account as a whole.
        return None if rate is None else self._bucket((bot_id, 0), rate, rate, now)

    def _chat(self, bot_id: int, chat_id: int, is_private: bool, now: float) -> Bucket | None:
        if is_private:
            rate = self._limits.private_per_s
            return (rate and self._bucket((bot_id, chat_id), rate, self._limits.private_burst, now)) or None
        per_min = self._limits.group_per_min
        return (per_min and self._bucket((bot_id, chat_id), per_min / 60, per_min, now)) or None

    def _bucket(self, key: tuple[int, int], rate_per_s: float, capacity: float, now: float) -> Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(rate_per_s, capacity, now)
        return bucket
