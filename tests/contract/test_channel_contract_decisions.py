"""The contract of every channel: buttons in the room decide, once and by the right person, what an agent may do."""

from pathlib import Path
from typing import Any

from channels.messages import RoomRef
from gateway.agent_settings import ScriptSettings
from gateway.policy_settings import PolicySettings
from tests.contract.contract_stage import ContractStage
from tests.contract.networks import ADA, BOB, GATE, Network, Said, Shown, Spot

ASK = "approve a release"
APPROVED = "so I did it"
DENIED = "so I left it"
PREFACE = "I would like to do this: a release"


async def card_of(stage: ContractStage, said: Said) -> Shown:
    """The one message with buttons, once it is there."""
    network = stage.network

    def with_buttons() -> list[Shown]:
        return [one for one in network.answers(said) if one.buttons]

    await stage.eventually(with_buttons, lambda: network.answers(said))
    (card,) = with_buttons()
    assert stage.adapter.capabilities(RoomRef(network.room_id(card.spot), card.spot.thread)).actions_max >= 2
    return card


async def check_settled(stage: ContractStage, said: Said, outcome: str, end: str) -> None:
    """The run went on with the decision, the card says how it was decided and has no buttons."""
    network = stage.network
    await stage.eventually(
        lambda: any(end in one.text for one in network.answers(said)), lambda: network.answers(said)
    )
    await stage.settled()
    await stage.eventually(
        lambda: any(outcome in one.text for one in network.answers(said)), lambda: network.answers(said)
    )
    assert not any(one.buttons for one in network.answers(said))
    assert len(await stage.events("approval.decided")) == 1


def whole(stage: ContractStage, spot: Spot) -> str:
    """All that the bot says in a spot."""
    return "\n".join(stage.texts(spot))


async def test_whoever_asked_approves_with_a_button(stage: ContractStage, network: Network) -> None:
    await stage.go()
    lobby = network.room()
    said = network.mention(lobby, ASK)
    card = await card_of(stage, said)
    assert card.buttons == ("Approve", "Deny", "Changes")

    await network.press(card, "Approve")

    await check_settled(stage, said, "Approved by Ada", APPROVED)


async def test_whoever_asked_denies_with_a_button(stage: ContractStage, network: Network) -> None:
    await stage.go()
    spot = network.direct()
    said = network.say(spot, ASK)
    card = await card_of(stage, said)

    await network.press(card, "Deny")

    await check_settled(stage, said, "Denied by Ada", DENIED)


async def test_a_button_pressed_by_somebody_else_decides_nothing(
    stage: ContractStage, network: Network
) -> None:
    await stage.go()
    lobby = network.room()
    said = network.mention(lobby, ASK)
    card = await card_of(stage, said)

    await network.press(card, "Approve", BOB)

    await stage.eventually(lambda: network.whispers(card.spot, BOB))
    assert APPROVED not in whole(stage, lobby)
    assert await stage.events("approval.decided") == []
    await network.press(card, "Deny")
    await check_settled(stage, said, "Denied by Ada", DENIED)


async def test_only_approvers_decide_where_there_are_some(stage: ContractStage, network: Network) -> None:
    await stage.go(approvers=[network.id_of(BOB)])
    lobby = network.room()
    said = network.mention(lobby, ASK)
    card = await card_of(stage, said)

    await network.press(card, "Approve", ADA)
    await stage.eventually(lambda: network.whispers(card.spot, ADA))
    assert await stage.events("approval.decided") == []
    await network.press(card, "Approve", BOB)

    await check_settled(stage, said, "Approved by Bob", APPROVED)


async def test_a_button_pressed_twice_decides_once(stage: ContractStage, network: Network) -> None:
    await stage.go()
    lobby = network.room()
    said = network.mention(lobby, ASK)
    card = await card_of(stage, said)

    await network.press(card, "Approve")
    await network.press(card, "Approve")

    await check_settled(stage, said, "Approved by Ada", APPROVED)
    assert whole(stage, lobby).count(APPROVED) == 1


async def test_a_button_works_after_a_restart(stage: ContractStage, network: Network) -> None:
    await stage.go()
    lobby = network.room()
    said = network.mention(lobby, ASK)
    card = await card_of(stage, said)
    await stage.settled()

    await stage.again()
    await stage.flows()
    await network.press(card, "Approve")

    await check_settled(stage, said, "Approved by Ada", APPROVED)


async def test_a_decision_elsewhere_settles_the_card(stage: ContractStage, network: Network) -> None:
    await stage.go()
    lobby = network.room()
    said = network.mention(lobby, ASK)
    card = await card_of(stage, said)

    operator = await stage.operator()
    (approval,) = (await operator.call("approval.list"))["approvals"]
    await operator.call(
        "approval.decide", approval_id=approval["id"], decision="approve", idempotency_key="decided"
    )

    await stage.eventually(lambda: not any(one.buttons for one in network.answers(said)))
    await stage.settled()
    assert any(one.ref == card.ref for one in network.answers(said)), "the card itself was changed"
    assert APPROVED in whole(stage, lobby)


async def test_what_waits_for_a_decision_does_not_hold_up_another_room(
    stage: ContractStage, network: Network
) -> None:
    await stage.go()
    lobby, elsewhere = network.room(), network.room("elsewhere")
    said = network.mention(lobby, ASK)
    await card_of(stage, said)

    network.mention(elsewhere, "say meanwhile")

    await stage.shows(elsewhere, "meanwhile")


# --- in words ---------------------------------------------------------------------------------------


