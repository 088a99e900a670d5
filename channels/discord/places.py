"""Which rooms there are: channels and threads by id, as the gateway tells of them. Pure.

A message names only its channel's id; whether that is a thread, of which channel, and what the bot may do
there, must be known from what was told before.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias

from discord import Permissions

Payload: TypeAlias = Mapping[str, Any]


class PlaceKind(StrEnum):
    """What a channel id stands for; everything else (categories, stores) takes no messages."""

    DIRECT = "direct"
    CHANNEL = "channel"
    SPEECH = "speech"
    FORUM = "forum"
    THREAD = "thread"
    OTHER = "other"


# resources/channel.mdx#channel-object-channel-types
_KIND_BY_TYPE: Final = {
    0: PlaceKind.CHANNEL,
    1: PlaceKind.DIRECT,
    2: PlaceKind.SPEECH,
    5: PlaceKind.CHANNEL,
    10: PlaceKind.THREAD,
    11: PlaceKind.THREAD,
    12: PlaceKind.THREAD,
    13: PlaceKind.SPEECH,
    15: PlaceKind.FORUM,
    16: PlaceKind.FORUM,
}
_HOLDS_MESSAGES: Final = frozenset({PlaceKind.CHANNEL, PlaceKind.SPEECH, PlaceKind.THREAD})
# What the bot needs, and what does not work without it.
_NEEDED: Final = {
    "view_channel": "View Channels: nothing is received",
    "send_messages": "Send Messages: nothing is answered",
    "send_messages_in_threads": "Send Messages in Threads: nothing is answered in threads",
    "create_public_threads": "Create Public Threads: mentions are answered in the channel itself",
    "read_message_history": "Read Message History: messages written while the bot was away are lost",
    "add_reactions": "Add Reactions: no receipts are shown",
    "attach_files": "Attach Files: no files are sent",
}


@dataclass(frozen=True, slots=True)
class Place:
    """One channel id. `parent` is the channel a thread belongs to; `last_message` what was last written there."""

    id: str
    kind: PlaceKind
    guild: str | None = None
    parent: str | None = None
    title: str | None = None
    last_message: str | None = None

    @property
    def holds_messages(self) -> bool:
        """Whether messages of people can stand here."""
        return self.kind in _HOLDS_MESSAGES


@dataclass(slots=True)
class _Guild:
    """What permissions are computed from. Role permissions and overwrites by the id of role or member."""

    name: str
    is_owner: bool
    own_roles: frozenset[str]
    bot_role: str | None
    permissions_by_role: dict[str, int]


@dataclass(slots=True)
class Places:
    """All known places of one bot. Grows with what it is told; forgets what is deleted."""

    bot_id: str = ""
    _places: dict[str, Place] = field(default_factory=dict)
    _guilds: dict[str, _Guild] = field(default_factory=dict)
    _overwrites: dict[str, list[Payload]] = field(default_factory=dict)

    def find(self, channel_id: str) -> Place | None:
        """The place, if it was ever told of."""
        return self._places.get(channel_id)

    def learn(self, event: str, data: Payload) -> list[Place]:
        """Take in what a dispatch says; the places that can hold messages and were not known before."""
        match event:
            case "GUILD_CREATE":
                if data.get("unavailable"):
                    return []
                self._guilds[data["id"]] = self._guild(data)
                told = [*data.get("channels", ()), *data.get("threads", ())]
                return self._add_all(told, data["id"])
            case "GUILD_ROLE_CREATE" | "GUILD_ROLE_UPDATE":
                if guild := self._guilds.get(data["guild_id"]):
                    guild.permissions_by_role[data["role"]["id"]] = int(data["role"]["permissions"])
            case "CHANNEL_CREATE" | "CHANNEL_UPDATE" | "THREAD_CREATE" | "THREAD_UPDATE":
                return self._add_all([data], data.get("guild_id"))
            case "THREAD_LIST_SYNC":
                return self._add_all(data.get("threads", ()), data.get("guild_id"))
            case "CHANNEL_DELETE" | "THREAD_DELETE":
                self._places.pop(data["id"], None)
                self._overwrites.pop(data["id"], None)
            case _:
                pass
        return []

    def add(self, channel: Payload) -> Place:
        """Take in one channel object, as REST answers it."""
        place = to_place(channel, channel.get("guild_id"))
        self._places[place.id] = place
        if "permission_overwrites" in channel:
            self._overwrites[place.id] = list(channel["permission_overwrites"])
        return place

    def bot_role(self, guild_id: str | None) -> str | None:
        """The role Discord made for the bot; people take it for the bot's name when they mention it."""
        guild = self._guilds.get(guild_id or "")
        return guild.bot_role if guild else None

    def takes_threads(self, place: Place) -> bool:
        """Whether the bot can open a thread here and write in it."""
        permissions = self.permissions(place)
        return place.kind is PlaceKind.CHANNEL and (
            permissions is None
            or (permissions.create_public_threads and permissions.send_messages_in_threads)
        )

    def can_read_back(self, place: Place) -> bool:
        """Whether older messages can be read here. Without the right the answer is empty rather than a refusal."""
        permissions = self.permissions(place)
        return permissions is None or (permissions.view_channel and permissions.read_message_history)

    def permissions(self, place: Place) -> Permissions | None:
        """What the bot may do here; None when the guild was not told of (topics/permissions.mdx)."""
        guild = self._guilds.get(place.guild or "")
        if guild is None or place.guild is None:
            return None
        base = Permissions(self._base(guild, place.guild))
        if guild.is_owner or base.administrator:
            return Permissions.all()
        value = base.value
        overwrites = self._overwrites.get(place.parent or place.id, [])
        for allow, deny in _layers(overwrites, place.guild, guild.own_roles, self.bot_id):
            value = (value & ~deny) | allow
        return Permissions(value)

    def missing(self) -> Iterator[str]:
        """What the bot lacks in a guild as a whole, and what does not work without it."""
        for guild_id, guild in self._guilds.items():
            permissions = Permissions(self._base(guild, guild_id))
            if guild.is_owner or permissions.administrator:
                continue
            for name, effect in _NEEDED.items():
                if not getattr(permissions, name):
                    yield f"{effect} (in {guild.name})"

    def _base(self, guild: _Guild, guild_id: str) -> int:
        value = guild.permissions_by_role.get(guild_id, 0)
        for role in guild.own_roles:
            value |= guild.permissions_by_role.get(role, 0)
        return value

    def _guild(self, data: Payload) -> _Guild:
        own: Payload = next((one for one in data.get("members", ()) if one["user"]["id"] == self.bot_id), {})
        roles = data.get("roles", ())
        return _Guild(
            name=data.get("name", data["id"]),
            is_owner=data.get("owner_id") == self.bot_id,
            own_roles=frozenset(own.get("roles", ())),
            bot_role=next(
                (one["id"] for one in roles if (one.get("tags") or {}).get("bot_id") == self.bot_id), None
            ),
            permissions_by_role={one["id"]: int(one["permissions"]) for one in roles},
        )

    def _add_all(self, channels: Any, guild_id: str | None) -> list[Place]:
        fresh = []
        for channel in channels:
            is_known = channel["id"] in self._places
            place = self.add({"guild_id": guild_id, **channel})
            if not is_known and place.holds_messages:
                fresh.append(place)
        return fresh


def to_place(channel: Payload, guild_id: str | None) -> Place:
    """A channel object."""
    kind = _KIND_BY_TYPE.get(channel["type"], PlaceKind.OTHER)
    return Place(
        id=channel["id"],
        kind=kind,
        guild=guild_id,
        parent=channel.get("parent_id") if kind is PlaceKind.THREAD else None,
        title=channel.get("name"),
        last_message=channel.get("last_message_id"),
    )


def _layers(
    overwrites: list[Payload], guild_id: str, roles: frozenset[str], bot_id: str
) -> Iterator[tuple[int, int]]:
    """Allow and deny in the order they apply: everyone, all roles together, the member."""
    everyone = [one for one in overwrites if one["id"] == guild_id]
    of_roles = [one for one in overwrites if one["id"] in roles]
    of_member = [one for one in overwrites if one["id"] == bot_id]
    for layer in (everyone, of_roles, of_member):
        allow = deny = 0
        for one in layer:
            allow |= int(one["allow"])
            deny |= int(one["deny"])
        yield allow, deny
