"""How the Bot API writes users, chats, messages and updates.

Pure conversion from the records; decides nothing. What the control side shows is in `views.py`.
"""

from channels.emulators.telegram.files import FileStore
from channels.emulators.telegram.records import (
    BotAccount,
    Chat,
    Json,
    Media,
    Message,
    Role,
    StoredFile,
    Topic,
    Update,
    User,
)

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
# The rights of an administrator here: all that groups know (https://core.telegram.org/bots/api#chatmemberadministrator).
_RIGHTS = (
    *(
        "can_manage_chat",
        "can_change_info",
        "can_delete_messages",
        "can_invite_users",
        "can_restrict_members",
    ),
    *("can_pin_messages", "can_manage_topics", "can_promote_members", "can_manage_video_chats"),
    *("can_post_stories", "can_edit_stories", "can_delete_stories"),
)


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
        "has_topics_enabled": bot.has_topics,
        "allows_users_to_create_topics": bot.users_create_topics,
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
        wire["all_members_are_administrators"] = not chat.roles
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


def member_to_wire(member: BotAccount | User, role: Role) -> Json:
    """A `ChatMember`."""
    wire: Json = {"user": user_to_wire(member), "status": role}
    if role == "kicked":
        return {**wire, "until_date": 0}
    if role == "creator":
        return {**wire, "is_anonymous": False}
    if role == "administrator":
        return {**wire, "can_be_edited": False, "is_anonymous": False, **dict.fromkeys(_RIGHTS, True)}
    return wire


def topic_to_wire(topic: Topic) -> Json:
    """A `ForumTopic`."""
    return {"message_thread_id": topic.id, "name": topic.name, "icon_color": topic.icon_color}


def reactions_to_wire(emoji: list[str]) -> list[Json]:
    """An array of `ReactionType`."""
    return [{"type": "emoji", "emoji": one} for one in emoji]


def message_to_wire(
    chat: Chat, message: Message, files: FileStore, viewer: BotAccount, with_reply: bool = True
) -> Json:
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
    if message.ephemeral_id is not None and message.ephemeral_to is not None:
        wire["ephemeral_message_id"] = message.ephemeral_id
        if isinstance(message.sender, BotAccount):
            wire["receiver_user"] = user_to_wire(message.ephemeral_to)
    if with_reply:
        replied = chat.messages.get(message.reply_to or message.thread_id or 0)
        if replied is not None and replied is not message and replied.deleted_at is None:
            wire["reply_to_message"] = message_to_wire(chat, replied, files, viewer, with_reply=False)
    if message.service is not None:
        return {**wire, **message.service}
    wire |= _content_to_wire(message, files, viewer)
    if message.keyboard:
        wire["reply_markup"] = {"inline_keyboard": message.keyboard}
    return wire


def file_to_wire(file: StoredFile, files: FileStore, viewer: BotAccount) -> Json:
    """The identity of a file and its size, as every kind has them."""
    return {
        "file_id": files.id_for(viewer, file),
        "file_unique_id": file.unique_id,
        "file_size": len(file.data),
    }


def update_to_wire(update: Update) -> Json:
    """An `Update`."""
    return {"update_id": update.id, update.kind: update.payload}


def _content_to_wire(message: Message, files: FileStore, viewer: BotAccount) -> Json:
    content = message.content
    if content.rich is not None:
        return {"rich_message": content.rich}
    if content.media is None:
        wire: Json = {"text": content.text}
        return {**wire, "entities": content.entities} if content.entities else wire
    wire = {content.media.kind: _media_to_wire(content.media, files, viewer)}
    if message.media_group_id is not None:
        wire["media_group_id"] = message.media_group_id
    if content.text:
        wire["caption"] = content.text
    if content.entities:
        wire["caption_entities"] = content.entities
    return wire


def _media_to_wire(media: Media, files: FileStore, viewer: BotAccount) -> Json | list[Json]:
    if media.kind == "photo":
        return [
            {**file_to_wire(file, files, viewer), "width": file.width, "height": file.height}
            for file in media.files
        ]
    (file,) = media.files
    wire = {**file_to_wire(file, files, viewer), **media.facts}
    if media.kind == "sticker":
        return {
            **wire,
            "type": "regular",
            "width": file.width,
            "height": file.height,
            "is_animated": False,
            "is_video": False,
        }
    if file.name is not None and media.kind != "voice":
        wire["file_name"] = file.name
    if file.mime is not None:
        wire["mime_type"] = file.mime
    if media.kind in ("voice", "audio", "video"):
        wire.setdefault("duration", 0)
    if media.kind == "video":
        wire.setdefault("width", file.width)
        wire.setdefault("height", file.height)
    return wire
