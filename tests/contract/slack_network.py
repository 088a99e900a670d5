"""Slack for contract scenarios: `networks.Network` over the emulated Web API and Socket Mode."""

import asyncio
import re
from collections.abc import Iterable
from typing import Any

from channels.emulators.calls import Call
from channels.emulators.faults import FaultKind
from channels.emulators.slack import AppAccount, Channel, Installed, Message, SlackEmulator, Timing
from channels.emulators.slack import Person as Member
from channels.emulators.slack.arguments import Arguments
from channels.emulators.slack.chat import post_message
from channels.emulators.slack.deliveries import DeliveryState
from channels.messages import Mark
from channels.slack.render import render_markdown
from tests.contract.code_blocks import fenced_code
from tests.contract.networks import ADA, BOB, GATE, NIGHT, ROBOT, Act, Facts, File, Person, Said, Shown, Spot

TEAM = "T0000000001"
COMMAND = "/threadgate"


def _app(number: int, name: str) -> AppAccount:
    ending = f"{number:010}"
    return AppAccount(
        id=f"A{ending}",
        name=name,
        app_token=f"xapp-1-A{ending}-emulated",
        client_id=f"1000000000.{ending}",
    )


APPS = {GATE: _app(1, "Gate"), NIGHT: _app(2, "Night"), ROBOT.name: _app(3, "Robot")}
TOKENS = {name: f"xoxb-emulated-{number}" for number, name in enumerate(APPS, 1)}
# Repetitions after 0, 1 and 5 seconds: a sixtieth of the real waits, as far as they matter. Acknowledging is
# not scaled as much, so that a busy machine is not taken for a silent app.
TIMING = Timing(ack_s=1.0, retries_s=(0.0, 1.0, 5.0))
_CALLS = {
    Act.SEND: ("chat.postMessage",),
    Act.EDIT: ("chat.update",),
    Act.UPLOAD: ("files.completeUploadExternal",),
}
_MARKS = {"eyes": Mark.SEEN, "white_check_mark": Mark.DONE, "warning": Mark.FAILED}
_FORM_S = 3.0
_REFERENCES = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}


