"""Ephemeral messages: in a group, for the eyes of one member and the bot (Bot API 10.2 and 10.3).

Pure. Known from the documentation of 10.2 (stored copy of #ephemeral-messages-and-commands): an administrator
bot may write so to any non-bot member at any time, any other bot within 15 seconds of a button pressed by that
person or of an ephemeral command it answers; such messages have the id 0 and an `ephemeral_message_id`.
Known from library sources: 10.2 takes `receiver_user_id` and `callback_query_id` as arguments, 10.3 an object
`ephemeral_message_parameters` with both.

Not verified: every error's wording but BOT_NOT_ADMIN for private chats (reported by a bot's author); whether
10.3 still takes the form of 10.2 (here it is refused, because sending it for everybody to read would be worse);
whether an edit that changes nothing fails (here it does not); when such messages end by themselves (never here);
`replace_callback_query_message` (refused).

A server older than 10.2 does not know the arguments and posts the message for everybody: so does this one.
"""

from dataclasses import dataclass

from channels.emulators.telegram.arguments import Arguments
from channels.emulators.telegram.bot_calls import Placement, send, spend
from channels.emulators.telegram.records import BotAccount, Chat, Content, Json, Message, User
from channels.emulators.telegram.refusals import bad_request, not_emulated
from channels.emulators.telegram.world import World

# "within 15 seconds of the incoming eligible action".
ELIGIBLE_S = 15.0
EPHEMERAL_SINCE = (10, 2)
PARAMETERS_SINCE = (10, 3)


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who is to see a message, and the pressed button that allows it."""

    user_id: int
    callback_query_id: str


def deliver(
    world: World, bot: BotAccount, chat: Chat, arguments: Arguments, content: Content, placement: Placement
) -> Message:
    """Post a message as the bot, for everybody or, when the arguments say so, for one member."""
    receiver = _receiver_of(world, arguments)
    if receiver is None:
        if placement.reply is not None and placement.reply.ephemeral_id:
            raise bad_request("a reply to an ephemeral message must be ephemeral")
        return send(world, bot, chat, content, placement)
    user = _admit(world, bot, chat, receiver, placement)
    spend(world, bot, chat)
    return world.post(chat, bot, content, keyboard=placement.keyboard, ephemeral_to=user)


def edit_ephemeral(
    world: World,
    bot: BotAccount,
    chat: Chat,
    ids: tuple[int, int],
    content: Content | None,
    keyboard: list[list[Json]] | None,
) -> None:
    """Replace what an ephemeral message shows, or with None only its keyboard. `ids`: receiver, message."""
    message = own_ephemeral(bot, chat, ids)
    spend(world, bot, chat)
    world.revise(chat, message, message.content if content is None else content, keyboard)


def delete_ephemeral(world: World, bot: BotAccount, chat: Chat, ids: tuple[int, int]) -> None:
    """Take an ephemeral message away. `ids`: receiver, message."""
    world.remove(chat, own_ephemeral(bot, chat, ids))


def own_ephemeral(bot: BotAccount, chat: Chat, ids: tuple[int, int]) -> Message:
    """The bot's message that this person sees. Raises Refusal."""
    receiver_id, message_id = ids
    message = chat.ephemeral.get(message_id)
    if message is None or message.deleted_at is not None or message.sender is not bot:
        raise bad_request("MESSAGE_ID_INVALID")
    if message.ephemeral_to is None or message.ephemeral_to.id != receiver_id:
        raise bad_request("MESSAGE_ID_INVALID")
    return message


def _receiver_of(world: World, arguments: Arguments) -> Receiver | None:
    if world.api_version < EPHEMERAL_SINCE:
        return None
    raw = arguments.parsed("ephemeral_message_parameters", "ephemeral message parameters")
    if world.api_version >= PARAMETERS_SINCE and raw is not None:
        if not isinstance(raw, dict) or not isinstance(raw.get("receiver_user_id"), int):
            raise bad_request("can't parse EphemeralMessageParameters: Can't find field \"receiver_user_id\"")
        if raw.get("replace_callback_query_message"):
            raise not_emulated("replace_callback_query_message")
        return Receiver(raw["receiver_user_id"], str(raw.get("callback_query_id") or ""))
    if not arguments.has("receiver_user_id"):
        return None
    if world.api_version >= PARAMETERS_SINCE:
        raise not_emulated("receiver_user_id since Bot API 10.3 (send ephemeral_message_parameters)")
    return Receiver(arguments.integer("receiver_user_id"), arguments.text("callback_query_id"))


def _admit(world: World, bot: BotAccount, chat: Chat, receiver: Receiver, placement: Placement) -> User:
    if chat.type == "private":
        raise bad_request("BOT_NOT_ADMIN")
    if receiver.user_id in world.bots:
        raise bad_request("USER_IS_BOT")
    user = chat.members.get(receiver.user_id)
    if user is None or chat.role_of(user.id) in ("left", "kicked"):
        raise bad_request("USER_NOT_PARTICIPANT")
    if not chat.is_admin(bot.id) and not _was_asked(world, bot, chat, receiver, placement):
        raise bad_request("BOT_NOT_ADMIN")
    return user


def _was_asked(world: World, bot: BotAccount, chat: Chat, receiver: Receiver, placement: Placement) -> bool:
    query = world.callbacks.get(receiver.callback_query_id)
    if query is not None and query.bot_id == bot.id and query.chat is chat:
        return query.user_id == receiver.user_id and world.now() - query.at <= ELIGIBLE_S
    asked = chat.ephemeral.get(placement.reply.ephemeral_id if placement.reply else 0)
    if asked is None or isinstance(asked.sender, BotAccount):
        return False
    return asked.sender.id == receiver.user_id and world.now() - asked.at <= ELIGIBLE_S
