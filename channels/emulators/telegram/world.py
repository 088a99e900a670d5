"""The emulated network's state: who is there, which rooms exist, what was said, what waits for which bot.

Pure: the clock is injected, nothing waits and nothing is written. What people do is in `people.py`, what bots
may do in `bot_calls.py`; both change the world through the few verbs here. Visible effects are left in a list
of changes that the shell drains to wake pollers and pages.
"""

from collections.abc import Callable, Sequence

from channels.emulators.errors import ControlError
from channels.emulators.telegram.flood import FloodControl, FloodLimits
from channels.emulators.telegram.records import (
    BotAccount,
    CallbackQuery,
    Change,
    Chat,
    ChatType,
    Edit,
    Json,
    Message,
    User,
)
from channels.emulators.telegram.updates import UpdateQueue
from channels.emulators.telegram.wire import message_to_wire, message_view

# Message updates live until 24 h after the message or its edit (Client::add_message_update: + 86400).
MESSAGE_UPDATE_LIFE_S = 86_400
# Callback queries live 150 s in the queue; we let them be answered as long, the real window is not published.
CALLBACK_LIFE_S = 150
# Any number will do: real queues start anywhere. Far from message ids, so that mixing them up shows.
FIRST_UPDATE_ID = 700_000_001
# Supergroup ids are below this, basic group ids between it and 0 (Bot API dialog ids).
SUPERGROUP_ID_MAX = -1_000_000_000_000


