"""Gateway sessions: numbering, replay after a cut, and the scripted ways in which events go astray. Pure.

A session outlives its connection, so that it can be resumed; who is not connected and not resumable gets
nothing (events/gateway.mdx#resuming of discord-api-docs).
"""

import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from channels.emulators.discord.intents import Intent
from channels.emulators.discord.records import Bot, Dispatch, Json
from channels.emulators.errors import ControlError

# "A few minutes" in the documentation.
SESSION_LIFE_S: Final = 180.0
# What can be replayed. The network's number is not published; more than any test leaves behind.
REPLAY_MAX: Final = 10_000
# What can be told again on demand.
RECENT_MAX: Final = 1_000

Frame = Json
Sink = Callable[[Frame], None]


@dataclass(slots=True)
class Session:
    """One identified client. `sink` takes frames while it is connected; `left_at` is when it lost that."""

    id: str
    bot: Bot
    intents: Intent
    sink: Sink | None = None
    left_at: float | None = None
    seq: int = 0
    replay: deque[Frame] = field(default_factory=lambda: deque(maxlen=REPLAY_MAX))

    def emit(self, event: str, data: Json) -> None:
        """Number an event, keep it for a replay, and send it when somebody listens."""
        self.seq += 1
        frame: Frame = {"op": 0, "t": event, "s": self.seq, "d": data}
        self.replay.append(frame)
        if self.sink is not None:
            self.sink(frame)

    def take(self, dispatch: Dispatch) -> None:
        """An event of the world, when this session asked for its kind."""
        if dispatch.intent not in self.intents:
            return
        reads_content = Intent.MESSAGE_CONTENT in self.intents & self.bot.enabled
        is_bare = dispatch.bare is not None and not reads_content
        self.emit(dispatch.event, dispatch.bare if is_bare and dispatch.bare is not None else dispatch.data)

    def after(self, seq: int) -> list[Frame] | None:
        """The events since `seq`; None when some of them are forgotten."""
        if seq < self.seq and (not self.replay or self.replay[0]["s"] > seq + 1):
            return None
        return [frame for frame in self.replay if frame["s"] > seq]


@dataclass(slots=True)
class _Loss:
    """Events to lose: a kind or all, a number of times."""

    event: str | None
    count: int


class Sessions:
    """All sessions of all bots, and what was scripted for their events."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._held: dict[int, list[Dispatch]] = {}
        self._losses: dict[int, list[_Loss]] = {}
        self._recent: dict[int, deque[Dispatch]] = {}

    def open(self, bot: Bot, intents: Intent, sink: Sink) -> Session:
        """A new session after an identify."""
        session = Session(secrets.token_hex(16), bot, intents, sink)
        self._sessions[session.id] = session
        return session

    def find(self, session_id: str) -> Session | None:
        """A session that can be resumed."""
        session = self._sessions.get(session_id)
        if session is None:
            return None
        if session.left_at is not None and self._clock() - session.left_at > SESSION_LIFE_S:
            del self._sessions[session_id]
            return None
        return session

    def leave(self, session: Session, sink: Sink) -> None:
        """Its connection is gone; nothing happens when another one took over already."""
        if session.sink is sink:
            session.sink, session.left_at = None, self._clock()

    def end(self, session: Session) -> None:
        """It cannot be resumed any more."""
        self._sessions.pop(session.id, None)
        session.sink = None

    def of(self, bot: Bot) -> list[Session]:
        """The sessions of a bot that are connected or can be resumed, oldest first."""
        return [one for one in self._sessions.values() if one.bot is bot]

    def deliver(self, dispatches: list[Dispatch]) -> None:
        """Bring events to their bots' sessions, unless they were scripted to wait or to get lost."""
        for dispatch in dispatches:
            if self._is_lost(dispatch):
                continue
            if dispatch.bot_id in self._held:
                self._held[dispatch.bot_id].append(dispatch)
            else:
                self._bring(dispatch)

    def hold(self, bot: Bot) -> None:
        """Let events wait until `release`."""
        self._held.setdefault(bot.id, [])

    def release(self, bot: Bot, order: list[int] | None = None) -> int:
        """Bring what waited, in this order of places (all of them), or as it came. Raises ControlError."""
        held = self._held.get(bot.id, [])
        places = list(range(len(held))) if order is None else order
        if sorted(places) != list(range(len(held))):
            raise ControlError(f"order must name each of the {len(held)} waiting events once, from 0")
        self._held.pop(bot.id, None)
        for place in places:
            self._bring(held[place])
        return len(places)

    def held(self, bot: Bot) -> list[str]:
        """The kinds of the events that wait."""
        return [dispatch.event for dispatch in self._held.get(bot.id, [])]

    def lose(self, bot: Bot, count: int, event: str | None = None) -> None:
        """Let the next events of a kind (or of all) vanish, as if the network had forgotten to send them."""
        if count < 1:
            raise ControlError("count must be at least 1")
        self._losses.setdefault(bot.id, []).append(_Loss(event, count))

    def redeliver(self, bot: Bot, event: str | None = None) -> str:
        """Tell the last event of a kind (or of all) once more, under a new number. Raises ControlError."""
        for dispatch in reversed(self._recent.get(bot.id, deque())):
            if event is None or dispatch.event == event:
                self._bring(dispatch)
                return dispatch.event
        raise ControlError(f"no {event or 'event'} was told yet")

    def _bring(self, dispatch: Dispatch) -> None:
        recent = self._recent.setdefault(dispatch.bot_id, deque(maxlen=RECENT_MAX))
        recent.append(dispatch)
        for session in list(self._sessions.values()):
            if session.bot.id == dispatch.bot_id and self.find(session.id) is not None:
                session.take(dispatch)

    def _is_lost(self, dispatch: Dispatch) -> bool:
        losses = self._losses.get(dispatch.bot_id, [])
        for loss in losses:
            if loss.event in (None, dispatch.event):
                loss.count -= 1
                if loss.count == 0:
                    losses.remove(loss)
                return True
        return False
