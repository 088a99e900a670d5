"""What people do to an application: press, choose, run a command, fill in a modal. Pure.

Each makes an interaction that the application has to answer (`responses.py`).
"""

import secrets
from typing import Final

from channels.emulators.discord.announcements import tell_interaction
from channels.emulators.discord.components import (
    BUTTON,
    LABEL,
    STRING_SELECT,
    TEXT_INPUT,
    find_custom,
    walk,
)
from channels.emulators.discord.people import admit, live_message
from channels.emulators.discord.records import Bot, Channel, Interaction, InteractionKind, Json, User
from channels.emulators.discord.views import interaction_view
from channels.emulators.discord.world import World
from channels.emulators.errors import ControlError

# interactions/application-commands.mdx#application-command-option-type.
SUBCOMMAND, SUBCOMMAND_GROUP = 1, 2
_VALUE_TYPES: Final[dict[int, type | tuple[type, ...]]] = {3: str, 4: int, 5: bool, 10: (int, float)}


def press(
    world: World, channel: Channel, message_id: int, custom_id: str, user: User, values: list[str]
) -> Interaction:
    """Press a button, or choose in a select. Raises ControlError when that cannot be done."""
    message = live_message(channel, message_id)
    component = find_custom(message.components, custom_id)
    if component is None or message.author_id not in world.bots:
        raise ControlError("there is no such button")
    if component.get("disabled"):
        raise ControlError("this button is disabled")
    if message.ephemeral_to not in (None, user.id):
        raise ControlError("only one person sees this message")
    admit(world, channel, user)
    data: Json = {
        "custom_id": custom_id,
        "component_type": component["type"],
        "id": component["id"],
    }
    if component["type"] != BUTTON:
        data["values"] = _chosen(component, values)
    bot = world.bots[message.author_id]
    return _interact(world, bot, "component", channel, user, data, message.id)


def slash(world: World, bot: Bot, channel: Channel, user: User, name: str, options: Json) -> Interaction:
    """Run a registered command. Raises ControlError when it is unknown or its options do not fit."""
    admit(world, channel, user)
    root, *path = name.lstrip("/").split()
    places = [0] if channel.guild_id is None else [channel.guild_id, 0]
    registered = [one for place in places for one in bot.commands.get(place, []) if one["type"] == 1]
    command = next((one for one in registered if one["name"] == root), None)
    if command is None:
        raise ControlError(f"{bot.user.username} has no command {root}")
    if (
        channel.guild_id is None
        and command.get("contexts") not in (None, [])
        and 1 not in command["contexts"]
    ):
        raise ControlError(f"{root} cannot be used in direct messages")
    data: Json = {
        "id": command["id"],
        "name": root,
        "type": 1,
        "options": _options(command, path, options),
    }
    if "guild_id" in command:
        data["guild_id"] = command["guild_id"]
    return _interact(world, bot, "command", channel, user, data, None)


def submit(world: World, interaction_id: int, values: dict[str, str]) -> Interaction:
    """Fill in the modal that answered an interaction. Raises ControlError."""
    opened = world.interactions.get(interaction_id)
    if opened is None or opened.modal is None:
        raise ControlError("this interaction opened no modal")
    modal, opened.modal = opened.modal, None
    inputs = {one["custom_id"]: one for one in walk(modal["components"]) if one.get("custom_id")}
    if unknown := set(values) - set(inputs):
        opened.modal = modal
        raise ControlError(f"the modal has no field {min(unknown)}")
    for custom_id, one in inputs.items():
        value = values.get(custom_id, "")
        if (one.get("required", True) and not value) or len(value) > one.get("max_length", 4000):
            opened.modal = modal
            raise ControlError(f"{custom_id} is required, or too long")
    data: Json = {
        "custom_id": modal["custom_id"],
        "components": [_filled(part, values) for part in modal["components"]],
    }
    channel, user = world.channels[opened.channel_id], world.users[opened.user_id]
    bot = world.bots[opened.bot_id]
    return _interact(world, bot, "modal", channel, user, data, opened.message_id)


def _interact(
    world: World,
    bot: Bot,
    kind: InteractionKind,
    channel: Channel,
    user: User,
    data: Json,
    message_id: int | None,
) -> Interaction:
    if channel.guild_id is None and bot.id not in channel.recipients:
        raise ControlError("these direct messages belong to another bot")
    if channel.thread is not None and channel.thread.archived:
        raise ControlError("nothing can be pressed in an archived thread")
    interaction = Interaction(
        id=world.ids.next(),
        token=secrets.token_urlsafe(48),
        bot_id=bot.id,
        kind=kind,
        channel_id=channel.id,
        user_id=user.id,
        at=world.now(),
        data=data,
        message_id=message_id,
    )
    world.interactions[interaction.id] = interaction
    tell_interaction(world, interaction)
    world.note("interaction", channel.id, interaction_view(world, interaction))
    return interaction


def _chosen(select: Json, values: list[str]) -> list[str]:
    least, most = select.get("min_values", 1), select.get("max_values", 1)
    if not least <= len(values) <= most:
        raise ControlError(f"choose {least} to {most} values")
    known = {option["value"] for option in select.get("options", [])}
    if select["type"] == STRING_SELECT and not set(values) <= known:
        raise ControlError("there is no such option")
    return values


def _options(command: Json, path: list[str], given: Json) -> list[Json]:
    """The options of an invocation, inside their subcommand when `path` names one. Raises ControlError."""
    declared = command.get("options") or []
    if path or any(one["type"] in (SUBCOMMAND, SUBCOMMAND_GROUP) for one in declared):
        sub = next((one for one in declared if path and one["name"] == path[0]), None)
        if sub is None or sub["type"] not in (SUBCOMMAND, SUBCOMMAND_GROUP):
            raise ControlError(f"{command['name']} needs one of its subcommands")
        return [{"name": sub["name"], "type": sub["type"], "options": _options(sub, path[1:], given)}]
    known = {one["name"]: one for one in declared}
    if unknown := set(given) - set(known):
        raise ControlError(f"{command['name']} has no option {min(unknown)}")
    for name, one in known.items():
        if one.get("required") and name not in given:
            raise ControlError(f"{name} is required")
    for name, value in given.items():
        wanted = _VALUE_TYPES.get(known[name]["type"], str)
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            raise ControlError(f"{name} has another type")
        choices = [choice["value"] for choice in known[name].get("choices") or []]
        if choices and value not in choices:
            raise ControlError(f"{name} must be one of its choices")
    return [{"name": name, "type": known[name]["type"], "value": value} for name, value in given.items()]


def _filled(part: Json, values: dict[str, str]) -> Json:
    """A part of a modal with what was written into it, as a submission carries it."""
    filled: Json = {"type": part["type"], "id": part["id"]}
    if part["type"] == LABEL:
        return filled | {"component": _filled(part["component"], values)}
    if "components" in part:
        return filled | {"components": [_filled(one, values) for one in part["components"]]}
    if "custom_id" not in part:
        return filled
    value = values.get(part["custom_id"], "")
    answer = {"value": value} if part["type"] == TEXT_INPUT else {"values": [value] if value else []}
    return filled | {"custom_id": part["custom_id"]} | answer
