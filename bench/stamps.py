"""Words that say when they were said, for measuring how long they are under way. Pure but for the clock.

Both sides of a measurement read CLOCK_MONOTONIC of one machine. A word is as long as one of the demo agent's.
"""

import asyncio
import time
from collections.abc import AsyncIterator

COMMAND = "stamps"
"""`stamps N RATE`: N words, so many a second."""
_WRAP = 1 << 32
"""Microseconds modulo this are eight hexadecimal digits: 71 minutes, longer than any benchmark."""


async def stamps(text: str) -> AsyncIterator[str]:
    """What an agent says to `stamps N RATE`. Paced by the clock, not by naps: lateness does not add up."""
    _, count, rate = text.split()
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(int(count)):
        ahead = began + number / float(rate) - loop.time()
        if ahead > 0:
            await asyncio.sleep(ahead)
        yield f"{time.monotonic_ns() // 1000 % _WRAP:08x} "


def delays_s(text: str, now_ns: int) -> list[float]:
    """How long ago each of the words in a delta was said. `now_ns` is of `time.monotonic_ns`."""
    now_us = now_ns // 1000
    return [(now_us - int(word, 16)) % _WRAP / 1e6 for word in text.split()]
