"""What a gateway connection may say, and what follows from it: identify, resume, heartbeat and the rest. Pure.

Opcodes and close codes: topics/opcodes-and-status-codes.mdx of discord-api-docs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from channels.emulators.discord.intents import KNOWN_BITS, PRIVILEGED, Intent, application_flags
from channels.emulators.discord.records import Bot, Json
from channels.emulators.discord.sessions import Session, Sessions, Sink
from channels.emulators.discord.wire import guild_create_to_wire, member_to_wire, user_to_wire
from channels.emulators.discord.world import World

HEARTBEAT, IDENTIFY, PRESENCE, VOICE_STATE, RESUME, REQUEST_MEMBERS = 1, 2, 3, 4, 6, 8
RECONNECT, INVALID_SESSION, HELLO, HEARTBEAT_ACK = 7, 9, 10, 11
_SILENT: Final = frozenset({PRESENCE, VOICE_STATE, 31, 43})
# events/gateway.mdx#sending-events and #rate-limiting.
FRAME_MAX_BYTES: Final = 4096
SENDS_MAX: Final = 120
SENDS_WINDOW_S: Final = 60.0


class Closing(Exception):
    """The connection must be closed with this code; `ends_session` when it cannot be resumed then."""

    def __init__(self, code: int, reason: str, ends_session: bool = False) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.ends_session = ends_session


@dataclass(slots=True)
class Peer:
    """One connection's state: its session once it has one, and when it sent what counts towards the limit."""

    world: World
    sessions: Sessions
    send: Sink
    url: Callable[[], str]
    session: Session | None = None
    sent_at: list[float] = field(default_factory=list)

    def receive(self, size: int, frame: object) -> None:
        """One frame of the client. Raises Closing."""
        if size > FRAME_MAX_BYTES:
            raise Closing(4002, "Error while decoding payload.")
        if not isinstance(frame, dict) or not isinstance(frame.get("op"), int):
            raise Closing(4002, "Error while decoding payload.")
        self._count()
        op, data = frame["op"], frame.get("d")
        if op == HEARTBEAT:
            self.send({"op": HEARTBEAT_ACK, "d": None, "s": None, "t": None})
        elif op in (IDENTIFY, RESUME):
            if self.session is not None:
                raise Closing(4005, "Already authenticated.")
            if not isinstance(data, dict):
                raise Closing(4002, "Error while decoding payload.")
            if op == IDENTIFY:
                self._identify(data)
            else:
                self._resume(data)
        elif self.session is None:
            raise Closing(4003, "Not authenticated.")
        elif op == REQUEST_MEMBERS and isinstance(data, dict):
            self._list_members(self.session, data)
        elif op not in _SILENT:
            raise Closing(4001, "Unknown opcode.")

    def _count(self) -> None:
        now = self.world.now()
        self.sent_at = [*(at for at in self.sent_at if now - at < SENDS_WINDOW_S), now]
        if len(self.sent_at) > SENDS_MAX:
            raise Closing(4008, "Rate limited.")

    def _bot(self, data: Json) -> Bot:
        bot = self.world.bot_of(str(data.get("token", "")).removeprefix("Bot "))
        if bot is None:
            raise Closing(4004, "Authentication failed.", ends_session=True)
        return bot

    def _identify(self, data: Json) -> None:
        bot = self._bot(data)
        if data.get("shard", [0, 1]) != [0, 1]:
            # More than one shard is not emulated.
            raise Closing(4010, "Invalid shard.")
        intents = data.get("intents")
        if isinstance(intents, bool) or not isinstance(intents, int) or intents & ~KNOWN_BITS or intents < 0:
            raise Closing(4013, "Invalid intent(s).")
        if Intent(intents) & PRIVILEGED & ~bot.enabled:
            raise Closing(4014, "Disallowed intent(s).")
        self.session = self.sessions.open(bot, Intent(intents), self.send)
        guilds = [one for one in self.world.guilds.values() if bot.id in one.members]
        ready: Json = {
            "v": 10,
            "user": user_to_wire(bot.user) | {"verified": True, "mfa_enabled": False, "flags": 0},
            "guilds": [{"id": str(one.id), "unavailable": True} for one in guilds],
            "session_id": self.session.id,
            "resume_gateway_url": self.url(),
            "application": {"id": str(bot.id), "flags": application_flags(bot.enabled)},
            "shard": [0, 1],
            "session_type": "normal",
            "private_channels": [],
            "presences": [],
            "relationships": [],
        }
        self.session.emit("READY", ready)
        if Intent.GUILDS in self.session.intents:
            for guild in guilds:
                wire = guild_create_to_wire(self.world, guild, bot) | {"unavailable": False}
                self.session.emit("GUILD_CREATE", wire)

    def _resume(self, data: Json) -> None:
        bot = self._bot(data)
        session = self.sessions.find(str(data.get("session_id")))
        seq = data.get("seq")
        if session is None or session.bot is not bot:
            self.send({"op": INVALID_SESSION, "d": False, "s": None, "t": None})
            return
        if isinstance(seq, bool) or not isinstance(seq, int) or not 0 <= seq <= session.seq:
            self.sessions.end(session)
            raise Closing(4007, "Invalid seq.")
        missed = session.after(seq)
        if missed is None:
            self.sessions.end(session)
            self.send({"op": INVALID_SESSION, "d": False, "s": None, "t": None})
            return
        session.sink, session.left_at = self.send, None
        self.session = session
        for frame in missed:
            self.send(frame)
        session.emit("RESUMED", {"_trace": []})

    def _list_members(self, session: Session, data: Json) -> None:
        """GUILD_MEMBERS_CHUNK, by ids or by the beginning of a name."""
        guild = self.world.guilds.get(int(data.get("guild_id") or 0))
        if guild is None or session.bot.id not in guild.members:
            return
        wants_all = data.get("query") == "" and not data.get("limit")
        if wants_all and Intent.GUILD_MEMBERS not in session.intents:
            raise Closing(4014, "Disallowed intent(s).")
        ids = data.get("user_ids")
        wanted = {int(one) for one in ([ids] if isinstance(ids, str | int) else ids or [])}
        query = str(data.get("query") or "").lower()
        users = [self.world.users[one] for one in guild.members]
        found = [
            one for one in users if (one.id in wanted if wanted else one.username.lower().startswith(query))
        ]
        limit = data.get("limit") or len(found)
        chunk: Json = {
            "guild_id": str(guild.id),
            "members": [member_to_wire(guild.members[one.id], one) for one in found[:limit]],
            "chunk_index": 0,
            "chunk_count": 1,
            "not_found": [str(one) for one in wanted - set(guild.members)],
        }
        if data.get("nonce") is not None:
            chunk["nonce"] = data["nonce"]
        session.emit("GUILD_MEMBERS_CHUNK", chunk)
