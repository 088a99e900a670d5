"""Who a text notifies: the mentions in it, and what `allowed_mentions` lets through. Pure.

Mentions inside code do not notify. A backslash before one is not trusted to stop it: on the network that
depends on what follows, and an emulator that lets it pass would hide a leak.
"""

import re
from dataclasses import dataclass
from typing import Final

from channels.emulators.discord.forms import FormErrors
from channels.emulators.discord.permissions import Permission
from channels.emulators.discord.records import Channel, Json, Mentions
from channels.emulators.discord.world import World

# At most 100 ids each (resources/message.mdx#allowed-mentions-object).
IDS_MAX: Final = 100
_KINDS: Final = ("users", "roles", "everyone")
_CODE: Final = re.compile(r"(`+).+?\1", re.DOTALL)
_USER: Final = re.compile(r"<@!?(\d+)>")
_ROLE: Final = re.compile(r"<@&(\d+)>")
_EVERYONE: Final = re.compile(r"@(?:everyone|here)\b")


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may notify. `users` and `roles` None mean all that are named; `replied_user` the author answered."""

    users: frozenset[int] | None
    roles: frozenset[int] | None
    everyone: bool
    replied_user: bool


# What counts when the field is left out (resources/message.mdx#allowed-mentions-object).
ALL_ALLOWED: Final = Allowed(None, None, True, True)
INTERACTION_ALLOWED: Final = Allowed(None, frozenset(), False, True)


def read_allowed(raw: object, default: Allowed, errors: FormErrors) -> Allowed:
    """`allowed_mentions` of a body; notes what is wrong with it."""
    if raw is None:
        return default
    fields = errors.dict(("allowed_mentions",), raw)
    parse = errors.items(("allowed_mentions", "parse"), fields.get("parse") or [])
    for index, kind in enumerate(parse):
        if kind not in _KINDS:
            errors.add(
                ("allowed_mentions", "parse", index),
                "BASE_TYPE_CHOICES",
                "Value must be one of {'users', 'roles', 'everyone'}.",
            )
    users, roles = _ids(fields, "users", errors), _ids(fields, "roles", errors)
    for name, ids in (("users", users), ("roles", roles)):
        if name in parse and ids:
            errors.add(
                ("allowed_mentions",),
                "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                f"parse:[{name!r}] and {name}: [ids...] are mutually exclusive.",
            )
    return Allowed(
        users=None if "users" in parse else users,
        roles=None if "roles" in parse else roles,
        everyone="everyone" in parse,
        replied_user=bool(fields.get("replied_user")),
    )


def find_mentions(
    world: World, channel: Channel, author_id: int, texts: list[str], allowed: Allowed, replied_to: int | None
) -> Mentions:
    """Who is notified by these texts of this author in this room. `replied_to` is the author answered, if any."""
    text = _CODE.sub(" ", "\n".join(texts))
    may_ping_all = Permission.MENTION_EVERYONE in world.permissions_of(author_id, channel)
    guild = world.guild_of(channel)
    users = [
        user_id
        for user_id in map(int, _USER.findall(text))
        if user_id in world.users and (allowed.users is None or user_id in allowed.users)
    ]
    if replied_to is not None and allowed.replied_user and replied_to != author_id:
        users.append(replied_to)
    roles: list[int] = []
    if guild is not None:
        pingable = {role.id for role in guild.roles if role.is_mentionable or may_ping_all}
        roles = [
            role_id
            for role_id in map(int, _ROLE.findall(text))
            if role_id in pingable and (allowed.roles is None or role_id in allowed.roles)
        ]
    is_for_all = bool(guild and may_ping_all and allowed.everyone and _EVERYONE.search(text))
    return Mentions(tuple(dict.fromkeys(users)), tuple(dict.fromkeys(roles)), is_for_all)


def _ids(fields: Json, name: str, errors: FormErrors) -> frozenset[int]:
    path = ("allowed_mentions", name)
    return frozenset(
        errors.snowflake(path, one) for one in errors.items(path, fields.get(name) or [], IDS_MAX)
    )
