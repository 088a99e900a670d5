"""The contract of every channel: what an answer looks like, while it is written and when it is complete."""

import re

from channels.capabilities import StreamMode
from channels.messages import RoomRef
from tests.contract.contract_stage import ContractStage
from tests.contract.networks import ADA, Act, Network, Spot
from tests.gateway.gateway_stage import words

PARTS = 3
"""How many messages a long answer takes at least."""
WORD_CHARACTERS = 10
"""`word-1234 `, about."""
QUICK_WORDS_PER_S = 10_000
SLOW_WORDS_PER_S = 40
"""Slow enough for every network to show the answer growing, quick enough not to wait for."""


def text_max(stage: ContractStage, spot: Spot) -> int:
    """The longest message of a room, in the network's own unit."""
    return stage.adapter.capabilities(RoomRef(stage.network.room_id(spot))).text_max


async def ask_from_a_client(stage: ContractStage, thread_id: str, text: str) -> None:
    """Ask in a room's thread without a network's limits on what people may type."""
    wire = await stage.connect()
    await wire.call("message.send", thread_id=thread_id, content=words(text), idempotency_key="a question")


async def test_a_long_answer_comes_in_parts_in_order(stage: ContractStage, network: Network) -> None:
    await stage.go()
    spot = network.direct()
    count = PARTS * text_max(stage, spot) // WORD_CHARACTERS

    said = network.say(spot, f"stream {count} {QUICK_WORDS_PER_S}")

    expected = [f"word-{number}" for number in range(1, count + 1)]
    await stage.eventually(
        lambda: re.findall(r"word-\d+", " ".join(one.text for one in network.answers(said))) == expected,
        patience_s=30,
    )
    await stage.settled(30)
    assert len(network.answers(said)) >= PARTS
    assert not [one for one in network.answers(said) if one.text == stage.placeholder]


async def test_code_that_is_too_long_is_closed_and_opened_again(
    stage: ContractStage, network: Network
) -> None:
    await stage.go()
    spot = network.direct()
    said = network.say(spot, "say hello")
    await stage.answer(said, "hello")
    lines = [f"print({number})  # a line of code" for number in range(2 * text_max(stage, spot) // 30)]

    await ask_from_a_client(
        stage,
        await stage.only_thread(),
        "say Look:\n\n```python\n" + "\n".join(lines) + "\n```\n\nThat is all.",
    )

    await stage.eventually(lambda: any("That is all." in text for text in stage.texts(spot)), patience_s=30)
    await stage.settled(30)
    shown = network.answers(said)[1:]
    assert len(shown) >= 2
    code = [(language.strip(), text) for one in shown for language, text in one.code]
    assert {language for language, _ in code} == {"python"}
    assert [line for _, text in code for line in text.strip("\n").split("\n")] == lines


async def test_nobody_is_called_by_what_a_model_says(stage: ContractStage, network: Network) -> None:
    await stage.go()
    lobby = network.room()
    ada = network.id_of(ADA)
    calls = (
        "@everyone @here @channel @ada @gate_bot "
        f"<!channel> <!here> <@{ada}> <@!{ada}> <#C1> <@&910000000000000001> [Ada](tg://user?id={ada})"
    )
    said = network.mention(lobby, "say hello")
    await stage.answer(said, "hello")

    await ask_from_a_client(stage, await stage.only_thread(), f"say {calls}")

    await stage.eventually(lambda: len(network.answers(said)) == 2)
    await stage.settled()
    assert [one.called for one in network.answers(said)] == [(), ()]
    assert "everyone" in network.answers(said)[1].text.replace("\u200b", "").replace("\u2060", "")


async def test_an_answer_is_shown_while_it_is_written_and_stands_in_one_message(
    stage: ContractStage, network: Network
) -> None:
    await stage.go()
    spot = network.direct()
    said = network.say(spot, f"stream 44 {SLOW_WORDS_PER_S}")
    expected = " ".join(f"word-{number}" for number in range(1, 45))

    await stage.eventually(lambda: "word-1 " in network.growing(spot))
    partial = network.growing(spot)
    shown = await stage.answer(said, expected)

    await stage.settled()
    assert partial != expected
    assert expected.startswith(partial.rstrip(" …"))
    assert [one.text for one in network.answers(said)] == [expected]
    room = RoomRef(network.room_id(shown.spot), shown.spot.thread)
    streams = stage.adapter.capabilities(room).stream
    assert streams is not StreamMode.NONE
    # Previews that vanish leave no trace: then the one message never said anything else.
    assert all(expected.startswith(text.rstrip(" …")) for text in shown.earlier)
    assert network.posts(spot) == 1


async def test_an_answer_in_a_room_is_shown_while_it_is_written(
    stage: ContractStage, network: Network
) -> None:
    await stage.go()
    lobby = network.room()
    said = network.mention(lobby, f"stream 44 {SLOW_WORDS_PER_S}")
    expected = " ".join(f"word-{number}" for number in range(1, 45))

    await stage.eventually(lambda: "word-1 " in network.growing(lobby))
    assert network.growing(lobby) != expected
    await stage.answer(said, expected)

    await stage.shows(lobby, expected)
    assert network.posts(lobby) == 1


async def test_people_see_that_the_bot_works(stage: ContractStage, network: Network) -> None:
    await stage.go()
    spot = network.direct()

    said = network.say(spot, "sleep 0.3")

    await stage.eventually(lambda: network.signs_of_work(spot))
    assert not stage.texts(spot)
    await stage.answer(said, "Slept 0.3 s.")


async def test_a_failure_is_told_where_it_was_asked(stage: ContractStage, network: Network) -> None:
    await stage.go()
    lobby = network.room()

    said = network.mention(lobby, "fail")

    await stage.eventually(lambda: any("asked to fail" in one.text for one in network.answers(said)))
    await stage.settled()
    assert len(network.answers(said)) == 1


async def test_short_answers_take_few_calls(stage: ContractStage, network: Network) -> None:
    await stage.go()
    spot = network.direct()

    network.say(spot, "say hello")
    await stage.shows(spot, "hello")

    assert len(network.calls(Act.SEND)) == 1
    assert len(network.calls(Act.EDIT)) <= 1
