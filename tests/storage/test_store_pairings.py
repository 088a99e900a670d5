"""Strangers who ask to be let in, what operators decide, and whose messages are taken by it."""

from typing import Any

import orjson
import pytest
from store_stage import CODE_MS, OTHER_ORG, ROOM, Scene, claim, read, refused

from protocol.devices import Pairing
from protocol.errors import ErrorKind
from protocol.records import PairingState
from storage.channel_values import Delivered, Entry, PairingKey, Telling
from storage.values import DEFAULT_ORG, Act


async def page(scene: Scene, state: PairingState | None = None) -> list[Pairing]:
    found, _ = await scene.store.pairings.page(DEFAULT_ORG, state, 50, None, scene.now_ms)
    return found


async def approve(scene: Scene, key: PairingKey, act: Act | None = None) -> dict[str, Any]:
    notice = scene.notice("You are let in")
    return read(await scene.store.pairings.approve(act or scene.act(), key, notice))["pairing"]


async def reject(scene: Scene, key: PairingKey) -> dict[str, Any]:
    return read(await scene.store.pairings.reject(scene.act(), key))["pairing"]


async def inbox(scene: Scene) -> list[tuple[str, str | None]]:
    return [(row[0], row[1]) for row in await scene.rows("SELECT outcome, reason FROM inbox ORDER BY rowid")]


async def owed(scene: Scene) -> list[str]:
    rows = await scene.rows("SELECT content FROM outbox ORDER BY created_at, id")
    return [orjson.loads(row[0])["text"] for row in rows]


def standings(scene: Scene, *standing: str, **choices: Any) -> Delivered:
    """A message of person 7 that is taken from people with one of these standings."""
    return scene.delivery(entry=Entry(frozenset(standing)), **choices)  # type: ignore[arg-type]


# --- asking -----------------------------------------------------------------------------------------


async def test_a_stranger_is_given_a_code_and_the_message_is_not_taken(scene: Scene) -> None:
    pairing_id = await scene.stranger()
    (found,) = await page(scene)
    assert (found.id, found.kind, found.state) == (pairing_id, "person", "pending")
    assert (found.channel, found.account, found.subject, found.name) == ("telegram", "main", "99", "Eve")
    assert await owed(scene) == ["Your code: AAAA-BBBB"]
    assert await inbox(scene) == [("hinted", "the sender was given a code")]
    assert await scene.audited() == ["pairing.request"]
    assert await scene.rows("SELECT count(*) FROM messages") == [(0,)]


async def test_the_code_is_stored_as_a_hash(scene: Scene) -> None:
    await scene.stranger()
    rows = await scene.rows("SELECT * FROM pairings")
    assert "AAAA" not in str(rows)
    await scene.stranger("100")
    first, second = (row[0] for row in await scene.rows("SELECT code_hash FROM pairings"))
    assert first != second, "the same code of two people looks different"


async def test_who_holds_a_code_is_told_nothing_new(scene: Scene) -> None:
    await scene.stranger()
    for _ in range(5):
        await scene.receive(scene.asking(code="CCCC-DDDD"))
    assert len(await page(scene)) == 1
    assert await owed(scene) == ["Your code: AAAA-BBBB"]
    assert {outcome for outcome, _ in await inbox(scene)} == {"hinted", "refused"}


async def test_after_its_life_a_code_is_replaced(scene: Scene) -> None:
    first = await scene.stranger()
    scene.now_ms += CODE_MS - 1_000
    await scene.receive(scene.asking(code="CCCC-DDDD"))
    assert [found.id for found in await page(scene)] == [first]
    scene.now_ms += 1_000
    assert [found.state for found in await page(scene)] == ["expired"]
    second = await scene.stranger(code="CCCC-DDDD")
    assert [found.id for found in await page(scene)] == [second], "one row per stranger"
    await refused(approve(scene, PairingKey(code="AAAA-BBBB")), ErrorKind.NOT_FOUND)


async def test_three_wait_at_most_and_the_next_is_told_once(scene: Scene) -> None:
    for sender_id in ("1", "2", "3"):
        await scene.stranger(sender_id)
    for _ in range(3):
        await scene.receive(scene.asking("4"))
    assert len(await page(scene)) == 3
    assert (await owed(scene))[3:] == ["Too many wait"]
    await scene.receive(scene.asking("5"), account="second")
    assert len(await page(scene)) == 4, "each account has its own"
    scene.now_ms += CODE_MS
    await scene.stranger("4")
    assert [found.subject for found in await page(scene, PairingState.PENDING)] == ["4"]


