"""Telegram for contract scenarios: `networks.Network` over the emulated Bot API."""

from collections.abc import Iterable
from typing import Any

from channels.emulators.calls import Call
from channels.emulators.faults import FaultKind
from channels.emulators.telegram import NO_FLOOD_LIMITS, BotAccount, Content, Message, TelegramEmulator, User
from channels.emulators.telegram.records import Chat
from channels.messages import Mark
from channels.telegram.render import render_markdown
from tests.contract.networks import ADA, GATE, NIGHT, Act, Facts, File, Person, Said, Shown, Spot

# Without privacy mode, so that the bots hear what is not for them and have to ignore it themselves.
BOTS = {
    GATE: BotAccount("42:gate-secret", 42, "gate_bot", "Gate", privacy_mode=False),
    NIGHT: BotAccount("43:night-secret", 43, "night_bot", "Night", privacy_mode=False),
}
_ROBOT = BotAccount("44:robot-secret", 44, "robot_bot", "Robot")
_FIRST_PERSON = 1000
_FIRST_GROUP = -1_000_000_000_100
_CALLS = {
    Act.SEND: ("sendMessage", "sendRichMessage"),
    Act.EDIT: ("editMessageText", "editMessageCaption"),
    Act.UPLOAD: ("sendDocument", "sendPhoto", "sendVoice", "sendAudio", "sendVideo"),
}
_MARKS = {
    "👀": Mark.SEEN,
    "👌": Mark.DONE,
    "👍": Mark.DONE,
    "💯": Mark.DONE,
    "👎": Mark.FAILED,
    "💔": Mark.FAILED,
    "🤷": Mark.FAILED,
    "😢": Mark.FAILED,
}
_CALLING = ("mention", "text_mention")


