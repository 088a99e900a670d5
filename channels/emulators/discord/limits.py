"""Rate limits: buckets for each route and room, and the headers that announce them. Pure.

Real limits differ by route and are not published (topics/rate-limits.mdx); libraries read the headers. Here
sending into a channel has the limit that everybody observes, everything else a generous one.
"""

from dataclasses import dataclass, field

SEND_NAME = "POST /channels/{c}/messages"
# The path parameters that have buckets of their own (topics/rate-limits.mdx).
_MAJOR = ("c", "g", "t")


@dataclass(frozen=True, slots=True)
class RateLimits:
    """How often: sends for each room, other calls for each route and room, all calls of a bot. None is never."""

    sends: int | None = 5
    sends_window_s: float = 5.0
    others: int | None = 50
    others_window_s: float = 1.0
    total_per_s: int | None = 50


NO_RATE_LIMITS = RateLimits(sends=None, others=None, total_per_s=None)
# What headers claim where nothing is limited.
_PLENTY = 1000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a call passes, with the headers of its bucket. `retry_after_s` None when it does."""

    headers: dict[str, str]
    retry_after_s: float | None = None
    is_global: bool = False


@dataclass(slots=True)
class _Window:
    started_at: float
    used: int = 0


@dataclass(slots=True)
class Buckets:
    """What was used of each limit. `now` is seconds since 1970."""

    limits: RateLimits
    _windows: dict[tuple[object, ...], _Window] = field(default_factory=dict)

    def use(self, bot_id: int, name: str, path: dict[str, str], now: float) -> Verdict:
        """Count a call. Interaction endpoints do not count towards the total."""
        counts_globally = not name.partition(" ")[2].startswith(("/interactions", "/webhooks"))
        total = self.limits.total_per_s
        if total is not None and counts_globally:
            window = self._window((bot_id,), 1.0, now)
            window.used += 1
            if window.used > total:
                return Verdict({"X-RateLimit-Global": "true"}, window.started_at + 1.0 - now, True)
        sends = name == SEND_NAME
        limit = self.limits.sends if sends else self.limits.others
        length_s = self.limits.sends_window_s if sends else self.limits.others_window_s
        if limit is None:
            return Verdict(_headers(name, _PLENTY, _PLENTY - 1, 1.0, now))
        major = tuple(path.get(key) for key in _MAJOR)
        window = self._window((bot_id, name, *major), length_s, now)
        window.used += 1
        ends_in_s = window.started_at + length_s - now
        headers = _headers(name, limit, max(0, limit - window.used), ends_in_s, now)
        return Verdict(headers, ends_in_s if window.used > limit else None)

    def _window(self, key: tuple[object, ...], length_s: float, now: float) -> _Window:
        window = self._windows.get(key)
        if window is None or not 0 <= now - window.started_at < length_s:
            window = self._windows[key] = _Window(now)
        return window


def _headers(name: str, limit: int, remaining: int, reset_after_s: float, now: float) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": f"{now + reset_after_s:.3f}",
        "X-RateLimit-Reset-After": f"{reset_after_s:.3f}",
        "X-RateLimit-Bucket": name.replace(" ", ""),
    }
