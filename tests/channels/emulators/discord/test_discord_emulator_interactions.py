"""Presses, choices, commands and modals: what people do, how applications answer, and when it is too late."""

import asyncio
from typing import Any

import discord
import pytest
from discord_emulator_cast import ADA, BO, GATE, GENERAL, Api, Clock, Watcher, until

from channels.emulators.discord import ControlError, DiscordEmulator, Interaction

COMMANDS = f"/applications/{GATE.id}/commands"
ASK = {
    "name": "ask",
    "description": "Ask",
    "options": [
        {"type": 3, "name": "question", "description": "What", "required": True},
        {"type": 4, "name": "times", "description": "How often", "choices": [{"name": "two", "value": 2}]},
    ],
}


class Card(discord.ui.View):
    """Two buttons and a menu, as an approval has them."""

    def __init__(self) -> None:
        super().__init__(timeout=None)
        self.add_item(discord.ui.Button(label="Approve", custom_id="apr:1:yes"))
        self.add_item(discord.ui.Button(label="Old", custom_id="old", disabled=True))
        options = [discord.SelectOption(label=one) for one in ("red", "blue")]
        self.add_item(discord.ui.Select(custom_id="colour", options=options))


def callback(interaction: Interaction) -> str:
    return f"/interactions/{interaction.id}/{interaction.token}/callback"


def hook(interaction: Interaction, rest: str = "") -> str:
    return f"/webhooks/{interaction.bot_id}/{interaction.token}{rest}"


@pytest.fixture
async def pressed(api: Api, emulator: DiscordEmulator) -> Interaction:
    """A press of a button that nobody answered yet."""
    row = {"type": 1, "components": [{"type": 2, "style": 1, "label": "Yes", "custom_id": "yes"}]}
    _, sent = await api.send(content="Really?", components=[row])
    return emulator.press(GENERAL, int(sent["id"]), "yes")


async def test_a_press_updates_the_message(client: Watcher, emulator: DiscordEmulator) -> None:
    card = await client.channel().send("Run it?", view=Card())
    done = emulator.press(GENERAL, card.id, "apr:1:yes", user=BO)
    interaction = await client.asked()
    assert interaction.user.id == BO.id and interaction.data is not None
    assert interaction.data["custom_id"] == "apr:1:yes"  # type: ignore[typeddict-item]
    assert interaction.message is not None and interaction.message.content == "Run it?"
    await interaction.response.edit_message(content="Approved", view=None)
    (message,) = emulator.messages()
    assert (message.content, message.components) == ("Approved", [])
    assert done.acknowledged_at is not None
    with pytest.raises(ControlError, match="no such button"):
        emulator.press(GENERAL, card.id, "apr:1:yes")


async def test_a_choice_is_checked(client: Watcher, emulator: DiscordEmulator) -> None:
    card = await client.channel().send("Which?", view=Card())
    for values in ([], ["green"], ["red", "blue"]):
        with pytest.raises(ControlError):
            emulator.press(GENERAL, card.id, "colour", values=values)
    with pytest.raises(ControlError, match="disabled"):
        emulator.press(GENERAL, card.id, "old")
    emulator.press(GENERAL, card.id, "colour", values=["red"])
    interaction = await client.asked()
    assert interaction.data is not None and interaction.data["values"] == ["red"]  # type: ignore[typeddict-item]


async def test_only_one_person_sees_an_ephemeral_answer(
    client: Watcher, emulator: DiscordEmulator, api: Api
) -> None:
    card = await client.channel().send("Run it?", view=Card())
    emulator.press(GENERAL, card.id, "apr:1:yes", user=BO)
    interaction = await client.asked()
    await interaction.response.send_message("Not you", ephemeral=True, view=Card())
    answer = emulator.messages()[1]
    assert answer.ephemeral_to == BO.id
    assert await interaction.original_response() is not None
    assert [message.content async for message in client.channel().history()] == ["Run it?"]
    assert (await api.call("GET", f"/channels/{GENERAL}/messages/{answer.id}"))[1]["code"] == 10008
    with pytest.raises(ControlError, match="one person"):
        emulator.press(GENERAL, answer.id, "apr:1:yes", user=ADA)
    emulator.press(GENERAL, answer.id, "apr:1:yes", user=BO)
    await client.asked(2)


