"""Who the application is, and its commands: registered globally or for one guild. Pure.

Rules: interactions/application-commands.mdx of discord-api-docs.
"""

import re
from typing import Final

from channels.emulators.discord.exchange import NO_CONTENT, Answer, Ask
from channels.emulators.discord.forms import FormErrors, Path
from channels.emulators.discord.records import Json
from channels.emulators.discord.refusals import Refusal, missing_access, unknown
from channels.emulators.discord.wire import application_to_wire, user_to_wire

CHAT_INPUT: Final = 1
# By kind of command: chat input, user, message.
COMMANDS_MAX: Final = {1: 100, 2: 15, 3: 15}
CREATES_PER_DAY: Final = 200
OPTIONS_MAX: Final = 25
NAME_MAX: Final = 32
DESCRIPTION_MAX: Final = 100
_DAY_S: Final = 86_400.0
_NAME: Final = re.compile(r"[-_'\w]{1,32}")
_KEPT: Final = (
    *("name", "description", "options", "default_member_permissions", "nsfw"),
    *("name_localizations", "description_localizations", "integration_types", "contexts"),
)


def get_me(ask: Ask) -> Answer:
    return Answer(user_to_wire(ask.bot.user) | {"verified": True, "mfa_enabled": False, "flags": 0})


def get_application(ask: Ask) -> Answer:
    guilds = [one for one in ask.world.guilds.values() if ask.bot.id in one.members]
    owner = next(user for user in ask.world.users.values() if not user.is_bot)
    return Answer(application_to_wire(ask.bot, owner, len(guilds)))


def list_commands(ask: Ask) -> Answer:
    return Answer(ask.bot.commands.get(_place(ask), []))


def get_command(ask: Ask) -> Answer:
    return Answer(_known(ask))


def overwrite_commands(ask: Ask) -> Answer:
    """All at once; commands that keep their name and kind keep their id."""
    place = _place(ask)
    errors = FormErrors()
    given = errors.dicts((), ask.body)
    for index, raw in enumerate(given):
        _check(raw, (index,), errors)
    errors.check()
    keys = [_key(raw) for raw in given]
    for index, key in enumerate(keys):
        if key in keys[:index]:
            errors.add(
                (index, "name"),
                "APPLICATION_COMMANDS_DUPLICATE_NAME",
                "Application command names must be unique",
            )
    errors.check()
    _check_amounts(keys)
    before = {_key(one): one for one in ask.bot.commands.get(place, [])}
    _count_creates(ask, place, [key for key in keys if key not in before])
    ask.bot.commands[place] = [_stored(ask, place, raw, before.get(_key(raw))) for raw in given]
    return Answer(ask.bot.commands[place])


def create_command(ask: Ask) -> Answer:
    """One; a command of the same name and kind is replaced."""
    place = _place(ask)
    raw = ask.fields()
    errors = FormErrors()
    _check(raw, (), errors)
    errors.check()
    commands = ask.bot.commands.setdefault(place, [])
    same = next((one for one in commands if _key(one) == _key(raw)), None)
    if same is None:
        _check_amounts([*map(_key, commands), _key(raw)])
        _count_creates(ask, place, [_key(raw)])
    stored = _stored(ask, place, raw, same)
    ask.bot.commands[place] = [*(one for one in commands if one is not same), stored]
    return Answer(stored, 201 if same is None else 200)


def delete_command(ask: Ask) -> Answer:
    command = _known(ask)
    ask.bot.commands[_place(ask)].remove(command)
    return NO_CONTENT


def _place(ask: Ask) -> int:
    """The guild of the path, 0 for everywhere. Raises Refusal for a foreign application or guild."""
    if ask.id("a") != ask.bot.id:
        raise missing_access()
    if "g" not in ask.path:
        return 0
    guild = ask.world.guilds.get(ask.id("g"))
    if guild is None or ask.bot.id not in guild.members:
        raise missing_access()
    return guild.id


def _known(ask: Ask) -> Json:
    for command in ask.bot.commands.get(_place(ask), []):
        if command["id"] == ask.path["k"]:
            return command
    raise unknown("application command")


def _key(command: Json) -> tuple[int, str]:
    return command.get("type") or CHAT_INPUT, command["name"]


def _check(raw: Json, path: Path, errors: FormErrors) -> None:
    kind = errors.choice((*path, "type"), raw.get("type") or CHAT_INPUT, COMMANDS_MAX)
    if kind == CHAT_INPUT:
        _check_named(raw, path, errors)
        _check_options(raw.get("options") or [], (*path, "options"), errors)
    else:
        errors.text((*path, "name"), raw.get("name"), 1, NAME_MAX)


def _check_named(raw: Json, path: Path, errors: FormErrors) -> None:
    name = raw.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name != name.lower():
        errors.add((*path, "name"), "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")
    errors.text((*path, "description"), raw.get("description"), 1, DESCRIPTION_MAX)


def _check_options(options: object, path: Path, errors: FormErrors) -> None:
    was_optional = False
    for index, option in enumerate(errors.dicts(path, options, OPTIONS_MAX)):
        _check_named(option, (*path, index), errors)
        errors.choice((*path, index, "type"), option.get("type"), range(1, 12))
        if option.get("required") and was_optional:
            errors.add(
                (*path, index),
                "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
                "Required options must be placed before non-required options",
            )
        was_optional = was_optional or not option.get("required")
        _check_options(option.get("options") or [], (*path, index, "options"), errors)


def _check_amounts(keys: list[tuple[int, str]]) -> None:
    for kind, most in COMMANDS_MAX.items():
        if sum(one == kind for one, _ in keys) > most:
            raise Refusal(400, 30032, f"Maximum number of application commands reached ({most}).")


def _count_creates(ask: Ask, place: int, new: list[tuple[int, str]]) -> None:
    now = ask.world.now()
    recent = [at for at in ask.bot.command_creates.get(place, []) if now - at < _DAY_S]
    if len(recent) + len(new) > CREATES_PER_DAY:
        text = f"Max number of daily application command creates has been reached ({CREATES_PER_DAY})"
        raise Refusal(429, 30034, text, retry_after_s=recent[0] + _DAY_S - now if recent else _DAY_S)
    ask.bot.command_creates[place] = recent + [now] * len(new)


def _stored(ask: Ask, place: int, raw: Json, before: Json | None) -> Json:
    kept = {name: raw[name] for name in _KEPT if raw.get(name) is not None}
    stored: Json = {
        "id": str(ask.world.ids.next()) if before is None else before["id"],
        "application_id": str(ask.bot.id),
        "version": str(ask.world.ids.next()),
        "type": raw.get("type") or CHAT_INPUT,
        "default_member_permissions": None,
        "dm_permission": raw.get("dm_permission", True),
        "description": "",
        "nsfw": False,
        **kept,
    }
    return stored if place == 0 else stored | {"guild_id": str(place)}
