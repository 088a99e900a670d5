"""What the control side shows of chats and messages: everything a page needs to draw them, also the past.

Pure conversion. Fuller than the Bot API's form: edits, deleted messages, drafts, who sees what, file addresses.
"""

from channels.emulators.telegram.records import BotAccount, Chat, Content, Draft, Json, Message, Topic
from channels.emulators.telegram.wire import user_to_wire

FILES_PATH = "/control/files"


def chat_view(chat: Chat) -> Json:
    """A chat as the control side lists it."""
    return {
        "id": chat.id,
        "type": chat.type,
        "title": chat.title,
        # A shared room is listed once, under the bot it was made with.
        "bot": chat.first_bot.username,
        "bots": [one.username for one in chat.bots.values()],
        "user": None if chat.user is None else user_to_wire(chat.user),
        "members": [user_to_wire(user) for user in chat.members.values()],
        "roles": {str(who): role for who, role in chat.roles.items()},
        "is_forum": chat.is_forum,
        "topics": [topic_view(topic) for topic in chat.topics.values()],
        "migrated_to": chat.migrated_to,
        "message_count": len(chat.messages),
    }


def topic_view(topic: Topic) -> Json:
    """A topic."""
    return {
        "message_thread_id": topic.id,
        "name": topic.name,
        "icon_color": topic.icon_color,
        "is_closed": topic.is_closed,
    }


def messages_view(chat: Chat) -> list[Json]:
    """All messages of a chat, also the ones only one person sees, in the order they were posted."""
    everything = [*chat.messages.values(), *chat.ephemeral.values()]
    return [message_view(message) for message in sorted(everything, key=lambda one: one.order)]


def message_view(message: Message) -> Json:
    """A message as the control side shows it: also what was edited away and what was deleted."""
    topic = (message.service or {}).get("forum_topic_created")
    return {
        "message_id": message.id,
        "from": user_to_wire(message.sender),
        "date": message.at,
        **content_view(message.content),
        "media_group_id": message.media_group_id,
        "message_thread_id": message.thread_id,
        "reply_to": message.reply_to,
        "keyboard": message.keyboard,
        "service": message.service,
        "topic_created": None if topic is None else topic["name"],
        "ephemeral_message_id": message.ephemeral_id,
        "ephemeral_to": None if message.ephemeral_to is None else user_to_wire(message.ephemeral_to),
        "edited_at": message.edited_at,
        "edits": [{"at": edit.at, **content_view(edit.content)} for edit in message.edits],
        "reactions": {str(who): emoji for who, emoji in message.reactions.items()},
        "deleted": message.deleted_at is not None,
        "deleted_at": message.deleted_at,
    }


def content_view(content: Content) -> Json:
    """Text or caption, the file with its address, and the blocks of a rich message."""
    media = None
    if content.media is not None:
        # The best of a photo's sizes is the last.
        file = content.media.files[-1]
        media = {
            "kind": content.media.kind,
            "url": f"{FILES_PATH}/{file.unique_id}",
            "file_name": file.name,
            "mime_type": file.mime,
            "size": len(file.data),
            "width": file.width,
            "height": file.height,
            **content.media.facts,
        }
    return {"text": content.text, "entities": content.entities, "media": media, "rich": content.rich}


def draft_view(draft: Draft) -> Json:
    """What a person sees while a bot writes. `text` is empty for the thinking placeholder."""
    return {
        "draft_id": draft.id,
        "from": user_to_wire(draft.bot),
        "message_thread_id": draft.thread_id,
        **content_view(draft.content),
        "is_thinking": not draft.content.text and draft.content.rich is None,
        "versions": draft.versions,
        "expires_at": draft.expires_at,
    }


def bot_view(bot: BotAccount, webhook_url: str) -> Json:
    """A bot."""
    return {**user_to_wire(bot), "webhook_url": webhook_url or None}
