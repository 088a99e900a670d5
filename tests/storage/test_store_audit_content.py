"""Content behind entries: committed to, encrypted, about somebody, and gone when their key is; the log stays whole."""

import hashlib

import orjson
import pytest
from store_stage import OTHER_ORG, SEALER, Scene

from protocol.records import Actor, ActorKind
from storage import audit_content, audit_log, audit_people
from storage.audit_values import Revealed
from storage.engine import Transaction
from storage.errors import ContentUnreadable
from storage.store import DEFAULT_ORG, verify_audit
from storage.values import Act

EVE = Actor(id="slack:U123", kind=ActorKind.PERSON, name="Eve Example")


async def record(scene: Scene, **said) -> int:
    act = said.pop("act", None) or scene.act()
    return await scene.store.engine.write(
        audit_log.append, act, "approval.decide", {"approval_id": "apr_1"}, **said
    )


async def revealed(scene: Scene, seq: int) -> Revealed | None:
    return (await scene.store.engine.read(audit_content.reveal, DEFAULT_ORG, [seq])).get(seq)


async def body(scene: Scene, seq: int):
    ((text,),) = await scene.rows("SELECT body FROM audit_entries WHERE seq = :seq", seq=seq)
    return orjson.loads(text)


async def test_an_entry_commits_to_its_content_and_does_not_hold_it(scene: Scene) -> None:
    seq = await record(scene, content={"reason": "Eve said so"})
    entry = await body(scene, seq)
    assert "Eve" not in orjson.dumps(entry).decode()
    assert await revealed(scene, seq) == Revealed(content={"reason": "Eve said so"})
    ((wrapped, sealed),) = await scene.rows(
        "SELECT wrapped, sealed FROM audit_content c JOIN audit_keys k ON k.id = c.key_id"
    )
    opened = SEALER.open(wrapped, sealed, audit_content.content_place(DEFAULT_ORG, seq))
    assert entry["content"] == hashlib.sha256(opened).hexdigest()
    assert orjson.loads(opened[32:]) == {"reason": "Eve said so"}


async def test_nothing_of_the_content_is_in_the_files(scene: Scene) -> None:
    await record(
        scene, content={"reason": "Xylophone"}, act=Act(DEFAULT_ORG, EVE, "slack", 1, address="192.0.2.77")
    )
    await scene.store.close()
    files = b"".join(path.read_bytes() for path in scene.directory.iterdir() if path.is_file())
    assert b"approval.decide" in files
    assert b"Xylophone" not in files
    assert b"192.0.2.77" not in files


async def test_an_address_is_committed_to_under_the_key_of_who_came_from_there(scene: Scene) -> None:
    act = Act(DEFAULT_ORG, scene.act().actor, "http", scene.now_ms, address="192.0.2.7", token_id="tok_1")
    seq = await record(scene, act=act, content={"note": "about a thread"}, about="thr_1")
    entry = await body(scene, seq)
    assert entry["actor"] == {"id": "prn_ada", "kind": "user", "token_id": "tok_1"}
    assert len(entry["address"]) == 64
    assert await revealed(scene, seq) == Revealed({"note": "about a thread"}, "192.0.2.7")
    await scene.store.engine.write(audit_content.shred, DEFAULT_ORG, "thr_1")
    assert await revealed(scene, seq) == Revealed(None, "192.0.2.7")


async def test_deleting_a_key_erases_everything_about_somebody_and_the_log_still_verifies(
    scene: Scene,
) -> None:
    mine = [await record(scene, content=f"secret {number}", about="usr_1") for number in range(3)]
    other = await record(scene, content="kept", about="usr_2")
    assert await scene.store.engine.write(audit_content.shred, DEFAULT_ORG, "usr_1") == 3
    assert [await revealed(scene, seq) for seq in mine] == [None] * 3
    assert await revealed(scene, other) == Revealed("kept")
    assert await scene.rows("SELECT subject FROM audit_keys") == [("usr_2",)]
    assert verify_audit(scene.directory)[1] is None
    later = await record(scene, content="after", about="usr_1")
    assert await revealed(scene, later) == Revealed("after"), "what comes later has a key of its own"


