"""The emulated network's state: who is there, which rooms exist, what was said, what waits for which bot.

Pure: the clock is injected, nothing waits and nothing is written. What people do is in `people.py` and
`rooms.py`, what bots may do in `bot_calls.py` and beside it; all change the world through the few verbs here.
Visible effects are left in a list of changes that the shell drains to wake pollers, webhooks and pages.
"""

from collections.abc import Callable, Sequence

from channels.emulators.errors import ControlError
from channels.emulators.telegram.files import FileLimits, FileStore
from channels.emulators.telegram.flood import FloodControl, FloodLimits
from channels.emulators.telegram.records import (
    BotAccount,
    CallbackQuery,
    Change,
    Chat,
    ChatType,
    Content,
    Edit,
    Json,
    Message,
    Topic,
    User,
    Webhook,
)
from channels.emulators.telegram.updates import UpdateQueue
from channels.emulators.telegram.views import message_view
from channels.emulators.telegram.wire import message_to_wire

# Message updates live until 24 h after the message or its edit (Client::add_message_update: + 86400).
MESSAGE_UPDATE_LIFE_S = 86_400
# Callback queries live 150 s in the queue; we let them be answered as long, the real window is not published.
CALLBACK_LIFE_S = 150
# Any number will do: real queues start anywhere. Far from message ids, so that mixing them up shows.
FIRST_UPDATE_ID = 700_000_001
# As long as the real ones; clients must treat them as texts.
FIRST_GROUP_ID = 13_000_000_000_000_000
# Supergroup ids are below this, basic group ids between it and 0 (Bot API dialog ids).
SUPERGROUP_ID_MAX = -1_000_000_000_000
# The colour a client gives to a topic by default.
TOPIC_COLOR = 7_322_096
# Bot API 10.3 of 2026-08-24, the newest when this was written.
NEWEST_API = (10, 3)


