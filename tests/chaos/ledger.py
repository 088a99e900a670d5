"""The ledger: everything that was said and what must come of it. Plain values, no I/O.

Every text is unique in the whole run, so a message that was stored twice, or by nobody, shows.
"""

import random
from dataclasses import dataclass, field

from tests.contract import networks


@dataclass(slots=True)
class Said:
    """One thing said. In a chat network it is `there`; `message_id` is the gateway's answer to `message.send`."""

    text: str
    answer: str
    kind: str = ""
    there: networks.Said | None = None
    thread_id: str | None = None
    message_id: str | None = None
    seq: int = 0


@dataclass(slots=True)
class Ledger:
    """All that was said, in order, and what the harness itself saw go wrong."""

    rng: random.Random
    said: list[Said] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    """Messages whose run has ended, as the observer saw it."""

    def compose(self) -> Said:
        """Something new to say: short, long enough to be seen growing, or too long for one message."""
        serial = len(self.said)
        dice = self.rng.random()
        if dice < 0.45:
            token = f"token-{serial}-{self.rng.randrange(16**6):06x}"
            said = Said(f"say {token}", token)
        elif dice < 0.93:
            said = self._stream(self.rng.randrange(20, 160), self.rng.randrange(80, 260), serial)
        else:
            said = self._stream(self.rng.randrange(550, 900), 3000, serial)
        self.said.append(said)
        return said

    def _stream(self, words: int, rate: int, serial: int) -> Said:
        # The rate's decimals are the serial number: they make the text unique and change nothing else.
        answer = " ".join(f"word-{number}" for number in range(1, words + 1))
        return Said(f"stream {words} {rate}.{serial:06d}", answer)
