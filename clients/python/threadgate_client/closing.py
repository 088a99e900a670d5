"""What a closed connection means: the retry verdict of close codes, and how long to wait before the next try.

Pure: the random number is an argument. Who closes and who waits is elsewhere.
"""

from enum import StrEnum
from typing import Final

from threadgate_client import limits

ABNORMAL: Final = 1006
"""The code of a connection that broke without a close frame (RFC 6455 §7.1.5)."""
UNSUPPORTED_VERSION: Final = 4002


class RetryVerdict(StrEnum):
    """What the client does after a close."""

    STOP = "stop"
    BACKOFF = "backoff"
    SOON = "soon"


def is_ours(code: int) -> bool:
    """Whether the gateway chose this code; all others come from the network or a proxy."""
    return 4000 <= code < 4300


def retry_verdict(code: int) -> RetryVerdict:
    """The verdict of any close code, known or not: its hundred decides.

    Codes that are not the gateway's mean back off, even 1000: a proxy may well send it.
    """
    hundred = code // 100
    if hundred == 40:
        return RetryVerdict.STOP
    return RetryVerdict.SOON if hundred == 42 else RetryVerdict.BACKOFF


def retry_delay_s(
    verdict: RetryVerdict, attempt: int, jitter: float, retry_after_s: float | None = None
) -> float:
    """Seconds to wait before the next attempt.

    `attempt` counts the failures in a row before this one, `jitter` is uniform in [0, 1). A `retry_after_s`
    comes on top of the jitter, so that clients sent away together do not come back together. The promise of
    42xx to be back soon holds for one attempt; then it is a failure like any other.
    """
    after_s = min(max(retry_after_s or 0.0, 0.0), limits.RETRY_AFTER_MAX_S)
    first_s = limits.BACKOFF_FIRST_S
    if verdict is RetryVerdict.SOON and attempt == 0:
        return after_s + jitter * first_s
    # The exponent is bounded only to keep the power small; the ceiling is reached long before.
    ceiling_s = min(limits.BACKOFF_LAST_S, first_s * 2.0 ** min(attempt + 1, 16))
    return after_s + first_s + jitter * (ceiling_s - first_s)
