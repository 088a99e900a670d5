"""How the Bot API writes users, chats, messages and updates, and the fuller view the control side shows.

Pure conversion from the records; decides nothing.
"""

from channels.emulators.telegram.records import BotAccount, Chat, Json, Message, Update, User

# https://core.telegram.org/bots/api#chatfullinfo: required fields whose value means nothing here.
_ACCENT_COLOR = 0
_MAX_REACTIONS = 11
_NO_GIFTS = {
    "unlimited_gifts": False,
    "limited_gifts": False,
    "unique_gifts": False,
    "premium_subscription": False,
    "gifts_from_channels": False,
}
# The colour a client gives to a topic by default.
_TOPIC_COLOR = 7322096


def user_to_wire(user: BotAccount | User) -> Json:
    """A `User`."""
    wire: Json = {"id": user.id, "is_bot": isinstance(user, BotAccount), "first_name": user.first_name}
    if user.username:
        wire["username"] = user.username
    return wire


def me_to_wire(bot: BotAccount) -> Json:
    """A bot's own `User`, as getMe shows it."""
    return {
        **user_to_wire(bot),
        "can_join_groups": True,
        "can_read_all_group_messages": not bot.privacy_mode,
        "supports_inline_queries": False,
        "supports_guest_queries": False,
        "can_connect_to_business": False,
        "has_main_web_app": False,
        "has_topics_enabled": False,
        "allows_users_to_create_topics": False,
        "can_manage_bots": False,
    }


def chat_to_wire(chat: Chat) -> Json:
    """A `Chat`."""
    if chat.user is not None:
        wire: Json = {"id": chat.id, "first_name": chat.user.first_name}
        if chat.user.username:
            wire["username"] = chat.user.username
        return {**wire, "type": "private"}
    wire = {"id": chat.id, "title": chat.title, "type": chat.type}
    if chat.type == "group":
        wire["all_members_are_administrators"] = True
    if chat.is_forum:
        wire["is_forum"] = True
    return wire


def full_chat_to_wire(chat: Chat) -> Json:
    """A `ChatFullInfo`."""
    return {
        **chat_to_wire(chat),
        "accent_color_id": _ACCENT_COLOR,
        "max_reaction_count": _MAX_REACTIONS,
        "accepted_gift_types": _NO_GIFTS,
    }


def message_to_wire(chat: Chat, message: Message, with_reply: bool = True) -> Json:
    """A `Message`. In a topic without an explicit reply the topic's first message stands as the reply."""
    wire: Json = {
        "message_id": message.id,
        "from": user_to_wire(message.sender),
        "chat": chat_to_wire(chat),
        "date": int(message.at),
    }
    if message.edited_at is not None:
        wire["edit_date"] = int(message.edited_at)
    if message.thread_id is not None:
        wire["message_thread_id"] = message.thread_id
        wire["is_topic_message"] = True
    if with_reply:
        replied = chat.messages.get(message.reply_to or message.thread_id or 0)
        if replied is not None and replied is not message and replied.deleted_at is None:
            wire["reply_to_message"] = message_to_wire(chat, replied, with_reply=False)
    if message.topic_created is not None:
        return {
            **wire,
            "forum_topic_created": {"name": message.topic_created, "icon_color": _TOPIC_COLOR},
        }
    wire["text"] = message.text
    if message.entities:
        wire["entities"] = message.entities
    if message.keyboard:
        wire["reply_markup"] = {"inline_keyboard": message.keyboard}
    return wire


def update_to_wire(update: Update) -> Json:
    """An `Update`."""
    return {"update_id": update.id, update.kind: update.payload}


def chat_view(chat: Chat, bot: BotAccount) -> Json:
    """A chat as the control side lists it."""
    return {
        "id": chat.id,
        "type": chat.type,
        "title": chat.title,
        "bot": bot.username,
        "bots": [one.username for one in chat.bots.values()],
        "user": None if chat.user is None else user_to_wire(chat.user),
        "members": [user_to_wire(user) for user in chat.members.values()],
        "topics": [{"message_thread_id": one, "name": name} for one, name in chat.topics.items()],
        "message_count": len(chat.messages),
    }


def message_view(message: Message) -> Json:
    """A message as the control side shows it: also what was edited away and what was deleted."""
    return {
        "message_id": message.id,
        "from": user_to_wire(message.sender),
        "date": message.at,
        "text": message.text,
        "entities": message.entities,
        "message_thread_id": message.thread_id,
        "reply_to": message.reply_to,
        "keyboard": message.keyboard,
        "topic_created": message.topic_created,
        "edited_at": message.edited_at,
        "edits": [{"at": edit.at, "text": edit.text, "entities": edit.entities} for edit in message.edits],
        "reactions": {str(who): emoji for who, emoji in message.reactions.items()},
        "deleted": message.deleted_at is not None,
        "deleted_at": message.deleted_at,
    }
