"""Everything one can do to the emulated network from outside: play people, change rooms, disturb the queues.

The verbs of tests, of the control side and of the demo, in one place; `TelegramEmulator` adds the servers. Each
raises ControlError for what makes no sense, and lets everybody who waits look again.
"""

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from channels.emulators.errors import ControlError
from channels.emulators.telegram import people, rooms
from channels.emulators.telegram.drafts import live_draft
from channels.emulators.telegram.files import Upload
from channels.emulators.telegram.people import Said, Words
from channels.emulators.telegram.records import (
    Chat,
    ChatType,
    Content,
    Draft,
    FileKind,
    Message,
    Role,
    Topic,
    Update,
    User,
)
from channels.emulators.telegram.refusals import Refusal
from channels.emulators.telegram.texts import checked_caption
from channels.emulators.telegram.updates import UpdateQueue
from channels.emulators.telegram.world import World

DEFAULT_USER = User(1001, "Ada", "ada")


class Stage:
    """A world one can act in. `bot` is a username or an id everywhere; None is the first bot."""

    def __init__(self, world: World, spread: Callable[[], None]) -> None:
        self.world = world
        self._spread = spread

    def say(
        self,
        text: str,
        *,
        user: User = DEFAULT_USER,
        chat_id: int | None = None,
        chat_type: ChatType | None = None,
        chat_title: str | None = None,
        reply_to: int | None = None,
        message_thread_id: int | None = None,
        is_ephemeral: bool = False,
        bot: str | None = None,
    ) -> Said:
        """Write as a person, by default in their private chat."""
        words = Words(
            text=text,
            user=user,
            chat_id=user.id if chat_id is None else chat_id,
            chat_type=chat_type,
            chat_title=chat_title,
            reply_to=reply_to,
            message_thread_id=message_thread_id,
            is_ephemeral=is_ephemeral,
        )
        said = people.say(self.world, self.world.bot_named(bot), words)
        self._spread()
        return said

    def send_file(
        self,
        kind: FileKind,
        data: bytes,
        *,
        name: str | None = None,
        mime: str | None = None,
        caption: str = "",
        user: User = DEFAULT_USER,
        chat_id: int | None = None,
        reply_to: int | None = None,
        message_thread_id: int | None = None,
        bot: str | None = None,
        **facts: Any,
    ) -> Said:
        """Send a file as a person. `facts` go to the wire form beside it: duration, title, emoji …"""
        (said,) = self.send_files(
            [self.file(kind, data, name=name, mime=mime, caption=caption, **facts)],
            user=user,
            chat_id=chat_id,
            reply_to=reply_to,
            message_thread_id=message_thread_id,
            bot=bot,
        )
        return said

    def file(
        self,
        kind: FileKind,
        data: bytes,
        *,
        name: str | None = None,
        mime: str | None = None,
        caption: str = "",
        **facts: Any,
    ) -> Content:
        """A file with its caption, to be sent by `send_files`."""
        try:
            media = self.world.files.add(kind, Upload(data, name, mime), facts)
            return Content(*checked_caption(caption, []), media)
        except Refusal as refusal:
            raise ControlError(refusal.description) from None

    def send_files(
        self,
        contents: Sequence[Content],
        *,
        user: User = DEFAULT_USER,
        chat_id: int | None = None,
        reply_to: int | None = None,
        message_thread_id: int | None = None,
        bot: str | None = None,
    ) -> list[Said]:
        """Send files as a person; several make an album with one `media_group_id`."""
        words = Words(
            text="",
            user=user,
            chat_id=user.id if chat_id is None else chat_id,
            reply_to=reply_to,
            message_thread_id=message_thread_id,
        )
        said = people.show(self.world, self.world.bot_named(bot), words, contents)
        self._spread()
        return said

    def edit(self, chat_id: int, message_id: int, text: str, *, bot: str | None = None) -> int | None:
        """Edit a person's text or caption; returns the update id."""
        update_id = people.edit(self.world, self.world.bot_named(bot), chat_id, message_id, text)
        self._spread()
        return update_id

    def delete(self, chat_id: int, message_id: int, *, bot: str | None = None) -> None:
        """Delete a message as a person; no bot is told."""
        people.delete(self.world, self.world.bot_named(bot), chat_id, message_id)
        self._spread()

    def react(
        self,
        chat_id: int,
        message_id: int,
        *emoji: str,
        user: User = DEFAULT_USER,
        bot: str | None = None,
    ) -> int | None:
        """Set a person's reactions, or take them away; returns the update id."""
        update_id = people.react(self.world, self.world.bot_named(bot), chat_id, message_id, emoji, user)
        self._spread()
        return update_id

    def press(
        self,
        chat_id: int,
        message_id: int,
        callback_data: str,
        *,
        user: User = DEFAULT_USER,
        ephemeral_message_id: int | None = None,
        bot: str | None = None,
    ) -> str:
        """Press a button; returns the callback query's id."""
        query = people.press(
            self.world,
            self.world.bot_named(bot),
            chat_id,
            message_id,
            callback_data,
            user,
            ephemeral_message_id,
        )
        self._spread()
        return query.id

    def add_bot(
        self,
        chat_id: int,
        *,
        by: User = DEFAULT_USER,
        chat_title: str | None = None,
        chat_type: ChatType | None = None,
        bot: str | None = None,
    ) -> Chat:
        """Take the bot into a group; it is told by my_chat_member."""
        account = self.world.bot_named(bot)
        chat = rooms.add_bot(self.world, account, chat_id, by, chat_title, chat_type)
        self._spread()
        return chat

    def set_bot_role(
        self, chat_id: int, role: Role, *, by: User = DEFAULT_USER, bot: str | None = None
    ) -> None:
        """Promote ("administrator"), demote ("member") or remove ("kicked", "left") the bot.

        In a private chat "kicked" means that the person blocked the bot, "member" that they no longer do.
        """
        account = self.world.bot_named(bot)
        rooms.change_bot_role(self.world, self._chat(chat_id, bot), account, role, by)
        self._spread()

    def set_role(
        self, chat_id: int, user: User, role: Role, *, by: User = DEFAULT_USER, bot: str | None = None
    ) -> None:
        """Let a person join ("member"), leave, be promoted or removed; administrator bots may be told."""
        rooms.change_role(self.world, self._chat(chat_id, bot), user, role, by)
        self._spread()

    def make_forum(self, chat_id: int, *, bot: str | None = None) -> None:
        """Switch a supergroup's topics on."""
        rooms.make_forum(self.world, self._chat(chat_id, bot))
        self._spread()

    def open_topic(
        self, chat_id: int, name: str, *, user: User = DEFAULT_USER, bot: str | None = None
    ) -> Topic:
        """Open a topic as a person."""
        topic = rooms.open_topic(self.world, self._chat(chat_id, bot), user, name)
        self._spread()
        return topic

    def migrate(
        self, chat_id: int, new_id: int | None = None, *, by: User = DEFAULT_USER, bot: str | None = None
    ) -> int:
        """Turn a basic group into a supergroup; returns its new id."""
        chat = rooms.migrate(self.world, self._chat(chat_id, bot), by, new_id)
        self._spread()
        return chat.id

    def redeliver(self, update_id: int, *, bot: str | None = None) -> None:
        """Deliver an update once more under its old id, even if it was confirmed."""
        try:
            self._queue(bot).repeat(update_id)
        except KeyError:
            raise ControlError(f"no update {update_id} is remembered") from None
        self._spread()

    def arrange_updates(self, update_ids: Sequence[int], *, bot: str | None = None) -> None:
        """Deliver what waits in this order; names exactly the waiting updates."""
        try:
            self._queue(bot).arrange(update_ids)
        except KeyError as error:
            raise ControlError(f"the waiting updates are {error.args[0]}") from None
        self._spread()

    def skip_update_ids(self, count: int, *, bot: str | None = None) -> None:
        """Leave a gap in the update ids, as the network does when updates were lost."""
        if count < 1:
            raise ControlError("skip at least one update id")
        self._queue(bot).skip(count)

    def expire_updates(self, *, bot: str | None = None) -> None:
        """Lose everything that waits, without a trace, as after 24 hours."""
        self._queue(bot).clear()

    def advance(self, seconds: float) -> None:
        """Let the network's clock jump ahead: updates, links, drafts and buttons age, retries fall due."""
        self.world.advance(seconds)
        self._spread()

    def revoke_token(self, new_token: str | None = None, *, bot: str | None = None) -> str:
        """Replace the bot's token; the old one is unauthorized from now on. Returns the new one."""
        account = self.world.bot_named(bot)
        token = new_token or f"{account.id}:{secrets.token_urlsafe(16)}"
        self.world.replace_token(account, token)
        return token

    def messages(self, chat_id: int, *, bot: str | None = None) -> list[Message]:
        """Everything in a chat, with edits and deleted ones; nothing when there is no such chat."""
        chat = self.world.find_chat(chat_id, self.world.bot_named(bot))
        return [] if chat is None else list(chat.messages.values())

    def ephemeral_messages(self, chat_id: int, *, bot: str | None = None) -> list[Message]:
        """What single persons saw in a chat, with edits and deleted ones."""
        chat = self.world.find_chat(chat_id, self.world.bot_named(bot))
        return [] if chat is None else list(chat.ephemeral.values())

    def draft(self, chat_id: int, *, bot: str | None = None) -> Draft | None:
        """The draft a person sees now."""
        account = self.world.bot_named(bot)
        chat = self.world.find_chat(chat_id, account)
        return None if chat is None else live_draft(self.world, chat, account)

    def pending_updates(self, *, bot: str | None = None) -> list[Update]:
        """The updates a bot has not confirmed."""
        return self._queue(bot).pending(self.world.now())

    def confirmed_offset(self, *, bot: str | None = None) -> int:
        """The highest offset a bot asked for: everything below it is confirmed."""
        return self._queue(bot).confirmed_offset

    def _chat(self, chat_id: int, bot: str | None) -> Chat:
        return people.chat_of(self.world, self.world.bot_named(bot), chat_id)

    def _queue(self, bot: str | None) -> UpdateQueue:
        return self.world.queues[self.world.bot_named(bot).id]
