"""How an account fares, from what its parts observe. Holds values; asks nobody.

Messages flow over sockets when at least one of them has said hello; over HTTP when Slack has answered for the token.
"""

from dataclasses import dataclass, field

from channels.messages import Health, HealthState

# What does not work without a scope; the rest are named alone.
_WITHOUT = {
    "app_mentions:read": "mentions are not heard",
    "chat:write": "the bot cannot answer",
    "im:history": "direct messages are not heard",
    "channels:history": "public channels: only mentions are heard, nothing is caught up or found again",
    "groups:history": "private channels: only mentions are heard, nothing is caught up or found again",
    "mpim:history": "group conversations are not heard",
    "reactions:write": "no receipts",
    "files:read": "no files from people",
    "files:write": "no files to people",
    "users:read": "people have no names, guests are not told from members",
    "commands": "no slash command",
}


SOCKET = "socket"
"""How those begin who report about one of several sockets."""


@dataclass(slots=True)
class Pulse:
    """Mutable; read through `health`."""

    needs_sockets: bool
    is_started: bool = False
    is_stopped: bool = False
    is_probed: bool = False
    sockets_up: int = 0
    auth_lost: str | None = None
    troubles: dict[str, str] = field(default_factory=dict)
    """What is wrong right now, by who says so."""
    last_event_at_ms: int | None = None
    lag_ms: int | None = None
    missing: set[str] = field(default_factory=set)

    def event(self, now_ms: int, sent_at_ms: int | None) -> None:
        """Something came in and was stored."""
        self.last_event_at_ms = now_ms
        if sent_at_ms is not None:
            self.lag_ms = max(0, now_ms - sent_at_ms)

    def scopes(self, granted: set[str], wanted: set[str]) -> None:
        """Which of the scopes we want the token has."""
        self.missing = wanted - granted

    @property
    def health(self) -> Health:
        """All of it as the port shows it."""
        state, detail = self._state()
        missing = tuple(
            f"{scope}: {_WITHOUT[scope]}" if scope in _WITHOUT else scope for scope in sorted(self.missing)
        )
        return Health(state, detail, self.last_event_at_ms, self.lag_ms, missing)

    def _state(self) -> tuple[HealthState, str | None]:
        if self.auth_lost is not None:
            return HealthState.STOPPED, self.auth_lost
        if self.is_stopped:
            return HealthState.STOPPED, "stopped"
        if not self.is_started:
            return HealthState.STARTING, "not started"
        flows = self.sockets_up > 0 if self.needs_sockets else self.is_probed
        # While one socket is open, what keeps the other from opening costs nothing.
        trouble = next(
            (text for who, text in self.troubles.items() if not flows or not who.startswith(SOCKET)), None
        )
        if not flows:
            return (HealthState.DEGRADED, trouble) if trouble else (HealthState.STARTING, "connecting")
        return (HealthState.DEGRADED, trouble) if trouble else (HealthState.CONNECTED, None)
