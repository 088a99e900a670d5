"""What applications answer to interactions: the first response, then edits and follow-ups by token. Pure.

Rules: interactions/receiving-and-responding.mdx of discord-api-docs. The first response has 3 seconds, the token
15 minutes, both on the injected clock.
"""

from dataclasses import replace
from typing import Final

from channels.emulators.discord.acts import post, remove, revise
from channels.emulators.discord.bot_messages import read_edit, readable
from channels.emulators.discord.components import check_modal
from channels.emulators.discord.drafts import read_draft
from channels.emulators.discord.exchange import NO_CONTENT, Answer, Ask
from channels.emulators.discord.forms import FormErrors
from channels.emulators.discord.mentions import INTERACTION_ALLOWED
from channels.emulators.discord.records import (
    Channel,
    Interaction,
    Json,
    Message,
    MessageFlag,
    MessageType,
    Reference,
)
from channels.emulators.discord.refusals import Refusal, unknown
from channels.emulators.discord.views import FIRST_RESPONSE_S, interaction_view

TOKEN_LIFE_S: Final = 15 * 60.0
MESSAGE, DEFERRED_MESSAGE, DEFERRED_UPDATE, UPDATE, MODAL = 4, 5, 6, 7, 9
_ALLOWED: Final = {
    "command": frozenset({MESSAGE, DEFERRED_MESSAGE, MODAL}),
    "component": frozenset({MESSAGE, DEFERRED_MESSAGE, DEFERRED_UPDATE, UPDATE, MODAL}),
    "modal": frozenset({MESSAGE, DEFERRED_MESSAGE, DEFERRED_UPDATE, UPDATE}),
}
_KINDS: Final = {
    "command": MessageType.CHAT_INPUT_COMMAND,
    "component": MessageType.REPLY,
    "modal": MessageType.DEFAULT,
}


def respond(ask: Ask) -> Answer:
    """The first response; 204, or 200 with what came of it when `with_response` asks for that."""
    world = ask.world
    interaction = world.interactions.get(ask.id("i"))
    if interaction is None or interaction.token != ask.path["t"]:
        raise unknown("Interaction")
    if interaction.acknowledged_at is not None:
        raise Refusal(400, 40060, "Interaction has already been acknowledged.")
    if world.now() - interaction.at > FIRST_RESPONSE_S:
        raise unknown("Interaction")
    body = ask.fields()
    allowed = _ALLOWED[interaction.kind]
    if interaction.message_id is None:
        allowed -= {UPDATE, DEFERRED_UPDATE}
    errors = FormErrors()
    kind = errors.choice(("type",), body.get("type"), allowed)
    data = errors.dict(("data",), body.get("data") or {})
    errors.check()
    assert kind is not None
    message = _perform(ask, interaction, kind, data)
    interaction.acknowledged_at, interaction.response_type = world.now(), kind
    world.note("interaction", interaction.channel_id, interaction_view(world, interaction))
    if ask.query.get("with_response", "").lower() not in ("1", "true"):
        return NO_CONTENT
    return Answer(_callback(ask, interaction, kind, message))


def follow_up(ask: Ask) -> Answer:
    """Another message; right after a deferred response it fills that one instead."""
    world = ask.world
    interaction = _by_token(ask)
    channel = world.channels[interaction.channel_id]
    original = channel.messages.get(interaction.original_id or 0)
    if original is not None and MessageFlag.LOADING in original.flags:
        revise(world, channel, original, read_draft(ask.fields(), ask.uploads, INTERACTION_ALLOWED))
        return Answer(readable(world, ask.bot, channel, original))
    draft = read_draft(ask.fields(), ask.uploads, INTERACTION_ALLOWED)
    if draft.is_empty:
        raise Refusal(400, 50006, "Cannot send an empty message")
    message = post(world, channel, ask.bot.id, draft, source=interaction)
    interaction.follow_ups.append(message.id)
    return Answer(readable(world, ask.bot, channel, message))


