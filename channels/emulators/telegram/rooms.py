"""Who is in a room and as what, what becomes of rooms, and who is told: membership, forums, migration.

Pure. People's doings raise ControlError when they make no sense.
"""

from channels.emulators.errors import ControlError
from channels.emulators.telegram.records import BotAccount, Chat, ChatType, Json, Role, Topic, User
from channels.emulators.telegram.views import chat_view
from channels.emulators.telegram.wire import chat_to_wire, member_to_wire, user_to_wire
from channels.emulators.telegram.world import MESSAGE_UPDATE_LIFE_S, SUPERGROUP_ID_MAX, World

_GONE: tuple[Role, ...] = ("left", "kicked")


def add_bot(
    world: World, bot: BotAccount, chat_id: int, by: User, title: str | None, kind: ChatType | None
) -> Chat:
    """A person takes the bot into a group, which is made when it is new. Raises ControlError."""
    if chat_id > 0:
        raise ControlError("bots are added to groups")
    kind = kind or kind_of(chat_id)
    is_new = world.find_chat(chat_id, bot) is None
    chat = world.open_chat(chat_id, bot, kind, title, by)
    if not is_new and chat.role_of(bot.id) not in _GONE:
        raise ControlError(f"{bot.username} is in chat {chat_id} already")
    chat.members[by.id] = by
    # A newcomer's old role is "left": it was not there, whatever the room's record says by now.
    chat.roles[bot.id] = chat.roles.get(bot.id, "left")
    change_bot_role(world, chat, bot, "member", by)
    return chat


def change_bot_role(world: World, chat: Chat, bot: BotAccount, role: Role, by: BotAccount | User) -> None:
    """Give the bot a role, or take it out, and tell it (my_chat_member). Raises ControlError."""
    old = chat.role_of(bot.id)
    if old == role:
        raise ControlError(f"{bot.username} is {role} already")
    was_gone, is_gone = old in _GONE, role in _GONE
    chat.roles[bot.id] = role
    if is_gone:
        chat.bots.pop(bot.id, None)
    else:
        chat.bots[bot.id] = bot
    _tell_member(world, chat, "my_chat_member", bot, bot, (old, role), by)
    if chat.type != "private" and was_gone != is_gone:
        name = "left_chat_member" if is_gone else "new_chat_members"
        wire = user_to_wire(bot)
        world.post_service(chat, by, {name: wire if is_gone else [wire]})
    world.note("chat", chat, chat_view(chat))


def change_role(world: World, chat: Chat, user: User, role: Role, by: User) -> None:
    """Give a person a role; administrator bots that asked for chat_member are told. Raises ControlError."""
    if chat.type == "private":
        raise ControlError("a private chat has no roles")
    old = chat.role_of(user.id)
    if old == role:
        raise ControlError(f"{user.first_name} is {role} already")
    chat.members[user.id] = user
    chat.roles[user.id] = role
    for bot in chat.bots.values():
        if chat.is_admin(bot.id):
            _tell_member(world, chat, "chat_member", bot, user, (old, role), by)
    if (old in _GONE) != (role in _GONE):
        wire = user_to_wire(user)
        service: Json = {"left_chat_member": wire} if role in _GONE else {"new_chat_members": [wire]}
        world.post_service(chat, user if by.id == user.id else by, service)
    world.note("chat", chat, chat_view(chat))


def make_forum(world: World, chat: Chat) -> None:
    """Switch a supergroup's topics on. Raises ControlError."""
    if chat.type != "supergroup":
        raise ControlError("only a supergroup becomes a forum")
    chat.has_forum = True
    world.note("chat", chat, chat_view(chat))


def open_topic(world: World, chat: Chat, user: User, name: str, topic_id: int | None = None) -> Topic:
    """A person opens a topic; with `topic_id` the id is given instead of the next one. Raises ControlError."""
    if chat.type == "private":
        if not (chat.first_bot.has_topics and chat.first_bot.users_create_topics):
            raise ControlError("people open topics only in chats with a bot that allows it")
    elif chat.type != "supergroup":
        raise ControlError("only a supergroup has topics")
    if topic_id is not None:
        if chat.type == "private" or topic_id <= max(chat.last_message_id, 1):
            raise ControlError(f"topic id {topic_id} is a message already")
        chat.last_message_id = topic_id - 1
    chat.members[user.id] = user
    return world.create_topic(chat, user, name)


def migrate(world: World, chat: Chat, by: User, new_id: int | None = None) -> Chat:
    """A basic group becomes a supergroup with another id. Raises ControlError.

    Both rooms say so in a service message; the old one answers bots with the new id from then on.
    """
    if chat.type != "group" or chat.migrated_to is not None:
        raise ControlError("only a basic group migrates, and only once")
    new_id = SUPERGROUP_ID_MAX + chat.id if new_id is None else new_id
    if new_id > SUPERGROUP_ID_MAX:
        raise ControlError(f"supergroup ids are {SUPERGROUP_ID_MAX} and below")
    bot = chat.first_bot
    if world.find_chat(new_id, bot) is not None:
        raise ControlError(f"there is a chat {new_id} already")
    new = world.open_chat(new_id, bot, "supergroup", chat.title, by)
    new.members, new.roles, new.bots = dict(chat.members), dict(chat.roles), dict(chat.bots)
    world.post_service(chat, by, {"migrate_to_chat_id": new_id})
    chat.migrated_to = new_id
    world.post_service(new, by, {"migrate_from_chat_id": chat.id})
    return new


def kind_of(chat_id: int) -> ChatType:
    """What kind of room has this id."""
    if chat_id > 0:
        return "private"
    return "supergroup" if chat_id <= SUPERGROUP_ID_MAX else "group"


def _tell_member(
    world: World,
    chat: Chat,
    kind: str,
    bot: BotAccount,
    member: BotAccount | User,
    roles: tuple[Role, Role],
    by: BotAccount | User,
) -> None:
    old, new = roles
    payload: Json = {
        "chat": chat_to_wire(chat),
        "from": user_to_wire(by),
        "date": int(world.now()),
        "old_chat_member": member_to_wire(member, old),
        "new_chat_member": member_to_wire(member, new),
    }
    world.queues[bot.id].push(kind, payload, world.now() + MESSAGE_UPDATE_LIFE_S)