async def test_what_rolls_back_leaves_neither_entry_nor_key(scene: Scene) -> None:
    def broken(tx: Transaction) -> None:
        audit_log.append(tx, scene.act(), "a", {}, content="x", about="usr_1")
        raise RuntimeError("too late")

    before = await scene.dump()
    with pytest.raises(RuntimeError):
        await scene.store.engine.write(broken)
    assert await scene.dump() == before
    seq = await record(scene, content="y", about="usr_1")
    assert await revealed(scene, seq) == Revealed("y")


async def test_content_of_another_organization_stays_hidden(scene: Scene) -> None:
    act = scene.act(org_id=OTHER_ORG)
    seq = await record(scene, act=act, content="theirs", about="usr_1")
    assert await revealed(scene, seq) is None
    assert await scene.store.audit.reveal(scene.act(), [seq]) == {}
    assert await scene.store.engine.write(audit_content.shred, DEFAULT_ORG, "usr_1") == 0
    assert await scene.store.audit.reveal(act, [seq]) == {seq: Revealed("theirs")}


async def test_content_moved_to_another_entry_does_not_open(scene: Scene) -> None:
    first = await record(scene, content="first", about="usr_1")
    second = await record(scene, content="second", about="usr_1")
    await scene.store.engine.write(
        lambda tx: tx.run(
            "UPDATE audit_content SET sealed = (SELECT sealed FROM audit_content WHERE seq = :a) WHERE seq = :b",
            a=first,
            b=second,
        )
    )
    assert await revealed(scene, second) is None


async def test_whoever_looks_at_content_leaves_an_entry(scene: Scene) -> None:
    seq = await record(scene, content="x")
    await scene.store.audit.reveal(scene.act("grace"), [seq])
    (*_, last), _ = await scene.store.audit.page(DEFAULT_ORG, 0, None, 10)
    assert (last.action, last.actor.id, last.detail) == ("audit.reveal", "prn_grace", {"entries": [seq]})


