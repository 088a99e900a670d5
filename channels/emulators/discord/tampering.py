"""The grip of tests and pages on the gateway: closing, resuming, holding back, losing and repeating events."""

from channels.emulators.discord.gateway import Gateway
from channels.emulators.discord.sessions import Sessions
from channels.emulators.discord.world import World


class Tampering:
    """What can go wrong between the network and a bot. `bot` None means the first one."""

    def __init__(self, world: World, sessions: Sessions, gateway: Gateway) -> None:
        self._world = world
        self._sessions = sessions
        self._gateway = gateway

    def close(self, code: int, reason: str = "", *, bot: str | None = None) -> int:
        """Close the bot's sockets with a code; the number of them. Codes that end sessions do so."""
        return self._gateway.close_connections(self._world.bot_named(bot), code, reason)

    def cut(self, *, bot: str | None = None) -> int:
        """Break the bot's connections without a close frame; the number of them."""
        return self._gateway.cut_connections(self._world.bot_named(bot))

    def ask_to_reconnect(self, *, bot: str | None = None) -> int:
        """Send opcode 7; the number of connections that got it."""
        return self._gateway.ask_to_reconnect(self._world.bot_named(bot))

    def invalidate(self, *, resumable: bool, bot: str | None = None) -> int:
        """Send opcode 9; the number of connections that got it."""
        return self._gateway.invalidate(self._world.bot_named(bot), resumable)

    def refuse_upgrades(self, count: int) -> None:
        """Answer the next connections with 503. Raises ControlError."""
        self._gateway.refuse_upgrades(count)

    def hold(self, *, bot: str | None = None) -> None:
        """Let the bot's events wait until `release`."""
        self._sessions.hold(self._world.bot_named(bot))

    def held(self, *, bot: str | None = None) -> list[str]:
        """The kinds of the events that wait, oldest first."""
        return self._sessions.held(self._world.bot_named(bot))

    def release(self, order: list[int] | None = None, *, bot: str | None = None) -> int:
        """Let the waiting events go, in this order of places. Raises ControlError."""
        return self._sessions.release(self._world.bot_named(bot), order)

    def lose(self, count: int = 1, event: str | None = None, *, bot: str | None = None) -> None:
        """Lose the next events of a kind, or of all. Raises ControlError."""
        self._sessions.lose(self._world.bot_named(bot), count, event)

    def redeliver(self, event: str | None = None, *, bot: str | None = None) -> str:
        """Tell the last event of a kind once more; its kind. Raises ControlError."""
        return self._sessions.redeliver(self._world.bot_named(bot), event)

    @property
    def upgrade_count(self) -> int:
        """How many connections were accepted so far."""
        return self._gateway.upgrade_count