async def code_of(stage: ContractStage) -> str:
    """What people type to mean the one approval that waits."""
    operator = await stage.operator()
    (approval,) = (await operator.call("approval.list", state="pending"))["approvals"]
    return str(approval["subject_hash"][:8])


async def test_a_decision_is_typed_where_buttons_are_too_much(stage: ContractStage, network: Network) -> None:
    await stage.go()
    lobby = network.room()
    said = network.mention(lobby, ASK)
    card = await card_of(stage, said)
    code = await code_of(stage)
    assert code in card.text, "the card says what to type"

    network.mention(lobby, f"approve {code} go ahead")

    await check_settled(stage, said, "Approved by Ada", APPROVED)
    assert "go ahead" in whole(stage, lobby)
    assert stage.questions() == [ASK], "it was a decision, not something to answer"


async def test_what_somebody_else_types_decides_nothing_and_is_answered(
    stage: ContractStage, network: Network
) -> None:
    await stage.go()
    lobby = network.room()
    said = network.mention(lobby, ASK)
    await card_of(stage, said)
    code = await code_of(stage)

    network.mention(lobby, f"/approve {code}", BOB)
    await stage.eventually(lambda: "decided nothing" in everywhere(stage, lobby))
    assert await stage.events("approval.decided") == []

    network.mention(lobby, f"deny {code} not on a Friday")
    await check_settled(stage, said, "Denied by Ada", DENIED)
    assert "not on a Friday" in whole(stage, lobby)


def everywhere(stage: ContractStage, spot: Spot) -> str:
    """All that the bot says in a room, also in its threads."""
    network = stage.network
    return "\n".join(one.text for one in network.from_bot(spot)) + whole(stage, spot)


async def test_the_agent_is_told_what_should_be_different(stage: ContractStage, network: Network) -> None:
    await stage.go()
    lobby = network.room()
    said = network.mention(lobby, ASK)
    await card_of(stage, said)

    network.mention(lobby, f"changes {await code_of(stage)} say it in verse")

    await check_settled(stage, said, "Changes requested by Ada", DENIED)
    assert "say it in verse" in whole(stage, lobby)


# --- several people, long actions -------------------------------------------------------------------

SCRIPT = """
scenarios:
  - name: long
    match: {command: long}
    steps:
      - approval: {title: "Send it", body: "%s", then: [{say: "so I did it"}], else: [{say: "so I left it"}]}
  - name: sum
    steps:
      - tool: {name: calculator, arguments: {expression: "6*7"}, save_as: result}
      - say: "{{result}}"
"""


def play(stage: ContractStage, directory: Path, **terms: Any) -> None:
    """From now on a script answers, and sums need leave under these terms."""
    script = directory / "script.yaml"
    script.write_text(SCRIPT % ("all of this. " * 4_000))
    agent = ScriptSettings(id="demo", kind="script", script=script, tools=("calculator",))
    rule = {"name": "sums", "effect": "require_approval", "tool": ("calculator",), "approval": terms}
    stage._given.update(agents=(agent,), policies=(PolicySettings.model_validate(rule),))


async def test_a_card_shows_who_has_approved_until_enough_did(
    stage: ContractStage, network: Network, tmp_path: Path
) -> None:
    both = tuple(f"{network.kind}:{network.id_of(person)}" for person in (ADA, BOB))
    play(stage, tmp_path, quorum=2, approvers=both)
    await stage.go()
    lobby = network.room()
    said = network.mention(lobby, "how much is it?")
    card = await card_of(stage, said)
    assert "0 of 2 approved" in card.text

    await network.press(card, "Approve", ADA)
    await stage.eventually(lambda: any("1 of 2 approved: Ada" in one.text for one in network.answers(said)))
    assert await stage.events("approval.decided") == []
    await network.press(card, "Approve", BOB)

    await check_settled(stage, said, "Approved by Ada, Bob", '"result":"42"')


async def test_what_a_card_cannot_show_whole_it_does_not_let_approve(
    stage: ContractStage, network: Network, tmp_path: Path
) -> None:
    play(stage, tmp_path)
    await stage.go()
    lobby = network.room()
    said = network.mention(lobby, "long")
    card = await card_of(stage, said)
    assert card.buttons == ("Deny", "Changes")
    assert "not all of it" in card.text and "threadgate approvals show" in card.text

    await network.press(card, "Deny")

    await check_settled(stage, said, "Denied by Ada", DENIED)


async def test_it_is_asked_in_another_room_as_well_and_both_cards_show_the_end(
    stage: ContractStage, network: Network, tmp_path: Path
) -> None:
    board = network.room("elsewhere")
    place = f"{network.kind}:{GATE}:{network.room_id(board)}"
    bob = f"{network.kind}:{network.id_of(BOB)}"
    play(stage, tmp_path, approvers=(bob,), rooms=(place,), remind_s=0.5)
    await stage.go()
    lobby = network.room()
    said = network.mention(lobby, "how much is it?")
    await card_of(stage, said)

    def on_the_board() -> list[Shown]:
        return [one for one in network.from_bot(board) if one.buttons]

    await stage.eventually(on_the_board, lambda: network.from_bot(board))
    await stage.eventually(lambda: "Still waiting" in everywhere(stage, board))
    await stage.eventually(lambda: any("Still waiting" in one.text for one in network.answers(said)))
    (card,) = on_the_board()
    await network.press(card, "Approve", BOB)

    await check_settled(stage, said, "Approved by Bob", '"result":"42"')
    await stage.eventually(lambda: "Approved by Bob" in everywhere(stage, board))
    assert not on_the_board()
    assert '"result":"42"' not in everywhere(stage, board), "the answer is for the conversation alone"