async def test_acts_go_on_when_the_vault_key_is_another_one(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await record(scene, content="old", about="usr_1")
    real = SEALER.seal

    def refuse_once(wrapped: bytes, plain: bytes, bound_to: bytes) -> bytes:
        monkeypatch.setattr(SEALER, "seal", real)
        raise ContentUnreadable("another key")

    monkeypatch.setattr(SEALER, "seal", refuse_once)
    new = await record(scene, content="new", about="usr_1")
    assert (await revealed(scene, old), await revealed(scene, new)) == (Revealed("old"), Revealed("new"))
    assert await scene.store.engine.write(audit_content.shred, DEFAULT_ORG, "usr_1") == 2


# --- people -----------------------------------------------------------------------------------------


async def test_a_person_of_a_chat_network_is_an_opaque_id(scene: Scene) -> None:
    act = Act(DEFAULT_ORG, EVE, "slack", scene.now_ms)
    first, second = await record(scene, act=act), await record(scene, act=act)
    one, two = await body(scene, first), await body(scene, second)
    assert one["actor"] == two["actor"]
    assert one["actor"]["id"].startswith("per_")
    assert "U123" not in orjson.dumps(one).decode()
    (entry, _), _ = await scene.store.audit.page(DEFAULT_ORG, 0, None, 10)
    assert (entry.actor.id, entry.actor.name) == (one["actor"]["id"], "Eve Example")


async def test_a_person_who_is_forgotten_stays_an_id_that_means_nobody(scene: Scene) -> None:
    act = Act(DEFAULT_ORG, EVE, "slack", scene.now_ms)
    seq = await record(scene, act=act)
    person_id = await scene.store.engine.read(audit_people.known, DEFAULT_ORG, EVE.id)
    assert person_id is not None
    assert await scene.store.engine.write(audit_people.forget, DEFAULT_ORG, person_id)
    (entry,), _ = await scene.store.audit.page(DEFAULT_ORG, 0, None, 10)
    assert (entry.seq, entry.actor.id, entry.actor.name) == (seq, person_id, person_id)
    again = await record(scene, act=act)
    assert (await body(scene, again))["actor"]["id"] != person_id


async def test_a_new_name_is_kept_once_and_organizations_do_not_share_people(scene: Scene) -> None:
    await record(scene, act=Act(DEFAULT_ORG, EVE, "slack", scene.now_ms))
    await record(scene, act=Act(DEFAULT_ORG, EVE.model_copy(update={"name": "Eva"}), "slack", scene.now_ms))
    await record(scene, act=Act(OTHER_ORG, EVE, "slack", scene.now_ms))
    rows = await scene.rows("SELECT org_id, name FROM audit_people ORDER BY org_id")
    assert rows == [(DEFAULT_ORG, "Eva"), (OTHER_ORG, "Eve Example")]


# --- the clock --------------------------------------------------------------------------------------


async def test_a_clock_that_was_set_back_is_an_entry_of_its_own(scene: Scene) -> None:
    later = Act(DEFAULT_ORG, EVE, "slack", scene.now_ms + 3_600_000)
    await record(scene, act=later)
    await record(scene)
    await record(scene)
    entries, _ = await scene.store.audit.page(DEFAULT_ORG, 0, None, 10)
    assert [entry.action for entry in entries] == ["approval.decide", "clock.jump", *["approval.decide"] * 2]
    jump = entries[1]
    assert (jump.actor.id, jump.detail["from"] > jump.detail["to"]) == ("gateway", True)


async def test_acts_that_overtake_each_other_are_no_jump(scene: Scene) -> None:
    now = scene.now_ms
    for at_ms in (now + audit_log.CLOCK_TOLERANCE_MS, now):
        await record(scene, act=Act(DEFAULT_ORG, EVE, "slack", at_ms))
    assert await scene.audited() == ["approval.decide"] * 2


# --- addresses --------------------------------------------------------------------------------------


def from_(scene: Scene, address: str) -> Act:
    return Act(DEFAULT_ORG, scene.act().actor, "http", scene.now_ms, address=address)


async def test_an_address_is_sealed_once_for_all_entries_from_there(scene: Scene) -> None:
    seqs = [
        await record(scene, act=from_(scene, address)) for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1")
    ]
    one, two, again = [(await body(scene, seq))["address"] for seq in seqs]
    assert (one == again, one == two) == (True, False)
    assert await scene.rows("SELECT count(*) FROM audit_addresses") == [(2,)]
    assert [(await revealed(scene, seq)).address for seq in seqs] == ["192.0.2.1", "192.0.2.2", "192.0.2.1"]


async def test_an_address_whose_sealing_was_undone_is_sealed_again(scene: Scene) -> None:
    act = from_(scene, "192.0.2.1")

    def broken(tx: Transaction) -> None:
        audit_log.append(tx, act, "a", {})
        raise RuntimeError("too late")

    with pytest.raises(RuntimeError):
        await scene.store.engine.write(broken)
    assert await revealed(scene, await record(scene, act=act)) == Revealed(None, "192.0.2.1")


async def test_an_address_that_was_erased_is_sealed_under_a_new_key(scene: Scene) -> None:
    before = await record(scene, act=from_(scene, "192.0.2.1"))
    assert await scene.store.engine.write(audit_content.shred, DEFAULT_ORG, "prn_ada") == 1
    after = await record(scene, act=from_(scene, "192.0.2.1"))
    assert (await revealed(scene, before), await revealed(scene, after)) == (
        None,
        Revealed(None, "192.0.2.1"),
    )


async def test_what_is_remembered_of_addresses_is_bounded(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_content, "ADDRESSES_KEPT", 3)
    for number in range(8):
        await record(scene, act=from_(scene, f"192.0.2.{number}"))
    assert len(scene.store.engine.hints) <= 3


async def test_an_address_has_another_commitment_on_another_day(scene: Scene) -> None:
    """So that what is kept for some days can be deleted by its age."""
    one = await record(scene, act=from_(scene, "192.0.2.1"))
    scene.now_ms += audit_content.DAY_MS
    two = await record(scene, act=from_(scene, "192.0.2.1"))
    assert (await body(scene, one))["address"] != (await body(scene, two))["address"]
    times = [at for (at,) in await scene.rows("SELECT sealed_at FROM audit_addresses ORDER BY sealed_at")]
    assert times[1] - times[0] > audit_content.DAY_MS - 1000
