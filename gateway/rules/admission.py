"""Who may speak, and where: from the policy of an account and what was said to what the store lets in. Pure.

What an operator decided about a person is known to the store alone, so a judgement says for every standing
whether the message is taken. docs/ARCHITECTURE.md has the table in words.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

from storage.channel_values import EVERYBODY, Entry, Standing

_LET_IN: Final[frozenset[Standing]] = frozenset({"allowed"})
_NOT_SHUT_OUT: Final[frozenset[Standing]] = frozenset({"unknown", "allowed"})
_NOBODY: Final[frozenset[Standing]] = frozenset()


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may speak through one account; the fields are those of its settings."""

    dm_policy: Literal["pairing", "allowlist", "open"] = "pairing"
    allow: frozenset[str] = field(default_factory=frozenset)
    allow_external: bool = False
    rooms: frozenset[str] = field(default_factory=frozenset)
    mention_required: bool = True


@dataclass(frozen=True, slots=True)
class Saying:
    """What matters of a message. `is_ambient`: it is not addressed to the bot.
    `may_continue`: it names a conversation, or a message it answers."""

    sender_id: str
    room: str
    is_direct: bool
    is_ambient: bool
    may_continue: bool = False
    is_bot: bool = False
    is_external: bool = False


class Refusal(StrEnum):
    """Why a message is not taken, whatever the store knows. The text is what the inbox keeps."""

    BOT = "a bot"
    ROOM = "not one of the rooms"
    AMBIENT = "not addressed to the bot"
    STRANGER = "the sender is not allowed"


@dataclass(frozen=True, slots=True)
class Admitted:
    """The message may be taken. `pairs`: somebody nobody decided about yet is offered to be let in."""

    entry: Entry
    pairs: bool = False


def judge(policy: Policy, saying: Saying) -> Admitted | Refusal:
    """Whose message this may be."""
    if saying.is_bot:
        return Refusal.BOT
    if not saying.is_direct and policy.rooms and saying.room not in policy.rooms:
        return Refusal.ROOM
    is_ambient = saying.is_ambient and not saying.is_direct and policy.mention_required
    if is_ambient and not saying.may_continue:
        return Refusal.AMBIENT
    taken_from = people(policy, saying.sender_id, is_external=saying.is_external)
    pairs = policy.dm_policy == "pairing" and saying.is_direct and "unknown" not in taken_from
    if not taken_from:
        return Refusal.STRANGER
    return Admitted(Entry(taken_from, needs_thread=is_ambient), pairs)


def people(policy: Policy, sender_id: str, *, is_external: bool) -> frozenset[Standing]:
    """With which standing this person is let in; empty for with none. Who has no id is nobody, whatever is allowed."""
    if not sender_id:
        return _NOBODY
    if sender_id in policy.allow:
        return EVERYBODY.taken_from
    if policy.dm_policy == "allowlist":
        return _NOBODY
    if policy.dm_policy == "open" and (policy.allow_external or not is_external):
        return _NOT_SHUT_OUT
    return _LET_IN