async def test_a_redelivery_gives_no_second_code(scene: Scene) -> None:
    asking = scene.asking()
    await scene.receive(asking)
    before = await scene.dump()
    assert await scene.receive(asking, asking) == 0
    assert await scene.dump() == before


async def test_a_command_is_answered_again_with_what_was_said(scene: Scene) -> None:
    told = Telling(says="I have written to you", notice=scene.notice("code"))
    asking = scene.asking()
    assert asking.offer is not None
    asking = scene.asking(offer=type(asking.offer)("par_x", "Eve", "K", 9 << 40, 3, told, told), ref=None)
    commit = scene.store.inbox.commit
    first = await commit(DEFAULT_ORG, ROOM.channel, "main", [asking], {}, scene.now_ms)
    again = await commit(DEFAULT_ORG, ROOM.channel, "main", [asking], {}, scene.now_ms)
    assert [o.says for o in (*first, *again)] == ["I have written to you"] * 2
    assert [o.is_new for o in (*first, *again)] == [True, False]


# --- deciding ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["id", "code"])
async def test_who_is_let_in_is_told_and_heard(scene: Scene, by: str) -> None:
    pairing_id = await scene.stranger()
    answer = await approve(scene, PairingKey(pairing_id) if by == "id" else PairingKey(code="AAAA-BBBB"))
    assert (answer["id"], answer["state"]) == (pairing_id, "approved")
    assert (await owed(scene))[1:] == ["You are let in"]
    (room,) = (await scene.rows("SELECT DISTINCT room FROM outbox"))[0]
    assert room == "99"
    await scene.receive(scene.asking())
    assert (await inbox(scene))[-1] == ("accepted", None)


async def test_letting_in_twice_changes_nothing(scene: Scene) -> None:
    key = PairingKey(await scene.stranger())
    await approve(scene, key)
    before = await scene.dump()
    assert (await approve(scene, key))["state"] == "approved"
    assert await scene.dump() == before


async def test_a_repeated_approval_by_code_returns_its_answer(scene: Scene) -> None:
    """The code is worth nothing any more, the key of the request is."""
    await scene.stranger()
    key = claim("k1", method="pairing.approve")
    first = await approve(scene, PairingKey(code="AAAA-BBBB"), scene.act(claim=key))
    assert await approve(scene, PairingKey(code="AAAA-BBBB"), scene.act(claim=key)) == first
    await refused(approve(scene, PairingKey(code="AAAA-BBBB")), ErrorKind.NOT_FOUND)


async def test_a_code_that_ran_out_lets_nobody_in(scene: Scene) -> None:
    pairing_id = await scene.stranger()
    scene.now_ms += CODE_MS
    await refused(approve(scene, PairingKey(pairing_id)), ErrorKind.EXPIRED)
    await refused(approve(scene, PairingKey(code="AAAA-BBBB")), ErrorKind.NOT_FOUND)
    assert await scene.rows("SELECT count(*) FROM people") == [(0,)]


async def test_who_is_shut_out_is_met_with_silence(scene: Scene) -> None:
    key = PairingKey(await scene.stranger())
    assert (await reject(scene, key))["state"] == "rejected"
    scene.now_ms += 2 * CODE_MS
    await scene.receive(scene.asking())
    assert (await inbox(scene))[-1] == ("refused", "the sender is not allowed")
    assert await owed(scene) == ["Your code: AAAA-BBBB"]


async def test_access_is_taken_back_and_given_again(scene: Scene) -> None:
    key = PairingKey(await scene.stranger())
    await approve(scene, key)
    await reject(scene, key)
    await scene.receive(scene.asking())
    await approve(scene, key)
    await scene.receive(scene.asking())
    assert [outcome for outcome, _ in await inbox(scene)][1:] == ["refused", "accepted"]
    assert await scene.audited() == [
        "pairing.request", "pairing.approve", "pairing.reject", "pairing.approve", "thread.create",
        "message.send",
    ]  # fmt: skip


