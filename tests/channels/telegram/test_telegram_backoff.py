"""How long the poller waits after failures."""

import random

import pytest

from channels.telegram.poller import Backoff


@pytest.mark.parametrize(
    ("failures", "longest_s"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 20.0), (10_000, 20.0)]
)
def test_the_longest_wait_doubles_up_to_a_bound(failures: int, longest_s: float) -> None:
    jitter = random.Random(1)
    delays = [Backoff().delay_s(failures, jitter) for _ in range(500)]
    assert 0 <= min(delays) < longest_s * 0.05
    assert longest_s * 0.95 < max(delays) <= longest_s