async def test_a_deferred_command_is_filled_in_later(client: Watcher, emulator: DiscordEmulator) -> None:
    tree = discord.app_commands.CommandTree(client)
    waiting = asyncio.Event()

    @tree.command(name="ask", description="Ask")
    async def ask(interaction: discord.Interaction, question: str) -> None:
        await interaction.response.defer(thinking=True)
        await waiting.wait()
        await interaction.edit_original_response(content=f"{question}!")
        await interaction.followup.send("and more")

    await tree.sync()
    emulator.slash("ask", {"question": "why"}, channel_id=emulator.dm(ADA).id)
    room = emulator.dm(ADA).id
    await until(lambda: emulator.messages(room))
    assert emulator.messages(room)[0].flags.name == "LOADING"
    waiting.set()
    await until(lambda: len(emulator.messages(room)) == 2)
    first, second = emulator.messages(room)
    assert (first.content, second.content) == ("why!", "and more")
    assert first.type.name == "CHAT_INPUT_COMMAND" and not first.flags


async def test_a_modal_asks_for_a_reason(client: Watcher, emulator: DiscordEmulator) -> None:
    class Reason(discord.ui.Modal, title="Why not?"):
        reason: discord.ui.TextInput["Reason"] = discord.ui.TextInput(label="Reason", max_length=20)
        told: str | None = None

        async def on_submit(self, interaction: discord.Interaction) -> None:
            Reason.told = self.reason.value
            await interaction.response.edit_message(content="Declined", view=None)

    card = await client.channel().send("Run it?", view=Card())
    opened = emulator.press(GENERAL, card.id, "apr:1:yes")
    modal = Reason()
    await (await client.asked()).response.send_modal(modal)
    with pytest.raises(ControlError):
        emulator.submit(opened.id, {modal.reason.custom_id: "x" * 21})
    with pytest.raises(ControlError):
        emulator.submit(opened.id, {"other": "x"})
    emulator.submit(opened.id, {modal.reason.custom_id: "too risky"})
    await until(lambda: emulator.messages()[0].content == "Declined")
    assert Reason.told == "too risky"
    with pytest.raises(ControlError, match="no modal"):
        emulator.submit(opened.id, {modal.reason.custom_id: "again"})


async def test_an_answer_is_given_once(api: Api, pressed: Interaction) -> None:
    assert (await api.call("POST", callback(pressed), {"type": 6}, token=None))[0] == 204
    status, answer = await api.call("POST", callback(pressed), {"type": 6}, token=None)
    assert (status, answer["code"]) == (400, 40060)


async def test_three_seconds_are_all_there_is(api: Api, pressed: Interaction, clock: Clock) -> None:
    clock.now += 3.1
    status, answer = await api.call("POST", callback(pressed), {"type": 6}, token=None)
    assert (status, answer["code"]) == (404, 10062)
    assert (await api.call("POST", hook(pressed), {"content": "x"}, token=None))[1]["code"] == 10015


async def test_the_token_lives_a_quarter_of_an_hour(
    api: Api, emulator: DiscordEmulator, pressed: Interaction, clock: Clock
) -> None:
    body = {"type": 4, "data": {"content": "one"}}
    clock.now += 2.9
    status, answer = await api.call(
        "POST", callback(pressed), body, token=None, params={"with_response": "true"}
    )
    assert (status, answer["resource"]["message"]["content"]) == (200, "one")
    original = hook(pressed, "/messages/@original")
    clock.now += 890
    assert (await api.call("PATCH", original, {"content": "two"}, token=None))[1]["content"] == "two"
    _, more = await api.call("POST", hook(pressed), {"content": "more"}, token=None)
    path = hook(pressed, f"/messages/{more['id']}")
    assert (await api.call("GET", path, token=None))[1]["content"] == "more"
    assert (await api.call("DELETE", path, token=None))[0] == 204
    assert (await api.call("GET", path, token=None))[1]["code"] == 10008
    clock.now += 10
    status, answer = await api.call("PATCH", original, {"content": "late"}, token=None)
    assert (status, answer["code"]) == (401, 50027)
    assert [message.content for message in emulator.messages()] == ["Really?", "two", "more"]