class World:
    """Everything the emulator knows."""

    def __init__(
        self,
        bots: Sequence[BotAccount],
        clock: Callable[[], float],
        flood_limits: FloodLimits,
        slows_repeats: bool,
    ) -> None:
        if not bots:
            raise ValueError("an emulator needs at least one bot")
        if len({bot.id for bot in bots}) < len(bots) or len({bot.token for bot in bots}) < len(bots):
            raise ValueError("bots need different ids and tokens")
        self.now = clock
        self.bots = {bot.id: bot for bot in bots}
        self.queues = {bot.id: UpdateQueue(FIRST_UPDATE_ID, slows_repeats) for bot in bots}
        self.webhooks = {bot.id: bot.webhook_url for bot in bots}
        self.commands: dict[tuple[int, str, str], list[Json]] = {}
        self.callbacks: dict[str, CallbackQuery] = {}
        self.flood = FloodControl(flood_limits)
        self._by_token = {bot.token: bot for bot in bots}
        self._chats: dict[tuple[int, int], Chat] = {}
        self._account_message_ids = dict.fromkeys(self.bots, 0)
        self._changes: list[Change] = []

    def bot_of(self, token: str) -> BotAccount | None:
        """The bot with this token."""
        return self._by_token.get(token)

    def bot_named(self, name: str | None) -> BotAccount:
        """The bot with this username or id; the first one for None. Raises ControlError."""
        for bot in self.bots.values():
            if name is None or name.lstrip("@").lower() in (bot.username.lower(), str(bot.id)):
                return bot
        raise ControlError(f"no bot called {name}")

    def find_chat(self, chat_id: int, bot: BotAccount) -> Chat | None:
        """A room this bot is in."""
        chat = self._chats.get(_key(chat_id, bot))
        return chat if chat is not None and bot.id in chat.bots else None

    def chats(self) -> list[Chat]:
        """All rooms, oldest first."""
        return list(self._chats.values())

    def user(self, user_id: int) -> User | None:
        """A person seen anywhere."""
        return next((chat.members[user_id] for chat in self.chats() if user_id in chat.members), None)

    def open_chat(
        self, chat_id: int, bot: BotAccount, kind: ChatType, title: str | None, user: User | None
    ) -> Chat:
        """The room with this id, made when it is new, with this bot in it. Raises ControlError."""
        chat = self._chats.get(_key(chat_id, bot))
        if chat is None:
            name = user.first_name if kind == "private" and user else title or "Group"
            chat = Chat(chat_id, kind, name, {bot.id: bot}, user if kind == "private" else None)
            self._chats[_key(chat_id, bot)] = chat
        if chat.type != kind:
            raise ControlError(f"chat {chat_id} is a {chat.type}")
        if bot.id not in chat.bots:
            if chat.type == "group":
                # Each account counts a basic group's messages by itself; one bot keeps the ids unambiguous.
                raise ControlError("a basic group has one bot here; use a supergroup")
            chat.bots[bot.id] = bot
        if title and kind != "private":
            chat.title = title
        return chat

    def post(
        self,
        chat: Chat,
        sender: BotAccount | User,
        text: str,
        entities: list[Json],
        *,
        thread_id: int | None = None,
        reply_to: int | None = None,
        keyboard: list[list[Json]] | None = None,
        topic_created: str | None = None,
    ) -> Message:
        """Put a message into a room."""
        message = Message(
            self._next_message_id(chat), self.now(), sender, text, entities, thread_id, reply_to, keyboard
        )
        message.topic_created = topic_created
        chat.messages[message.id] = message
        if isinstance(sender, BotAccount):
            chat.last_bot_id = sender.id
        self.note("message", chat, message_view(message))
        return message

    def revise(
        self, chat: Chat, message: Message, text: str, entities: list[Json], keyboard: list[list[Json]] | None
    ) -> None:
        """Replace what a message shows, keeping what it showed before. A new keyboard alone is no edit."""
        now = self.now()
        if (text, entities) != (message.text, message.entities):
            message.edits.append(Edit(now, message.text, message.entities))
            message.text, message.entities = text, entities
            message.edited_at = now
        message.keyboard = keyboard
        self.note("edited", chat, message_view(message))

    def remove(self, chat: Chat, message: Message) -> None:
        """Delete a message for everyone; it stays in the full view."""
        message.deleted_at = self.now()
        self.note("deleted", chat, message_view(message))

    def create_topic(self, chat: Chat, sender: User, name: str, topic_id: int | None = None) -> Message:
        """Open a forum topic; its id is the id of its first message. Raises ControlError."""
        if chat.type != "supergroup":
            raise ControlError("only a supergroup has topics")
        if topic_id is not None:
            if topic_id <= max(chat.last_message_id, 1):
                raise ControlError(f"topic id {topic_id} is a message already")
            chat.last_message_id = topic_id - 1
        chat.members[sender.id] = sender
        message = self.post(chat, sender, "", [], topic_created=name)
        message.thread_id = message.id
        chat.topics[message.id] = name
        for bot in chat.bots.values():
            self.deliver_message(bot, "message", chat, message)
        return message

    def deliver_message(self, bot: BotAccount, kind: str, chat: Chat, message: Message) -> int | None:
        """Queue a message for a bot; None when the bot does not want this kind."""
        at = message.at if message.edited_at is None else message.edited_at
        payload = message_to_wire(chat, message)
        return self.queues[bot.id].push(kind, payload, int(at) + MESSAGE_UPDATE_LIFE_S)

    def note(self, kind: str, chat: Chat, detail: Json) -> None:
        """Record a visible change, once per bot that is in the room."""
        for bot in chat.bots.values():
            self._changes.append(Change(kind, chat.id, bot.username, detail))

    def drain_changes(self) -> list[Change]:
        """The changes since the last call."""
        changes, self._changes = self._changes, []
        return changes

    def _next_message_id(self, chat: Chat) -> int:
        # Private chats and basic groups share one counter per account; a supergroup has its own.
        if chat.type == "supergroup":
            chat.last_message_id += 1
            return chat.last_message_id
        (bot_id,) = chat.bots
        self._account_message_ids[bot_id] += 1
        return self._account_message_ids[bot_id]


def _key(chat_id: int, bot: BotAccount) -> tuple[int, int]:
    # The private chats of one person with two bots have the same id and are two rooms.
    return (chat_id, bot.id if chat_id > 0 else 0)
