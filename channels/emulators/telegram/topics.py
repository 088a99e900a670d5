"""Topics: what a bot may do to those of a forum and of a private chat with topics.

Pure. In a forum the bot must be an administrator, for changing and closing at least the topic's creator
(https://core.telegram.org/bots/api#createforumtopic and beside it). The general topic always exists, cannot be
named here by its id and is where messages without a topic go. Codes of refusals are those bots have reported.
"""

from channels.emulators.telegram.bot_calls import GENERAL_TOPIC_ID
from channels.emulators.telegram.records import BotAccount, Chat, Json, Topic
from channels.emulators.telegram.refusals import bad_request
from channels.emulators.telegram.world import TOPIC_COLOR, World

# https://core.telegram.org/bots/api#createforumtopic: "1-128 characters", and these six colours.
NAME_MAX = 128
COLORS = frozenset((7_322_096, 16_766_590, 13_338_331, 9_367_192, 16_749_490, 16_478_047))


def open_topic(world: World, bot: BotAccount, chat: Chat, name: str, color: int) -> Topic:
    """Create a topic as the bot. Raises Refusal."""
    _check_forum(bot, chat)
    if chat.type != "private" and not chat.is_admin(bot.id):
        raise bad_request("not enough rights to create a topic")
    if color and color not in COLORS:
        raise bad_request("invalid icon color specified")
    return world.create_topic(chat, bot, _checked(name), color or TOPIC_COLOR)


def rename_topic(world: World, bot: BotAccount, chat: Chat, topic_id: int, name: str) -> None:
    """Give a topic another name; an empty one keeps the old. Raises Refusal."""
    topic = _topic(bot, chat, topic_id)
    name = _checked(name) if name.strip() else topic.name
    if name == topic.name:
        raise bad_request("TOPIC_NOT_MODIFIED")
    topic.name = name
    world.post_service(chat, bot, {"forum_topic_edited": {"name": name}}, topic.id)


def close_topic(world: World, bot: BotAccount, chat: Chat, topic_id: int, is_closed: bool) -> None:
    """Close a topic, or open it again. Raises Refusal; a private chat's topics cannot be closed."""
    topic = _topic(bot, chat, topic_id)
    if chat.type == "private":
        raise bad_request("the chat is not a forum")
    if topic.is_closed == is_closed:
        raise bad_request("TOPIC_NOT_MODIFIED")
    topic.is_closed = is_closed
    service: Json = {"forum_topic_closed": {}} if is_closed else {"forum_topic_reopened": {}}
    world.post_service(chat, bot, service, topic.id)


def remove_topic(world: World, bot: BotAccount, chat: Chat, topic_id: int) -> None:
    """Delete a topic with everything in it. Raises Refusal."""
    topic = _topic(bot, chat, topic_id)
    del chat.topics[topic.id]
    for message in chat.messages.values():
        if message.thread_id == topic.id and message.deleted_at is None:
            world.remove(chat, message)


def _check_forum(bot: BotAccount, chat: Chat) -> None:
    if not (bot.has_topics if chat.type == "private" else chat.is_forum):
        raise bad_request("the chat is not a forum")


def _topic(bot: BotAccount, chat: Chat, topic_id: int) -> Topic:
    _check_forum(bot, chat)
    topic = chat.topics.get(topic_id)
    if topic is None or topic_id == GENERAL_TOPIC_ID:
        raise bad_request("TOPIC_ID_INVALID")
    if chat.type != "private" and not chat.is_admin(bot.id) and topic.creator_id != bot.id:
        raise bad_request("not enough rights to manage topics")
    return topic


def _checked(name: str) -> str:
    name = name.strip()
    if not name or len(name) > NAME_MAX:
        raise bad_request("TOPIC_TITLE_EMPTY" if not name else "topic name is too long")
    return name