async def test_a_follow_up_right_after_deferring_fills_the_answer(
    api: Api, emulator: DiscordEmulator, pressed: Interaction
) -> None:
    await api.call("POST", callback(pressed), {"type": 5, "data": {"flags": 64}}, token=None)
    loading = emulator.messages()[1]
    assert loading.ephemeral_to == ADA.id
    _, filled = await api.call("POST", hook(pressed), {"content": "done"}, token=None)
    assert filled["id"] == str(loading.id) and filled["flags"] == 64
    assert len(emulator.messages()) == 2


ANSWERS: list[tuple[dict[str, Any], int]] = [
    ({"type": 4, "data": {}}, 50006),
    ({"type": 4, "data": {"content": "x" * 2001}}, 50035),
    ({"type": 8}, 50035),
    ({"type": 9, "data": {"custom_id": "m", "title": "x" * 46, "components": []}}, 50035),
]


@pytest.mark.parametrize(("body", "code"), ANSWERS)
async def test_answers_that_are_refused_can_be_given_again(
    api: Api, pressed: Interaction, body: dict[str, Any], code: int
) -> None:
    assert (await api.call("POST", callback(pressed), body, token=None))[1]["code"] == code
    assert (await api.call("POST", callback(pressed), {"type": 6}, token=None))[0] == 204


async def test_wrong_tokens_of_interactions(api: Api, pressed: Interaction) -> None:
    wrong = f"/interactions/{pressed.id}/guessed/callback"
    assert (await api.call("POST", wrong, {"type": 6}, token=None))[1]["code"] == 10062
    assert (await api.call("POST", f"/webhooks/{GATE.id}/guessed", {"content": "x"}))[1]["code"] == 10015
    assert (await api.call("POST", "/webhooks/1/guessed", {"content": "x"}))[1]["code"] == 10015


async def test_commands_are_run_as_they_were_registered(api: Api, emulator: DiscordEmulator) -> None:
    with pytest.raises(ControlError, match="no command"):
        emulator.slash("ask", {"question": "why"})
    approve = {
        "name": "run",
        "description": "Runs",
        "options": [
            {
                "type": 1,
                "name": "stop",
                "description": "Stop",
                "options": [{"type": 3, "name": "id", "description": "Which", "required": True}],
            }
        ],
    }
    await api.call("PUT", COMMANDS, [ASK, approve])
    for options in ({}, {"question": 7}, {"question": "why", "times": 3}, {"question": "why", "tone": "x"}):
        with pytest.raises(ControlError):
            emulator.slash("ask", options)
    asked = emulator.slash("ask", {"question": "why", "times": 2})
    assert asked.data["options"] == [
        {"name": "question", "type": 3, "value": "why"},
        {"name": "times", "type": 4, "value": 2},
    ]
    with pytest.raises(ControlError, match="subcommands"):
        emulator.slash("run")
    stopped = emulator.slash("/run stop", {"id": "r1"})
    assert stopped.data["options"][0]["options"] == [{"name": "id", "type": 3, "value": "r1"}]


async def test_interactions_wait_or_get_lost_like_other_events(
    client: Watcher, emulator: DiscordEmulator
) -> None:
    card = await client.channel().send("Run it?", view=Card())
    emulator.gateway.lose(1, "INTERACTION_CREATE")
    emulator.press(GENERAL, card.id, "apr:1:yes")
    second = emulator.press(GENERAL, card.id, "apr:1:yes")
    assert (await client.asked()).id == second.id