def get_response(ask: Ask) -> Answer:
    interaction = _by_token(ask)
    channel, message = _response(ask, interaction)
    return Answer(readable(ask.world, ask.bot, channel, message))


def edit_response(ask: Ask) -> Answer:
    interaction = _by_token(ask)
    channel, message = _response(ask, interaction)
    revise(ask.world, channel, message, read_edit(ask, message))
    return Answer(readable(ask.world, ask.bot, channel, message))


def delete_response(ask: Ask) -> Answer:
    interaction = _by_token(ask)
    channel, message = _response(ask, interaction)
    remove(ask.world, channel, [message])
    return NO_CONTENT


def _perform(ask: Ask, interaction: Interaction, kind: int, data: Json) -> Message | None:
    """Do what a first response asks for; the message it made or changed."""
    world, channel = ask.world, ask.world.channels[interaction.channel_id]
    if kind == MODAL:
        errors = FormErrors()
        modal = check_modal(data, errors)
        errors.check()
        interaction.modal = modal
        return None
    if kind == DEFERRED_UPDATE:
        interaction.original_id = interaction.message_id
        return None
    if kind == UPDATE:
        message = channel.messages[interaction.message_id or 0]
        if message.deleted_at is not None:
            raise unknown("Message")
        edit = Ask(world, ask.bot, ask.path, ask.query, data, ask.uploads)
        revise(world, channel, message, read_edit(edit, message))
        interaction.original_id = message.id
        return message
    draft = read_draft(data, ask.uploads, INTERACTION_ALLOWED)
    if kind == MESSAGE and draft.is_empty:
        raise Refusal(400, 50006, "Cannot send an empty message")
    message = post(
        world,
        channel,
        ask.bot.id,
        replace(draft, reference=_answered(interaction)),
        kind=_KINDS[interaction.kind],
        source=interaction,
        is_loading=kind == DEFERRED_MESSAGE,
    )
    interaction.original_id = message.id
    return message


def _callback(ask: Ask, interaction: Interaction, kind: int, message: Message | None) -> Json:
    wire: Json = {
        "id": str(interaction.id),
        "type": {"command": 2, "component": 3, "modal": 5}[interaction.kind],
    }
    resource: Json = {"type": kind}
    if message is not None:
        wire |= {
            "response_message_id": str(message.id),
            "response_message_loading": MessageFlag.LOADING in message.flags,
            "response_message_ephemeral": MessageFlag.EPHEMERAL in message.flags,
        }
        channel = ask.world.channels[interaction.channel_id]
        resource["message"] = readable(ask.world, ask.bot, channel, message)
    return {"interaction": wire, "resource": resource}


def _answered(interaction: Interaction) -> Reference | None:
    if interaction.message_id is None:
        return None
    return Reference(interaction.channel_id, interaction.message_id)


def _by_token(ask: Ask) -> Interaction:
    """The interaction whose token stands in the path, answered before and not too old. Raises Refusal."""
    for interaction in ask.world.interactions.values():
        if interaction.token == ask.path["t"] and interaction.bot_id == ask.id("a"):
            if interaction.acknowledged_at is None:
                break
            if ask.world.now() - interaction.at > TOKEN_LIFE_S:
                raise Refusal(401, 50027, "Invalid Webhook Token")
            return interaction
    raise unknown("Webhook")


def _response(ask: Ask, interaction: Interaction) -> tuple[Channel, Message]:
    """The original or the follow-up that the path names. Raises Refusal 10008."""
    channel = ask.world.channels[interaction.channel_id]
    message_id = ask.id("m") if "m" in ask.path else interaction.original_id
    message = channel.messages.get(message_id or 0)
    is_own = message is not None and message_id in (interaction.original_id, *interaction.follow_ups)
    if message is None or not is_own or message.deleted_at is not None:
        raise unknown("Message")
    return channel, message