class TelegramNetwork:
    """The emulator and who is on it. `has_limits` switches the flood limits on."""

    kind = "telegram"
    facts = Facts(tells_deletions=False, recognises_repeats=False)

    def __init__(self, *, has_limits: bool = False) -> None:
        self.emulator = TelegramEmulator(
            [*BOTS.values(), _ROBOT],
            flood_limits=None if has_limits else NO_FLOOD_LIMITS,
            slows_repeated_polls=False,
        )
        self._rooms: dict[str, Spot] = {}
        self._held: list[int] | None = None
        self._port = 0

    async def open(self) -> None:
        await self.emulator.start(port=self._port)
        self._port = int(self.emulator.url.rpartition(":")[2])

    async def close(self) -> None:
        await self.emulator.stop()

    async def unplug(self) -> None:
        await self.emulator.stop()

    async def plug(self) -> None:
        await self.open()

    def table(self, account: str = GATE) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "account": account,
            "token": BOTS[account].token,
            "api_base_url": self.emulator.url,
        }

    # --- places and people --------------------------------------------------------------------

    def id_of(self, person: Person) -> str:
        return str(_FIRST_PERSON + person.number)

    def direct(self, person: Person = ADA, account: str = GATE) -> Spot:
        return Spot(self.id_of(person), is_direct=True, account=account)

    def room(self, name: str = "lobby") -> Spot:
        if name not in self._rooms:
            chat_id = _FIRST_GROUP - len(self._rooms)
            for bot in (*BOTS.values(), _ROBOT):
                self.emulator.add_bot(chat_id, by=self._user(ADA), chat_title=name, bot=bot.username)
            self._rooms[name] = Spot(str(chat_id), is_direct=False)
        return self._rooms[name]

    def topic(self, name: str, number: int) -> Spot:
        """A topic of a room of its own kind: a forum."""
        room = self.room(name)
        return Spot(room.room, is_direct=False, thread=str(100 * number))

    def room_id(self, spot: Spot) -> str:
        return spot.room

    # --- what people do -----------------------------------------------------------------------

    def say(self, spot: Spot, text: str, person: Person = ADA) -> Said:
        return self._say(spot, text, person)

    def mention(self, spot: Spot, text: str, person: Person = ADA) -> Said:
        return self._say(spot, f"@{BOTS[spot.account].username} {text}", person)

    def reply(self, said: Said, answer: Shown, text: str, person: Person = ADA) -> Said:
        return self._say(said.spot, text, person, reply_to=int(answer.ref))

    def command(self, spot: Spot, text: str, person: Person = ADA) -> Said:
        command, _, rest = text.partition(" ")
        return self._say(spot, f"/{command}@{BOTS[spot.account].username} {rest}", person)

    def edit(self, said: Said, text: str) -> None:
        bot = BOTS[said.spot.account].username
        self._hold_back(self.emulator.edit(int(said.spot.room), int(said.ref), text, bot=bot))

    def delete(self, said: Said) -> None:
        self.emulator.delete(int(said.spot.room), int(said.ref), bot=BOTS[said.spot.account].username)

    def upload(self, spot: Spot, file: File, text: str = "", person: Person = ADA) -> Said:
        caption = text if spot.is_direct else f"@{BOTS[spot.account].username} {text}"
        said = self.emulator.send_file(
            "document",
            file.data,
            name=file.name,
            caption=caption,
            user=self._user(person),
            chat_id=int(spot.room),
            bot=BOTS[spot.account].username,
        )
        return Said(spot, str(said.message_id), person, said.update_id)

    async def press(self, shown: Shown, label: str, person: Person = ADA) -> None:
        message = self._chat(shown.spot).messages[int(shown.ref)]
        (data,) = [
            button["callback_data"]
            for row in message.keyboard or ()
            for button in row
            if button["text"] == label
        ]
        self.emulator.press(int(shown.spot.room), message.id, data, user=self._user(person))

    # --- what people see ----------------------------------------------------------------------

    def parts(self, markdown: str) -> list[str]:
        return [part.text for part in render_markdown(markdown)]

    def from_bot(self, spot: Spot, last: int = 0) -> list[Shown]:
        found = [
            message
            for message in self._messages(spot)
            if message.deleted_at is None and spot.thread in (None, str(message.thread_id))
        ]
        return [self._shown(spot, message) for message in found[-last:]]

    def answers(self, said: Said) -> list[Shown]:
        return self.from_bot(said.spot)

    def growing(self, spot: Spot) -> str:
        draft = None
        if spot.is_direct:
            draft = self.emulator.draft(int(spot.room), bot=BOTS[spot.account].username)
        if draft is not None and draft.content.text:
            return draft.content.text
        shown = self.from_bot(spot)
        return shown[-1].text if shown else ""

    def posts(self, spot: Spot) -> int:
        return len(self._messages(spot))

    def marks(self, said: Said) -> set[Mark]:
        bot = BOTS[said.spot.account]
        message = self._chat(said.spot).messages[int(said.ref)]
        return {_MARKS[emoji] for emoji in message.reactions.get(bot.id, ())}

    def whispers(self, spot: Spot, person: Person) -> list[str]:
        user_id = int(self.id_of(person))
        answers = [
            query.answer
            for query in self.emulator.world.callbacks.values()
            if query.user_id == user_id and str(query.chat.id) == spot.room and query.answer
        ]
        return answers + [
            message.text
            for message in self.emulator.ephemeral_messages(int(spot.room))
            if message.ephemeral_to is not None and message.ephemeral_to.id == user_id
        ]

    def signs_of_work(self, spot: Spot) -> int:
        calls = [
            *self.emulator.calls.select("sendChatAction"),
            *self.emulator.calls.select("sendMessageDraft"),
        ]
        return sum(call.arguments.get("chat_id") == spot.room for call in calls)

    # --- what can go wrong --------------------------------------------------------------------

    def disturb(self, act: Act, kind: FaultKind, **options: Any) -> None:
        self.emulator.faults.add(kind, _CALLS[act][0], **options)

    def calls(self, act: Act) -> list[Call]:
        found = [call for name in _CALLS[act] for call in self.emulator.calls.select(name)]
        return sorted(found, key=lambda call: call.seq)

    def hold(self) -> None:
        # Pollers hear of an update when the loop turns: until then its place in the queue is ours to choose.
        self._held = []

    def release(self, *, backwards: bool = False) -> None:
        held, self._held = self._held or [], None
        waiting = [update.id for update in self.emulator.pending_updates()]
        assert set(held) <= set(waiting), "something was delivered since `hold`: do not await in between"
        others = [update_id for update_id in waiting if update_id not in held]
        self.emulator.arrange_updates([*others, *(reversed(held) if backwards else held)])

    def redeliver(self, said: Said) -> None:
        self.emulator.redeliver(said.handle, bot=BOTS[said.spot.account].username)

    def undelivered(self, account: str = GATE) -> int:
        return len(self.emulator.pending_updates(bot=BOTS[account].username))

    def acknowledged(self, sayings: Iterable[Said]) -> list[Said]:
        offsets = {account: self.emulator.confirmed_offset(bot=bot.username) for account, bot in BOTS.items()}
        return [said for said in sayings if said.handle < offsets[said.spot.account]]

    def revoke(self) -> None:
        self.emulator.revoke_token()

    def restore(self) -> None:
        self.emulator.revoke_token(BOTS[GATE].token)

    def expel(self, spot: Spot) -> None:
        self.emulator.set_bot_role(int(spot.room), "kicked", by=self._user(ADA))

    # --- parts --------------------------------------------------------------------------------

    def _say(self, spot: Spot, text: str, person: Person, reply_to: int | None = None) -> Said:
        if person.is_bot:
            # No bot is ever told what another one says (https://core.telegram.org/bots/faq).
            message = self.emulator.world.post(self._chat(spot), _ROBOT, Content(text))
            return Said(spot, str(message.id), person)
        said = self.emulator.say(
            text,
            user=self._user(person),
            chat_id=int(spot.room),
            reply_to=reply_to,
            message_thread_id=None if spot.thread is None else int(spot.thread),
            bot=BOTS[spot.account].username,
        )
        self._hold_back(said.update_id)
        return Said(spot, str(said.message_id), person, said.update_id)

    def _hold_back(self, update_id: int | None) -> None:
        if self._held is not None and update_id is not None:
            self._held.append(update_id)

    def _user(self, person: Person) -> User:
        return User(_FIRST_PERSON + person.number, person.name)

    def _chat(self, spot: Spot) -> Chat:
        chat = self.emulator.world.find_chat(int(spot.room), BOTS[spot.account])
        assert chat is not None, "nothing was said there yet"
        return chat

    def _messages(self, spot: Spot) -> list[Message]:
        messages = self.emulator.messages(int(spot.room), bot=BOTS[spot.account].username)
        return [one for one in messages if one.sender == BOTS[spot.account] and one.service is None]

    def _shown(self, spot: Spot, message: Message) -> Shown:
        units = message.text.encode("utf-16-le")

        def covered(entity: dict[str, Any]) -> str:
            end = entity["offset"] + entity["length"]
            return units[entity["offset"] * 2 : end * 2].decode("utf-16-le")

        media = message.content.media
        return Shown(
            spot,
            str(message.id),
            message.text,
            earlier=tuple(edit.text for edit in message.edits),
            code=tuple(
                (entity.get("language", ""), covered(entity))
                for entity in message.entities
                if entity["type"] == "pre"
            ),
            buttons=tuple(button["text"] for row in message.keyboard or () for button in row),
            files=() if media is None else (File(media.files[-1].name or "", media.files[-1].data),),
            called=tuple(covered(entity) for entity in message.entities if entity["type"] in _CALLING),
        )
