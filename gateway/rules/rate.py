"""Token buckets as values: how many requests, or guesses, a principal has left, and when there is one again."""

from dataclasses import dataclass


@dataclass(slots=True)
class TokenBucket:
    """A bucket of `burst` requests, refilled with `per_s` requests a second. Times are monotonic seconds."""

    per_s: float
    burst: int
    level: float
    filled_at: float

    @classmethod
    def full(cls, per_s: float, burst: int, now: float) -> "TokenBucket":
        """A new principal has the whole burst."""
        return cls(per_s, burst, float(burst), now)

    def take(self, now: float) -> float:
        """Take one; return 0, or the seconds to wait when there is none (nothing is taken then)."""
        wait_s = self.wait_s(now)
        if not wait_s:
            self.level -= 1.0
        return wait_s

    def wait_s(self, now: float) -> float:
        """Seconds until there is one; nothing is taken."""
        self.level = min(float(self.burst), self.level + (now - self.filled_at) * self.per_s)
        self.filled_at = now
        return 0.0 if self.level >= 1.0 else (1.0 - self.level) / self.per_s

    def give_back(self) -> None:
        """Undo one `take` that turned out not to count."""
        self.level = min(float(self.burst), self.level + 1.0)
