"""The stand-in as one object: start it, script its answers and faults, look at what it was asked, stop it."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Self

from channels.emulators.calls import CallLog
from channels.emulators.control import Inspection
from channels.emulators.faults import FaultScript
from channels.emulators.feed import Feed
from channels.emulators.loopback import LoopbackServer
from channels.emulators.openai.answers import Answer, AnswerScript, Composer, echo
from channels.emulators.openai.control import AnswerControl
from channels.emulators.openai.server import CompletionsApi
from channels.emulators.openai.wire import Json

DEFAULT_MODELS = ("demo",)
# Requests are kept whole for tests to look at; a long run must not grow.
REQUESTS_MAX = 200


class OpenAiEmulator:
    """An OpenAI-compatible server on loopback. `compose` answers when nothing is scripted; it says back unless told.

    Every model name is answered; `models` are those it lists. With a `key` every other one is refused.
    """

    def __init__(
        self,
        *,
        models: Sequence[str] = DEFAULT_MODELS,
        key: str | None = None,
        compose: Composer = echo,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.faults = FaultScript()
        self.calls = CallLog()
        self.answers = AnswerScript(compose)
        self._requests: deque[Json] = deque(maxlen=REQUESTS_MAX)
        self._clock, self._models, self._key = clock, models, key
        self._feed: Feed | None = None
        self._api: CompletionsApi | None = None
        self._server = LoopbackServer(lambda path: path.startswith("/control/"))

    @property
    def url(self) -> str:
        """Where it listens; the last address while it is stopped."""
        return self._server.url

    @property
    def base_url(self) -> str:
        """What a client takes as `base_url`."""
        return f"{self.url}/v1"

    @property
    def requests(self) -> list[Json]:
        """The bodies of the last requests for completions, oldest first."""
        return list(self._requests)

    def say(self, *answers: Answer) -> None:
        """Append to the script."""
        self.answers.add(*answers)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises ValueError for an address that is not loopback."""
        if self._server.is_running:
            raise RuntimeError("the emulator runs already")
        feed = self._feed = Feed()
        api = self._api = CompletionsApi(
            self.answers, self.faults, self.calls, feed, self._requests, self._clock, self._models, self._key
        )
        inspection = Inspection(self.faults, self.calls, feed)
        routes = [*api.routes(), *AnswerControl(self.answers).routes(), *inspection.routes()]
        await self._server.start(routes, host, port)

    async def stop(self) -> None:
        """Wake who waits, end the streams of changes, close the port. Idempotent."""
        if self._api is not None and self._feed is not None:
            self._api.close()
            self._feed.close()
        await self._server.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()