async def test_access_belongs_to_an_account(scene: Scene) -> None:
    await approve(scene, PairingKey(await scene.stranger()))
    await scene.receive(scene.asking(), account="second")
    assert (await inbox(scene))[-1][0] == "hinted"


@pytest.mark.parametrize("key", [PairingKey("par_unknown"), PairingKey(code="ZZZZ-ZZZZ")])
async def test_what_is_not_there_is_not_found(scene: Scene, key: PairingKey) -> None:
    await scene.stranger()
    await refused(approve(scene, key), ErrorKind.NOT_FOUND)
    await refused(reject(scene, key), ErrorKind.NOT_FOUND)
    assert await scene.store.pairings.place(DEFAULT_ORG, key, scene.now_ms) is None


async def test_organizations_do_not_see_each_others_strangers(scene: Scene) -> None:
    key = PairingKey(await scene.stranger())
    found, _ = await scene.store.pairings.page(OTHER_ORG, None, 50, None, scene.now_ms)
    assert found == []
    await refused(scene.store.pairings.approve(scene.act(org_id=OTHER_ORG), key, None), ErrorKind.NOT_FOUND)


async def test_pages_go_on_and_are_told_apart_by_state(scene: Scene) -> None:
    ids = [await scene.stranger(sender_id) for sender_id in ("1", "2", "3")]
    await approve(scene, PairingKey(ids[0]))
    first, cursor = await scene.store.pairings.page(DEFAULT_ORG, None, 2, None, scene.now_ms)
    rest, end = await scene.store.pairings.page(DEFAULT_ORG, None, 2, cursor, scene.now_ms)
    assert [found.id for found in (*first, *rest)] == ids[::-1]
    assert end is None
    assert [found.id for found in await page(scene, PairingState.APPROVED)] == ids[:1]
    assert [found.id for found in await page(scene, PairingState.PENDING)] == ids[:0:-1]


# --- standing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("standing", ["unknown", "allowed", "rejected"])
@pytest.mark.parametrize(
    "taken_from", [(), ("allowed",), ("unknown", "allowed"), ("unknown", "allowed", "rejected")]
)
async def test_a_message_is_taken_by_the_standing_of_its_sender(
    scene: Scene, standing: str, taken_from: tuple[str, ...]
) -> None:
    if standing != "unknown":
        key = PairingKey(await scene.stranger("7"))
        await (approve if standing == "allowed" else reject)(scene, key)
    await scene.receive(standings(scene, *taken_from))
    assert (await inbox(scene))[-1][0] == ("accepted" if standing in taken_from else "refused")


async def test_what_nobody_was_asked_is_taken_where_it_continues_a_conversation(scene: Scene) -> None:
    def ambient(**choices: Any) -> Delivered:
        return scene.delivery(entry=Entry(frozenset({"unknown"}), needs_thread=True), **choices)

    await scene.receive(ambient(key="topic:1"))
    addressed = scene.delivery("a mention", key="topic:1")
    await scene.receive(addressed, ambient(key="topic:1"), ambient(key=None, reply_to=addressed.ref))
    await scene.receive(ambient(key="topic:2"), ambient(key=None, reply_to="unknown"))
    outcomes = [outcome for outcome, _ in await inbox(scene)]
    assert outcomes == ["ambient", "accepted", "accepted", "accepted", "ambient", "ambient"]
    ((thread_id,),) = await scene.rows("SELECT DISTINCT thread_id FROM messages")
    await scene.store.threads.archive(scene.act(), thread_id)
    await scene.receive(ambient(key="topic:1"))
    assert (await inbox(scene))[-1][0] == "ambient", "what was put away wakes up only when it is called"


async def test_who_writes_too_fast_is_told_once_if_they_may_speak(scene: Scene) -> None:
    busy = Telling(notice=scene.notice("too fast"))
    hasty = {"message": None, "busy": busy, "notice_interval_ms": CODE_MS}
    await scene.receive(standings(scene, "unknown", **hasty), standings(scene, "unknown", **hasty))
    assert [outcome for outcome, _ in await inbox(scene)] == ["hinted", "refused"]
    await scene.receive(standings(scene, "allowed", sender_id="8", **hasty))
    assert await owed(scene) == ["too fast"], "a stranger is met with silence"