class SlackNetwork:
    """The emulator and who is on it. `has_limits` switches the rate tiers on."""

    kind = "slack"
    facts = Facts()

    def __init__(self, *, has_limits: bool = False, timing: Timing = TIMING) -> None:
        self.emulator = SlackEmulator(
            list(APPS.values()),
            installed=[Installed(app_id=app.id, token=TOKENS[name]) for name, app in APPS.items()],
            timing=timing,
            has_rate_limits=has_limits,
        )
        self._rooms: dict[str, Spot] = {}
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
            "bot_token": TOKENS[account],
            "app_token": APPS[account].app_token,
            "api_base_url": self.emulator.api_url.rstrip("/"),
        }

    # --- places and people --------------------------------------------------------------------

    def id_of(self, person: Person) -> str:
        return f"U0P{person.number:04}"

    def direct(self, person: Person = ADA, account: str = GATE) -> Spot:
        channel = self.emulator.direct(self._member(person), app_id=APPS[account].id)
        return Spot(channel, is_direct=True, account=account)

    def room(self, name: str = "lobby") -> Spot:
        if name not in self._rooms:
            channel = self.emulator.open_channel(name, members=[self._member(ADA), self._member(BOB)])
            self._rooms[name] = Spot(channel, is_direct=False)
        return self._rooms[name]

    def room_id(self, spot: Spot) -> str:
        return f"{TEAM}/{spot.room}"

    # --- what people do -----------------------------------------------------------------------

    def say(self, spot: Spot, text: str, person: Person = ADA) -> Said:
        if person.is_bot:
            bot = self.emulator.bot(APPS[ROBOT.name].id)
            posted = post_message(
                self.emulator.world,
                bot,
                Arguments({"channel": spot.room, "text": f"<@{self._bot_user}> {text}"}),
            )
            self.emulator.spread()
            return Said(spot, posted["ts"], person)
        message = self.emulator.say(text, user=self._member(person), channel=spot.room, thread_ts=spot.thread)
        return self._said(spot, message, person)

    def mention(self, spot: Spot, text: str, person: Person = ADA) -> Said:
        return self.say(spot, f"@{APPS[spot.account].name} {text}", person)

    def reply(self, said: Said, answer: Shown, text: str, person: Person = ADA) -> Said:
        return self.say(
            Spot(said.spot.room, said.spot.is_direct, _root(said), said.spot.account), text, person
        )

    def command(self, spot: Spot, text: str, person: Person = ADA) -> Said:
        user, app_id = self._member(person), APPS[spot.account].id
        self.emulator.slash(COMMAND, text, user=user, channel=spot.room, app_id=app_id)
        return Said(spot, "", person)

    def edit(self, said: Said, text: str) -> None:
        self.emulator.edit(said.spot.room, said.ref, text)

    def delete(self, said: Said) -> None:
        self.emulator.delete(said.spot.room, said.ref)

    def upload(self, spot: Spot, file: File, text: str = "", person: Person = ADA) -> Said:
        words = text if spot.is_direct else f"@{APPS[spot.account].name} {text}"
        message = self.emulator.upload(
            file.name,
            file.data,
            text=words,
            user=self._member(person),
            channel=spot.room,
            thread_ts=spot.thread,
        )
        return self._said(spot, message, person)

    async def press(self, shown: Shown, label: str, person: Person = ADA) -> None:
        message = self._channel(shown.spot).messages[shown.ref]
        (action_id,) = [
            element["action_id"] for element in _buttons(message) if element["text"]["text"] == label
        ]
        known = {view.id for view in self.emulator.views(only_open=False)}
        self.emulator.press(shown.spot.room, shown.ref, action_id, user=self._member(person))
        if action_id.startswith("threadgate:reason:"):
            async with asyncio.timeout(_FORM_S):
                while not (opened := [view for view in self.emulator.views() if view.id not in known]):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            self.emulator.submit(opened[0].id)

    # --- what people see ----------------------------------------------------------------------

    def parts(self, markdown: str) -> list[str]:
        return [_said_by(part.text, part.payload["blocks"]) for part in render_markdown(markdown)]

    def from_bot(self, spot: Spot, last: int = 0) -> list[Shown]:
        found = [
            message
            for message in self._messages(spot)
            if message.deleted_at is None and spot.thread in (None, message.thread_ts)
        ]
        return [self._shown(spot, message) for message in found[-last:]]

    def answers(self, said: Said) -> list[Shown]:
        root = _root(said)
        messages = self._channel(said.spot).messages
        shown = self.from_bot(Spot(said.spot.room, said.spot.is_direct, None, said.spot.account))
        return [one for one in shown if (messages[one.ref].thread_ts or "") == root]

    def growing(self, spot: Spot) -> str:
        shown = self.from_bot(spot)
        return shown[-1].text if shown else ""

    def posts(self, spot: Spot) -> int:
        return len(self._messages(spot))

    def marks(self, said: Said) -> set[Mark]:
        reactions = self._channel(said.spot).messages[said.ref].reactions
        user = self.emulator.bot(APPS[said.spot.account].id).user_id
        return {_MARKS[name] for name, users in reactions.items() if user in users}

    def whispers(self, spot: Spot, person: Person) -> list[str]:
        mine = [
            _words(message)
            for message in self.emulator.ephemerals(spot.room)
            if message.ephemeral_to == self.id_of(person)
        ]
        forms = [
            error
            for view in self.emulator.views(only_open=False)
            if view.user == self.id_of(person)
            for error in view.errors.values()
        ]
        return mine + forms

    def signs_of_work(self, spot: Spot) -> int:
        calls = self.emulator.calls.select("assistant.threads.setStatus")
        return sum(
            call.arguments.get("channel_id") == spot.room and bool(call.arguments.get("status"))
            for call in calls
        )

    # --- what can go wrong --------------------------------------------------------------------

    def disturb(self, act: Act, kind: FaultKind, **options: Any) -> None:
        self.emulator.faults.add(kind, _CALLS[act][0], **options)

    def calls(self, act: Act) -> list[Call]:
        found = [call for name in _CALLS[act] for call in self.emulator.calls.select(name)]
        return sorted(found, key=lambda call: call.seq)

    def hold(self) -> None:
        self.emulator.hold_events()

    def release(self, *, backwards: bool = False) -> None:
        held = [one.id for one in self.emulator.undelivered() if one.state is DeliveryState.HELD]
        self.emulator.release_events(reversed(held) if backwards else held)
        self.emulator.release_events()

    def redeliver(self, said: Said) -> None:
        deliveries = [one for one in self.emulator.finished() if self._is_about(one.payload, said)]
        assert deliveries, "it was not delivered yet"
        for one in deliveries:
            self.emulator.redeliver(delivery_id=one.id)

    def undelivered(self, account: str = GATE) -> int:
        return sum(one.app_id == APPS[account].id for one in self.emulator.undelivered())

    def acknowledged(self, sayings: Iterable[Said]) -> list[Said]:
        taken = {
            (event.get("channel"), event.get("ts"))
            for one in self.emulator.finished()
            if one.state is DeliveryState.ACKNOWLEDGED and (event := one.payload.get("event")) is not None
        }
        return [said for said in sayings if (said.spot.room, said.ref) in taken]

    def revoke(self) -> None:
        self.emulator.revoke_token(APPS[GATE].id)

    def restore(self) -> None:
        self.emulator.bot(APPS[GATE].id).refusal = ""

    def expel(self, spot: Spot) -> None:
        self.emulator.leave(spot.room, self._bot_user)

    # --- parts --------------------------------------------------------------------------------

    @property
    def _bot_user(self) -> str:
        return self.emulator.bot(APPS[GATE].id).user_id

    def _member(self, person: Person) -> Member:
        return Member(self.id_of(person), person.name, person.name)

    def _channel(self, spot: Spot) -> Channel:
        return self.emulator.channel(spot.room)

    def _messages(self, spot: Spot) -> list[Message]:
        app = APPS[spot.account]
        return [
            one
            for one in self.emulator.messages(spot.room)
            if one.bot is not None and one.bot.app.id == app.id and one.subtype in (None, "file_share")
        ]

    def _said(self, spot: Spot, message: Message, person: Person) -> Said:
        placed = Spot(spot.room, spot.is_direct, message.thread_ts, spot.account)
        return Said(placed, message.ts, person, message.ts)

    def _is_about(self, payload: dict[str, Any], said: Said) -> bool:
        event = payload.get("event", {})
        is_ours = payload.get("api_app_id") == APPS[said.spot.account].id
        return is_ours and event.get("channel") == said.spot.room and event.get("ts") == said.ref

    def _shown(self, spot: Spot, message: Message) -> Shown:
        text = _words(message)
        return Shown(
            Spot(spot.room, spot.is_direct, message.thread_ts, spot.account),
            message.ts,
            text,
            earlier=tuple(_said_by(edit.text, edit.blocks) for edit in message.edits),
            code=fenced_code(text),
            buttons=tuple(element["text"]["text"] for element in _buttons(message)),
            files=tuple(File(file.name, file.content or b"") for file in message.files),
            called=message.mentions,
        )


def _root(said: Said) -> str:
    """The first message of the thread something belongs to; a command stands in none."""
    return said.spot.thread or said.ref


def _buttons(message: Message) -> list[dict[str, Any]]:
    return [
        element
        for block in message.blocks
        if block["type"] == "actions"
        for element in block["elements"]
        if element["type"] == "button"
    ]


def _words(message: Message) -> str:
    return _said_by(message.text, message.blocks)


def _said_by(text: str, blocks: list[dict[str, Any]]) -> str:
    """What one reads: the blocks where there are some, else the text."""
    parts = [_block_text(block) for block in blocks]
    words = "\n".join(part for part in parts if part) or text
    return re.sub("|".join(_REFERENCES), lambda found: _REFERENCES[found[0]], words)


def _block_text(block: dict[str, Any]) -> str:
    match block["type"]:
        case "markdown":
            return str(block["text"])
        case "header" | "section":
            return str(block["text"]["text"])
        case _:
            return ""