class World:
    """Everything the emulator knows. `api_version` says how new the emulated server is."""

    def __init__(
        self,
        bots: Sequence[BotAccount],
        clock: Callable[[], float],
        flood_limits: FloodLimits,
        slows_repeats: bool,
        *,
        file_limits: FileLimits | None = None,
        api_version: tuple[int, int] = NEWEST_API,
    ) -> None:
        if not bots:
            raise ValueError("an emulator needs at least one bot")
        if len({bot.id for bot in bots}) < len(bots) or len({bot.token for bot in bots}) < len(bots):
            raise ValueError("bots need different ids and tokens")
        self.bots = {bot.id: bot for bot in bots}
        self.queues = {bot.id: UpdateQueue(FIRST_UPDATE_ID, slows_repeats) for bot in bots}
        self.webhooks = {bot.id: Webhook(bot.webhook_url) for bot in bots}
        self.commands: dict[tuple[int, str, str], list[Json]] = {}
        self.callbacks: dict[str, CallbackQuery] = {}
        self.files = FileStore(bots, file_limits or FileLimits())
        self.flood = FloodControl(flood_limits)
        self.api_version = api_version
        self._albums = 0
        self._clock = clock
        self._ahead_s = 0.0
        self._by_token = {bot.token: bot for bot in bots}
        self._chats: dict[tuple[int, int], Chat] = {}
        self._account_message_ids = dict.fromkeys(self.bots, 0)
        self._posted = 0
        self._changes: list[Change] = []

    def now(self) -> float:
        """The network's time."""
        return self._clock() + self._ahead_s

    def advance(self, seconds: float) -> None:
        """Let the network's time jump ahead. Raises ControlError for a jump back."""
        if seconds < 0:
            raise ControlError("time goes forward only")
        self._ahead_s += seconds

    def bot_of(self, token: str) -> BotAccount | None:
        """The bot with this token."""
        return self._by_token.get(token)

    def replace_token(self, bot: BotAccount, token: str) -> None:
        """Give a bot another token; the old one opens nothing any more. Raises ControlError."""
        if not token.startswith(f"{bot.id}:") or token in self._by_token:
            raise ControlError(f"a new token of {bot.username} begins with {bot.id}: and was not used before")
        self._by_token = {known: one for known, one in self._by_token.items() if one is not bot}
        self._by_token[token] = bot

    def bot_named(self, name: str | None) -> BotAccount:
        """The bot with this username or id; the first one for None. Raises ControlError."""
        for bot in self.bots.values():
            if name is None or name.lstrip("@").lower() in (bot.username.lower(), str(bot.id)):
                return bot
        raise ControlError(f"no bot called {name}")

    def find_chat(self, chat_id: int, bot: BotAccount) -> Chat | None:
        """A room this bot is or was in."""
        chat = self._chats.get(_key(chat_id, bot))
        return chat if chat is not None and (bot.id in chat.bots or bot.id in chat.roles) else None

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
            chat = Chat(chat_id, kind, name, {bot.id: bot}, bot, user if kind == "private" else None)
            self._chats[_key(chat_id, bot)] = chat
        if chat.type != kind:
            raise ControlError(f"chat {chat_id} is a {chat.type}")
        if bot.id not in chat.bots and bot.id not in chat.roles:
            if chat.type == "group":
                # Each account counts a basic group's messages by itself; one bot keeps the ids unambiguous.
                raise ControlError("a basic group has one bot here; use a supergroup")
            chat.bots[bot.id] = bot
        if title and kind != "private":
            chat.title = title
        return chat

    def new_group_id(self) -> str:
        """The id that the messages of one album share."""
        self._albums += 1
        return str(FIRST_GROUP_ID + self._albums)

    def post(
        self,
        chat: Chat,
        sender: BotAccount | User,
        content: Content,
        *,
        thread_id: int | None = None,
        reply_to: int | None = None,
        keyboard: list[list[Json]] | None = None,
        media_group_id: str | None = None,
        service: Json | None = None,
        ephemeral_to: User | None = None,
    ) -> Message:
        """Put a message into a room; with `ephemeral_to` before the eyes of one person (and the bots)."""
        self._posted += 1
        message = Message(0, self.now(), sender, content, self._posted, thread_id, reply_to, keyboard)
        message.media_group_id, message.service = media_group_id, service
        if ephemeral_to is None:
            message.id = self._next_message_id(chat)
            chat.messages[message.id] = message
        else:
            message.ephemeral_id, message.ephemeral_to = len(chat.ephemeral) + 1, ephemeral_to
            chat.ephemeral[message.ephemeral_id] = message
        if isinstance(sender, BotAccount):
            chat.last_bot_id = sender.id
        self.note("message", chat, message_view(message))
        return message

    def revise(
        self, chat: Chat, message: Message, content: Content, keyboard: list[list[Json]] | None
    ) -> None:
        """Replace what a message shows, keeping what it showed before. A new keyboard alone is no edit."""
        if content != message.content:
            message.edits.append(Edit(self.now(), message.content))
            message.content = content
            message.edited_at = self.now()
        message.keyboard = keyboard
        self.note("edited", chat, message_view(message))

    def remove(self, chat: Chat, message: Message) -> None:
        """Delete a message for everyone; it stays in the full view."""
        message.deleted_at = self.now()
        self.note("deleted", chat, message_view(message))

    def create_topic(
        self, chat: Chat, sender: BotAccount | User, name: str, color: int = TOPIC_COLOR
    ) -> Topic:
        """Open a topic; its id is the id of its first message, which tells of it."""
        service = {"forum_topic_created": {"name": name, "icon_color": color}}
        message = self.post(chat, sender, Content(), service=service)
        message.thread_id = message.id
        topic = chat.topics[message.id] = Topic(message.id, name, color, sender.id)
        self.tell_bots(chat, message)
        return topic

    def post_service(
        self, chat: Chat, sender: BotAccount | User, service: Json, thread_id: int | None = None
    ) -> Message:
        """Put a service message into a room; every bot in it gets to see those."""
        message = self.post(chat, sender, Content(), service=service, thread_id=thread_id)
        self.tell_bots(chat, message)
        return message

    def tell_bots(self, chat: Chat, message: Message) -> None:
        """Queue a message for every bot in the room but the one that caused it."""
        for bot in chat.bots.values():
            if bot is not message.sender:
                self.deliver_message(bot, "message", chat, message)

    def deliver_message(self, bot: BotAccount, kind: str, chat: Chat, message: Message) -> int | None:
        """Queue a message for a bot; None when the bot does not want this kind."""
        at = message.at if message.edited_at is None else message.edited_at
        payload = self.message_for(bot, chat, message)
        return self.queues[bot.id].push(kind, payload, int(at) + MESSAGE_UPDATE_LIFE_S)

    def message_for(self, bot: BotAccount, chat: Chat, message: Message) -> Json:
        """A message as this bot is shown it."""
        return message_to_wire(chat, message, self.files, bot)

    def note(self, kind: str, chat: Chat, detail: Json) -> None:
        """Record a visible change, once per bot that is in the room."""
        for bot in chat.bots.values() or (chat.first_bot,):
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
        bot_id = chat.first_bot.id
        self._account_message_ids[bot_id] += 1
        return self._account_message_ids[bot_id]


def _key(chat_id: int, bot: BotAccount) -> tuple[int, int]:
    # The private chats of one person with two bots have the same id and are two rooms.
    return (chat_id, bot.id if chat_id > 0 else 0)
